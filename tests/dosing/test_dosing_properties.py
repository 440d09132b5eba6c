"""What holds for any list of doses: shifts in time, changes of unit, superposition, mass balance."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2pkpd.dosing.records import Dose
from her2pkpd.dosing.schedule import compile_schedule
from her2pkpd.engine import Batch, Options, solve
from her2pkpd.mechanisms.disposition import Structure, disposition
from her2pkpd.model import Builder

VALUES = {"Vc": 3.0, "CL": 0.41, "Q": 0.9, "Vp": 5.0, "ka": 0.7, "Vmax": 0.8, "Km": 2.0}
PER_HOUR = ("CL", "Q", "ka")
STOP = 240.0
TIMES = np.linspace(0.0, STOP, 41)
MAIN = ("depot.d", "central.d", "peripheral.d")

few = settings(max_examples=20, deadline=None)
# Records at quarters of an hour meet one another, and meet the ends of infusions, often.
quarters = st.integers(0, 200).map(lambda i: i / 4)


@st.composite
def one_dose(draw):
    kind = draw(st.sampled_from(["bolus", "rate", "duration"]))
    amount = draw(st.floats(0.5, 100.0))
    return Dose(
        draw(quarters),
        draw(st.sampled_from(MAIN[:2])),
        amount,
        kind,
        rate=amount / draw(st.floats(0.25, 20.0)) if kind == "rate" else 0.0,
        duration=draw(st.floats(0.25, 20.0)) if kind == "duration" else 0.0,
        interval=draw(st.sampled_from([6.0, 12.0, 24.0])),
        additional=draw(st.integers(0, 3)),
        lag=draw(st.sampled_from([0.0, 0.5, 3.3])),
        bioavailability=draw(st.floats(0.2, 1.0)),
    )


histories = st.lists(one_dose(), min_size=1, max_size=4)


def oral(saturable=False):
    structure = Structure(1, absorption=True, saturable=saturable)
    build = Builder("oral")
    for name, unit in structure.parameters.items():
        build.parameter(f"d.{name}", VALUES[name], unit)
    disposition(build, "d", structure)
    build.species("eliminated", "amounts", "nmol")

    def elimination(s, p):
        c = s["plasma.d"]
        return p["d.CL"] * c + (p["d.Vmax"] * c / (p["d.Km"] + c) if saturable else 0.0)

    build.reaction("what leaves", {"eliminated": 1}, elimination)
    return build.model()


LINEAR = oral()


def run(doses, times=TIMES, model=LINEAR, parameters=None, stop=STOP):
    p = model.default_parameters() if parameters is None else parameters
    schedule = compile_schedule(model, [doses], p, stop=stop)
    found = solve(Batch(model, p, schedule.segments, times), Options(rtol=1e-9, atol=1e-11))
    assert found.ok.all()
    return found.y[0]


def close(a, b):
    np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


@given(histories, st.floats(0.0, 80.0))
@few
def test_a_shift_of_all_records_shifts_the_answer(doses, shift):
    later = [replace(d, time=d.time + shift) for d in doses]
    times = np.sort(TIMES + 0.1)[:-1]  # off the quarters: rounding would move a save across a dose
    close(run(later, times + shift, stop=STOP + shift), run(doses, times))


@given(histories)
@few
def test_days_and_hours_are_the_same_time(doses):
    in_days = [
        replace(
            d, time=d.time / 24, rate=d.rate * 24, duration=d.duration / 24, interval=d.interval / 24, lag=d.lag / 24
        )
        for d in doses
    ]
    p = LINEAR.parameter_vector({f"d.{name}": VALUES[name] * 24 for name in PER_HOUR})
    times = np.sort(TIMES + 0.1)[:-1]
    close(run(in_days, times / 24, parameters=p, stop=STOP / 24), run(doses, times))


@given(histories, st.sampled_from([1e-3, 1e3, 1e6]))
@few
def test_another_unit_of_amount_scales_the_answer(doses, factor):
    scaled = [replace(d, amount=d.amount * factor, rate=d.rate * factor) for d in doses]
    close(run(scaled) / factor, run(doses))


@given(histories, histories)
@few
def test_linear_systems_superpose(one, other):
    close(run(one + other), run(one) + run(other))


@given(one_dose())
@few
def test_additional_doses_are_records_of_their_own(dose):
    apart = [replace(dose, time=dose.time + i * dose.interval, additional=0) for i in range(dose.additional + 1)]
    close(run([dose]), run(apart))


@pytest.mark.parametrize("saturable", [False, True])
def test_what_is_given_is_inside_or_eliminated(saturable):
    model = oral(saturable)

    @given(histories)
    @few
    def holds(doses):
        # All repeats and infusions end before the last time.
        given_ = sum(d.amount * d.bioavailability * (d.additional + 1) for d in doses)
        y = run(doses, model=model)
        assert y[-1].sum() == pytest.approx(given_, rel=1e-8)
        assert (np.diff(y[:, model.species_index["eliminated"]]) >= -1e-9).all()

    holds()
