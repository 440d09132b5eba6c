"""`fit_file`: a ``fit.toml`` in; tables, figures and one report out."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from her2pkpd.errors import ComputationError
from her2pkpd.fit.curves import Curve, fitted_curves
from her2pkpd.fit.optimise import Progress, Start
from her2pkpd.fit.problem import FitProblem, load_problem
from her2pkpd.fit.run import FitResult, fit
from her2pkpd.model import diagram, equation_table
from her2pkpd.model import parameter_table as model_parameters
from her2pkpd.posterior.result import Posterior
from her2pkpd.posterior.run import check_installed, sample
from her2pkpd.report.baseline import baselines
from her2pkpd.report.figures import curve_figure, published_figure, waterfall_figure
from her2pkpd.report.identifiability import eigenvector_figure, profile_figure, section
from her2pkpd.report.page import Page, png
from her2pkpd.report.posterior import CHECKPOINT as DRAWS
from her2pkpd.report.posterior import PosteriorPart, posterior_sections, write_posterior
from her2pkpd.runinfo import RunInfo, check_output, hash_files, prepare_output, write_run, write_text

INTERVALS = {
    "profile": "Intervals are 95 % profile-likelihood intervals; noise levels have Laplace intervals.",
    "laplace": "Intervals are 95 % Laplace intervals on the scale each parameter was estimated on.",
}

CHECKPOINT = "starts.json"
"""Finished starts of a fit that has not ended; removed when it has."""

Profiled = Callable[[int, int], None]
Drawn = Callable[[int, int, str], None]


def fit_file(
    settings: str | Path, out: str | Path, *, force: bool = False, progress: bool = True, resume: bool = True
) -> FitResult:
    """Run a fit, sample its posterior if ``[method] sample`` says so, and write its folder.

    An interrupted fit resumes from its finished starts, and from the draws made, when run again into the same folder,
    and ends with the same results; ended by Ctrl-C it also leaves the results of what was finished.

    Args:
        settings: path of the ``fit.toml``.
        out: folder to write: ``parameters.csv``, ``predictions.csv``, ``fit.json``, ``figures/``, ``report.html``,
            ``run.json``, and ``published_vs_fitted.csv`` or ``logistic.csv`` where they apply; with a posterior also
            ``posterior.nc``, ``posterior.csv`` and ``predictive_checks.csv``.
        force: write into a folder that holds something else.
        progress: show a progress bar.
        resume: whether to go on from an interrupted run; False starts afresh.

    Returns:
        The `FitResult`.

    Raises:
        InputError: for bad input; nothing is written.
        ComputationError: if no start succeeded, or wells fail at the optimum (what there is is written and marked).
    """
    began = time.perf_counter()
    problem = load_problem(settings)
    check_installed(problem.settings.method.sample, problem.settings.method.init)
    inputs = hash_files(problem.settings.files)
    checked = check_output(out, force=force, command="fit", inputs=inputs)
    finished = _resume(checked, inputs) if resume else []
    drawn = _bytes(checked / DRAWS) if resume else None
    folder = prepare_output(out, force, command="fit", inputs=inputs)
    if drawn is not None:
        (folder / DRAWS).write_bytes(drawn)
    done: list[Start] = []

    def keep(*new: Start) -> None:
        done.extend(new)
        write_text(folder / CHECKPOINT, json.dumps({"inputs": inputs, "starts": [_as_json(s) for s in done]}))
        write_run(folder, RunInfo("fit", inputs, time.perf_counter() - began, "unfinished"))

    if finished:
        keep(*finished)
    with _bar(problem, progress) as (tick, profiled, sampled):
        result = fit(problem, progress=tick, finished=tuple(finished), on_start=keep, on_profile=profiled)
        if problem.settings.method.sample != "none" and not result.interrupted:
            result = _sampled(result, folder / DRAWS, sampled)
    failed = int(np.sum(result.evaluation.status != 0))
    _write(result, folder)
    if not result.interrupted:
        (folder / CHECKPOINT).unlink(missing_ok=True)
        (folder / DRAWS).unlink(missing_ok=True)
    write_run(folder, _run_info(result, inputs, time.perf_counter() - began, failed))
    if failed:
        raise ComputationError(
            f"{failed} of {len(result.evaluation.status)} lanes fail at the optimum; see status in predictions.csv."
        )
    return result


def _sampled(result: FitResult, keep: Path, progress: Drawn | None) -> FitResult:
    """The fit with its posterior, or with what there is of it when the user stops."""
    try:
        posterior = sample(result, progress=progress, keep=keep)
    except KeyboardInterrupt:
        return replace(result, cut_short=True)
    return replace(result, posterior=posterior, cut_short=posterior.interrupted)


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _as_json(start: Start) -> dict[str, Any]:
    return {
        "number": start.number,
        "cost": start.cost,
        "u": start.u.tolist(),
        "evaluations": start.evaluations,
        "message": start.message,
    }


def _resume(folder: Path, inputs: str) -> list[Start]:
    try:
        kept = json.loads((folder / CHECKPOINT).read_text(encoding="utf-8"))
        if kept["inputs"] != inputs:
            return []
        return [Start(s["number"], s["cost"], np.array(s["u"]), s["evaluations"], s["message"]) for s in kept["starts"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


@contextmanager
def _bar(problem: FitProblem, wanted: bool) -> Iterator[tuple[Progress | None, Profiled | None, Drawn | None]]:
    if not wanted:
        yield None, None, None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import (
        Progress as Bar,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("starts", total=problem.settings.method.starts)

        def tick(done: int, planned: int, best: float) -> None:
            bar.update(task, completed=done, total=planned, description=f"starts (best {best:.2f})")

        def profiled(done: int, planned: int) -> None:
            bar.update(intervals, completed=done, total=planned, visible=True)

        def sampled(done: int, planned: int, words: str) -> None:
            bar.update(draws, completed=done, total=planned, description=words, visible=True)

        intervals = bar.add_task("intervals", total=None, visible=False)
        draws = bar.add_task("draws", total=None, visible=False)
        yield tick, profiled, sampled


def _write(result: FitResult, folder: Path) -> None:
    curves = fitted_curves(result.problem, result.optimum.best.u)
    logistic, at_curves = baselines(curves)
    tables = {"parameters.csv": result.parameters, "predictions.csv": result.predictions}
    tables["identifiability.csv"] = result.identifiability.table
    tables["eigenvectors.csv"] = result.identifiability.eigenvectors
    if result.problem.metrics:
        tables["published_vs_fitted.csv"] = result.published
    if len(logistic):
        tables["logistic.csv"] = logistic
    for name, table in tables.items():
        write_text(folder / name, table.to_csv(index=False))
    write_text(folder / "fit.json", json.dumps(_plain(_fit_json(result)), indent=2, allow_nan=False) + "\n")
    own = [("eigenvectors", eigenvector_figure(result.problem.objective, result.optimum.best.u))]
    own += [("profiles", profile_figure(result))] if result.curves else []
    known = [(name, png(figure)) for name, figure in own]
    figures = [(name, png(figure)) for name, figure in _figures(result, curves, at_curves)]
    (folder / "figures").mkdir(exist_ok=True)
    for name, figure in [*known, *figures]:
        (folder / "figures" / f"{_file_name(name)}.png").write_bytes(figure)
    part = None
    if isinstance(result.posterior, Posterior):
        part = write_posterior(result.posterior, curves, folder)
        for name, figure in part.figures:
            (folder / "figures" / f"{_file_name(name)}.png").write_bytes(figure)
    write_text(folder / "report.html", _page(result, known, figures, logistic, part).html())


def _figures(result: FitResult, curves: list[Curve], at_curves: list[np.ndarray | None]) -> list[tuple[str, Figure]]:
    figures = [("waterfall", waterfall_figure([s.cost for s in result.optimum.starts]))]
    if result.problem.metrics:
        figures.append(("published against fitted", published_figure(result.published)))
    for curve, baseline in zip(curves, at_curves, strict=True):
        partner = "".join(f" {drug} {dose:g}" for drug, dose in curve.partner)
        name = f"{curve.cell_line} {curve.drug}{partner} {curve.readout} {curve.time:g}h {curve.assay}".strip()
        figures.append((name, curve_figure(curve, baseline=baseline)))
    return figures


def _file_name(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-." else "_" for c in name)


def _plain(value: Any) -> Any:
    """JSON has no NaN and no infinity; what is not a number there is null."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _fit_json(result: FitResult) -> dict[str, Any]:
    objective = result.problem.objective
    return {
        "title": result.problem.settings.title,
        "model": {"name": result.problem.model.name, "hash": result.problem.model.hash},
        "data": {"wells": len(result.problem.observations), "published_metrics": len(result.problem.metrics)},
        "unknowns": objective.names,
        "objective": {"value": result.optimum.best.cost, "meaning": "-2 log posterior up to a constant"},
        "converged": result.converged,
        "interrupted": result.interrupted,
        "starts": [{k: v for k, v in _as_json(s).items() if k != "u"} for s in result.optimum.starts],
        "coordinates": result.optimum.best.u.tolist(),
        "covariance": result.covariance.tolist(),
        "summary": result.summary().splitlines(),
    }


def _page(
    result: FitResult,
    known: list[tuple[str, bytes]],
    figures: list[tuple[str, bytes]],
    logistic: pd.DataFrame,
    part: PosteriorPart | None,
) -> Page:
    page = Page(result.problem.settings.title)
    for line in result.summary().splitlines()[1:]:
        page.text(line.strip(), kind="bad" if "WARNING" in line else "")
    page.heading("Parameters")
    page.text(INTERVALS[result.problem.settings.method.intervals], kind="note")
    page.table(result.parameters)
    section(page, result.identifiability, known)
    if result.problem.metrics:
        _published_section(page, result)
    if part is not None:
        posterior_sections(page, part)
    page.heading("Figures")
    page.figures(figures)
    if len(logistic):
        page.heading("Each curve's own 4-parameter logistic")
        page.text("The baseline: every curve by itself, four parameters each.", kind="note")
        page.table(logistic)
    page.heading("The model")
    page.text(f"{result.problem.model!r}")
    page.table(equation_table(result.problem.model).query("kind != 'dilution'"))
    page.table(model_parameters(result.problem.model))
    page.text("Reaction diagram (Mermaid):", kind="note")
    page.text(diagram(result.problem.model))
    return page


def _published_section(page: Page, result: FitResult) -> None:
    table = result.published
    page.heading("Published against fitted")
    page.table(table.drop(columns=["source"]))


def _run_info(result: FitResult, inputs: str, seconds: float, failed: int) -> RunInfo:
    codes, counts = np.unique(result.evaluation.status, return_counts=True)
    from her2pkpd.engine import Status

    status = "some lanes failed" if failed else "interrupted" if result.interrupted else "ok"
    return RunInfo(
        "fit", inputs, seconds, status, result.problem.model.hash,
        hash_files([d.file for d in result.problem.settings.data]), result.problem.settings.method.seed,
        result.evaluation.engine,
        {Status(int(c)).name.lower(): int(n) for c, n in zip(codes, counts, strict=True)},
    )  # fmt: skip
