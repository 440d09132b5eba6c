"""Scenarios of every kind as SBML, simulated by libRoadRunner as it finds them in the file."""

import numpy as np
import pytest

from her2pkpd import cli
from her2pkpd.engine import Options
from her2pkpd.simulate import simulate
from her2pkpd.simulate.run import scenario_sbml
from tests.simulate.test_adc_scenarios import CO_CULTURE, XENOGRAFT

pytest.importorskip("libsbml", reason="python-libsbml is not installed")
roadrunner = pytest.importorskip("roadrunner", reason="libRoadRunner is not installed")

WELL = """
[system]
kind = "well"
cell_lines = { "SK-BR-3" = 5000 }
ligand = { NRG1 = "1 nM" }
[[dose]]
drug = "trastuzumab"
concentration = "10 nM"
[[dose]]
action = "wash"
time = "24 h"
[parameters]
"trastuzumab.KD" = "0.3 nM"
[output]
times = ["0 h", "12 h", "30 h", "72 h"]
"""
PATIENT = """
[system]
kind = "patient"
covariates = { weight = "80 kg" }
[[dose]]
drug = "trastuzumab"
amount = "6 mg/kg"
route = "iv"
infusion = "30 min"
every = "21 d"
doses = 2
[output]
times = ["0 d", "1 d", "20 d", "30 d", "42 d"]
"""
EXACT = Options(rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize(
    "text", [WELL, CO_CULTURE, XENOGRAFT, PATIENT], ids=["well", "co-culture", "xenograft", "patient"]
)
def test_a_scenario_runs_elsewhere_as_here(tmp_path, text):
    path, out = tmp_path / "scenario.toml", tmp_path / "model.xml"
    path.write_text(text, encoding="utf-8")
    assert cli.main(["export", "sbml", str(path), "--out", str(out)]) == 0
    own = simulate(path, options=EXACT).solution
    runner = roadrunner.RoadRunner(str(out))
    runner.integrator.relative_tolerance = 1e-10
    runner.integrator.absolute_tolerance = 1e-22
    runner.integrator.maximum_num_steps = 1_000_000
    runner.timeCourseSelections = [f"[{s}]" for s in runner.model.getFloatingSpeciesIds()]
    off = np.flatnonzero(own.times[0] > 0)
    found = np.asarray(runner.simulate(times=[0.0, *own.times[0][off]]))[1:]
    scale = np.abs(own.y[0]).max(axis=0)
    error = np.abs(found - own.y[0][off]) / np.maximum(scale, 1e-12)
    assert error.max() < 1e-5


def test_one_of_several_patients(tmp_path, capsys):
    path = tmp_path / "scenario.toml"
    path.write_text(PATIENT.replace('kind = "patient"', 'kind = "patient"\nvariability = true\nn = 3\nseed = 2'))
    assert scenario_sbml(path, patient=0) != scenario_sbml(path, patient=2)
    assert cli.main(["export", "sbml", str(path), "--out", str(tmp_path / "x.xml"), "--id", "3"]) == 2
    assert "there is no patient 3; they are numbered from 0 to 2" in capsys.readouterr().err
    assert not (tmp_path / "x.xml").exists()


def test_an_existing_file_is_left_alone(tmp_path, capsys):
    path, out = tmp_path / "scenario.toml", tmp_path / "model.xml"
    path.write_text(WELL, encoding="utf-8")
    out.write_text("mine")
    assert cli.main(["export", "sbml", str(path), "--out", str(out)]) == 2
    assert "the output file exists" in capsys.readouterr().err
    assert out.read_text() == "mine"
    assert cli.main(["export", "sbml", str(path), "--out", str(out), "--force"]) == 0
