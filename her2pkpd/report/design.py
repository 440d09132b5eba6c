"""`design_file`: a ``fit.toml`` with ``[design]`` in; the next plate, its figure and what it gains out."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from her2pkpd.design.plan import Plan, plan_plate
from her2pkpd.fit.settings import read_fit_settings
from her2pkpd.report.figures import BLUE, GREEN, GREY, ORANGE, STYLE
from her2pkpd.report.page import Page, png
from her2pkpd.runinfo import RunInfo, check_output, hash_files, prepare_output, write_run, write_text

_COLOURS = (BLUE, ORANGE, GREEN, "#7a3b8f", GREY, "#222222")


def design_file(settings: str | Path, out: str | Path, *, force: bool = False, progress: bool = True) -> Plan:
    """Plan the next plate and write its folder.

    Args:
        settings: path of a ``fit.toml`` with a table ``[design]``.
        out: folder to write: ``plate.csv`` (one row a well, to be pipetted and filled in), ``design.csv`` (kinds of
            wells, beside the usual series), ``gain.csv`` (expected intervals), ``design.json``, ``figures/``,
            ``report.html`` and ``run.json``.
        force: write into a folder that holds something else.
        progress: show a progress bar.

    Returns:
        The `Plan`.

    Raises:
        InputError: for bad input; nothing is written.
        ComputationError: if no candidate well could be computed.
    """
    began = time.perf_counter()
    inputs = hash_files(read_fit_settings(settings).files)
    check_output(out, force=force, command="design", inputs=inputs)
    with _bar(progress) as tick:
        plan = plan_plate(settings, progress=tick)
    folder = prepare_output(out, force, command="design", inputs=inputs)
    kinds = pd.concat(
        [plan.wells.assign(plate="proposed"), plan.usual_wells.assign(plate="usual")], ignore_index=True
    )  # fmt: skip
    gain = plan.gain
    for name, table in {"plate.csv": plan.plate, "design.csv": kinds, "gain.csv": gain}.items():
        write_text(folder / name, table.to_csv(index=False))
    write_text(folder / "design.json", json.dumps(_summary(plan, gain), indent=2, allow_nan=False) + "\n")
    figures = [("plate", png(plate_figure(plan))), ("intervals", png(gain_figure(plan)))]
    (folder / "figures").mkdir(exist_ok=True)
    for name, figure in figures:
        (folder / "figures" / f"{name}.png").write_bytes(figure)
    write_text(folder / "report.html", _page(plan, gain, figures).html())
    write_run(folder, RunInfo("design", inputs, time.perf_counter() - began, seed=plan.design.seed))
    return plan


@contextmanager
def _bar(wanted: bool) -> Iterator[Callable[[int, int], None] | None]:
    if not wanted:
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("plates tried", total=None)
        yield lambda done, planned: bar.update(task, completed=done, total=planned)


def _summary(plan: Plan, gain: pd.DataFrame) -> dict[str, object]:
    return {
        "title": plan.settings.title,
        "wells": plan.design.wells,
        "criterion": "D" if not plan.design.target else "interval of the target",
        "target": list(plan.design.target),
        "draws": len(plan.candidates.pool.known),
        "candidates": plan.candidates.pool.size,
        "candidates_that_failed": plan.candidates.lost,
        "efficiency_at_least": plan.choice.efficiency,
        "exchanges": plan.choice.exchanges,
        "usual_series": plan.candidates.common,
        "best_usual_series": plan.best_place,
        "narrower": dict(zip(gain["parameter"], gain["narrower"].astype(float), strict=True)),
    }


def plate_figure(plan: Plan) -> Figure:
    """Where the wells are: concentrations against time for one drug, against each other for two; usual wells hollow."""
    wells, usual = plan.wells, plan.usual_wells
    panels = list(dict.fromkeys(_panel(row) for row in wells.to_dict("records")))
    rows, columns = -(-len(panels) // 3), min(len(panels), 3)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(3.9 * columns, 3.0 * rows), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for own, panel in zip(axes, panels, strict=False):
            chosen, common = (t.loc[[_panel(r) == panel for r in t.to_dict("records")], :] for t in (wells, usual))
            _single(own, chosen, common) if not panel[3] else _pair(own, chosen)
            title = f"{panel[0]}: {panel[2]}" + (f" + {panel[3]}" if panel[3] else "")
            own.set_title(title, loc="left")
        for empty in axes[len(panels) :]:
            empty.set_axis_off()
    return figure


def _panel(row: dict[str, object]) -> tuple[str, str, str, str]:
    return (str(row["cell_line"]), str(row["readout"]), str(row["drug"]), str(row.get("drug_2", "") or ""))


def _single(axes: Axes, chosen: pd.DataFrame, usual: pd.DataFrame) -> None:
    if len(usual):
        axes.scatter(
            usual["concentration"], usual["time"], s=28 * usual["wells"], facecolors="none", edgecolors=GREY, lw=0.9,
            label="usual series",
        )  # fmt: skip
    axes.scatter(
        chosen["concentration"], chosen["time"], s=28 * chosen["wells"], color=BLUE, alpha=0.75, label="proposed"
    )
    for row in chosen.to_dict("records"):
        axes.annotate(str(row["wells"]), (row["concentration"], row["time"]), ha="center", va="center", fontsize=7,
                      color="white")  # fmt: skip
    times = sorted({*chosen["time"], *usual["time"]})
    axes.set_yticks(times)
    margin = 0.25 * (times[-1] - times[0]) + 4.0
    axes.set_ylim(times[0] - margin, times[-1] + margin)
    axes.set_xscale("log")
    axes.set_xlabel("concentration, nM")
    axes.set_ylabel(f"{chosen['readout'].iloc[0]} read at, h")
    axes.legend(fontsize=7, loc="best", markerscale=0.6)


def _pair(axes: Axes, chosen: pd.DataFrame) -> None:
    for colour, (at, own) in zip(_COLOURS, chosen.groupby("time"), strict=False):
        axes.scatter(own["concentration"], own["concentration_2"], s=28 * own["wells"], color=colour, alpha=0.75,
                     label=f"{at:g} h")  # fmt: skip
        for row in own.to_dict("records"):
            place = (row["concentration"], row["concentration_2"])
            axes.annotate(str(row["wells"]), place, ha="center", va="center", fontsize=7, color="white")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(f"{chosen['drug'].iloc[0]}, nM")
    axes.set_ylabel(f"{chosen['drug_2'].iloc[0]}, nM")
    axes.legend(fontsize=7, title="read at", title_fontsize=7)


def gain_figure(plan: Plan) -> Figure:
    """Expected 95 % intervals on each unknown's own scale: by the usual series and by the proposed plate."""
    gain = plan.gain.iloc[::-1]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5.6, 0.36 * len(gain) + 1.2), layout="constrained")
        axes = figure.add_subplot()
        place = np.arange(len(gain))
        axes.barh(place + 0.2, gain["usual"], 0.36, color=GREY, label="usual series")
        axes.barh(place - 0.2, gain["proposed"], 0.36, color=BLUE, label="proposed plate")
        names = [f"{n} (target)" if t else str(n) for n, t in zip(gain["parameter"], gain["target"], strict=True)]
        axes.set_yticks(place, names)
        axes.set_xlabel("expected 95 % interval, width on the log (or log-odds) scale")
        figure.legend(fontsize=7, loc="outside upper right", ncols=2)
    return figure


def _page(plan: Plan, gain: pd.DataFrame, figures: list[tuple[str, bytes]]) -> Page:
    page = Page(f"The next plate: {plan.settings.title}")
    for line in repr(plan).splitlines():
        page.text(line.strip())
    if plan.candidates.lost:
        page.text(f"{plan.candidates.lost} candidate wells could not be computed and are left out.", kind="bad")
    page.text(
        f"The usual series: 8 doses in half-log steps of each drug in each line, half of them above the IC50, read "
        f"at the time nearest to three days ({plan.candidates.common}), with as many treated wells. best_usual: the "
        f"same series where it serves the target best ({plan.best_place}). plate.csv says what goes where; fill in "
        "value and fit again.",
        kind="note",
    )
    page.figures(figures)
    page.heading("Expected intervals")
    page.text(
        "Widths of 95 % intervals on the scale of each parameter: natural logarithm, log odds, or plain.", kind="note"
    )
    page.table(gain)
    page.heading("Kinds of wells")
    page.table(plan.wells)
    return page
