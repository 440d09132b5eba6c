"""What all assay tables share: exact cells, cautions about rounding, and the table that comes back."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd

from her2pkpd.assays.editions import CURRENT, Edition, Threshold, edition
from her2pkpd.assays.exact import exact, shown
from her2pkpd.data.table import Table
from her2pkpd.errors import InputError


def exact_column(
    table: Table, column: str, *, low: int | None = 0, high: int | None = None, positive: bool = False
) -> list[Fraction | None]:
    """The exact numbers of a column; None where blank, bad or not there, with every bad cell reported.

    Args:
        table: the table.
        column: its name.
        low: smallest number allowed.
        high: largest number allowed.
        positive: whether zero is refused.
    """
    numbers = table.numbers(column, blank=True)
    words = column.replace("_", " ")
    if high is not None:
        outside = (numbers < (low or 0)) | (numbers > high)
        table.flag(outside, column, f"{words} must lie between {low} and {high}", "Correct the number.")
    elif low is not None:
        sign = "positive" if positive else "zero or positive"
        table.flag(
            (numbers <= low) if positive else (numbers < low), column, f"{words} must be {sign}", "Correct the number."
        )
    texts = table.text(column)
    found: list[Fraction | None] = []
    for i, number in enumerate(numbers):
        try:
            found.append(exact(texts[i]) if np.isfinite(number) else None)
        except ValueError:
            flag_one(table, i, column, "the number has too many digits to be a measurement", "Shorten it.")
            found.append(None)
    return found


def whole_column(table: Table, column: str) -> list[int | None]:
    """Whole numbers, zero or more; None where blank or bad."""
    found = exact_column(table, column)
    bad = np.array([value is not None and value.denominator != 1 for value in found], dtype=bool)
    table.flag(bad, column, f"{column.replace('_', ' ')} must be a whole number", "Give a count.")
    return [None if value is None or value.denominator != 1 else int(value) for value in found]


def word_column(table: Table, column: str, words: Mapping[str, str]) -> list[str]:
    """Words of a column, each replaced by what it stands for; blank where blank, unknown ones reported.

    Args:
        table: the table.
        column: its name.
        words: the word meant, by every lower-case spelling allowed.
    """
    texts = table.text(column)
    known = ", ".join(dict.fromkeys(words.values()))
    found = [words.get(str(text).strip().lower(), "") for text in texts]
    bad = np.array([bool(text) and not word for text, word in zip(texts, found, strict=True)], dtype=bool)
    table.flag(bad, column, f"the {column.replace('_', ' ')} must be one of: {known}", "Use one of these, or blank.")
    return found


def flag_one(table: Table, index: int, column: str, rule: str, remedy: str) -> None:
    """Record one problem of one row."""
    table.flag(np.array([index]), column, rule, remedy)


def check_cases(table: Table, *, unique: bool = True) -> list[str]:
    """The names of the cases, with missing and doubled ones reported."""
    cases = [str(case) for case in table.text("case")]
    blank = np.array([not case for case in cases], dtype=bool)
    table.flag(blank, "case", "the case is missing", "Give every row the name or number of its case.")
    if unique:
        doubled = pd.Series(cases).duplicated().to_numpy() & ~blank
        table.flag(doubled, "case", "the case is there twice", "Give one row a case, or tell the rows apart.")
    return cases


def editions(table: Table, asked: str | None) -> list[Edition]:
    """The edition of every row: its own column, else the one asked for, else the current one."""
    standard = edition(asked or CURRENT)
    found = []
    for i, text in enumerate(table.text("edition")):
        try:
            found.append(edition(text) if text else standard)
        except InputError as error:
            flag_one(table, i, "edition", error.problems[0].rule, error.problems[0].remedy)
            found.append(standard)
    return found


def at_threshold(name: str, text: str, value: Fraction | None, limits: Sequence[Threshold]) -> str:
    """A caution where a value equals a threshold as written, so that the number it was rounded from may not meet it.

    Args:
        name: what it is, for the sentence.
        text: the cell as it stands.
        value: its exact value.
        limits: thresholds that divide.
    """
    if value is None or all(limit.value != value for limit in limits):
        return ""
    exponent = Decimal(text).as_tuple().exponent
    half = Fraction(1, 2) * Fraction(10) ** min(int(exponent), 0)
    return (
        f"{name} {text} is taken as written; if it was rounded, it stands for {shown(value - half)} to "
        f"{shown(value + half)}, on both sides of the threshold"
    )


def results(table: Table, added: Mapping[str, Sequence[object]], keep: Sequence[int] | None = None) -> pd.DataFrame:
    """The input columns and the results beside them.

    An input column that has the name of a result is kept as ``<name>_given``.

    Args:
        table: the input.
        added: results by column.
        keep: indices of the rows to keep; all by default.
    """
    frame = table.frame()
    if keep is not None:
        frame = frame.iloc[list(keep)].reset_index(drop=True)
    frame = frame.rename(columns={name: f"{name}_given" for name in frame.columns if name in added})
    return pd.concat([frame, pd.DataFrame({name: list(values) for name, values in added.items()})], axis=1)
