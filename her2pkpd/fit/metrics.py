"""Published potency metrics as data: GR50, GRmax, GEC50 and IC50 read off the predicted dose-response curve.

A metric is not a well. For each one the curve is predicted on a grid of doses up to the assay's top dose, and
the metric is read off it the way the publication defines it. Concentrations are compared on log10.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
from scipy.optimize import brentq

from her2pkpd.fit.design import Signal, Treatment

MetricName = Literal["GR50", "GRmax", "GEC50", "IC50"]
POTENCY = ("GR50", "GEC50", "IC50")
READ_OFF = (*POTENCY, "GRmax")
"""Metrics that can be read off a predicted curve."""

GRID_PER_DECADE = 4
"""Doses per decade of the predicted curve; halving the spacing moves GR50 by less than 1 %."""

BEYOND = 4.0
"""Decades of log10 potency per unit of response by which a level is missed at the top dose, or at the lowest:
keeps the objective smooth and finite where the predicted curve never crosses the level."""


@dataclass(frozen=True)
class Metric:
    """One published number.

    Attributes:
        cell_line: name in the library.
        drug: name in the library.
        metric: GR50, GRmax, GEC50 or IC50.
        value: nM for potencies, 1 for GRmax; the limit when censored.
        censoring: "none", "right" (value is above) or "left".
        time: h.
        top: highest dose of the assay, nM; GRmax is read there.
        assay: screen it comes from.
        seeded: cells seeded.
        source: citation.
    """

    cell_line: str
    drug: str
    metric: MetricName
    value: float
    censoring: Literal["none", "left", "right"]
    time: float
    top: float
    assay: str = ""
    seeded: float = 5000.0
    source: str = ""

    @property
    def is_potency(self) -> bool:
        """Whether it is a concentration."""
        return self.metric in POTENCY

    @property
    def curve(self) -> tuple[str, str, str, float, float, float]:
        """Metrics of one curve share their lanes."""
        return (self.cell_line, self.drug, self.assay, self.seeded, self.top, self.time)

    @property
    def readout(self) -> str:
        """Read-out of the curve."""
        return "viability" if self.metric == "IC50" else "gr"


def dose_grid(top: float, *, decades: float = 5.0) -> np.ndarray:
    """Doses of a predicted curve, ascending to `top`, nM."""
    return top * np.logspace(-decades, 0, int(decades * GRID_PER_DECADE) + 1)


def curve_signals(metric: Metric) -> list[Signal]:
    """Signals of the curve a metric is read from."""
    own = (metric.cell_line, metric.assay, metric.seeded)
    return [
        Signal(Treatment(*own, ((metric.drug, float(d)),)), metric.time, metric.readout) for d in dose_grid(metric.top)
    ]


def read_off(metric: Metric, response: np.ndarray, slopes: np.ndarray | None) -> tuple[float, np.ndarray | None, bool]:
    """Read one metric off a predicted curve.

    Args:
        metric: which one.
        response: predicted read-out at `dose_grid`, shape (n_doses,).
        slopes: its derivatives by the unknowns, (n_doses, n_free), or None.

    Returns:
        The metric (log10 nM for potencies), its derivatives, and whether the curve reaches the level at all.
    """
    if metric.metric == "GRmax":
        return float(response[-1]), None if slopes is None else slopes[-1], True
    level_weight = 0.5 if metric.metric == "GEC50" else 0.0
    level = level_weight * (1 + response[-1]) if level_weight else 0.5
    return _crossing(np.log10(dose_grid(metric.top)), response, slopes, level, level_weight)


def _crossing(
    x: np.ndarray, y: np.ndarray, slopes: np.ndarray | None, level: float, top_weight: float
) -> tuple[float, np.ndarray | None, bool]:
    """Where a falling curve first passes below `level`, on a smooth curve through the doses.

    The curve is the Catmull-Rom cubic: its slope does not jump where the crossing moves from one pair of doses to
    the next, as that of a straight line would, and an optimiser is not held up there.
    """
    below = np.flatnonzero(y < level)
    if not below.size:
        missed = y[-1] - level
        gradient = None if slopes is None else BEYOND * slopes[-1] * (1 - top_weight)
        return float(x[-1] + BEYOND * missed), gradient, False
    i = int(below[0])
    if i == 0:  # below already at the lowest dose, by as much as it is missed there
        gradient = None if slopes is None else BEYOND * (slopes[0] - top_weight * slopes[-1])
        return float(x[0] + BEYOND * (y[0] - level)), gradient, True
    near = np.clip([i - 2, i - 1, i, i + 1], 0, len(y) - 1)
    part = _root(y[near] - level)
    value = float(x[i - 1] + (x[i] - x[i - 1]) * part)
    if slopes is None:
        return value, None, True
    moved = _cubic(part) @ slopes[near] - top_weight * slopes[-1]
    return value, -(x[i] - x[i - 1]) * moved / float(_cubic_slope(part) @ y[near]), True


def _cubic(part: float) -> np.ndarray:
    """Weights of four neighbouring values in a Catmull-Rom cubic, `part` of the way from the second to the third."""
    a, b, c = part, part**2, part**3
    return 0.5 * np.array([-a + 2 * b - c, 2 - 5 * b + 3 * c, a + 4 * b - 3 * c, c - b])


def _cubic_slope(part: float) -> np.ndarray:
    """Derivatives of those weights by `part`."""
    a, b = part, part**2
    return 0.5 * np.array([-1 + 4 * a - 3 * b, -10 * a + 9 * b, 1 + 8 * a - 9 * b, 3 * b - 2 * a])


def _root(values: np.ndarray) -> float:
    """Where the cubic through four values passes zero between the second (positive) and the third (negative)."""
    if values[1] <= 0:
        return 0.0
    return cast(float, brentq(lambda part: float(_cubic(part) @ values), 0.0, 1.0, xtol=1e-14))


def unique_curves(metrics: Sequence[Metric]) -> list[Metric]:
    """One metric per curve and read-out, in order of first appearance."""
    seen: dict[tuple[object, ...], Metric] = {}
    for metric in metrics:
        seen.setdefault((*metric.curve, metric.readout), metric)
    return list(seen.values())
