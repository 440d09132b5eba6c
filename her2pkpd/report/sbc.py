"""`sbc_file`: simulation-based calibration of a ``fit.toml``; table, rank histograms and a report out."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.stats import binom

from her2pkpd.errors import InputError, Problem
from her2pkpd.fit.problem import load_problem
from her2pkpd.posterior.run import check_installed
from her2pkpd.posterior.sbc import Calibration, Progress, SbcSettings, calibrate
from her2pkpd.report.figures import BLUE, GREY, STYLE
from her2pkpd.report.page import Page, png
from her2pkpd.runinfo import RunInfo, check_output, hash_files, prepare_output, write_run, write_text

CHECKPOINT = "sbc.partial.npz"
FEWEST = 24


def sbc_file(
    settings: str | Path, out: str | Path, *, plates: int = 192, force: bool = False, progress: bool = True
) -> Calibration:
    """Calibrate a fit and write a folder.

    Args:
        settings: path of the ``fit.toml``.
        out: folder to write: ``sbc.csv``, ``ranks.csv``, ``figures/``, ``report.html``, ``run.json``.
        plates: plates simulated.
        force: write into a folder that holds something else.
        progress: show a progress bar.

    Returns:
        The `Calibration`.

    Raises:
        InputError: for bad input; nothing is written.
    """
    began = time.perf_counter()
    if plates < FEWEST:
        raise InputError(Problem(f"needs at least {FEWEST} plates", "Raise --plates.", column="--plates", value=plates))
    check_installed("nuts")
    problem = load_problem(settings)
    how = SbcSettings(plates=plates, seed=problem.settings.method.seed)
    inputs = hash_files(problem.settings.files)
    place = check_output(out, force=force, command="sbc", inputs=inputs)
    kept = (place / CHECKPOINT).read_bytes() if (place / CHECKPOINT).is_file() else None
    folder = prepare_output(out, force, command="sbc", inputs=inputs)
    if kept is not None:
        (folder / CHECKPOINT).write_bytes(kept)
    write_run(folder, RunInfo("sbc", inputs, 0.0, "unfinished"))
    with _bar(plates, progress) as tick:
        found = calibrate(problem, how, progress=tick, keep=folder / CHECKPOINT, inputs=inputs)
    status = "interrupted" if found.interrupted else "ok"
    _write(found, folder)
    if not found.interrupted:
        (folder / CHECKPOINT).unlink(missing_ok=True)
    seconds = time.perf_counter() - began
    more = {"plates": len(found.ranks), "failed_plates": found.failed, "divergent": found.divergent}
    write_run(folder, RunInfo("sbc", inputs, seconds, status, problem.model.hash, seed=how.seed, more=more))
    return found


@contextmanager
def _bar(planned: int, wanted: bool) -> Iterator[Progress | None]:
    if not wanted:
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True)) as bar:
        task = bar.add_task("plates", total=planned)
        yield lambda done, total, _: bar.update(task, completed=done, total=total)


def _write(found: Calibration, folder: Path) -> None:
    write_text(folder / "sbc.csv", found.table().to_csv(index=False))
    write_text(folder / "ranks.csv", pd.DataFrame(found.ranks, columns=found.names).to_csv(index=False))
    (folder / "figures").mkdir(exist_ok=True)
    figure = png(rank_figure(found))
    (folder / "figures" / "ranks.png").write_bytes(figure)
    page = Page("Simulation-based calibration")
    page.text(
        f"{len(found.ranks)} plates simulated from the prior, each truth ranked among {found.settings.ranked} draws of "
        f"its posterior; {found.failed} plates could not be computed; {found.divergent:.2%} of trajectories diverged."
    )
    page.table(found.table())
    page.text(
        "If likelihood, prior and sampler agree, every rank is equally likely and the histograms are flat within the "
        "grey band (99 %). A hump says that posteriors are too wide, a bowl too narrow, a slope that they lie to one "
        "side.",
        kind="note",
    )
    page.figures([("ranks", figure)])
    write_text(folder / "report.html", page.html())


def rank_figure(found: Calibration) -> Figure:
    """Rank histogram of every unknown, with the band flat ones stay within."""
    columns = min(4, len(found.names))
    rows = -(-len(found.names) // columns)
    bins, n = found.settings.bins, len(found.ranks)
    low, high = binom.ppf([0.005, 0.995], n, 1 / bins)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(2.5 * columns, 1.9 * rows), layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False).ravel()
        for i, axes in enumerate(grid):
            if i >= len(found.names):
                axes.set_axis_off()
                continue
            axes.axhspan(low, high, color="#e4e4e4", lw=0)
            axes.axhline(n / bins, color=GREY, lw=0.6)
            axes.bar(np.arange(bins) + 0.5, found.histogram(i), width=0.9, color=BLUE)
            axes.set_title(f"{found.names[i]}  p {found.p_value(i):.2g}", loc="left", fontsize=7.5)
            axes.set_xticks([])
            axes.set_ylim(0, max(high * 1.3, found.histogram(i).max() * 1.1))
            axes.tick_params(labelsize=6.5)
    return figure
