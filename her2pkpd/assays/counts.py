"""Per-nucleus signal counts: means, intervals, the chance of another group, and heterogeneity."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from her2pkpd.assays.editions import CURRENT, MINIMUM_NUCLEI, Edition, edition
from her2pkpd.assays.ish import Signals
from her2pkpd.errors import InputError, Problem, Problems

GROUPS = (1, 2, 3, 4, 5)
"""The dual-probe groups."""


@dataclass(frozen=True, eq=False)
class Nuclei:
    """Signals of n nuclei.

    Attributes:
        her2: (n,) whole numbers of HER2 signals.
        cep17: (n,) whole numbers of centromere signals, or None for a single probe.
    """

    her2: np.ndarray
    cep17: np.ndarray | None = None

    @cached_property
    def signals(self) -> Signals:
        """Mean copies per cell and the ratio of the sums, exact."""
        total = int(self.her2.sum())
        ratio = None if self.cep17 is None else Fraction(total, int(self.cep17.sum()))
        return Signals(Fraction(total, len(self.her2)), ratio)

    def __len__(self) -> int:
        return len(self.her2)


def nuclei(
    her2: Sequence[int] | np.ndarray, cep17: Sequence[int] | np.ndarray | None = None, *, name: str = "nuclei"
) -> Nuclei:
    """Checked counts.

    Args:
        her2: (n,) HER2 signals, n of at least 20.
        cep17: (n,) centromere signals, or None.
        name: for messages.

    Raises:
        InputError: for fewer than 20 nuclei, counts that are negative or no whole numbers, lengths that differ, or
            no centromere signal at all.
    """
    problems = Problems(name)
    columns = {"her2_signals": her2} | ({} if cep17 is None else {"cep17_signals": cep17})
    arrays = {column: np.asarray(values, dtype=float) for column, values in columns.items()}
    for column, values in arrays.items():
        bad = ~np.isfinite(values) | (values < 0) | (values != np.floor(values))
        for i in np.flatnonzero(bad):
            rule, remedy = "signals must be whole numbers, zero or more", "Count the signals of this nucleus again."
            problems.add(rule, remedy, row=int(i) + 1, column=column, value=float(values[i]))
    if len({len(values) for values in arrays.values()}) > 1:
        problems.add("every nucleus needs both counts", "Give arrays of the same length.", column="cep17_signals")
    if len(arrays["her2_signals"]) < MINIMUM_NUCLEI:
        problems.extend(InputError(too_few(len(arrays["her2_signals"]), name)))
    if cep17 is not None and not arrays["cep17_signals"].sum() > 0:
        problems.add("no CEP17 signal was counted", "Repeat the hybridisation: the ratio is undefined without it.")
    problems.raise_any()
    whole = {column: values.astype(np.int64) for column, values in arrays.items()}
    return Nuclei(whole["her2_signals"], whole.get("cep17_signals"))


def too_few(count: int | str, file: str | None, *, row: int | None = None, column: str = "nuclei") -> Problem:
    """The problem of a count below the minimum."""
    return Problem(
        f"at least {MINIMUM_NUCLEI} nuclei must be counted",
        "Count more invasive tumour cells, in at least two areas.",
        file,
        row,
        column,
        count,
    )


def copies_interval(counted: Nuclei, level: float = 0.95) -> tuple[float, float]:
    """Student-t interval of the mean HER2 copies per cell."""
    from scipy import stats

    n = len(counted)
    half = stats.t.ppf(0.5 + level / 2, n - 1) * counted.her2.std(ddof=1) / np.sqrt(n)
    mean = counted.her2.mean()
    return max(0.0, float(mean - half)), float(mean + half)


def ratio_interval(counted: Nuclei, level: float = 0.95) -> tuple[float, float]:
    """Fieller's interval of the HER2/CEP17 ratio of means; the upper end is infinite where CEP17 may be zero.

    Source: Fieller 1954 (J R Stat Soc B 16:175), with the covariance of the two signals of one nucleus.
    """
    from scipy import stats

    if counted.cep17 is None:
        raise ValueError("a single probe has no ratio")
    n = len(counted)
    (vh, vhc), (_, vc) = np.cov(counted.her2, counted.cep17) / n
    h, c = counted.her2.mean(), counted.cep17.mean()
    t2 = stats.t.ppf(0.5 + level / 2, n - 1) ** 2
    a, b, d = c * c - t2 * vc, h * c - t2 * vhc, h * h - t2 * vh
    root = np.sqrt(max(b * b - a * d, 0.0))
    if a <= 0:
        return (max(0.0, float(d / (b + root))) if b + root > 0 else 0.0), float("inf")
    return max(0.0, float((b - root) / a)), float((b + root) / a)


def group_probabilities(counted: Nuclei, recounted: int, rules: str | Edition = CURRENT) -> dict[int, float]:
    """The chance that another count of the same tissue falls in each group.

    The means of the next count are taken as bivariate normal around the present ones, with the variance of both
    counts. All borders are straight lines in the plane of mean HER2 and mean CEP17 (HER2 = 2 CEP17), so these are
    plain normal probabilities.

    Args:
        counted: the present count.
        recounted: nuclei of the next one.
        rules: edition whose thresholds divide.

    Returns:
        Probability by group, adding up to 1.
    """
    if counted.cep17 is None:
        raise ValueError("a single probe has no groups")
    limits = (edition(rules) if isinstance(rules, str) else rules).ish
    line = float(limits.ratio_positive.value)
    both = np.stack([counted.her2 - line * counted.cep17, counted.her2])
    cov = np.cov(both) * (1 / len(counted) + 1 / recounted)
    mean = both.mean(axis=1)
    low, high = float(limits.copies_equivocal.value), float(limits.copies_positive.value)
    not_amplified = {at: _below(mean, cov, (0.0, at)) for at in (low, high, np.inf)}
    below_low = _below(mean, cov, (np.inf, low))
    found = {
        1: 1 - below_low - (not_amplified[np.inf] - not_amplified[low]),
        2: below_low - not_amplified[low],
        3: not_amplified[np.inf] - not_amplified[high],
        4: not_amplified[high] - not_amplified[low],
        5: not_amplified[low],
    }
    clipped = {group: max(0.0, p) for group, p in found.items()}
    return {group: p / sum(clipped.values()) for group, p in clipped.items()}


def _below(mean: np.ndarray, cov: np.ndarray, at: tuple[float, float]) -> float:
    """P(x <= at) of a bivariate normal; a direction without spread counts as certain."""
    from scipy import stats

    spread = cov + np.eye(2) * 1e-12
    limit = np.array(at)
    kept = np.isfinite(limit)
    if not kept.all():
        k = int(np.flatnonzero(kept)[0]) if kept.any() else -1
        return 1.0 if k < 0 else float(stats.norm.cdf(limit[k], mean[k], np.sqrt(spread[k, k])))
    return float(stats.multivariate_normal.cdf(limit, mean, spread))  # pyright: ignore[reportArgumentType]


@dataclass(frozen=True)
class Heterogeneity:
    """Share of amplified nuclei by the two criteria of the 2009 CAP panel.

    Attributes:
        by_ratio: fraction of nuclei with a ratio above 2.2.
        by_copies: fraction of nuclei with more than 6 HER2 signals.
        ratio_heterogeneous: 5 to 50 % by ratio.
        copies_heterogeneous: 5 to 50 % by signals.
    """

    by_ratio: float
    by_copies: float
    ratio_heterogeneous: bool
    copies_heterogeneous: bool


def heterogeneity(counted: Nuclei) -> Heterogeneity:
    """Genetic heterogeneity as the 2009 CAP panel defines it: 5 % to below 50 % of nuclei amplified.

    The ratio criterion takes chance for biology: in a thin section a nucleus often shows one CEP17 signal of two,
    which is why it calls many times more cases heterogeneous than the signals do.

    Source: Vance 2009 (Arch Pathol Lab Med 133:611).
    """
    if counted.cep17 is None:
        raise ValueError("heterogeneity by ratio needs CEP17")
    old = edition("2007").ish
    line = old.ratio_positive.value
    # her2/cep17 > line without a division: exact, and defined for a nucleus without CEP17 signal.
    by_ratio = int((counted.her2 * line.denominator > counted.cep17 * line.numerator).sum())
    by_copies = int((counted.her2 > int(old.copies_positive.value)).sum())
    n = len(counted)
    shares = [Fraction(k, n) for k in (by_ratio, by_copies)]
    inside = [Fraction(1, 20) <= share < Fraction(1, 2) for share in shares]
    return Heterogeneity(float(shares[0]), float(shares[1]), inside[0], inside[1])
