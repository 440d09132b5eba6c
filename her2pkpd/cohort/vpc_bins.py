"""Bins of time for a visual predictive check."""

from collections.abc import Sequence

import numpy as np

from her2pkpd.errors import InputError, Problem

NOMINAL = 20
"""Up to so many distinct times are bins of their own."""


def bin_edges(time: np.ndarray, bins: str | int | Sequence[float] = "auto") -> np.ndarray:
    """Edges of bins: an observation at t is in bin i where edges[i] <= t < edges[i + 1].

    Args:
        time: (n,) of the observations.
        bins: "nominal", every distinct time a bin; a number of bins with about as many observations each, equal times
            never divided; ascending edges; or "auto": nominal for up to `NOMINAL` distinct times, otherwise ten bins.

    Returns:
        (bins + 1,) edges; the first is -inf and the last inf unless edges were given.

    Raises:
        InputError: for other `bins`, edges that do not ascend, or observations outside them.
    """
    distinct = np.unique(time)
    if isinstance(bins, str):
        if bins not in ("auto", "nominal"):
            raise _refusal(bins)
        nominal = bins == "nominal" or len(distinct) <= NOMINAL
        return _between(distinct) if nominal else _equal(time, 10)
    if isinstance(bins, int):
        if bins < 1:
            raise _refusal(bins)
        return _equal(time, bins)
    edges = np.asarray(bins, dtype=float)
    if len(edges) < 2 or not np.all(np.diff(edges) > 0):
        raise _refusal(bins)
    outside = (time < edges[0]) | (time >= edges[-1])
    if outside.any():
        rule = f"lies outside the bins, which cover {edges[0]:g} to {edges[-1]:g} (the end excluded)"
        raise InputError(Problem(rule, "Widen the edges.", column="time", value=float(time[outside][0])))
    return edges


def bin_index(time: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """(n,) the bin of every time."""
    return np.searchsorted(edges, time, side="right") - 1


def _refusal(bins: object) -> InputError:
    rule = "bins are 'auto', 'nominal', a number of bins, or ascending edges"
    return InputError(Problem(rule, "Choose one of these.", column="bins", value=bins))


def _between(distinct: np.ndarray) -> np.ndarray:
    return np.concatenate([[-np.inf], 0.5 * (distinct[1:] + distinct[:-1]), [np.inf]])


def _equal(time: np.ndarray, bins: int) -> np.ndarray:
    """Edges halfway between the times around each quantile, so that equal times stay together."""
    distinct, counts = np.unique(time, return_counts=True)
    before = np.cumsum(counts)[:-1]
    ends = [int(np.argmin(np.abs(before - len(time) * k / bins))) for k in range(1, bins)] if len(before) else []
    return np.concatenate([[-np.inf], [0.5 * (distinct[i] + distinct[i + 1]) for i in sorted(set(ends))], [np.inf]])
