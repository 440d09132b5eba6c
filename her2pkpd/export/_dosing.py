"""Dosing segments as SBML events."""

from her2pkpd.engine.problem import Segments
from her2pkpd.export._formula import number
from her2pkpd.export._identifiers import identifier
from her2pkpd.export._writer import Writer


def add_dosing(writer: Writer, segments: Segments, lane: int) -> None:
    """Add one event per segment, and an infusion rate per dosed species that the events set.

    Events at the same time are ordered by their priority, so that segments of no length act in turn.
    """
    rates = []
    for index in segments.inputs:
        species = writer.model.species[index]
        name = writer.ids["species"][species.name]
        rate = identifier(f"infusion_{name}", writer.taken)
        writer.parameter(rate, f"infusion rate of {species.name}", 0.0, constant=False)
        size = writer.ids["compartment"][species.compartment] if species.compartment in writer.fixed else ""
        writer.add_reaction(f"infusion of {species.name}", {name: 1.0}, f"{rate} * {size}" if size else rate)
        rates.append((name, rate))
    for k in range(segments.n_segments):
        _event(writer, segments, lane, k, rates)


def _event(writer: Writer, segments: Segments, lane: int, k: int, rates: list[tuple[str, str]]) -> None:
    event = writer.out.createEvent()
    event.setId(identifier(f"dosing_{k + 1}", writer.taken))
    event.setUseValuesFromTriggerTime(False)
    trigger = event.createTrigger()
    # Not true before the start, so that an event at time zero happens.
    trigger.setInitialValue(False)
    trigger.setPersistent(True)
    trigger.setMath(writer.math(f"time >= {number(float(segments.boundaries[lane, k]))}"))
    event.createPriority().setMath(writer.math(number(float(-k))))
    for name, formula in _assignments(writer, segments, lane, k, rates).items():
        made = event.createEventAssignment()
        made.setVariable(name)
        made.setMath(writer.math(formula))


def _assignments(writer: Writer, segments: Segments, lane: int, k: int, rates: list[tuple[str, str]]) -> dict[str, str]:
    """Formula of everything the start of segment k sets."""
    assign: dict[str, str] = {}
    if segments.reset[lane, k]:
        for i, name in enumerate(writer.ids["species"].values()):
            assign[name] = writer.initial_formula(i)
    for j, (name, rate) in enumerate(rates):
        keep, jump = float(segments.keep[lane, k, j]), float(segments.jump[lane, k, j])
        if (keep, jump) != (1.0, 0.0):
            assign[name] = f"{number(keep)} * {assign.get(name, name)} + {number(jump)}"
        assign[rate] = number(float(segments.infusion[lane, k, j]))
    return assign
