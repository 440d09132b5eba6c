"""Figures of a combination: dose-response matrix, contour with isoboles, surface, score maps, potency and efficacy."""

import re
from collections.abc import Sequence
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from scipy.interpolate import RegularGridInterpolator

from her2pkpd.report.figures import BLUE, GREY, ORANGE, STYLE
from her2pkpd.synergy.blocks import Block
from her2pkpd.synergy.null_models import hill_dose, hill_effect
from her2pkpd.synergy.surface_fit import SurfaceFit

MANY = 20
"""More blocks than this are too many for a figure each."""

NAMED = 12
"""More blocks than this are too many to be named in one figure."""


def matrix_figure(block: Block, curves: np.ndarray) -> Figure:
    """Mean response at every pair of doses, written into its cell, beside the single drugs with their Hill curves.

    Args:
        block: two drugs.
        curves: (7,) of `her2pkpd.synergy.scores.BlockScores`, NaN where there are none.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.4, 3.8), layout="constrained")
        parts = figure.add_gridspec(2, 2, width_ratios=(1, 1.9))
        axes = figure.add_subplot(parts[:, 1])
        grid, x, y = _matrix(block.doses, block.survival)
        top = max(1.0, float(np.nanmax(grid)))
        image = axes.imshow(grid, origin="lower", cmap="viridis", vmin=0, vmax=top, aspect="auto")
        _dose_axes(axes, block, x, y)
        for (j, i), value in np.ndenumerate(grid):
            if np.isfinite(value):
                axes.text(i, j, f"{value:.2f}", ha="center", va="center", fontsize=7, color="w" if value < 0.6 else "k")
        figure.colorbar(image, ax=axes, label="survival (1 = no effect)")
        axes.set_title(block.name, loc="left")
        for drug in (0, 1):
            _single(figure.add_subplot(parts[drug, 0]), block, drug, curves, top)
    return figure


def _single(axes: Axes, block: Block, drug: int, curves: np.ndarray, top: float) -> None:
    """Wells of one drug alone over its dose, and the curve that Loewe, ZIP and predictions use."""
    alone, none = block.alone(drug), (block.doses == 0).all(axis=1)
    if alone.any():
        axes.semilogx(block.doses[alone, drug], block.survival[alone], "o", ms=3, color=BLUE, mfc="none")
        ends = block.doses[alone, drug].min(), block.doses[alone, drug].max()
        if np.isfinite(curves).all():
            x = np.geomspace(*ends, 80)
            axes.plot(
                x, hill_effect(x, *(np.asarray(curves[k]) for k in (0, 1 + drug, 3 + drug, 5 + drug))), color=BLUE
            )
    if none.any():
        axes.axhline(float(block.survival[none].mean()), color=GREY, lw=0.8, ls=":")
    axes.set_ylim(min(0.0, float(block.survival.min())), top * 1.05)
    axes.set_xlabel(f"{block.drugs[drug]}, {block.units[drug]}", fontsize=8)
    axes.set_ylabel("survival", fontsize=8)
    axes.tick_params(labelsize=7)


def score_figure(block: Block, table: pd.DataFrame, score: str, mean: str = "") -> Figure:
    """One score at every pair of doses; a star where its corrected p-value is below 0.05, hatched where undefined.

    Args:
        block: two drugs.
        table: its scores.
        score: which.
        mean: the score of the whole block as text, for the title.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.8, 3.8), layout="constrained")
        axes = figure.add_subplot()
        index = "_ci_" in score
        grid, star, x, y = _score_grid(table, score)
        top = max(float(np.nanmax(np.abs(grid))) if np.isfinite(grid).any() else 0.0, 1e-3)
        axes.patch.set(facecolor="#eeeeee", hatch="////", edgecolor="#bbbbbb")
        norm = TwoSlopeNorm(0.0, -top, top)
        image = axes.imshow(grid, origin="lower", cmap="RdBu_r", norm=norm, aspect="auto")
        _dose_axes(axes, block, x, y)
        for (j, i), shade in np.ndenumerate(grid):
            if np.isfinite(shade):
                text = f"{2.0**-shade if index else shade:.2f}{'*' if star[j, i] == 1 else ''}"
                color = "w" if abs(shade) > 0.65 * top else "k"
                axes.text(i, j, text, ha="center", va="center", fontsize=7, color=color)
        figure.colorbar(image, ax=axes, label=f"{'-log2 ' if index else ''}{score}", format="%.2g")
        axes.set_title(f"{block.name}\n{_title(score)}{': ' if mean else ''}{mean}", loc="left", fontsize=9)
        figure.supxlabel("* q < 0.05; hatched: the null model is undefined", fontsize=7, color=GREY)
    return figure


def landscape_figure(block: Block, table: pd.DataFrame, score: str) -> Figure:
    """A score between the doses, interpolated, as a landscape: red hills are synergy, blue valleys antagonism."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5.0, 4.2), layout="constrained")
        axes: Any = figure.add_subplot(projection="3d")
        grid, _, x, y = _score_grid(table, score)
        fine = [np.linspace(0, len(v) - 1, 10 * (len(v) - 1) + 1) for v in (y, x)]
        smooth = RegularGridInterpolator([np.arange(len(v)) for v in (y, x)], grid, method=_order(grid))
        shown = smooth(np.stack(np.meshgrid(*fine, indexing="ij"), axis=-1))
        top = max(float(np.nanmax(np.abs(shown))), 1e-3)
        where = [
            np.log10(np.interp(f, np.arange(len(v)), v)) if len(v) > 1 else f for f, v in zip(fine, (y, x), strict=True)
        ]
        mesh = np.meshgrid(where[1], where[0])
        axes.plot_surface(*mesh, shown, cmap="RdBu_r", norm=TwoSlopeNorm(0.0, -top, top), lw=0.1, edgecolor="#00000030")
        axes.contourf(
            *mesh, shown, zdir="z", offset=-1.3 * top, levels=12, cmap="RdBu_r", norm=TwoSlopeNorm(0, -top, top)
        )
        axes.set_zlim(-1.3 * top, 1.1 * top)
        for k, place in ((0, axes.set_xlabel), (1, axes.set_ylabel)):
            place(f"log10 {block.drugs[k]}, {block.units[k]}", fontsize=8)
        axes.set_zlabel(_title(score), fontsize=8)
        axes.tick_params(labelsize=7)
        axes.view_init(25, -125)
        axes.set_title(f"{block.name}: {score}", loc="left", fontsize=9)
    return figure


def _order(grid: np.ndarray) -> Literal["cubic", "linear"]:
    return "cubic" if min(grid.shape) >= 4 and np.isfinite(grid).all() else "linear"


def _score_grid(table: pd.DataFrame, score: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A score (-log2 of an index) and whether it is significant, over the doses of the second and first drug."""
    rows: Any = table[table["score"] == score]
    doses = rows[["concentration", "concentration_2"]].to_numpy(dtype=float)
    value = rows["value"].to_numpy(dtype=float)
    grid, x, y = _matrix(doses, -np.log2(np.maximum(value, 1e-6)) if "_ci_" in score else value)
    star, _, _ = _matrix(doses, (rows["q"] < 0.05).to_numpy(dtype=float))
    return grid, star, x, y


def _title(score: str) -> str:
    """The score in words: "Bliss excess", "Loewe CI"."""
    words = re.split("_gt0_|_lt1_", score)[0].split("_")
    known = {"bliss": "Bliss", "loewe": "Loewe", "chou": "Chou", "talalay": "Talalay"}
    return " ".join(known.get(w, w.upper() if w in ("hsa", "zip", "ci") else w) for w in words)


def contour_figure(block: Block, fit: SurfaceFit, curves: np.ndarray) -> Figure:
    """Fitted response between the doses, its contours, and the isoboles of Loewe additivity (dashed)."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.8, 3.8), layout="constrained")
        axes = figure.add_subplot()
        x, y, grid = _fitted(block, fit)
        filled = axes.contourf(
            x, y, grid, levels=np.linspace(min(0.0, grid.min()), max(1.0, grid.max()), 21), cmap="viridis"
        )
        levels = [v for v in (0.25, 0.5, 0.75) if grid.min() < v < grid.max()]
        if levels:
            axes.clabel(axes.contour(x, y, grid, levels=levels, colors="w", linewidths=1.2), fontsize=7)
        if np.isfinite(curves).all():
            for level in levels:
                _isobole(axes, level, curves, x, y)
        axes.set(xscale="log", yscale="log", xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
        axes.set_xlabel(f"{block.drugs[0]}, {block.units[0]}")
        axes.set_ylabel(f"{block.drugs[1]}, {block.units[1]}")
        figure.colorbar(filled, ax=axes, label="survival", format="%.2g")
        axes.set_title(f"{fit.surface.name}: solid, contours; dashed, Loewe isoboles", loc="left", fontsize=9)
    return figure


def _isobole(axes: Axes, level: float, curves: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
    e0, plateau, slope, potency = curves[0], curves[1:3], curves[3:5], curves[5:7]
    alone = hill_dose(np.full(2, level), np.full(2, e0), plateau, slope, potency)
    if not np.isfinite(alone).all():
        return
    part = 1 / (1 + np.exp(-np.linspace(-12, 12, 200)))
    axes.plot(part * alone[0], (1 - part) * alone[1], color=ORANGE, ls="--", lw=1.2)


def surface_figure(block: Block, fit: SurfaceFit) -> Figure:
    """The fitted surface in three dimensions with the measured means."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.8, 4.2), layout="constrained")
        axes: Any = figure.add_subplot(projection="3d")
        x, y, grid = _fitted(block, fit)
        axes.plot_surface(*np.log10(np.meshgrid(x, y)), grid, cmap="viridis", alpha=0.75, lw=0)
        both = block.combined
        axes.scatter(*np.log10(block.doses[both]).T, block.survival[both], s=8, color=ORANGE, depthshade=False)
        axes.set_xlabel(f"log10 {block.drugs[0]}, {block.units[0]}", fontsize=8)
        axes.set_ylabel(f"log10 {block.drugs[1]}, {block.units[1]}", fontsize=8)
        axes.set_zlabel("survival", fontsize=8)
        axes.tick_params(labelsize=7)
        axes.view_init(25, 55)
        axes.set_title(f"{fit.surface.name} and measured wells", loc="left")
    return figure


def potency_efficacy_figure(surfaces: pd.DataFrame) -> Figure:
    """MuSyC's two kinds of synergy per block: log10 alpha of either drug against beta, with intervals."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.6, 3.6), layout="constrained")
        axes = figure.add_subplot()
        table = surfaces[surfaces["model"] == "musyc"].set_index(["block", "parameter"])
        blocks = table.index.get_level_values(0).unique()
        for name, color in (("alpha12", BLUE), ("alpha21", ORANGE)):
            for i, block in enumerate(blocks):
                a, b = (table.loc[(block, p)] for p in (name, "beta"))
                x = np.clip(np.log10(np.maximum([a["estimate"], a["lower"], a["upper"]], 1e-9)), -4, 4)
                z = np.clip([b["estimate"], b["lower"], b["upper"]], -2, 2)
                error: Any = {"xerr": [[x[0] - x[1]], [x[2] - x[0]]], "yerr": [[z[0] - z[1]], [z[2] - z[0]]]}
                label = (
                    f"{name}: {'first on second' if name == 'alpha12' else 'second on first'} drug" if i == 0 else None
                )
                if name == "alpha12" and len(blocks) <= NAMED:
                    axes.annotate(str(block)[:28], (x[0], z[0]), (4, 4), textcoords="offset points", fontsize=6)
                if np.isfinite([*x, *z]).all():
                    axes.errorbar(x[0], z[0], fmt="o", ms=4, color=color, lw=0.8, label=label, **error)
        axes.axhline(0, color=GREY, lw=0.6)
        axes.axvline(0, color=GREY, lw=0.6)
        axes.set_xlabel("potency: log10 alpha (right is synergy)")
        axes.set_ylabel("efficacy: beta (up is synergy)")
        if axes.get_legend_handles_labels()[1]:
            axes.legend(fontsize=7, loc="upper left")
        axes.set_title("MuSyC", loc="left")
    return figure


def ranking_figure(ranking: pd.DataFrame, score: str, shown: int = 30) -> Figure:
    """The strongest blocks by one score, with intervals; filled where the corrected p-value is below 0.05."""
    rows = ranking[(ranking["score"] == score) & ranking["value"].notna()].head(shown).iloc[::-1]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 1.4 + 0.2 * len(rows)), layout="constrained")
        axes = figure.add_subplot()
        axes.set_ylim(-0.7, len(rows) - 0.3)
        for i, row in enumerate(rows.to_dict("records")):
            axes.plot([row["lower"], row["upper"]], [i, i], color=BLUE, lw=1)
            axes.plot(row["value"], i, "o", ms=4, color=BLUE, mfc=BLUE if row["q"] < 0.05 else "w")
        axes.axvline(1.0 if "_ci_" in score else 0.0, color=GREY, lw=0.6)
        axes.set_yticks(range(len(rows)), [str(b)[:48] for b in rows["block"]], fontsize=7)
        axes.set_xlabel(score)
        axes.set_title("Combinations, strongest on top (filled: q < 0.05)", loc="left")
    return figure


def _matrix(doses: np.ndarray, value: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x, y = np.unique(doses[:, 0]), np.unique(doses[:, 1])
    total, count = np.zeros((len(y), len(x))), np.zeros((len(y), len(x)))
    at = (np.searchsorted(y, doses[:, 1]), np.searchsorted(x, doses[:, 0]))
    np.add.at(total, at, value)
    np.add.at(count, at, 1.0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan), x, y


def _dose_axes(axes: Axes, block: Block, x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray) -> None:
    axes.set_xticks(range(len(x)), [f"{v:.3g}" for v in x], rotation=60, fontsize=7)
    axes.set_yticks(range(len(y)), [f"{v:.3g}" for v in y], fontsize=7)
    axes.set_xlabel(f"{block.drugs[0]}, {block.units[0]}")
    axes.set_ylabel(f"{block.drugs[1]}, {block.units[1]}")


def _fitted(block: Block, fit: SurfaceFit) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    ends = [(d[d > 0].min(), d.max()) for d in block.doses.T]
    x, y = (np.geomspace(a, b, 60) for a, b in ends)
    return x, y, fit.predict(np.stack(np.meshgrid(x, y), axis=-1))
