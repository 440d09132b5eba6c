"""Matching the names of drugs and cell lines in a file with the names somebody else knows."""

import difflib
import re
from collections.abc import Collection, Mapping

import numpy as np

from her2pkpd.data.cells import each
from her2pkpd.data.table import Table
from her2pkpd.library.load import plain

VEHICLES = frozenset(
    {"", "-", "none", "dmso", "vehicle", "untreated", "control", "ctrl", "medium", "media", "mock", "pbs", "no drug"}
)
"""Words that stand for no drug in a well of concentration 0."""


def nearest(name: str, known: Collection[str], limit: int = 3) -> list[str]:
    """The known names most like `name`, best first."""
    by_plain = {plain(other): other for other in sorted(known)}
    return [by_plain[match] for match in difflib.get_close_matches(plain(name), list(by_plain), n=limit, cutoff=0.6)]


def suggestion(name: str, known: Collection[str]) -> str:
    """An instruction that names the nearest known names, or all of them when they are few."""
    near = nearest(name, known)
    if near:
        return "Did you mean " + " or ".join(repr(other) for other in near) + "?"
    if len(known) <= 12:
        return "Known are " + ", ".join(repr(other) for other in sorted(known)) + "."
    return "Look the name up in the library, or add it there."


def resolve(
    table: Table, column: str, known: Collection[str] | None, *, exempt: np.ndarray | None = None
) -> np.ndarray:
    """The names of a column as the library writes them.

    Args:
        table: the table; unknown names are recorded in its problems.
        column: the column of names.
        known: the names allowed, or None to allow any. A name that differs from exactly one of them only in case,
            blanks or punctuation is taken as that one. A mapping gives, for every name allowed (synonyms too), the
            name to use.
        exempt: (n,) rows whose name is not checked.

    Returns:
        (n,) names; blank cells stay blank and unchecked.
    """
    codes, values = table.categories(column)
    resolved = list(values)
    if known is not None:
        names = dict(known) if isinstance(known, Mapping) else {name: name for name in known}
        loose = _loose(names)
        unknown = []
        for k, value in enumerate(values):
            if not value:
                continue
            found = names.get(value) or loose.get(plain(value))
            if found is None:
                unknown.append(k)
            else:
                resolved[k] = found
        thing = re.sub(r"_\d+$", "", column).replace("_", " ")
        for where, value in each(codes, unknown, values):
            table.flag(
                where if exempt is None else where & ~exempt, column, f"unknown {thing}", suggestion(value, known)
            )
    return np.array(resolved, dtype=object)[codes]


def _loose(names: Mapping[str, str]) -> dict[str, str]:
    """Names to use by plain name, without those that would be ambiguous."""
    meant: dict[str, set[str]] = {}
    for name, used in names.items():
        meant.setdefault(plain(name), set()).add(used)
    return {key: next(iter(used)) for key, used in meant.items() if key and len(used) == 1}
