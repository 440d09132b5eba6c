"""Values only known to lie beyond a limit, or between two: how tables say so, and what may not be done with them.

A published metric writes ``<0.02`` or ``>8``. A plate, whose values are numbers, has a column ``censoring``: "left"
(the truth lies below ``value``), "right" (above it) or "interval" (between ``value`` and ``upper_limit``).
"""

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

from her2pkpd.data.cells import flag
from her2pkpd.data.readouts import canonical_limits, falling
from her2pkpd.data.table import Table
from her2pkpd.errors import Problems

NONE, LEFT, RIGHT, INTERVAL = "none", "left", "right", "interval"
"""Censoring: the number is the value; the true value lies below it; above it; between it and an upper limit."""

_LIMIT = re.compile(r"(?P<sign>[<>]=?|≤|≥)\s*(?P<number>.*)")
_MIRRORED = {NONE: NONE, LEFT: RIGHT, RIGHT: LEFT, INTERVAL: INTERVAL}
_MEANING = "Write left (the truth lies below value), right (above it), interval (up to upper_limit), or nothing."


def split_limit(text: str) -> tuple[str, str]:
    """The number of a cell, as text, and what its sign says: `NONE`, `LEFT` or `RIGHT`."""
    limit = _LIMIT.fullmatch(text)
    if not limit:
        return text, NONE
    return limit["number"].strip(), LEFT if limit["sign"] in ("<", "<=", "≤") else RIGHT


@dataclass(frozen=True)
class Limits:
    """Values with what is known about them.

    Attributes:
        value: (n,) the measured value, or the limit, or the lower end of an interval.
        censoring: (n,) `NONE`, `LEFT`, `RIGHT` or `INTERVAL`.
        upper: (n,) upper end of an interval, NaN elsewhere.
    """

    value: np.ndarray
    censoring: np.ndarray
    upper: np.ndarray

    def canonical(self, table: Table, codes: np.ndarray, names: list[str], value: np.ndarray) -> "Limits":
        """The same on the canonical scale of the read-outs; a scale that counts downwards turns "left" into "right".

        Args:
            table: the table; upper limits outside the scale's range are recorded in its problems.
            codes: (n,) codes into `names`.
            names: scale names, "" where unknown.
            value: (n,) the values on that scale.
        """
        upper = canonical_limits(table, codes, names, self.upper)
        down = falling(codes, names)
        turned = np.array([_MIRRORED[c] for c in self.censoring], dtype=object)
        swap = down & (self.censoring == INTERVAL)
        ends = np.where(swap, upper, value), np.where(swap, value, upper)
        return Limits(ends[0], np.where(down, turned, self.censoring), ends[1])


def read_limits(table: Table) -> Limits:
    """The columns ``value, censoring, upper_limit`` of a plate, as written; every broken rule is recorded."""
    value, upper, censoring = table.numbers("value"), table.numbers("upper_limit", blank=True), _words(table)
    interval, blank = censoring == INTERVAL, table.text("upper_limit") == ""
    remedy = "Fill in upper_limit, or write censoring 'right' if no upper limit is known."
    table.flag(interval & blank, "upper_limit", "an interval needs its upper limit", remedy)
    remedy = "Write censoring 'interval', or leave upper_limit blank."
    table.flag(~interval & ~blank, "upper_limit", "only an interval has an upper limit", remedy)
    remedy = "Swap the two, or correct them."
    table.flag(interval & (upper <= value), "upper_limit", "upper_limit must be above value", remedy)
    return Limits(value, censoring, np.where(interval, upper, np.nan))


def _words(table: Table) -> np.ndarray:
    codes, texts = table.categories("censoring")
    words = np.array([text.lower() or NONE for text in texts], dtype=object)
    known = np.isin(words.astype(str), (NONE, LEFT, RIGHT, INTERVAL))
    rule = "censoring must be none, left, right or interval"
    table.flag(~known[codes], "censoring", rule, _MEANING)
    return np.where(known, words, NONE)[codes]


def censoring_of(wells: pd.DataFrame) -> np.ndarray:
    """(n,) censoring of wells with the columns of `Plate.frame`."""
    given = wells.get("censoring")
    return np.full(len(wells), NONE, dtype=object) if given is None else given.to_numpy(dtype=object)


def refuse_limits(wells: pd.DataFrame, problems: Problems, what: str) -> None:
    """Report every censored well to a calculation that needs the value itself.

    Args:
        wells: with the columns of `Plate.frame`.
        problems: the collector.
        what: what needs values, as the beginning of a sentence.
    """
    censoring, rows = censoring_of(wells), wells["row"].to_numpy()
    rule = f"{what} measured values, and this row gives a limit"
    flag(
        censoring != NONE, rows, problems, column="censoring", rule=rule,
        remedy="Leave the row out, or use `her2pkpd fit`, which knows what a limit means.",
        value=lambda i: str(censoring[i]),
    )  # fmt: skip
