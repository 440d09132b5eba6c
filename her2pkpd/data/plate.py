"""The plate: wells of cell lines under drugs, read from a tidy table, checked, in canonical units."""

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Self, TypeVar

import numpy as np
import pandas as pd

from her2pkpd.data.limits import NONE, censoring_of, refuse_limits
from her2pkpd.data.plate_rules import canonical_wells
from her2pkpd.data.readouts import Readout
from her2pkpd.data.table import Columns, Source, read_table
from her2pkpd.errors import InputError, Problem, Problems

PLATE_COLUMNS = Columns(
    required=("cell_line", "drug", "concentration", "unit", "time", "time_unit", "readout", "value"),
    optional=(
        "replicate",
        "plate",
        "seeded_cells",
        "sd",
        "block",
        "division_time",
        "division_time_unit",
        "censoring",
        "upper_limit",
    ),
    numbered=("drug", "concentration", "unit"),
    aliases={"censored": "censoring"},
    hints={
        "cell": "cell_line",
        "cellline": "cell_line",
        "line": "cell_line",
        "compound": "drug",
        "treatment": "drug",
        "agent": "drug",
        "dose": "concentration",
        "conc": "concentration",
        "dose_um": "concentration",
        "concentration_um": "concentration",
        "concentration_nm": "concentration",
        "log_concentration": "concentration",
        "log10_concentration": "concentration",
        "log_dose": "concentration",
        "logdose": "concentration",
        "units": "unit",
        "timepoint": "time",
        "time_h": "time",
        "response": "value",
        "viability": "value",
        "measurement": "readout",
        "endpoint": "readout",
        "assay": "readout",
    },
)
"""The contract of the plate CSV."""


@dataclass(frozen=True, eq=False)
class Plate:
    """A checked set of wells. Two plates with the same content are equal and hash alike.

    Attributes:
        name: the file it came from.
        n_drugs: how many drugs one well may hold, D.
        own_columns: names of columns carried along without a meaning here.
        notes: what a reader should know about the data (an assumed assay duration, say).
        content_hash: SHA-256 of the canonical wells.
    """

    name: str
    n_drugs: int
    own_columns: tuple[str, ...]
    notes: tuple[str, ...]
    content_hash: str
    _frame: pd.DataFrame = field(repr=False)

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        known_drugs: Collection[str] | None = None,
        molar_masses: Mapping[str, float] | None = None,
        known_cell_lines: Collection[str] | None = None,
        name: str = "data frame",
        notes: tuple[str, ...] = (),
    ) -> Self:
        """Make a plate from a data frame with the columns of the plate CSV.

        Arguments other than these, the result and the errors are those of `read_plate`.

        Args:
            frame: the wells; its first row counts as row 2 in messages.
            known_drugs: as in `read_plate`.
            molar_masses: as in `read_plate`.
            known_cell_lines: as in `read_plate`.
            name: what to call it.
            notes: kept with the plate.
        """
        return _build(cls, frame, name, (known_drugs, molar_masses, known_cell_lines), notes)

    @property
    def frame(self) -> pd.DataFrame:
        """A copy of the wells, one a row, in file order.

        Columns: ``row`` (row number in the file), ``cell_line``, ``drug``, ``concentration`` (nM), for further
        drugs ``drug_2``, ``concentration_2`` ..., ``time`` (h), ``readout`` (a `Readout`), ``value`` (canonical
        scale), ``sd`` (same scale, NaN if not given), ``replicate``, ``plate``, ``block`` (text, blank if not
        given), ``seeded_cells`` (NaN if not given), ``division_time`` (h, NaN if not given), where the file has it
        ``censoring`` ("none"; "left" and "right": the truth lies below or above ``value``; "interval": between
        ``value`` and ``upper_limit``), then `own_columns` (text). A blank drug means no drug; its concentration is 0.
        """
        return self._frame.copy()

    @property
    def cell_lines(self) -> tuple[str, ...]:
        """Cell lines in order of appearance."""
        return tuple(self._frame["cell_line"].unique())

    @property
    def drugs(self) -> tuple[str, ...]:
        """Drugs in order of appearance, those of further drug columns last."""
        columns = [f"drug_{k}" if k > 1 else "drug" for k in range(1, self.n_drugs + 1)]
        found = pd.unique(np.concatenate([self._frame[column].to_numpy(dtype=object) for column in columns]))
        return tuple(str(drug) for drug in found if drug)

    @property
    def readouts(self) -> tuple[Readout, ...]:
        """Readouts in order of appearance."""
        return tuple(Readout(readout) for readout in self._frame["readout"].unique())

    @property
    def untreated(self) -> np.ndarray:
        """(n,) mask of wells that hold no drug."""
        columns = [f"concentration_{k}" if k > 1 else "concentration" for k in range(1, self.n_drugs + 1)]
        return (self._frame[columns].to_numpy(dtype=float) == 0).all(axis=1)

    def values_only(self, what: str) -> Self:
        """This plate, for a calculation that has no use for limits.

        Args:
            what: what needs values, as the beginning of a sentence.

        Raises:
            InputError: listing every censored well.
        """
        problems = Problems(self.name)
        refuse_limits(self._frame, problems, what)
        problems.raise_any()
        return self

    def select(
        self,
        *,
        cell_line: str | Collection[str] | None = None,
        drug: str | Collection[str] | None = None,
        readout: str | Collection[str] | None = None,
    ) -> Self:
        """The wells of some cell lines, drugs and readouts.

        Args:
            cell_line: names to keep; None keeps all.
            drug: wells that hold no other drug than these are kept, untreated wells among them; None keeps all.
            readout: names to keep; None keeps all.

        Raises:
            InputError: if nothing is left.
        """
        keep = np.ones(len(self), dtype=bool)
        for column, wanted in (("cell_line", cell_line), ("readout", readout)):
            if wanted is not None:
                keep &= self._frame[column].isin(_as_list(wanted)).to_numpy()
        if drug is not None:
            allowed = _as_list(drug)
            for k in range(1, self.n_drugs + 1):
                tail = f"_{k}" if k > 1 else ""
                dosed = self._frame["concentration" + tail].to_numpy() > 0
                keep &= ~dosed | self._frame["drug" + tail].isin(allowed).to_numpy()
        if not keep.any():
            raise InputError(
                Problem(
                    f"no well has cell line {cell_line}, drug {drug}, readout {readout}",
                    f"The plate holds {', '.join(self.cell_lines[:8])}; {', '.join(self.drugs[:8])}; "
                    f"{', '.join(self.readouts)}.",
                    self.name,
                )
            )
        wells = self._frame.loc[keep].reset_index(drop=True)
        return type(self)(self.name, self.n_drugs, self.own_columns, self.notes, _content_hash(wells), wells)

    def __len__(self) -> int:
        return len(self._frame)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plate) and self.content_hash == other.content_hash

    def __hash__(self) -> int:
        return hash(self.content_hash)

    def __repr__(self) -> str:
        frame = self._frame
        dosed = frame["concentration"][frame["concentration"] > 0]
        doses = f"{dosed.min():.4g} to {dosed.max():.4g} nM" if len(dosed) else "no dose above 0"
        times = ", ".join(f"{time:g}" for time in np.unique(frame["time"])[:6])
        lines = [
            f"Plate {self.name}: {len(self)} wells, {', '.join(self.readouts)}",
            f"  cell lines  {_listed(self.cell_lines)}",
            f"  drugs       {_listed(self.drugs)}; {doses}",
            f"  times       {times} h",
            f"  untreated   {int(self.untreated.sum())} wells",
        ]
        limits = int((censoring_of(frame) != NONE).sum())
        lines += [f"  limits      {limits} wells are known by a limit only"] if limits else []
        return "\n".join([*lines, *(f"  note        {note}" for note in self.notes)])


def read_plate(
    path: Source,
    *,
    known_drugs: Collection[str] | None = None,
    molar_masses: Mapping[str, float] | None = None,
    known_cell_lines: Collection[str] | None = None,
) -> Plate:
    """Read a plate CSV.

    Columns: ``cell_line, drug, concentration, unit[, drug_2, concentration_2, unit_2 ...], time, time_unit,
    readout, value[, censoring, upper_limit, replicate, plate, seeded_cells, sd, block, division_time,
    division_time_unit]``; other columns are carried along. Untreated wells have concentration 0; counts at the start
    have time 0. A value may be a limit: `her2pkpd.data.limits`.

    Args:
        path: the CSV file (or a data frame with the same columns).
        known_drugs: names allowed for drugs; None allows any. Names differing from exactly one known name only in
            case, blanks or punctuation are replaced by it. A mapping gives for every name allowed, synonyms
            included, the name to use.
        molar_masses: g/mol by drug, needed where concentrations are given as mass per volume.
        known_cell_lines: likewise for cell lines.

    Returns:
        The plate, in nM and h.

    Raises:
        InputError: listing every problem found: missing, doubled or misnamed columns, ragged rows, cells that are
            no numbers, negative doses (logarithms) and times, unknown units, readouts, drugs and cell lines,
            percentages given as fractions and the reverse, limits that contradict themselves, doubled wells, gaps
            among the drugs of a well.
    """
    return _build(Plate, path, None, (known_drugs, molar_masses, known_cell_lines), ())


_Known = tuple[Collection[str] | None, Mapping[str, float] | None, Collection[str] | None]
_PlateT = TypeVar("_PlateT", bound=Plate)


def _build(kind: type[_PlateT], source: Source, name: str | None, known: _Known, notes: tuple[str, ...]) -> _PlateT:
    drugs, molar_masses, cell_lines = known
    table = read_table(source, PLATE_COLUMNS, name=name)
    wells = canonical_wells(table, drugs, molar_masses or {}, cell_lines)
    table.raise_any()
    n_drugs = sum(re.fullmatch(r"concentration(_\d+)?", column) is not None for column in wells.columns)
    return kind(table.name, n_drugs, table.own, notes, _content_hash(wells), wells)


def _as_list(names: str | Collection[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def _listed(names: tuple[str, ...], shown: int = 8) -> str:
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return (", ".join(names[:shown]) or "none") + more


def _content_hash(wells: pd.DataFrame) -> str:
    digest = hashlib.sha256()
    for name in wells.columns:
        if name == "row":
            continue
        digest.update(f"\x1d{name}\x1e".encode())
        column = wells[name].to_numpy()
        if column.dtype == np.float64:
            digest.update(column.astype("<f8").tobytes())
        else:
            codes, values = pd.factorize(column)
            digest.update(codes.astype("<i8").tobytes())
            digest.update("\x1f".join(map(str, values)).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
