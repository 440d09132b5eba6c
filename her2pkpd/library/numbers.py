"""A number of the library: value and unit as published, spread, source."""

import math
from dataclasses import dataclass
from typing import Literal

from her2pkpd.sources import Source

Z95 = 1.959963984540054
"""Half-width of the central 95 % of a normal distribution, in standard deviations."""


def number_text(value: float) -> str:
    """A number as one would write it: 0.36, 16000, 1.2e6."""
    plain, power = f"{value:.10g}", f"{value:.6e}"
    mantissa, exponent = power.split("e")
    short = f"{float(mantissa):.7g}e{int(exponent)}"
    return short if "e" in plain or (len(short) < len(plain) and not 1e-3 <= value < 1e5) else plain


@dataclass(frozen=True)
class Spread:
    """How far a number may be off.

    Attributes:
        kind: "cv" (log-normal coefficient of variation), "fold" (factor up or down), "range" (extremes of what
            has been published) or "interval" (the 95 % interval of one estimate).
        low: lower end in canonical units; for "cv" the 2.5 % quantile of the log-normal.
        high: upper end, likewise.
        text: the spread as written in the library, in the unit as published.
    """

    kind: Literal["cv", "fold", "range", "interval"]
    low: float
    high: float
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Quantity:
    """One number of the library.

    Attributes:
        value: the number as published.
        unit: its unit as published.
        canonical: the number in `canonical_unit`; this is the one to compute with.
        canonical_unit: nM, h, L, cells, copies/cell, 1/h, 1/nM/h, g/mol or 1.
        spread: how far it may be off, or None when nobody says.
        source: where it comes from and how sure we are.
        description: what it is, or what to beware of.
    """

    value: float
    unit: str
    canonical: float
    canonical_unit: str
    spread: Spread | None
    source: Source
    description: str = ""

    @property
    def log_sd(self) -> float:
        """Standard deviation of the logarithm, the ends of the spread taken as a 95 % range; 0 without a spread."""
        low, high = (self.spread.low, self.spread.high) if self.spread else (0.0, 0.0)
        return math.log(high / low) / (2 * Z95) if 0 < low < high else 0.0

    def __str__(self) -> str:
        unit = "" if self.unit == "1" else f" {self.unit}"
        return number_text(self.value) + unit + (f" ({self.spread})" if self.spread else "")
