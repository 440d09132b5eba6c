"""Growth-rate inhibition (GR) values and metrics (Hafner, Niepel, Chung and Sorger 2016, Nat Methods 13:521).

    GR(c) = 2 ** (log2(x(c) / x0) / log2(x_ctrl / x0)) - 1                 with counts at time zero
    GR(c) = 2 ** (1 + log2(x(c) / x_ctrl) * Td / t) - 1                    without, from the division time Td

x(c) counts the treated cells at time t, x_ctrl untreated cells then, x0 cells when treatment began. GR is 1 without
effect, 0 when growth stands still, negative when cells are lost; for exponential growth it does not depend on t.

Two layouts are read: the plate CSV, whose controls are wells of their own (the authors' case C), and the authors'
case A, in which every row carries ``cell_count``, ``cell_count__ctrl`` and ``cell_count__time0``.
"""

import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from her2pkpd.data.gr_controls import assign, experiment_labels
from her2pkpd.data.gr_curve import fit_gr_curve
from her2pkpd.data.gr_layouts import COUNTS, MEASURED, Wells, load_wells, read_wells
from her2pkpd.data.grouping import groups
from her2pkpd.data.plate import Plate
from her2pkpd.data.table import Source
from her2pkpd.errors import InputError, Problem, Problems
from her2pkpd.runinfo import RunInfo, hash_files, prepare_output, write_run

METRICS = ("GR50", "GRmax", "GEC50", "GRinf", "h", "GR_AOC", "r2", "fit", "pval")
"""Columns of the metrics table after the keys."""


@dataclass(frozen=True, eq=False)
class GRResult:
    """What `gr` returns.

    Attributes:
        values: the input columns and ``GR``; see `gr_values`.
        metrics: one curve a row; see `gr_metrics`.
    """

    values: pd.DataFrame
    metrics: pd.DataFrame

    def __repr__(self) -> str:
        shown = [column for column in self.metrics.columns if column not in ("r2", "pval", "status")]
        counts = self.metrics["fit"].value_counts()
        fits = ", ".join(f"{n} {fit}" for fit, n in counts.items())
        head = self.metrics[shown].head(12).to_string(index=False, float_format="%.4g")
        more = f"\n... and {len(self.metrics) - 12} more" if len(self.metrics) > 12 else ""
        return f"GR metrics of {len(self.metrics)} curves ({fits})\n{head}{more}"


def gr(
    source: Plate | Source,
    out: str | os.PathLike[str] | None = None,
    *,
    by: Sequence[str] | None = None,
    division_time: float | Mapping[str, float] | None = None,
    force: bool = False,
) -> GRResult:
    """GR values and metrics of a plate, written to a folder if one is named.

    Args:
        source: a `Plate`, a CSV or TSV file, or a data frame, in either layout.
        out: folder for ``gr_values.csv``, ``gr_metrics.csv`` and ``run.json``; made if it is not there.
        by: see `gr_metrics`.
        division_time: see `gr_values`.
        force: write to a folder that holds something else.

    Returns:
        Both tables.

    Raises:
        InputError: see `gr_values` and `her2pkpd.runinfo.prepare_output`; nothing is written then.
    """
    started = time.perf_counter()
    values = gr_values(source, division_time=division_time)
    result = GRResult(values, gr_metrics(values, by=by))
    if out is not None:
        inputs = _inputs(source, values, (by, division_time))
        folder = prepare_output(os.fspath(out), force, command="gr", inputs=inputs)
        result.values.to_csv(folder / "gr_values.csv", index=False)
        result.metrics.to_csv(folder / "gr_metrics.csv", index=False)
        counts = {str(fit): int(n) for fit, n in result.metrics["fit"].value_counts().items()}
        seconds = time.perf_counter() - started
        write_run(folder, RunInfo("gr", inputs, seconds, data_hash=inputs, status_counts=counts))
    return result


def gr_file(plate: str | os.PathLike[str], out: str | os.PathLike[str], *, force: bool = False) -> GRResult:
    """The command ``her2pkpd gr``: as `gr`, on a file.

    Raises:
        InputError: as `gr`.
    """
    return gr(plate, out, force=force)


def _inputs(source: Plate | Source, values: pd.DataFrame, options: object) -> str:
    if isinstance(source, (Plate, pd.DataFrame)):
        content = source.content_hash if isinstance(source, Plate) else values.to_csv(index=False)
        content = hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()
    else:
        content = hash_files([os.fspath(source)])
    return hashlib.sha256(f"{content} {options!r}".encode()).hexdigest()


def gr_values(source: Plate | Source, *, division_time: float | Mapping[str, float] | None = None) -> pd.DataFrame:
    """The GR value of every well.

    Controls are matched by cell line, time and the labels that mark experiments (`her2pkpd.data.gr_controls`) and
    averaged by a 50 % trimmed mean; the drug named in an untreated well does not matter. Time-zero counts are used
    where a cell line has them, its division time where not.

    Args:
        source: a `Plate`, a file or a data frame. Rows with readout ``gr`` keep their value; ``viability`` and its
            kin stand for x / x_ctrl and need a division time; other readouts get no GR.
        division_time: h, for all cell lines or by cell line; overrides the column ``division_time``.

    Returns:
        The input columns (numbers as numbers, in the units given) and ``cell_count__ctrl``, ``cell_count__time0``,
        ``GR``. GR is NaN in time-zero rows and where untreated cells did not grow; a count of 0 gives -1.

    Raises:
        InputError: as `her2pkpd.data.plate.read_plate`, and if untreated wells, or both time-zero counts and division
            time, are missing, or control counts are 0.
    """
    wells = load_wells(source)
    problems = Problems(wells.name)
    if wells.stacked:
        x, x_ctrl, x0 = _stacked_counts(wells)
        _require_controls(wells, x, x_ctrl, problems)
    else:
        x, x_ctrl, x0 = (wells.given[column].to_numpy(dtype=float) for column in COUNTS)
        _positive_controls(wells, x_ctrl, "cell_count__ctrl", problems)
        _positive_controls(wells, x0, "cell_count__time0", problems)
    doubling = _division_times(wells, division_time)
    lacking = wells.counted & wells.late & np.isnan(x0) & np.isnan(doubling)
    for line in pd.unique(wells.cell_line[lacking]):
        row = int(wells.rows[np.flatnonzero(lacking & (wells.cell_line == line))[0]])
        problems.add(
            "GR needs the number of cells when treatment began, or the division time",
            "Add rows with time 0 and readout cell_count, or a column division_time with division_time_unit.",
            row=row,
            column="time",
            value=line,
        )
    problems.raise_any()
    from_division = _gr_from_division(x, x_ctrl, wells.time / doubling)
    gr_of_count = np.where(np.isnan(x0), from_division, _gr_from_start(x, x_ctrl, x0))
    result = wells.given.copy()
    if wells.stacked:
        result["cell_count__ctrl"] = np.where(wells.is_count & wells.late, x_ctrl, np.nan)
        result["cell_count__time0"] = np.where(wells.is_count & wells.late, x0, np.nan)
    result["GR"] = np.where(wells.is_gr, wells.value, np.where(wells.counted & wells.late, gr_of_count, np.nan))
    return result


def gr_metrics(values: pd.DataFrame, *, by: Sequence[str] | None = None, alpha: float = 0.05) -> pd.DataFrame:
    """Fit a curve to the GR values of every cell line, drug, time and experiment.

    Args:
        values: what `gr_values` returns, or any frame with ``cell_line, drug, concentration, time, GR``.
        by: labels beyond cell line, drug(s) and time that tell curves apart. By default, for the plate layout, those
            that mark experiments (see `her2pkpd.data.gr_controls`); otherwise every column that is no measurement,
            as in the authors' implementations. ``()`` pools everything.
        alpha: level of the F-test against a flat line.

    Returns:
        ``cell_line, drug``, further drugs held constant, ``time``, ``time_unit``, labels, ``unit``, then ``GR50, GRmax,
        GEC50, GRinf, h, GR_AOC, r2, fit, pval, status`` as in `her2pkpd.data.gr_curve.GRCurve`. GR50 and GEC50 are
        in `unit`, the unit of the input (the first one where a drug has several).

    Raises:
        InputError: if columns are missing.
    """
    wells = read_wells(values)
    labels = _curve_labels(wells, by)
    frame, keys = wells.curves(labels)
    rows = []
    for key, curve in groups(frame, keys):
        found = fit_gr_curve(curve["dose"].to_numpy(dtype=float), curve["GR"].to_numpy(dtype=float), alpha=alpha)
        rows.append((*key, *(getattr(found, name) for name in (*METRICS, "status"))))
    table = pd.DataFrame(rows, columns=[*keys, *METRICS, "status"])
    return table.sort_values(keys, kind="stable", ignore_index=True)


def _curve_labels(wells: Wells, by: Sequence[str] | None) -> list[str]:
    if by is None:
        if not wells.stacked:
            return [name for name in wells.labels if name not in MEASURED]
        return experiment_labels(wells.keys, wells.treated, wells.untreated, wells.labels, ("cell_line", "hours"))
    unknown = [name for name in by if name not in wells.given.columns]
    if unknown:
        raise InputError(
            Problem(
                f"there is no column {unknown[0]!r} to group by", f"Choose from {', '.join(wells.labels)}.", wells.name
            )
        )
    return [name for name in by if name not in ("cell_line", "drug", "time")]


def _stacked_counts(wells: Wells) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, x_ctrl and x0 of every row; viability rows count relative to 1 and have no time zero."""
    labels = experiment_labels(wells.keys, wells.treated, wells.untreated, wells.labels, ("cell_line", "hours"))
    count = np.where(wells.is_count, wells.value, np.nan)
    x_ctrl = assign(wells.keys, count, wells.untreated & wells.is_count, ["cell_line", "hours", *labels])
    start = wells.is_count & (wells.time == 0)
    at_start = experiment_labels(wells.keys, wells.treated & wells.is_count, start, labels, ("cell_line",))
    x0 = assign(wells.keys, count, start, ["cell_line", *at_start])
    relative = wells.counted & ~wells.is_count
    return (
        np.where(relative, wells.value, count),
        np.where(relative, 1.0, x_ctrl),
        np.where(relative, np.nan, x0),
    )


def _require_controls(wells: Wells, x: np.ndarray, x_ctrl: np.ndarray, problems: Problems) -> None:
    if not (wells.counted | wells.is_gr).any():
        problems.add(
            "GR needs cell counts", "Give rows with readout cell_count, viability or gr.", column="readout", row=1
        )
    missing = wells.treated & wells.is_count & np.isnan(x_ctrl)
    lacking = pd.DataFrame({"line": wells.cell_line, "time": wells.time, "row": wells.rows}).loc[missing]
    for (line, hours), rows in groups(lacking, ["line", "time"]):
        problems.add(
            f"cell line {line!r} has treated but no untreated wells at {hours:g} h",
            "Add rows with concentration 0 at that time.",
            row=int(rows["row"].to_numpy()[0]),
            column="concentration",
        )
    negative = wells.counted & (x < 0)
    for i in np.flatnonzero(negative)[:1000]:
        problems.add(
            "a negative viability has no GR", "Set it to 0.", row=int(wells.rows[i]), column="value", value=x[i]
        )
    zero = wells.is_count & (wells.time == 0) & (wells.value == 0)
    for i in np.flatnonzero(zero)[:1000]:
        problems.add(
            "a count at time zero must be positive",
            "Correct it, or leave the row out.",
            row=int(wells.rows[i]),
            column="value",
            value=0,
        )


def _positive_controls(wells: Wells, values: np.ndarray, column: str, problems: Problems) -> None:
    for i in np.flatnonzero(~(values > 0))[:1000]:
        problems.add(
            "a control count must be positive",
            "Correct it, or leave the row out.",
            row=int(wells.rows[i]),
            column=column,
            value=values[i],
        )


def _division_times(wells: Wells, given: float | Mapping[str, float] | None) -> np.ndarray:
    if given is None:
        return wells.division_time
    if isinstance(given, Mapping):
        named = pd.Series(wells.cell_line).map(dict(given)).to_numpy(dtype=float)
        return np.where(np.isnan(named), wells.division_time, named)
    return np.full(len(wells.rows), float(given))


def _gr_from_start(x: np.ndarray, x_ctrl: np.ndarray, x0: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        rate = np.log2(x / x0) / np.log2(x_ctrl / x0)
        return np.where(x_ctrl > x0, np.exp2(rate) - 1.0, np.nan)


def _gr_from_division(x: np.ndarray, x_ctrl: np.ndarray, divisions: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.exp2(1.0 + np.log2(x / x_ctrl) / divisions) - 1.0
