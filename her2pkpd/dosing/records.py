"""What can stand in a lane's list of dosing records. Times, amounts and all else may carry derivatives (`Dual`)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from her2pkpd.dosing.dual import Number

DefinedBy = Literal["bolus", "rate", "duration"]


@dataclass(frozen=True)
class Dose:
    """A dose, once or repeated, with NONMEM's meaning of every field.

    Attributes:
        time: of the record, h. The dose acts `lag` later.
        target: state that receives it.
        amount: in the state's unit.
        defined_by: "bolus"; "rate" for an infusion whose `rate` is given (RATE > 0, or -1 with a modelled rate);
            "duration" for one whose `duration` is given (RATE = -2 with a modelled duration).
        rate: per h, for "rate".
        duration: h, for "duration".
        interval: II, h, between repeats and steady-state doses.
        additional: ADDL, further doses after the first, `interval` apart.
        steady_state: SS: 0 none; 1 the system is set to the steady state of this dose; 2 that state is added. An
            amount of 0 with a rate and steady_state 1 is an infusion that has run for ever and ends now.
        reset: EVID 4, the system is reset before the dose.
        lag: h between the record and its action.
        bioavailability: F.
        marks: states raised by a plain number whenever the dose is given, a cycle counter for instance.
    """

    time: Number
    target: str
    amount: Number
    defined_by: DefinedBy = "bolus"
    rate: Number = 0.0
    duration: Number = 0.0
    interval: Number = 0.0
    additional: int = 0
    steady_state: int = 0
    reset: bool = False
    lag: Number = 0.0
    bioavailability: Number = 1.0
    marks: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Reset:
    """EVID 3: all states return to their initial values; what is running or pending is cancelled.

    Attributes:
        time: h.
    """

    time: Number


@dataclass(frozen=True)
class Hold:
    """States without dynamics take new values: how time-varying covariates reach the rates.

    Attributes:
        time: h.
        values: new value by state.
    """

    time: Number
    values: Mapping[str, Number]


Record = Dose | Reset | Hold
