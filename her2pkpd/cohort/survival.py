"""Time to an event in a cohort: the Kaplan-Meier estimate with Greenwood's bands and numbers at risk."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from her2pkpd.cohort.summary_quantiles import effective_sample_size
from her2pkpd.cohort.summary_source import Source, Weights, read
from her2pkpd.errors import InputError, Problem


@dataclass(frozen=True)
class SurvivalCurve:
    """One group's Kaplan-Meier estimate, a step function that falls at event times.

    Attributes:
        group: what the patients have in common.
        time: (k,) distinct times at which somebody has an event or leaves, ascending.
        survival: (k,) probability of no event up to and including each.
        lower, upper: (k,) of the interval on the log(-log) scale.
        at_risk: (k,) patients still followed just before each time; with weights their weight, scaled so that all
            patients together weigh their effective number.
        events: (k,) at each time, on the same scale.
        level: of the intervals.
        patients: how many there are.
        effective: their effective number.
    """

    group: dict[str, Any]
    time: np.ndarray
    survival: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    at_risk: np.ndarray
    events: np.ndarray
    level: float
    patients: int
    effective: float

    def at(self, times: Sequence[float] | np.ndarray) -> pd.DataFrame:
        """Survival, its interval and the number at risk at given times.

        Returns:
            Columns ``time, survival, lower, upper, at_risk`` (followed for at least that long). Beyond the last
            follow-up all but ``at_risk`` are NaN, unless nobody was left without an event.
        """
        wanted = np.asarray(times, dtype=float)
        place = np.searchsorted(self.time, wanted, side="right") - 1
        ended = (wanted > self.time[-1]) & (self.survival[-1] > 0.0)
        columns = {}
        for name in ("survival", "lower", "upper"):
            columns[name] = np.where(place < 0, 1.0, getattr(self, name)[np.maximum(place, 0)])
            columns[name][ended] = np.nan
        here = np.searchsorted(self.time, wanted, side="left")
        at_risk = np.append(self.at_risk, 0.0)[here]
        return pd.DataFrame({"time": wanted, **columns, "at_risk": at_risk})

    def median(self) -> tuple[float, float, float]:
        """Median time with its interval (Brookmeyer & Crowley 1982): where the curve and its bands reach one half.

        An end that is not reached is infinite: the median is then longer than the follow-up.
        """
        return (self._first(self.survival), self._first(self.lower), self._first(self.upper))

    def _first(self, curve: np.ndarray) -> float:
        reached = np.flatnonzero(curve <= 0.5 + 1e-12)
        return float(self.time[reached[0]]) if len(reached) else float("inf")


def kaplan_meier(
    source: Source,
    *,
    time: str = "TTP",
    event: str = "progressed",
    by: Sequence[str] = ("arm",),
    level: float = 0.95,
    weights: Weights = None,
) -> list[SurvivalCurve]:
    """Kaplan-Meier curves of a cohort.

    Args:
        source: one row per patient and arm.
        time: column of the time to the event or to the end of follow-up.
        event: column that says whether the event happened (true or 1) or follow-up ended first.
        by: columns to divide the cohort by.
        level: of the intervals.
        weights: as `her2pkpd.cohort.summary_source.read` takes them.

    Returns:
        One curve per group. Arms of virtual patients hold the same people, so their bands must not be compared as if
        they were independent; they say how well a cohort of this size knows each curve.

    Raises:
        InputError: for negative or missing times and events that are neither 0 nor 1.
    """
    rows = read(source, [*by, time, event], weights=weights)
    curves = []
    for key, group in rows.groups(by):
        t, d = group.values(time), group.values(event)
        _check(t, d, time, event)
        curves.append(product_limit(t, d > 0, group.weight, level=level, group=key))
    return curves


def product_limit(
    time: np.ndarray,
    event: np.ndarray,
    weight: np.ndarray | None = None,
    *,
    level: float = 0.95,
    group: dict[str, Any] | None = None,
) -> SurvivalCurve:
    """The estimate of Kaplan & Meier (1958) with Greenwood's variance, by patient weight.

    An event at the time another patient leaves comes first. With equal weights this is the ordinary estimate; weights
    are scaled to the effective sample size, so that Greenwood's variance is that of so many patients.

    Args:
        time: (n,).
        event: (n,) whether it happened.
        weight: (n,) or None.
        level: of the intervals.
        group: carried along.
    """
    w = np.ones(len(time)) if weight is None else np.asarray(weight, dtype=float)
    effective = effective_sample_size(w)
    if len(w) and np.ptp(w) == 0.0:  # the exact whole numbers a table of numbers at risk should show
        w, effective = np.ones(len(w)), float(len(w))
    else:
        w = w * (effective / np.sum(w))
    distinct, place = np.unique(time, return_inverse=True)
    total = np.bincount(place, weights=w, minlength=len(distinct))
    died = np.bincount(place, weights=w * event, minlength=len(distinct))
    at_risk = np.cumsum(total[::-1])[::-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        survival = np.cumprod(np.where(at_risk > 0, 1.0 - died / at_risk, 1.0))
        survival[survival < 1e-12] = 0.0
        greenwood = np.cumsum(np.where(died > 0, died / (at_risk * (at_risk - died)), 0.0))
    lower, upper = _log_log(survival, greenwood, level)
    return SurvivalCurve(
        dict(group or {}), distinct, survival, lower, upper, at_risk, died, level, len(time), effective
    )


def _log_log(survival: np.ndarray, greenwood: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """exp(-exp(log(-log S) +- z*sigma)), sigma^2 = Greenwood's sum/(log S)^2; no width at 1, not known at 0."""
    z = float(norm.ppf(0.5 * (1.0 + level)))
    with np.errstate(divide="ignore", invalid="ignore"):
        log = np.log(survival)
        width = np.exp(z * np.sqrt(greenwood) / np.abs(log))
        lower, upper = survival**width, survival ** (1.0 / width)
    lower, upper = (np.where(survival == 1.0, 1.0, end) for end in (lower, upper))
    return (np.where(survival == 0.0, np.nan, end) for end in (lower, upper))  # pyright: ignore[reportReturnType]


def survival_table(curves: Sequence[SurvivalCurve], landmarks: Sequence[float]) -> pd.DataFrame:
    """Median and survival at landmarks, one row per curve and landmark.

    Returns:
        The group's columns, ``patients, effective, events, median, median_lower, median_upper`` and, per landmark,
        ``time, survival, lower, upper, at_risk``.
    """
    rows = []
    for curve in curves:
        median, low, high = curve.median()
        own = {"patients": curve.patients, "effective": curve.effective, "events": float(curve.events.sum())}
        own |= {"median": median, "median_lower": low, "median_upper": high}
        rows += [{**curve.group, **own, **x} for x in curve.at(landmarks).to_dict("records")]
    return pd.DataFrame(rows)


def _check(time: np.ndarray, event: np.ndarray, time_name: str, event_name: str) -> None:
    for name, bad, rule in (
        (time_name, ~(time >= 0), "a time to an event must be zero or positive"),
        (event_name, ~np.isin(event, (0.0, 1.0)), "must say whether the event happened: true or false, 1 or 0"),
    ):
        if bad.any():
            value = (time if name == time_name else event)[bad][0]
            raise InputError(
                Problem(rule, f"Correct the column; {int(bad.sum())} rows.", column=name, value=float(value))
            )
