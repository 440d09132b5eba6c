"""Figures of a cohort's exposure: bands, predictive checks, target attainment, exposure and response, covariates."""

import textwrap
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from her2pkpd.cohort.covariate_effects import NO_EFFECT
from her2pkpd.cohort.summary_exposure import ExposureResponse
from her2pkpd.cohort.summary_quantiles import quantiles
from her2pkpd.cohort.vpc import VisualPredictiveCheck
from her2pkpd.report.figures import BLUE, GREEN, GREY, ORANGE, RED, STYLE

COLORS = (BLUE, ORANGE, GREEN, "#7a3b8f", "#b08a2e", "#222222")
"""Of the arms, in their order."""


def arms_of(table: pd.DataFrame, by: str) -> list[tuple[Any, str, pd.DataFrame]]:
    """Each arm's name, colour and rows."""
    return [
        (arm, COLORS[i % len(COLORS)], rows)
        for i, (arm, rows) in enumerate(table.groupby(by, observed=True, sort=False))
    ]


def bands_figure(
    table: pd.DataFrame, label: str, *, by: str = "arm", time: str = "time", per: float = 24.0, log: bool = False
) -> Figure:
    """Median and band of a trajectory, one colour an arm.

    Args:
        table: from `her2pkpd.cohort.summary.bands`, with three quantiles.
        label: of the vertical axis, with its unit.
        by: column of the arm.
        time: column of the time.
        per: hours in a unit of the horizontal axis, which is days.
        log: logarithmic vertical axis.
    """
    low, middle, high = [c for c in table.columns if c.startswith("q") and c[1:2].isdigit()]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 3.4), layout="constrained")
        axes = figure.add_subplot()
        for arm, color, rows in arms_of(table, by):
            t = rows[time] / per
            axes.fill_between(t, rows[low], rows[high], color=color, alpha=0.18, lw=0)
            axes.plot(t, rows[middle], color=color, lw=1.6, label=str(arm))
        if log:
            axes.set_yscale("log")
        axes.set_xlabel("days" if per == 24.0 else "time")
        axes.set_ylabel(label)
        axes.legend(fontsize=8)
        ends = [c[1:].lstrip("0") for c in (low, high)]
        axes.set_title(f"Median, and {ends[0]}th to {ends[1]}th percentile of patients", loc="left")
    return figure


def vpc_figure(check: VisualPredictiveCheck, label: str, *, log: bool = False, per: float = 1.0) -> Figure:
    """Observed percentiles over the intervals of simulated ones, one column a stratum, censored fraction below.

    Args:
        check: from `her2pkpd.cohort.vpc.vpc`.
        label: of the observations, with their unit.
        log: logarithmic vertical axis.
        per: units of time in a unit of the horizontal axis.
    """
    strata = list(dict.fromkeys(check.percentiles["stratum"]))
    below = len(check.censored) > 0
    with mpl.rc_context(STYLE):
        size = (1.2 + 4.0 * len(strata), 4.6 if below else 3.4)
        figure = Figure(figsize=size, layout="constrained")
        rows = figure.subplots(2 if below else 1, len(strata), squeeze=False, sharex="col", sharey="row",
                               gridspec_kw={"height_ratios": [3, 1] if below else [1]})  # fmt: skip
        for stratum, axes in zip(strata, rows[0], strict=True):
            _vpc_panel(axes, check, stratum, log=log, per=per)
            axes.set_title("" if len(strata) == 1 else str(stratum), loc="left")
        rows[0][0].set_ylabel(label + (", prediction-corrected" if check.corrected else ""))
        if below:
            for stratum, axes in zip(strata, rows[1], strict=True):
                own = check.censored[check.censored["stratum"] == stratum]
                _steps(axes, own, per, GREY)
                axes.plot(own["time"] / per, own["observed"], "o-", color="k", ms=3, lw=1)
            rows[1][0].set_ylabel("fraction below\nquantification", fontsize=8)
        for axes in rows[-1]:
            axes.set_xlabel("time")
        rows[0][0].legend(fontsize=7)
        figure.suptitle(
            f"Visual predictive check: {100 * check.level:g} % intervals over {check.replicates} simulated data sets",
            fontsize=10, x=0.01, ha="left",
        )  # fmt: skip
    return figure


def _vpc_panel(axes: Axes, check: VisualPredictiveCheck, stratum: object, *, log: bool, per: float) -> None:
    own: Any = check.percentiles[check.percentiles["stratum"] == stratum]
    points: Any = check.points[check.points["stratum"] == stratum]
    seen = points[~points["censored"]]
    axes.plot(seen["time"] / per, seen["value"], ".", color=GREY, ms=3, alpha=0.5, zorder=1)
    if log:
        axes.set_yscale("log")
    floor = min(seen["value"].min(), own.loc[np.isfinite(own["lower"]), "lower"].min())
    middle = sorted(own["probability"].unique())[len(own["probability"].unique()) // 2]
    for p, rows in own.groupby("probability"):
        color = ORANGE if p == middle else BLUE
        _steps(axes, rows.replace(-np.inf, floor), per, color)
        style = {"color": "k", "lw": 1.4, "ls": "-" if p == middle else "--"}
        known = rows["observed"].where(np.isfinite(rows["observed"]))
        axes.plot(rows["time"] / per, known, **style, label=f"observed, {100 * p:g}th percentile")
        out = rows[~rows["inside"] & np.isfinite(rows["observed"])]
        axes.plot(out["time"] / per, out["observed"], "o", ms=6, mfc="none", color=RED, zorder=4)


def _steps(axes: Axes, rows: Any, per: float, color: str) -> None:
    """Boxes over bins; open ends reach as far as their observations' neighbours."""
    times = rows["time"].to_numpy(dtype=float)
    inner = 0.5 * (times[1:] + times[:-1])
    left = np.where(np.isfinite(rows["left"]), rows["left"], np.append(times[:1], inner))
    right = np.where(np.isfinite(rows["right"]), rows["right"], np.append(inner, times[-1:]))
    margin = 0.02 * max(float(np.ptp(times)), 1e-12)
    for a, b, row in zip(left, right, rows.to_dict("records"), strict=True):
        ends = [min(a, row["time"] - margin) / per, max(b, row["time"] + margin) / per]
        axes.fill_between(ends, row["lower"], row["upper"], color=color, alpha=0.25, lw=0)
        axes.plot(ends, [row["median"]] * 2, color=color, lw=1)


def attainment_figure(table: pd.DataFrame, *, by: str, label: str, goal: float | None = 0.9) -> Figure:
    """Probability of target attainment by dose (or arm), one line a target.

    Args:
        table: from `her2pkpd.cohort.attainment.attainment`.
        by: column on the horizontal axis.
        label: of that axis, with its unit.
        goal: a line at this probability.
    """
    numeric = pd.api.types.is_numeric_dtype(table[by])
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5.4, 3.4), layout="constrained")
        axes = figure.add_subplot()
        places = {v: (v if numeric else i) for i, v in enumerate(dict.fromkeys(table[by]))}
        for target, color, rows in arms_of(table, "target"):
            x = [places[v] for v in rows[by]]
            error = [rows["probability"] - rows["lower"], rows["upper"] - rows["probability"]]
            axes.errorbar(x, rows["probability"], error, fmt="o-", ms=4, lw=1.4, color=color, label=f"{target:g}")
        if not numeric:
            axes.set_xticks(list(places.values()), [str(v) for v in places])
        if goal is not None:
            axes.axhline(goal, color=GREY, lw=0.8, ls=":")
        axes.set(xlabel=label, ylabel="share of patients at target", ylim=(-0.03, 1.03))
        axes.legend(title=f"target: {table['endpoint'].iloc[0]}", fontsize=7, title_fontsize=7)
        axes.set_title("Probability of target attainment", loc="left")
    return figure


def exposure_response_figure(found: ExposureResponse, exposure: str, response: str, *, by: str = "arm") -> Figure:
    """Response by quartile of exposure, the warning below.

    Args:
        found: from `her2pkpd.cohort.summary_exposure.exposure_response`.
        exposure: label of the horizontal axis, with its unit.
        response: label of the vertical axis.
        by: column of the arm.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.0, 4.4), layout="constrained")
        axes = figure.add_subplot()
        for arm, color, rows in arms_of(found.groups, by):
            error = [rows["response"] - rows["lower"], rows["upper"] - rows["response"]]
            axes.errorbar(rows["median"], rows["response"], error, fmt="o-", ms=5, lw=1.4, color=color, label=str(arm))
            for row in rows.to_dict("records"):
                axes.plot([row["low"], row["high"]], [row["response"]] * 2, color=color, lw=0.8, alpha=0.5)
        axes.set_xscale("log")
        ticks = np.unique(
            [float(f"{x:.2g}") for x in quantiles(found.groups["median"].to_numpy(), [0.0, 0.25, 0.5, 0.75, 1.0])]
        )
        axes.set_xticks(ticks, [f"{x:g}" for x in ticks])
        axes.minorticks_off()
        axes.set(xlabel=f"{exposure}: median and range of each quartile", ylabel=response)
        if found.groups[["lower", "upper"]].stack().between(0.0, 1.0).all():  # a share: seen against all and none
            axes.set_ylim(-0.03, 1.03)
        axes.legend(fontsize=8)
        axes.set_title("Response by quartile of exposure", loc="left")
        figure.text(0.0, -0.01, textwrap.fill(found.warning, 108), fontsize=7, color=RED, va="top")
        layout: Any = figure.get_layout_engine()
        layout.set(rect=(0.0, 0.16, 1.0, 0.84))
        figure.texts[-1].set_position((0.01, 0.145))
    return figure


def forest_figure(table: pd.DataFrame, label: str, *, units: Sequence[tuple[str, str]] = ()) -> Figure:
    """Forest plot of covariate effects, relative to the reference patient.

    Args:
        table: from `her2pkpd.cohort.covariate_effects.covariate_effects`.
        label: of the endpoint.
        units: unit by covariate.
    """
    unit = dict(units)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.8, 1.3 + 0.3 * len(table)), layout="constrained")
        axes = figure.add_subplot()
        axes.axvspan(*NO_EFFECT, color="#eeeeee", zorder=0)
        axes.axvline(1.0, color=GREY, lw=0.8)
        names = []
        for i, row in enumerate(table.to_dict("records")):
            y = len(table) - i
            if np.isfinite(row["lower"]):
                axes.plot([row["lower"], row["upper"]], [y, y], color=BLUE, lw=1.4)
            axes.plot(row["ratio"], y, "s", ms=5, color=BLUE)
            interval = f" ({row['lower']:.2f} to {row['upper']:.2f})" if np.isfinite(row["lower"]) else ""
            axes.text(
                1.02, y, f"{row['ratio']:.2f}{interval}", transform=axes.get_yaxis_transform(), va="center", fontsize=8
            )
            own = unit.get(row["covariate"], "")
            names.append(f"{row['covariate']} {_value(row['value'])} {own} (reference {_value(row['reference'])})")
        axes.set_yticks(range(len(table), 0, -1), names, fontsize=8)
        axes.set_ylim(0.3, len(table) + 0.7)
        axes.set_xscale("log")
        ends = table[["ratio", "lower", "upper"]].to_numpy(dtype=float)
        low, high = min(0.7, 0.95 * np.nanmin(ends)), max(1.4, 1.05 * np.nanmax(ends))
        ticks = [x for x in (0.1, 0.2, 0.33, 0.5, 0.7, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0) if low <= x <= high]
        axes.set_xticks(ticks, [f"{x:g}" for x in ticks])
        axes.minorticks_off()
        axes.set_xlim(low, high)
        axes.set_xlabel(f"{label}, relative to the reference patient (grey: {NO_EFFECT[0]:g} to {NO_EFFECT[1]:g})")
    return figure


def _value(value: object) -> str:
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    return f"{value:.3g}" if isinstance(value, int | float | np.number) else str(value)
