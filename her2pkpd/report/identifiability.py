"""What the data determine, for a reader: profiles, eigenvectors, and the section of a report."""

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, MaxNLocator, NullFormatter

from her2pkpd.fit.combinations import directions
from her2pkpd.fit.identify import DETERMINED, Identifiability, data_information
from her2pkpd.fit.intervals import curvature
from her2pkpd.fit.objective import Objective
from her2pkpd.fit.profile_curve import ProfileCurve
from her2pkpd.fit.run import FitResult
from her2pkpd.report.figures import BLUE, GREY, ORANGE, STYLE
from her2pkpd.report.page import Page

_MOST = 40
"""Unknowns and profiles drawn; a figure of more cannot be read."""

_ROWS = 20
"""Directions drawn where there are more unknowns: those least known."""

_SHARE = 0.3
"""Power an unknown has in one of those, to be drawn with them."""


def profile_figure(result: FitResult) -> Figure:
    """Every profile: how much worse the best fit with this value is, against the parabola of the Laplace interval."""
    curves = result.curves[:_MOST]
    rows, columns = -(-len(curves) // 4), min(len(curves), 4)
    objective, u = result.problem.objective, result.optimum.best.u
    curved = curvature(objective, u)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(2.5 * columns, 2.1 * rows + 0.3), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for own, curve in zip(axes, curves, strict=False):
            _profile(own, curve, curved.quantile(0.95) * curved.sd(curve.i), float(curved.at[curve.i]))
        for empty in axes[len(curves) :]:
            empty.set_axis_off()
        figure.supylabel("-2 log posterior above the best fit", fontsize=9)
    return figure


def _profile(axes: Axes, curve: ProfileCurve, half: float, at: float) -> None:
    """One panel; `half` is half the width of the Laplace interval around `at`."""
    top, own = 2.2 * curve.threshold, curve.coordinates[:, curve.i]
    axes.plot(*curve.smooth(), lw=1.2, color=BLUE)
    axes.plot(curve.values, curve.deviance, "o", ms=3, color=BLUE)
    grid = np.linspace(own.min(), own.max(), 200)
    if half > 0:
        parabola = curve.threshold * ((grid - at) / half) ** 2
        axes.plot(curve.transform.backward(grid), parabola, color=GREY, lw=0.8, ls="--")
    axes.axhline(curve.threshold, color=ORANGE, lw=0.8, ls=":")
    axes.set_ylim(-0.03 * top, top)
    if curve.transform.scale == "log":
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter(NullFormatter())
        if np.ptp(own) < np.log(30.0):
            axes.xaxis.set_major_locator(MaxNLocator(3))
            axes.xaxis.set_major_formatter(FormatStrFormatter("%.3g"))
    axes.set_title(f"{curve.name}\n{curve.shape}", loc="left", fontsize=7)
    axes.tick_params(labelsize=7)


def eigenvector_figure(objective: Objective, u: np.ndarray) -> Figure:
    """Directions of the Fisher information as a matrix of powers, best known on top, with what is known of each.

    Of more than 40 unknowns only the least known directions are drawn, and the unknowns that have a part in them.
    """
    free = objective.free.free
    found = directions(free, data_information(curvature(objective, u)))
    shown, title = np.arange(len(free)), ""
    if len(free) > _MOST:
        found = found[-_ROWS:]
        large = np.abs([c.powers for c in found]).max(axis=0) >= _SHARE
        shown, title = np.flatnonzero(large), f"the {_ROWS} directions least known of {len(free)}"
    powers = np.array([c.powers[shown] for c in found])
    with mpl.rc_context(STYLE):
        figure = Figure(
            figsize=(float(np.clip(0.28 * len(shown) + 2.5, 5.0, 14.0)), max(0.26 * len(found) + 2.0, 3.4)),
            layout="constrained",
        )
        axes = figure.add_subplot()
        image = axes.imshow(powers, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
        names = [free[i].name for i in shown]
        axes.set_xticks(range(len(shown)), names, rotation=60, ha="right", rotation_mode="anchor", fontsize=7.5)
        labels = [f"{c.fold:.2g}-fold" if c.fold < 1e4 else "unknown" for c in found]
        axes.set_yticks(range(len(found)), labels, fontsize=7.5)
        for label, direction in zip(axes.get_yticklabels(), found, strict=True):
            label.set_color(BLUE if direction.determined else ORANGE)
        axes.set_ylabel("95 % interval of the product spans")
        axes.set_title(title, loc="left")
        axes.spines[:].set_visible(False)
        figure.colorbar(image, ax=axes, label="power", shrink=0.7)
    return figure


def section(page: Page, found: Identifiability, figures: list[tuple[str, bytes]]) -> None:
    """Add what the data determine to a report."""
    page.heading("What these data determine")
    if found.without_effect:
        text = "Structural: these alter no reading of this experiment, however many wells of its kind are run."
        page.text(text, kind="bad")
        for change in found.no_effect():
            page.text(change)
    if found.combinations:
        page.text("Not determined one by one, but these products are (with what their 95 % interval spans):")
        for c in found.combinations:
            page.text(f"{c.text}   ({c.fold:.3g}-fold)")
    open_ = (found.table["verdict"] != DETERMINED) | ~found.table["methods_agree"].astype(bool)
    few = found.table.loc[open_] if len(found.table) > _MOST else found.table
    if len(few) < len(found.table):
        rest = len(found.table) - len(few)
        page.text(
            f"Not shown are {rest} unknowns that all methods call determined; see identifiability.csv.", kind="note"
        )
    shown = few.replace("", np.nan).dropna(axis=1, how="all")
    page.table(shown.fillna(dict.fromkeys((c for c in shown.columns if shown[c].dtype == object), "")))
    page.text(
        "Eigenvectors of the data's Fisher information as products of powers, best known first (of more than "
        f"{_MOST} unknowns the {_ROWS} least known; all are in eigenvectors.csv). Odds stand for "
        "parameters between two bounds. Figures: powers by direction; profiles (dashed: the Laplace parabola, dotted: "
        "the end of the 95 % interval).",
        kind="note",
    )
    vectors = found.eigenvectors.drop(columns=["information"])
    page.table(vectors if len(vectors) <= _MOST else vectors.tail(_ROWS))
    page.figures(figures)
