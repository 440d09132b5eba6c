"""Exposure and response by quartile of exposure, and why their slope is not the effect of the dose."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import norm

from her2pkpd.cohort.attainment import wilson
from her2pkpd.cohort.summary_quantiles import effective_sample_size, mean, quantiles, sd
from her2pkpd.cohort.summary_response import RESPONDERS
from her2pkpd.cohort.summary_source import Rows, Source, Weights, read

CONFOUNDED = (
    "Exposure was not randomised. Within one dose, patients with low exposure of an antibody or a conjugate are those "
    "with low albumin, much shed antigen and a large tumour burden: all of these raise clearance, and all of them go "
    "with a worse prognosis. The slope over the quartiles is therefore not what a higher dose would do; compare arms "
    "that differ in dose instead."
)
"""Shown with every table and figure of this module."""


@dataclass(frozen=True)
class ExposureResponse:
    """Response by quantile group of exposure.

    Attributes:
        groups: per `by` group and quartile ``quartile, low, high`` (ends of exposure), ``median`` exposure,
            ``patients, effective, response, lower, upper`` (95 %).
        imbalance: per `by` group and covariate the mean in the lowest and the highest quartile, and their
            ``standardised`` difference (in standard deviations; beyond 0.1 to 0.2 the quartiles are not alike).
        warning: what must be read with it.
        exposure, response: names of the columns.
    """

    groups: pd.DataFrame
    imbalance: pd.DataFrame
    exposure: str
    response: str
    warning: str = CONFOUNDED


def exposure_response(
    source: Source,
    exposure: str,
    response: str,
    *,
    by: Sequence[str] = ("arm",),
    covariates: Sequence[str] = (),
    responders: Sequence[str] = RESPONDERS,
    quartiles: int = 4,
    weights: Weights = None,
) -> ExposureResponse:
    """Mean response in quartiles of exposure.

    Args:
        source: one row per patient and arm.
        exposure: column of the exposure.
        response: column of the response; 0/1, true/false or text (a response is one of `responders`) make a rate with
            Wilson's interval, other numbers a mean with a normal one.
        by: columns to divide the cohort by; quartiles are made within each.
        covariates: numbers or flags whose balance over the quartiles is shown.
        responders: what counts as a response where `response` is text.
        quartiles: number of groups.
        weights: as `her2pkpd.cohort.summary_source.read` takes them.

    Returns:
        The `ExposureResponse`.

    Raises:
        InputError: for columns that are not there or do not hold numbers.
    """
    rows = read(source, list(dict.fromkeys([*by, exposure, response, *covariates])), weights=weights)
    rows = _as_rate(rows, response, responders)
    groups, imbalance = [], []
    for key, arm in rows.known(exposure).known(response).groups(by):
        parts = _parts(arm, exposure, quartiles)
        groups += [
            {**key, "quartile": q, **_response(part, exposure, response)}
            for q, part in enumerate(parts, start=1)
            if len(part)
        ]
        imbalance += [{**key, **_difference(parts[0], parts[-1], arm, c)} for c in covariates]
    return ExposureResponse(pd.DataFrame(groups), pd.DataFrame(imbalance), exposure, response)


def _as_rate(rows: Rows, response: str, responders: Sequence[str]) -> Rows:
    column = rows.frame[response]
    if pd.api.types.is_numeric_dtype(column):
        return rows
    return Rows(rows.frame.assign(**{response: column.isin(list(responders)).astype(float)}), rows.weight, rows.failed)


def _parts(rows: Rows, exposure: str, number: int) -> list[Rows]:
    x = rows.values(exposure)
    cuts = quantiles(x, np.arange(1, number) / number, rows.weight)
    place = np.searchsorted(cuts, x, side="left")
    return [rows.take(np.flatnonzero(place == q)) for q in range(number)]


def _response(rows: Rows, exposure: str, response: str) -> dict[str, float]:
    x, y, w = rows.values(exposure), rows.values(response), rows.weight
    centre, effective = mean(y, w), effective_sample_size(w)
    if np.isin(y, (0.0, 1.0)).all():
        low, high = wilson(centre, effective)
    else:
        half = float(norm.ppf(0.975)) * sd(y, w) / np.sqrt(effective)
        low, high = centre - half, centre + half
    ends = {"low": x.min(), "high": x.max(), "median": quantiles(x, [0.5], w)[0]}
    return {**ends, "patients": len(rows), "effective": effective, "response": centre, "lower": low, "upper": high}


def _difference(low: Rows, high: Rows, every: Rows, covariate: str) -> dict[str, object]:
    ends = [mean(r.values(covariate), r.weight) for r in (low, high)]
    spread = sd(every.values(covariate), every.weight)
    standardised = (ends[1] - ends[0]) / spread if spread > 0 else float("nan")
    return {"covariate": covariate, "lowest": ends[0], "highest": ends[1], "standardised": standardised}
