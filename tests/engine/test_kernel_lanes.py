import jax.numpy as jnp
import numpy as np
import pytest

from her2pkpd.engine import Batch, Directions, Options, Segments, Status
from her2pkpd.engine.compile import host
from her2pkpd.engine.cpu import solve
from her2pkpd.model import Builder

OPTIONS = Options(1e-6, 1e-9)


def saturable():
    """Two compartments with saturable loss and a Hill rate: divisions, a power and an exponential."""
    build = Builder("saturable")
    for name, value in (("Vmax", 4.0), ("Km", 2.0), ("k12", 0.4), ("k21", 0.2), ("h", 2.5), ("E", 1.5)):
        build.parameter(name, value, "1/h")
    build.species("A", None, initial=3.0)
    build.species("B", None)
    build.species("R", None, initial=1.0)
    build.reaction("loss", {"A": -1}, lambda s, p: p["Vmax"] * s["A"] / (p["Km"] + s["A"]))
    build.reaction("exchange", {"A": -1, "B": 1}, lambda s, p: p["k12"] * s["A"] - p["k21"] * s["B"])
    build.reaction("made", {"R": 1}, lambda s, p: jnp.exp(-s["B"]))
    build.reaction(
        "effect",
        {"R": -1},
        lambda s, p: s["R"] * jnp.power(s["A"], p["h"]) / (p["E"] ** p["h"] + jnp.power(s["A"], p["h"])),
    )
    return build.model()


MODEL = saturable()
MOVED = Directions((0, 1, 4))


def lanes(n, seed=0):
    """Lanes that differ in every number, with doses, infusions and saves at their own times."""
    rng = np.random.default_rng(seed)
    p = MODEL.default_parameters() * np.exp(rng.normal(0, 0.7, (n, MODEL.n_parameters)))
    gaps = rng.uniform(0.5, 8.0, (n, 4)) * (rng.uniform(size=(n, 4)) > 0.15)
    bounds = np.concatenate([np.zeros((n, 1)), np.cumsum(gaps, axis=1)], axis=1)
    jump, infusion = rng.uniform(0, 5, (n, 4, 1)), rng.uniform(0, 2, (n, 4, 1)) * (rng.uniform(size=(n, 4, 1)) > 0.5)
    times = np.sort(rng.uniform(0, 1, (n, 9)), axis=1) * bounds[:, -1:]
    return Batch(MODEL, p, Segments(bounds, (0,), jump, infusion=infusion), times)


def chosen(batch, index):
    """A batch of some lanes of a batch."""
    s = batch.segments
    segments = Segments(s.boundaries[index], s.inputs, s.jump[index], s.keep[index], s.infusion[index], s.reset[index])
    return Batch(batch.model, batch.parameters[index], segments, batch.times[index], batch.initial[index])


def same(a, b):
    """Equal bit for bit, NaN included."""
    for name in ("y", "dy", "status", "steps", "rejected"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


@pytest.mark.parametrize("directions", [None, MOVED])
def test_a_batch_is_its_lanes_one_by_one(directions):
    batch = lanes(2 * host().width + 3)
    whole = solve(batch, OPTIONS, directions)
    assert whole.ok.all()
    for lane in range(len(batch.times)):
        alone = solve(chosen(batch, [lane]), OPTIONS, directions)
        np.testing.assert_array_equal(alone.y[0], whole.y[lane])
        assert alone.steps[0] == whole.steps[lane]
        if directions:
            np.testing.assert_array_equal(alone.dy[0], whole.dy[lane])


@pytest.mark.parametrize("directions", [None, MOVED])
def test_results_do_not_depend_on_the_order_of_lanes_or_the_number_of_threads(directions):
    batch = lanes(101)
    order = np.random.default_rng(1).permutation(101)
    first = solve(batch, OPTIONS, directions, threads=1)
    same(first, solve(batch, OPTIONS, directions, threads=3))
    second = solve(chosen(batch, order), OPTIONS, directions, threads=2)
    np.testing.assert_array_equal(second.y, first.y[order])
    np.testing.assert_array_equal(second.steps, first.steps[order])


def test_results_do_not_depend_on_the_width_of_the_vectors():
    batch = lanes(13)
    first = solve(batch, OPTIONS, width=1)
    for width in (2, 4, 8):
        same(first, solve(batch, OPTIONS, width=width))


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf, -3.0, 0.0, 1e300])
def test_a_sick_lane_leaves_the_others_alone(poison):
    batch = lanes(12)
    clean = solve(batch, OPTIONS, MOVED)
    p = batch.parameters.copy()
    p[5, 1] = poison
    y = batch.initial.copy()
    y[8, 0] = poison
    found = solve(Batch(MODEL, p, batch.segments, batch.times, y), Options(1e-6, 1e-9, 2000), MOVED)
    others = [i for i in range(12) if i not in (5, 8)]
    np.testing.assert_array_equal(found.y[others], clean.y[others])
    np.testing.assert_array_equal(found.dy[others], clean.dy[others])
    np.testing.assert_array_equal(found.status[others], Status.OK)
    if not np.isfinite(poison):
        assert (found.status[[5, 8]] == Status.NOT_FINITE).all()
        assert np.isnan(found.y[[5, 8]]).all()
        assert np.isnan(found.dy[[5, 8]]).all()


def _one(rate, y0=1.0, name="x"):
    build = Builder(name)
    build.parameter("k", 1.0, "1/h")
    build.species("y", None, initial=y0)
    build.reaction("change", {"y": 1}, rate)
    return build.model()


def test_a_solution_that_explodes_is_flagged_where_it_does():
    model = _one(lambda s, p: p["k"] * s["y"] ** 2)
    segments = Segments(np.array([[0.0, 2.0]]))
    found = solve(Batch(model, np.array([1.0]), segments, np.array([[0.5, 0.9, 1.5]])), OPTIONS)
    assert found.status[0] in (Status.STEP_TOO_SMALL, Status.NOT_FINITE)
    assert found.y[0, :2, 0] == pytest.approx([2.0, 10.0], rel=1e-4)
    assert np.isnan(found.y[0, 2]).all()


def test_too_many_steps_are_flagged_and_counted():
    model = _one(lambda s, p: jnp.cos(p["k"] * s["y"]) + 2)
    batch = Batch(model, np.array([5.0]), Segments(np.array([[0.0, 1000.0]])), np.array([[0.0, 1000.0]]))
    found = solve(batch, Options(1e-6, 1e-9, 50))
    assert found.status[0] == Status.MAX_STEPS
    assert found.steps[0] + found.rejected[0] == 50
    assert found.y[0, 0, 0] == 1.0
    assert np.isnan(found.y[0, 1, 0])


def test_a_rate_that_is_not_a_number_is_flagged():
    model = _one(lambda s, p: jnp.log(p["k"] * (s["y"] - 2)))
    found = solve(Batch(model, np.array([1.0]), Segments(np.array([[0.0, 1.0]])), np.array([[1.0]])), OPTIONS)
    assert found.status[0] == Status.NOT_FINITE


def test_a_dose_that_is_not_a_number_is_flagged_when_it_comes():
    model = _one(lambda s, p: -p["k"] * s["y"])
    segments = Segments(np.array([[0.0, 1.0, 2.0]]), (0,), jump=np.array([[[0.0], [np.nan]]]))
    found = solve(Batch(model, np.array([1.0]), segments, np.array([[0.5, 1.5]])), OPTIONS)
    assert found.status[0] == Status.NOT_FINITE
    assert found.y[0, 0, 0] == pytest.approx(np.exp(-0.5), rel=1e-5)
    assert np.isnan(found.y[0, 1, 0])


def test_segments_of_no_length_cost_no_steps():
    model = _one(lambda s, p: -p["k"] * s["y"])
    times = np.array([[0.5, 1.0]])
    plain = solve(Batch(model, np.array([1.0]), Segments(np.array([[0.0, 1.0]]), (0,)), times), OPTIONS)
    padded = Segments(np.array([[0.0] + [1.0] * 50]), (0,))
    found = solve(Batch(model, np.array([1.0]), padded, times), OPTIONS)
    same(plain, found)


def test_no_save_times_and_no_segments_of_any_length():
    model = _one(lambda s, p: -p["k"] * s["y"])
    found = solve(Batch(model, np.array([1.0]), Segments(np.array([[0.0, 1.0]])), np.zeros((1, 0))), OPTIONS)
    assert found.y.shape == (1, 0, 1)
    assert found.ok.all()
    jump = Segments(np.array([[3.0, 3.0]]), (0,), jump=np.array([[[2.0]]]))
    still = solve(Batch(model, np.array([1.0]), jump, np.array([[3.0]])), OPTIONS)
    assert still.y[0, 0, 0] == 3.0
    assert still.steps[0] == 0


STIFF = {
    "fast rotation": np.array([[-1.0, 1e6], [-1e6, -1.0]]),
    "fast exchange": np.array([[-1e10, 1e10], [1e10, -1e10 - 1.0]]),
    "zero diagonal": np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [-6.0, -11.0, -6.0]]),
    "unstable focus": np.array([[0.5, 40.0], [-40.0, 0.5]]),
    "companion with large entries": np.array([[0.0, 1e5, 0.0], [0.0, -3.0, 1e5], [-1e-5, 0.0, -1e4]]),
}


@pytest.mark.parametrize("name", STIFF)
def test_factors_without_pivoting_are_safe_on_awkward_matrices(name):
    from scipy.linalg import expm

    a = STIFF[name]
    build = Builder(name)
    for i in range(len(a)):
        build.species(f"y{i}", None, initial=1.0)
    for i in range(len(a)):
        row = a[i]
        build.reaction(f"r{i}", {f"y{i}": 1}, lambda s, p, row=row: sum(v * s[f"y{j}"] for j, v in enumerate(row) if v))
    model = build.model()
    end = 1e-4 if name == "fast rotation" else 1.0
    options = Options(1e-7, 1e-9)
    found = solve(Batch(model, np.zeros(0), Segments(np.array([[0.0, end]])), np.array([[end]])), options)
    exact = expm(a * end) @ np.ones(len(a))
    assert found.ok.all()
    assert np.max(np.abs(found.y[0, 0] - exact)) < 1e-4 * np.max(np.abs(exact))


def saturable_loss(half):
    """A species eaten by a saturable enzyme that is far below its supply's memory: V y / (K + y)."""
    build = Builder("eaten")
    for name, value in (("V", 50.0), ("K", half)):
        build.parameter(name, value, "nM")
    build.species("y", None, initial=1e3, scale=10.0)
    build.species("z", None, scale=10.0)
    build.reaction("eaten", {"y": -1, "z": 1}, lambda s, p: p["V"] * s["y"] / (p["K"] + s["y"]))
    return build.model()


@pytest.mark.parametrize("half", [1e-1, 1e-2, 1e-3])
def test_no_species_runs_away_below_zero_through_the_pole_of_a_saturable_rate(half):
    """Without the guard a loose tolerance lets y fall past -K, where the rate changes sign."""
    model = saturable_loss(half)
    times = np.array([[10.0, 30.0, 100.0]])
    batch = Batch(model, model.default_parameters(), Segments(np.array([[0.0, 100.0]])), times)
    for rtol in (1e-2, 1e-3, 1e-4, 1e-6):
        options = Options(rtol, min(rtol, half) * 1e-3)
        found = solve(batch, options)
        assert found.ok.all()
        # Zero order as long as y is far above K.
        assert found.y[0, 0, 0] == pytest.approx(500.0 + half * np.log(2), rel=2 * rtol)
        assert np.abs(found.y[0, 1:, 0]).max() < 100 * options.atol
        assert found.y[0, -1].sum() == pytest.approx(1e3, rel=1e-9)


def test_a_state_that_may_be_negative_is_not_held_back():
    build = Builder("oscillator")
    build.parameter("w", 3.0, "1/h")
    build.species("x", None, initial=1.0)
    build.species("v", None)
    build.reaction("position", {"x": 1}, lambda s, p: s["v"])
    build.reaction("force", {"v": -1}, lambda s, p: p["w"] ** 2 * s["x"])
    model = build.model()
    times = np.linspace(0, 10, 21)
    batch = Batch(model, model.default_parameters(), Segments(np.array([[0.0, 10.0]])), times[None])
    found = solve(batch, Options(1e-6, 1e-9))
    assert found.y[0, :, 0] == pytest.approx(np.cos(3 * times), abs=1e-4)
    assert found.steps[0] < 300
