"""One meaning, several engines: each against what is known exactly, and against each other."""

import numpy as np
import pytest

from her2pkpd.dosing import Add, Wash, compile_segments
from her2pkpd.engine import Batch, Directions, solve
from tests.engine.systems.hard import HARD
from tests.engine.systems.measure import relative, tolerances_off
from tests.engine.systems.roadrunner import solve_roadrunner
from tests.engine.systems.runs import (
    EXACT,
    TIGHT,
    USUAL,
    all_parameters,
    closed_form,
    dosing_directions,
    exact_batch,
    exact_gradient,
    hard_batch,
    hard_options,
    hard_run,
    lane,
    run,
)
from tests.systems.wells import well

cpu = pytest.importorskip("her2pkpd.engine.cpu", reason="the CPU kernel is not part of this build")


@pytest.mark.parametrize("name", EXACT)
def test_kernel_agrees_with_the_closed_form(name):
    found = run(name, "kernel")
    assert found.engine == "kernel"
    assert found.status_counts() == {"ok": len(found.times)}
    assert tolerances_off(found.y, closed_form(name), USUAL, EXACT[name].model) < 10


@pytest.mark.parametrize("name", EXACT)
def test_kernel_derivatives_are_exact(name):
    found = run(name, "kernel", TIGHT, True)
    assert found.dy is not None
    assert relative(found.dy, exact_gradient(name)) < 1e-6


@pytest.mark.parametrize("name", EXACT)
def test_kernel_derivatives_by_dosing_are_exact(name):
    batch = exact_batch(name)
    found = solve(batch, TIGHT, dosing_directions(name), engine="kernel")
    assert found.dy is not None
    assert relative(found.dy, EXACT[name].dosing_gradient(batch)) < 1e-6


@pytest.mark.parametrize("name", HARD)
@pytest.mark.parametrize("rtol", [1e-4, 1e-6, 1e-8])
def test_kernel_solves_stiff_classics(name, rtol):
    found = hard_run(name, "kernel", rtol)
    assert found.ok.all()
    assert tolerances_off(found.y[0], HARD[name].reference, hard_options(name, rtol), HARD[name].model) < 10


@pytest.mark.parametrize("name", ["three compartments", "binding", "uptake"])
def test_kernel_batch_is_its_lanes_bit_for_bit(name):
    batch = exact_batch(name)
    together = run(name, "kernel", TIGHT, True)
    alone = [
        solve(lane(batch, i), TIGHT, all_parameters(batch.model), engine="kernel") for i in range(len(batch.times))
    ]
    np.testing.assert_array_equal(np.concatenate([s.y for s in alone]), together.y)
    np.testing.assert_array_equal(np.concatenate([s.dy for s in alone if s.dy is not None]), together.dy)
    np.testing.assert_array_equal(np.concatenate([s.steps for s in alone]), together.steps)


@pytest.mark.parametrize("name", ["Robertson", "HIRES"])
def test_kernel_and_reference_agree_on_derivatives_of_stiff_classics(name):
    batch, options = hard_batch(name), hard_options(name, 1e-8)
    few = batch.times[:, [1, 3]]
    batch = Batch(batch.model, batch.parameters, batch.segments, few)
    some = type(all_parameters(batch.model))(tuple(range(min(3, batch.model.n_parameters))))
    kernel, reference = (solve(batch, options, some, engine=engine) for engine in ("kernel", "reference"))
    assert kernel.dy is not None
    assert reference.dy is not None
    assert relative(kernel.dy, reference.dy) < 1e-5


@pytest.mark.parametrize("name", EXACT)
def test_kernel_and_roadrunner_agree_on_every_dosing_case(name):
    pytest.importorskip("roadrunner", reason="libRoadRunner is not installed")
    pytest.importorskip("libsbml", reason="python-libsbml is not installed")
    other = solve_roadrunner(exact_batch(name), USUAL)
    assert tolerances_off(run(name, "kernel").y, other, USUAL, EXACT[name].model) < 10


@pytest.mark.parametrize("name", HARD)
def test_kernel_and_roadrunner_agree_on_stiff_classics(name):
    pytest.importorskip("roadrunner", reason="libRoadRunner is not installed")
    pytest.importorskip("libsbml", reason="python-libsbml is not installed")
    other = solve_roadrunner(hard_batch(name), hard_options(name, 1e-6))
    options = hard_options(name, 1e-6)
    assert tolerances_off(hard_run(name, "kernel", 1e-6).y, other, options, HARD[name].model) < 10


def test_engines_agree_on_a_well_with_drugs_on_dividing_cells():
    model = well("trastuzumab", "lapatinib")
    lanes = [
        [],
        [Add(0.0, "trastuzumab", 10.0), Wash(40.0, ("trastuzumab",))],
        [Add(0.0, "trastuzumab", 1.0), Add(24.0, "lapatinib", 1e3)],
    ]
    segments = compile_segments(model, lanes, start=0.0, stop=72.0)
    batch = Batch(model, model.default_parameters(), segments, np.array([1.0, 24.0, 72.0]))
    some = Directions(tuple(range(0, model.n_parameters, model.n_parameters // 2)))
    kernel, reference = (solve(batch, TIGHT, some, engine=engine) for engine in ("kernel", "reference"))
    assert kernel.ok.all()
    assert tolerances_off(solve(batch, USUAL, engine="kernel").y, reference.y, USUAL, model) < 10
    assert kernel.dy is not None
    assert reference.dy is not None
    assert relative(kernel.dy, reference.dy) < 1e-5
    assert tolerances_off(solve_roadrunner(batch, USUAL), reference.y, USUAL, model) < 1
