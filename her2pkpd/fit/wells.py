"""From data files to what the objective compares: observed wells and published metrics."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from her2pkpd.data.ccle import read_ccle
from her2pkpd.data.limits import INTERVAL, NONE, refuse_limits
from her2pkpd.data.metrics import read_metrics
from her2pkpd.data.plate import Plate, read_plate
from her2pkpd.errors import InputError, Problem, Problems
from her2pkpd.fit.design import Signal, Treatment
from her2pkpd.fit.metrics import READ_OFF, Metric
from her2pkpd.fit.objective import Observation
from her2pkpd.fit.readouts import RELATION
from her2pkpd.fit.settings import DataSource
from her2pkpd.library import CellLine, Drug, Library

_NEEDS = "The number of cells at time 0 needs"


def read_source(
    source: DataSource, library: Library, *, split: Collection[str] = ()
) -> tuple[list[Observation], list[Metric]]:
    """Read one data source of a fit.

    Args:
        source: the file and what to take from it.
        library: the drugs and cell lines known, under any of their names.
        split: columns ("plate", "replicate") whose values keep wells apart, for estimates made per such a column.

    Returns:
        Observations (of plates) and metrics (of tables of published values); one of them is empty.

    Raises:
        InputError: listing everything wrong with the file.
    """
    if source.kind == "metrics":
        return [], _metrics(source, library)
    if source.kind == "ccle":
        plate = _library_ccle(source, library)
    else:
        plate = read_plate(
            source.file,
            molar_masses=library.molar_masses,
            known_drugs=library.drug_spellings,
            known_cell_lines=library.cell_line_spellings,
        )
        if source.drugs:
            plate = plate.select(drug=source.drugs)
    return plate_observations(plate, library, assay=source.assay, seeded=source.seeded, split=split), []


def _library_ccle(source: DataSource, library: Library) -> Plate:
    """CCLE wells under the library's names; compounds the library does not have are left out."""
    everything = read_ccle(source.file)
    drugs = {
        d: own
        for d in everything.drugs
        if (own := _library_name(d, library.drug)) and (not source.drugs or own in source.drugs)
    }
    lines = {c: _library_name(c, library.cell_line) for c in everything.cell_lines}
    missing = [c for c, own in lines.items() if own is None]
    if missing:
        rule, remedy = "is not in the library of cell lines", "Add it in a cell-line file of your own."
        raise InputError([Problem(rule, remedy, str(source.file), None, "cell_line", c) for c in missing])
    return read_ccle(
        source.file,
        drugs=list(drugs.values()),
        drug_names=drugs,
        cell_line_names={c: own for c, own in lines.items() if own},
    )


def _library_name(name: str, load: Callable[[str], Drug | CellLine]) -> str | None:
    try:
        return load(name).name
    except InputError:
        return None


def plate_observations(
    plate: Plate, library: Library, *, assay: str = "", seeded: float = 5000.0, split: Collection[str] = ()
) -> list[Observation]:
    """Every well of a plate that says something about a treatment.

    Untreated wells of relative read-outs are the reference itself and are left out; counts at time zero set the
    number of cells seeded. Occupancy is that of the first antibody a row names.

    Args:
        plate: the plate.
        library: its drugs.
        assay: name of the screen.
        seeded: cells seeded where the plate does not say.
        split: as in `read_source`.

    Raises:
        InputError: for read-outs the well cannot predict, and counts at time zero that are limits.
    """
    frame = plate.frame
    unknown = sorted(set(frame["readout"].astype(str)) - {*RELATION, "occupancy"})
    if unknown:
        raise InputError(
            [
                Problem(
                    "the well model does not predict this read-out",
                    f"Predicted: {', '.join(RELATION)}, occupancy.",
                    plate.name,
                    None,
                    "readout",
                    r,
                )
                for r in unknown
            ]
        )
    observations, problems = [], Problems(plate.name)
    counted: pd.DataFrame = frame.loc[(frame["readout"].astype(str) == "cell_count") & (frame["time"] == 0)]
    refuse_limits(counted, problems, _NEEDS)
    start = _seeded(frame, counted, seeded)
    for row, at_start in zip(frame.to_dict("records"), start, strict=True):
        doses = _doses(row, plate.n_drugs)
        readout = str(row["readout"])
        if row["time"] <= 0 or (not doses and readout != "cell_count"):
            continue
        if readout == "occupancy":
            readout = f"occupancy.{_antibody(row, plate, library, problems)}"
        groups = (str(row[column]) if column in split else "" for column in ("plate", "replicate"))
        treatment = Treatment(str(row["cell_line"]), assay, at_start, doses, *groups)
        sd = None if np.isnan(row["sd"]) or row["sd"] <= 0 else float(row["sd"])
        label = tuple((k, row[k]) for k in ("row", "replicate", "plate", "block"))
        signal, censoring = Signal(treatment, float(row["time"]), readout), row.get("censoring", NONE)
        upper = float(row["upper_limit"]) if censoring == INTERVAL else np.nan
        observations.append(Observation(signal, float(row["value"]), sd, label, censoring, upper))
    problems.raise_any()
    return observations


def _antibody(row: Mapping[str, Any], plate: Plate, library: Library, problems: Problems) -> str:
    """Whose occupancy a well measures: that of the first antibody its row names."""
    for k in range(1, plate.n_drugs + 1):
        tail = f"_{k}" if k > 1 else ""
        name = str(row[f"drug{tail}"])
        if name and row[f"concentration{tail}"] > 0 and library.drug(name).kind == "antibody":
            return name
    remedy = "Name the antibody whose binding was measured, or leave the row out."
    problems.add("occupancy is that of an antibody, and the well has none", remedy, row=row["row"], column="drug")
    return ""


def _doses(row: Mapping[str, Any], n_drugs: int) -> tuple[tuple[str, float], ...]:
    pairs = []
    for k in range(1, n_drugs + 1):
        tail = f"_{k}" if k > 1 else ""
        if row["drug" + tail] and row["concentration" + tail] > 0:
            pairs.append((str(row["drug" + tail]), float(row["concentration" + tail])))
    return tuple(sorted(pairs))


def _seeded(frame: pd.DataFrame, counted: pd.DataFrame, default: float) -> np.ndarray:
    """Cells at time zero of every well: counted on its own plate, or else on any, or else as given."""
    seeded = np.full(len(frame), np.nan)
    for columns in (["cell_line", "plate"], ["cell_line"]):
        means = counted.groupby(columns, as_index=False).agg(seeded=("value", "mean"))
        found = frame[columns].merge(means, on=columns, how="left")["seeded"].to_numpy(dtype=float)
        seeded = np.where(np.isfinite(seeded), seeded, found)
    given = frame["seeded_cells"].to_numpy(dtype=float)
    return np.where(np.isfinite(seeded), seeded, np.where(np.isfinite(given), given, default))


def _metrics(source: DataSource, library: Library) -> list[Metric]:
    frame = read_metrics(
        source.file,
        known_drugs=library.drug_spellings,
        known_cell_lines=library.cell_line_spellings,
        molar_masses=library.molar_masses,
    )
    problems = Problems(str(source.file))
    metrics = [m for row in frame.to_dict("records") if (m := _metric(row, source, problems)) is not None]
    problems.raise_any()
    return metrics


def _metric(row: Mapping[str, Any], source: DataSource, problems: Problems) -> Metric | None:
    if source.drugs and row["drug"] not in source.drugs:
        return None
    if row["metric"] not in READ_OFF:
        problems.add(
            "a fit cannot use this metric",
            f"Use {', '.join(READ_OFF)}.",
            row=row["row"],
            column="metric",
            value=row["metric"],
        )
        return None
    if not row["time"] > 0:
        problems.add("a fit needs the assay's duration", "Fill in time.", row=row["row"], column="time")
        return None
    top = float(row["top_concentration"])
    if not top > 0:
        remedy = "Fill in top_concentration and top_unit: the highest dose of the assay."
        problems.add("a fit needs the highest dose tested", remedy, row=row["row"], column="top_concentration")
        return None
    value = top if np.isnan(row["value"]) else float(row["value"])
    return Metric(
        row["cell_line"], row["drug"], row["metric"], value, row["censoring"], float(row["time"]), top,
        str(row["assay"]) or source.assay, source.seeded, str(row["source"]),
    )  # fmt: skip


def treatments_of(observations: Sequence[Observation], metrics: Sequence[Metric]) -> tuple[list[str], list[str]]:
    """Drugs and cell lines that occur, in order of appearance."""
    drugs = [d for o in observations for d, _ in o.signal.treatment.doses] + [m.drug for m in metrics]
    lines = [o.signal.treatment.cell_line for o in observations] + [m.cell_line for m in metrics]
    return list(dict.fromkeys(drugs)), list(dict.fromkeys(lines))
