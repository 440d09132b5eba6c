"""Values and derivatives of every dosing cell against superposed exponentials, differentiated by complex steps."""

import itertools

import numpy as np
import pytest

from her2pkpd.dosing.dual import Dual
from her2pkpd.dosing.records import Dose, Hold, Reset
from her2pkpd.dosing.schedule import compile_schedule
from her2pkpd.engine import Batch, Options, solve
from her2pkpd.mechanisms.disposition import Structure, disposition
from her2pkpd.model import Builder

TIGHT = Options(rtol=1e-10, atol=1e-12)
TIMES = np.array([0.0, 1.3, 4.9, 7.6, 13.1, 19.0, 26.5, 37.9])
CL, V = 1.3, 9.0
NAMES = ("amount", "time", "lag", "bioavailability", "rate", "duration", "interval", "CL")
BASE = {
    "amount": 80.0,
    "time": 2.0,
    "lag": 0.0,
    "bioavailability": 1.0,
    "rate": 25.0,
    "duration": 3.0,
    "interval": 12.0,
}
FORMS = ("bolus", "rate", "duration")
FEATURES = {
    "plain": {},
    "lag": {"lag": 1.7},
    "F": {"bioavailability": 0.62},
    "ADDL": {"additional": 2, "lag": 0.4, "bioavailability": 0.8},
    "SS": {"steady_state": 1},
    "SS and lag": {"steady_state": 1, "lag": 2.2, "bioavailability": 0.7},
    "SS, lag beyond the interval, ADDL": {"steady_state": 1, "lag": 14.5, "additional": 1},
    "SS, infusion beyond the interval": {"steady_state": 1, "rate": 5.0, "duration": 15.5, "additional": 1},
    "SS 2": {"steady_state": 2, "lag": 3.1},
}


def one_compartment():
    build = Builder("one")
    build.parameter("d.CL", CL, "L/h")
    build.parameter("d.Vc", V, "L")
    disposition(build, "d", Structure(peripherals=0))
    return build.model()


def exact(at, form, own, x):
    """Amount at one time: every dose by itself, 400 of them before a steady-state record."""
    k = x["CL"] / V
    ss, more = own.get("steady_state", 0), own.get("additional", 0)
    if at < x["time"].real:
        return 0.0
    total = 0.0
    for n in range(-400 if ss else 0, more + 1):
        start = x["time"] + x["lag"] + n * x["interval"]
        available = x["bioavailability"] * x["amount"]
        if form == "bolus":
            total += available * np.exp(-k * (at - start)) if start.real <= at else 0.0
            continue
        rate = x["rate"] if form == "rate" else available / x["duration"]
        length = available / x["rate"] if form == "rate" else x["duration"]
        if start.real >= at:
            continue
        end = start + length
        end = end if end.real < at else at
        total += rate / k * (1 - np.exp(-k * (end - start))) * np.exp(-k * (at - end))
    return total


@pytest.mark.parametrize(("form", "feature"), list(itertools.product(FORMS, FEATURES)))
def test_values(form, feature):
    own = FEATURES[feature]
    values = {**BASE, **{k: v for k, v in own.items() if k in BASE}}
    rest = {k: v for k, v in own.items() if k not in BASE}
    record = {k: v for k, v in values.items() if k not in ("time", "amount")}
    found = run([Dose(values["time"], "central.d", values["amount"], form, **record, **rest)])
    x = {k: complex(v) for k, v in {**values, "CL": CL}.items()}
    expected = [np.real(exact(t, form, own, x)) for t in TIMES]
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("engine", ["linear", "kernel"])
@pytest.mark.parametrize(("form", "feature"), list(itertools.product(FORMS, FEATURES)))
def test_derivatives(form, feature, engine):
    own = FEATURES[feature]
    model = one_compartment()
    count = len(NAMES)
    values = {**BASE, **{k: v for k, v in own.items() if k in BASE}}
    # Direction 0 is the model's own CL; the numbers of the record follow.
    order = ("CL", *(n for n in NAMES if n != "CL"))
    dual = {n: Dual.along(v, order.index(n), count) for n, v in values.items()}
    rest = {k: v for k, v in own.items() if k not in BASE}
    dose = Dose(dual.pop("time"), "central.d", dual.pop("amount"), form, **dual, **rest)
    p = model.default_parameters()
    schedule = compile_schedule(model, [[dose]], p, stop=40.0, wrt=("d.CL",), count=count, engine=engine)
    found = solve(Batch(model, p, schedule.segments, TIMES), TIGHT, schedule.directions, engine=engine)
    x = {k: complex(v) for k, v in {**values, "CL": CL}.items()}
    for k, name in enumerate(order):
        moved = {**x, name: x[name] + 1e-30j}
        expected = np.array([np.imag(exact(t, form, own, moved)) / 1e-30 for t in TIMES])
        np.testing.assert_allclose(found.dy[0, :, 0, k], expected, rtol=1e-6, atol=1e-6, err_msg=name)


def run(records, times=TIMES, stop=60.0):
    model = one_compartment()
    p = model.default_parameters()
    schedule = compile_schedule(model, [records], p, stop=stop)
    return solve(Batch(model, p, schedule.segments, np.asarray(times)), TIGHT).y[0, :, 0]


def test_doses_superpose_and_scale():
    first, second = Dose(1.0, "central.d", 50.0), Dose(6.0, "central.d", 30.0, "rate", 10.0)
    np.testing.assert_allclose(run([first, second]), run([first]) + run([second]), rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(run([Dose(1.0, "central.d", 150.0)]), 3 * run([first]), rtol=1e-8)


def test_a_shift_in_time_shifts_the_answer():
    early = run([Dose(1.0, "central.d", 50.0, "rate", 20.0, interval=8.0, additional=3)], TIMES)
    late = run([Dose(11.0, "central.d", 50.0, "rate", 20.0, interval=8.0, additional=3)], TIMES + 10.0)
    np.testing.assert_allclose(late, early, rtol=1e-8, atol=1e-10)


def test_a_reset_cancels_what_runs_and_what_is_to_come():
    dose = Dose(0.0, "central.d", 100.0, "rate", 10.0, interval=12.0, additional=3)
    found = run([dose, Reset(5.0), Dose(6.0, "central.d", 40.0)], [4.9, 5.0, 5.9, 16.0])
    assert found[0] > 0
    assert found[1] == found[2] == 0.0
    assert found[3] == pytest.approx(40.0 * np.exp(-CL / V * 10.0), rel=1e-8)


def test_an_endless_infusion_ends_at_its_record():
    found = run([Dose(2.0, "central.d", 0.0, "rate", 13.0, steady_state=1)], [1.9, 2.0, 12.0])
    assert found[0] == 0.0
    assert found[1] == pytest.approx(13.0 / (CL / V), rel=1e-9)
    assert found[2] == pytest.approx(13.0 / (CL / V) * np.exp(-CL / V * 10.0), rel=1e-8)


def test_area_at_steady_state_is_dose_over_clearance():
    t = np.linspace(0.0, 12.0, 4001)
    found = run(
        [Dose(0.0, "central.d", 80.0, "duration", duration=3.0, interval=12.0, additional=1, steady_state=1)], t
    )
    assert np.trapezoid(found / V, t) == pytest.approx(80.0 / CL, rel=1e-6)


def test_held_states_change_when_told():
    build = Builder("held")
    build.parameter("d.Vc", V, "L")
    build.parameter("d.CL", CL, "L/h")
    build.species("k", None, "1/h", initial=0.1)
    disposition(build, "d", Structure(peripherals=0, linear=False))
    build.reaction("loss", {"central.d": -1}, lambda s, p: s["k"] * s["central.d"])
    model = build.model()
    p = model.default_parameters()
    schedule = compile_schedule(model, [[Dose(0.0, "central.d", 10.0), Hold(4.0, {"k": 0.5})]], p, stop=10.0)
    found = solve(Batch(model, p, schedule.segments, np.array([4.0, 10.0])), TIGHT).y[
        0, :, model.species_index["central.d"]
    ]
    np.testing.assert_allclose(found, 10.0 * np.exp([-0.4, -0.4 - 3.0]), rtol=1e-8)
