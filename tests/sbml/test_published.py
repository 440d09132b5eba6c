"""Published networks read from SBML run as their authors' files say: against stored trajectories and libRoadRunner."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from her2pkpd.engine import Batch, Options, Segments, solve
from her2pkpd.sbml import read_sbml

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "data" / "biomodels_sbml"
pytestmark = pytest.mark.skipif(not FOLDER.exists(), reason="the BioModels files are not here")
TIGHT = Options(rtol=1e-9, atol=1e-12)


def read(number):
    return read_sbml(FOLDER / f"BIOMD0000000{number}_url.xml")


def trajectory(model, changes, seconds, names):
    p = model.parameter_vector(changes)[None]
    hours = np.asarray(seconds, dtype=float) / 3600.0
    solution = solve(Batch(model, p, Segments(np.array([[0.0, hours[-1]]])), hours), TIGHT)
    assert solution.ok.all()
    return model.outputs(names, solution.y[0], p[0])


def compare(model, table, changes):
    names = [c for c in table.columns if c not in ("ligand", "dose_nM", "ErbB2_nM", "HRG_nM", "time")]
    found = trajectory(model, changes, table["time"].to_numpy(), [c.strip("[]") for c in names])
    expected = table[names].to_numpy()
    # Of each column's largest value; what is nothing but the reference solver's noise has no size of its own.
    size = np.maximum(np.abs(expected).max(axis=0), 1e-6)
    np.testing.assert_allclose(found / size, expected / size, rtol=0, atol=1e-5)


def test_birtwistle_2007():
    model = read(175)
    table = pd.read_csv(FOLDER / "reference_sims" / "birtwistle2007_BIOMD175_EGF_HRG_ErbB2.csv")
    for (ligand, dose, erbb2), rows in table.groupby(["ligand", "dose_nM", "ErbB2_nM"]):
        doses = {"E.initial": dose * (ligand == "EGF"), "H.initial": dose * (ligand == "HRG")}
        compare(model, rows, {**doses, "E2.initial": erbb2})


def test_hatakeyama_2003():
    model = read(146)
    table = pd.read_csv(FOLDER / "reference_sims" / "hatakeyama2003_BIOMD146_HRG_doses.csv")
    for dose, rows in table.groupby("HRG_nM"):
        compare(model, rows, {"HRG.initial": dose})


def test_nakakuki_2010():
    # Two compartments of different size, 56 function definitions.
    model = read(250)
    table = pd.read_csv(FOLDER / "reference_sims" / "nakakuki2010_BIOMD250_EGF_HRG.csv")
    for ligand, rows in table.groupby("ligand"):
        compare(model, rows, {x: 10.0 * (x == ligand) for x in ("EGF", "HRG")})


@pytest.mark.parametrize("number", [262, 264])
@pytest.mark.parametrize("input_", [{}, {"step": 30.0}, {"ramp": 30.0}])
def test_fujita_2010_against_libroadrunner(number, input_):
    # Rules that mention time, initial assignments, local parameters.
    roadrunner = pytest.importorskip("roadrunner")
    model = read(number)
    runner = roadrunner.RoadRunner(str(FOLDER / f"BIOMD0000000{number}_url.xml"))
    runner.integrator.setValue("relative_tolerance", 1e-10)
    runner.integrator.setValue("absolute_tolerance", 1e-12)
    changes = {f"EGF_conc_{kind}": value for kind, value in input_.items()}
    held = {k for k in changes if k in model.parameter_index}
    assert held == set(changes)
    for name, value in changes.items():
        kind = f"init([{name}])" if name in runner.model.getBoundarySpeciesIds() else name
        runner[kind] = value
    runner.reset()
    names = ["pEGFR_total", "pAkt_total", "pS6_total"]
    expected = np.array(runner.simulate(0, 3600, 61, ["time", *names]))
    found = trajectory(model, changes, expected[:, 0], names)
    size = np.maximum(np.abs(expected[:, 1:]).max(axis=0), 1e-9)
    np.testing.assert_allclose(found / size, expected[:, 1:] / size, rtol=0, atol=1e-5)
