"""How two assays of the same cases agree."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Agreement:
    """A discordance table and its summary.

    Attributes:
        table: counts, first assay in rows, second in columns.
        agreement: fraction of cases with equal calls.
        interval: 95 % Wilson interval of it.
        kappa: Cohen's; NaN where chance alone agrees always.
    """

    table: pd.DataFrame
    agreement: float
    interval: tuple[float, float]
    kappa: float


def compare(first: Sequence[str], second: Sequence[str], *, names: tuple[str, str] = ("first", "second")) -> Agreement:
    """Compare the calls of two assays.

    Args:
        first: calls by case.
        second: likewise, same order.
        names: of the assays.

    Raises:
        ValueError: if lengths differ or there is no case.
    """
    from scipy import stats

    if len(first) != len(second) or not len(first):
        raise ValueError("both assays need a call for the same cases")
    calls = list(dict.fromkeys([*first, *second]))
    pairs = [pd.Series(pd.Categorical(list(x), calls), name=n) for x, n in zip((first, second), names, strict=True)]
    table = pd.crosstab(pairs[0], pairs[1], dropna=False)
    counts = table.to_numpy(dtype=float)
    n = counts.sum()
    same = float(np.trace(counts) / n)
    chance = float((counts.sum(axis=0) * counts.sum(axis=1)).sum() / n**2)
    wilson = stats.binomtest(int(np.trace(counts)), int(n)).proportion_ci(method="wilson")
    kappa = (same - chance) / (1 - chance) if chance < 1 else float("nan")
    return Agreement(table, same, (float(wilson.low), float(wilson.high)), kappa)
