"""`synergy_file`: a plate in; scores, surfaces, ranking, figures and one report out."""

import json
import math
import os
import time
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from her2pkpd.errors import ComputationError
from her2pkpd.report.page import Page, png
from her2pkpd.report.synergy_figures import (
    MANY,
    contour_figure,
    landscape_figure,
    matrix_figure,
    potency_efficacy_figure,
    ranking_figure,
    score_figure,
    surface_figure,
)
from her2pkpd.runinfo import RunInfo, check_output, hash_files, prepare_output, write_run, write_text
from her2pkpd.synergy.run import SynergyResult, synergy

MAPPED = ("bliss_excess_gt0_is_synergy", "loewe_excess_gt0_is_synergy", "zip_delta_gt0_is_synergy")
"""Scores that get a map of their own."""

LANDSCAPE = "zip_delta_gt0_is_synergy"
"""The score shown as a landscape."""


def synergy_file(
    plate: str | os.PathLike[str], out: str | os.PathLike[str], *, force: bool = False, progress: bool = True
) -> SynergyResult:
    """The command ``her2pkpd synergy``: score every combination of a plate and write the folder.

    Args:
        plate: the plate CSV.
        out: folder to write: ``synergy.csv``, ``surfaces.csv``, ``ranking.csv``, ``summary.json``, ``figures/``,
            ``report.html``, ``run.json``.
        force: write into a folder that holds something else.
        progress: show a progress bar.

    Returns:
        The `SynergyResult`.

    Raises:
        InputError: for bad input; nothing is written.
        ComputationError: if a surface did not converge (what there is is written and marked).
    """
    began = time.perf_counter()
    inputs = hash_files([os.fspath(plate)])
    check_output(os.fspath(out), force=force, command="synergy", inputs=inputs)
    result = _score(plate, progress)
    folder = prepare_output(os.fspath(out), force, command="synergy", inputs=inputs)
    for name, table in (("synergy", result.scores), ("surfaces", result.surfaces), ("ranking", result.ranking)):
        write_text(folder / f"{name}.csv", table.to_csv(index=False))
    write_text(folder / "summary.json", json.dumps(_plain(result.summary()), indent=2, allow_nan=False) + "\n")
    figures = [(name, png(figure)) for name, figure in _figures(result)]
    (folder / "figures").mkdir(exist_ok=True)
    for i, (name, picture) in enumerate(figures, start=1):
        (folder / "figures" / f"{i:03d}_{_file_name(name)}.png").write_bytes(picture)
    write_text(folder / "report.html", _page(result, figures, Path(plate).name).html())
    failed = [f"{f.surface.name} of {n}" for n, fits in result.fits.items() for f in fits if not f.converged]
    counts = {str(s): int(n) for s, n in result.scores["status"].value_counts().items()}
    status = "some surfaces did not converge" if failed else "ok"
    seconds = time.perf_counter() - began
    write_run(folder, RunInfo("synergy", inputs, seconds, status, data_hash=inputs, seed=0, status_counts=counts))
    if failed:
        raise ComputationError(f"{len(failed)} surfaces did not converge ({', '.join(failed[:5])}); see summary.json.")
    return result


def _score(plate: str | os.PathLike[str], progress: bool) -> SynergyResult:
    if not progress:
        return synergy(os.fspath(plate))
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("combinations", total=None)
        return synergy(os.fspath(plate), progress=lambda done, n: bar.update(task, completed=done, total=n))


def _figures(result: SynergyResult) -> list[tuple[str, Figure]]:
    figures: list[tuple[str, Figure]] = []
    surfaces: Any = result.surfaces
    ranking: Any = result.ranking
    if len(result.blocks) > 1:
        figures.append(("ranking", ranking_figure(result.ranking, MAPPED[0])))
    if (surfaces["model"] == "musyc").any() and (surfaces["parameter"] == "beta").any():
        figures.append(("potency and efficacy", potency_efficacy_figure(result.surfaces)))
    best = ranking[ranking["score"] == MAPPED[0]]["block"].head(MANY).tolist()
    for block in (b for b in result.blocks if b.name in best and len(b.drugs) == 2):
        fits = [f for f in result.fits[block.name] if f.surface.name in ("musyc", "musyc_gamma")] or result.fits[
            block.name
        ]
        own: Any = result.scores[result.scores["block"] == block.name]
        details = result.details[block.name]
        means: dict[Any, Any] = {r["score"]: r for r in details.summary.to_dict("records")}
        figures.append((f"{block.name} matrix", matrix_figure(block, details.curves)))
        for s in (s for s in MAPPED if own["score"].eq(s).any()):
            text = "{value:.3f} ({lower:.3f} to {upper:.3f})".format_map(means[s]) if s in means else ""
            figures.append((f"{block.name} {s}", score_figure(block, own, s, text)))
        if _smooth(own):
            figures.append((f"{block.name} landscape", landscape_figure(block, own, LANDSCAPE)))
        if fits:
            figures.append((f"{block.name} contour", contour_figure(block, fits[0], details.curves)))
            figures.append((f"{block.name} surface", surface_figure(block, fits[0])))
    return figures


def _smooth(scores: Any) -> bool:
    """Whether the landscape's score is there at every pair of doses, two of each drug or more."""
    rows = scores[scores["score"] == LANDSCAPE]
    doses = [rows[c].nunique() for c in ("concentration", "concentration_2")]
    return min(doses) > 1 and len(rows) == doses[0] * doses[1] and bool(rows["value"].notna().all())


def _page(result: SynergyResult, figures: list[tuple[str, bytes]], name: str) -> Page:
    page = Page(f"Synergy in {name}")
    page.text(
        "Scores are on the survival scale. The name of each says which side is synergy; intervals are 95 %; q is the "
        "p-value corrected for everything tested with that score (Benjamini-Hochberg). Masked doses are those at "
        "which a null model is undefined, not doses without synergy."
    )
    page.heading("Combinations")
    page.table(result.ranking)
    rules = [f"{block}: {rule}" for block, found in result.rules.items() for rule in found]
    if rules:
        page.heading("Rules applied")
        for rule in rules:
            page.text(rule, kind="note")
    page.heading("Figures")
    page.figures(figures)
    page.heading("Surfaces")
    page.text("Intervals from the profile likelihood; an open end means the data set no limit.", kind="note")
    page.table(result.surfaces)
    return page


def _file_name(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-." else "_" for c in name)[:80]


def _plain(value: Any) -> Any:
    """JSON has no NaN and no infinity; what is not a number there is null."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
