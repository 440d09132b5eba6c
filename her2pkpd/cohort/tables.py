"""Tables a cohort may start from: the user's own patients, and draws from a posterior."""

import contextlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from her2pkpd.data.table import Columns, Table, read_table
from her2pkpd.errors import InputError, Problem
from her2pkpd.library.quantity import CANONICAL
from her2pkpd.simulate.patient_scenario import COVARIATE_FLAGS, COVARIATE_UNITS, COVARIATE_WORDS
from her2pkpd.units import convert

IDENTIFIERS = ("id", "patient", "subject")
_YES = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
_MAX_GROUP = 20


def read_patients(path: str | Path) -> pd.DataFrame:
    """Read a table of patients: one row each.

    Args:
        path: CSV. A column is a covariate, with its unit in brackets behind the name of a number (``weight [kg]``), or
            a parameter of the model, in the model's unit or with another behind the name; ``id`` is left out.

    Returns:
        Covariates in the library's units, and parameters, by name.

    Raises:
        InputError: for missing units, values that cannot be, blanks; all of them.
    """
    table = read_table(str(path), Columns(()))
    found: dict[str, np.ndarray] = {}
    for label in table.cells:
        name, unit = _split(label)
        if name.lower() in IDENTIFIERS:
            continue
        if name in COVARIATE_FLAGS:
            found[name] = _flags(table, label)
        elif name in COVARIATE_WORDS:
            found[name] = _words(table, label, COVARIATE_WORDS[name])
        else:
            found[name] = _numbers(table, label, name, unit)
    table.raise_any()
    return pd.DataFrame(found)


def _split(label: str) -> tuple[str, str]:
    match = re.fullmatch(r"\s*(.*?)\s*\[(.*)\]\s*", label)
    return (match[1], match[2].strip()) if match else (label.strip(), "")


def _flags(table: Table, label: str) -> np.ndarray:
    texts = [x.lower() for x in table.text(label)]
    table.flag(np.array([x not in _YES for x in texts]), label, "must be yes or no", "Correct it.")
    return np.array([_YES.get(x, False) for x in texts])


def _words(table: Table, label: str, known: tuple[str, ...]) -> np.ndarray:
    texts = table.text(label)
    wrong = np.array([x not in known for x in texts])
    table.flag(wrong, label, f"must be one of {', '.join(known)}", "Correct it.")
    return texts


def _numbers(table: Table, label: str, name: str, unit: str) -> np.ndarray:
    values = table.numbers(label)
    if name not in COVARIATE_UNITS:
        return values * _canonical(table, label, unit)
    own = COVARIATE_UNITS[name]
    if not unit:
        table.problems.add("the unit is missing", f"Name the column '{name} [{own}]'.", row=1, column=label)
        return values
    try:
        values = values * convert(1.0, unit, own)
    except InputError as error:
        for p in error.problems:
            table.problems.add(p.rule, p.remedy, row=1, column=label)
    lowest_is_fine = name == "trastuzumab_baseline"
    with np.errstate(invalid="ignore"):
        wrong = (values < 0.0) | ((values == 0.0) & (not lowest_is_fine))
    table.flag(wrong, label, "must be more than zero", "Correct the number.")
    return values


def _canonical(table: Table, label: str, unit: str) -> float:
    """Factor from the unit behind a parameter's name to the model's."""
    factor = to_canonical(unit)
    if factor is None:
        table.problems.add("unknown unit", "Write, for example, 'T-DXd.CL [L/d]'.", row=1, column=label, value=unit)
    return factor or 1.0


def to_canonical(unit: str) -> float | None:
    """Factor from a unit to the one models use for that kind of number; None for an unknown unit, 1 for none."""
    if not unit:
        return 1.0
    for own in CANONICAL:
        with contextlib.suppress(InputError):
            return convert(1.0, unit, own)
    return None


def read_posterior(path: str | Path, names: Mapping[str, str]) -> pd.DataFrame:
    """Read joint draws of parameters.

    Args:
        path: CSV with one row a draw, or a NetCDF file with a group ``posterior`` whose variables have the dimensions
            chain and draw, and perhaps one more: the variable ``kc50`` of the cell lines is ``NCI-N87.kc50`` and so on.
        names: column or variable by parameter of the cohort's model; empty takes every column under its own name.

    Returns:
        One row a draw, columns named as the model's parameters.

    Raises:
        InputError: for a file that cannot be read, columns that are missing, and values that are not numbers.
    """
    path = Path(path)
    frame = _netcdf(path) if path.suffix in (".nc", ".nc4", ".netcdf") else _csv(path)
    missing = [(own, theirs) for own, theirs in names.items() if theirs not in frame]
    if missing:
        known = ", ".join(list(frame)[:_MAX_GROUP])
        raise InputError(
            [
                Problem(f"the draws have no '{theirs}'", f"They have: {known}.", str(path), column=f"posterior.{own}")
                for own, theirs in missing
            ]
        )
    return pd.DataFrame({own: frame[theirs] for own, theirs in names.items()}) if names else frame


def _csv(path: Path) -> pd.DataFrame:
    table = read_table(str(path), Columns(()))
    ignored = {"chain", "draw", *IDENTIFIERS}
    found: dict[str, np.ndarray] = {}
    for label in table.cells:
        name, unit = _split(label)
        if name.lower() not in ignored:
            found[name] = table.numbers(label) * _canonical(table, label, unit)
    table.raise_any()
    return pd.DataFrame(found)


def _netcdf(path: Path) -> pd.DataFrame:
    import h5netcdf

    try:
        with h5netcdf.File(path, "r") as file:
            group = file["posterior"] if "posterior" in file.groups else file
            wanted: dict[str, np.ndarray] = {}
            for name, variable in group.variables.items():
                if tuple(variable.dimensions)[:2] == ("chain", "draw"):
                    wanted |= _scalars(group, name, variable)
    except (OSError, ValueError, KeyError) as error:
        rule = f"the draws cannot be read ({error})"
        raise InputError(Problem(rule, "Give a CSV or the posterior.nc of a fit.", str(path))) from error
    if not wanted or not all(np.isfinite(v).all() for v in wanted.values()):
        rule = "the file holds no finite draws with the dimensions chain and draw"
        raise InputError(Problem(rule, "Give the posterior.nc of a fit.", str(path)))
    return pd.DataFrame(wanted)


def _scalars(group: Any, name: str, variable: Any) -> dict[str, np.ndarray]:
    """A variable's draws one after the other, those of every label of its third dimension by themselves."""
    unit = variable.attrs.get("units", "")
    factor = to_canonical(unit.decode() if isinstance(unit, bytes) else str(unit)) or 1.0
    values = np.asarray(variable[...], dtype=float) * factor
    if values.ndim == 2:
        return {name: values.ravel()}
    if values.ndim > 3:
        return {}
    labels = np.asarray(group.variables[variable.dimensions[2]][...]).ravel()
    words = [x.decode() if isinstance(x, bytes) else str(x) for x in labels]
    return {f"{word}.{name}": values[..., k].ravel() for k, word in enumerate(words)}
