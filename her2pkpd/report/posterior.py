"""The posterior's part of a fit's folder: draws, tables, figures, and its sections of the report."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from her2pkpd.fit.curves import Curve, posterior_curves
from her2pkpd.posterior.arviz_io import save
from her2pkpd.posterior.checks import metric_checks, predictive_checks
from her2pkpd.posterior.compare import UNRELIABLE, loo
from her2pkpd.posterior.result import Posterior
from her2pkpd.report.page import Page, png
from her2pkpd.report.posterior_figures import pair_figure, trace_figure
from her2pkpd.report.posterior_intervals import forest_figure
from her2pkpd.report.predictive_figures import metric_figure, new_wells, predictive_figure
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
        checks: posterior predictive checks of the wells.
        metrics: those of published metrics.
        loo: expected log predictive density of wells left out, its standard error, and how many are unreliable.
        figures: name and PNG of every figure.
    """

    posterior: Posterior
    checks: pd.DataFrame
    metrics: pd.DataFrame
    loo: tuple[float, float, int]
    figures: list[tuple[str, bytes]]


def write_posterior(posterior: Posterior, curves: list[Curve], folder: Path) -> PosteriorPart:
    """Write ``posterior.nc``, ``posterior.csv``, the predictive checks there are, and draw the figures.

    Args:
        posterior: the draws.
        curves: the fit's own curves, as `fitted_curves` gives them.
        folder: where to.
    """
    save(posterior, folder / "posterior.nc")
    write_text(folder / "posterior.csv", posterior.table().to_csv(index=False))
    checks = predictive_checks(posterior)
    published = metric_checks(posterior)
    for name, table in (("predictive_checks.csv", checks), ("predictive_metrics.csv", published)):
        if len(table):
            write_text(folder / name, table.to_csv(index=False))
    elpd, k = loo(posterior)
    leave_one_out = float(elpd.sum()), float(np.sqrt(len(elpd)) * elpd.std()), int((k > UNRELIABLE).sum())
    figures = [(name, png(figure)) for name, figure in _figures(posterior, curves, published)]
    return PosteriorPart(posterior, checks, published, leave_one_out, figures)


def _figures(posterior: Posterior, curves: list[Curve], published: pd.DataFrame) -> list[tuple[str, Figure]]:
    figures = [("posterior traces", trace_figure(posterior)), ("posterior intervals", forest_figure(posterior))]
    if len(posterior.names) >= PAIRS_NEED:
        figures.append(("posterior pairs", pair_figure(posterior)))
    if len(published):
        figures.append(("predictive metrics", metric_figure(published)))
    flat = posterior.flat
    chosen = flat[np.linspace(0, len(flat) - 1, min(DRAWN, len(flat))).astype(int)]
    bands = posterior_curves(posterior.problem, chosen) if curves else []
    for curve, band in zip(curves, bands, strict=True):
        partner = "".join(f" {drug} {dose:g}" for drug, dose in curve.partner)
        name = f"predictive {curve.cell_line} {curve.drug}{partner} {curve.readout} {curve.time:g}h {curve.assay}"
        figures.append((name.strip(), predictive_figure(curve, band, new_wells(posterior, curve))))
    return figures


def posterior_sections(page: Page, part: PosteriorPart) -> None:
    """Add a posterior's sections to a report."""
    posterior = part.posterior
    page.heading("Posterior")
    page.text("Whether the draws can be trusted:", kind="note")
    for line in posterior.summary().splitlines():
        page.text(line.strip(), kind="bad" if "WARNING" in line else "")
    ends = {x: f"{x} (95 % equal-tailed)" for x in ("lower", "upper")}
    page.table(posterior.table().drop(columns=["interval"]).rename(columns=ends))
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
    if len(part.checks):
        page.table(part.checks)
    if len(part.metrics):
        met, total = int(np.sum(part.metrics["verdict"].to_numpy() == "as predicted")), len(part.metrics)
        page.text(f"{met} of {total} published metrics lie in their 95 % predictive interval.")
        page.table(part.metrics)
    page.figures([f for f in part.figures if f[0].startswith("predictive")])
