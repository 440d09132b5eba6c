"""From records of one lane to acts in time: doses expanded, steady states asked for, what a reset cancels cancelled."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from her2pkpd.dosing.dual import Number, value_of
from her2pkpd.dosing.records import Dose, Hold, Record, Reset
from her2pkpd.dosing.rules import action, bioavailable, earlier_doses, endless, repeats

Kind = Literal["jump", "on", "off", "reset", "hold", "steady", "steady+"]


@dataclass(frozen=True)
class Act:
    """One thing that happens at one moment.

    Attributes:
        time: h.
        kind: "jump" raises a state; "on" and "off" change the rate into it; "reset" resets all; "hold" sets states;
            "steady" sets all states to a steady state, "steady+" adds one.
        target: state of "jump", "on" and "off".
        size: amount, or rate.
        dose: the record behind it.
        values: states and what they are set to.
    """

    time: Number
    kind: Kind
    target: str = ""
    size: Number = 0.0
    dose: Dose | None = None
    values: dict[str, Number] = field(default_factory=dict)


def acts(records: Sequence[Record]) -> list[Act]:
    """Acts of one lane, in the order they act.

    Among acts at one time, those of an earlier record come first. A reset and a steady state of kind 1 cancel what
    is running, lagging or still to be repeated of every record before. What is held stays held through a reset.
    """
    found: list[Act] = []
    held: dict[str, Number] = {}
    ordered = sorted(records, key=lambda r: value_of(r.time))
    for record in ordered:
        if isinstance(record, Hold):
            held |= record.values
            found.append(Act(record.time, "hold", values=dict(record.values)))
            continue
        if isinstance(record, Reset) or record.reset or record.steady_state == 1:
            found = _cancel(found, record.time)
        if isinstance(record, Reset) or record.reset:
            found.append(Act(record.time, "reset"))
            if held:
                found.append(Act(record.time, "hold", values=dict(held)))
        if isinstance(record, Dose):
            found += _dose(record)
    return sorted(found, key=lambda a: value_of(a.time))


def _dose(dose: Dose) -> list[Act]:
    made: list[Act] = []
    if dose.steady_state:
        made.append(Act(dose.time, "steady" if dose.steady_state == 1 else "steady+", dose=dose))
        for number in earlier_doses(dose):
            made += _input(dose, number, begun=value_of(action(dose, number)) < value_of(dose.time))
    for number in repeats(dose):
        made += _input(dose, number, begun=False)
        made += [Act(action(dose, number), "jump", state, size) for state, size in dose.marks.items()]
    if endless(dose) or value_of(dose.amount) != 0.0 or dose.steady_state:
        return made
    return []


def _input(dose: Dose, number: int, *, begun: bool) -> list[Act]:
    """A dose as acts; one that has `begun` before the record runs from the record's time."""
    given, start = bioavailable(dose), action(dose, number)
    if given.at_once:
        return [Act(start, "jump", dose.target, given.amount)]
    return [
        Act(dose.time if begun else start, "on", dose.target, given.rate),
        Act(start + given.duration, "off", dose.target, given.rate),
    ]


def _cancel(found: Sequence[Act], time: Number) -> list[Act]:
    """What is left of earlier acts at a reset: those before it, with running infusions ended."""
    kept: list[Act] = []
    for act in found:
        if act.kind == "hold" or value_of(act.time) < value_of(time):
            kept.append(act)
        elif act.kind == "off" and _is_running(act, found, time):
            kept.append(replace(act, time=time))
    return kept


def _is_running(off: Act, found: Sequence[Act], time: Number) -> bool:
    """Whether the infusion an "off" ends has begun before `time`; its "on" stands just before it."""
    on = found[next(i for i, act in enumerate(found) if act is off) - 1]
    return value_of(on.time) < value_of(time)
