"""The segment table: what it says, and that saying the same thing differently changes nothing."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2pkpd.dosing import Add, Infuse, Wash, compile_segments
from her2pkpd.engine import Batch, Options, solve
from her2pkpd.errors import InputError
from her2pkpd.model import Builder
from her2pkpd.units import quantity

K_A, K_B = 0.31, 0.05
STOP = 24.0
TIMES = np.array([0.0, 1.0, 5.0, 5.5, 12.0, STOP])
TIGHT = Options(rtol=1e-10, atol=1e-13)


@pytest.fixture(scope="module")
def model():
    """Two drugs in a well that decay each at its own rate."""
    build = Builder("two drugs")
    build.parameter("V", 1e-4, "L")
    build.compartment("medium", lambda s, p: p["V"])
    for name, rate in (("A", K_A), ("B", K_B)):
        build.species(name, "medium")
        build.parameter(f"k{name}", rate, "1/h")
        build.reaction(f"decay of {name}", {name: -1}, lambda s, p, n=name: p[f"k{n}"] * s[n])
    return build.model()


def simulate(model, lanes, times=TIMES, start=0.0, stop=STOP):
    segments = compile_segments(model, lanes, start=start, stop=stop)
    solution = solve(Batch(model, model.default_parameters(), segments, times), TIGHT, engine="kernel")
    assert solution.ok.all()
    return solution.y


def decayed(dose, k, times, at):
    return np.where(times >= at, dose * np.exp(-k * np.maximum(times - at, 0.0)), 0.0)


def infused(rate, k, times, start, duration):
    inside = np.clip(times - start, 0.0, duration)
    return rate / k * (1 - np.exp(-k * inside)) * np.exp(-k * np.maximum(times - start - duration, 0.0))


def test_doses_decay_as_they_should(model):
    events = [Add(0.0, "A", 4.0), Add(5.0, "A", 2.0), Add(5.0, "B", 3.0)]
    y = simulate(model, [events])[0]
    np.testing.assert_allclose(y[:, 0], decayed(4.0, K_A, TIMES, 0.0) + decayed(2.0, K_A, TIMES, 5.0), rtol=1e-8)
    np.testing.assert_allclose(y[:, 1], decayed(3.0, K_B, TIMES, 5.0), rtol=1e-8)


def test_washing_comes_before_adding_at_one_moment(model):
    for events in ([Wash(5.0, ("A",), 0.25), Add(5.0, "A", 2.0)], [Add(5.0, "A", 2.0), Wash(5.0, ("A",), 0.25)]):
        y = simulate(model, [[Add(0.0, "A", 8.0), *events]])[0]
        assert y[2, 0] == pytest.approx(0.25 * 8.0 * np.exp(-5 * K_A) + 2.0, rel=1e-8)


def test_two_washes_at_one_moment_multiply(model):
    y = simulate(model, [[Add(0.0, "A", 8.0), Wash(5.0, ("A",), 0.5), Wash(5.0, ("A", "B"), 0.1)]])[0]
    assert y[2, 0] == pytest.approx(0.05 * 8.0 * np.exp(-5 * K_A), rel=1e-8)


def test_events_at_the_first_and_last_moment_act(model):
    y = simulate(model, [[Add(0.0, "A", 1.0), Add(STOP, "A", 7.0), Wash(STOP, ("A",), 0.0)]])[0]
    assert y[0, 0] == 1.0
    assert y[-1, 0] == 7.0


def test_a_run_of_no_length_still_doses(model):
    y = simulate(model, [[Add(3.0, "A", 2.0)]], times=np.array([3.0]), start=3.0, stop=3.0)
    assert y[0, 0, 0] == 2.0


def test_a_run_of_no_length_without_doses(model):
    y = simulate(model, [[]], times=np.array([3.0]), start=3.0, stop=3.0)
    assert y[0, 0, 0] == 0.0


@pytest.mark.parametrize(
    "event", [Add(-1.0, "A", 1.0), Add(25.0, "A", 1.0), Wash(30.0, ("A",)), Infuse(-2.0, "A", 1.0, 5.0)]
)
def test_events_outside_the_run_are_refused(model, event):
    with pytest.raises(InputError, match="outside"):
        compile_segments(model, [[event]], start=0.0, stop=STOP)


def test_an_unknown_species_is_named(model):
    with pytest.raises(InputError, match="'C'"):
        compile_segments(model, [[Add(0.0, "C", 1.0)], [Wash(1.0, ("A", "C"))]], start=0.0, stop=STOP)


def test_lanes_with_fewer_events_are_padded_with_segments_of_no_length(model):
    lanes = [[], [Add(t, "A", 1.0) for t in (0.0, 1.0, 2.0, 7.0)], [Add(3.0, "B", 2.0)]]
    segments = compile_segments(model, lanes, start=0.0, stop=[STOP, STOP, 10.0])
    assert segments.boundaries.shape == (3, 5)
    assert (np.diff(segments.boundaries, axis=1) >= 0).all()
    np.testing.assert_array_equal(segments.boundaries[:, -1], [STOP, STOP, 10.0])
    assert np.count_nonzero(segments.jump[0]) == 0
    together = simulate(model, lanes)
    for i, events in enumerate(lanes):
        np.testing.assert_allclose(together[i], simulate(model, [events])[0], rtol=1e-9, atol=1e-13)


def test_overlapping_infusions_add_up(model):
    given_ = [(0.0, 3.0, 10.0), (4.0, 2.0, 4.0), (4.0, 1.0, 100.0), (7.0, 5.0, 0.5)]
    events = [Infuse(start, "A", rate, length) for start, rate, length in given_]
    y = simulate(model, [events])[0]
    expected = sum(infused(rate, K_A, TIMES, start, length) for start, rate, length in given_)
    np.testing.assert_allclose(y[:, 0], expected, rtol=1e-8, atol=1e-12)


def test_a_dose_during_an_infusion_does_not_stop_it(model):
    y = simulate(model, [[Infuse(1.0, "A", 2.0, 8.0), Add(5.0, "A", 1.0), Wash(5.2, ("B",))]])[0]
    np.testing.assert_allclose(
        y[:, 0], infused(2.0, K_A, TIMES, 1.0, 8.0) + decayed(1.0, K_A, TIMES, 5.0), rtol=1e-8, atol=1e-12
    )


# --- properties ----------------------------------------------------------------------------------------------

moments = st.integers(0, 96).map(lambda i: i / 4)
amounts = st.floats(0.01, 100.0)
species = st.sampled_from(["A", "B"])
adds = st.builds(Add, moments, species, amounts)
washes = st.builds(Wash, moments, st.sampled_from([("A",), ("B",), ("A", "B")]), st.floats(0.0, 1.0))
infusions = st.builds(Infuse, moments, species, amounts, st.floats(0.1, 30.0))
histories = st.lists(st.one_of(adds, washes, infusions), max_size=6)
few = settings(max_examples=25, deadline=None)


def closed_form(events, times):
    """Both drugs at `times`, by walking through the events one by one."""
    result = np.zeros((len(times), 2))
    for column, (name, k) in enumerate((("A", K_A), ("B", K_B))):
        for i, now in enumerate(times):
            for e in events:
                if isinstance(e, Wash):
                    continue
                if e.species == name:
                    result[i, column] += survivors(e, name, k, events, now)
    return result


def survivors(event, name, k, events, now):
    """What is left at `now` of one addition or infusion after decay and the washes in between."""
    washes_ = sorted({e.time for e in events if isinstance(e, Wash) and name in e.species})
    kept = {
        t: np.prod([e.kept for e in events if isinstance(e, Wash) and name in e.species and e.time == t])
        for t in washes_
    }
    if isinstance(event, Add):
        if event.time > now:
            return 0.0
        left = event.amount * np.exp(-k * (now - event.time))
        return left * np.prod([kept[t] for t in washes_ if event.time < t <= now])
    ends = [
        event.time,
        *(t for t in washes_ if event.time < t < event.time + event.duration),
        event.time + event.duration,
    ]
    total = 0.0
    for a, b in pairwise(ends):
        if a < now:
            left = infused(event.rate, k, np.array([now]), a, b - a)[0]
            total += left * np.prod([kept[t] for t in washes_ if max(a, event.time) < t <= now and t >= b])
    return total


@few
@given(histories)
def test_any_history_follows_its_closed_form(model, events):
    np.testing.assert_allclose(simulate(model, [events])[0], closed_form(events, TIMES), rtol=1e-7, atol=1e-9)


@few
@given(histories, st.randoms(use_true_random=False))
def test_the_order_in_which_events_are_written_does_not_matter(model, events, random):
    shuffled = events.copy()
    random.shuffle(shuffled)
    a, b = (compile_segments(model, [e], start=0.0, stop=STOP) for e in (events, shuffled))
    for name in ("boundaries", "jump", "keep", "infusion"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=1e-14)
    assert a.inputs == b.inputs


@few
@given(histories, adds, st.floats(0.0, 1.0))
def test_halving_a_dose_in_two_changes_nothing(model, events, add, part):
    pieces = [Add(add.time, add.species, add.amount * x) for x in (part, 1 - part)]
    a, b = (compile_segments(model, [e], start=0.0, stop=STOP) for e in ([*events, add], [*events, *pieces]))
    np.testing.assert_allclose(a.jump, b.jump, rtol=1e-14)
    np.testing.assert_array_equal(a.boundaries, b.boundaries)


@few
@given(moments, amounts)
def test_the_unit_a_dose_is_written_in_does_not_matter(model, time, amount):
    tables = [
        compile_segments(model, [[Add(quantity(t, "h"), "A", quantity(a, "nM"))]], start=0.0, stop=STOP)
        for t, a in ((f"{time!r} h", f"{amount!r} nM"), (f"{time * 60!r} min", f"{amount / 1000!r} uM"))
    ]
    np.testing.assert_allclose(tables[0].boundaries, tables[1].boundaries, rtol=1e-14)
    np.testing.assert_allclose(tables[0].jump, tables[1].jump, rtol=1e-12)
