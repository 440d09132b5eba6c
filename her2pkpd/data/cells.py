"""From text cells to numbers, with a reason for every cell that is none."""

import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd

from her2pkpd.errors import Problems

REPORTED = 1000
"""Bad rows listed one by one for each rule; beyond that they are counted."""

_COMMA = re.compile(r"[-+]?\d{1,3}(,\d{3})+(\.\d*)?|[-+]?\d*,\d+([eE][-+]?\d+)?")
_WITH_UNIT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*[A-Za-zµμ%/].*")
_LIMIT = re.compile(r"[<>≤≥~≈].*")

Reason = tuple[str, str]
"""(rule, remedy)"""


def as_text(value: object) -> str:
    """A cell as stripped text; None and NaN are blank, 3.0 is "3"."""
    if isinstance(value, str):
        return value.strip()
    if value is None or value is pd.NaT or value is pd.NA:
        return ""
    if isinstance(value, (float, np.floating)):
        if np.isnan(value):
            return ""
        return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))
    return str(value).strip()


def unique_text(cells: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Codes (n,) into the distinct stripped texts of `cells`, in order of first appearance."""
    if cells.dtype != object:
        cells = cells.astype(object)
    codes, values = pd.factorize(cells, use_na_sentinel=False)
    texts = [as_text(value) for value in values]
    merged, distinct = pd.factorize(np.array(texts, dtype=object))
    return merged[codes], [str(text) for text in distinct]


def each(codes: np.ndarray, chosen: Sequence[int], values: Sequence[str]) -> Iterator[tuple[np.ndarray, str]]:
    """Masks of the rows that hold each chosen value; after the first 20 values all the rest in one mask.

    A wrong column in a file of a million rows has a million wrong values; nobody reads a million remedies.

    Args:
        codes: (n,) codes into `values`.
        chosen: the codes wanted.
        values: the distinct values.

    Yields:
        A mask of length n and the value (the first of them in the last, collective mask).
    """
    for k in chosen[:20]:
        yield codes == k, values[k]
    if len(chosen) > 20:
        yield np.isin(codes, np.asarray(chosen[20:])), values[chosen[20]]


def not_a_number(text: str) -> Reason:
    """Why `text` is no ordinary number, and what to write."""
    return next(reason for matches, reason in _REASONS if matches(text))


_NO_NUMBER = frozenset({"nan", "na", "n/a", "null", "none", "inf", "infinity", "missing", "-", "."})
_REASONS: tuple[tuple[Callable[[str], object], Reason], ...] = (
    (lambda text: not text, ("a number is missing", "Fill in the number, or leave the whole row out.")),
    (
        _COMMA.fullmatch,
        (
            "commas must not stand inside a number",
            "Write a decimal point and no thousands separator (1.5 for '1,5'; 1000 for '1,000').",
        ),
    ),
    (
        lambda text: text.startswith("#"),
        ("the cell holds a spreadsheet error", "Repair the formula, or leave the row out."),
    ),
    (
        lambda text: text.lower().lstrip("+-") in _NO_NUMBER or text in _NO_NUMBER,
        ("a number must be finite", "Leave the row out when there is no measurement."),
    ),
    (
        _LIMIT.fullmatch,
        (
            "a limit is not a number",
            "Limits such as '>8' belong in a table of published metrics; a plate has a column 'censoring' for them.",
        ),
    ),
    (
        lambda text: text[0] in "\u2212\u2013\u2014",
        ("the minus sign is a dash", "Write a plain hyphen '-' as the minus sign."),
    ),
    (
        re.compile(r"[-+]?[\d.]+([eE][-+]?\d+)?").fullmatch,
        ("the number cannot be read, or is too large", "Write digits with one decimal point, in a fitting unit."),
    ),
    (
        _WITH_UNIT.fullmatch,
        ("the cell must hold the number alone", "Move the unit or percent sign to its own column."),
    ),
    (lambda _: True, ("the cell must hold a number", "Write digits with a decimal point, for example 0.5 or 1e-3.")),
)
"""Checked in this order."""


def parse_numbers(
    cells: np.ndarray, rows: np.ndarray, column: str, problems: Problems, *, blank: bool = False
) -> np.ndarray:
    """Turn cells into float64.

    Args:
        cells: (n,) text, or numbers.
        rows: (n,) row numbers for messages.
        column: column name for messages.
        problems: every cell that is no finite number is recorded here.
        blank: whether a blank cell is allowed; it becomes NaN.

    Returns:
        (n,) numbers, NaN where blank or bad.
    """
    if cells.dtype == object:
        values = np.array(pd.to_numeric(pd.Series(cells, dtype=object), errors="coerce"), dtype=float)
    else:
        values = cells.astype(float)
    bad = np.flatnonzero(~np.isfinite(values))
    reasons: dict[Reason, list[int]] = {}
    for i in bad:
        text = as_text(cells[i])
        if text or not blank:
            reasons.setdefault(not_a_number(text), []).append(int(i))
    values = values.copy()
    values[bad] = np.nan
    for (rule, remedy), where in reasons.items():
        flag(
            np.array(where), rows, problems, column=column, rule=rule, remedy=remedy, value=lambda i: as_text(cells[i])
        )
    return values


def flag(
    where: np.ndarray,
    rows: np.ndarray,
    problems: Problems,
    *,
    column: str | None,
    rule: str,
    remedy: str,
    value: Callable[[int], object] | None = None,
) -> None:
    """Record one problem for each index in `where`; beyond `REPORTED` the rest are counted in one line.

    Args:
        where: indices, or a mask of length n.
        rows: (n,) row numbers.
        problems: the collector.
        column: column name.
        rule: what must hold.
        remedy: what to do.
        value: gives the offending value of an index.
    """
    index = np.flatnonzero(where) if where.dtype == bool else where
    for i in index[:REPORTED]:
        problems.add(rule, remedy, row=int(rows[i]), column=column, value=None if value is None else value(int(i)))
    if len(index) > REPORTED:
        last = int(rows[index[-1]])
        problems.add(
            f"{rule} ({len(index) - REPORTED} more rows, the last of them {last})", remedy, row=last, column=column
        )
