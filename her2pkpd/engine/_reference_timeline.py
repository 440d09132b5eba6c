"""The dosing table as one timeline per lane: boundaries and save times merged, in the order they act.

An event is a segment boundary or a save time. At equal times boundaries come first, so that a saved state is
the state after the jump; among saves and among boundaries the given order stands.
"""

from dataclasses import dataclass

import numpy as np

from her2pkpd.engine.problem import Batch

NONE = -1
"""Marks an event that starts no segment, or saves nothing."""


@dataclass(frozen=True)
class Timeline:
    """Events of a padded batch; E events, S segments and M save rows after padding, n species, L lanes.

    Attributes:
        source: (L, E) where the time of an event comes from: column of [boundaries, times].
        act: (L, E) segment whose reset, keep and jump act at the event, or `NONE`.
        save: (L, E) row of the output the state goes to, or `NONE`.
        segment: (L, E) segment the interval after the event lies in.
        last: (L,) index of the last event.
        boundaries: (L, S+1) h.
        times: (L, M) h.
        jump, keep, infusion: (L, S, n), for all species.
        reset: (L, S).
    """

    source: np.ndarray
    act: np.ndarray
    save: np.ndarray
    segment: np.ndarray
    last: np.ndarray
    boundaries: np.ndarray
    times: np.ndarray
    jump: np.ndarray
    keep: np.ndarray
    infusion: np.ndarray
    reset: np.ndarray


def padded(size: int, least: int = 1) -> int:
    """The next power of two, at least `least`: few distinct shapes mean few compilations."""
    return max(least, 1 << max(0, size - 1).bit_length())


def pad(array: np.ndarray, lanes: int, width: int | None = None) -> np.ndarray:
    """Repeat the last lane (and the last column) until the array has `lanes` lanes (and `width` columns)."""
    if width is not None and width > array.shape[1]:
        edge = array[:, -1:] if array.shape[1] else np.zeros((array.shape[0], 1, *array.shape[2:]), array.dtype)
        array = np.concatenate([array, np.repeat(edge, width - array.shape[1], axis=1)], axis=1)
    return np.concatenate([array, np.repeat(array[-1:], lanes - array.shape[0], axis=0)], axis=0)


def spread(values: np.ndarray, inputs: tuple[int, ...], n_species: int, default: float) -> np.ndarray:
    """From the dosed states (L, S, m, ...) to all states (L, S, n, ...)."""
    full = np.full((*values.shape[:2], n_species, *values.shape[3:]), default)
    full[:, :, list(inputs)] = values
    return full


def timeline(batch: Batch) -> Timeline:
    """Merge the boundaries and save times of a batch and pad its shapes."""
    segments, n = batch.segments, batch.model.n_species
    lanes, k, m = segments.n_lanes, segments.n_segments, batch.times.shape[1]
    rows, width, saves = padded(lanes), padded(k), padded(m)
    source, act, save = _events(segments.boundaries, batch.times, width)
    began = np.maximum.accumulate(act, axis=1)
    last = np.full(lanes, k + m)
    full = padded(k + 1 + m, 4)
    return Timeline(
        *(pad(a, rows, full) for a in (source, act, save, began)),
        last=pad(last, rows),
        boundaries=pad(segments.boundaries, rows, width + 1),
        times=pad(batch.times, rows, saves),
        jump=pad(spread(segments.jump, segments.inputs, n, 0.0), rows, width),
        keep=pad(spread(segments.keep, segments.inputs, n, 1.0), rows, width),
        infusion=pad(spread(segments.infusion, segments.inputs, n, 0.0), rows, width),
        reset=pad(segments.reset, rows, width),
    )


def _events(boundaries: np.ndarray, times: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Source column, acting segment and save row of each event, in order; `width` is the padded segment count."""
    k, m = boundaries.shape[1] - 1, times.shape[1]
    order = np.argsort(np.concatenate([boundaries, times], axis=1), axis=1, kind="stable")
    is_save = order > k
    source = np.where(is_save, order - (k + 1) + (width + 1), order)
    act = np.where(order < k, order, NONE)
    save = np.where(is_save, order - (k + 1), NONE)
    return source, act, save if m else np.full_like(order, NONE)
