import json
import re

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from scipy.stats import lognorm

from her2pkpd.cli import main
from her2pkpd.cohort.attainment import attainment
from her2pkpd.cohort.covariate_effects import covariate_effects
from her2pkpd.cohort.sensitivity import sobol, tornado
from her2pkpd.cohort.summary_exposure import CONFOUNDED, exposure_response
from her2pkpd.cohort.vpc import vpc
from her2pkpd.errors import InputError
from her2pkpd.report.cohort import cohort_report, read_targets
from her2pkpd.report.cohort_figures import attainment_figure, exposure_response_figure, forest_figure, vpc_figure
from her2pkpd.report.cohort_outcome_figures import sobol_figure, tornado_figure
from tests.cohort.test_vpc import design, draw

pytest.importorskip("pyarrow")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder laid out as a cohort's, with numbers that need no simulation."""
    rng, n, path = np.random.default_rng(0), 200, tmp_path_factory.mktemp("cohort")
    patients = pd.DataFrame(
        {"patient": np.arange(n), "weight": rng.lognormal(4.2, 0.2, n), "asia": rng.random(n) < 0.3}
    )
    arms, courses = [], []
    for arm, dose in (("low", 1.0), ("high", 2.0)):
        auc = 300.0 * dose * np.exp(0.3 * rng.standard_normal(n)) * (patients["weight"] / 66.0)
        change = np.clip(20.0 - 0.1 * auc + 20.0 * rng.standard_normal(n), -100.0, 120.0)
        best = np.select([change <= -99, change <= -30, change < 20], ["CR", "PR", "SD"], "PD")
        own = {"patient": np.arange(n), "arm": arm, "status": np.where(np.arange(n) == 7, "max_steps", "ok")}
        own |= {"AUC.x.first": auc, "Cmin.x.last": 0.05 * auc, "SLD.best_change": change, "best_response": best}
        own |= {"TTP": 42.0 * rng.integers(1, 9, n), "progressed": rng.random(n) < 0.6}
        arms.append(pd.DataFrame(own))
        for t in (0.0, 504.0, 1008.0):
            size = 60.0 * (1.0 + change / 100.0 * t / 1008.0)
            columns = {"patient": np.arange(n), "arm": arm, "time": t, "plasma.x": auc * np.exp(-t / 500), "SLD": size}
            courses.append(pd.DataFrame(columns)[:40])
    endpoints = pd.concat(arms).sort_values(["patient"], kind="stable", ignore_index=True)
    endpoints.loc[endpoints["status"] != "ok", ["AUC.x.first", "Cmin.x.last", "SLD.best_change", "TTP"]] = np.nan
    for name, table in (("patients", patients), ("endpoints", endpoints), ("trajectories", pd.concat(courses))):
        (path / f"{name}.parquet").mkdir()
        table.reset_index(drop=True).to_parquet(path / f"{name}.parquet" / "part-00000.parquet")
    columns = {"endpoints": {"AUC.x.first": {"unit": "ug*d/mL"}, "SLD.best_change": {"unit": "%"}}}
    manifest = {"patients": n, "seed": 3, "arms": [{"name": "low"}, {"name": "high"}], "columns": columns}
    (path / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return path


def test_a_folder_gets_a_table_figures_and_a_page(folder):
    written = cohort_report(folder, title="Two doses of x", targets={"Cmin.x.last": [20.0, 40.0]})
    assert all(p.is_file() and p.stat().st_size for p in written)
    table = pd.read_csv(folder / "summary.csv")
    assert set(table["endpoint"]) == {"AUC.x.first", "Cmin.x.last", "SLD.best_change", "TTP"}
    assert (table["failed"] == 2).all()
    assert (table["patients"] == 199).all()
    page = (folder / "report.html").read_text(encoding="utf-8")
    headings = re.findall(r"<h2[^>]*>(.*?)</h2>", page)
    assert headings == [
        "Courses", "Target attainment", "Response", "Tumours of single patients", "Time to progression",
        "Exposure and response", "What patients differ by", "Endpoints",
    ]  # fmt: skip
    assert CONFOUNDED in page
    assert "2 of 400 courses failed and are left out: 2 max_steps" in page
    assert page.count("<img") == sum(p.suffix == ".png" for p in written)
    assert not re.search(r"(src|href)=.https?:", page)


def test_weights_reach_every_number(folder):
    weights = pd.Series(np.where(np.arange(200) < 100, 1.0, 0.0), index=np.arange(200))
    cohort_report(folder, weights=weights)
    table = pd.read_csv(folder / "summary.csv")
    np.testing.assert_allclose(table["effective"], 99.0)
    assert "effective sample size" in (folder / "report.html").read_text(encoding="utf-8")


def test_what_is_refused(folder, tmp_path):
    with pytest.raises(InputError, match="no cohort"):
        cohort_report(tmp_path)
    with pytest.raises(InputError, match=r"no endpoint 'Cmin\.y'"):
        cohort_report(folder, targets={"Cmin.y": [1.0]})


def test_targets_are_read():
    assert read_targets(["a.b=1", "a.b = 2.5", "c=1e3"]) == {"a.b": [1.0, 2.5], "c": [1000.0]}
    with pytest.raises(InputError, match="2 problems"):
        read_targets(["a", "b=x", "c=1"])


def test_a_target_that_is_no_endpoint_is_refused_before_anything_is_computed(tmp_path, capsys):
    settings = tmp_path / "cohort.toml"
    settings.write_text(
        '[population]\nsize = 20\n[[arm]]\nname = "a"\n[[arm.dose]]\ndrug = "trastuzumab"\n'
        'regimen = "6 mg/kg every 3 weeks, 2 doses"\ninfusion = "90 min"\n',
        encoding="utf-8",
    )
    command = ["cohort", str(settings), "--out", str(tmp_path / "out"), "--engine", "kernel", "--quiet"]
    assert main([*command, "--target", "Cmin.trastuzumb.last=20"]) == 2
    assert "Did you mean 'Cmin.trastuzumab.last'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert main([*command, "--target", "Cmin.trastuzumab.last=20"]) == 0
    assert (tmp_path / "out" / "report.html").is_file()


def texts(figure: Figure) -> str:
    axes = [*figure.axes]
    found = [t.get_text() for a in axes for t in (*a.texts, *a.get_xticklabels(), *a.get_yticklabels(), a.xaxis.label)]
    return " ".join([*found, *(t.get_text() for t in figure.texts), *(a.get_title(loc="left") for a in axes)])


def test_a_figure_says_what_must_be_read_with_it(folder):
    endpoints = pd.read_parquet(folder / "endpoints.parquet")
    found = exposure_response(endpoints, "AUC.x.first", "best_response")
    assert "Exposure was not randomised" in texts(exposure_response_figure(found, "AUC", "response"))
    effects = covariate_effects(
        lambda people: np.array([p["weight"] / 70.0 for p in people]), {"weight": 70.0}, {"weight": [49.0, 98.0]}
    )
    assert "weight 98 kg (reference 70)" in texts(forest_figure(effects, "AUC", units=[("weight", "kg")]))
    inputs = {"CL": lognorm(0.3), "F": lognorm(0.1)}
    assert "CL (0.611 to 1.64)" in texts(tornado_figure(tornado(lambda x: x["F"] / x["CL"], inputs), "AUC"))
    assert "4,096 patients" in texts(sobol_figure(sobol(lambda x: x["F"] / x["CL"], inputs, patients=5000), "AUC"))


def test_figures_of_checks_are_drawn():
    frame, rng = design(20), np.random.default_rng(1)
    frame = frame.assign(lloq=0.6, value=draw(frame, rng), arm=np.where(frame["id"] < 10, "a", "b"))
    check = vpc(frame, [draw(frame, rng) for _ in range(30)], stratify="arm")
    figure = vpc_figure(check, "x, ug/mL", log=True)
    assert len(figure.axes) == 4
    doses = pd.DataFrame({"dose": np.repeat([1.0, 2.0], 50), "Cmin": np.arange(100.0)})
    drawn = attainment_figure(attainment(doses, "Cmin", [20.0], by=["dose"]), by="dose", label="mg/kg")
    assert drawn.axes[0].get_xlabel() == "mg/kg"
