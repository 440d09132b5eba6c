"""Noise models, each written as residuals whose sum of squares is -2 log likelihood (up to a constant).

A least-squares optimiser then finds the maximum of the likelihood whatever the noise: Student-t residuals are
compressed, and a standard deviation that is unknown, or follows the prediction, adds residuals of its own. Censored
values are in `her2pkpd.fit.censor`, read-outs of unknown scale or offset in `her2pkpd.fit.nuisance`.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import gammaln

NoiseKind = Literal["normal", "log-normal", "student-t", "proportional", "combined"]

SD_FLOOR = 1e-6
"""Smallest standard deviation considered; only shifts the objective by a constant."""

Triple = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Noise:
    """How read-outs scatter around the prediction.

    Attributes:
        kind: "normal" (additive), "log-normal" (on the log of value and prediction), "student-t" (additive, heavy
            tails), "proportional" (normal, sd = cv times the prediction) or "combined" (normal, both).
        sd: its standard deviation (scale, for Student-t), or None to estimate it.
        df: degrees of freedom of Student-t.
        file_sd: whether a standard deviation given with a well replaces `sd` for that well. Those of two or three
            replicates scatter so much themselves that a common one often serves better.
        cv: relative standard deviation of "proportional" and "combined", or None to estimate it.
        scale: column ("plate", "replicate", "cell_line", "assay" or "block") whose groups each have an unknown factor
            on the prediction, or "".
        offset: likewise for an unknown constant added to it.
        scale_spread: spread of the factors around 1: relative standard deviation, or for log-normal noise the fold of
            one; None where nothing is known of them.
        offset_sd: standard deviation of the constants around 0; None where nothing is known of them.
        priors: log-normal priors of estimated levels, by name: median, and the fold of one standard deviation.
    """

    kind: NoiseKind = "normal"
    sd: float | None = None
    df: float = 4.0
    file_sd: bool = True
    cv: float | None = None
    scale: str = ""
    offset: str = ""
    scale_spread: float | None = None
    offset_sd: float | None = None
    priors: tuple[tuple[str, tuple[float, float]], ...] = ()

    @property
    def levels(self) -> dict[str, float | None]:
        """Noise levels this kind has, by name; None where it is estimated."""
        if self.kind == "proportional":
            return {"cv": self.cv}
        return {"sd": self.sd, "cv": self.cv} if self.kind == "combined" else {"sd": self.sd}

    @property
    def follows(self) -> bool:
        """Whether its standard deviation follows the prediction."""
        return "cv" in self.levels

    @property
    def grouped(self) -> bool:
        """Whether groups of wells share an unknown scale or offset."""
        return bool(self.scale or self.offset)


def residual(noise: Noise, value: np.ndarray, prediction: np.ndarray, sd: np.ndarray) -> Triple:
    """Residuals and their derivatives, for a standard deviation that does not follow the prediction.

    Args:
        noise: the noise model.
        value: measured, shape (n,).
        prediction: predicted, shape (..., n).
        sd: standard deviation of each measurement, shape (..., n).

    Returns:
        residual, d residual/d prediction, d residual/d log sd, each of shape (..., n).
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


@dataclass(frozen=True)
class Spread:
    """Standard deviations that may follow the prediction: sd^2 + (cv * prediction)^2.

    Attributes:
        sigma: (..., n) standard deviations.
        by_prediction: (..., n) d log sigma/d prediction.
        by_level: d log sigma/d log level, (..., n) each, by name of the level.
    """

    sigma: np.ndarray
    by_prediction: np.ndarray
    by_level: dict[str, np.ndarray]

    @classmethod
    def of(cls, prediction: np.ndarray, sd: np.ndarray, cv: np.ndarray) -> "Spread":
        """From predictions (..., n), and the two parts, which broadcast against them."""
        own, relative = sd**2 + SD_FLOOR**2 * np.ones_like(prediction), (cv * prediction) ** 2
        variance = own + relative
        by_level = {"sd": sd**2 / variance, "cv": relative / variance}
        return cls(np.sqrt(variance), cv**2 * prediction / variance, by_level)

    def log_residual(self) -> tuple[np.ndarray, np.ndarray]:
        """The residual that carries log(sigma) of the likelihood, and its derivative by log sigma."""
        r = np.sqrt(2 * np.maximum(np.log(self.sigma / SD_FLOOR), 1e-12))
        return r, 1 / r


def expected_information(noise: Noise, prediction: np.ndarray, sd: np.ndarray) -> tuple[np.ndarray, float]:
    """Fisher information of one measurement about its prediction, and about log sd.

    Args:
        noise: the noise model.
        prediction: predicted, shape (n,).
        sd: standard deviation (scale, for Student-t) of each measurement, shape (n,).

    Returns:
        Information about the prediction at a known sd, shape (n,), and about log sd, the same for every measurement.
    """
    if noise.kind == "student-t":
        return (noise.df + 1) / (noise.df + 3) / sd**2, 2 * noise.df / (noise.df + 3)
    if noise.kind == "log-normal":
        return 1 / (sd * prediction) ** 2, 2.0
    return 1 / sd**2, 2.0


def log_density(noise: Noise, value: np.ndarray, prediction: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Log density of measurements, constants and all; `sigma` as in `Spread`. Shape (..., n)."""
    if noise.kind == "log-normal":
        with np.errstate(invalid="ignore", divide="ignore"):
            q = (np.log(value) - np.log(prediction)) / sigma
        return -0.5 * q * q - np.log(sigma) - np.log(value) - 0.5 * np.log(2 * np.pi)
    q = (value - prediction) / sigma
    if noise.kind == "student-t":
        df = noise.df
        constant = gammaln((df + 1) / 2) - gammaln(df / 2) - 0.5 * np.log(df * np.pi)
        return constant - np.log(sigma) - (df + 1) / 2 * np.log1p(q * q / df)
    return -0.5 * q * q - np.log(sigma) - 0.5 * np.log(2 * np.pi)


def draw(noise: Noise, prediction: np.ndarray, sigma: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """New measurements of the same predictions, (..., n)."""
    if noise.kind == "log-normal":
        return prediction * np.exp(sigma * rng.standard_normal(prediction.shape))
    if noise.kind == "student-t":
        return prediction + sigma * rng.standard_t(noise.df, prediction.shape)
    return prediction + sigma * rng.standard_normal(prediction.shape)


def sd_residual(log_sd: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The residual that carries the n*log(sd) of the likelihood, and its derivative by log sd."""
    above = np.maximum(np.asarray(log_sd) - np.log(SD_FLOOR), 1e-12)
    r = np.sqrt(2 * n * above)
    return r, n / r
