"""A T-DXd co-culture and a mouse with a tumour by engines that know nothing of each other."""

from dataclasses import replace

import numpy as np
import pytest

from her2pkpd.dosing import Add, compile_segments
from her2pkpd.engine import Batch, Options, solve
from her2pkpd.library import load_cell_line, load_drug
from her2pkpd.mechanisms.disposition import central
from her2pkpd.systems.well import cell_parameters, well_model
from her2pkpd.systems.xenograft import xenograft_model
from tests.engine.systems.measure import tolerances_off
from tests.engine.systems.roadrunner import solve_roadrunner

OPTIONS = Options(rtol=1e-6, atol=1e-9)
TIGHTER = replace(OPTIONS, rtol=1e-9, atol=1e-12)


def co_culture():
    """KPL-4 beside MDA-MB-468 under T-DXd, added twice."""
    pair = {"KPL-4": 1e3, "MDA-MB-468": 3e3}
    cells = {x: {**cell_parameters(load_cell_line(x)), "seeded": n} for x, n in pair.items()}
    model = well_model([load_drug("T-DXd")], cells)
    lane = [Add(0.0, "T-DXd", 10.0), Add(48.0, "T-DXd", 2.0)]
    segments = compile_segments(model, [lane], start=0.0, stop=144.0)
    return Batch(model, model.default_parameters()[None], segments, np.array([1.0, 24.0, 47.0, 72.0, 144.0]))


def mouse():
    """Two populations in two zones, T-DXd twice."""
    two = {
        "positive": {"HER2": 1e6, "doubling_time": 233.0, "share": 0.6},
        "negative": {"HER2": 0.0, "doubling_time": 200.0, "share": 0.4},
    }
    model = xenograft_model([load_drug("T-DXd")], two)
    lane = [Add(0.0, central("T-DXd"), 0.5), Add(168.0, central("T-DXd"), 0.5)]
    segments = compile_segments(model, [lane], start=0.0, stop=504.0)
    return Batch(model, model.default_parameters()[None], segments, np.array([1.0, 24.0, 160.0, 240.0, 504.0]))


@pytest.fixture(scope="module", params=[co_culture, mouse], ids=["co-culture", "xenograft"])
def solved(request):
    batch = request.param()
    found = solve(batch, TIGHTER, engine="kernel")
    assert found.ok.all()
    return batch, found.y


def test_libroadrunner_reads_the_export_and_agrees(solved):
    pytest.importorskip("libsbml", reason="python-libsbml is not installed")
    pytest.importorskip("roadrunner", reason="libRoadRunner is not installed")
    batch, found = solved
    assert tolerances_off(solve_roadrunner(batch, OPTIONS), found, OPTIONS, batch.model) < 10


def test_the_reference_engine_agrees(solved):
    batch, found = solved
    reference = solve(batch, OPTIONS, engine="reference")
    assert reference.ok.all()
    assert tolerances_off(reference.y, found, OPTIONS, batch.model) < 100


def test_the_usual_tolerance_is_kept(solved):
    batch, found = solved
    usual = solve(batch, OPTIONS, engine="kernel")
    assert tolerances_off(usual.y, found, OPTIONS, batch.model) < 100
