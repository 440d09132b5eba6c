"""Values only known to lie beyond a limit, or between two: log probability and slopes, good far out in the tails.

A normal probability underflows at 38 standard deviations, and its logarithm with it. Here the logarithm comes from
``log_ndtr`` and the slopes from the scaled complementary error function, which hold to rounding at any distance. An
observation a model misses by far then still says which way to go.
"""

import numpy as np
from scipy.special import erfcx, log_ndtr, stdtr

Triple = tuple[np.ndarray, np.ndarray, np.ndarray]


def log_probability(lower: np.ndarray, upper: np.ndarray, df: float | None = None) -> Triple:
    """Log probability that a standardised error lies between two limits.

    Args:
        lower: lower limit in standard deviations; -infinity for a value only known to lie below `upper`.
        upper: upper limit; infinity for a value only known to lie above `lower`.
        df: degrees of freedom of Student's t, or None for a normal error.

    Returns:
        log P, its derivative by `lower` and by `upper`, of the common shape of the limits; the derivative by an
        infinite limit is zero.
    """
    lower, upper = (np.asarray(x, dtype=float) for x in np.broadcast_arrays(lower, upper))
    # Above the middle the mirror image is taken: a difference of two numbers close to one would lose all digits.
    flip = lower > -upper
    a, b = np.where(flip, -upper, lower), np.where(flip, -lower, upper)
    log_p, by_a, by_b = _normal(a, b) if df is None else _student(a, b, df)
    return log_p, np.where(flip, -by_b, by_a), np.where(flip, -by_a, by_b)


def _normal(a: np.ndarray, b: np.ndarray) -> Triple:
    with np.errstate(all="ignore"):
        top = log_ndtr(b)
        part = np.where(np.isneginf(a), 1.0, -np.expm1(log_ndtr(a) - top))
        log_p = top + np.log(part)
        by_b = _hazard(-b) / part
        by_a = np.where(np.isneginf(a), 0.0, -np.exp(-0.5 * (a * a - b * b)) * by_b)
    return log_p, np.nan_to_num(by_a, nan=0.0), by_b


def _hazard(x: np.ndarray) -> np.ndarray:
    """phi(x) / Phi(-x)."""
    return np.sqrt(2 / np.pi) / erfcx(x / np.sqrt(2))


def _student(a: np.ndarray, b: np.ndarray, df: float) -> Triple:
    from scipy.stats import t

    with np.errstate(all="ignore"):
        p = stdtr(df, b) - np.where(np.isneginf(a), 0.0, stdtr(df, a))
        # The t density falls as a power: nothing underflows within the range of a measurement.
        return np.log(p), -t.pdf(a, df) / p, t.pdf(b, df) / p


def censored_residual(
    lower: np.ndarray, upper: np.ndarray, df: float | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Residual whose square is -2 log P of `log_probability`, and its derivatives by the two limits."""
    log_p, by_lower, by_upper = log_probability(lower, upper, df)
    r = np.sqrt(np.maximum(-2 * log_p, 1e-300))
    return r, -by_lower / r, -by_upper / r
