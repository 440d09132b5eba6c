"""What must hold in a plate, and its conversion to canonical units."""

import re
from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd

from her2pkpd.data.cells import REPORTED, each
from her2pkpd.data.limits import NONE, read_limits
from her2pkpd.data.names import VEHICLES, resolve
from her2pkpd.data.readouts import check_untreated, find_readouts, to_canonical
from her2pkpd.data.table import Table
from her2pkpd.errors import InputError, Problem
from her2pkpd.units import convert, parse_unit

_HIGHEST = 1e9
"""nM (1 mol/L); no drug dissolves beyond. Kept in ug/mL (1 kg/mL) the same number is as safe."""
_LONGEST = 10_000.0
"""h, more than a year."""
_LOG = "Give the concentration itself, not its logarithm (10 for a log10 of 1)."


def canonical_wells(
    table: Table,
    known_drugs: Collection[str] | None,
    molar_masses: Mapping[str, float] | None,
    known_cell_lines: Collection[str] | None,
    *,
    repeats: bool = False,
) -> pd.DataFrame:
    """Check a plate table and convert it.

    Args:
        table: a table with the columns of the plate CSV; every broken rule is recorded in its problems.
        known_drugs: names allowed, or None.
        molar_masses: g/mol by drug; None leaves mass concentrations in ug/mL, for users of the numbers who need no
            molar scale.
        known_cell_lines: names allowed, or None.
        repeats: whether a well may hold one drug twice (a drug combined with itself, as a control of synergy).

    Returns:
        The wells with the columns of `Plate.frame`. Not to be used when the table has problems.
    """
    cell_lines = resolve(table, "cell_line", known_cell_lines)
    table.flag(cell_lines == "", "cell_line", "the cell line is missing", "Name the cell line of every well.")
    wells: dict[str, np.ndarray] = {"row": table.rows, "cell_line": cell_lines}
    drugs, doses = _drugs(table, known_drugs, molar_masses)
    if not repeats:
        _refuse_repeats(table, drugs)
    for k, (drug, dose) in enumerate(zip(drugs, doses, strict=True), start=1):
        tail = f"_{k}" if k > 1 else ""
        wells |= {"drug" + tail: drug, "concentration" + tail: dose}
    wells["time"] = positive(table, "time", zero=True) * unit_factors(table, "time_unit", "h")
    table.flag(
        wells["time"] > _LONGEST, "time", f"no plate is read after {_LONGEST:g} h", "Check the number and the unit."
    )
    codes, names = find_readouts(table)
    written = read_limits(table)
    canonical, wells["readout"], factors = to_canonical(table, codes, names, written.value)
    limits = written.canonical(table, codes, names, canonical)
    wells["value"] = limits.value
    wells["sd"] = positive(table, "sd", zero=True, blank=True) * factors
    wells |= {name: table.text(name) for name in ("replicate", "plate", "block")}
    wells["seeded_cells"] = positive(table, "seeded_cells", blank=True)
    wells["division_time"] = _division_time(table)
    if "censoring" in table:
        wells |= {"censoring": limits.censoring, "upper_limit": limits.upper}
    wells |= {name: table.text(name) for name in table.own}
    frame = pd.DataFrame(wells)
    untreated = (np.column_stack(doses) == 0).all(axis=1)
    groups = frame.groupby(["cell_line", "time", "plate", "readout"], sort=False, dropna=False).ngroup().to_numpy()
    late = untreated & (frame["time"].to_numpy() > 0) & (limits.censoring == NONE)
    check_untreated(table, late, groups, codes, names, canonical)
    _refuse_doubled_wells(table, frame, untreated)
    return frame


def positive(table: Table, column: str, *, zero: bool = False, blank: bool = False) -> np.ndarray:
    """Numbers of a column that must be positive (or zero, if `zero`); NaN where blank (if `blank`) or bad."""
    values = table.numbers(column, blank=blank)
    rule = f"{column.replace('_', ' ')} must be {'zero or positive' if zero else 'positive'}"
    table.flag(values < 0 if zero else values <= 0, column, rule, "Correct the value.")
    return values


def unit_factors(table: Table, column: str, to: str) -> np.ndarray:
    """(n,) factor from each row's unit to `to`; NaN where the unit is unknown, of another kind or missing."""
    codes, units = table.categories(column)
    factors = np.full(len(units), np.nan)
    bad: dict[int, InputError] = {}
    for k, unit in enumerate(units):
        try:
            factors[k] = convert(1.0, unit, to)
        except InputError as error:
            bad[k] = error
    _flag_units(table, column, codes, units, bad)
    return factors[codes]


def _flag_units(table: Table, column: str, codes: np.ndarray, units: list[str], bad: Mapping[int, InputError]) -> None:
    reasons = {units[k]: error.problems[0] for k, error in bad.items()}
    for where, unit in each(codes, list(bad), units):
        if unit:
            table.flag(where, column, reasons[unit].rule, reasons[unit].remedy)
        else:
            table.flag(where, column, "the unit is missing", "Give a unit in every row, for example nM or h.")


def _division_time(table: Table) -> np.ndarray:
    if "division_time" not in table:
        return np.full(len(table), np.nan)
    values = positive(table, "division_time", blank=True)
    if "division_time_unit" not in table:
        table.problems.add(
            "a column 'division_time' needs its unit",
            "Add the column 'division_time_unit'.",
            row=1,
            column="division_time_unit",
        )
        return values
    return values * unit_factors(table, "division_time_unit", "h")


def _drugs(
    table: Table, known: Collection[str] | None, molar_masses: Mapping[str, float] | None
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    drugs, doses = [], []
    for tail in _tails(table):
        dose = _doses(table, tail)
        codes, words = table.categories("drug" + tail)
        vehicle = np.array([word.lower() in VEHICLES for word in words])[codes]
        drug = resolve(table, "drug" + tail, known, exempt=vehicle & (dose == 0))
        table.flag(
            vehicle & (dose > 0),
            "drug" + tail,
            "a well with a concentration above 0 must name its drug",
            "Name the drug, or give concentration 0 for an untreated well.",
        )
        drug = np.where(vehicle, "", drug)
        drugs.append(drug)
        with np.errstate(over="ignore"):
            dose = dose * _dose_factors(table, tail, drug, dose, molar_masses)
        rule = "the concentration is above 1 mol/L"
        table.flag(dose > _HIGHEST, "concentration" + tail, rule, "Check the number and the unit.")
        doses.append(dose)
    _refuse_gaps(table, drugs)
    return drugs, doses


def _tails(table: Table) -> list[str]:
    """Suffixes of the drug columns ("", "_2" ...); each set of three must be whole and no number left out."""
    numbers = {1}
    for name in table.cells:
        stem, _, number = name.rpartition("_")
        if stem in ("drug", "concentration", "unit") and number.isdigit():
            numbers.add(int(number))
    for number in range(2, max(numbers) + 1):
        for stem in ("drug", "concentration", "unit"):
            if f"{stem}_{number}" not in table:
                table.problems.add(
                    f"drug {number} of a well needs the columns drug_, concentration_ and unit_{number}",
                    "Add the missing column, or number the drugs without a gap.",
                    row=1,
                    column=f"{stem}_{number}",
                )
    return ["", *(f"_{number}" for number in range(2, max(numbers) + 1))]


def _doses(table: Table, tail: str) -> np.ndarray:
    """Concentrations as written, NaN where bad; a drug column left blank together with its drug is 0."""
    column = "concentration" + tail
    dose = table.numbers(column, blank=bool(tail))
    if tail:
        named = table.text("drug" + tail) != ""
        table.flag(
            np.isnan(dose) & named & (table.text(column) == ""),
            column,
            "a drug needs a concentration",
            "Fill it in; 0 means none.",
        )
        dose = np.where(np.isnan(dose) & ~named, 0.0, dose)
    negative = dose < 0
    looks_log = len(np.unique(dose[negative])) >= 3
    remedy = f"These look like logarithms. {_LOG}" if looks_log else f"Correct the sign. {_LOG}"
    table.flag(negative, column, "concentration must be zero or positive", remedy)
    return np.where(negative, np.nan, dose)


def _dose_factors(
    table: Table, tail: str, drug: np.ndarray, dose: np.ndarray, molar_masses: Mapping[str, float] | None
) -> np.ndarray:
    """(n,) factor from the written concentration to nM; 1 where there is no drug and no unit."""
    column = "unit" + tail
    codes, units = table.categories(column)
    drug_codes, drug_names = pd.factorize(drug)
    where, pairs = pd.factorize(codes.astype(np.int64) * len(drug_names) + drug_codes)
    factors = np.full(len(pairs), np.nan)
    bad: dict[int, InputError] = {}
    for p, pair in enumerate(pairs):
        k, name = pair // len(drug_names), str(drug_names[pair % len(drug_names)])
        if not units[k] and (tail or not name):
            factors[p] = 1.0
            continue
        try:
            if not name:
                parse_unit(units[k])
                factors[p] = 1.0
                continue
            factors[p] = _to_nM(
                units[k], None if molar_masses is None else molar_masses.get(name), molar_masses is None
            )
        except InputError as error:
            bad[p] = error
    _flag_units(table, column, where, [units[pair // len(drug_names)] for pair in pairs], bad)
    factor = factors[where]
    if tail:
        table.flag(
            (dose > 0) & (table.text(column) == ""),
            column,
            "the unit is missing",
            "Give a unit wherever there is a concentration.",
        )
    return np.where((dose == 0) & np.isnan(factor), 1.0, factor) if tail else factor


def _to_nM(unit: str, molar_mass: float | None, keep_mass: bool) -> float:
    if "log" in unit.lower():
        raise InputError(_log_unit(unit))
    try:
        return convert(1.0, unit, "nM", molar_mass=molar_mass)
    except InputError:
        if not keep_mass:
            raise
        return convert(1.0, unit, "ug/mL")


def _log_unit(unit: str) -> Problem:
    return Problem(f"'{unit}' is a logarithmic scale", _LOG)


def _refuse_gaps(table: Table, drugs: list[np.ndarray]) -> None:
    for k in range(1, len(drugs)):
        tail = f"_{k}" if k > 1 else ""
        table.flag(
            (drugs[k] != "") & (table.text("drug" + tail) == ""),
            f"drug_{k + 1}",
            f"the drugs of a well must be given without a gap, but 'drug{tail}' is blank",
            "Move the drug into the first free columns.",
        )


def _refuse_repeats(table: Table, drugs: list[np.ndarray]) -> None:
    for k in range(1, len(drugs)):
        for j in range(k):
            table.flag(
                (drugs[k] != "") & (drugs[k] == drugs[j]),
                f"drug_{k + 1}",
                "a drug may be named only once in a well",
                "Add the two concentrations and give the drug once.",
            )


def _refuse_doubled_wells(table: Table, frame: pd.DataFrame, untreated: np.ndarray) -> None:
    """Equal wells are copies, except untreated wells that differ in their value: plates have many of those."""
    keys = frame.drop(columns=["row", "value", "sd", "censoring", "upper_limit"], errors="ignore")
    keys["control"] = np.where(untreated, frame["value"], 0.0)
    doses = [column for column in frame.columns if re.fullmatch(r"concentration(_\d+)?", column)]
    sound = np.isfinite(frame[[*doses, "time"]].to_numpy(dtype=float)).all(axis=1)
    doubled = keys.duplicated(keep="first").to_numpy() & sound
    if not doubled.any():
        return
    same = keys.groupby(list(keys.columns), sort=False, dropna=False).ngroup()
    first = frame["row"].groupby(same).transform("first").to_numpy()
    has = "replicate" in table
    remedy = (
        "Delete the copy, or number the replicates apart."
        if has
        else "Delete the copy, or add a column 'replicate' that tells the wells apart."
    )
    index = np.flatnonzero(doubled)
    for i in index[:REPORTED]:
        which = " with the same replicate" if has else ""
        rule = f"the same well{which} is given in row {first[i]}"
        table.flag(np.array([i]), "value", rule, remedy)
    if len(index) > REPORTED:
        table.flag(
            index[-1:], "value", f"{len(index) - REPORTED} more wells are given twice, the last of them here", remedy
        )
