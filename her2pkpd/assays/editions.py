"""The editions of the guideline, read from ``editions.toml``."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from importlib.resources import files
from typing import Any

from her2pkpd.assays.exact import exact
from her2pkpd.errors import InputError, Problem
from her2pkpd.sources import Source

CURRENT = "2018"
"""The edition used unless another is asked for; the update of 2023 left its rules as they were."""

MINIMUM_NUCLEI = 20
"""Nuclei every count must have, in every edition and in recounts (invasive cells, at least two areas)."""

SECOND_POPULATION_PERCENT = 10
"""A second population in more than this percentage of tumour cells is counted and reported by itself (2013 on)."""


@dataclass(frozen=True)
class Threshold:
    """A side of a number: ``> 2.2`` or ``>= 2.0``.

    Attributes:
        text: as written.
        value: the number.
        inclusive: whether the number itself meets it.
    """

    text: str
    value: Fraction
    inclusive: bool

    def met(self, number: Fraction) -> bool:
        """Whether `number` lies on this side; exact."""
        return number >= self.value if self.inclusive else number > self.value

    def compared(self, number: Fraction) -> str:
        """How `number` compares, for a reason: ``>= 2.0`` or ``< 2.0``."""
        if self.met(number):
            return self.text
        return f"{'<' if self.inclusive else '<='} {self.text.split()[-1]}"


@dataclass(frozen=True)
class IhcRules:
    """How one edition scores staining.

    Attributes:
        classes: class 1, 2 or 3 by ``"<intensity> <completeness>"``, when every cell shows that pattern.
        beyond_words: patterns the edition does not describe; classed by the nearest description.
        share: percent of cells each class needs.
    """

    classes: Mapping[str, int]
    beyond_words: frozenset[str]
    share: Mapping[int, Threshold]


@dataclass(frozen=True)
class IshRules:
    """How one edition calls in situ hybridisation.

    Attributes:
        ratio_positive: HER2/CEP17 that is positive.
        ratio_equivocal: HER2/CEP17 that is equivocal (2007 only).
        copies_positive: mean HER2 copies per cell that are positive.
        copies_equivocal: mean HER2 copies per cell that are not negative.
        work_up: for groups 2 to 4 (2018 on), the call by IHC score and by a confirming recount; empty before.
    """

    ratio_positive: Threshold
    ratio_equivocal: Threshold | None
    copies_positive: Threshold
    copies_equivocal: Threshold
    work_up: Mapping[int, Mapping[str, str]]


@dataclass(frozen=True)
class Edition:
    """One edition of the guideline.

    Attributes:
        name: year of publication.
        names: every name it may be asked for by.
        source: where its rules were read.
        ihc: how it scores staining.
        ish: how it calls hybridisation.
    """

    name: str
    names: tuple[str, ...]
    source: Source
    ihc: IhcRules
    ish: IshRules


def edition(name: str | int) -> Edition:
    """The edition of a year.

    Args:
        name: "2007", "2013", "2018" or "2023" (which reaffirmed 2018).

    Raises:
        InputError: for any other.
    """
    wanted = str(name).strip()
    known = {other: found for found in _editions() for other in found.names}
    if wanted not in known:
        raise InputError(
            Problem("unknown edition of the guideline", f"Use one of: {', '.join(known)}.", value=str(name))
        )
    return known[wanted]


@cache
def _editions() -> tuple[Edition, ...]:
    text = files("her2pkpd.assays").joinpath("editions.toml").read_text(encoding="utf-8")
    return tuple(_edition(name, table) for name, table in tomllib.loads(text).items())


def _edition(name: str, table: Mapping[str, Any]) -> Edition:
    ihc, ish = table["ihc"], table["ish"]
    classes = {pattern: k for k in (1, 2, 3) for pattern in ihc[str(k)]}
    share = {int(k): _threshold(text) for k, text in ihc["share"].items()}
    equivocal = ish.get("ratio_equivocal")
    return Edition(
        name,
        tuple(table["names"]),
        Source(table["citation"], table["certainty"]),
        IhcRules(classes, frozenset(ihc["beyond_words"]), share),
        IshRules(
            _threshold(ish["ratio_positive"]),
            _threshold(equivocal) if equivocal else None,
            _threshold(ish["copies_positive"]),
            _threshold(ish["copies_equivocal"]),
            {int(group): calls for group, calls in ish.get("work_up", {}).items()},
        ),
    )


def _threshold(text: str) -> Threshold:
    sign, value = text.split()
    return Threshold(text, exact(value), {">": False, ">=": True}[sign])
