"""Figures of a posterior: traces and ranks, pairs, intervals against the prior, predictions against the wells."""

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from her2pkpd.fit.curves import Curve
from her2pkpd.posterior.result import Posterior
from her2pkpd.report.figures import BLUE, GREEN, GREY, ORANGE, STYLE, curve_axes

CHAINS = (BLUE, ORANGE, GREEN, "#7a3b8f", GREY, "#222222")
MOST_TRACES, MOST_PAIRS, RANK_BINS = 24, 8, 20


def _log(posterior: Posterior, i: int) -> bool:
    free = posterior.problem.objective.free.free
    return i >= len(free) or free[i].transform.scale == "log"


def _worst_first(posterior: Posterior, most: int) -> list[int]:
    """Unknowns to show: all if they are few, else those with the largest R-hat, in their own order."""
    rhat = np.nan_to_num(posterior.diagnosis.rhat, nan=np.inf)
    return sorted(np.argsort(-rhat)[:most].tolist())


def trace_figure(posterior: Posterior) -> Figure:
    """Per unknown: every chain's path, and how often each chain holds which ranks. Chains that agree look alike."""
    shown = _worst_first(posterior, MOST_TRACES)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 1.15 * len(shown) + 0.6), layout="constrained")
        axes = figure.subplots(len(shown), 2, squeeze=False, width_ratios=(2, 1))
        for row, i in zip(axes, shown, strict=True):
            _trace(row[0], posterior, i)
            _ranks(row[1], posterior.values[..., i])
        axes[0, 0].set_title("trace, one colour a chain", loc="left")
        axes[0, 1].set_title("ranks, even if chains agree", loc="left")
        axes[-1, 0].set_xlabel("draw")
        axes[-1, 1].set_xlabel("rank among all draws")
    return figure


def _trace(axes: Axes, posterior: Posterior, i: int) -> None:
    for c, chain in enumerate(posterior.values[..., i]):
        axes.plot(chain, lw=0.4, color=CHAINS[c % len(CHAINS)], alpha=0.8)
    lost = np.argwhere(posterior.draws.diverging)
    if len(lost):
        low = posterior.values[..., i].min()
        axes.plot(lost[:, 1], np.full(len(lost), low), "|", color="#a4301b", ms=5)
    if _log(posterior, i):
        axes.set_yscale("log")
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylabel(f"{posterior.names[i]}\n{_unit(posterior, i)}", rotation=0, ha="right", va="center", fontsize=7.5)
    axes.tick_params(labelsize=6.5)
    axes.margins(x=0)


def _unit(posterior: Posterior, i: int) -> str:
    return "" if posterior.units[i] == "1" else posterior.units[i]


def _ranks(axes: Axes, values: np.ndarray) -> None:
    ranks = values.ravel().argsort().argsort().reshape(values.shape)
    edges = np.linspace(0, values.size, RANK_BINS + 1)
    expected = values.shape[1] / RANK_BINS
    for c, chain in enumerate(ranks):
        counts = np.histogram(chain, edges)[0]
        axes.stairs(counts / expected, edges, color=CHAINS[c % len(CHAINS)], lw=1)
    axes.axhline(1.0, color=GREY, lw=0.6)
    axes.set_ylim(0, 2.2)
    axes.tick_params(labelsize=6.5)
    axes.margins(x=0)


def pair_figure(posterior: Posterior) -> Figure:
    """The unknowns most entangled with each other, pair by pair; divergent draws in red."""
    x = np.stack([_plain(posterior, i) for i in range(len(posterior.names))], axis=1)
    with np.errstate(all="ignore"):
        correlation = np.abs(np.nan_to_num(np.corrcoef(x.T))) - np.eye(x.shape[1])
    shown = sorted(np.argsort(-correlation.max(axis=1))[:MOST_PAIRS].tolist())
    k = len(shown)
    lost = posterior.draws.diverging.ravel()
    thin = slice(None, None, max(1, len(x) // 1500))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(1.35 * k + 1.2, 1.35 * k + 0.8), layout="constrained")
        grid = figure.subplots(k, k, squeeze=False)
        for r, i in enumerate(shown):
            for c, j in enumerate(shown):
                axes = grid[r, c]
                if c > r:
                    axes.set_axis_off()
                    axes.text(0.5, 0.5, f"{np.corrcoef(x[:, i], x[:, j])[0, 1]:.2f}", ha="center", color=GREY)
                elif c == r:
                    axes.hist(x[:, i], bins=30, color=BLUE, alpha=0.8)
                    axes.set_yticks([])
                else:
                    axes.plot(x[thin, j], x[thin, i], ".", ms=1.5, color=BLUE, alpha=0.4, rasterized=True)
                    axes.plot(x[lost, j], x[lost, i], ".", ms=3, color="#a4301b")
                _label(axes, posterior, (r, c, k), (i, j))
    return figure


def _label(axes: Axes, posterior: Posterior, place: tuple[int, int, int], pair: tuple[int, int]) -> None:
    r, c, k = place
    words = ["log10 " if _log(posterior, i) else "" for i in pair]
    short = [posterior.names[i].replace(".", ".\n", 1) for i in pair]
    axes.tick_params(labelsize=6)
    if r == k - 1:
        axes.set_xlabel(words[1] + short[1], fontsize=6.5)
    else:
        axes.set_xticklabels([])
    if c == 0:
        axes.set_ylabel(words[0] + short[0], fontsize=6.5)
    elif c != r:
        axes.set_yticklabels([])


def _plain(posterior: Posterior, i: int) -> np.ndarray:
    values = posterior.values[..., i].ravel()
    return np.log10(values) if _log(posterior, i) else values


def forest_figure(posterior: Posterior) -> Figure:
    """Median, 50 % and 95 % of every unknown, with the prior's 95 % in grey behind: what the data have added."""
    parts = [[i for i in range(len(posterior.names)) if _log(posterior, i) == log] for log in (True, False)]
    parts = [p for p in parts if p]
    with mpl.rc_context(STYLE):
        height = sum(0.24 * len(p) + 0.7 for p in parts)
        figure = Figure(figsize=(7.2, height), layout="constrained")
        grid = figure.subplots(len(parts), 1, squeeze=False, height_ratios=[len(p) + 2 for p in parts])[:, 0]
        for axes, part in zip(grid, parts, strict=True):
            log = _log(posterior, part[0])
            for row, i in enumerate(part):
                _forest_row(axes, posterior, i, row, log)
            axes.set_yticks(range(len(part)), [_row_name(posterior, i) for i in part], fontsize=7.5)
            axes.set_ylim(len(part) - 0.4, -0.6)
            axes.set_xlabel("fold of the posterior's median" if log else "value")
            if log:
                axes.set_xscale("log")
                axes.axvline(1.0, color=GREY, lw=0.5)
        grid[0].set_title("posterior 50 % and 95 % (blue), prior 95 % (grey)", loc="left")
    return figure


def _row_name(posterior: Posterior, i: int) -> str:
    median = float(np.median(posterior.values[..., i]))
    return f"{posterior.names[i]}   {median:.3g} {_unit(posterior, i)}".rstrip()


def _forest_row(axes: Axes, posterior: Posterior, i: int, row: int, log: bool) -> None:
    values = posterior.values[..., i].ravel()
    unit = float(np.median(values)) if log else 1.0
    free, n = posterior.problem.objective.free, posterior.problem.objective.n_free
    before = free.values(posterior.prior[:, :n])[:, i] if i < n else np.exp(posterior.prior[:, i])
    low, high = np.quantile(before, [0.025, 0.975]) / unit
    axes.plot([low, high], [row, row], color="#dddddd", lw=7, solid_capstyle="butt")
    a, b, c, d = np.quantile(values, [0.025, 0.25, 0.75, 0.975]) / unit
    axes.plot([a, d], [row, row], color=BLUE, lw=1.2)
    axes.plot([b, c], [row, row], color=BLUE, lw=3.5, solid_capstyle="butt")
    axes.plot(np.median(values) / unit, row, "o", ms=3.5, color="white", mec=BLUE)


def predictive_figure(curve: Curve, bands: np.ndarray) -> Figure:
    """One dose-response curve with the posterior of its prediction: 95 % and 50 %, and the median.

    Args:
        curve: the curve and its wells.
        bands: (S, n) predictions at draws.
    """
    low, lower, middle, upper, high = np.nanquantile(bands, [0.025, 0.25, 0.5, 0.75, 0.975], axis=0)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.2, 3.1), layout="constrained")
        axes = figure.add_subplot()
        axes.fill_between(curve.dose, low, high, color=BLUE, alpha=0.18, lw=0, label="95 % of the posterior")
        axes.fill_between(curve.dose, lower, upper, color=BLUE, alpha=0.35, lw=0, label="50 %")
        axes.plot(curve.dose, middle, color=BLUE, lw=1.4, label="median")
        curve_axes(axes, curve)
    return figure
