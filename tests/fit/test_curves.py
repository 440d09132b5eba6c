"""Predictions of a finished fit at any dose, and its curves."""

import numpy as np
import pytest

from her2pkpd.fit.curves import POINTS, fitted_curves, predict_signals
from her2pkpd.fit.problem import load_problem

PLATE = """cell_line,drug,concentration,unit,drug_2,concentration_2,unit_2,time,time_unit,readout,value,seeded_cells
SK-BR-3,lapatinib,0,nM,,,,72,h,viability,1,4000
SK-BR-3,lapatinib,300,nM,,,,72,h,viability,0.5,4000
SK-BR-3,lapatinib,30,nM,,,,72,h,viability,0.8,4000
SK-BR-3,lapatinib,30,nM,trastuzumab,5,nM,72,h,viability,0.4,4000
BT-474,lapatinib,30,nM,,,,48,h,pAKT,0.6,9000
BT-474,lapatinib,30,nM,,,,48,h,cell_count,9500,9000
"""
PUBLISHED = """cell_line,drug,metric,value,unit,time,time_unit,assay,top_concentration,top_unit,source,certainty
BT-474,lapatinib,GR50,60,nM,72,h,other,10,uM,x,assumed
BT-474,lapatinib,GRmax,>-0.2,1,72,h,other,10,uM,x,assumed
"""
SETTINGS = """
[[data]]
file = "plate.csv"
assay = "mine"
[[data]]
file = "published.csv"
kind = "metrics"
[model]
volume = "30 uL"
[parameters]
kint = "0.05 1/h"
"BT-474.a_li" = 0.5
[estimate."lapatinib.HER2.Ki"]
[estimate.w]
[estimate.factor]
parameter = "lapatinib.HER2.Ki"
per = "assay"
lower = "0.1 nM"
upper = "10 nM"
start = "1 nM"
where = { assay = ["mine"] }
"""


@pytest.fixture(scope="module")
def problem(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fit")
    (folder / "plate.csv").write_text(PLATE, encoding="utf-8")
    (folder / "published.csv").write_text(PUBLISHED, encoding="utf-8")
    (folder / "fit.toml").write_text(SETTINGS, encoding="utf-8")
    return load_problem(folder / "fit.toml")


@pytest.fixture(scope="module")
def u(problem):
    start = problem.objective.start()
    return start + 0.2 * np.cos(np.arange(len(start)))


def test_predictions_elsewhere_are_the_fit_s_own_where_both_look(problem, u):
    # Other doses come along, so that lanes and their order differ from the fit's.
    own = [o.signal for o in problem.observations]
    expected = problem.objective(u).predictions
    np.testing.assert_allclose(predict_signals(problem, u, own), expected, rtol=1e-5)
    np.testing.assert_allclose(predict_signals(problem, u, own[::-1]), expected[::-1], rtol=1e-5)
    for signal, value in zip(own, expected, strict=True):
        np.testing.assert_allclose(predict_signals(problem, u, [signal]), value, rtol=1e-5)


def test_every_treatment_belongs_to_a_curve(problem, u):
    curves = fitted_curves(problem, u)
    kinds = [(c.cell_line, c.drug, c.assay, c.readout, c.partner, len(c.measured)) for c in curves]
    assert kinds == [
        ("SK-BR-3", "lapatinib", "mine", "viability", (), 2),
        ("SK-BR-3", "lapatinib", "mine", "viability", (("trastuzumab", 5.0),), 1),
        ("BT-474", "lapatinib", "mine", "pAKT", (), 1),
        ("BT-474", "lapatinib", "mine", "cell_count", (), 1),
        ("BT-474", "lapatinib", "other", "gr", (), 0),
    ]
    assert curves[-1].marks == (("GR50", 60.0), ("GRmax beyond", -0.2))
    for c in curves:
        assert c.dose.shape == c.prediction.shape == (POINTS,)
        assert (np.diff(c.dose) > 0).all()
        assert np.isfinite(c.prediction).all()


def test_curves_pass_through_the_predictions_of_their_wells(problem, u):
    expected = problem.objective(u).predictions
    for c in fitted_curves(problem, u)[:4]:
        for dose, value, _ in c.measured:
            well = next(
                p for o, p in zip(problem.observations, expected, strict=True)
                if o.value == value and dict(o.signal.treatment.doses)[c.drug] == dose
            )  # fmt: skip
            at = np.interp(np.log(dose), np.log(c.dose), c.prediction)
            assert at == pytest.approx(well, rel=5e-3)
