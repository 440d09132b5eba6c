import numpy as np
import pytest

from her2pkpd.engine import Batch, Directions, Options, Segments
from her2pkpd.engine.cpu import solve
from her2pkpd.model import Builder
from tests.engine.systems import EXACT, HARD, dosing_batch

TIGHT = Options(1e-8, 1e-11)


def everything(batch, infusions):
    """Directions along every initial value, jump, infusion and boundary, in this order."""
    segments = batch.segments
    lanes, n = batch.initial.shape
    k, m = segments.n_segments, len(segments.inputs)
    sizes = [n, k * m, k * m if infusions else 0, k + 1]
    unit = np.eye(sum(sizes))
    parts = np.split(unit, np.cumsum(sizes)[:-1])

    def table(part, *shape):
        return np.broadcast_to(part.reshape(*shape, sum(sizes)), (lanes, *shape, sum(sizes)))

    infusion = table(parts[2], k, m) if infusions else None
    return Directions((), table(parts[0], n), table(parts[1], k, m), infusion, table(parts[3], k + 1))


def relative(found, exact):
    """Largest error relative to the largest derivative along the same direction."""
    largest = np.abs(exact).max(axis=(0, 1, 2), keepdims=True)
    return np.max(np.abs(found - exact) / np.where(largest == 0, 1.0, largest))


@pytest.mark.parametrize("name", EXACT)
def test_derivatives_by_parameters_are_exact(name):
    system = EXACT[name]
    batch, _ = dosing_batch(system)
    found = solve(batch, TIGHT, Directions(tuple(range(system.model.n_parameters))))
    assert found.ok.all()
    assert relative(found.dy, system.gradient(batch)) < 1e-7


@pytest.mark.parametrize("name", [n for n in EXACT if EXACT[n].doses])
def test_derivatives_by_dosing_are_exact(name):
    system = EXACT[name]
    batch, _ = dosing_batch(system)
    exact = system.dosing_gradient(batch)
    found = solve(batch, TIGHT, everything(batch, system.infusions))
    assert found.ok.all()
    assert relative(found.dy, exact) < 1e-7


def test_an_infusion_can_be_made_longer_at_constant_rate_or_constant_amount():
    model = EXACT["one compartment"].model
    k, rate, stop, times = 0.5 / 3.0, 2.0, 3.0, np.array([[1.0, 3.0, 5.0]])
    segments = Segments(np.array([[0.0, stop, 6.0]]), (0,), infusion=np.array([[[rate], [0.0]]]))
    boundaries = np.zeros((1, 3, 2))
    boundaries[0, 1] = 1.0
    infusion = np.zeros((1, 2, 1, 2))
    infusion[0, 0, 0, 1] = -rate / stop
    directions = Directions((), np.zeros((1, 1, 2)), None, infusion, boundaries)
    found = solve(Batch(model, model.default_parameters(), segments, times), TIGHT, directions).dy[0, :, 0]
    # y = (R/k)(1 - exp(-k t)) while it runs, then (R/k)(exp(k T) - 1) exp(-k t) (Gibaldi & Perrier 1982).
    during = (1 - np.exp(-k * times[0])) / k
    after = (np.exp(k * stop) - 1) * np.exp(-k * times[0]) / k
    by_rate = np.where(times[0] < stop, during, after)
    by_length = np.where(times[0] < stop, 0.0, rate * np.exp(k * (stop - times[0])))
    assert found[:, 0] == pytest.approx(by_length, rel=1e-7)
    assert found[:, 1] == pytest.approx(by_length - by_rate * rate / stop, rel=1e-7)


@pytest.mark.parametrize("name", ["Robertson", "Oregonator", "HIRES", "Pollution"])
def test_derivatives_of_stiff_systems_agree_with_central_differences(name):
    hard = HARD[name]
    model, times = hard.model, hard.times[None, :3]
    p = model.default_parameters()
    moved = tuple(range(min(3, model.n_parameters)))
    segments = Segments(np.array([[0.0, times[0, -1]]]))
    found = solve(Batch(model, p, segments, times), Options(1e-9, 1e-12), Directions(moved)).dy[0]
    # Central differences at two steps, extrapolated to fourth order.
    found_at = []
    for step in (2e-4, 1e-4):
        shifts = np.array([sign * step * np.eye(len(p))[k] for k in moved for sign in (1, -1)])
        lanes = Segments(np.repeat(segments.boundaries, len(shifts), axis=0))
        y = solve(Batch(model, p * (1 + shifts), lanes, times), Options(1e-12, 1e-15)).y
        slopes = [(y[2 * i] - y[2 * i + 1]) / (2 * step * p[k]) for i, k in enumerate(moved)]
        found_at.append(np.stack(slopes, axis=-1))
    differences = (4 * found_at[1] - found_at[0]) / 3
    scale = np.abs(differences).max(axis=(0, 1))
    assert np.max(np.abs(found - differences) / scale) < 1e-5


def test_a_hill_rate_that_starts_from_zero_has_derivatives():
    build = Builder("Hill")
    for name, value in (("k", 1.5), ("h", 2.7), ("E", 0.8)):
        build.parameter(name, value, "1/h")
    build.species("x", None)
    build.species("R", None)
    build.reaction("washed", {"x": -1}, lambda s, p: 0.3 * s["x"])
    build.reaction("made", {"R": 1}, lambda s, p: p["k"] * s["x"] ** p["h"] / (p["E"] ** p["h"] + s["x"] ** p["h"]))
    model = build.model()
    p, times = model.default_parameters(), np.array([[1.0, 4.0]])

    def states(q, rate):
        segments = Segments(np.tile([0.0, 4.0], (len(q), 1)), (0,), infusion=np.full((1, 1, 1), rate))
        return Batch(model, q, segments, times)

    found = solve(states(p[None], 1.0), TIGHT, Directions((0, 1, 2)))
    assert found.ok.all()
    h = 1e-5
    shifted = solve(states(p * (1 + h * np.concatenate([np.eye(3), -np.eye(3)])), 1.0), Options(1e-12, 1e-14)).y
    slopes = (shifted[:3] - shifted[3:]) / (2 * h * p[:, None, None])
    np.testing.assert_allclose(found.dy[0], np.moveaxis(slopes, 0, -1), rtol=1e-6, atol=1e-8)


def test_a_species_that_runs_out_may_carry_a_power():
    """Rodas undershoots zero slightly; x^1.7 of that is zero, not NaN."""
    build = Builder("emptied")
    build.parameter("k", 50.0, "1/h")
    build.species("x", None, initial=1.0)
    build.species("R", None)
    build.reaction("lost", {"x": -1}, lambda s, p: p["k"] * s["x"])
    build.reaction("made", {"R": 1}, lambda s, p: s["x"] ** 1.7)
    model = build.model()
    batch = Batch(model, model.default_parameters(), Segments(np.array([[0.0, 1000.0]])), np.array([[1000.0]]))
    found = solve(batch, Options(1e-4, 1e-6), Directions((0,)))
    assert found.ok.all()
    assert found.y[0, 0, 1] == pytest.approx(1 / (1.7 * 50), rel=1e-3)
