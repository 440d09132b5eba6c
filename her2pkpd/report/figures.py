"""Figures of a fit, in one plain style; every function returns the matplotlib figure it made."""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from her2pkpd.fit.curves import Curve

STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "figure.dpi": 100,
    "savefig.dpi": 110,
    "legend.frameon": False,
}
BLUE, ORANGE, GREY, GREEN, RED = "#1f5a92", "#c8591a", "#8a8a8a", "#3b7d3a", "#a4301b"

_LABELS = {"viability": "viability (fraction of untreated)", "gr": "GR value", "cell_count": "cells"}


def curve_figure(curve: Curve, *, baseline: np.ndarray | None = None) -> Figure:
    """One dose-response curve: wells, the mechanism's prediction, the logistic baseline, published marks.

    Args:
        curve: the curve.
        baseline: (n,) 4-parameter logistic at ``curve.dose``, or None.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.2, 3.1), layout="constrained")
        axes = figure.add_subplot()
        axes.plot(curve.dose, curve.prediction, color=BLUE, lw=1.8, label="mechanism")
        if baseline is not None:
            axes.plot(curve.dose, baseline, color=GREY, lw=1, ls="--", label="4-parameter logistic")
        curve_axes(axes, curve)
    return figure


def curve_axes(axes: Axes, curve: Curve) -> None:
    """What every figure of a curve shares: wells, published marks, axes, title."""
    if len(curve.measured):
        dose, value, sd = curve.measured.T
        axes.errorbar(dose, value, np.nan_to_num(sd), fmt="o", ms=4, color=ORANGE, lw=0.8, capsize=0, label="measured")
    _limit_marks(axes, curve)
    for name, value in curve.marks:
        _mark(axes, name, value)
    axes.set_xscale("log")
    axes.set_xlabel(f"{curve.drug}, nM")
    axes.set_ylabel(_LABELS.get(curve.readout, curve.readout))
    axes.axhline(0.0, color=GREY, lw=0.5)
    axes.set_ylim(_limits(curve))
    others = "".join(f" + {drug} {dose:g} nM" for drug, dose in curve.partner)
    axes.set_title(f"{curve.cell_line}: {curve.drug}{others}, {curve.time:g} h", loc="left")
    axes.legend(fontsize=7, loc="best")


def _limit_marks(axes: Axes, curve: Curve) -> None:
    """Open triangles at limits, pointing to where the truth lies; a bar between two."""
    dose, low, high = curve.limits.T
    below, above = np.isneginf(low), np.isposinf(high)
    style: dict[str, Any] = {"ms": 5, "color": ORANGE, "mfc": "none"}
    for where, limit, marker, words in (
        (below, high, "v", "known to be below"),
        (above, low, "^", "known to be above"),
    ):
        if where.any():
            axes.plot(dose[where], limit[where], marker, label=words, **style)
    between = ~below & ~above
    if between.any():
        middle, half = (high + low)[between] / 2, (high - low)[between] / 2
        axes.errorbar(
            dose[between], middle, half, fmt="none", color=ORANGE, lw=0.8, capsize=3, label="known to be between"
        )


def _mark(axes: Axes, name: str, value: float) -> None:
    if name.startswith("GRmax"):
        axes.axhline(value, color=ORANGE, lw=1, ls=":", label=f"published {name} {value:g}")
    else:
        axes.axvline(
            value, color=ORANGE, lw=1, ls="-." if "beyond" in name else ":", label=f"published {name} {value:.3g} nM"
        )


def _limits(curve: Curve) -> tuple[float, float]:
    values = np.concatenate([curve.prediction, curve.measured[:, 1], curve.limits[:, 1:].ravel()])
    values = values[np.isfinite(values)]
    low, high = (-1.05, 1.15) if curve.readout == "gr" else (-0.05, 1.25)
    if not len(values):
        return low, high
    edge = 0.05 * (float(values.max()) - float(values.min()))
    return min(low, float(values.min()) - edge), max(high, float(values.max()) + edge)


def waterfall_figure(costs: Sequence[float]) -> Figure:
    """Objective at the end of every start, best first: a flat beginning means the optimum was found repeatedly."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.2, 2.6), layout="constrained")
        axes = figure.add_subplot()
        finite = np.array([c for c in costs if np.isfinite(c)])
        axes.plot(
            np.arange(1, len(finite) + 1),
            finite - finite.min(initial=0) if len(finite) else [],
            "o-",
            ms=4,
            color=BLUE,
            lw=1,
        )
        axes.set_yscale("symlog", linthresh=0.1)
        axes.set_xlabel("start, best first")
        axes.set_ylabel("-2 log posterior above best")
        axes.set_title("Starts", loc="left")
    return figure


def published_figure(table: pd.DataFrame) -> Figure:
    """Published against fitted metrics: potencies on logarithmic axes, efficacies beside them."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8, 3.8), layout="constrained")
        left, right = figure.subplots(1, 2)
        potency = table["unit"] == "nM"
        _scatter(left, table.loc[potency], "potency, nM", logarithmic=True)
        _scatter(right, table.loc[~potency], "GRmax", logarithmic=False)
    return figure


def _scatter(axes: Axes, table: pd.DataFrame, what: str, *, logarithmic: bool) -> None:
    colors = dict(zip(sorted(table["drug"].unique()), (BLUE, ORANGE, GREEN, GREY, "#7a3b8f", "#222222"), strict=False))
    for drug, rows in table.groupby("drug"):
        exact = rows["censoring"] == "none"
        fitted = rows["fitted"].replace(np.inf, np.nan)
        axes.plot(rows["published"][exact], fitted[exact], "o", ms=5, color=colors[drug], label=drug, alpha=0.85)
        axes.plot(rows["published"][~exact], fitted[~exact], ">", ms=5, mfc="none", color=colors[drug])
    if logarithmic:
        axes.set_xscale("log")
        axes.set_yscale("log")
    ends = np.array(axes.get_xlim())
    axes.plot(ends, ends, color=GREY, lw=0.8)
    for off in (3.0, 1 / 3) if logarithmic else (0.15, -0.15):
        axes.plot(ends, ends * off if logarithmic else ends + off, color=GREY, lw=0.6, ls=":")
    axes.set_xlabel(f"published {what}")
    axes.set_ylabel(f"fitted {what}")
    if len(table):
        axes.legend(fontsize=7)
