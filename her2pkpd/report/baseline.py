"""Beside the mechanism, every curve's own 4-parameter logistic: what most users would have fitted."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from her2pkpd.data.logistic import MIN_DOSES, PARAMETERS, LogisticCurve, fit_curve
from her2pkpd.errors import InputError
from her2pkpd.fit.curves import Curve


def baselines(curves: Sequence[Curve]) -> tuple[pd.DataFrame, list[np.ndarray | None]]:
    """Fit each measured curve by itself.

    Args:
        curves: curves of a fit; those without wells are passed over.

    Returns:
        A table (``cell_line, drug, partner, time, readout``, each parameter with ``_lower`` and ``_upper``, ``rms``,
        ``mechanism_rms``, ``status``), and per curve the logistic at ``curve.dose`` or None.
    """
    rows, drawn = [], []
    for curve in curves:
        fitted = _fit(curve)
        drawn.append(None if fitted is None else fitted(curve.dose))
        if fitted is None:
            continue
        at_wells = np.interp(np.log(curve.measured[:, 0]), np.log(curve.dose), curve.prediction)
        row: dict[str, object] = {
            "cell_line": curve.cell_line, "drug": curve.drug, "time": curve.time, "readout": curve.readout,
            "partner": " + ".join(f"{drug} {dose:g} nM" for drug, dose in curve.partner),
        }  # fmt: skip
        for name, value, low, high in zip(PARAMETERS, fitted.estimate, fitted.lower, fitted.upper, strict=True):
            row |= {name: value, f"{name}_lower": low, f"{name}_upper": high}
        residual = curve.measured[:, 1] - at_wells
        row |= {"rms": fitted.rms, "mechanism_rms": float(np.sqrt(np.mean(residual**2))), "status": fitted.status}
        rows.append(row)
    return pd.DataFrame(rows), drawn


def _fit(curve: Curve) -> LogisticCurve | None:
    if len(set(curve.measured[:, 0])) < MIN_DOSES:
        return None
    try:
        fitted = fit_curve(curve.measured[:, 0], curve.measured[:, 1])
    except InputError:
        return None
    return fitted if np.all(np.isfinite(fitted.estimate)) else None
