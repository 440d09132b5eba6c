"""The dosing table as one timeline per lane: boundaries and save times merged, in the order they act.

An event is a segment boundary or a save time. At equal times boundaries come first, so that a saved state is
the state after the jump; among saves and among boundaries the given order stands.

Everything here works on NumPy arrays and on JAX tracers alike; `xp` is the module that fits.
"""

from typing import Any, NamedTuple

import numpy as np

NONE = -1
"""Marks an event that starts no segment, or saves nothing."""


class Dosing(NamedTuple):
    """The arrays of `Segments` with the save times, NumPy or JAX; see there for shapes."""

    boundaries: Any
    jump: Any
    keep: Any
    infusion: Any
    reset: Any
    times: Any


class Timeline(NamedTuple):
    """Events of a padded batch; E events, S segments and M save rows after padding, n species, L lanes.

    Attributes:
        source: (L, E) where the time of an event comes from: column of [boundaries, times].
        act: (L, E) segment whose reset, keep and jump act at the event, or `NONE`.
        save: (L, E) row of the output the state goes to, or `NONE`.
        segment: (L, E) segment the interval after the event lies in.
        last: (L,) index of the last event; 0 for lanes that only fill up.
        dosing: padded; jump, keep and infusion hold all species, (L, S, n).
    """

    source: Any
    act: Any
    save: Any
    segment: Any
    last: Any
    dosing: Dosing


def padded(size: int, least: int = 1) -> int:
    """The next power of two, at least `least`: few distinct shapes mean few compilations."""
    return max(least, 1 << max(0, size - 1).bit_length())


def pad(xp: Any, array: Any, lanes: int, width: int | None = None) -> Any:
    """Repeat the last lane (and the last column) until the array has `lanes` lanes (and `width` columns)."""
    if width is not None and width > array.shape[1]:
        edge = array[:, -1:] if array.shape[1] else xp.zeros((array.shape[0], 1, *array.shape[2:]), array.dtype)
        array = xp.concatenate([array, xp.repeat(edge, width - array.shape[1], axis=1)], axis=1)
    return xp.concatenate([array, xp.repeat(array[-1:], lanes - array.shape[0], axis=0)], axis=0)


def spread(xp: Any, values: Any, inputs: tuple[int, ...], n_species: int, default: float) -> Any:
    """From the dosed states (L, S, m, ...) to all states (L, S, n, ...)."""
    columns = [xp.full((*values.shape[:2], *values.shape[3:]), default)] * n_species
    for position, index in enumerate(inputs):
        columns[index] = values[:, :, position]
    return xp.stack(columns, axis=2)


def timeline(xp: Any, dosing: Dosing, inputs: tuple[int, ...], n_species: int) -> Timeline:
    """Merge boundaries and save times and pad all shapes to powers of two."""
    lanes, k, m = dosing.boundaries.shape[0], dosing.boundaries.shape[1] - 1, dosing.times.shape[1]
    rows, width, saves, events = padded(lanes), padded(k), padded(m), padded(k + 1 + m, 4)
    order = xp.argsort(xp.concatenate([dosing.boundaries, dosing.times], axis=1), axis=1, stable=True)
    is_save = order > k
    source = xp.where(is_save, order - (k + 1) + (width + 1), order)
    act = xp.where(order < k, order, NONE)
    save = xp.where(is_save, order - (k + 1), NONE)
    segment = xp.minimum(xp.cumsum(~is_save, axis=1), k) - 1
    full = Dosing(
        pad(xp, dosing.boundaries, rows, width + 1),
        pad(xp, spread(xp, dosing.jump, inputs, n_species, 0.0), rows, width),
        pad(xp, spread(xp, dosing.keep, inputs, n_species, 1.0), rows, width),
        pad(xp, spread(xp, dosing.infusion, inputs, n_species, 0.0), rows, width),
        pad(xp, dosing.reset, rows, width),
        pad(xp, dosing.times, rows, saves),
    )
    last = np.where(np.arange(rows) < lanes, k + m, 0)
    source, act, save, segment = (pad(xp, a, rows, events) for a in (source, act, save, segment))
    return Timeline(source, act, save, segment, last, full)
