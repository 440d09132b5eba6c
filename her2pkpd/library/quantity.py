"""Reading one quantity of a library file: value, unit, spread and source, checked together."""

import math
from collections.abc import Collection, Mapping
from typing import Any

from her2pkpd.errors import InputError, Problems
from her2pkpd.library.numbers import Quantity, Spread, number_text
from her2pkpd.settings import nearest
from her2pkpd.sources import CERTAINTIES, Source
from her2pkpd.units import convert

CANONICAL = (
    *("1", "nM", "h", "1/h", "1/nM/h", "L", "nmol", "cells", "copies/cell", "g/mol"),
    *("L/h", "nmol/h", "kg", "g/L", "cm", "cm/h", "cm2/h", "m2", "cells/L", "U/L", "years"),
)
"""Units a library number may end up in."""

Table = Mapping[str, Any]

_QUANTITY_KEYS = frozenset({"value", "unit", "source", "citation", "certainty", "description"})
_SPREAD_KEYS = ("cv", "fold", "range", "interval")
_EXAMPLE = 'Write, for example, { value = 2.0, unit = "nM", fold = 3, citation = "...", certainty = "published" }.'


def read_quantity(
    table: Any,
    key: str,
    problems: Problems,
    *,
    unit: str | None = None,
    sources: Mapping[str, Source] | None = None,
    molar_mass: float | None = None,
) -> Quantity | None:
    """Check and convert one quantity.

    Args:
        table: its TOML table: ``value``, ``unit``, one of ``cv``, ``fold``, ``range``, ``interval``, either
            ``source`` (a key of `sources`) or ``citation`` and ``certainty``, and perhaps ``description``.
        key: its key, for messages.
        problems: collects what is wrong.
        unit: canonical unit it must have; None takes whichever canonical unit it converts to.
        sources: the file's ``[sources]``.
        molar_mass: g/mol, where mass must become amount.

    Returns:
        The quantity, or None after recording a problem.
    """
    before = len(problems.found)
    if not isinstance(table, Mapping):
        problems.add("a quantity must be a table with value, unit and source", _EXAMPLE, column=key, value=table)
        return None
    check_keys(table, [*_QUANTITY_KEYS, *_SPREAD_KEYS], key, problems)
    value = _number(table.get("value"), f"{key}.value", problems)
    text = table.get("unit")
    if not isinstance(text, str):
        problems.add(
            "a quantity must have a unit", 'Write, for example, unit = "nM".', column=f"{key}.unit", value=text
        )
        return None
    target = _target(text, unit, key, problems, molar_mass)
    source = _source(table, key, sources or {}, problems)
    if value is None or target is None or source is None:
        return None
    spread = _spread(table, value, (text, target), key, problems, molar_mass)
    if len(problems.found) > before:
        return None
    canonical = convert(value, text, target, molar_mass=molar_mass)
    return Quantity(value, text, canonical, target, spread, source, str(table.get("description", "")))


def _number(value: Any, key: str, problems: Problems) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        problems.add("must be a finite number", "Give an ordinary number.", column=key, value=value)
        return None
    if value < 0:
        problems.add("must not be negative", "No quantity of the library can be below zero.", column=key, value=value)
        return None
    return float(value)


def _target(text: str, unit: str | None, key: str, problems: Problems, molar_mass: float | None = None) -> str | None:
    for candidate in [unit] if unit else CANONICAL:
        try:
            convert(1.0, text, candidate, molar_mass=molar_mass)
        except InputError as error:
            first = error.problems[0]
            if first.rule.startswith("unknown unit"):
                problems.add(first.rule, first.remedy, column=f"{key}.unit", value=text)
                return None
        else:
            return candidate
    wanted = unit or ", ".join(CANONICAL)
    problems.add(f"unit must convert to {wanted}", "Use a unit of that kind.", column=f"{key}.unit", value=text)
    return None


def _source(table: Table, key: str, sources: Mapping[str, Source], problems: Problems) -> Source | None:
    if "source" in table:
        name = table["source"]
        if name not in sources:
            remedy = f"Add [sources.{name}] with citation and certainty, or use: {', '.join(sources) or 'none yet'}."
            problems.add("source must be a key of [sources]", remedy, column=f"{key}.source", value=name)
            return None
        return sources[name]
    return read_source(table, key, problems)


def read_source(table: Table, key: str, problems: Problems) -> Source | None:
    """Citation and certainty of a table, or None after recording a problem."""
    citation, certainty = table.get("citation"), table.get("certainty")
    if not isinstance(citation, str) or not citation.strip():
        problems.add("every number must have a citation", "Say where it comes from.", column=f"{key}.citation")
        return None
    if certainty not in CERTAINTIES:
        remedy = f"Use one of: {', '.join(CERTAINTIES)}."
        problems.add("certainty must be a known word", remedy, column=f"{key}.certainty", value=certainty)
        return None
    return Source(citation, certainty)


def _spread(
    table: Table, value: float, units: tuple[str, str], key: str, problems: Problems, molar_mass: float | None = None
) -> Spread | None:
    kinds = [k for k in _SPREAD_KEYS if k in table]
    if not kinds:
        return None
    if len(kinds) > 1:
        problems.add("a quantity must have one spread", f"Keep one of: {', '.join(kinds)}.", column=key)
        return None
    kind = kinds[0]
    ends = _ends(kind, table[kind], value, f"{key}.{kind}", problems)
    if ends is None:
        return None
    low, high = (convert(end, *units, molar_mass=molar_mass) for end in ends)
    return Spread(kind, low, high, _spread_text(kind, table[kind]))  # pyright: ignore[reportArgumentType]


def _ends(kind: str, given: Any, value: float, key: str, problems: Problems) -> tuple[float, float] | None:
    if kind in ("cv", "fold"):
        size = _number(given, key, problems)
        if size is None:
            return None
        if kind == "fold" and size < 1:
            problems.add("a fold must be 1 or more", "Write 3 for three-fold up or down.", column=key, value=given)
            return None
        factor = size if kind == "fold" else math.exp(1.96 * math.sqrt(math.log1p(size**2)))
        return value / factor, value * factor
    if not isinstance(given, list) or len(given) != 2 or any(_number(x, key, problems) is None for x in given):
        problems.add(f"{kind} must be two numbers", f"Write {kind} = [low, high].", column=key, value=given)
        return None
    low, high = given
    if not low <= value <= high:
        problems.add(f"{kind} must contain the value", "Check the order and the unit.", column=key, value=given)
        return None
    return low, high


def _spread_text(kind: str, given: Any) -> str:
    if kind == "cv":
        return f"CV {100 * given:g} %"
    if kind == "fold":
        return f"within {given:g}-fold"
    words = {"range": "range", "interval": "95 % interval"}
    return f"{words[kind]} {number_text(given[0])} to {number_text(given[1])}"


def check_keys(table: Table, known: Collection[str], key: str, problems: Problems) -> None:
    """Record every key that is not in `known`, with the nearest that is."""
    for name in table:
        if name not in known:
            problems.add("is not a known key", nearest(name, known), column=f"{key}.{name}" if key else name)
