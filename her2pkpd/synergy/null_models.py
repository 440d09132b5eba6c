"""Null models of non-interaction, and scores against them. Pure functions, batched over leading axes.

Everything is on the survival scale: 1 is no effect, 0 is full effect. Excesses are expected minus observed survival,
so positive is synergy; combination indices are below 1 for synergy.

* Bliss: independent actions multiply. * HSA: the stronger drug alone. * Loewe: the drugs dilute each other,
sum of d_i/D_i(E) = 1 with D_i the dose of drug i alone that has effect E. * ZIP (Yadav 2015 Comput Struct Biotechnol J
13:504): the drugs leave each other's potency and slope unchanged. * Chou-Talalay (Chou and Talalay 1984 Adv Enzyme
Regul 22:27): Loewe with median-effect lines.

A drug combined with itself is additive by definition: there Loewe's index is 1, while Bliss and ZIP are not zero,
because a dose added to itself is no independent action.
"""

import numpy as np


def bliss_expected(*effects: np.ndarray) -> np.ndarray:
    """Expected survival under independence: the product of the single drugs' survivals."""
    return np.prod(np.stack(np.broadcast_arrays(*effects)), axis=0)


def hsa_expected(*effects: np.ndarray) -> np.ndarray:
    """Expected survival if only the stronger drug counts."""
    return np.min(np.stack(np.broadcast_arrays(*effects)), axis=0)


def hill_effect(dose: np.ndarray, e0: np.ndarray, e1: np.ndarray, h: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Survival under one drug, e0 + (e1 - e0) * d^h/(C^h + d^h)."""
    with np.errstate(divide="ignore", over="ignore"):
        return e0 + (e1 - e0) / (1.0 + np.where(dose > 0, (c / np.where(dose > 0, dose, 1.0)) ** h, np.inf))


def hill_dose(effect: np.ndarray, e0: np.ndarray, e1: np.ndarray, h: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Dose of one drug alone that has an effect; infinite beyond its plateau e1, NaN on the other side of e0."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = (e0 - effect) / (effect - e1)
        dose = c * np.where(ratio > 0, ratio, np.nan) ** (1.0 / h)
    beyond = (effect - e1) * np.sign(e0 - e1) <= 0
    return np.where(beyond, np.inf, dose)


def loewe_ci(doses: np.ndarray, alone: np.ndarray) -> np.ndarray:
    """Combination index; below 1 is synergy.

    Args:
        doses: (..., k) doses of the combination.
        alone: (..., k) doses of each drug alone that have the observed effect; infinite where a drug given in the
            combination cannot reach it.

    Returns:
        (...); NaN where any of them is infinite or missing: Loewe's null is undefined there.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(doses > 0, doses / alone, 0.0)
    undefined = np.any((doses > 0) & ~np.isfinite(alone), axis=-1)
    return np.where(undefined, np.nan, terms.sum(axis=-1))


def loewe_expected(
    doses: np.ndarray, e0: np.ndarray, e1: np.ndarray, h: np.ndarray, c: np.ndarray, *, steps: int = 60
) -> np.ndarray:
    """Expected survival under Loewe additivity of Hill curves: the E at which the combination index is 1.

    Args:
        doses: (..., k).
        e0: (...) survival without drug, common to the drugs.
        e1: (..., k) plateaus, h: slopes, c: potencies.
        h: (..., k).
        c: (..., k).
        steps: bisections.

    Returns:
        (...); NaN where a drug of the combination alone already exceeds the plateau of the weakest: undefined.
    """
    given = doses > 0
    weakest = np.max(np.where(given, e1, -np.inf), axis=-1)
    strongest = np.min(np.where(given, hill_effect(doses, e0[..., None], e1, h, c), np.inf), axis=-1)
    high, low = np.broadcast_to(e0, weakest.shape).copy(), weakest.copy()
    for _ in range(steps):
        middle = 0.5 * (high + low)
        index = loewe_ci(doses, hill_dose(middle[..., None], e0[..., None], e1, h, c))
        above = index > 1.0  # the doses do more than this effect: the additive effect is stronger
        high, low = np.where(above, middle, high), np.where(above, low, middle)
    return np.where((strongest <= weakest) | (weakest >= e0), np.nan, 0.5 * (high + low))


def median_effect(dose: np.ndarray, effect: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Median-effect line of one drug: log(affected/unaffected) = m*log(dose/Dm).

    Args:
        dose: (g,) positive doses.
        effect: (..., g) survivals; those outside 0 to 1 have no logit and are left out.

    Returns:
        Slope m (...) and median dose Dm (...); NaN with fewer than two usable points.
    """
    usable = (effect > 0) & (effect < 1) & (dose > 0)
    safe = np.where(usable, effect, 0.5)
    x, y = np.broadcast_to(np.log(np.where(dose > 0, dose, 1.0)), safe.shape), np.log((1 - safe) / safe)
    n = usable.sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        mx, my = ((np.where(usable, v, 0.0)).sum(axis=-1) / n for v in (x, y))
        dx = np.where(usable, x - mx[..., None], 0.0)
        m = (dx * np.where(usable, y, 0.0)).sum(axis=-1) / (dx**2).sum(axis=-1)
        middle = np.exp(mx - my / m)
    return np.where(n > 1, m, np.nan), np.where(n > 1, middle, np.nan)


def median_effect_dose(effect: np.ndarray, m: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """Dose alone on a median-effect line; NaN for survivals outside 0 to 1."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        odds = np.where((effect > 0) & (effect < 1), (1 - effect) / effect, np.nan)
        return middle * odds ** (1.0 / m)
