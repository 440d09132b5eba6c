"""What explains the differences in a cohort that has been simulated already: shares of variance from its own tables.

The share of an endpoint's variance explained by an input alone is Var(E(y|x))/Var(y), estimated from the means of y in
groups of patients with similar x (Pearson's correlation ratio; with independent inputs it is the first-order Sobol
index, Plischke, Borgonovo & Smith 2013 Eur J Oper Res 226:536). Groups explain something by chance; Kelley's (1935)
correction takes that off. Inputs of a real cohort are correlated, so that shares overlap and may add up to more than 1.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from her2pkpd.cohort.summary_quantiles import effective_sample_size, mean, quantiles
from her2pkpd.cohort.summary_source import Rows, Source, Weights, read

AT_ONCE = 8
"""Columns in memory together."""


def explained_variance(
    source: Source,
    endpoint: str,
    inputs: Sequence[str],
    *,
    by: Sequence[str] = ("arm",),
    groups: int = 20,
    weights: Weights = None,
) -> pd.DataFrame:
    """Share of an endpoint's variance that each input explains by itself.

    Args:
        source: one row per patient and arm; usually a `her2pkpd.cohort.summary_source.Join` of endpoints and patients.
            Inputs are read `AT_ONCE` at a time.
        endpoint: column of the endpoint.
        inputs: columns of numbers, flags or text.
        by: columns to divide the cohort by.
        groups: as many equally heavy groups are made of an input that is a number.
        weights: as `her2pkpd.cohort.summary_source.read` takes them.

    Returns:
        Columns `by`, ``endpoint, input, share, patients``, the largest share first within each group; a share below
        zero is zero within its error. Inputs and endpoints that do not vary have NaN.

    Raises:
        InputError: for columns that are not there, or an endpoint that does not hold numbers.
    """
    found: dict[tuple[object, ...], list[dict[str, object]]] = {}
    for few in (inputs[i : i + AT_ONCE] for i in range(0, len(inputs), AT_ONCE)):
        table = read(source, [*by, endpoint, *few], weights=weights).known(endpoint)
        for key, arm in table.groups(by):
            for name in few:
                share = _share(arm, endpoint, _codes(arm, name, groups))
                row = {**key, "endpoint": endpoint, "input": name, "share": share, "patients": len(arm)}
                found.setdefault(tuple(key.values()), []).append(row)
    columns = [*by, "endpoint", "input", "share", "patients"]
    parts = [pd.DataFrame(rows, columns=columns).sort_values("share", ascending=False) for rows in found.values()]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def _codes(rows: Rows, name: str, groups: int) -> np.ndarray:
    column = rows.frame[name]
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        x = rows.values(name)
        if np.isnan(x).any():
            return np.full(len(x), -1)
        cuts = np.unique(quantiles(x, np.arange(1, groups) / groups, rows.weight))
        return np.searchsorted(cuts, x, side="left")
    return pd.factorize(column)[0]


def _share(rows: Rows, endpoint: str, codes: np.ndarray) -> float:
    y, w = rows.values(endpoint), rows.weight
    if not len(y) or codes.min() < 0 or not np.isfinite(y).all():
        return float("nan")
    weight = np.bincount(codes, weights=w)
    kept = weight > 0
    centre = mean(y, w)
    total = float(w @ (y - centre) ** 2)
    means = np.bincount(codes, weights=w * y)[kept] / weight[kept]
    n, k = effective_sample_size(w), int(kept.sum())
    if not total > 0 or k < 2 or n <= k:
        return float("nan")
    raw = float(weight[kept] @ (means - centre) ** 2) / total
    return 1.0 - (1.0 - raw) * (n - 1.0) / (n - k)
