"""Which untreated wells and time-zero counts belong to which treated wells.

A label (plate, block, replicate, seeded cells, or any column of the user's own) marks *experiments* when every
value of it that occurs among treated wells has untreated wells of its own at the same cell line and time. Wells are
then compared with the controls of their own experiment, and every experiment gets its own curve, as replicates do
in the authors' implementations. A label without own controls only tells wells apart, and they are pooled.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd


def trimmed_mean(values: np.ndarray) -> float:
    """50 % trimmed mean as the authors' implementations take it for controls.

    A quarter of the values (rounded to the nearest number, halves down) is left out at each end.

    Args:
        values: (n,) counts, n at least 1.
    """
    ordered = np.sort(values)
    cut = int(np.ceil(len(ordered) / 4 - 0.5))
    return float(ordered[cut : len(ordered) - cut].mean())


def experiment_labels(
    keys: pd.DataFrame, treated: np.ndarray, controls: np.ndarray, candidates: Sequence[str], base: Sequence[str]
) -> list[str]:
    """The labels that mark experiments.

    Args:
        keys: (n) wells with the columns `base` and `candidates`.
        treated: (n,) mask of treated wells.
        controls: (n,) mask of the wells they are compared with.
        candidates: labels to consider, in order of precedence.
        base: columns that must always agree between a well and its controls.

    Returns:
        Those of `candidates` that, taken together, leave no treated well without controls.
    """
    chosen: list[str] = []
    if not treated.any() or not controls.any():
        return chosen
    for label in candidates:
        if keys.loc[treated, label].nunique() < 2 and keys.loc[controls, label].nunique() < 2:
            continue
        columns = [*base, *chosen, label]
        wanted = pd.MultiIndex.from_frame(keys.loc[treated, columns].drop_duplicates())
        if wanted.isin(pd.MultiIndex.from_frame(keys.loc[controls, columns].drop_duplicates())).all():
            chosen.append(label)
    return chosen


def assign(keys: pd.DataFrame, values: np.ndarray, controls: np.ndarray, columns: Sequence[str]) -> np.ndarray:
    """The trimmed mean of the controls that agree with each well in `columns`.

    Args:
        keys: (n) wells.
        values: (n,) counts.
        controls: (n,) mask of control wells.
        columns: columns of `keys` that must agree.

    Returns:
        (n,) control values, NaN where there are none.
    """
    if not controls.any():
        return np.full(len(keys), np.nan)
    codes = keys.groupby(list(columns), sort=False, dropna=False).ngroup().to_numpy()
    means = pd.Series(values[controls]).groupby(codes[controls]).agg(lambda group: trimmed_mean(group.to_numpy()))
    return means.reindex(codes).to_numpy(dtype=float)
