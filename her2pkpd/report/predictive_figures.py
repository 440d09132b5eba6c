"""Predictions of a posterior against what was measured: dose-response curves, and published metrics."""

from itertools import cycle

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from her2pkpd.fit.curves import Curve
from her2pkpd.posterior.result import Posterior
from her2pkpd.report.figures import BLUE, GREEN, GREY, ORANGE, RED, STYLE, curve_axes

NAMED = 12
"""Published values outside their interval that are named in the figure."""


def predictive_figure(curve: Curve, bands: np.ndarray, wells: np.ndarray) -> Figure:
    """One dose-response curve with the posterior of its prediction: 95 % and 50 %, the median, and new wells.

    Args:
        curve: the curve and its wells.
        bands: (S, n) predictions at draws.
        wells: (m, 3) dose, and the ends of the central 95 % of new wells at it; noise included.
    """
    low, lower, middle, upper, high = np.nanquantile(bands, [0.025, 0.25, 0.5, 0.75, 0.975], axis=0)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.2, 3.1), layout="constrained")
        axes = figure.add_subplot()
        if len(wells):
            dose, bottom, top = wells.T
            axes.vlines(dose, bottom, top, color="#cccccc", lw=5, label="95 % of new wells")
        axes.fill_between(curve.dose, low, high, color=BLUE, alpha=0.18, lw=0, label="95 % of the posterior")
        axes.fill_between(curve.dose, lower, upper, color=BLUE, alpha=0.35, lw=0, label="50 %")
        axes.plot(curve.dose, middle, color=BLUE, lw=1.4, label="median")
        curve_axes(axes, curve)
        if len(wells):
            ends = axes.get_ylim()
            axes.set_ylim(min(ends[0], float(np.nanmin(wells[:, 1]))), max(ends[1], float(np.nanmax(wells[:, 2]))))
    return figure


def new_wells(posterior: Posterior, curve: Curve) -> np.ndarray:
    """(m, 3) doses of a curve's measured wells, and the ends of the central 95 % of new wells at each."""
    found: dict[float, list[np.ndarray]] = {}
    own = (curve.cell_line, curve.assay, curve.time, curve.readout)
    for i, o in enumerate(posterior.problem.observations):
        t = o.signal.treatment
        if (t.cell_line, t.assay, o.signal.time, o.signal.readout) != own or not t.doses:
            continue
        (drug, dose), partner = t.doses[0], t.doses[1:]
        if drug == curve.drug and partner == curve.partner:
            found.setdefault(dose, []).append(posterior.predictive.replicated[:, i])
    rows = [(dose, *np.nanquantile(np.concatenate(x), [0.025, 0.975])) for dose, x in sorted(found.items())]
    return np.array(rows).reshape(-1, 3)


def metric_figure(checks: pd.DataFrame) -> Figure:
    """Published metrics against what the posterior predicts another laboratory to find; outsiders are named.

    Args:
        checks: as `her2pkpd.posterior.checks.metric_checks` makes it.
    """
    potency = (checks["unit"] == "nM").to_numpy()
    parts = [(potency, "potency, nM", True), (~potency, "GRmax", False)]
    parts = [p for p in parts if p[0].any()]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.6 * len(parts), 4.4), layout="constrained")
        grid = figure.subplots(1, len(parts), squeeze=False)[0]
        for axes, (rows, what, log) in zip(grid, parts, strict=True):
            _metrics(axes, {str(name): checks[name].to_numpy()[rows] for name in checks.columns}, what, log=log)
        figure.suptitle("published against predicted, 95 % with the scatter between laboratories", fontsize=10)
    return figure


def _metrics(axes: Axes, checks: dict[str, np.ndarray], what: str, *, log: bool) -> None:
    """One panel; `checks` are the columns of the table."""
    x, y, drug = checks["published"], checks["median"], checks["drug"]
    bars = np.abs(np.stack([checks["lower"], checks["upper"]]) - y)
    for own, colour in zip(np.unique(drug), cycle((BLUE, ORANGE, GREEN, "#7a3b8f", GREY))):
        at = drug == own
        axes.errorbar(x[at], y[at], bars[:, at], fmt="none", ecolor=colour, elinewidth=0.6, alpha=0.5)
        for side, marker, fill in (("none", "o", colour), ("right", ">", "none"), ("left", "<", "none")):
            of = at & (checks["censoring"] == side)
            axes.plot(x[of], y[of], marker, ms=4.5, mfc=fill, color=colour, label=own if side == "none" else None)
    if log:
        axes.set_xscale("log")
        axes.set_yscale("log")
    ends = (1e-9, 1e12) if log else (-10.0, 10.0)
    axes.plot(ends, ends, color=GREY, lw=0.8)
    axes.set_xlim(*_reach(x, log))
    axes.set_ylim(*_reach(np.concatenate([checks["lower"], checks["upper"]]), log))
    outside = np.flatnonzero(checks["verdict"] != "as predicted")
    for k, i in enumerate(outside[np.argsort(checks["tail"][outside])[:NAMED]].tolist()):
        place = (5, 4 if k % 2 else -8)
        words = str(checks["cell_line"][i])
        axes.annotate(words, (x[i], y[i]), place, textcoords="offset points", fontsize=6, color=RED)
    axes.set_xlabel(f"published {what}; triangles are limits")
    axes.set_ylabel(f"predicted {what}")
    axes.legend(fontsize=7)


def _reach(values: np.ndarray, log: bool) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    edge = max(0.05 * (high - low), 0.05)
    return (low / 1.5, high * 1.5) if log else (low - edge, high + edge)
