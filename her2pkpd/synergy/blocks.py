"""Blocks: the wells of one drug combination on one cell line, with the rules a plate has to meet for each score.

The kind of response is part of the data. Viability and its kin are survival fractions; inhibition is one minus that;
counts and signals are divided by the untreated wells of their plate. A GR value becomes (1 + GR)/2: under exponential
growth that is 2^((k - k0)/k0), so that growth rates that add up multiply here as independence asks, and scores in it
are turned back into GR units.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd

from her2pkpd.data.grouping import groups
from her2pkpd.data.limits import refuse_limits
from her2pkpd.data.plate import PLATE_COLUMNS, Plate
from her2pkpd.data.plate_rules import canonical_wells
from her2pkpd.data.table import Source, Table, read_table
from her2pkpd.errors import InputError, Problem
from her2pkpd.units import convert

MIN_DOSES = 3
"""Doses above zero a drug needs for its curve, and so for Loewe, ZIP, Chou-Talalay and every surface."""


_NEEDS = "Scores of synergy need"


class Response(StrEnum):
    """What a number means."""

    VIABILITY = "viability"
    INHIBITION = "inhibition"
    GR = "gr"

    def survival(self, value: np.ndarray) -> np.ndarray:
        """The survival scale: 1 no effect, 0 full effect."""
        if self is Response.GR:
            return 0.5 * (1.0 + value)
        return 1.0 - value if self is Response.INHIBITION else value

    @property
    def unit(self) -> float:
        """Units of this response per unit of survival, for excess scores."""
        return 2.0 if self is Response.GR else 1.0


@dataclass(frozen=True, eq=False)
class Block:
    """One combination.

    Attributes:
        name: label in every table.
        drugs: k names.
        units: their dose units.
        doses: (n, k).
        survival: (n,) responses on the survival scale.
        response: what was measured.
        cell_line: which cells.
        time: h.
        notes: rules that had to be applied.
    """

    name: str
    drugs: tuple[str, ...]
    units: tuple[str, ...]
    doses: np.ndarray
    survival: np.ndarray
    response: Response = Response.VIABILITY
    cell_line: str = ""
    time: float = float("nan")
    notes: tuple[str, ...] = ()

    @property
    def combined(self) -> np.ndarray:
        """(n,) wells that hold every drug."""
        return np.asarray((self.doses > 0).all(axis=1))

    def alone(self, drug: int) -> np.ndarray:
        """(n,) wells that hold this drug only."""
        others = np.delete(self.doses, drug, axis=1)
        only: np.ndarray = np.sum(others > 0, axis=1) == 0
        return np.logical_and(self.doses[:, drug] > 0, only, dtype=bool)

    @property
    def has_singles(self) -> bool:
        """Whether each drug was also given alone."""
        return all(self.alone(k).any() for k in range(len(self.drugs)))

    @property
    def has_curves(self) -> bool:
        """Whether each drug alone has enough doses for a curve."""
        return all(len(np.unique(self.doses[self.alone(k), k])) >= MIN_DOSES for k in range(len(self.drugs)))

    @property
    def has_surface(self) -> bool:
        """Whether every drug has enough doses for a surface."""
        return all(len(np.unique(d[d > 0])) >= MIN_DOSES for d in self.doses.T)


def make_block(
    doses: np.ndarray,
    response: np.ndarray,
    *,
    kind: Response | str,
    drugs: Sequence[str] = (),
    units: Sequence[str] = (),
    name: str = "block",
) -> Block:
    """A block from arrays.

    Args:
        doses: (n, k) doses, linear, 0 for none.
        response: (n,) responses.
        kind: what they are: "viability", "inhibition" or "gr".
        drugs: k names.
        units: k units.
        name: label.

    Raises:
        InputError: for negative or missing doses, responses that are no numbers, or shapes that do not fit.
    """
    doses, values = np.asarray(doses, dtype=float), np.asarray(response, dtype=float)
    if doses.ndim != 2 or doses.shape[1] < 2 or values.shape != (len(doses),):
        raise InputError(Problem("doses must be (n, k) with k >= 2 and responses (n,)", "Check the shapes."))
    if not np.all(doses >= 0) or not np.all(np.isfinite(values)):
        raise InputError(Problem("doses must be zero or positive and responses numbers", "Give linear doses."))
    k = doses.shape[1]
    named = tuple(drugs) or tuple(f"drug {i + 1}" for i in range(k))
    kind = Response(kind)
    return Block(name, named, tuple(units) or ("",) * k, doses, kind.survival(values), kind)


def read_blocks(source: Plate | Source) -> list[Block]:
    """The blocks of a plate.

    Wells belong to one block when they agree in cell line, time, read-out, ``block`` (if given) and combination of
    drugs. Wells of single drugs and untreated wells serve every block of their cell line, time and read-out whose
    ``block`` they share, or every one if they have none.

    Args:
        source: the plate CSV (`her2pkpd.data.plate`), a data frame, or a `Plate`.

    Raises:
        InputError: everything `read_plate` refuses, a drug in units of amount and of mass at once, untreated wells
            missing where responses are counts or signals, or no well that holds two drugs.
    """
    if isinstance(source, Plate):
        wells, units, name = source.values_only(_NEEDS).frame, None, source.name
    else:
        table = read_table(source, PLATE_COLUMNS)
        wells = canonical_wells(table, None, None, None, repeats=True)
        refuse_limits(wells, table.problems, _NEEDS)
        units = _units(table, wells)
        table.raise_any()
        name = table.name
    late: Any = wells[wells["time"] > 0].reset_index(drop=True)
    n_drugs = sum(c.startswith("concentration") for c in late.columns)
    blocks: list[Block] = []
    for (line, time, readout), wells_here in groups(late, ["cell_line", "time", "readout"]):
        kind = Response.GR if readout == "gr" else Response.VIABILITY
        part = _relative(wells_here, str(readout), n_drugs, name)
        values = kind.survival(part["value"].to_numpy(dtype=float))
        for label, drugs, rows, chosen in _combinations(part, n_drugs):
            own = label or f"{line} {' + '.join(drugs)} {time:g} h"
            own += f" {readout}" if not label and late["readout"].nunique() > 1 else ""
            scales = [(units or {}).get(d, ("nM", 1.0, "")) for d in drugs]
            doses = chosen / np.array([factor for _, factor, _ in scales])
            notes = tuple(note for _, _, note in scales if note)
            given = tuple(unit for unit, _, _ in scales)
            blocks.append(Block(own, drugs, given, doses, values[rows], kind, str(line), float(time), notes))
    if not blocks:
        rule = "no well holds two drugs, so there is no combination to score"
        raise InputError(Problem(rule, "Give the second drug in drug_2, concentration_2 and unit_2.", name))
    return _distinct(blocks)


def _distinct(blocks: list[Block]) -> list[Block]:
    seen: dict[str, int] = {}
    for block in blocks:
        seen[block.name] = seen.get(block.name, 0) + 1
    out = []
    for b in blocks:
        label = f"{b.name}: {b.cell_line} {' + '.join(b.drugs)} {b.time:g} h" if seen[b.name] > 1 else b.name
        out.append(Block(label, b.drugs, b.units, b.doses, b.survival, b.response, b.cell_line, b.time, b.notes))
    return out


def _tail(k: int) -> str:
    return f"_{k}" if k > 1 else ""


def _units(table: Table, wells: pd.DataFrame) -> dict[str, tuple[str, float, str]]:
    """Per drug the unit it is reported in (the first met), canonical units per one of it, and a note if several."""
    found: dict[str, dict[str, float]] = {}
    for k in range(1, 100):
        if f"concentration{_tail(k)}" not in table:
            break
        names, texts = wells[f"drug{_tail(k)}"].to_numpy(), table.text(f"unit{_tail(k)}")
        dosed = wells[f"concentration{_tail(k)}"].to_numpy(dtype=float) > 0
        for drug, unit in sorted(
            set(zip(names[dosed], texts[dosed], strict=True)), key=lambda p: list(texts).index(p[1])
        ):
            try:
                factor, mass = convert(1.0, unit, "nM"), False
            except InputError:
                try:
                    factor, mass = convert(1.0, unit, "ug/mL"), True
                except InputError:
                    continue  # the reader has refused it already
            found.setdefault(drug, {})[unit] = -factor if mass else factor
    result = {}
    for drug, units in found.items():
        if len({f < 0 for f in units.values()}) > 1:
            rule = f"{drug} is given in amounts and in masses ({', '.join(units)}), which cannot be compared"
            table.problems.add(rule, "Give all of its doses in one of the two.", column="unit")
        first = next(iter(units))
        note = f"mixed_units: {drug} is given in {', '.join(units)}; all doses are reported in {first}"
        result[drug] = (first, abs(units[first]), note if len(units) > 1 else "")
    return result


def _relative(part: pd.DataFrame, readout: str, n_drugs: int, name: str) -> pd.DataFrame:
    """Counts and signals as fractions of the untreated wells of their plate."""
    if readout in ("viability", "gr", "occupancy"):
        return part
    columns = [f"concentration{_tail(k)}" for k in range(1, n_drugs + 1)]
    untreated = (part[columns].to_numpy(dtype=float) == 0).all(axis=1)
    value = part["value"].astype(float)
    control: Any = value.where(untreated).groupby(part["plate"]).transform("mean")
    if control.isna().any() or (control <= 0).any():
        row = int(part.loc[control.isna() | (control <= 0), "row"].iloc[0])
        rule = f"a {readout} is scored relative to untreated wells, and this well's plate has none above 0"
        raise InputError(Problem(rule, "Add wells of concentration 0, or give viability.", name, row, "value"))
    return part.assign(value=value / control)


def _combinations(part: pd.DataFrame, n_drugs: int) -> list[tuple[str, tuple[str, ...], np.ndarray, np.ndarray]]:
    """Label, drugs, rows and doses (n, k) of every combination; pairs inside a larger one belong to that."""
    held = [_held(row, n_drugs) for row in part.to_dict("records")]
    labels = [str(x) for x in part["block"]]
    found: dict[tuple[str, tuple[str, ...]], tuple[str, ...]] = {}
    for label, given in zip(labels, held, strict=True):
        if len(given) > 1:
            drugs = tuple(d for d, _ in given)
            found.setdefault((label, tuple(sorted(drugs))), drugs)
    result = []
    for (label, key), drugs in found.items():
        if any(label == other and set(key) < set(more) for other, more in found):
            continue
        rows, doses = [], []
        for i, given in enumerate(held):
            if {d for d, _ in given} <= set(drugs) and (not label or labels[i] in (label, "")):
                for placed in _places(drugs, given):
                    rows.append(i)
                    doses.append(placed)
        result.append((label, drugs, np.array(rows), np.array(doses)))
    return result


def _held(row: dict[Hashable, object], n_drugs: int) -> list[tuple[str, float]]:
    pairs = [(str(row[f"drug{_tail(k)}"]), float(str(row[f"concentration{_tail(k)}"]))) for k in range(1, n_drugs + 1)]
    return [(drug, dose) for drug, dose in pairs if dose > 0]


def _places(drugs: tuple[str, ...], given: list[tuple[str, float]]) -> list[list[float]]:
    """The doses of a well in the order of `drugs`; a sham's drug given alone stands for either partner."""
    if len(given) == 1 and drugs.count(given[0][0]) > 1:
        return [[given[0][1] if k == at else 0.0 for k in range(len(drugs))] for at in range(len(drugs))]
    left, placed = list(given), []
    for drug in drugs:
        at = next((i for i, (name, _) in enumerate(left) if name == drug), None)
        placed.append(0.0 if at is None else left.pop(at)[1])
    return [placed]
