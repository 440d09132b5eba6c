"""A fit of wells of which some are known by limits only, from file to folder."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from her2pkpd.errors import InputError
from her2pkpd.fit.curves import fitted_curves
from her2pkpd.fit.problem import load_problem
from her2pkpd.fit.run import fit
from her2pkpd.petab.write import write_petab
from her2pkpd.report.figures import curve_figure
from her2pkpd.report.fit import fit_file
from tests.fit.problems import KI, predictions, signals

DOSES = (3.0, 10.0, 30.0, 60.0, 100.0, 300.0, 1e3, 3e3)
TRUTH = 25.0
LIMIT = 0.6
"""Of detection: wells below are only known to be below."""

HEADER = "cell_line,drug,concentration,unit,time,time_unit,readout,value,censoring,upper_limit"
SETTINGS = """
[[data]]
file = "plate.csv"

[estimate."lapatinib.HER2.Ki"]

[noise.viability]
sd = 0.03

[method]
starts = 1
intervals = "laplace"
rtol = 1e-7
sample = "laplace"
draws = 100
"""


def measured():
    wanted = signals(["viability"], [(0.0, d) for d in DOSES], lines=("SK-BR-3",))
    return predictions(wanted, [KI], np.array([np.log(TRUTH)])) + 0.03 * np.random.default_rng(4).standard_normal(8)


def said(value):
    """What a detector with a limit, and rounding to an interval at 10 nM, says of values."""
    cells = [f"{LIMIT},left," if v < LIMIT else f"{v:.6f},," for v in value]
    cells[1] = f"{value[1] - 0.06:.6f},interval,{value[1] + 0.06:.6f}"
    return cells


def folder_of(tmp_path, cells, text=SETTINGS):
    rows = [HEADER, "SK-BR-3,lapatinib,0,nM,72,h,viability,1,,"]
    rows += [f"SK-BR-3,lapatinib,{d},nM,72,h,viability,{c}" for d, c in zip(DOSES, cells, strict=True)]
    (tmp_path / "plate.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (tmp_path / "fit.toml").write_text(text, encoding="utf-8")
    return tmp_path / "fit.toml"


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    source = tmp_path_factory.mktemp("source")
    out = source / "out"
    return fit_file(folder_of(source, said(measured())), out, progress=False), out


def test_the_objective_is_that_of_the_probabilities(fitted):
    result, _ = fitted
    objective = result.problem.objective
    sides = [o.censoring for o in objective.observations]
    assert sides[:2] == ["none", "interval"]
    assert sides[-1] == "left"
    points = np.log(np.array([[15.0], [40.0]]))
    found = objective.many(points)
    expected = []
    for f in found.predictions:
        total = 0.0
        for o, p in zip(objective.observations, f, strict=True):
            law = stats.norm(p, 0.03)
            low, high = o.ends
            total += law.logpdf(o.value) if o.censoring == "none" else np.log(law.cdf(high) - law.cdf(low))
        expected.append(-2 * total)
    assert np.diff(found.costs) == pytest.approx(np.diff(expected), rel=1e-5)


def test_limits_tell_the_truth_where_limits_as_numbers_do_not(fitted, tmp_path):
    result, _ = fitted
    row = result.parameters.iloc[0]
    assert row["lower"] < TRUTH < row["upper"]
    assert row["estimate"] == pytest.approx(TRUTH, rel=0.3)
    naive = [c.replace("left", "") for c in said(measured())]
    wrong = fit(load_problem(folder_of(tmp_path, naive))).parameters.iloc[0]
    assert wrong["estimate"] > 1.3 * TRUTH
    assert not wrong["lower"] < TRUTH < wrong["upper"]


def test_tables_checks_and_summary_mark_them(fitted):
    result, out = fitted
    table = pd.read_csv(out / "predictions.csv")
    below = table["censoring"] == "left"
    assert below.sum() == (measured() < LIMIT).sum() > 2
    keeps = table["prediction"] <= table["value"]
    assert (table.loc[below & keeps, "residual"] == 0).all()
    between = table[table["censoring"] == "interval"].iloc[0]
    off = np.clip(between["prediction"], between["value"], between["upper_limit"]) - between["prediction"]
    assert between["residual"] == pytest.approx(off, abs=1e-12)
    exact = table["censoring"] == "none"
    np.testing.assert_allclose(table["residual"][exact], (table["value"] - table["prediction"])[exact], atol=1e-12)
    checks = pd.read_csv(out / "predictive_checks.csv").iloc[0]
    assert (checks["wells"], checks["limits"]) == (exact.sum(), (~exact).sum())
    assert 0.6 < checks["within_limits"] < 1
    assert checks["verdict"] == "as predicted"
    words = f"8 wells ({(~exact).sum()} of them known by a limit only)"
    assert words in result.summary()
    assert words in (out / "report.html").read_text(encoding="utf-8")


def test_a_model_that_breaks_every_limit_is_told_so(tmp_path):
    cells = ["5e-1,left," for _ in DOSES[:4]] + ["0.9,right," for _ in DOSES[4:]]
    text = SETTINGS.replace(
        '"lapatinib.HER2.Ki"]', '"lapatinib.HER2.Ki"]\nlower = "20 nM"\nupper = "40 nM"\nstart = "30 nM"'
    )
    fit_file(folder_of(tmp_path, cells, text), tmp_path / "out", progress=False)
    (check,) = pd.read_csv(tmp_path / "out" / "predictive_checks.csv").to_dict("records")
    assert (check["wells"], check["limits"]) == (0, 8)
    assert check["verdict"] == "the model does not keep to the limits here"


def test_figures_show_where_the_truth_lies(fitted):
    result, _ = fitted
    (curve,) = fitted_curves(result.problem, result.optimum.best.u)
    assert len(curve.measured) + len(curve.limits) == len(DOSES)
    assert np.isneginf(curve.limits[1:, 1]).all()
    axes = curve_figure(curve).axes[0]
    _, labels = axes.get_legend_handles_labels()
    assert {"known to be below", "known to be between"} <= set(labels)


def test_petab_leaves_them_out_by_name(fitted, tmp_path):
    result, _ = fitted
    made = write_petab(result.problem, result.optimum.best.u, tmp_path / "petab")
    assert len(made.left_out) == sum(o.censoring != "none" for o in result.problem.observations)
    assert "known to lie between limits only" in made.left_out[0]
    assert "3000 nM, 72 h: known to lie below a limit only" in made.left_out[-1]


def test_a_limit_beside_an_unknown_factor_is_refused_with_a_way_out(tmp_path):
    text = SETTINGS.replace("sd = 0.03", 'sd = 0.03\nscale = "plate"')
    with pytest.raises(InputError, match="a limit, as in row 4 of the data, needs a known scale") as caught:
        load_problem(folder_of(tmp_path, said(measured()), text))
    assert len(caught.value.problems) == 1 + (measured() < LIMIT).sum()
    assert '[estimate.scale] with per = "plate"' in caught.value.problems[0].remedy


def test_log_normal_noise_takes_an_interval_from_zero(tmp_path):
    text = SETTINGS.replace("sd = 0.03", 'kind = "log-normal"\nsd = 0.1')
    cells = said(measured())
    cells[-1] = f"0,interval,{LIMIT}"
    assert load_problem(folder_of(tmp_path, cells, text)).objective(np.log([TRUTH])).cost < 100
    cells[-1] = "0,left,"
    with pytest.raises(InputError, match="log-normal noise needs positive values"):
        load_problem(folder_of(tmp_path, cells, text))


def test_cells_at_the_start_must_have_been_counted(tmp_path):
    source = folder_of(tmp_path, said(measured()))
    plate = tmp_path / "plate.csv"
    plate.write_text(plate.read_text(encoding="utf-8") + "SK-BR-3,,0,nM,0,h,cell_count,900,right,\n", encoding="utf-8")
    with pytest.raises(
        InputError, match="The number of cells at time 0 needs measured values, and this row gives a limit"
    ):
        load_problem(source)
