"""Intervals of a posterior against the prior: what the data have added, line by line."""

from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from her2pkpd.posterior.result import Posterior
from her2pkpd.report.figures import BLUE, GREY, ORANGE, STYLE
from her2pkpd.report.posterior_figures import WIDE, is_log, log_ticks, with_unit

COPIES = 3
"""Copies of a parameter that make a panel of their own."""

BEYOND = 30.0
"""Fold beyond the posterior's intervals at which a vague prior is cut off."""


@dataclass(frozen=True)
class _Panel:
    """Unknowns on one axis: `copies` of one, or several; `relative` to their medians where units differ."""

    title: str
    rows: list[int]
    log: bool
    relative: bool = False
    copies: bool = False


def forest_figure(posterior: Posterior) -> Figure:
    """Median, 50 % and 95 % of every unknown, with the prior's 95 % in grey behind.

    Copies of a parameter share a panel in its own unit, smallest median first; the others are shown relative to their
    medians, fractions as they are.
    """
    panels = _panels(posterior)
    with mpl.rc_context(STYLE):
        heights = [len(p.rows) + 2.8 for p in panels]
        figure = Figure(figsize=(7.6, 0.23 * sum(heights) + 0.4), layout="constrained")
        grid = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
        for axes, panel in zip(grid, panels, strict=True):
            _draw(axes, posterior, panel)
        figure.suptitle(
            "posterior 50 % and 95 % (blue), prior 95 % (grey); names in orange: not determined", fontsize=10
        )
    return figure


def _panels(posterior: Posterior) -> list[_Panel]:
    free = posterior.problem.objective.free.free
    medians = np.median(posterior.values, axis=(0, 1))
    own, single = list[_Panel](), list[int]()
    for entry in dict.fromkeys(f.estimate for f in free):
        rows = [i for i, f in enumerate(free) if f.estimate == entry and f.role != "spread"]
        copies = [i for i in rows if free[i].role != "centre"]
        if len(copies) < COPIES:
            single += [i for i, f in enumerate(free) if f.estimate == entry]
            continue
        centre = [i for i in rows if i not in copies]
        ordered = sorted(copies, key=lambda i: medians[i]) + centre
        title = f"{entry.name.removeprefix('cells.')}{with_unit(posterior, rows[0])}"
        own.append(_Panel(title, ordered, is_log(posterior, rows[0]), copies=True))
        single += [i for i, f in enumerate(free) if f.estimate == entry and f.role == "spread"]
    single += range(len(free), len(posterior.names))
    logs, plain = [i for i in single if is_log(posterior, i)], [i for i in single if not is_log(posterior, i)]
    shared = [_Panel("fold of the posterior's median", logs, True, relative=True)] if logs else []
    return shared + ([_Panel("value", plain, False)] if plain else []) + own


def _draw(axes: Axes, posterior: Posterior, panel: _Panel) -> None:
    reach = [_row(axes, posterior, i, row, panel.relative) for row, i in enumerate(panel.rows)]
    names = [_name(posterior, i, panel) for i in panel.rows]
    axes.set_yticks(range(len(panel.rows)), names, fontsize=7.5)
    for label, i in zip(axes.get_yticklabels(), panel.rows, strict=True):
        label.set_color("black" if posterior.verdicts[i] == "determined" else ORANGE)
    axes.set_ylim(len(panel.rows) - 0.4, -0.6)
    axes.set_title(panel.title, loc="left", fontsize=9)
    axes.tick_params(axis="x", labelsize=7.5)
    axes.grid(axis="x", color="#eeeeee", lw=0.6)
    axes.set_axisbelow(True)
    low, high = min(a for a, _ in reach), max(b for _, b in reach)
    if panel.log and (panel.relative or high > WIDE * low):
        axes.set_xscale("log")
        ends = axes.get_xlim()
        axes.set_xlim(max(ends[0], low / BEYOND), min(ends[1], high * BEYOND))
        log_ticks(axes.xaxis, *axes.get_xlim())
    if panel.relative:
        axes.axvline(1.0, color=GREY, lw=0.5)


def _name(posterior: Posterior, i: int, panel: _Panel) -> str:
    free = posterior.problem.objective.free.free
    name, unit = posterior.names[i], with_unit(posterior, i) if panel.relative else ""
    if panel.copies:
        name = name.removesuffix(f".{free[i].estimate.name.removeprefix('cells.')}")
    return f"{name}   {np.median(posterior.values[..., i]):.3g}{unit.replace('(', '').replace(')', '')}"


def _row(axes: Axes, posterior: Posterior, i: int, row: int, relative: bool) -> tuple[float, float]:
    """Draw one unknown; returns the ends of its 95 % interval."""
    values = posterior.values[..., i].ravel()
    unit = float(np.median(values)) if relative else 1.0
    low, high = np.quantile(posterior.prior_values[:, i], [0.025, 0.975]) / unit
    axes.plot([low, high], [row, row], color="#dddddd", lw=7, solid_capstyle="butt")
    a, b, c, d = np.quantile(values, [0.025, 0.25, 0.75, 0.975]) / unit
    axes.plot([a, d], [row, row], color=BLUE, lw=1.2)
    axes.plot([b, c], [row, row], color=BLUE, lw=3.5, solid_capstyle="butt")
    axes.plot(np.median(values) / unit, row, "o", ms=3.5, color="white", mec=BLUE)
    return float(a), float(d)
