"""Fits as PEtab: valid, and worth the same when somebody else's tools evaluate the files."""

import json
from pathlib import Path

import numpy as np
import pytest

from her2pkpd import cli
from her2pkpd.errors import InputError
from her2pkpd.fit.problem import load_problem
from her2pkpd.petab.write import starting_point, write_petab

pytest.importorskip("petab", reason="petab is not installed")
pytest.importorskip("libsbml", reason="python-libsbml is not installed")
pytest.importorskip("roadrunner", reason="libRoadRunner is not installed")

from tests.petab.evaluate import Evaluator

pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")  # petab's own
ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"

WELLS = """cell_line,drug,concentration,unit,drug_2,concentration_2,unit_2,time,time_unit,readout,value,sd
SK-BR-3,lapatinib,30,nM,,,,72,h,viability,0.75,
SK-BR-3,lapatinib,300,nM,trastuzumab,10,nM,72,h,viability,0.4,0.03
BT-474,lapatinib,300,nM,,,,48,h,viability,0.6,
BT-474,lapatinib,1000,nM,,,,48,h,viability,0.45,
SK-BR-3,lapatinib,100,nM,,,,24,h,gr,0.4,
SK-BR-3,lapatinib,0,nM,,,,48,h,cell_count,9000,
SK-BR-3,lapatinib,100,nM,,,,48,h,cell_count,7000,
BT-474,trastuzumab,5,nM,,,,24,h,occupancy,0.8,
BT-474,lapatinib,50,nM,,,,24,h,pAKT,0.5,
SK-BR-3,lapatinib,50,nM,,,,24,h,pAKT,0.4,
"""
PUBLISHED = """cell_line,drug,metric,value,unit,time,time_unit,assay,top_concentration,top_unit,source,certainty,note
SK-BR-3,lapatinib,GR50,60,nM,72,h,,10,uM,Nobody 2020,assumed,
BT-474,lapatinib,GRmax,-0.1,1,72,h,,10,uM,Nobody 2020,assumed,
"""
FIT = """
[[data]]
file = "plate.csv"
[[data]]
file = "published.csv"
kind = "metrics"
[estimate."lapatinib.HER2.Ki"]
prior = { median = "20 nM", spread = 2.0 }
[estimate."trastuzumab.KD"]
[estimate.w]
start = 0.8
[estimate.a_li]
pooled = 0.7
prior = { median = 0.65, spread = 1.0 }
[estimate.S50]
pooled = 2.0
prior = { median = 0.3, spread = 2.0 }
[estimate.HER2]
where.cell_line = ["SK-BR-3"]
[estimate.scale]
per = "cell_line"
lower = 0.7
upper = 1.5
prior = { median = 1.0, spread = 1.1 }
[noise.viability]
kind = "combined"
[noise.gr]
sd = 0.1
[noise.cell_count]
kind = "log-normal"
sd = 0.2
[noise."occupancy.trastuzumab"]
sd = 0.05
[noise.pAKT]
kind = "proportional"
cv = 0.2
"""


def folder(tmp_path, fit=FIT):
    for name, text in {"plate.csv": WELLS, "published.csv": PUBLISHED, "fit.toml": fit}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path / "fit.toml"


def test_every_kind_of_reading_noise_and_prior_is_worth_the_same_elsewhere(tmp_path):
    problem = load_problem(folder(tmp_path))
    u = starting_point(problem.objective, {})
    rng = np.random.default_rng(3)
    costs, values = [], []
    for k, moved in enumerate((u, u + 0.3 * rng.standard_normal(len(u)))):
        low, high = problem.objective.bounds()
        point = np.clip(moved, low + 0.1, high - 0.1)
        made = write_petab(problem, point, tmp_path / f"petab{k}")
        assert made.validated
        assert made.notes == ()
        assert made.left_out == ("GR50 of lapatinib in SK-BR-3, 72 h: read off a whole curve",)
        found = Evaluator(tmp_path / f"petab{k}" / "problem.yaml").negative_log_likelihood()
        assert found == pytest.approx(made.negative_log_likelihood, rel=1e-6)
        values.append(found)
        costs.append(without_potencies(problem, point))
    # The same up to a constant as what the fit minimises, but for priors that are distributions in the files.
    assert values[1] - values[0] == pytest.approx((costs[1] - costs[0]) / 2, rel=1e-5)


def without_potencies(problem, u):
    """The fit's -2 log posterior without published potencies, and without priors PEtab has a distribution for."""
    evaluation = problem.objective(u)
    free = problem.objective.free
    said = 0.0
    for k, own in enumerate(free.free):
        e = own.estimate
        if e.prior and e.scale == "log" and (own.role == "centre" or e.pooled is None):
            mean, sd = e.prior.on(own.transform)
            said += ((u[k] - mean) / sd) ** 2
    potency = ((evaluation.metrics[0] - np.log10(60.0)) / problem.objective.metric_noise.potency) ** 2
    return evaluation.cost - said - potency


def test_priors_are_the_same_distributions(tmp_path):
    problem = load_problem(folder(tmp_path))
    write_petab(problem, starting_point(problem.objective, {}), tmp_path / "petab")
    from petab import v2

    found = {p.id: p for p in v2.Problem.from_yaml(tmp_path / "petab" / "problem.yaml").parameters}
    ki = found["lapatinib_HER2_Ki"]
    assert (str(ki.prior_distribution), ki.prior_parameters) == ("log-normal", [np.log(20.0), np.log(2.0)])
    # A density of the value and one of its logarithm differ by the value itself.
    by_value = ki.prior_dist.pdf(30.0) / ki.prior_dist.pdf(20.0)
    assert by_value * 30.0 / 20.0 == pytest.approx(np.exp(-0.5 * (np.log(1.5) / np.log(2.0)) ** 2))
    assert found["SK_BR_3_w"].prior_distribution is None
    assert (found["SK_BR_3_w"].lb, found["SK_BR_3_w"].ub) == (0.0, 1.0)


def test_estimates_of_a_finished_fit_become_nominal_values(tmp_path):
    settings = folder(tmp_path)
    done = tmp_path / "done"
    done.mkdir()
    (done / "fit.json").write_text(json.dumps({"unknowns": ["lapatinib.HER2.Ki"], "coordinates": [np.log(33.0)]}))
    out = ["--out", str(tmp_path / "out")]
    assert cli.main(["export", "petab", str(settings), *out, "--fit", str(done)]) == 0
    row = next(x for x in (tmp_path / "out" / "parameters.tsv").read_text().splitlines() if "HER2_Ki" in x)
    assert float(row.split("\t")[4]) == pytest.approx(33.0)
    assert "read off a whole curve" in (tmp_path / "out" / "left_out.txt").read_text()


def test_what_petab_cannot_say_is_refused_by_name(tmp_path, capsys):
    settings = folder(tmp_path, FIT.replace('kind = "combined"', 'kind = "student-t"'))
    out = tmp_path / "out"
    assert cli.main(["export", "petab", str(settings), "--out", str(out)]) == 2
    assert "noise.viability.kind" in (message := capsys.readouterr().err)
    assert "PEtab has no Student-t noise" in message
    assert not out.exists()
    assert cli.main(["export", "petab", str(folder(tmp_path)), "--out", str(out), "--fit", str(tmp_path)]) == 2
    assert "is not of a finished fit" in capsys.readouterr().err


def test_a_fit_of_potencies_alone_has_nothing_to_say(tmp_path):
    settings = folder(tmp_path, '[[data]]\nfile = "published.csv"\nkind = "metrics"\n[estimate."lapatinib.HER2.Ki"]\n')
    (tmp_path / "published.csv").write_text("\n".join(PUBLISHED.splitlines()[:2]) + "\n")
    problem = load_problem(settings)
    with pytest.raises(InputError, match="nothing PEtab can say"):
        write_petab(problem, problem.objective.start(), tmp_path / "petab")


def test_without_the_validator_the_files_are_written_all_the_same(tmp_path, monkeypatch):
    import sys

    problem = load_problem(folder(tmp_path))
    monkeypatch.setitem(sys.modules, "petab", None)
    made = write_petab(problem, starting_point(problem.objective, {}), tmp_path / "petab")
    assert not made.validated
    assert "not validated" in repr(made)


def test_the_published_metrics_fit_of_the_repository(tmp_path):
    problem = load_problem(ROOT / "fits" / "her2-inhibitors" / "fit.toml")
    made = write_petab(problem, starting_point(problem.objective, {}), tmp_path)
    assert made.validated
    assert len(made.left_out) == sum(m.is_potency or m.censoring != "none" for m in problem.metrics)
    found = Evaluator(tmp_path / "problem.yaml").negative_log_likelihood()
    assert found == pytest.approx(made.negative_log_likelihood, rel=1e-6)


def test_the_ccle_fit_of_the_repository(tmp_path):
    if not (DATA / "ccle2012").is_dir():
        pytest.skip("the CCLE table is not here")
    problem = load_problem(ROOT / "fits" / "ccle-lapatinib" / "fit.toml")
    made = write_petab(problem, starting_point(problem.objective, {}), tmp_path)
    assert made.validated
    assert made.left_out == ()
    found = Evaluator(tmp_path / "problem.yaml").negative_log_likelihood()
    assert found == pytest.approx(made.negative_log_likelihood, rel=1e-6)
