"""A fit from file to folder: what is written, what the report needs, and what interruption leaves behind."""

import json
import shutil
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from her2pkpd import cli
from her2pkpd.fit import optimise, profile
from her2pkpd.report.fit import fit_file
from tests.fit.problems import KI, estimate, predictions, signals

W = estimate("cells.w", "w", per=("cell_line",), scale="logit", lower=0.0, upper=1.0, start=0.5)
DOSES = (3.0, 10.0, 30.0, 100.0, 300.0, 1e3, 3e3)
SETTINGS = """
title = "Lapatinib & <friends>"

[[data]]
file = "plate.csv"

[[data]]
file = "published.csv"
kind = "metrics"

[model]
system = "well"

[estimate."lapatinib.HER2.Ki"]
lower = "1 nM"
upper = "1 uM"
start = "100 nM"

[estimate.w]
per = "cell_line"
start = 0.5

[method]
starts = 3
seed = 4
max_evaluations = 15
"""
PUBLISHED = """cell_line,drug,metric,value,unit,time,time_unit,assay,top_concentration,top_unit,source,certainty,note
SK-BR-3,lapatinib,GR50,60,nM,72,h,,10,uM,Nobody 2020,assumed,
BT-474,lapatinib,GRmax,-0.1,1,72,h,,10,uM,Nobody 2020,assumed,
BT-474,lapatinib,GR50,>8,uM,72,h,,10,uM,Nobody 2020,assumed,
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A folder with a fit.toml, a simulated plate with a combination, and a table of published metrics."""
    folder = tmp_path_factory.mktemp("source")
    pairs = [(0.0, d) for d in DOSES] + [(5.0, d) for d in DOSES]
    wanted = signals(["viability"], pairs)
    clean = predictions(wanted, [KI, W], np.array([np.log(15.0), 2.0, 1.0]))
    values = clean + 0.02 * np.random.default_rng(1).standard_normal(len(clean))
    rows = ["cell_line,drug,concentration,unit,drug_2,concentration_2,unit_2,time,time_unit,readout,value"]
    rows += [f"{line},lapatinib,0,nM,trastuzumab,0,nM,72,h,viability,1" for line in ("SK-BR-3", "BT-474")]
    for s, v in zip(wanted, values, strict=True):
        doses = dict(s.treatment.doses)
        rows.append(
            f"{s.treatment.cell_line},lapatinib,{doses['lapatinib']},nM,trastuzumab,{doses.get('trastuzumab', 0)},nM,"
            f"72,h,viability,{v}"
        )
    (folder / "plate.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (folder / "published.csv").write_text(PUBLISHED, encoding="utf-8")
    (folder / "fit.toml").write_text(SETTINGS, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def finished(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("out") / "results"
    return fit_file(source / "fit.toml", folder, progress=False), folder


def test_everything_promised_is_written_and_nothing_else(finished):
    _, folder = finished
    names = sorted(p.name for p in folder.iterdir())
    assert names == [
        "eigenvectors.csv", "figures", "fit.json", "identifiability.csv", "logistic.csv", "parameters.csv",
        "predictions.csv", "published_vs_fitted.csv", "report.html", "run.json",
    ]  # fmt: skip
    figures = sorted(p.name for p in (folder / "figures").iterdir())
    # Two curves of two lines, two of published metrics, starts, published against fitted, eigenvectors and profiles.
    assert len(figures) == 10
    assert all(p.read_bytes()[:4] == b"\x89PNG" for p in (folder / "figures").iterdir())
    assert not [n for n in figures if set(n) - set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._")]


def test_the_tables(finished):
    result, folder = finished
    parameters = pd.read_csv(folder / "parameters.csv")
    assert list(parameters.columns) == ["parameter", "unit", "estimate", "lower", "upper", "interval", "verdict"]
    assert list(parameters["parameter"]) == ["lapatinib.HER2.Ki", "SK-BR-3.w", "BT-474.w", "sd.viability"]
    assert list(parameters["unit"]) == ["nM", "1", "1", "1"]
    assert parameters["estimate"][0] == pytest.approx(15.0, rel=0.6)
    predicted = pd.read_csv(folder / "predictions.csv")
    assert len(predicted) == 28 + 3
    wells = predicted[predicted["readout"] == "viability"]
    np.testing.assert_allclose(wells["residual"], wells["value"] - wells["prediction"], atol=1e-12)
    assert np.sqrt(np.mean(wells["residual"] ** 2)) < 0.05
    assert set(wells["drug_2"].dropna()) == {"trastuzumab"}
    assert set(predicted["status"]) == {"ok"}
    published = pd.read_csv(folder / "published_vs_fitted.csv")
    assert list(published["censoring"]) == ["none", "none", "right"]
    assert not published["within"][2]
    logistic = pd.read_csv(folder / "logistic.csv")
    assert len(logistic) == 4
    assert (logistic["mechanism_rms"] < 0.06).all()
    assert result.parameters.equals(result.parameters)


def test_fit_json_is_strict_json(finished):
    def refuse(constant):
        raise AssertionError(constant)

    result, folder = finished
    record = json.loads((folder / "fit.json").read_text(), parse_constant=refuse)
    assert record["model"]["hash"] == result.problem.model.hash
    assert record["data"] == {"wells": 28, "published_metrics": 3}
    assert record["unknowns"] == list(pd.read_csv(folder / "parameters.csv")["parameter"])
    assert len(record["starts"]) == 3
    assert np.array(record["covariance"]).shape == (4, 4)
    run = json.loads((folder / "run.json").read_text())
    assert run["status"] == "ok"
    assert run["status_counts"] == {"ok": len(result.evaluation.status)}
    assert run["seed"] == 4
    # Asked for was "auto".
    assert run["engine"] == result.evaluation.engine == "kernel"


class Links(HTMLParser):
    """Everything a page would fetch, and its text."""

    def __init__(self):
        super().__init__()
        self.fetched, self.tags, self.text, self.open = [], [], "", []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        named = [v for k, v in attrs if k in ("src", "href", "srcset", "data", "action")]
        self.fetched += [v for v in named if not v.startswith("#")]  # a place in the page itself
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_the_report_is_one_file_that_fetches_nothing(finished):
    _, folder = finished
    text = (folder / "report.html").read_text(encoding="utf-8")
    page = Links()
    page.feed(text)
    assert not page.open
    assert len(page.fetched) == 10
    assert all(x.startswith("data:image/png;base64,") for x in page.fetched)
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert "http:" not in text
    assert "https:" not in text
    assert "@import" not in text
    assert "url(" not in text


def test_the_report_says_what_was_found(finished):
    _, folder = finished
    page = Links()
    page.feed((folder / "report.html").read_text(encoding="utf-8"))
    for words in (
        "Lapatinib & <friends>", "28 wells, 3 published metrics", "lapatinib.HER2.Ki", "determined",
        "Published against fitted",
        "of 3 values met", "flowchart LR", "koff*([lapatinib]/Ki*free",
    ):  # fmt: skip
        assert words in page.text, words


def test_the_same_fit_may_be_repeated_and_another_is_not_overwritten(source, finished, tmp_path, capsys, monkeypatch):
    folder = shutil.copytree(finished[1], tmp_path / "again")
    before = (folder / "parameters.csv").read_bytes()
    monkeypatch.setattr("her2pkpd.report.fit.png", lambda figure: b"")
    fit_file(source / "fit.toml", folder, progress=False)
    assert (folder / "parameters.csv").read_bytes() == before
    for name in ("plate.csv", "published.csv"):
        (tmp_path / name).write_bytes((source / name).read_bytes())
    (tmp_path / "fit.toml").write_text(SETTINGS.replace("seed = 4", "seed = 5"), encoding="utf-8")
    assert cli.main(["fit", str(tmp_path / "fit.toml"), "--out", str(folder), "--quiet"]) == 2
    assert "results of 'fit' on other inputs" in capsys.readouterr().err
    assert (folder / "parameters.csv").read_bytes() == before


# --- interruption --------------------------------------------------------------------------------------------


@pytest.fixture
def stops(monkeypatch):
    """Ends the fit with an exception at start 1; counts the starts really made, and draws nothing."""
    monkeypatch.setattr("her2pkpd.report.fit.png", lambda figure: b"")
    monkeypatch.setattr(optimise, "LANES", 1)  # each start a group of its own
    made = []
    true = optimise._descend

    def at(exception):
        def descend(objective, numbers, *rest):
            if 1 in numbers and exception is not None:
                raise exception
            made.extend(numbers)
            return true(objective, numbers, *rest)

        monkeypatch.setattr(optimise, "_descend", descend)
        return made

    return at


@pytest.mark.parametrize("exception", [RuntimeError("power cut"), KeyboardInterrupt()])
def test_an_interrupted_fit_resumes_to_the_same_result(source, finished, tmp_path, stops, exception):
    folder = tmp_path / "results"
    stops(exception)
    if isinstance(exception, KeyboardInterrupt):
        assert fit_file(source / "fit.toml", folder, progress=False).optimum.interrupted
        assert "interrupted" in (folder / "report.html").read_text(encoding="utf-8")
        assert json.loads((folder / "run.json").read_text())["status"] == "interrupted"
    else:
        with pytest.raises(RuntimeError):
            fit_file(source / "fit.toml", folder, progress=False)
        assert json.loads((folder / "run.json").read_text())["status"] == "unfinished"
    assert (folder / "starts.json").exists()
    made = stops(None)
    made.clear()
    fit_file(source / "fit.toml", folder, progress=False)
    assert made == [1, 2]
    assert not (folder / "starts.json").exists()
    for name in ("parameters.csv", "predictions.csv", "fit.json"):
        assert (folder / name).read_bytes() == (finished[1] / name).read_bytes()


def test_a_fit_interrupted_among_its_intervals_keeps_its_starts(source, finished, tmp_path, stops, monkeypatch):
    folder = tmp_path / "results"
    made = stops(None)
    true, calls = profile._interval, []

    def interval(*given):
        calls.append(given)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return true(*given)

    monkeypatch.setattr(profile, "_interval", interval)
    assert "fewer profile intervals" in fit_file(source / "fit.toml", folder, progress=False).summary()
    assert json.loads((folder / "run.json").read_text())["status"] == "interrupted"
    kinds = pd.read_csv(folder / "parameters.csv")["interval"].tolist()
    assert kinds == ["95 % profile", "95 % Laplace", "95 % Laplace", "95 % Laplace"]
    monkeypatch.setattr(profile, "_interval", true)
    made.clear()
    fit_file(source / "fit.toml", folder, progress=False)
    assert made == []
    assert (folder / "parameters.csv").read_bytes() == (finished[1] / "parameters.csv").read_bytes()


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"inputs": "x", "starts": []}', '{"starts": [1]}'])
def test_a_damaged_checkpoint_means_starting_afresh(source, tmp_path, stops, damage):
    folder = tmp_path / "results"
    stops(RuntimeError())
    with pytest.raises(RuntimeError):
        fit_file(source / "fit.toml", folder, progress=False)
    (folder / "starts.json").write_text(damage)
    made = stops(RuntimeError())
    made.clear()
    with pytest.raises(RuntimeError):
        fit_file(source / "fit.toml", folder, progress=False)
    assert made == [0]


def test_a_fit_that_cannot_be_computed_ends_with_3(source, tmp_path, capsys):
    (tmp_path / "published.csv").write_bytes((source / "published.csv").read_bytes())
    (tmp_path / "plate.csv").write_bytes((source / "plate.csv").read_bytes())
    # A medium of no volume: no well can be computed.
    (tmp_path / "fit.toml").write_text(SETTINGS + '[parameters]\nV = "0 L"\n', encoding="utf-8")
    assert cli.main(["fit", str(tmp_path / "fit.toml"), "--out", str(tmp_path / "results"), "--quiet"]) == 3
    assert "no start reached a finite objective" in capsys.readouterr().err
    assert not (tmp_path / "results" / "parameters.csv").exists()
