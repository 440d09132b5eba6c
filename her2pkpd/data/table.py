"""The one door for tables: every reader of this package gets its columns from here.

A reader says which columns it needs (`Columns`); the door opens the file or the data frame, matches the
names, and hands out text and numbers with the row number of each, so that every message can name the place.
"""

import difflib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from her2pkpd.data.cells import as_text, flag, parse_numbers, unique_text
from her2pkpd.data.csv_text import Cells, load_cells
from her2pkpd.errors import InputError, Problem, Problems

Source = str | os.PathLike[str] | pd.DataFrame
"""A path, or a data frame with the same columns."""


@dataclass(frozen=True)
class Columns:
    """What columns a table must and may have.

    Attributes:
        required: names that must be there.
        optional: names that may be there.
        numbered: stems that may be repeated as ``stem_2``, ``stem_3`` ...
        aliases: other names, each with the name it stands for.
        hints: names often met in place of a required one; not accepted, only recognised in the message.
    """

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    numbered: tuple[str, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)
    hints: Mapping[str, str] = field(default_factory=dict)

    @property
    def known(self) -> tuple[str, ...]:
        """Required and optional names."""
        return (*self.required, *self.optional)


@dataclass(frozen=True, eq=False)
class Table:
    """Named columns of n cells with their row numbers.

    Attributes:
        name: the file, or a name for the data frame, as it appears in messages.
        cells: by column name, (n,) text (dtype object) or float64.
        rows: (n,) row numbers; the header is row 1.
        own: the names of columns the reader does not know; they are carried along.
        problems: what is wrong so far.
    """

    name: str
    cells: Mapping[str, np.ndarray]
    rows: np.ndarray
    own: tuple[str, ...]
    problems: Problems
    _categories: dict[str, tuple[np.ndarray, list[str]]] = field(default_factory=dict, repr=False)
    _numbers: dict[str, np.ndarray] = field(default_factory=dict, repr=False)

    def __contains__(self, column: str) -> bool:
        return column in self.cells

    def __len__(self) -> int:
        return len(self.rows)

    def text(self, column: str) -> np.ndarray:
        """The stripped text of a column, (n,) of str; blank if the column is not there."""
        codes, values = self.categories(column)
        return np.array(values, dtype=object)[codes]

    def categories(self, column: str) -> tuple[np.ndarray, list[str]]:
        """Codes (n,) and the distinct texts of a column, in order of appearance."""
        if column not in self.cells:
            return np.zeros(len(self), dtype=np.intp), [""]
        if column not in self._categories:
            self._categories[column] = unique_text(self.cells[column])
        return self._categories[column]

    def numbers(self, column: str, *, blank: bool = False) -> np.ndarray:
        """The numbers of a column, (n,); NaN where it is blank (`blank` permits that), bad or not there."""
        if column not in self.cells:
            return np.full(len(self), np.nan)
        if column not in self._numbers:
            self._numbers[column] = parse_numbers(self.cells[column], self.rows, column, self.problems, blank=blank)
        return self._numbers[column].copy()

    def flag(self, where: np.ndarray, column: str, rule: str, remedy: str) -> None:
        """Record a problem for every row in `where` (mask or indices), with the value that stands in `column`."""
        cells = self.cells.get(column)
        value = None if cells is None else (lambda i: as_text(cells[i]))
        flag(where, self.rows, self.problems, column=column, rule=rule, remedy=remedy, value=value)

    def frame(self) -> pd.DataFrame:
        """The table as it came, cells stripped; the index counts from 0."""
        return pd.DataFrame({name: self.text(name) for name in self.cells})

    def raise_any(self) -> None:
        """Raise everything found so far, in the order of the rows.

        Raises:
            InputError: if there is any problem.
        """
        self.problems.found.sort(key=lambda problem: problem.row or 0)
        self.problems.raise_any()


def as_pandas(source: Any) -> Any:
    """A data frame of another library (polars, PyArrow, narwhals, ...) as pandas'; anything else as it is.

    Only what those libraries have in common is used, so that none of them is needed here: named columns that give
    themselves as lists. A lazy frame is collected first.
    """
    if isinstance(source, (str, os.PathLike, pd.DataFrame)):
        return source
    if hasattr(source, "collect") and not hasattr(source, "to_dict"):
        source = source.collect()
    names = getattr(source, "column_names", None) or getattr(source, "columns", None)
    if names is None or not hasattr(source, "__getitem__"):
        what = type(source).__name__
        raise InputError(Problem(f"{what} is no table", "Give the path of a CSV, or a data frame."))
    columns = {str(name): source[name] for name in names}
    return pd.DataFrame({n: c.to_pylist() if hasattr(c, "to_pylist") else c.to_list() for n, c in columns.items()})


def read_table(source: Source | Any, columns: Columns, *, name: str | None = None) -> Table:
    """Open a table and match its columns.

    Args:
        source: a CSV or TSV file (see `her2pkpd.data.csv_text`), or a data frame of pandas or another library, whose
            first row counts as row 2.
        columns: what the reader needs. Names match whatever their case, with blanks or hyphens for underscores.
        name: the name in messages; by default the path or "data frame".

    Returns:
        The table, with ragged rows recorded in its `problems`; columns the reader does not know are kept.

    Raises:
        InputError: if the file cannot be read, or columns are missing, doubled, unnamed or all but named like a known
            one.
    """
    source = as_pandas(source)
    shown = name or ("data frame" if isinstance(source, pd.DataFrame) else os.fspath(source))
    problems = Problems(shown)
    cells = _from_frame(source, shown) if isinstance(source, pd.DataFrame) else load_cells(source, problems)
    names = _match_header(cells, columns, problems)
    if not len(cells.rows) or any(problem.row in (None, 1) for problem in problems.found):
        problems.raise_any()
    kept = {name: cells.columns[i] for i, name in enumerate(names) if name}
    known = set(columns.known) | {name for name in kept if _stem(name, columns)}
    return Table(shown, kept, cells.rows, tuple(name for name in kept if name not in known), problems)


def _from_frame(frame: pd.DataFrame, name: str) -> Cells:
    if frame.empty:
        raise InputError(Problem("the table has no rows", "Add one row for each measurement.", name))
    columns = []
    for i in range(frame.shape[1]):
        column = frame.iloc[:, i]
        numeric = pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype)
        if numeric and not pd.api.types.is_complex_dtype(column.dtype):
            columns.append(column.to_numpy(dtype=float, na_value=np.nan))
        else:
            columns.append(np.array([as_text(value) for value in column], dtype=object))
    return Cells([as_text(label) for label in frame.columns], columns, np.arange(2, len(frame) + 2))


def _normal(label: str) -> str:
    return re.sub(r"[\s\-]+", "_", label.strip().strip("\ufeff").strip()).lower()


def _stem(name: str, columns: Columns) -> str | None:
    match = re.fullmatch(r"(.+)_([2-9]|[1-9]\d)", name)
    return match.group(1) if match and match.group(1) in columns.numbered else None


def _match_header(cells: Cells, columns: Columns, problems: Problems) -> list[str]:
    canonical = {known.lower(): known for known in columns.known}
    canonical |= {other.lower(): known for other, known in columns.aliases.items()}
    likely = [*canonical, *(f"{stem}_{number}" for stem in columns.numbered for number in (2, 3))]
    names: list[str] = []
    for i, label in enumerate(cells.header):
        key = _normal(label)
        if key in canonical:
            name = canonical[key]
        elif _stem(key, columns):
            name = key
        else:
            name = _own_name(label, cells.columns[i], i, likely, problems)
        if name and name in names:
            problems.add("the column is there twice", "Keep one of them.", row=1, column=name, value=label)
            name = ""
        names.append(name)
    _report_missing(names, cells.header, columns, problems)
    return names


def _own_name(label: str, column: np.ndarray, position: int, known: Iterable[str], problems: Problems) -> str:
    clean = label.strip()
    unnamed = not clean or re.fullmatch(r"Unnamed: \d+", clean)
    if unnamed:
        if any(as_text(cell) for cell in column):
            problems.add(
                f"column {position + 1} has values but no name",
                "Name it in the header, or delete it.",
                row=1,
                value=clean,
            )
        return ""
    near = difflib.get_close_matches(_normal(clean), list(known), n=1, cutoff=0.85)
    if near:
        problems.add(
            "unknown column",
            f"Did you mean '{near[0]}'? Otherwise rename it so that it cannot be mistaken.",
            row=1,
            column=clean,
        )
    return clean


def _report_missing(names: list[str], header: list[str], columns: Columns, problems: Problems) -> None:
    present = {_normal(label): label for label in header}
    for required in columns.required:
        if required in names:
            continue
        instead = [present[hint] for hint, means in columns.hints.items() if means == required and hint in present]
        found = ", ".join(repr(label.strip()) for label in header[:20])
        remedy = f"Rename '{instead[0]}' to '{required}'." if instead else f"Add it; the header has {found}."
        problems.add("a required column is missing", remedy, row=1, column=required)
