"""Figures of a posterior's draws: traces with ranks, and the unknowns most entangled with each other."""

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from her2pkpd.posterior.result import Posterior
from her2pkpd.report.figures import BLUE, GREEN, GREY, ORANGE, RED, STYLE

CHAINS = (BLUE, ORANGE, GREEN, "#7a3b8f", GREY, "#222222")
MOST_TRACES, MOST_PAIRS, RANK_BINS = 24, 8, 20

WIDE = 8.0
"""Fold above which an axis of a parameter on a log scale is logarithmic."""

SAID = 0.8
"""Correlation with a parameter already shown above which a ridge is another view of the same one."""


def is_log(posterior: Posterior, i: int) -> bool:
    """Whether an unknown is read on a logarithmic scale."""
    free = posterior.problem.objective.free.free
    return i >= len(free) or free[i].transform.scale == "log"


def with_unit(posterior: Posterior, i: int) -> str:
    """An unknown's unit in brackets; nothing for a pure number."""
    return "" if posterior.units[i] == "1" else f" ({posterior.units[i]})"


def log_ticks(axis: Axis, low: float, high: float) -> None:
    """Few ticks in plain numbers on a logarithmic axis, at least one of them whatever its range."""
    few = np.log10(high / low) > 1.5
    axis.set_major_locator(LogLocator(numticks=4) if few else LogLocator(subs=(1.0, 2.0, 5.0), numticks=5))
    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axis.set_minor_locator(NullLocator())


# --- traces and ranks ------------------------------------------------------------------------------------------------


def trace_figure(posterior: Posterior) -> Figure:
    """Per unknown: every chain's path, and how often each chain holds which ranks. Chains that agree look alike."""
    shown, title = _worst_first(posterior)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 0.95 * len(shown) + 0.9), layout="constrained")
        axes = figure.subplots(len(shown), 2, squeeze=False, width_ratios=(2, 1), sharex="col")
        for row, i in zip(axes, shown, strict=True):
            _trace(row[0], posterior, i)
            _ranks(row[1], posterior, i)
        axes[0, 0].set_title(f"{title}; one colour a chain", loc="left")
        axes[0, 1].set_title("ranks, level if chains agree", loc="left", pad=16)
        axes[-1, 0].set_xlabel("draw" + ("; red: divergent" if posterior.draws.diverging.any() else ""))
        axes[-1, 1].set_xlabel("rank among all draws")
    return figure


def _worst_first(posterior: Posterior) -> tuple[list[int], str]:
    """Unknowns to show, and which they are: all if they are few, else those that agree least between chains."""
    rhat, total = np.nan_to_num(posterior.diagnosis.rhat, nan=np.inf), len(posterior.names)
    if total <= MOST_TRACES:
        return list(range(total)), "trace"
    return np.argsort(-rhat)[:MOST_TRACES].tolist(), f"trace, {MOST_TRACES} of {total}: largest R-hat first"


def _trace(axes: Axes, posterior: Posterior, i: int) -> None:
    values = posterior.values[..., i]
    for c, chain in enumerate(values):
        axes.plot(chain, lw=0.4, color=CHAINS[c % len(CHAINS)], alpha=0.8)
    lost = np.argwhere(posterior.draws.diverging)
    if len(lost):
        axes.plot(lost[:, 1], np.full(len(lost), values.min()), "|", color=RED, ms=5)
    if is_log(posterior, i) and values.max() > WIDE * values.min():
        axes.set_yscale("log")
        log_ticks(axes.yaxis, float(values.min()), float(values.max()))
    else:
        axes.yaxis.set_major_locator(MaxNLocator(3))
    label = f"{posterior.names[i]}\n{with_unit(posterior, i)}".rstrip()
    axes.set_ylabel(label, rotation=0, ha="right", va="center", fontsize=7.5)
    axes.tick_params(labelsize=6.5)
    axes.margins(x=0)


def _ranks(axes: Axes, posterior: Posterior, i: int) -> None:
    values, found = posterior.values[..., i], posterior.diagnosis
    ranks = values.ravel().argsort().argsort().reshape(values.shape)
    edges = np.linspace(0, values.size, RANK_BINS + 1)
    expected = values.shape[1] / RANK_BINS
    for c, chain in enumerate(ranks):
        counts = np.histogram(chain, edges)[0]
        axes.stairs(counts / expected, edges, color=CHAINS[c % len(CHAINS)], lw=1)
    axes.axhline(1.0, color=GREY, lw=0.6)
    axes.set_ylim(0, 2.2)
    words = f"R-hat {found.rhat[i]:.3f}, {min(found.ess_bulk[i], found.ess_tail[i]):.0f} effective draws"
    axes.text(0.0, 1.0, words, transform=axes.transAxes, fontsize=6.5, va="bottom", color="#444444")
    axes.tick_params(labelsize=6.5)
    axes.margins(x=0)


# --- pairs -----------------------------------------------------------------------------------------------------------


def pair_figure(posterior: Posterior) -> Figure:
    """Unknowns entangled with each other, pair by pair, and the correlation beside; divergent draws in red."""
    x = np.stack([_plain(posterior, i) for i in range(len(posterior.names))], axis=1)
    with np.errstate(all="ignore"):
        correlation = np.nan_to_num(np.corrcoef(x.T))
    shown = ridges(correlation)
    k = len(shown)
    lost = posterior.draws.diverging.ravel()
    thin = slice(None, None, max(1, len(x) // 1500))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(1.35 * k + 1.2, 1.35 * k + 1.0), layout="constrained")
        grid = figure.subplots(k, k, squeeze=False)
        for r, i in enumerate(shown):
            for c, j in enumerate(shown):
                axes = grid[r, c]
                if c > r:
                    axes.set_axis_off()
                    _correlation(axes, correlation[i, j])
                elif c == r:
                    axes.hist(x[:, i], bins=30, color=BLUE, alpha=0.8)
                    axes.set_yticks([])
                else:
                    axes.plot(x[thin, j], x[thin, i], ".", ms=1.5, color=BLUE, alpha=0.4, rasterized=True)
                    axes.plot(x[lost, j], x[lost, i], ".", ms=3, color=RED)
                _label(axes, posterior, (r, c, k), (i, j))
        if k < len(posterior.names):
            figure.suptitle(f"{k} of {len(posterior.names)} unknowns: the strongest ridges, each once", fontsize=10)
    return figure


def ridges(correlation: np.ndarray) -> list[int]:
    """Unknowns to show as pairs: all if they are few, else the most correlated pairs, each ridge once.

    Twenty lines' tolerances that move together are one ridge, and would leave no room for a second one.

    Args:
        correlation: (n, n).

    Returns:
        At most `MOST_PAIRS` positions, partners next to each other.
    """
    n = len(correlation)
    if n <= MOST_PAIRS:
        return list(range(n))
    size = np.abs(correlation)
    first, second = np.triu_indices(n, 1)
    order = np.argsort(-size[first, second], kind="stable")
    shown: list[int] = []
    for i, j in zip(first[order].tolist(), second[order].tolist(), strict=True):
        if len(shown) == MOST_PAIRS:
            break
        if not shown or size[np.ix_([i, j], shown)].max() < SAID:
            shown += [i, j]
    return shown


def _correlation(axes: Axes, value: float) -> None:
    shade = "#222222" if abs(value) > 0.5 else GREY if abs(value) > 0.2 else "#cccccc"
    axes.text(0.5, 0.5, f"{value:.2f}", ha="center", va="center", color=shade)


def _label(axes: Axes, posterior: Posterior, place: tuple[int, int, int], pair: tuple[int, int]) -> None:
    r, c, k = place
    axes.tick_params(labelsize=6)
    for axis in (axes.xaxis, axes.yaxis) if r != c else (axes.xaxis,):
        axis.set_major_locator(MaxNLocator(3))
    if r == k - 1:
        axes.set_xlabel(_short(posterior, pair[1]), fontsize=6.5)
    elif c <= r:
        axes.xaxis.set_major_formatter(NullFormatter())
    if c == 0:
        axes.set_ylabel(_short(posterior, pair[0]), fontsize=6.5)
    elif c < r:
        axes.yaxis.set_major_formatter(NullFormatter())


def _short(posterior: Posterior, i: int) -> str:
    first, _, rest = posterior.names[i].partition(".")
    name = f"{first}\n{rest}" if rest else first
    return ("log10 " if is_log(posterior, i) else "") + name + with_unit(posterior, i)


def _plain(posterior: Posterior, i: int) -> np.ndarray:
    values = posterior.values[..., i].ravel()
    return np.log10(values) if is_log(posterior, i) else values
