"""The Hill curve with its derivatives, and good starting points for fitting it."""

import numpy as np

LN10 = float(np.log(10.0))


def hill(dose: np.ndarray, bottom: float, top: float, log_mid: float, slope: float) -> np.ndarray:
    """Response ``bottom + (top - bottom) / (1 + (dose / mid)**slope)``.

    Args:
        dose: (n,) concentrations, zero included.
        bottom: response at infinite dose.
        top: response at no dose.
        log_mid: log10 of the dose in the middle, in the unit of `dose`.
        slope: Hill exponent, positive.

    Returns:
        (n,) responses.
    """
    return bottom + (top - bottom) * remaining(dose, log_mid, slope)


def remaining(dose: np.ndarray, log_mid: float, slope: float) -> np.ndarray:
    """The part of the effect not yet reached, ``1 / (1 + (dose / mid)**slope)``, (n,)."""
    return 0.5 * (1.0 - np.tanh(0.5 * _exponent(dose, log_mid, slope)))


def _exponent(dose: np.ndarray, log_mid: float, slope: float) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return slope * LN10 * (np.log10(dose) - log_mid)


def hill_jacobian(dose: np.ndarray, bottom: float, top: float, log_mid: float, slope: float) -> np.ndarray:
    """Derivatives of `hill` with respect to bottom, top, log_mid and slope, (n, 4)."""
    part = remaining(dose, log_mid, slope)
    # d part / d exponent = -part (1 - part); at dose 0 the exponent is -inf and the product with it vanishes.
    bend = -(top - bottom) * part * (1.0 - part)
    with np.errstate(divide="ignore"):
        distance = np.where(dose > 0, np.log10(np.where(dose > 0, dose, 1.0)) - log_mid, 0.0)
    return np.column_stack((1.0 - part, part, -bend * slope * LN10, bend * LN10 * distance))


def scan(
    dose: np.ndarray,
    response: np.ndarray,
    weight: np.ndarray,
    mids: np.ndarray,
    slopes: np.ndarray,
    *,
    top: float | None = None,
) -> list[tuple[float, float, float, float]]:
    """Least-squares asymptotes for every pair of a grid of mid-doses and slopes, best first.

    With mid-dose and slope fixed the curve is linear in its asymptotes, so a grid of two numbers searches all
    four (variable projection; Golub and Pereyra 1973, SIAM J Numer Anal 10:413).

    Args:
        dose: (n,) doses.
        response: (n,) responses.
        weight: (n,) weights of the squared residuals.
        mids: (m,) log10 mid-doses.
        slopes: (s,) slopes.
        top: the response at no dose, if it is fixed.

    Returns:
        (bottom, top, log_mid, slope) of all m*s points, ordered by their weighted sum of squares.
    """
    mid, slope = (grid.ravel() for grid in np.meshgrid(mids, slopes, indexing="ij"))
    with np.errstate(divide="ignore"):
        log_dose = np.log10(dose)
    part = 0.5 * (1.0 - np.tanh(0.5 * LN10 * slope[:, None] * (log_dose - mid[:, None])))
    gone = 1.0 - part
    if top is None:
        aa, ab, bb = (weight * gone * gone).sum(1), (weight * gone * part).sum(1), (weight * part * part).sum(1)
        ya, yb = (weight * gone * response).sum(1), (weight * part * response).sum(1)
        ridge = 1e-9 * (aa + bb)
        aa, bb = aa + ridge, bb + ridge
        determinant = aa * bb - ab * ab
        bottoms, tops = (ya * bb - yb * ab) / determinant, (yb * aa - ya * ab) / determinant
    else:
        tops = np.full(len(mid), top)
        norm = (weight * gone * gone).sum(1)
        bottoms = (weight * gone * (response - top * part)).sum(1) / np.where(norm > 0, norm, 1.0)
    misfit = (weight * (response - gone * bottoms[:, None] - part * tops[:, None]) ** 2).sum(1)
    order = np.argsort(misfit, kind="stable")
    return [(float(bottoms[i]), float(tops[i]), float(mid[i]), float(slope[i])) for i in order]
