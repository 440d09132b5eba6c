"""Sampling: what a biopsy sees of a tumour of which only some cells are amplified.

Mosaic: cells are independent, the amplified ones among n nuclei are binomial. Focal: neighbours are alike, and their
number is beta-binomial with intra-class correlation icc = 1/(a + b + 1); with icc 1 a core holds one kind only.
"""

import math
from dataclasses import dataclass
from fractions import Fraction

from her2pkpd.assays.copy_number import NORMAL, POSITIVE


@dataclass(frozen=True)
class Biopsy:
    """How a tumour is sampled.

    Attributes:
        fraction: f, of tumour cells that are amplified.
        icc: intra-class correlation of cells in one core, 0 (mosaic) to 1 (fully focal).
        nuclei: counted in each core.
        cores: taken at random, far apart.
        amplified: copies per amplified cell; None if not known.
        unamplified: copies per other cell.
    """

    fraction: Fraction
    icc: float = 0.0
    nuclei: int | None = 20
    cores: int = 1
    amplified: Fraction | None = None
    unamplified: Fraction = NORMAL


def cells_needed(nuclei: int, amplified: Fraction, unamplified: Fraction = NORMAL) -> int | None:
    """Fewest amplified cells among `nuclei` for a mean of 6 copies, or None if even all do not reach it; exact.

    Example:
        >>> cells_needed(20, Fraction(20))
        5
    """
    if unamplified >= POSITIVE:
        return 0
    if amplified < POSITIVE:
        return None
    return math.ceil(nuclei * (POSITIVE - unamplified) / (amplified - unamplified))


def at_least(cells: int, nuclei: int, fraction: float, icc: float = 0.0) -> float:
    """P(X >= cells) for the number X of amplified cells among `nuclei` of one core."""
    from scipy import stats

    if cells <= 0:
        return 1.0
    if fraction in (0.0, 1.0):
        return fraction
    if icc >= 1:
        return fraction
    if icc <= 0:
        return float(stats.binom.sf(cells - 1, nuclei, fraction))
    total = 1 / icc - 1
    return float(stats.betabinom.sf(cells - 1, nuclei, fraction * total, (1 - fraction) * total))


def standard_error(biopsy: Biopsy) -> float:
    """Standard error of the amplified fraction seen, sqrt(f(1 - f)/n*(1 + (n - 1)*icc)/k)."""
    f, n = float(biopsy.fraction), biopsy.nuclei
    inflation = biopsy.icc if n is None else (1 + (n - 1) * biopsy.icc) / n
    return math.sqrt(f * (1 - f) * inflation / biopsy.cores)


def no_amplified_cell(biopsy: Biopsy) -> float:
    """P(no amplified cell is among those counted, in any core); fully focal: (1 - f)^k."""
    one = at_least(1, biopsy.nuclei or 1, float(biopsy.fraction), biopsy.icc)
    return (1 - one) ** biopsy.cores


def positive_core(biopsy: Biopsy) -> float | None:
    """P(the nuclei of one core have a mean of 6 copies or more), or None without their number and copies."""
    if biopsy.amplified is None or biopsy.nuclei is None:
        return None
    needed = cells_needed(biopsy.nuclei, biopsy.amplified, biopsy.unamplified)
    return 0.0 if needed is None else at_least(needed, biopsy.nuclei, float(biopsy.fraction), biopsy.icc)


def missed(biopsy: Biopsy) -> float:
    """P(no core is positive), the false negative of a biopsy in which each core is judged by itself.

    Where copies are not given, a core is positive as soon as it holds an amplified cell.
    """
    one = positive_core(biopsy)
    return no_amplified_cell(biopsy) if one is None else (1 - one) ** biopsy.cores


def cores_needed(biopsy: Biopsy, at_most: float = 0.05) -> int | None:
    """Fewest cores that miss the tumour with a probability of `at_most`, or None if no number does."""
    single = missed(Biopsy(biopsy.fraction, biopsy.icc, biopsy.nuclei, 1, biopsy.amplified, biopsy.unamplified))
    if single <= at_most:
        return 1
    return None if single >= 1 else math.ceil(math.log(at_most) / math.log(single) - 1e-12)
