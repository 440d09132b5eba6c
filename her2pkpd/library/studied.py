"""Doses that people have been given: outside them a prediction rests on the model alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from her2pkpd.errors import InputError, Problems
from her2pkpd.library.quantity import check_keys, read_source
from her2pkpd.sources import Source
from her2pkpd.units import quantity

_KEYS = ("route", "low", "high", "unit", "every", "citation", "certainty", "description")
_EXAMPLE = (
    '{ route = "iv", low = 1, high = 8, unit = "mg/kg", every = "7 d", citation = "...", certainty = "published" }'
)


@dataclass(frozen=True)
class Studied:
    """A range of doses given to people by one route.

    Attributes:
        route: "iv", "sc" or "oral".
        low, high: smallest and largest amount per administration.
        unit: of both, "mg" or "mg/kg".
        every: shortest interval between administrations, h; 0 where none is known to matter.
        source: where it is from.
    """

    route: str
    low: float
    high: float
    unit: str
    every: float
    source: Source

    @property
    def text(self) -> str:
        """The range in words."""
        size = f"{self.low:g}" if self.low == self.high else f"{self.low:g} to {self.high:g}"
        often = f"{self.every / 24.0:g} d" if self.every >= 24.0 else f"{self.every:g} h"
        limit = f", {often} or more apart" if self.every else ""
        return f"{size} {self.unit}{limit} ({self.source.citation})"


def read_studied(tables: Any, problems: Problems) -> tuple[Studied, ...]:
    """Every ``[[studied]]`` of a drug's file.

    Args:
        tables: the list of tables.
        problems: collects what is wrong.
    """
    if not isinstance(tables, list) or not all(isinstance(t, Mapping) for t in tables):
        problems.add("must be tables written [[studied]]", f"Write {_EXAMPLE}.", column="studied", value=tables)
        return ()
    found = (_read(table, f"studied[{i + 1}]", problems) for i, table in enumerate(tables))
    return tuple(x for x in found if x)


def _read(table: Mapping[str, Any], key: str, problems: Problems) -> Studied | None:
    before = len(problems.found)
    check_keys(table, _KEYS, key, problems)
    source = read_source(table, key, problems)
    low, high, unit, route = (table.get(k) for k in ("low", "high", "unit", "route"))
    plain = all(isinstance(x, (int, float)) and not isinstance(x, bool) for x in (low, high))
    if not plain or not 0 < float(low or 0) <= float(high or 0):
        problems.add("low and high must be amounts, low first", f"Write {_EXAMPLE}.", column=key, value=dict(table))
    if unit not in ("mg", "mg/kg") or route not in ("iv", "sc", "oral"):
        rule = "unit must be mg or mg/kg, and route iv, sc or oral"
        problems.add(rule, f"Write {_EXAMPLE}.", column=key, value=dict(table))
    every = 0.0
    try:
        every = quantity(table["every"], "h") if "every" in table else 0.0
    except InputError as error:
        for p in error.problems:
            problems.add(p.rule, p.remedy, column=f"{key}.every", value=table["every"])
    if len(problems.found) > before or source is None:
        return None
    return Studied(str(route), float(table["low"]), float(table["high"]), str(unit), every, source)
