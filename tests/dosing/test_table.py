"""Doses as arrays mean what records of single lanes mean."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2pkpd.dosing.records import Dose
from her2pkpd.dosing.schedule import compile_schedule
from her2pkpd.dosing.table import Slots, compile_slots
from her2pkpd.engine import Batch, Options
from her2pkpd.engine.cpu import solve
from her2pkpd.model import Builder

TIMES = np.array([0.0, 1.0, 3.5, 7.0, 11.0, 20.0])
STOP = 20.0


def two_drugs():
    build = Builder("two drugs")
    build.compartment("body", lambda s, p: 1.0)
    build.parameter("k", 0.3, "1/h")
    for name in ("A", "B", "count"):
        build.species(name, "body" if name != "count" else None, "nmol")
    build.reaction("loss of A", {"A": -1}, lambda s, p: p["k"] * s["A"])
    build.reaction("A makes B", {"B": 1}, lambda s, p: 0.1 * s["A"])
    build.reaction("loss of B", {"B": -1}, lambda s, p: p["k"] * s["B"])
    return build.model()


MODEL = two_drugs()
# Quarters of an hour and of a nmol: coincidences and overlaps are common.
QUARTERS = st.integers(0, 72).map(lambda n: n / 4)


@st.composite
def doses(draw):
    lanes, many = draw(st.integers(1, 3)), draw(st.integers(1, 5))

    def table(values):
        rows = st.lists(values, min_size=many, max_size=many)
        return np.array(draw(st.lists(rows, min_size=lanes, max_size=lanes)))

    targets = draw(st.lists(st.sampled_from(["A", "B"]), min_size=many, max_size=many))
    marks = draw(st.lists(st.sampled_from(["", "count"]), min_size=many, max_size=many))
    duration = np.array(draw(st.lists(st.sampled_from([0.0, 0.5, 6.0]), min_size=many, max_size=many)))
    return Slots(targets, marks, table(QUARTERS), table(st.sampled_from([0.0, 1.0, 2.5])), duration)


def records(slots, lane):
    return [
        Dose(t, target, a, "duration" if d else "bolus", duration=d, marks={mark: 1.0} if mark else {})
        for t, target, mark, a, d in zip(
            slots.time[lane], slots.targets, slots.marks, slots.amount[lane], slots.duration, strict=True
        )
        if a
    ]


def run(segments, times, initial=None):
    p = MODEL.default_parameters()
    return solve(Batch(MODEL, np.tile(p, (segments.n_lanes, 1)), segments, times, initial), Options(1e-9, 1e-12)).y


@settings(max_examples=25, deadline=None)
@given(doses())
def test_arrays_mean_what_records_mean(slots):
    lanes = len(slots.time)
    start, stop = np.zeros(lanes), np.full(lanes, STOP)
    found = run(compile_slots(MODEL, slots, start, stop), TIMES)
    schedule = compile_schedule(MODEL, [records(slots, k) for k in range(lanes)], MODEL.default_parameters(), stop=STOP)
    np.testing.assert_allclose(found, run(schedule.segments, TIMES), rtol=1e-6, atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(doses(), st.lists(st.integers(1, 79).map(lambda n: n / 4), min_size=3, max_size=3))
def test_a_run_may_be_cut_into_windows(slots, cuts):
    """Every lane is cut at a time of its own, on a dose or within an infusion, and goes on from where it was."""
    lanes = len(slots.time)
    start, stop, cut = np.zeros(lanes), np.full(lanes, STOP), np.array(cuts[:lanes])
    whole = run(compile_slots(MODEL, slots, start, stop, last=False), np.array([STOP]))
    first = run(compile_slots(MODEL, slots, start, cut, last=False), cut[:, None])
    rest = run(compile_slots(MODEL, slots, cut, stop, last=False), np.array([STOP]), first[:, -1])
    np.testing.assert_allclose(rest, whole, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("last", "amount"), [(True, 3.0), (False, 0.0)])
def test_a_dose_at_the_end_belongs_to_the_next_window_unless_it_is_the_last(last, amount):
    slots = Slots(["A"], [""], np.array([[STOP]]), np.array([[3.0]]), np.array([0.0]))
    found = run(compile_slots(MODEL, slots, np.zeros(1), np.full(1, STOP), last=last), np.array([STOP]))
    assert found[0, 0, MODEL.species_index["A"]] == amount
