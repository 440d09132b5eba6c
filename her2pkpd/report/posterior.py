"""The posterior's part of a fit's folder: draws, tables, figures, and its sections of the report."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from her2pkpd.fit.curves import Curve, posterior_curves
from her2pkpd.posterior.arviz_io import save
from her2pkpd.posterior.checks import predictive_checks
from her2pkpd.posterior.compare import UNRELIABLE, loo
from her2pkpd.posterior.result import Posterior
from her2pkpd.report.page import Page, png
from her2pkpd.report.posterior_figures import forest_figure, pair_figure, predictive_figure, trace_figure
from her2pkpd.runinfo import write_text

CHECKPOINT = "posterior.partial.npz"
"""State of an unfinished sampling; removed when it has ended."""

DRAWN = 200
"""Draws shown in predictive figures."""

PAIRS_NEED = 2
"""Unknowns below which there is no pair to show."""


@dataclass(frozen=True)
class PosteriorPart:
    """What the report shows of a posterior.

    Attributes:
        posterior: the draws.
        checks: posterior predictive checks.
        loo: expected log predictive density of wells left out, its standard error, and how many are unreliable.
        figures: name and PNG of every figure.
    """

    posterior: Posterior
    checks: pd.DataFrame
    loo: tuple[float, float, int]
    figures: list[tuple[str, bytes]]


def write_posterior(posterior: Posterior, curves: list[Curve], folder: Path) -> PosteriorPart:
    """Write ``posterior.nc``, ``posterior.csv``, ``predictive_checks.csv`` and the figures.

    Args:
        posterior: the draws.
        curves: the fit's own curves, as `fitted_curves` gives them.
        folder: where to.
    """
    save(posterior, folder / "posterior.nc")
    write_text(folder / "posterior.csv", posterior.table().to_csv(index=False))
    checks = predictive_checks(posterior)
    write_text(folder / "predictive_checks.csv", checks.to_csv(index=False))
    elpd, k = loo(posterior)
    leave_one_out = float(elpd.sum()), float(np.sqrt(len(elpd)) * elpd.std()), int((k > UNRELIABLE).sum())
    figures = [(name, png(figure)) for name, figure in _figures(posterior, curves)]
    return PosteriorPart(posterior, checks, leave_one_out, figures)


def _figures(posterior: Posterior, curves: list[Curve]) -> list[tuple[str, Figure]]:
    figures = [("posterior traces", trace_figure(posterior)), ("posterior intervals", forest_figure(posterior))]
    if len(posterior.names) >= PAIRS_NEED:
        figures.append(("posterior pairs", pair_figure(posterior)))
    flat = posterior.flat
    chosen = flat[np.linspace(0, len(flat) - 1, min(DRAWN, len(flat))).astype(int)]
    bands = posterior_curves(posterior.problem, chosen) if curves else []
    for curve, band in zip(curves, bands, strict=True):
        partner = "".join(f" {drug} {dose:g}" for drug, dose in curve.partner)
        name = f"predictive {curve.cell_line} {curve.drug}{partner} {curve.readout} {curve.time:g}h {curve.assay}"
        figures.append((name.strip(), predictive_figure(curve, band)))
    return figures


def posterior_sections(page: Page, part: PosteriorPart) -> None:
    """Add a posterior's sections to a report."""
    posterior = part.posterior
    page.heading("Posterior")
    page.text("Whether the draws can be trusted:", kind="note")
    for line in posterior.summary().splitlines():
        page.text(line.strip(), kind="bad" if "WARNING" in line else "")
    page.table(posterior.table())
    page.text(
        "Estimates are medians, intervals the central 95 % of the posterior. prior_overlap is the area prior and "
        "posterior share: near 1 the data said nothing about the parameter.",
        kind="note",
    )
    page.figures([f for f in part.figures if not f[0].startswith("predictive")])
    page.heading("Does the model look like the data?")
    elpd, se, bad = part.loo
    page.text(f"Leave-one-out predictive density: {elpd:.1f} (standard error {se:.1f}).")
    if bad:
        page.text(f"{bad} wells weigh so much that leaving them out is unreliable (Pareto k above {UNRELIABLE}).")
    page.table(part.checks)
    page.figures([f for f in part.figures if f[0].startswith("predictive")])
