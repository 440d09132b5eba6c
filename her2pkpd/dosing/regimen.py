"""Regimens as people write them: "420 mg every 3 weeks, loading 840 mg"."""

import re
from dataclasses import dataclass
from typing import Any

from her2pkpd.errors import InputError, Problem
from her2pkpd.units import parse_quantity, parse_unit, quantity

_EXAMPLE = 'Write, for example, "420 mg every 3 weeks, loading 840 mg" or "5.4 mg/kg every 21 d for 6 doses".'
# Longer phrases first: "daily" is part of "twice daily".
_WORDS = {"twice daily": "12 h", "once daily": "24 h", "bid": "12 h", "qd": "24 h", "daily": "24 h", "weekly": "7 d"}
_NAMES = {"day": "d", "days": "d", "week": "week", "weeks": "week", "hour": "h", "hours": "h"}


@dataclass(frozen=True)
class Amount:
    """An amount per dose.

    Attributes:
        value: ug, ug per kg or ug per m2.
        per: "" for a flat dose, "kg" or "m2".
    """

    value: float
    per: str = ""

    def micrograms(self, weight: Any, bsa: Any) -> Any:
        """The dose of a patient of `weight` kg and `bsa` m2, or of an array of them, ug."""
        return self.value * {"": 1.0, "kg": weight, "m2": bsa}[self.per]


@dataclass(frozen=True)
class Regimen:
    """A repeated dose.

    Attributes:
        amount: of each dose.
        interval: h; 0 for a single dose.
        loading: the first dose where it differs, or None.
        doses: how many, or None where the text does not say.
    """

    amount: Amount
    interval: float = 0.0
    loading: Amount | None = None
    doses: int | None = None


def read_amount(text: str) -> Amount:
    """Read "8 mg/kg", "600 mg" or "75 mg/m2".

    Raises:
        InputError: if it is no positive mass, mass per weight or mass per area.
    """
    _, unit = parse_quantity(text)
    head, _, per = unit.replace(" ", "").partition("/")
    per = per.replace("²", "2")
    if per not in ("", "kg", "m2") or dict(parse_unit(head).dimension) != {"mass": 1}:
        raise InputError(Problem("a dose must be in mg, mg/kg or mg/m2", _EXAMPLE, value=text))
    value = parse_quantity(text)[0] * quantity(f"1 {head}", "ug")
    if not value > 0:
        raise InputError(Problem("a dose must be more than zero", "Leave out doses that were not given.", value=text))
    return Amount(value, per)


def read_regimen(text: str) -> Regimen:
    """Read a regimen.

    Args:
        text: an amount, then "every" with a time ("every 3 weeks", "q3w", "q21d", "once daily", "twice daily"), and,
            after commas or not, "loading AMOUNT" and "for N doses" or "N doses".

    Raises:
        InputError: naming the word that is not understood.
    """
    rest = " ".join(text.strip().split())
    loading, rest = _take(r",?\s*(?:with )?(?:a )?loading(?: dose)?(?: of)? ([\d.eE+-]+ ?[a-zA-Z0-9/²]+)", rest)
    doses, rest = _take(r",?\s*(?:for )?(\d+) (?:doses|cycles)", rest)
    every, rest = _take(r",?\s*every (\d*\.?\d* ?[a-zA-Z]+)", rest)
    if every is None:
        short = re.search(r",?\s*\bq(\d+)([hdw])\b", rest)
        if short:
            every, rest = f"{short[1]} {short[2].replace('w', 'week')}", rest.replace(short[0], "")
    if every is None:
        for words, period in _WORDS.items():
            if re.search(rf"\b{words}\b", rest):
                every, rest = period, re.sub(rf",?\s*\b{words}\b", "", rest)
                break
    amount = read_amount(_only(rest, text))
    interval = quantity(_period(every), "h") if every else 0.0
    if every and not interval > 0:
        raise InputError(Problem("the interval must be longer than zero", _EXAMPLE, value=text))
    if loading and not interval:
        raise InputError(Problem("a loading dose needs doses that follow it", _EXAMPLE, value=text))
    if doses is not None and int(doses) < 1:
        raise InputError(Problem("there must be at least one dose", _EXAMPLE, value=text))
    return Regimen(amount, interval, read_amount(loading) if loading else None, int(doses) if doses else None)


def _take(pattern: str, text: str) -> tuple[str | None, str]:
    found = re.search(pattern, text)
    return (found[1].strip(), (text[: found.start()] + text[found.end() :]).strip()) if found else (None, text)


def _period(text: str) -> str:
    number, unit = re.fullmatch(r"(\d*\.?\d*) ?([a-zA-Z]+)", text).groups()  # pyright: ignore[reportOptionalMemberAccess]
    return f"{number or 1} {_NAMES.get(unit, unit)}"


def _only(rest: str, text: str) -> str:
    clean = rest.strip(" ,")
    match = re.fullmatch(r"([-+\d.eE]+ ?[a-zA-Z0-9/²]+)", clean)
    if match is None:
        raise InputError(Problem(f"the regimen is not understood at '{clean}'", _EXAMPLE, value=text))
    return clean
