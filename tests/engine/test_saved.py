"""Saving some species only."""

import numpy as np
import pytest

from her2pkpd.engine import Batch, Directions, Options, cpu, linear, reference
from tests.engine.systems import EXACT, dosing_batch
from tests.engine.systems.retargeted import same, solve_retargeted

ENGINES = {"kernel": cpu.solve, "reference": reference.solve, "retargeted": solve_retargeted}


def some(batch, *saved):
    return Batch(batch.model, batch.parameters, batch.segments, batch.times, batch.initial, saved)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["absorption", "binding"])
def test_saved_species_are_those_of_a_whole_solve(engine, name):
    batch, _ = dosing_batch(EXACT[name])
    options = Options(1e-6, 1e-9)
    whole = ENGINES[engine](batch, options)
    for saved in ((1,), (1, 0)):
        found = ENGINES[engine](some(batch, *saved), options)
        check = same if engine == "retargeted" else np.testing.assert_array_equal
        check(found.y, whole.y[:, :, list(saved)])
        np.testing.assert_array_equal(found.status, whole.status)


def test_saved_species_with_derivatives_and_in_closed_form():
    batch, _ = dosing_batch(EXACT["absorption"])
    directions = Directions((0, 1))
    for solve in (cpu.solve, linear.solve):
        whole, found = (solve(b, Options(1e-6, 1e-9), directions) for b in (batch, some(batch, 1)))
        np.testing.assert_array_equal(found.y, whole.y[:, :, [1]])
        assert found.dy is not None
        assert whole.dy is not None
        np.testing.assert_array_equal(found.dy, whole.dy[:, :, [1]])


def test_a_failed_lane_is_nan_in_what_is_saved():
    batch, _ = dosing_batch(EXACT["absorption"])
    parameters = batch.parameters.copy()
    parameters[1] = np.nan
    broken = Batch(batch.model, parameters, batch.segments, batch.times, batch.initial, (1,))
    found = cpu.solve(broken, Options(1e-6, 1e-9))
    assert not found.ok[1]
    assert np.isnan(found.y[1]).all()
    others = np.arange(len(parameters)) != 1
    np.testing.assert_array_equal(found.y[others], cpu.solve(some(batch, 1), Options(1e-6, 1e-9)).y[others])
