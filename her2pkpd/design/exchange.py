"""Choosing wells: one after the other where each tells most, then exchanges until none is an improvement.

Fedorov's exchange (Theory of Optimal Experiments, 1972) on whole wells, so nothing is rounded afterwards. The general
equivalence theorem bounds how far the result may be from the best that any plate of this size can do.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from her2pkpd.design.criteria import Criterion, Pool
from her2pkpd.errors import InputError, Problem

SWEEPS = 30
TRIALS = 6
"""Further starts, beside the one that places each well where it tells most."""

LEAST = 1e-7
"""Improvement of the criterion that an exchange must bring."""


@dataclass(frozen=True)
class Choice:
    """The chosen wells.

    Attributes:
        counts: (n_candidates,) wells of each kind.
        value: the criterion.
        efficiency: at least this part of the best that any choice of as many wells can reach, as a ratio of
            variances, with the same cap on replicates.
        exchanges: how many were made.
    """

    counts: np.ndarray
    value: float
    efficiency: float
    exchanges: int


def choose(
    pool: Pool,
    wells: int,
    criterion: Criterion,
    *,
    most: int | None = None,
    seed: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Choice:
    """Choose wells.

    Args:
        pool: the candidates.
        wells: how many.
        criterion: what is to be large.
        most: wells of one kind, or None for any number.
        seed: of the trials to leave a result that single exchanges cannot improve.
        progress: called after every further start with (done, planned).

    Raises:
        InputError: if there are fewer wells to choose from than wanted, or they leave the criterion without a value.
    """
    cap = wells if most is None else most
    if cap * pool.size < wells:
        rule = (
            f"{pool.size} kinds of wells with at most {cap} replicates each are fewer than the {wells} wells asked for"
        )
        raise InputError(Problem(rule, "Allow more replicates, or more concentrations, times or cell lines."))
    counts = np.zeros(pool.size, dtype=int)
    _fill(pool, criterion, counts, wells, cap)
    exchanges = _improve(pool, criterion, counts, cap)
    value, rng = criterion.value(pool.information(counts)), np.random.default_rng(seed)
    for k in range(TRIALS):
        # By turns half of the best wells found, and wells at random.
        placed = np.repeat(np.arange(pool.size), counts if k % 2 else np.full(pool.size, cap))
        kept = rng.choice(placed, wells // 2 if k % 2 else wells, replace=False)
        trial = np.bincount(kept, minlength=pool.size)
        _fill(pool, criterion, trial, wells, cap)
        exchanges += _improve(pool, criterion, trial, cap)
        if (better := criterion.value(pool.information(trial))) > value:
            counts, value = trial, better
        if progress is not None:
            progress(k + 1, TRIALS)
    return Choice(counts, value, efficiency(pool, criterion, counts, cap), exchanges)


def _fill(pool: Pool, criterion: Criterion, counts: np.ndarray, wells: int, cap: int) -> None:
    """Add wells one by one, each where it tells most."""
    for _ in range(int(counts.sum()), wells):
        gains = criterion.gains(pool, np.linalg.inv(pool.information(counts)))
        counts[_best(gains, counts, cap)] += 1


def _improve(pool: Pool, criterion: Criterion, counts: np.ndarray, cap: int) -> int:
    """Exchange until nothing is an improvement; how many exchanges were made."""
    exchanges = 0
    for _ in range(SWEEPS):
        made = _sweep(pool, criterion, counts, cap)
        exchanges += made
        if not made:
            break
    return exchanges


def _best(gains: np.ndarray, counts: np.ndarray, cap: int) -> int:
    return int(np.argmax(np.where(counts < cap, gains, -np.inf)))


def _sweep(pool: Pool, criterion: Criterion, counts: np.ndarray, cap: int) -> int:
    """Take every kind of well out once and put the best one in its place."""
    made = 0
    for i in np.flatnonzero(counts):
        counts[i] -= 1
        gains = criterion.gains(pool, np.linalg.inv(pool.information(counts)))
        j = _best(gains, counts, cap)
        if gains[j] > gains[i] + LEAST:
            made += 1
        else:
            j = i
        counts[j] += 1
    return made


def efficiency(pool: Pool, criterion: Criterion, counts: np.ndarray, cap: int) -> float:
    """Lower bound of the ratio of the best possible variance to that of `counts`, by the equivalence theorem.

    The criterion is concave in the numbers of wells, so its tangent at `counts` bounds it from above; the tangent is
    largest where the steepest kinds have as many replicates as allowed.
    """
    slopes = criterion.slopes(pool, np.linalg.inv(pool.information(counts)))
    full, left = divmod(int(counts.sum()), cap)
    steepest = np.sort(slopes)[::-1]
    best = cap * float(steepest[:full].sum()) + (left * float(steepest[full]) if left else 0.0)
    return float(np.exp(-max(best - float(slopes @ counts), 0.0)))
