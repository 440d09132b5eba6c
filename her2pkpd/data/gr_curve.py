"""One GR dose-response curve: the sigmoid of Hafner et al. 2016, its test against a flat line, its metrics."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.integrate import trapezoid
from scipy.optimize import least_squares
from scipy.stats import f as f_distribution

from her2pkpd.data.hill import hill, hill_jacobian, scan

SLOPE_BOUNDS = (0.1, 5.0)
"""Bounds of the Hill slope."""
GRINF_BOUNDS = (-1.0, 1.0)
"""Bounds of GRinf, the range GR can take."""
GEC50_MARGIN = 2.0
"""GEC50 may lie this many powers of ten outside the doses tested."""
SUSPICIOUS = 3.0
"""A drug that speeds up growth may lift GR above 1, hardly above this."""
_NO_GR = 1e6
"""Beyond this, untreated cells grew so little that the number says nothing."""
MIN_DOSES = 4
"""Fewer doses than this carry no curve of three parameters and its test."""


@dataclass(frozen=True)
class GRCurve:
    """Metrics of one curve; concentrations in the unit of the doses given.

    Attributes:
        GR50: dose at which the fitted GR is 0.5; +inf where the fit stays above, -inf where a flat line lies below.
        GRmax: smaller of the mean GR at the two highest doses.
        GEC50: dose of half the maximal effect; 0 for a flat fit.
        GRinf: GR at infinite dose; for a flat fit its level.
        h: Hill slope; 0.01 for a flat fit.
        GR_AOC: mean of 1 - GR over the log10 dose range, by the trapezoid rule.
        r2: coefficient of determination of the fit that is reported.
        fit: "sigmoid", "flat", or "none" where there are too few doses.
        pval: of the F-test of the sigmoid against the flat line.
        status: "ok", or what to know about the curve.
    """

    GR50: float = np.nan
    GRmax: float = np.nan
    GEC50: float = np.nan
    GRinf: float = np.nan
    h: float = np.nan
    GR_AOC: float = np.nan
    r2: float = np.nan
    fit: str = "none"
    pval: float = np.nan
    status: str = "ok"


def fit_gr_curve(dose: np.ndarray, gr: np.ndarray, *, alpha: float = 0.05) -> GRCurve:
    """Fit ``GR(c) = GRinf + (1 - GRinf) / (1 + (c / GEC50)**h)`` and derive the GR metrics.

    The bounds are those of the authors' implementations (datarail/gr_metrics): GRinf in [-1, 1], h in [0.1, 5], GEC50
    within 100-fold of the doses tested. Where an F-test prefers a flat line (p >= alpha), the line's level, within
    the same bounds, is reported as GRinf with GEC50 = 0, h = 0.01 and GR50 = +-inf.

    Args:
        dose: (n,) doses above zero.
        gr: (n,) GR values; NaN is left out.
        alpha: level of the F-test; 1 always keeps the sigmoid.

    Returns:
        The metrics. With fewer than four different doses only GRmax and GR_AOC are given.
    """
    usable = np.isfinite(gr) & (np.abs(gr) < _NO_GR) & np.isfinite(dose) & (dose > 0)
    notes = [f"{np.sum(~usable)} wells without a GR value left out"] if not usable.all() else []
    dose, gr = dose[usable], gr[usable]
    if not len(gr):
        return GRCurve(status="no GR value: untreated cells did not grow, or a count is missing")
    if gr.max() > SUSPICIOUS:
        notes.append(f"a GR above {SUSPICIOUS:g}: check that well and its controls")
    levels, where = np.unique(dose, return_inverse=True)
    means = np.bincount(where, gr) / np.bincount(where)
    observed = GRCurve(GRmax=float(means[-2:].min()), GR_AOC=_area_over_curve(np.log10(levels), means))
    if len(levels) < MIN_DOSES:
        return replace(observed, status="; ".join([f"fewer than {MIN_DOSES} doses: no curve fitted", *notes]))
    fitted = _fit(dose, gr, observed, alpha)
    if np.isfinite(fitted.GR50) and not levels[0] <= fitted.GR50 <= levels[-1]:
        notes.append("GR50 lies outside the doses tested")
    return replace(fitted, status="; ".join(notes) or "ok")


def _fit(dose: np.ndarray, gr: np.ndarray, observed: GRCurve, alpha: float) -> GRCurve:
    """`observed` with the sigmoid's metrics, or with those of the flat line if the F-test prefers it."""
    level = float(np.clip(gr.mean(), *GRINF_BOUNDS))
    rss_flat = float(((gr - level) ** 2).sum())
    total = float(((gr - gr.mean()) ** 2).sum())
    (grinf, log_gec50, slope), rss = _fit_sigmoid(dose, gr, rss_flat, alpha)
    pval = _flat_pval(rss, rss_flat, len(gr))
    if pval >= alpha:
        gr50 = np.inf if level > 0.5 else -np.inf
        r2 = _r_squared(rss_flat, total)
        return replace(observed, GR50=gr50, GEC50=0.0, GRinf=level, h=0.01, r2=r2, fit="flat", pval=pval)
    gr50, r2 = _gr50(grinf, log_gec50, slope), _r_squared(rss, total)
    gec50 = float(np.power(10.0, log_gec50))
    return replace(observed, GR50=gr50, GEC50=gec50, GRinf=grinf, h=slope, r2=r2, fit="sigmoid", pval=pval)


def _area_over_curve(log_dose: np.ndarray, gr: np.ndarray) -> float:
    if len(log_dose) < 2:
        return float("nan")
    return float(trapezoid(1.0 - gr, log_dose) / (log_dose[-1] - log_dose[0]))


def _fit_sigmoid(
    dose: np.ndarray, gr: np.ndarray, rss_flat: float, alpha: float
) -> tuple[tuple[float, float, float], float]:
    """((GRinf, log10 GEC50, h), sum of squares) of the least-squares curve within the bounds.

    The search starts where the authors' implementations start. A grid search replaces its result where it leads
    to a better curve that passes the F-test: on noise around a flat line the sum of squares has many shallow
    minima, and taking the deepest would give other p-values than published for curves reported as flat anyway.
    """
    low_dose, high_dose = np.log10(dose.min()), np.log10(dose.max())
    lower = np.array([GRINF_BOUNDS[0], low_dose - GEC50_MARGIN, SLOPE_BOUNDS[0]])
    upper = np.array([GRINF_BOUNDS[1], high_dose + GEC50_MARGIN, SLOPE_BOUNDS[1]])
    best, best_rss = _polish(dose, gr, np.array([0.1, np.log10(np.median(dose)), 2.0]), lower, upper)
    mids, slopes = np.linspace(lower[1], upper[1], 33), np.geomspace(0.2, SLOPE_BOUNDS[1], 9)
    grid = scan(dose, gr, np.ones_like(gr), mids, slopes, top=1.0)
    bottom, _, mid, slope = grid[0]
    theta, rss = _polish(dose, gr, np.array([bottom, mid, slope]), lower, upper)
    if rss < best_rss and _flat_pval(rss, rss_flat, len(gr)) < alpha:
        best, best_rss = theta, rss
    return (float(best[0]), float(best[1]), float(best[2])), best_rss


def _polish(
    dose: np.ndarray, gr: np.ndarray, start: np.ndarray, lower: np.ndarray, upper: np.ndarray
) -> tuple[np.ndarray, float]:
    scale = max(1.0, float(np.abs(gr).max()))  # keeps a wild value from overflowing the optimiser's norms

    def residual(theta: np.ndarray) -> np.ndarray:
        return (hill(dose, theta[0], 1.0, theta[1], theta[2]) - gr) / scale

    def jacobian(theta: np.ndarray) -> np.ndarray:
        return hill_jacobian(dose, theta[0], 1.0, theta[1], theta[2])[:, [0, 2, 3]] / scale

    inside = 1e-6 * (upper - lower)
    start = np.clip(start, lower + inside, upper - inside)
    result = least_squares(
        residual,
        start,
        jacobian,  # pyright: ignore[reportArgumentType] - SciPy takes a function
        bounds=(lower, upper),
        xtol=1e-12,
        ftol=1e-14,
        gtol=1e-12,
    )
    return result.x, float(2.0 * result.cost * scale**2)


def _flat_pval(rss: float, rss_flat: float, n: int) -> float:
    """F-test of the sigmoid (3 parameters) against the flat line (1); n - 3 + 1 degrees of freedom as published."""
    if rss_flat <= rss:
        return 1.0
    if rss <= 0.0:
        return 0.0
    statistic = (rss_flat - rss) / 2.0 / (rss / (n - 2))
    return float(f_distribution.sf(statistic, 2, n - 2))


def _r_squared(rss: float, total: float) -> float:
    return 1.0 - rss / total if total > 0 else (1.0 if rss == 0 else float("nan"))


def _gr50(grinf: float, log_gec50: float, slope: float) -> float:
    if grinf >= 0.5:
        return np.inf
    with np.errstate(over="ignore"):
        return float(np.power(10.0, log_gec50 + np.log10((1.0 - grinf) / (0.5 - grinf) - 1.0) / slope))
