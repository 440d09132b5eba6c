"""Coordinates without bounds in which vague priors are standard normal.

An unknown that is equally likely anywhere between its bounds becomes v with u = low + width * Phi(v): a standard normal
under its prior. A fraction with Jeffreys' prior becomes v with x = sin^2(pi/2 Phi(v)), likewise. Where the data say
nothing, a sampler then walks in a normal distribution, whose tails are short, instead of along an unknown's last
decimals.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr, ndtr, ndtri

FARTHEST = 8.0
"""Coordinates of points on a bound."""


@dataclass(frozen=True)
class Moved:
    """Unknowns of a fit at coordinates v, and how they follow; arrays (..., n).

    Attributes:
        u: the unknowns.
        slope: du/dv.
        log_slope: log(du/dv), up to a constant.
        bend: d log(du/dv)/dv.
    """

    u: np.ndarray
    slope: np.ndarray
    log_slope: np.ndarray
    bend: np.ndarray


@dataclass(frozen=True)
class Space:
    """The map between unknowns and coordinates.

    Attributes:
        low: (n,) lower bounds.
        high: (n,) upper bounds.
        jeffreys: positions of the unknowns (logits of fractions) with Jeffreys' prior.
    """

    low: np.ndarray
    high: np.ndarray
    jeffreys: np.ndarray

    def move(self, v: np.ndarray) -> Moved:
        """Unknowns at coordinates v (..., n)."""
        width = self.high - self.low
        density = np.exp(-0.5 * v * v) / np.sqrt(2 * np.pi)
        u, slope = self.low + width * ndtr(v), width * density
        log_slope, bend = -0.5 * v * v, -v.copy()
        at = self.jeffreys
        if len(at):
            own = v[..., at]
            log_sine, log_cosine = _log_sine(own), _log_sine(-own)
            tangent = np.exp(np.clip(log_sine - log_cosine, -300, 300))
            u[..., at] = np.clip(2 * (log_sine - log_cosine), self.low[at], self.high[at])
            inside = np.abs(2 * (log_sine - log_cosine)) < self.high[at]
            rate = np.pi * density[..., at]
            slope[..., at] = np.where(inside, rate * np.exp(np.minimum(-log_sine - log_cosine, 300)), 0.0)
            log_slope[..., at] = log_slope[..., at] - log_sine - log_cosine
            bend[..., at] = bend[..., at] - 0.5 * rate * (1 / tangent - tangent)
        return Moved(u, slope, log_slope, bend)

    def back(self, u: np.ndarray) -> np.ndarray:
        """Coordinates of unknowns (..., n)."""
        v = ndtri(np.clip((u - self.low) / (self.high - self.low), 0.0, 1.0))
        at = self.jeffreys
        if len(at):
            half = np.exp(-0.5 * np.abs(u[..., at]))
            small = 2 / np.pi * np.arctan(half)  # Phi(-|v|), exact where it is tiny
            v[..., at] = -np.sign(u[..., at]) * ndtri(small)
        return np.clip(v, -FARTHEST, FARTHEST)


def _log_sine(v: np.ndarray) -> np.ndarray:
    """log sin(pi/2 Phi(v)), right where Phi(v) is too small for a number."""
    tiny = v < -30
    with np.errstate(divide="ignore"):
        near = np.log(np.sin(0.5 * np.pi * ndtr(np.where(tiny, 0.0, v))))
    return np.where(tiny, np.log(0.5 * np.pi) + log_ndtr(v), near)
