"""Effects of covariates on an endpoint: the forest plot's numbers.

Each covariate is moved to the ends of what patients have (the 5th and 95th percentile) while the others stay at the
reference patient, and the endpoint is compared with the reference patient's.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from her2pkpd.cohort.summary_quantiles import quantiles
from her2pkpd.cohort.summary_source import Source, Weights, read
from her2pkpd.errors import ComputationError, InputError, Problem

Covariates = Mapping[str, Any]
Evaluate = Callable[[Sequence[Covariates]], np.ndarray]
"""Endpoint of every patient described by covariates: (patients,), or (draws, patients) over uncertain parameters."""

ENDS = (0.05, 0.95)

NO_EFFECT = (0.8, 1.25)
"""Ratios between these are commonly read as without clinical consequence (the limits of bioequivalence)."""


def contrasts(
    source: Source, covariates: Sequence[str], *, ends: tuple[float, float] = ENDS, weights: Weights = None
) -> dict[str, list[Any]]:
    """Ends of what patients have: two percentiles of numbers; every value of text; false and true of a flag.

    Args:
        source: one row per patient.
        covariates: columns.
        ends: percentiles, as fractions.
        weights: as `her2pkpd.cohort.summary_source.read` takes them.
    """
    rows = read(source, list(covariates), weights=weights)
    found: dict[str, list[Any]] = {}
    for name in covariates:
        column = rows.frame[name]
        if pd.api.types.is_bool_dtype(column) or not pd.api.types.is_numeric_dtype(column):
            found[name] = sorted(column.unique().tolist())
        else:
            found[name] = quantiles(column.to_numpy(dtype=float), ends, rows.weight).tolist()
    return found


def covariate_effects(
    evaluate: Evaluate,
    reference: Covariates,
    values: Mapping[str, Sequence[Any]],
    *,
    level: float = 0.90,
    derived: Callable[[Covariates], Covariates] | None = None,
) -> pd.DataFrame:
    """Ratio of an endpoint to the reference patient's, one covariate at a time.

    Args:
        evaluate: the endpoint by covariates; all patients are asked for at once.
        reference: the reference patient.
        values: per covariate the values it is moved to, as from `contrasts`.
        level: of the interval over draws.
        derived: adds covariates that follow from others, such as body surface area.

    Returns:
        One row per covariate and value: ``covariate, value, reference, endpoint, ratio, lower, upper``; the interval
        is that over draws of the parameters, NaN without draws.

    Raises:
        InputError: for a covariate the reference patient lacks.
        ComputationError: if an endpoint could not be computed.
    """
    for name in values:
        if name not in reference:
            remedy = "Give the reference patient a value of it."
            raise InputError(Problem(f"the reference patient has no {name}", remedy, column=name))
    moved = [(name, value) for name, those in values.items() for value in those if value != reference[name]]
    people: list[Covariates] = [reference, *({**reference, name: value} for name, value in moved)]
    found = np.asarray(evaluate([derived(p) for p in people] if derived else people), dtype=float)
    if not np.all(np.isfinite(found)) or not np.all(found[..., 0] > 0):
        bad = [i for i in range(len(people)) if not np.all(np.isfinite(found[..., i]))]
        whose = ", ".join("the reference" if i == 0 else f"{moved[i - 1][0]} {moved[i - 1][1]}" for i in bad)
        raise ComputationError(
            f"the endpoint could not be computed for: {whose or 'the reference (it is not positive)'}"
        )
    ratios = np.atleast_2d(found / found[..., :1])
    tail = 0.5 * (1.0 - level)
    rows = []
    for i, (name, value) in enumerate(moved, start=1):
        own, low, high = np.median(ratios[:, i]), float("nan"), float("nan")
        if len(ratios) > 1:
            low, high = quantiles(ratios[:, i], [tail, 1.0 - tail])
        rows.append((name, value, reference[name], float(np.median(found[..., i])), float(own), low, high))
    return pd.DataFrame(rows, columns=["covariate", "value", "reference", "endpoint", "ratio", "lower", "upper"])
