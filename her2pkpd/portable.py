"""Elementary functions that give the same bits on every machine.

`numpy.exp`, `log` and `power` are computed by whatever suits the processor, and may differ in the last bit between
two machines. A virtual patient must not. The functions here use nothing but sums, products, quotients and square
roots, each rounded as IEEE 754 prescribes, so that they agree everywhere; they are right to one or two units in the
last place.
"""

from collections.abc import Sequence

import numpy as np

_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
"""ln 2 in two parts, the first with trailing zeros, so that whole multiples of it are exact."""

_LOG_TERMS = tuple(2.0 / (2 * k + 1) for k in range(12))
_EXP_TERMS = (1.0, 1.0, *np.cumprod(1.0 / np.arange(2.0, 15.0)).tolist())

_CENTRE = (
    (3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
     4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3),
    (1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
     2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3),
)  # fmt: skip
_NEAR = (
    (1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0, 3.64784832476320460504e0,
     1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4),
    (1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
     1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9),
)  # fmt: skip
_FAR = (
    (6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0, 2.96560571828504891230e-1,
     2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7),
    (1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
     7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15),
)  # fmt: skip


def _polynomial(terms: Sequence[float], x: np.ndarray) -> np.ndarray:
    total = terms[-1] * x + terms[-2]
    for term in reversed(terms[:-2]):
        total *= x
        total += term
    return total


def log(x: np.ndarray | float) -> np.ndarray:
    """Natural logarithm of positive numbers."""
    mantissa, exponent = np.frexp(np.asarray(x, dtype=float))
    low = mantissa < 0.7071067811865476
    mantissa = np.where(low, 2.0 * mantissa, mantissa)
    exponent = (exponent - low).astype(float)
    f = (mantissa - 1.0) / (mantissa + 1.0)
    return exponent * _LN2_HIGH + (f * _polynomial(_LOG_TERMS, f * f) + exponent * _LN2_LOW)


def exp(x: np.ndarray | float) -> np.ndarray:
    """Exponential of numbers between -700 and 700; what lies beyond counts as the nearest of the two. NaN stays NaN."""
    x = np.minimum(np.maximum(np.asarray(x, dtype=float), -700.0), 700.0)
    twos = np.rint(x * 1.4426950408889634)
    rest = (x - twos * _LN2_HIGH) - twos * _LN2_LOW
    return np.ldexp(_polynomial(_EXP_TERMS, rest), np.where(np.isnan(twos), 0.0, twos).astype(np.int32))


def power(x: np.ndarray | float, exponent: float) -> np.ndarray:
    """Positive numbers to a power."""
    return exp(exponent * log(x))


def normal_quantile(u: np.ndarray) -> np.ndarray:
    """Standard normal quantiles of probabilities strictly between 0 and 1.

    Source: Wichura 1988 Appl Stat 37:477, algorithm AS 241 (PPND16).
    """
    q = u - 0.5
    centre = np.minimum(np.abs(q), 0.425)
    r = 0.180625 - centre * centre
    values = np.where(q < 0.0, -centre, centre) * (_polynomial(_CENTRE[0], r) / _polynomial(_CENTRE[1], r))
    outside = np.abs(q) > 0.425
    if outside.any():
        tail = np.minimum(u, 1.0 - u)[outside]
        r = np.sqrt(-log(tail))
        near, far = np.minimum(r, 5.0) - 1.6, np.maximum(r, 5.0) - 5.0
        size = np.where(
            r <= 5.0,
            _polynomial(_NEAR[0], near) / _polynomial(_NEAR[1], near),
            _polynomial(_FAR[0], far) / _polynomial(_FAR[1], far),
        )
        values[outside] = np.where(q[outside] < 0.0, -size, size)
    return values


def cholesky(matrix: np.ndarray) -> np.ndarray:
    """Lower factor L of a symmetric matrix L @ L.T; a direction without variance has a zero column.

    Raises:
        ValueError: if the matrix has a negative eigenvalue.
    """
    n = len(matrix)
    low = np.zeros((n, n))
    for j in range(n):
        pivot = float(matrix[j, j]) - sum(float(low[j, k]) ** 2 for k in range(j))
        if pivot < -1e-10 * max(float(matrix[j, j]), 1e-300):
            raise ValueError("the matrix is no covariance: it is not positive semidefinite")
        size = pivot**0.5 if pivot > 0.0 else 0.0
        low[j, j] = size
        for i in range(j + 1, n):
            rest = float(matrix[i, j]) - sum(float(low[i, k] * low[j, k]) for k in range(j))
            low[i, j] = rest / size if size > 0.0 else 0.0
    return low


def correlated(low: np.ndarray, deviates: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Deviates mixed by a lower factor, row by row in a fixed order of sums (a matrix product has none)."""
    mixed = []
    for i in range(len(low)):
        total = low[i, 0] * deviates[0]
        for j in range(1, i + 1):
            if low[i, j]:
                total = total + low[i, j] * deviates[j]
        mixed.append(total)
    return mixed
