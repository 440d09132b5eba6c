"""Doses of many lanes as arrays, compiled to segments without a loop over lanes.

The meaning is that of `her2pkpd.dosing.schedule` for plain doses (bolus or infusion, with marks); records of single
lanes with resets, steady states or derivatives go there. A run may be cut into windows: what acts at the end of one
window acts in the next.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from her2pkpd.engine.problem import Segments
from her2pkpd.model import Model


@dataclass(frozen=True)
class Slots:
    """Doses of L lanes, E slots each; a slot without dose has an amount of zero.

    Attributes:
        targets: E species that receive the doses.
        marks: E species raised by one with every dose, "" for none.
        time: (L, E) h, lag included.
        amount: (L, E) nmol, bioavailability included.
        duration: (E,) h; 0 for a bolus.
    """

    targets: Sequence[str]
    marks: Sequence[str]
    time: np.ndarray
    amount: np.ndarray
    duration: np.ndarray


def compile_slots(
    model: Model, slots: Slots, start: np.ndarray, stop: np.ndarray, *, last: bool | np.ndarray = True
) -> Segments:
    """Segments of a window.

    Args:
        model: fixes which state each species is.
        slots: the doses.
        start: (L,) beginning of the window, h; infusions that began before go on.
        stop: (L,) end of the window, h.
        last: (L,), or for all: whether what acts at `stop` itself still belongs to this window.

    Returns:
        `Segments` over [start, stop], with one boundary per act and those of zero length at the end of the lane where
        there are fewer.
    """
    inputs = [s.name for s in model.species if s.name in {*slots.targets, *slots.marks}]
    infused = np.flatnonzero(slots.duration > 0.0)
    off = slots.time[:, infused] + slots.duration[infused]
    given = slots.amount != 0.0
    here = given & (slots.time >= start[:, None])
    here &= (slots.time < stop[:, None]) | (np.reshape(last, (-1, 1)) & (slots.time == stop[:, None]))
    ending = given[:, infused] & (off > start[:, None]) & (off < stop[:, None])
    times = np.concatenate([np.where(here, slots.time, np.inf), np.where(ending, off, np.inf)], axis=1)
    order = np.argsort(times, axis=1, kind="stable")
    width = int((here.sum(axis=1) + ending.sum(axis=1)).max(initial=0))
    order = order[:, :width]
    cuts = np.minimum(np.take_along_axis(times, order, axis=1), stop[:, None])
    boundaries = np.concatenate([start[:, None], cuts, stop[:, None]], axis=1)
    shape = (len(start), width + 1, len(inputs))
    jump, infusion = np.zeros(shape), np.zeros(shape)
    bolus = np.concatenate([np.where(here & (slots.duration == 0.0), slots.amount, 0.0), np.zeros_like(off)], axis=1)
    marked = np.concatenate([here.astype(float), np.zeros_like(off)], axis=1)
    for j, name in enumerate(inputs):
        for names, sizes in ((slots.targets, bolus), (slots.marks, marked)):
            own = np.array([n == name for n in names] + [False] * len(infused))
            if own.any():
                jump[:, 1:, j] += np.take_along_axis(np.where(own, sizes, 0.0), order, axis=1)
        own = np.array([k for k, e in enumerate(infused.tolist()) if slots.targets[e] == name], dtype=int)
        if own.size:
            _run(infusion[:, :, j], boundaries[:, :-1], slots, infused[own], off[:, own])
    return Segments(boundaries, tuple(model.species_index[n] for n in inputs), jump, infusion=infusion)


def _run(infusion: np.ndarray, begins: np.ndarray, slots: Slots, columns: np.ndarray, off: np.ndarray) -> None:
    """Add the rates of infusions, slot by slot, to the segments they run in."""
    for k, e in enumerate(columns):
        on = slots.time[:, e, None]
        running = (begins >= on) & (begins < off[:, k, None])
        infusion += np.where(running, (slots.amount[:, e] / slots.duration[e])[:, None], 0.0)
