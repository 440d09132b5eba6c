"""Tumour response by RECIST 1.1, on the sum of diameters (SLD) of equal spherical lesions.

CR: every lesion below `DETECTION`; PR: 30 % below baseline; PD: 20 % and 5 mm above the smallest sum so far; SD: none
of these.
The best response is the best at any assessment up to progression, without confirmation: there is no measurement error
to confirm against.

Source: Eisenhauer 2009 Eur J Cancer 45:228 (RECIST 1.1). It calls a lesion gone when it can no longer be seen; that
this happens at `DETECTION` is an assumption.
"""

import math

import numpy as np

from her2pkpd import portable

DETECTION = 2.0
"""Diameter below which a lesion counts as gone, mm."""

DEEP, RISE, LEAST_RISE = 0.7, 1.2, 5.0
"""PR at this fraction of baseline; PD at this multiple of the nadir and so many mm above it."""

LITRE = 1e6
"""mm3."""

RESPONSES = ("CR", "PR", "SD", "PD", "NE")
"""Best responses; NE where nothing was assessed."""


def sum_of_diameters(volume: np.ndarray, lesions: int) -> np.ndarray:
    """SLD in mm of `lesions` equal spheres of `volume` L in all."""
    one = np.maximum(volume, 1e-30) * (LITRE * 6.0 / (math.pi * lesions))
    return lesions * portable.power(one, 1.0 / 3.0)


def progressed(sld: np.ndarray, nadir: np.ndarray) -> np.ndarray:
    """Whether a sum is progression against the smallest one before it."""
    return (sld >= RISE * nadir) & (sld - nadir >= LEAST_RISE)


def evaluate(sld: np.ndarray, times: np.ndarray, lesions: int) -> dict[str, np.ndarray]:
    """Response of patients.

    Args:
        sld: (L, A + 1) mm, the first column at baseline; NaN where a patient could not be computed.
        times: (A + 1,) d, the first being zero.
        lesions: number of lesions.

    Returns:
        By name, (L,): ``SLD.baseline, SLD.best_change, SLD.last_change, best_response`` (index into
        `RESPONSES`), ``TTP, progressed, TTR``.
    """
    base, found = sld[:, 0], sld[:, 1:]
    many = found.shape[1]
    if many == 0:
        return _nothing_assessed(base)
    nadir = np.minimum.accumulate(sld, axis=1)[:, :-1]
    bad = progressed(found, nadir)
    any_bad = bad.any(axis=1)
    first = np.where(any_bad, bad.argmax(axis=1), many)
    before = np.arange(many)[None, :] < first[:, None]
    complete = before & (found < DETECTION * lesions)
    partial = before & (found <= DEEP * base[:, None])
    stable = before.any(axis=1)
    kinds = [np.isnan(sld).any(axis=1), complete.any(axis=1), partial.any(axis=1), stable]
    best = np.select(kinds, [RESPONSES.index(x) for x in ("NE", "CR", "PR", "SD")], RESPONSES.index("PD"))
    responding = complete | partial
    when = np.where(responding.any(axis=1), times[1:][responding.argmax(axis=1)], np.nan)
    last = np.where(any_bad, times[1:][np.minimum(first, many - 1)], times[-1])
    broken = np.isnan(sld).any(axis=1)
    change = 100.0 * (found / base[:, None] - 1.0)
    return {
        "SLD.baseline": base,
        "SLD.best_change": np.where(broken, np.nan, change.min(axis=1)),
        "SLD.last_change": change[:, -1],
        "best_response": best,
        "TTP": np.where(broken, np.nan, last),
        "progressed": np.asarray(any_bad),
        "TTR": np.where(broken, np.nan, when),
    }


def _nothing_assessed(base: np.ndarray) -> dict[str, np.ndarray]:
    none = np.full(len(base), np.nan)
    return {
        "SLD.baseline": base, "SLD.best_change": none, "SLD.last_change": none,
        "best_response": np.full(len(base), RESPONSES.index("NE")), "TTP": np.where(np.isnan(base), np.nan, 0.0),
        "progressed": np.zeros(len(base), dtype=bool), "TTR": none,
    }  # fmt: skip
