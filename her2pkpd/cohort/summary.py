"""Tables of a cohort: endpoints by arm, and bands of the trajectories."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from her2pkpd.cohort.summary_quantiles import effective_sample_size, mean, quantiles, sd
from her2pkpd.cohort.summary_source import Rows, Source, Weights, read

PROBABILITIES = (0.05, 0.25, 0.5, 0.75, 0.95)


def summarise(
    source: Source,
    endpoints: Sequence[str],
    *,
    by: Sequence[str] = ("arm",),
    probabilities: Sequence[float] = PROBABILITIES,
    where: Mapping[str, Any] | None = None,
    weights: Weights = None,
) -> pd.DataFrame:
    """Distribution of endpoints in a cohort.

    Args:
        source: one row per patient and arm.
        endpoints: columns of numbers.
        by: columns to divide the cohort by.
        probabilities: which quantiles.
        where: values other columns must have.
        weights: as `her2pkpd.cohort.summary_source.read` takes them.

    Returns:
        One row per group and endpoint: `by`, ``endpoint``, ``patients`` (with a value), ``missing`` (ok, without a
        value), ``failed`` (in the whole cohort, by status), ``effective`` (sample size; equal to ``patients`` without
        weights), ``mean``, ``sd``, ``geometric_mean`` and ``geometric_cv`` (NaN unless all values are positive), and
        the quantiles as ``q05``, ``q50`` ...

    Raises:
        InputError: for columns that are not there or do not hold numbers.
    """
    table: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for endpoint in endpoints:  # one at a time, so that no more than one is in memory
        rows = read(source, [*by, endpoint], where=where, weights=weights)
        for key, group in rows.groups(by):
            known = group.known(endpoint)
            own = {"patients": len(known), "missing": len(group) - len(known), "failed": rows.failed}
            line = {**key, "endpoint": endpoint, **own, **_distribution(known, endpoint, probabilities)}
            table.setdefault(tuple(key.values()), []).append(line)
    return pd.DataFrame([line for lines in table.values() for line in lines])


def _distribution(rows: Rows, column: str, probabilities: Sequence[float]) -> dict[str, float]:
    x, w = rows.values(column), rows.weight
    finite, positive = bool(np.isfinite(x).all()), bool(len(x)) and bool((x > 0).all())
    logs = np.log(x) if positive else x
    return {
        "effective": effective_sample_size(w),
        "mean": mean(x, w) if finite else float("nan"),
        "sd": sd(x, w) if finite else float("nan"),
        "geometric_mean": float(np.exp(mean(logs, w))) if positive and finite else float("nan"),
        "geometric_cv": float(np.sqrt(np.expm1(sd(logs, w) ** 2))) if positive and finite else float("nan"),
        **dict(zip(map(quantile_name, probabilities), quantiles(x, probabilities, w), strict=True)),
    }


def quantile_name(probability: float) -> str:
    """Column of a quantile: "q05" for 0.05, "q02.5" for 0.025."""
    whole, point, part = f"{100 * probability:g}".partition(".")
    return f"q{whole:0>2}{point}{part}"


def bands(
    source: Source,
    variable: str,
    *,
    by: Sequence[str] = ("arm",),
    time: str = "time",
    probabilities: Sequence[float] = (0.05, 0.5, 0.95),
    where: Mapping[str, Any] | None = None,
    weights: Weights = None,
) -> pd.DataFrame:
    """Quantiles of a trajectory at every time.

    Args:
        source: one row per patient, arm and time.
        variable: column of the values. In the table of `her2pkpd.simulate` it is "value", with
            ``where={"variable": "plasma.T-DXd"}``.
        by: columns to divide the patients by.
        time: column of the time.
        probabilities: which quantiles.
        where: values other columns must have.
        weights: as `her2pkpd.cohort.summary_source.read` takes them.

    Returns:
        Columns `by`, `time`, ``patients`` and the quantiles, as ``q05`` ...; ordered by group and time.

    Raises:
        InputError: for columns that are not there or do not hold numbers.
    """
    rows = read(source, [*by, time, variable], where=where, weights=weights).known(variable)
    names = [quantile_name(p) for p in probabilities]
    table = [
        {
            **key,
            "patients": len(g),
            **dict(zip(names, quantiles(g.values(variable), probabilities, g.weight), strict=True)),
        }
        for key, g in rows.groups([*by, time])
    ]
    return pd.DataFrame(table, columns=[*by, time, "patients", *names])
