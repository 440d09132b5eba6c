"""Scales on which parameters are estimated: a parameter's own limits become no limits at all, or simple ones."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import expit

Scale = Literal["log", "logit", "linear"]

_EDGE = 1e-9
"""Distance kept from the ends of a logit scale, where the transform is infinite."""

_LARGEST = 700.0
"""Coordinates beyond this overflow; optimisers may ask for them while they look for a step."""


@dataclass(frozen=True)
class Transform:
    """Between a parameter (natural value) and the coordinate it is estimated in.

    Attributes:
        scale: "log" (positive values over decades), "logit" (between lower and upper) or "linear".
        lower: smallest natural value.
        upper: largest natural value.
    """

    scale: Scale
    lower: float
    upper: float

    def forward(self, value: np.ndarray | float) -> np.ndarray:
        """Natural value to coordinate."""
        value = np.asarray(value, dtype=float)
        if self.scale == "log":
            return np.log(value)
        if self.scale == "linear":
            return value
        unit = np.clip((value - self.lower) / (self.upper - self.lower), _EDGE, 1 - _EDGE)
        return np.log(unit / (1 - unit))

    def backward(self, u: np.ndarray | float) -> np.ndarray:
        """Coordinate to natural value."""
        u = np.asarray(u, dtype=float)
        if self.scale == "log":
            return np.exp(np.minimum(u, _LARGEST))
        if self.scale == "linear":
            return u
        return self.lower + (self.upper - self.lower) * expit(u)

    def slope(self, u: np.ndarray | float) -> np.ndarray:
        """d value / d coordinate."""
        u = np.asarray(u, dtype=float)
        if self.scale == "log":
            return np.exp(np.minimum(u, _LARGEST))
        if self.scale == "linear":
            return np.ones_like(u)
        unit = expit(u)
        return (self.upper - self.lower) * unit * (1 - unit)

    def box(self) -> tuple[float, float]:
        """Bounds of the coordinate; a logit coordinate is cut where the value no longer changes."""
        if self.scale == "logit":
            return -15.0, 15.0
        with np.errstate(divide="ignore"):
            return float(self.forward(self.lower)), float(self.forward(self.upper))

    def start_box(self) -> tuple[float, float]:
        """Where multi-start looks: the bounds, or for a logit coordinate the middle 80 % of the values."""
        if self.scale == "logit":
            return float(np.log(0.1 / 0.9)), float(np.log(0.9 / 0.1))
        return self.box()
