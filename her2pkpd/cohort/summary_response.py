"""Change of the tumour by patient: the waterfall's and the spider's numbers, and shares of responses."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from her2pkpd.cohort.attainment import wilson
from her2pkpd.cohort.summary_quantiles import effective_sample_size
from her2pkpd.cohort.summary_source import Source, Weights, columns_of, id_of, read

RESPONDERS = ("CR", "PR")
"""Best responses that count as an objective response."""


def waterfall(
    source: Source,
    change: str = "SLD.best_change",
    *,
    response: str = "best_response",
    by: Sequence[str] = ("arm",),
    bars: int = 400,
    weights: Weights = None,
) -> pd.DataFrame:
    """Best change of every patient, worst first.

    Args:
        source: one row per patient and arm.
        change: column of the best change of the sum of diameters, %.
        response: column of the best response; left out where the table has none.
        by: columns to divide the cohort by.
        bars: at most so many per group; a larger cohort is shown by that many patients, equally far apart in rank.
        weights: as `her2pkpd.cohort.summary_source.read` takes them.

    Returns:
        Columns `by`, ``left, right`` (share of patients, from 0 to 1), ``change`` and ``response`` ("" without one).
    """
    kinds = [response] if response in columns_of(source) else []
    rows = read(source, [*by, change, *kinds], weights=weights).known(change)
    parts = []
    for key, group in rows.groups(by):
        x, w = group.values(change), group.weight
        order = np.argsort(-x, kind="stable")
        ends = np.cumsum(w[order]) / w.sum()
        left, right, shown = np.concatenate([[0.0], ends[:-1]]), ends, order
        if len(x) > bars:
            left, right = np.arange(bars) / bars, np.arange(1, bars + 1) / bars
            shown = order[np.searchsorted(ends, 0.5 * (left + right))]
        kind = group.frame[response].astype(str).to_numpy()[shown] if kinds else ""
        parts.append(pd.DataFrame({**key, "left": left, "right": right, "change": x[shown], "response": kind}))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def spider(
    source: Source,
    variable: str = "SLD",
    *,
    by: Sequence[str] = ("arm",),
    patients: int = 60,
    time: str = "time",
    seed: int = 0,
) -> pd.DataFrame:
    """Change of a tumour over time for a random choice of patients.

    Args:
        source: one row per patient, arm and time.
        variable: column of the size.
        by: columns to divide the patients by.
        patients: at most so many; the same ones in every group.
        time: column of the time.
        seed: of the choice.

    Returns:
        Columns `by`, the patient, `time`, ``change`` from the patient's first value, %.
    """
    who = id_of(source)
    frame = read(source, [*by, who, time, variable]).known(variable).frame
    chosen = np.unique(frame[who])
    if len(chosen) > patients:
        chosen = np.random.default_rng(seed).choice(chosen, patients, replace=False)
    shown = frame.loc[np.isin(frame[who], chosen)].sort_values(by=[*by, who, time])
    first = shown.groupby([*by, who], observed=True)[variable].transform("first")
    return shown[[*by, who, time]].assign(change=100.0 * (shown[variable] / first - 1.0)).reset_index(drop=True)


def shares(
    source: Source,
    column: str = "best_response",
    *,
    by: Sequence[str] = ("arm",),
    level: float = 0.95,
    weights: Weights = None,
) -> pd.DataFrame:
    """Share of patients by category, and of all responders together where the categories are those of RECIST.

    Args:
        source: one row per patient and arm.
        column: of text, true/false or whole numbers.
        by: columns to divide the cohort by.
        level: of Wilson's interval.
        weights: as `her2pkpd.cohort.summary_source.read` takes them.

    Returns:
        Columns `by`, `column`, ``patients, share, lower, upper``; `column` is "CR or PR" for the responders.
    """
    rows = read(source, [*by, column], weights=weights)
    table = []
    for key, group in rows.groups(by):
        own, w = group.frame[column].astype(str).to_numpy(), group.weight
        kinds = {k: own == k for k in sorted(set(own))}
        if set(RESPONDERS) & set(kinds):
            kinds[" or ".join(RESPONDERS)] = np.isin(own, RESPONDERS)
        for kind, mask in kinds.items():
            share = float(w @ mask) / float(w.sum())
            low, high = wilson(share, effective_sample_size(w), level)
            table.append(
                {**key, column: kind, "patients": int(mask.sum()), "share": share, "lower": low, "upper": high}
            )
    return pd.DataFrame(table)
