"""Probability of target attainment: the share of patients who reach a target, by dose."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from scipy.stats import norm

from her2pkpd.cohort.summary_source import Source, Weights, batches

Direction = Literal["at least", "at most"]


def attainment(
    source: Source,
    endpoint: str,
    targets: Sequence[float] | float,
    *,
    by: Sequence[str] = ("arm",),
    direction: Direction = "at least",
    level: float = 0.95,
    weights: Weights = None,
) -> pd.DataFrame:
    """Share of patients who reach a target, by arm.

    Args:
        source: one row per patient and arm; a Parquet dataset is read batch by batch and only counted.
        endpoint: column compared with the target: a trough, an inhibition at trough.
        targets: one or more.
        by: columns to divide the cohort by, such as ``dose``.
        direction: which side of the target is reached; the target itself is.
        level: of Wilson's interval, which says how well a cohort of this effective size knows the probability.
        weights: as `her2pkpd.cohort.summary_source.read` takes them.

    Returns:
        Columns `by`, ``endpoint, target, patients, missing, effective, probability, lower, upper``. Patients without
        a value are left out and counted as ``missing``.

    Raises:
        InputError: for columns that are not there or do not hold numbers.
    """
    wanted = np.atleast_1d(np.asarray(targets, dtype=float))
    sums: dict[tuple[object, ...], np.ndarray] = {}
    for batch in batches(source, [*by, endpoint], weights=weights):
        for key, group in batch.groups(by):
            known = group.known(endpoint)
            x, w = known.values(endpoint), known.weight
            reached = x[:, None] >= wanted if direction == "at least" else x[:, None] <= wanted
            own = np.array([len(x), len(group) - len(x), w.sum(), w @ w, *(w @ reached)])
            sums[tuple(key.values())] = sums.get(tuple(key.values()), 0.0) + own
    rows = []
    numbers = all(isinstance(x, int | float | np.number) for key in sums for x in key)
    for key in sorted(sums) if numbers else sums:
        patients, missing, total, squares, *reached = sums[key]
        effective = total**2 / squares if squares > 0 else 0.0
        for target, weight in zip(wanted, reached, strict=True):
            p = float(weight / total) if total > 0 else float("nan")
            low, high = wilson(p, effective, level)
            own = {"endpoint": endpoint, "target": target, "patients": int(patients), "missing": int(missing)}
            rows.append(
                {**dict(zip(by, key, strict=True)), **own, "effective": effective, "probability": p, "lower": low,
                 "upper": high}
            )  # fmt: skip
    return pd.DataFrame(rows)


def wilson(share: float, n: float, level: float = 0.95) -> tuple[float, float]:
    """Wilson's interval (1927) of a share of `n` patients; `n` may be an effective number. NaN without patients."""
    if not n > 0:
        return float("nan"), float("nan")
    z2 = float(norm.ppf(0.5 * (1.0 + level))) ** 2
    centre = (share + 0.5 * z2 / n) / (1.0 + z2 / n)
    half = np.sqrt(z2 * (share * (1.0 - share) / n + 0.25 * z2 / n**2)) / (1.0 + z2 / n)
    # At 0 and 1 the ends are 0 and 1 but for rounding.
    return float(min(max(centre - half, 0.0), share)), float(max(min(centre + half, 1.0), share))
