"""Shears: coordinates in which a curved ridge is straight.

Data that determine a combination of unknowns, but not each of them, leave a posterior along a ridge; where the
combination is not linear, the ridge is curved. No whitening straightens it, and a sampler must take steps as short as
the ridge is thin. Here every other coordinate is moved by a cubic in the one along which the ridge bends,

    v_k = q_k + g_k(v_i) for k != i,    v_i = q_i,

which for any g is undone by subtracting it again and has Jacobian 1: a density stays what it is. It is a triangular
map as Parno and Marzouk (2018, SIAM/ASA Journal on Uncertainty Quantification 6:645) use them to precondition Markov
chains, cut down to what a few dozen draws determine: one bending coordinate at a time, no linear part (whitening has
it), and none at all unless the draws show the curve beyond doubt.

The cubic is found by least squares on draws, with the slopes of the energy as further regressors. Given v_i their mean
is zero (Stein's identity), so they leave the cubic alone; but they explain how far a draw lies off the ridge, which
else were the noise of the fit. Twenty draws then do what four hundred would.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2

DOUBT = 1e-6
"""Probability of so much curvature in straight draws, above which nothing is sheared."""

WORTH = 0.15
"""Least fall of the log volume of the draws for which they are sheared."""

MOST = 3
"""Shears, one after another, at most."""

ALIKE = 2.0
"""Draws of a chain that count as one."""

BEYOND = 1.0
"""Standard deviations for which the cubic goes on beyond the outermost draws, before it becomes straight."""

NOTHING = 1e-8
"""Part of the scatter about a line that may be rounding."""

POWERS = np.arange(4)
LINE = 2
"""How many of the powers make a line; a shear has the others."""


@dataclass(frozen=True)
class Shear:
    """Coordinates moved by a cubic in one of them, which becomes straight lines beyond the draws.

    Attributes:
        along: position of the bending coordinate.
        middle: its mean among the draws.
        scale: its standard deviation.
        reach: (2,) where the cubic ends, in standard deviations from the mean.
        bend: (2, n) coefficients of the square and the cube, zero for the bending coordinate.
    """

    along: int
    middle: float
    scale: float
    reach: np.ndarray
    bend: np.ndarray

    def bent(self, q: np.ndarray) -> np.ndarray:
        """Coordinates v (..., n) of straight ones."""
        return q + self._moves(q)[0]

    def straight(self, v: np.ndarray) -> np.ndarray:
        """Straight coordinates of v (..., n)."""
        return v - self._moves(v)[0]

    def slopes(self, gradient: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Gradients by straight coordinates (..., n), of those by v at v."""
        return self._with_turn(gradient, v, 1.0)

    def gradients(self, slopes: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Gradients by v (..., n), of those by straight coordinates: what `slopes` undoes."""
        return self._with_turn(slopes, v, -1.0)

    def _with_turn(self, gradient: np.ndarray, v: np.ndarray, sign: float) -> np.ndarray:
        changed = gradient.copy()
        changed[..., self.along] += sign * np.sum(gradient * self._moves(v)[1], axis=-1)
        return changed

    def _moves(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How far coordinates are moved (..., n), and how fast that changes with the bending one."""
        t = ((points[..., self.along] - self.middle) / self.scale)[..., None]
        inside = np.clip(t, *self.reach)
        powers = POWERS[LINE:]
        rates = powers * inside ** (powers - 1)
        return (inside**powers + rates * (t - inside)) @ self.bend, rates @ self.bend / self.scale


def find_shears(v: np.ndarray, gradients: np.ndarray) -> tuple[Shear, ...]:
    """The shears that straighten draws.

    Args:
        v: (m, n) draws.
        gradients: (m, n) of the energy there.

    Returns:
        Shears, to be applied to draws in this order; none where draws are straight as far as they tell.
    """
    found: list[Shear] = []
    while len(found) < MOST:
        tried = [_along(v, gradients, i) for i in range(v.shape[1])] if _enough(*v.shape) else []
        fall, shear = max(tried, key=lambda pair: pair[0], default=(0.0, None))
        if shear is None or fall < WORTH:
            break
        found.append(shear)
        v, gradients = shear.straight(v), shear.slopes(gradients, v)
    return tuple(found)


def _enough(m: int, n: int) -> bool:
    """Whether draws are enough to fit a cubic with slopes, and then to say what is left."""
    return n > 1 and m > 2 * (n + len(POWERS))


def _along(v: np.ndarray, gradients: np.ndarray, along: int) -> tuple[float, Shear | None]:
    """The shear along a coordinate and by how much it makes the log volume fall; None where it may be chance."""
    m, n = v.shape
    middle, scale = float(v[:, along].mean()), float(v[:, along].std())
    if not scale > 0:
        return 0.0, None
    t = (v[:, along] - middle) / scale
    powers = t[:, None] ** POWERS
    line, others, off = powers[:, :LINE], np.delete(v, along, axis=1), np.delete(gradients, along, axis=1)
    thick = _scatter(others, line)
    # Wilks' likelihood ratio of cubic against line, with Bartlett's correction for few draws. Slopes explain a normal
    # distribution entirely; what rounding leaves of it is not compared.
    by_line, by_cubic = (_scatter(others, x, off) + NOTHING * thick for x in (line, powers))
    statistic = (m - n - len(POWERS) - 0.5 * n) / ALIKE * (_log_volume(by_line) - _log_volume(by_cubic))
    if not n * chi2.sf(statistic, (len(POWERS) - LINE) * (n - 1)) < DOUBT:
        return 0.0, None
    bend = np.linalg.lstsq(np.hstack([powers, off]), others, rcond=None)[0][LINE : len(POWERS)]
    reach = np.array([t.min() - BEYOND, t.max() + BEYOND])
    shear = Shear(along, middle, scale, reach, np.insert(bend, along, 0.0, axis=1))
    thin = _scatter(np.delete(shear.straight(v), along, axis=1), line)
    return _log_volume(thick) - _log_volume(thin), shear


def _scatter(x: np.ndarray, *regressors: np.ndarray) -> np.ndarray:
    """Scatter matrix (k, k) of what regressors leave of x (m, k)."""
    basis = np.linalg.qr(np.hstack(regressors))[0]
    left = x - basis @ (basis.T @ x)
    return left.T @ left


def _log_volume(scatter: np.ndarray) -> float:
    return float(np.linalg.slogdet(scatter)[1])
