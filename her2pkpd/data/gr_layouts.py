"""The two layouts GR values are computed from, brought to one form."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from her2pkpd.data.limits import refuse_limits
from her2pkpd.data.plate import PLATE_COLUMNS, Plate
from her2pkpd.data.plate_rules import canonical_wells, positive, unit_factors
from her2pkpd.data.readouts import Readout
from her2pkpd.data.table import Columns, Source, Table, read_table
from her2pkpd.errors import InputError
from her2pkpd.units import convert

COUNTS = ("cell_count", "cell_count__ctrl", "cell_count__time0")
"""Columns of the authors' case A."""
LIMITS = ("censoring", "upper_limit")
MEASURED = frozenset(
    {*COUNTS, *LIMITS, "GR", "GRvalue", "value", "readout", "sd", "concentration", "unit", "time", "time_unit"}
)
"""Columns that never tell curves apart."""
CASE_A = Columns(
    required=("cell_line", "drug", "concentration", "time", *COUNTS),
    optional=("unit", "time_unit"),
    aliases={"agent": "drug", "time0": "cell_count__time0"},
)
_NEEDS = "GR values need"
_NUMERIC = frozenset({"concentration", "time", "value", "sd", "seeded_cells", "division_time", *COUNTS})


@dataclass(frozen=True, eq=False)
class Wells:
    """Wells of either layout.

    Attributes:
        name: the file.
        given: the input columns, numbers as numbers in the units given.
        rows: (n,) row numbers.
        cell_line: (n,) names.
        doses: (n, D) concentrations; their unit does not matter here.
        time: (n,) h.
        readout: (n,) readout names; "cell_count" throughout in case A.
        value: (n,) canonical values; counts in case A.
        division_time: (n,) h, NaN where not known.
        stacked: whether controls are wells of their own (the plate layout).
    """

    name: str
    given: pd.DataFrame
    rows: np.ndarray
    cell_line: np.ndarray
    doses: np.ndarray
    time: np.ndarray
    readout: np.ndarray
    value: np.ndarray
    division_time: np.ndarray
    stacked: bool

    @cached_property
    def is_gr(self) -> np.ndarray:
        """(n,) rows that give GR itself."""
        return self.readout == Readout.GR.value

    @cached_property
    def is_count(self) -> np.ndarray:
        """(n,) rows that give cells."""
        return self.readout == Readout.CELL_COUNT.value

    @cached_property
    def counted(self) -> np.ndarray:
        """(n,) rows that give cells or their fraction of untreated."""
        return self.is_count | (self.readout == Readout.VIABILITY.value)

    @cached_property
    def late(self) -> np.ndarray:
        """(n,) rows that report on growth after time zero."""
        return ((self.time > 0) | (not self.stacked)) & (self.counted | self.is_gr)

    @cached_property
    def treated(self) -> np.ndarray:
        """(n,) late wells with a drug."""
        return (self.doses > 0).any(axis=1) & self.late

    @cached_property
    def untreated(self) -> np.ndarray:
        """(n,) late wells without a drug."""
        return (self.doses == 0).all(axis=1) & self.late

    @property
    def labels(self) -> list[str]:
        """Columns that may mark experiments: plate, block, seeded cells, the user's own, replicate last."""
        fixed = {"cell_line", "division_time", "division_time_unit", *MEASURED}
        own = [
            name
            for name in self.given.columns
            if name not in fixed and name != "replicate" and not re.fullmatch(r"(drug|concentration|unit)(_\d+)?", name)
        ]
        own.sort(key=lambda name: name not in ("plate", "block", "seeded_cells"))
        return [*own, *(["replicate"] if "replicate" in self.given.columns else [])]

    @cached_property
    def keys(self) -> pd.DataFrame:
        """Cell line, time and labels of every well."""
        return pd.DataFrame(
            {"cell_line": self.cell_line, "hours": self.time} | {name: self.given[name] for name in self.labels}
        )

    def curves(self, labels: Sequence[str]) -> tuple[pd.DataFrame, list[str]]:
        """Treated wells with a varied drug each, and the columns that tell curves apart.

        A well of two drugs belongs to the curve of its first drug at that dose of the second; a well in which
        only one drug is dosed belongs to that drug's own curve, in whatever columns it stands.

        Args:
            labels: further columns that tell curves apart.

        Returns:
            A frame with the key columns, ``dose`` and ``GR``; the key columns.
        """
        given, doses = self.given.loc[self.treated].reset_index(drop=True), self.doses[self.treated]
        varied = np.argmax(doses > 0, axis=1)
        tails = ["" if k == 0 else f"_{k + 1}" for k in range(doses.shape[1])]
        frame = pd.DataFrame({"cell_line": given["cell_line"], "drug": _pick(given, "drug", tails, varied)})
        keys = ["cell_line", "drug"]
        for k, tail in enumerate(tails[1:], start=1):
            held = (doses[:, k] > 0) & (varied != k)
            if not held.any():
                continue
            frame["drug" + tail] = np.where(held, given["drug" + tail], "")
            frame["concentration" + tail] = np.where(held, given["concentration" + tail], 0.0)
            frame["unit" + tail] = np.where(held, given["unit" + tail], "")
            keys += ["drug" + tail, "concentration" + tail, "unit" + tail]
        for name in ("time", "time_unit", *labels):
            if name in given:
                frame[name] = given[name]
                keys.append(name)
        frame["dose"] = _pick(given, "concentration", tails, varied).astype(float)
        if "unit" in given:
            _one_unit(frame, _pick(given, "unit", tails, varied))
            keys.append("unit")
        frame["GR"] = given["GR"].to_numpy(dtype=float)
        return frame, keys


def load_wells(source: Plate | Source) -> Wells:
    """Read either layout for GR values.

    Raises:
        InputError: listing every problem of the file; a file with any of the columns of case A is read as case A.
    """
    if isinstance(source, Plate):
        return _from_plate(source)
    if _is_case_a(source):
        return _from_case_a(read_table(source, CASE_A))
    table = read_table(source, PLATE_COLUMNS)
    wells = _wells(table)
    table.raise_any()
    given = _numeric(table)
    return _stacked(table.name, given, wells)


def read_wells(values: pd.DataFrame) -> Wells:
    """Read a frame of GR values for fitting.

    Raises:
        InputError: if columns are missing or hold no numbers.
    """
    if "readout" in values.columns:
        columns = Columns((*PLATE_COLUMNS.required, "GR"), PLATE_COLUMNS.optional, PLATE_COLUMNS.numbered)
        table = read_table(values, columns, name="GR values")
        wells = _wells(table)
        gr = table.numbers("GR", blank=True)
        table.raise_any()
        given = _numeric(table).assign(GR=gr).drop(columns=["cell_count__ctrl", "cell_count__time0"], errors="ignore")
        return _stacked(table.name, given, wells)
    columns = Columns(
        ("cell_line", "drug", "concentration", "time", "GR"),
        ("unit", "time_unit", *COUNTS),
        aliases={"agent": "drug", "GRvalue": "GR"},
    )
    return _from_case_a(read_table(values, columns, name="GR values"))


def _is_case_a(source: Source) -> bool:
    if isinstance(source, pd.DataFrame):
        return "cell_count__ctrl" in source.columns and "readout" not in source.columns
    try:
        with open(os.fspath(source), "rb") as file:  # noqa: PTH123 - the first line only
            header = file.readline(100_000).decode("utf-8", "replace")
    except (OSError, ValueError):
        return False
    return "cell_count__ctrl" in header and "readout" not in header


def _wells(table: Table) -> pd.DataFrame:
    wells = canonical_wells(table, None, None, None)
    refuse_limits(wells, table.problems, _NEEDS)
    return wells


def _from_plate(plate: Plate) -> Wells:
    wells = plate.values_only(_NEEDS).frame
    given = wells.drop(columns=["row", *LIMITS], errors="ignore").assign(time_unit="h", division_time_unit="h")
    for k in range(1, plate.n_drugs + 1):
        given["unit" if k == 1 else f"unit_{k}"] = "nM"
    return _stacked(plate.name, given, wells)


def _stacked(name: str, given: pd.DataFrame, wells: pd.DataFrame) -> Wells:
    doses = [column for column in wells.columns if column.split("_")[0] == "concentration"]
    given = given.assign(cell_line=wells["cell_line"])
    for column in wells.columns:
        if column.split("_")[0] == "drug":
            given[column] = wells[column]
    return Wells(
        name,
        given,
        wells["row"].to_numpy(),
        wells["cell_line"].to_numpy(dtype=object),
        wells[doses].to_numpy(dtype=float),
        wells["time"].to_numpy(dtype=float),
        wells["readout"].to_numpy(dtype=object),
        wells["value"].to_numpy(dtype=float),
        wells["division_time"].to_numpy(dtype=float),
        stacked=True,
    )


def _from_case_a(table: Table) -> Wells:
    dose = positive(table, "concentration", zero=True)
    hours = positive(table, "time", zero=True)
    if "time_unit" in table:
        hours = hours * unit_factors(table, "time_unit", "h")
    given = _numeric(table)
    for column in COUNTS:
        if column in table:
            table.flag(
                given[column].to_numpy(dtype=float) < 0, column, "a count must not be negative", "Correct the value."
            )
    table.raise_any()
    return Wells(
        table.name,
        given,
        table.rows,
        table.text("cell_line"),
        dose[:, None],
        hours,
        np.full(len(table), Readout.CELL_COUNT.value, dtype=object),
        given["cell_count"].to_numpy(dtype=float) if "cell_count" in given else np.full(len(table), np.nan),
        np.full(len(table), np.nan),
        stacked=False,
    )


def _numeric(table: Table) -> pd.DataFrame:
    frame = table.frame()
    for name in frame.columns:
        stem = name.rpartition("_")[0] if name.rpartition("_")[2].isdigit() else name
        if name in _NUMERIC or stem == "concentration":
            frame[name] = table.numbers(name, blank=name not in (*COUNTS, "concentration", "time", "value"))
        elif name == "GR":
            frame[name] = table.numbers(name, blank=True)
    return frame


def _pick(given: pd.DataFrame, stem: str, tails: Sequence[str], varied: np.ndarray) -> np.ndarray:
    columns = np.column_stack([given[stem + tail].to_numpy(dtype=object) for tail in tails])
    return columns[np.arange(len(columns)), varied]


def _one_unit(frame: pd.DataFrame, units: np.ndarray) -> None:
    """Bring the doses of each drug to the first unit used for it."""
    frame["unit"] = units
    for _, wells in frame.groupby("drug", sort=False):
        first = wells["unit"].iloc[0]
        for unit in wells["unit"].unique():
            if unit != first:
                where = wells.index[wells["unit"] == unit]
                try:
                    frame.loc[where, "dose"] *= convert(1.0, unit, first)
                except InputError:
                    continue
                frame.loc[where, "unit"] = first
