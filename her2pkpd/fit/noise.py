"""Noise models, each written as residuals whose sum of squares is -2 log likelihood (up to a constant).

A least-squares optimiser then finds the maximum of the likelihood whatever the noise: Student-t residuals are
compressed, a censored value contributes sqrt(-2 log P(beyond the limit)), and an unknown standard deviation adds
one residual of its own.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import log_ndtr

NoiseKind = Literal["normal", "log-normal", "student-t"]

SD_FLOOR = 1e-6
"""Smallest standard deviation considered; only shifts the objective by a constant."""


@dataclass(frozen=True)
class Noise:
    """How read-outs scatter around the prediction.

    Attributes:
        kind: "normal" (additive), "log-normal" (on the log of value and prediction) or "student-t" (additive,
            heavy tails).
        sd: its standard deviation (scale, for Student-t), or None to estimate it.
        df: degrees of freedom of Student-t.
        file_sd: whether a standard deviation given with a well replaces `sd` for that well. Those of two or three
            replicates scatter so much themselves that a common one often serves better.
    """

    kind: NoiseKind = "normal"
    sd: float | None = None
    df: float = 4.0
    file_sd: bool = True


def residual(
    noise: Noise, value: np.ndarray, prediction: np.ndarray, sd: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Residuals and their derivatives.

    Args:
        noise: the noise model.
        value: measured, shape (n,).
        prediction: predicted, shape (n,).
        sd: standard deviation of each measurement, shape (n,).

    Returns:
        residual, d residual/d prediction, d residual/d log sd, each of shape (n,).
    """
    if noise.kind == "log-normal":
        with np.errstate(invalid="ignore", divide="ignore"):
            q, slope = (np.log(prediction) - np.log(value)) / sd, 1 / (sd * prediction)
    else:
        q, slope = (prediction - value) / sd, 1 / sd
    if noise.kind == "student-t":
        r, dr = _compress(q, noise.df)
        return r, dr * slope, -dr * q
    return q, slope * np.ones_like(q), -q


def _compress(q: np.ndarray, df: float) -> tuple[np.ndarray, np.ndarray]:
    """sign(q)*sqrt((df+1)*log(1+q^2/df)) and its derivative, smooth through zero."""
    squared = (df + 1) * np.log1p(q * q / df)
    r = np.sign(q) * np.sqrt(squared)
    small = np.abs(q) < 1e-6
    safe = np.where(small, 1.0, r)
    slope = np.where(small, np.sqrt((df + 1) / df), (df + 1) * q / ((df + q * q) * safe))
    return r, slope


def expected_information(noise: Noise, prediction: np.ndarray, sd: np.ndarray) -> tuple[np.ndarray, float]:
    """Fisher information of one measurement about its prediction, and about log sd.

    Args:
        noise: the noise model.
        prediction: predicted, shape (n,).
        sd: standard deviation (scale, for Student-t) of each measurement, shape (n,).

    Returns:
        Information about the prediction, shape (n,), and about log sd, the same for every measurement.
    """
    if noise.kind == "student-t":
        return (noise.df + 1) / (noise.df + 3) / sd**2, 2 * noise.df / (noise.df + 3)
    if noise.kind == "log-normal":
        return 1 / (sd * prediction) ** 2, 2.0
    return 1 / sd**2, 2.0


def censored_residual(
    limit: np.ndarray, prediction: np.ndarray, sd: np.ndarray, side: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Residual of a value only known to lie beyond a limit (normal scatter).

    Args:
        limit: the limit, shape (n,).
        prediction: predicted value, shape (n,).
        sd: standard deviation, shape (n,).
        side: +1 where the value lies above the limit (">8 uM"), -1 where below.

    Returns:
        r = sqrt(-2 log Phi(z)) with z = side*(prediction - limit)/sd, and d r/d prediction.
    """
    z = side * (prediction - limit) / sd
    log_cdf = log_ndtr(z)
    r = np.sqrt(np.maximum(-2 * log_cdf, 1e-300))
    log_pdf = -0.5 * z * z - 0.5 * np.log(2 * np.pi)
    return r, -np.exp(log_pdf - log_cdf) / r * side / sd


def sd_residual(log_sd: float, n: int) -> tuple[float, float]:
    """The residual that carries the n*log(sd) of the likelihood, and its derivative by log sd."""
    above = max(log_sd - np.log(SD_FLOOR), 1e-12)
    r = float(np.sqrt(2 * n * above))
    return r, n / r
