"""Numbers that carry their derivatives, so that a dosing rule written once gives value and gradient alike."""

from dataclasses import dataclass
from typing import Union

import numpy as np


@dataclass(frozen=True, eq=False)
class Dual:
    """A number with its derivatives along K directions.

    Attributes:
        value: the number.
        slope: (K,) derivatives.
    """

    value: float
    slope: np.ndarray

    @staticmethod
    def along(value: float, direction: int, count: int) -> "Dual":
        """A number that direction number `direction` of `count` moves by one."""
        return Dual(float(value), np.eye(count)[direction])

    def __add__(self, other: "Number") -> "Dual":
        value, slope = split(other)
        return Dual(self.value + value, self.slope + slope)

    def __sub__(self, other: "Number") -> "Dual":
        value, slope = split(other)
        return Dual(self.value - value, self.slope - slope)

    def __mul__(self, other: "Number") -> "Dual":
        value, slope = split(other)
        return Dual(self.value * value, self.slope * value + self.value * slope)

    def __truediv__(self, other: "Number") -> "Dual":
        value, slope = split(other)
        return Dual(self.value / value, (self.slope - self.value / value * slope) / value)

    __radd__ = __add__
    __rmul__ = __mul__

    def __rsub__(self, other: float) -> "Dual":
        return Dual(other - self.value, -self.slope)

    def __rtruediv__(self, other: float) -> "Dual":
        return Dual(other / self.value, -other / self.value**2 * self.slope)


Number = Union[float, Dual]  # noqa: UP007 - a string in the class above refers to it
"""What a dosing rule computes with."""


def split(number: Number) -> tuple[float, np.ndarray | float]:
    """Value and derivatives; those of a plain number are zero."""
    return (number.value, number.slope) if isinstance(number, Dual) else (float(number), 0.0)


def value_of(number: Number) -> float:
    """The number without its derivatives."""
    return number.value if isinstance(number, Dual) else float(number)
