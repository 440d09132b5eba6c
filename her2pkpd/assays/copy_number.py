"""Bulk copy number: what sequencing reports of a mixture of cells, and back.

CN_obs = p*(f*CN_a + (1 - f)*CN_u) + (1 - p)*2

p is tumour purity, f the fraction of tumour cells that are amplified, CN_a and CN_u the copies in amplified and other
tumour cells; normal cells have 2. Hybridisation counts tumour cells only: p has no part in it.
"""

import math
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

NORMAL = Fraction(2)
"""Copies in a normal cell."""

QUANTITIES = ("purity", "fraction_amplified", "cn_amplified", "cn_unamplified", "cn_observed")
"""The five quantities of the bulk formula."""

POSITIVE, EQUIVOCAL = Fraction(6), Fraction(4)
"""Bulk copies called as the copies of a single probe are; no guideline has thresholds for sequencing."""


@dataclass(frozen=True)
class Bulk:
    """The quantities of one sample; one may be None, to be solved for.

    Attributes:
        purity: p, 0 to 1.
        fraction_amplified: f, 0 to 1.
        cn_amplified: CN_a.
        cn_unamplified: CN_u.
        cn_observed: CN_obs.
    """

    purity: Fraction | None = None
    fraction_amplified: Fraction | None = None
    cn_amplified: Fraction | None = None
    cn_unamplified: Fraction | None = NORMAL
    cn_observed: Fraction | None = None


class UndeterminedError(ValueError):
    """The known quantities do not determine the missing one, or contradict each other."""


def mean_copies(f: Fraction, amplified: Fraction, unamplified: Fraction) -> Fraction:
    """Mean copies per tumour cell, f*CN_a + (1 - f)*CN_u: what hybridisation counts."""
    return f * amplified + (1 - f) * unamplified


def observed(p: Fraction, f: Fraction, amplified: Fraction, unamplified: Fraction = NORMAL) -> Fraction:
    """CN_obs of the bulk formula.

    Example:
        >>> float(observed(Fraction("0.4"), Fraction("0.3"), Fraction(20)))
        4.16
    """
    return p * mean_copies(f, amplified, unamplified) + (1 - p) * NORMAL


def solve(bulk: Bulk) -> tuple[str, Bulk]:
    """Solve for the one missing quantity; exact.

    Args:
        bulk: with exactly one quantity None.

    Returns:
        The name of the missing quantity, and all five.

    Raises:
        UndeterminedError: if not exactly one is missing, nothing determines it, or no value in its range fits.
    """
    missing = [name for name in QUANTITIES if getattr(bulk, name) is None]
    if len(missing) != 1:
        raise UndeterminedError(f"exactly one quantity must be missing; missing here: {', '.join(missing) or 'none'}")
    name = missing[0]
    value = _SOLVERS[name](bulk)
    top = 1 if name in ("purity", "fraction_amplified") else None
    if value < 0 or (top is not None and value > top):
        lies = "between 0 and 1" if top else "at or above 0"
        raise UndeterminedError(f"no {name} {lies} fits the other quantities (it would be {float(value):.4g})")
    return name, replace(bulk, **{name: value})


def _observed(b: Bulk) -> Fraction:
    p, f, a, u = _known(b.purity, b.fraction_amplified, b.cn_amplified, b.cn_unamplified)
    return observed(p, f, a, u)


def _purity(b: Bulk) -> Fraction:
    f, a, u, cn = _known(b.fraction_amplified, b.cn_amplified, b.cn_unamplified, b.cn_observed)
    return _ratio(cn - NORMAL, mean_copies(f, a, u) - NORMAL, "tumour cells carry as many copies as normal ones")


def _fraction(b: Bulk) -> Fraction:
    p, a, u, cn = _known(b.purity, b.cn_amplified, b.cn_unamplified, b.cn_observed)
    return _ratio(_tumour(cn, p) - u, a - u, "both kinds of tumour cell carry the same copies")


def _amplified(b: Bulk) -> Fraction:
    p, f, u, cn = _known(b.purity, b.fraction_amplified, b.cn_unamplified, b.cn_observed)
    return _ratio(_tumour(cn, p) - (1 - f) * u, f, "no tumour cell is amplified")


def _unamplified(b: Bulk) -> Fraction:
    p, f, a, cn = _known(b.purity, b.fraction_amplified, b.cn_amplified, b.cn_observed)
    return _ratio(_tumour(cn, p) - f * a, 1 - f, "every tumour cell is amplified")


def _known(*values: Fraction | None) -> tuple[Fraction, ...]:
    return tuple(value for value in values if value is not None)


def _tumour(cn: Fraction, p: Fraction) -> Fraction:
    return _ratio(cn - (1 - p) * NORMAL, p, "the sample has no tumour cells")


def _ratio(above: Fraction, below: Fraction, because: str) -> Fraction:
    if below == 0:
        raise UndeterminedError(f"the missing quantity is not determined: {because}")
    return above / below


_SOLVERS = {
    "purity": _purity,
    "fraction_amplified": _fraction,
    "cn_amplified": _amplified,
    "cn_unamplified": _unamplified,
    "cn_observed": _observed,
}


def log2_ratio(cn: float, *, purity: float = 1.0, ploidy: float = 2.0) -> float:
    """log2 of bulk copies over the sample's average ploidy, psi = p*ploidy + (1 - p)*2.

    Args:
        cn: bulk copies CN_obs.
        purity: p; matters only where `ploidy` is not 2.
        ploidy: of the tumour cells.
    """
    return math.log2(cn / (purity * ploidy + (1 - purity) * 2)) if cn > 0 else -math.inf


def tumour_copies(ratio: float, *, purity: float, ploidy: float = 2.0) -> float:
    """Copies per tumour cell from a measured total ratio r = CN_obs/psi.

    CN_t = (p*ploidy*r + 2*(1 - p)*r - 2*(1 - p))/p (as in PureCN).
    """
    return (purity * ploidy * ratio + 2 * (1 - purity) * ratio - 2 * (1 - purity)) / purity


def solve_interval(
    bulk: Bulk, sd: dict[str, float], *, level: float = 0.95, draws: int = 20_000, seed: int = 0
) -> tuple[float, float, float]:
    """Interval of the missing quantity when known ones have errors.

    Normal errors are drawn for every quantity with a standard deviation, impossible draws (a purity outside 0 to 1,
    a negative copy number) are left out, and each is solved.

    Args:
        bulk: with exactly one quantity None.
        sd: standard deviation by name of a known quantity.
        level: of the interval.
        draws: of the Monte Carlo.
        seed: of the random numbers.

    Returns:
        Lower end, upper end, and the fraction of draws in which the quantity has a possible value at all; the ends
        are quantiles of those.

    Raises:
        UndeterminedError: as `solve`, or if hardly any draw has a possible value.
    """
    name, _ = solve(bulk)
    rng = np.random.default_rng(seed)
    drawn = {}
    for q in QUANTITIES:
        value = getattr(bulk, q)
        if q != name:
            drawn[q] = float(value) + sd.get(q, 0.0) * rng.standard_normal(draws)
    possible = np.ones(draws, dtype=bool)
    for q, values in drawn.items():
        possible &= (values >= 0) & ((values <= 1) if q in ("purity", "fraction_amplified") else True)
    with np.errstate(divide="ignore", invalid="ignore"):
        solved = _solve_floats(name, {q: values[possible] for q, values in drawn.items()})
    fits = np.isfinite(solved) & (solved >= 0)
    if name in ("purity", "fraction_amplified"):
        fits &= solved <= 1
    if fits.sum() < draws / 100:
        raise UndeterminedError(f"with these errors hardly any {name} is possible")
    low, high = np.quantile(solved[fits], [0.5 - level / 2, 0.5 + level / 2])
    return float(low), float(high), float(fits.sum() / draws)


def _solve_floats(name: str, k: dict[str, np.ndarray]) -> np.ndarray:
    if name == "cn_observed":
        mean = k["fraction_amplified"] * k["cn_amplified"] + (1 - k["fraction_amplified"]) * k["cn_unamplified"]
        return k["purity"] * mean + (1 - k["purity"]) * 2
    if name == "purity":
        mean = k["fraction_amplified"] * k["cn_amplified"] + (1 - k["fraction_amplified"]) * k["cn_unamplified"]
        return (k["cn_observed"] - 2) / (mean - 2)
    tumour = (k["cn_observed"] - (1 - k["purity"]) * 2) / k["purity"]
    if name == "fraction_amplified":
        return (tumour - k["cn_unamplified"]) / (k["cn_amplified"] - k["cn_unamplified"])
    if name == "cn_amplified":
        return (tumour - (1 - k["fraction_amplified"]) * k["cn_unamplified"]) / k["fraction_amplified"]
    return (tumour - k["fraction_amplified"] * k["cn_amplified"]) / (1 - k["fraction_amplified"])


def call_bulk(cn: Fraction) -> str:
    """The call of bulk copies: positive from 6, equivocal from 4, else negative."""
    return "positive" if cn >= POSITIVE else "equivocal" if cn >= EQUIVOCAL else "negative"
