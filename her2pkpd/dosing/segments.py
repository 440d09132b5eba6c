"""From things that happen (a dose, a wash, an infusion) to the table of segments every engine runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from her2pkpd.engine.problem import Segments
from her2pkpd.errors import Problems
from her2pkpd.model import Model


@dataclass(frozen=True)
class Add:
    """Raise a species at a moment: a bolus, or a drug pipetted into a well.

    Attributes:
        time: h.
        species: what is raised.
        amount: by how much, in the species' unit.
    """

    time: float
    species: str
    amount: float


@dataclass(frozen=True)
class Wash:
    """Replace the medium at a moment.

    Attributes:
        time: h.
        species: what is washed.
        kept: fraction left behind.
    """

    time: float
    species: tuple[str, ...]
    kept: float = 0.0


@dataclass(frozen=True)
class Infuse:
    """Raise a species at a constant rate for a while.

    Attributes:
        time: start, h.
        species: what is raised.
        rate: per h, in the species' unit.
        duration: h.
    """

    time: float
    species: str
    rate: float
    duration: float


Event = Add | Wash | Infuse


def compile_segments(
    model: Model, lanes: Sequence[Sequence[Event]], *, start: float, stop: float | Sequence[float]
) -> Segments:
    """Compile the events of every lane into one table.

    Args:
        model: the model; fixes which state each species is.
        lanes: events per lane, in any order. At one moment washing comes before adding.
        start: first time, h. Events at `start` act at once.
        stop: last time per lane, or for all, h.

    Returns:
        `Segments`; lanes with fewer boundaries than others are padded with segments of zero length at their end.

    Raises:
        InputError: for species the model does not have, and for events outside the run, which could have no effect.
    """
    stops = np.broadcast_to(np.asarray(stop, dtype=float), (len(lanes),))
    _check(model, lanes, start, stops)
    inputs = _inputs(model, lanes)
    column = {name: i for i, name in enumerate(inputs)}
    cuts = [_cuts(events, start, end) for events, end in zip(lanes, stops, strict=True)]
    k = max((len(c) for c in cuts), default=2) - 1
    boundaries = np.stack([np.pad(c, (0, k + 1 - len(c)), mode="edge") for c in cuts])
    shape = (len(lanes), k, len(inputs))
    jump, keep, infusion = np.zeros(shape), np.ones(shape), np.zeros(shape)
    for lane, events in enumerate(lanes):
        place = {t: i for i, t in reversed(list(enumerate(cuts[lane])))}
        for event in sorted(events, key=lambda e: not isinstance(e, Wash)):
            _place(event, place, column, jump[lane], keep[lane], infusion[lane], cuts[lane])
    return Segments(boundaries, tuple(model.species_index[n] for n in inputs), jump, keep, infusion)


def _check(model: Model, lanes: Sequence[Sequence[Event]], start: float, stops: np.ndarray) -> None:
    problems = Problems("dosing")
    for events, stop in zip(lanes, stops, strict=True):
        for event in events:
            if not start <= event.time <= stop:
                rule = f"the event lies outside the simulated interval, {start:g} h to {stop:g} h"
                problems.add(rule, "Move it, or simulate longer.", column="time", value=event.time)
            for name in _touched(event):
                if name not in model.species_index:
                    rule = f"the model has no species '{name}' to dose or wash"
                    problems.add(rule, f"It has: {', '.join(model.species_index)}.", column="species")
    problems.raise_any()


def _touched(event: Event) -> tuple[str, ...]:
    return event.species if isinstance(event, Wash) else (event.species,)


def _inputs(model: Model, lanes: Sequence[Sequence[Event]]) -> list[str]:
    touched = {name for events in lanes for event in events for name in _touched(event)}
    return [s.name for s in model.species if s.name in touched]


def _cuts(events: Sequence[Event], start: float, stop: float) -> np.ndarray:
    times = {start, stop}
    for event in events:
        times.add(event.time)
        if isinstance(event, Infuse):
            times.add(min(event.time + event.duration, stop))
    cuts = sorted(times)
    # What happens at the very last moment needs a segment of zero length to happen in.
    return np.array([*cuts, stop] if any(e.time == stop for e in events) else cuts)


def _place(
    event: Event,
    place: Mapping[float, int],
    column: Mapping[str, int],
    jump: np.ndarray,
    keep: np.ndarray,
    infusion: np.ndarray,
    cuts: np.ndarray,
) -> None:
    at = place[event.time]
    if isinstance(event, Wash):
        for name in event.species:
            keep[at, column[name]] *= event.kept
    elif isinstance(event, Add):
        jump[at, column[event.species]] += event.amount
    else:
        running = (cuts[:-1] >= event.time) & (cuts[:-1] < event.time + event.duration)
        infusion[: len(running), column[event.species]] += np.where(running, event.rate, 0.0)
