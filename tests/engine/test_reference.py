import jax
import numpy as np
import pytest

from her2pkpd.engine import Batch, Directions, Options, Segments, Status, reference
from her2pkpd.engine import _reference_program as program
from her2pkpd.engine.reference import solve
from her2pkpd.model import Builder
from tests.engine.systems.hard import HARD
from tests.engine.systems.linear import LINEAR
from tests.engine.systems.measure import relative, tolerances_off
from tests.engine.systems.runs import (
    EXACT,
    TIGHT,
    USUAL,
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

# Every compiled derivative costs seconds; these cover initial values, binding, volumes and growth.
DIFFERENTIATED = ("binding", "uptake")


@pytest.mark.parametrize("name", EXACT)
def test_every_dosing_case_agrees_with_the_closed_form(name):
    found = run(name, "reference", USUAL, name in DIFFERENTIATED)
    assert found.status_counts() == {"ok": len(found.times)}
    assert tolerances_off(found.y, closed_form(name), USUAL, EXACT[name].model) < 10


@pytest.mark.parametrize("name", HARD)
@pytest.mark.parametrize("rtol", [1e-4, 1e-6, 1e-8])
def test_stiff_classics(name, rtol):
    found = hard_run(name, "reference", rtol)
    assert found.ok.all()
    assert tolerances_off(found.y[0], HARD[name].reference, hard_options(name, rtol), HARD[name].model) < 10


@pytest.mark.parametrize("name", DIFFERENTIATED)
def test_parameter_derivatives_are_exact(name):
    found = run(name, "reference", TIGHT, True)
    assert found.dy is not None
    assert relative(found.dy, exact_gradient(name)) < 1e-6


def test_derivatives_by_everything_at_once_are_exact():
    """Parameters, initial values, doses, rates and times.

    Among the lanes is one without drug: no error of its state tells the step size how a dose would act.
    """
    name = "two compartments"
    batch, dosing = exact_batch(name), dosing_directions(name)
    p = batch.model.n_parameters

    def after_parameters(x):
        return None if x is None else np.concatenate([np.zeros((*x.shape[:-1], p)), x], axis=-1)

    given = [after_parameters(x) for x in (dosing.initial, dosing.jump, dosing.infusion, dosing.boundaries)]
    found = solve(batch, TIGHT, Directions(tuple(range(p)), *given))
    assert found.dy is not None
    exact = np.concatenate([exact_gradient(name), LINEAR[name].dosing_gradient(batch)], axis=-1)
    assert relative(found.dy, exact) < 1e-6


def test_newton_counts_as_converging_what_converges():
    """Diffrax's own Newton needs 875 + 1201 steps for Robertson to t = 1e4; this one must not."""
    found = solve(hard_batch("Robertson"), Options(1e-6, 1e-11))
    assert found.steps[0] + found.rejected[0] < 1.3 * 280


def test_a_batch_is_its_lanes():
    batch = exact_batch("three compartments")
    together = solve(batch, USUAL)
    for i in (2, 8):
        alone = solve(lane(batch, i), USUAL)
        np.testing.assert_allclose(alone.y[0], together.y[i], rtol=1e-9)
        assert alone.steps[0] == together.steps[i]


def test_works_in_single_precision_surroundings():
    with jax.enable_x64(False):
        found = run.__wrapped__("one compartment", "reference")
        assert jax.numpy.zeros(1).dtype == np.float32
    assert found.y.dtype == np.float64
    np.testing.assert_array_equal(found.y, run("one compartment", "reference").y)


def test_new_tolerances_and_limits_do_not_compile_again():
    run("one compartment", "reference")
    compiled = reference._program(LINEAR["one compartment"].model)
    before = compiled._cache_size()  # type: ignore[attr-defined]
    solve(exact_batch("one compartment"), Options(1e-3, 1e-5, max_steps=999))
    assert compiled._cache_size() == before  # type: ignore[attr-defined]


def explosion():
    """y' = k y^2 from 1: infinite at t = 1/k."""
    build = Builder("explosion")
    build.parameter("k", 1.0, "1/h")
    build.species("y", None, "1", initial=1.0)
    build.reaction("explodes", {"y": 1}, lambda s, p: p["k"] * s["y"] ** 2)
    return build.model()


def test_failures_are_named_and_stay_in_their_lane():
    model = explosion()
    k = np.array([[0.1], [1.0], [np.nan], [0.1], [0.1], [0.1]])
    jump = np.zeros((6, 1, 1))
    jump[4] = np.inf
    times = np.array([0.5, 0.9, 2.0])
    segments = Segments(np.tile([0.0, 2.0], (6, 1)), (0,), jump=jump)
    found = solve(Batch(model, k, segments, times), USUAL, Directions((0,)))
    expected = [Status.OK, Status.STEP_TOO_SMALL, Status.NOT_FINITE, Status.OK, Status.NOT_FINITE, Status.OK]
    assert [Status(s) for s in found.status] == expected
    np.testing.assert_allclose(found.y[[0, 3, 5], :, 0], np.tile(1 / (1 - 0.1 * times), (3, 1)), rtol=1e-5)
    np.testing.assert_allclose(found.y[1, :2, 0], 1 / (1 - times[:2]), rtol=1e-4)
    assert np.isnan(found.y[1, 2:]).all()
    assert np.isnan(found.y[[2, 4]]).all()
    assert found.dy is not None
    exact = times / (1 - k[[0, 3, 5]] * times) ** 2
    np.testing.assert_allclose(found.dy[[0, 3, 5], :, 0, 0], exact, rtol=1e-4)
    np.testing.assert_array_equal(np.isnan(found.dy[..., 0, 0]), np.isnan(found.y[..., 0]))


def test_max_steps_counts_over_all_segments():
    batch = exact_batch("three compartments")
    found = solve(batch, Options(1e-6, 1e-9, max_steps=20))
    assert (found.steps + found.rejected <= 20).all()
    assert (found.status == Status.MAX_STEPS).any()
    arrived = np.isfinite(found.y[..., 0])
    assert (arrived.all(axis=1) == found.ok).all()
    # Once missing, missing to the end.
    assert (np.diff(arrived.astype(int), axis=1) <= 0).all()
    np.testing.assert_array_equal(found.y[arrived], solve(batch, USUAL).y[arrived])


def test_status_codes_cannot_be_mistaken_for_running():
    assert program.RUNNING not in [int(s) for s in Status]
