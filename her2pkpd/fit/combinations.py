"""Combinations of unknowns as products of powers, in the unknowns' own names.

On the coordinates unknowns are estimated in, a direction is a product of powers: of values on a log scale, of odds on
a bounded one. Where the data leave some unknowns undetermined, they may still determine products of them; those are
what a reader can use, and what this module finds and writes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from scipy.linalg import qr

from her2pkpd.fit.intervals import DETERMINED_FOLD
from her2pkpd.fit.parameters import Free

DETERMINED_SD = float(np.log(DETERMINED_FOLD) / (2 * 1.96))
"""Standard deviation of the logarithm of a product below which it counts as determined, like a single parameter."""

_DIGITS = (0, 1, 2, 3, 6)

_LOSS = 1.5
"""How much less certain a product may become when written with fewer unknowns."""

_LATER = 0.1
"""Weight of an unknown that is determined: others are to be written by means of it."""

_PLAIN_SD = 0.1
"""A product in plain powers is written where its 95 % interval spans less than 1.5-fold, even if others are sharper."""


@dataclass(frozen=True)
class Combination:
    """A product of powers of unknowns.

    Attributes:
        text: as a reader writes it, ``lapatinib.HER2.Ki × SK-BR-3.S50^0.5``.
        powers: (n_free,) power of each unknown, the largest one 1 or -1.
        sd: standard deviation of its logarithm; infinite where nothing is known.
    """

    text: str
    powers: np.ndarray
    sd: float

    @property
    def fold(self) -> float:
        """Fold its 95 % interval spans, from end to end."""
        return float(np.exp(2 * 1.96 * self.sd)) if self.sd < 10.0 else float("inf")

    @property
    def determined(self) -> bool:
        """Whether its interval is as narrow as that of a determined parameter."""
        return self.sd < DETERMINED_SD


def write_product(free: Sequence[Free], powers: np.ndarray) -> str:
    """A product of powers in the unknowns' names; odds stand for unknowns on a bounded scale.

    Args:
        free: the unknowns.
        powers: (n_free,) powers; zeros are left out.
    """
    shown = [(_symbol(f), float(p)) for f, p in zip(free, powers, strict=True) if p]
    above = [_power(name, p) for name, p in shown if p > 0]
    below = [_power(name, -p) for name, p in shown if p < 0]
    return " / ".join([" × ".join(above) or "1", *below])


def _symbol(free: Free) -> str:
    scale = "linear" if free.role == "deviation" else free.transform.scale
    return free.name if scale == "log" else f"odds({free.name})" if scale == "logit" else f"exp({free.name})"


def _power(name: str, power: float) -> str:
    return name if power == 1.0 else f"{name}^{power:.6g}"


def directions(free: Sequence[Free], information: np.ndarray, *, shown: float = 0.15) -> list[Combination]:
    """Eigenvectors of an information matrix, best known first, as products of powers.

    Args:
        free: the unknowns.
        information: (n_free, n_free) about their coordinates.
        shown: powers below this part of the largest are not written.
    """
    values, vectors = np.linalg.eigh(information)
    found = []
    for value, vector in zip(values[::-1], vectors.T[::-1], strict=True):
        powers = _normalised(vector)
        size = float(np.abs(vector).max())
        written = np.where(np.abs(powers) >= shown, _rounded(powers), 0.0)
        rounding = len(values) * np.finfo(float).eps * float(values[-1])
        sd = 1 / (np.sqrt(value) * size) if value > rounding else np.inf
        found.append(Combination(write_product(free, written), powers, float(sd)))
    return found


def _normalised(vector: np.ndarray) -> np.ndarray:
    """Scaled so that the power largest in size (the first of equals) is 1."""
    largest = np.flatnonzero(np.abs(vector) > (1 - 1e-6) * np.abs(vector).max())[0]
    return vector / vector[largest]


def _rounded(powers: np.ndarray) -> np.ndarray:
    return np.round(powers, 2)


def determined_combinations(
    free: Sequence[Free], covariance: np.ndarray, unknown: np.ndarray, partners: np.ndarray | None = None
) -> list[Combination]:
    """Products of undetermined unknowns that are determined all the same, as few and as short as they can be written.

    Args:
        free: the unknowns.
        covariance: (n_free, n_free) of their coordinates.
        unknown: (n_free,) which are not determined by themselves.
        partners: (n_free,) others that may stand beside them in a product.

    Returns:
        A basis of the determined directions among `unknown`; every other determined product of them is a product of
        powers of these. Powers are rounded as far as the product stays determined.
    """
    beside = np.zeros(len(free), dtype=bool) if partners is None else partners & ~unknown
    at = np.flatnonzero(unknown | beside)
    if len(at) < 2:
        return []
    own = covariance[np.ix_(at, at)]
    variances, vectors = np.linalg.eigh(own)
    known = np.sqrt(np.maximum(variances, 0.0)) < DETERMINED_SD * np.abs(vectors).max(axis=0)
    if known.all():  # each is a little too uncertain by itself; the least certain direction makes it so
        known[-1] = False
    basis = vectors[:, known].T
    if not len(basis):
        return []
    found = []
    rows = sparse_basis(basis, np.where(beside[at], _LATER, 1.0))
    rows[np.abs(rows) < 1e-9] = 0.0
    for row in rows:
        # Each keeps the unknown that no other has: fewer unknowns must not make two products the same.
        pivot = int(np.argmax((row != 0) & (np.count_nonzero(rows, axis=0) == 1) & (np.abs(row - 1) < 1e-9)))
        powers = np.zeros(len(free))
        powers[at] = _readable(_thinned(row, pivot, own), own)
        found.append(Combination(write_product(free, powers), powers, _sd(powers[at], own)))
    return [c for c in found if c.determined and np.count_nonzero(c.powers) > 1 and np.any(c.powers[unknown])]


def sparse_basis(rows: np.ndarray, weights: np.ndarray | float = 1.0) -> np.ndarray:
    """The space spanned by `rows` (k, n) by vectors with at least k - 1 zeros each: reduced echelon form.

    Pivots are chosen by size, so that no entry becomes much larger than the 1 at its pivot; `weights` (n,) makes some
    columns later choices.
    """
    order = cast(np.ndarray, qr(rows * weights, mode="r", pivoting=True)[-1])
    pivots = np.sort(order[: len(rows)])
    return np.linalg.solve(rows[:, pivots], rows)


def _thinned(row: np.ndarray, pivot: int, covariance: np.ndarray) -> np.ndarray:
    """The product with as few unknowns as leave it determined and at most `_LOSS` times as uncertain.

    The unknown with the least effect leaves first, and the powers of those that stay are chosen anew, as least squares
    would; the one at `pivot` stays.
    """
    size = float(np.abs(row).max())
    most = size * min(max(_LOSS * _sd(row, covariance) / size, _PLAIN_SD), DETERMINED_SD)
    partners = [int(i) for i in np.flatnonzero(row) if i != pivot]
    thin = row
    while len(partners) > 1:
        tried = [_best_powers(pivot, [j for j in partners if j != i], covariance) for i in partners]
        sds = [_sd(t, covariance) for t in tried]
        least = int(np.argmin(sds))
        if sds[least] > most:
            break
        thin = tried[least]
        del partners[least]
    return _normalised(thin)


def _best_powers(pivot: int, partners: list[int], covariance: np.ndarray) -> np.ndarray:
    """Powers of the partners that make the product with the pivot, to the power 1, as certain as it can be."""
    powers = np.zeros(len(covariance))
    powers[pivot] = 1.0
    own = covariance[np.ix_(partners, partners)]
    scale = 1 / np.sqrt(np.diag(own))
    inverse = np.linalg.pinv(own * np.outer(scale, scale), hermitian=True) * np.outer(scale, scale)
    powers[partners] = -inverse @ covariance[partners, pivot]
    return powers


def _readable(row: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Powers with the fewest digits that leave the product determined and lose little of what is known of it."""
    exact = _sd(row, covariance)
    for digits in _DIGITS:
        rounded = np.round(row, digits)
        if _sd(rounded, covariance) < min(max(1.2 * exact, _PLAIN_SD), DETERMINED_SD):
            return rounded
    return row


def _sd(powers: np.ndarray, covariance: np.ndarray) -> float:
    return float(np.sqrt(max(powers @ covariance @ powers, 0.0)))


def pairs(free: Sequence[Free], null: np.ndarray) -> list[str]:
    """What may be changed without any effect: each null direction as the list of what moves how.

    Args:
        free: the unknowns.
        null: (n_free, k) directions without effect.

    Returns:
        Text per direction, such as ``a × 2, b × 0.5``: the first moves two-fold.
    """
    texts = []
    for vector in null.T:
        powers = _normalised(vector)
        powers = np.where(np.abs(powers) > 1e-4, powers, 0.0)
        moved = [f"{_symbol(f)} × {2.0**p:.3g}" for f, p in zip(free, powers, strict=True) if p]
        texts.append(", ".join(moved))
    return texts
