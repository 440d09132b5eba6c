"""The rules of dosing, one function each. They take plain numbers or `Dual`s and are used nowhere in copies.

Source: NONMEM Users Guide VIII (entries AMT, RATE, ADDL, II, SS, EVID) and the behaviour of NONMEM 7.4.3 on the
`nmtest` data; bioavailability of infusions as stated in the guide's entry "F".
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from her2pkpd.dosing.dual import Number, value_of
from her2pkpd.dosing.records import Dose

FOREVER = 1.0
"""Length, h, of the interval that stands for an infusion without end; any length gives the same steady state."""


@dataclass(frozen=True)
class Input:
    """What reaches a state: an amount at once (`duration` 0) or at `rate` for `duration`."""

    amount: Number
    rate: Number
    duration: Number

    @property
    def at_once(self) -> bool:
        """Whether it is a bolus."""
        return value_of(self.duration) == 0.0


def bioavailable(dose: Dose) -> Input:
    """What of a dose reaches its state: F scales a bolus, the duration of a rate-defined infusion, the rate of a
    duration-defined one.
    """  # noqa: D205
    available = dose.bioavailability * dose.amount
    if dose.defined_by == "rate":
        return Input(available, dose.rate, available / dose.rate)
    if dose.defined_by == "duration" and value_of(dose.duration) > 0:
        return Input(available, available / dose.duration, dose.duration)
    return Input(available, 0.0, 0.0)


def endless(dose: Dose) -> bool:
    """Whether the record is an infusion that has run for ever and ends at its time: SS with a rate but no amount."""
    return dose.steady_state > 0 and value_of(dose.amount) == 0.0 and value_of(dose.rate) > 0.0


def action(dose: Dose, number: int = 0) -> Number:
    """When a dose acts: at its time plus its lag, and every interval after; a negative `number` is an earlier dose."""
    first = dose.time + dose.lag
    return first if number == 0 else first + number * dose.interval


def repeats(dose: Dose) -> range:
    """Numbers of the doses the record gives itself: the first and the additional ones."""
    return range(0) if endless(dose) else range(dose.additional + 1)


def earlier_doses(dose: Dose) -> Iterator[int]:
    """Numbers of doses before a steady-state record that still act at or after its time, the latest first.

    An earlier dose is one interval or more before; a lag or an infusion longer than the interval makes it reach past
    the record.
    """
    if endless(dose):
        return
    reach = value_of(dose.lag) + value_of(bioavailable(dose).duration)
    for number in range(1, math.ceil(reach / value_of(dose.interval)) + 1):
        if number * value_of(dose.interval) < reach:
            yield -number


@dataclass(frozen=True)
class Period:
    """One interval of a steady state, starting at the record's time.

    Attributes:
        length: h.
        start: when in it the dose acts, h.
        base: rate that runs all the time, of infusions longer than the interval.
        rate: rate on top of it.
        duration: for how long, from `start` and around the end of the interval, h.
        amount: given at once at `start`.
    """

    length: Number
    start: Number
    base: Number
    rate: Number
    duration: Number
    amount: Number


def steady_period(dose: Dose) -> Period:
    """The interval whose repetition is the dose's steady state."""
    if endless(dose):
        return Period(FOREVER, 0.0, dose.rate, 0.0, 0.0, 0.0)
    given, interval = bioavailable(dose), dose.interval
    start = _remainder(dose.lag, interval)
    if given.at_once:
        return Period(interval, start, 0.0, 0.0, 0.0, given.amount)
    whole = math.floor(value_of(given.duration) / value_of(interval))
    return Period(interval, start, whole * given.rate, given.rate, given.duration - whole * interval, 0.0)


def _remainder(number: Number, interval: Number) -> Number:
    return number - math.floor(value_of(number) / value_of(interval)) * interval
