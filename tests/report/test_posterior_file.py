"""A fit with a posterior, and a calibration, from file to folder through the command line."""

import json

import arviz as az
import numpy as np
import pandas as pd
import pytest

from her2pkpd import cli
from her2pkpd.errors import InputError
from her2pkpd.posterior.density import Density
from her2pkpd.report.fit import fit_file
from her2pkpd.report.sbc import sbc_file
from tests.fit.problems import KI, predictions, signals

DOSES = (3.0, 10.0, 30.0, 100.0, 300.0, 1e3)
SETTINGS = """
title = "Lapatinib"

[[data]]
file = "plate.csv"

[estimate."lapatinib.HER2.Ki"]
prior = { median = "20 nM", spread = 2 }

[noise.viability]
kind = "normal"
sd_prior = { median = 0.05, spread = 1.3 }

[method]
starts = 1
seed = 4
rtol = 1e-5
intervals = "laplace"
sample = "nuts"
draws = 60
warmup = 50
chains = 2
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("source")
    wanted = signals(["viability"], [(0.0, d) for d in DOSES], lines=("SK-BR-3",))
    values = predictions(wanted, [KI], np.array([np.log(25.0)]))
    values = values + 0.05 * np.random.default_rng(2).standard_normal(len(values))
    rows = ["cell_line,drug,concentration,unit,time,time_unit,readout,value", "SK-BR-3,lapatinib,0,nM,72,h,viability,1"]
    rows += [f"SK-BR-3,lapatinib,{d},nM,72,h,viability,{v}" for d, v in zip(DOSES, values, strict=True)]
    (folder / "plate.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (folder / "fit.toml").write_text(SETTINGS, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def sampled(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("out") / "results"
    return fit_file(source / "fit.toml", folder, progress=False), folder


def test_a_sampled_fit_writes_draws_table_checks_and_figures(sampled):
    result, folder = sampled
    assert {"posterior.nc", "posterior.csv", "predictive_checks.csv", "parameters.csv", "report.html"} <= {
        p.name for p in folder.iterdir()
    }
    assert not list(folder.glob("*.partial*"))
    assert not list(folder.glob("*.npz"))
    table = pd.read_csv(folder / "posterior.csv")
    assert list(table["parameter"]) == ["lapatinib.HER2.Ki", "sd.viability"]
    draws = az.from_netcdf(folder / "posterior.nc").posterior["lapatinib.HER2.Ki"]
    assert draws.shape == (2, 60)
    assert draws.attrs["units"] == "nM"
    assert table["estimate"][0] == pytest.approx(float(np.median(draws)), rel=1e-6)
    # A potency from six wells of 5 % noise: posterior and Laplace interval must overlap widely and hold each other.
    fitted = pd.read_csv(folder / "parameters.csv").set_index("parameter").loc["lapatinib.HER2.Ki"]
    assert fitted["lower"] < table["estimate"][0] < fitted["upper"]
    assert table["lower"][0] < fitted["estimate"] < table["upper"][0]
    checks = pd.read_csv(folder / "predictive_checks.csv")
    assert list(checks["verdict"]) == ["as predicted"]
    assert json.loads((folder / "run.json").read_text())["status"] == "ok"
    assert "NUTS, 2 chains of 60 draws" in result.summary()
    assert all(p.read_bytes()[:4] == b"\x89PNG" for p in (folder / "figures").iterdir())


def test_sbc_from_the_command_line(source, tmp_path, capsys):
    out = tmp_path / "sbc"
    assert cli.main(["sbc", str(source / "fit.toml"), "--plates", "24", "--out", str(out)]) == 0
    assert "calibrated" in capsys.readouterr().out
    table = pd.read_csv(out / "sbc.csv")
    assert list(table["parameter"]) == ["lapatinib.HER2.Ki", "sd.viability"]
    assert (table["p_value"] > 0.001).all()
    assert len(pd.read_csv(out / "ranks.csv")) == 24
    run = json.loads((out / "run.json").read_text())
    assert (run["status"], run["plates"], run["failed_plates"]) == ("ok", 24, 0)
    assert not list(out.glob("*.npz"))


def test_sbc_refuses_too_few_plates_and_writes_nothing(source, tmp_path, capsys):
    assert cli.main(["sbc", str(source / "fit.toml"), "--plates", "3", "--out", str(tmp_path / "sbc")]) == 2
    assert "at least 24 plates" in capsys.readouterr().err
    assert not (tmp_path / "sbc").exists()


def test_sbc_refuses_a_noise_level_that_cannot_be_drawn(source, tmp_path, capsys):
    vague = tmp_path / "fit.toml"
    text = SETTINGS.replace("sd_prior = { median = 0.05, spread = 1.3 }", "")
    vague.write_text(text.replace("plate.csv", str(source / "plate.csv")), encoding="utf-8")
    assert cli.main(["sbc", str(vague), "--plates", "24", "--out", str(tmp_path / "sbc")]) == 2
    assert "prior of every noise level" in capsys.readouterr().err


class _Stopped:
    """A density that the user stops at one of its evaluations, deep in compiled code."""

    def __init__(self, monkeypatch, at):
        self.calls, true = 0, Density.__call__

        def call(density, v, rows=None):
            self.calls += 1
            if self.calls == at:
                raise KeyboardInterrupt
            return true(density, v, rows)

        monkeypatch.setattr(Density, "__call__", call)


@pytest.mark.parametrize(("at", "draws"), [(10, None), (400, 20)])
def test_a_sampling_stopped_anywhere_leaves_what_there_is_and_goes_on(
    source, sampled, tmp_path, monkeypatch, capsys, at, draws
):
    folder = tmp_path / "results"
    with monkeypatch.context() as patch:
        _Stopped(patch, at)
        assert cli.main(["fit", str(source / "fit.toml"), "--out", str(folder)]) == 130
    said = capsys.readouterr()
    assert "fewer draws of the posterior than asked for" in said.out
    assert "the same command goes on from here" in said.err
    assert json.loads((folder / "run.json").read_text())["status"] == "interrupted"
    assert (folder / "parameters.csv").exists()
    assert (folder / "posterior.csv").exists() == (draws is not None)
    if draws is not None:
        assert az.from_netcdf(folder / "posterior.nc").posterior.sizes["draw"] == draws
    assert cli.main(["fit", str(source / "fit.toml"), "--out", str(folder), "--quiet"]) == 0
    assert not list(folder.glob("*.partial*"))
    assert (folder / "posterior.csv").read_bytes() == (sampled[1] / "posterior.csv").read_bytes()


def test_a_calibration_stopped_among_its_plates_is_none(source, tmp_path, monkeypatch):
    (tmp_path / "fit.toml").write_text(SETTINGS.replace("plate.csv", str(source / "plate.csv")), encoding="utf-8")
    _Stopped(monkeypatch, 900)
    with pytest.raises(KeyboardInterrupt):
        sbc_file(tmp_path / "fit.toml", tmp_path / "out", plates=24, progress=False)


@pytest.mark.parametrize("method", ["nuts", "smc"])
def test_a_sampler_that_is_not_installed_is_refused_before_anything_is_done(source, tmp_path, monkeypatch, method):
    text = SETTINGS.replace("plate.csv", str(source / "plate.csv")).replace('"nuts"', f'"{method}"')
    (tmp_path / "fit.toml").write_text(text, encoding="utf-8")
    monkeypatch.setattr("her2pkpd.posterior.run.find_spec", lambda _: None)
    with pytest.raises(InputError, match="pip install 'her2pkpd\\[bayes\\]'"):
        fit_file(tmp_path / "fit.toml", tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()
