"""What each assay reads off a tumour."""

import math
from dataclasses import dataclass

import numpy as np

from her2pkpd.assays.counts import Nuclei
from her2pkpd.assays.exact import exact
from her2pkpd.assays.ihc import IhcCall, Staining, score_ihc
from her2pkpd.assays.reference import reference, sees_p95
from her2pkpd.assays.tumour import Tumour

_LEAST_SEEN = 0.01
"""Fraction of cells below which a pathologist reports no pattern."""


@dataclass(frozen=True)
class Handling:
    """What happened to the tissue before it was stained.

    Attributes:
        cold_ischaemia: h from excision to formalin.
        refrigerated: whether it waited in the cold.
        fixation: h in formalin.
    """

    cold_ischaemia: float = 0.5
    refrigerated: bool = False
    fixation: float = 24.0

    @property
    def epitopes_left(self) -> float:
        """Fraction of protein epitopes an antibody still finds; DNA is spared. 1 within the guideline's limits."""
        half_life = reference("ischaemia_half_life_cold" if self.refrigerated else "ischaemia_half_life")
        waited = max(0.0, self.cold_ischaemia - reference("ischaemia_allowed"))
        over = max(0.0, self.fixation - reference("fixation_longest"))
        under = min(1.0, self.fixation / reference("fixation_shortest"))
        return under * 0.5 ** (waited / half_life + over / reference("fixation_half_life"))


def stain_limits() -> np.ndarray:
    """(3,) receptors per cell from which a membrane stains faintly, completely, and intensely.

    Geometric means of the receptors of neighbouring scores, raised to the 90th percentile of a clone, because a score
    is set by the cells beyond the upper 10 %.
    """
    typical = np.log([reference(f"ihc_{score}") for score in ("0", "1+", "2+", "3+")])
    return np.exp((typical[1:] + typical[:-1]) / 2 + 1.2815515655446004 * reference("receptor_spread"))


def stained(tumour: Tumour, *, antibody: str = "4B5", handling: Handling | None = None) -> np.ndarray:
    """(3,) fractions of tumour cells that stain at least faintly, completely, intensely.

    Args:
        tumour: the tumour.
        antibody: which part of HER2 is stained; an extracellular one does not see p95HER2.
        handling: of the specimen.
    """
    from scipy import stats

    left = (handling or Handling()).epitopes_left
    limits = np.log(stain_limits())
    total = np.zeros(3)
    for clone in tumour.clones:
        seen = clone.receptors * left * (1.0 if sees_p95(antibody) else 1 - clone.p95)
        if seen > 0:
            total += clone.fraction * stats.norm.sf((limits - math.log(seen)) / max(clone.spread, 1e-9))
    return total


def patterns(fractions: np.ndarray) -> list[Staining]:
    """Staining patterns of `stained` fractions, those in fewer than 1 % of cells merged into the next weaker."""
    faint, complete, intense = (float(f) for f in fractions)
    intense = intense if intense >= _LEAST_SEEN else 0.0
    complete = complete if complete >= _LEAST_SEEN else 0.0
    faint = faint if faint >= _LEAST_SEEN else 0.0
    steps = (
        ("intense", "complete", intense),
        ("weak-moderate", "complete", complete - intense),
        ("faint", "incomplete", faint - complete),
    )
    return [Staining(i, c, exact(round(100 * f, 6))) for i, c, f in steps if f > 0]


def ihc(tumour: Tumour, *, antibody: str = "4B5", handling: Handling | None = None, edition: str = "2018") -> IhcCall:
    """The score a tumour gets; arguments as `stained`."""
    return score_ihc(patterns(stained(tumour, antibody=antibody, handling=handling)), edition_name=edition)


def hybridise(tumour: Tumour, nuclei: int, rng: np.random.Generator) -> Nuclei:
    """Signals of nuclei in one area of a section.

    The clone's share in the area is beta-distributed with the tumour's `icc` (two clones; with more, Dirichlet). A
    cell has its clone's chromosomes 17, give or take one; ERBB2 goes with them where it is not amplified, and varies
    by itself where it is. A section keeps each signal with a fixed probability, and nuclei without a signal of
    either probe are passed over, as the guideline asks.

    Args:
        tumour: the tumour.
        nuclei: to count.
        rng: random numbers.
    """
    her2, cep17 = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    which = _area(tumour, rng)
    while len(her2) < nuclei:
        clone = rng.choice(len(tumour.clones), size=2 * nuclei + 10, p=which)
        h, c = _cells(tumour, clone, rng)
        kept = reference("signal_kept")
        h, c = rng.binomial(h, kept), rng.binomial(c, kept)
        seen = (h > 0) & (c > 0)
        her2, cep17 = np.concatenate([her2, h[seen]]), np.concatenate([cep17, c[seen]])
    return Nuclei(her2[:nuclei], cep17[:nuclei])


def _area(tumour: Tumour, rng: np.random.Generator) -> np.ndarray:
    shares = np.array([clone.fraction for clone in tumour.clones])
    if tumour.icc <= 0 or len(shares) == 1:
        return shares
    if tumour.icc >= 1:
        return np.eye(len(shares))[rng.choice(len(shares), p=shares)]
    drawn = rng.gamma(np.maximum(shares * (1 / tumour.icc - 1), 1e-12))
    return drawn / drawn.sum() if drawn.sum() > 0 else np.eye(len(shares))[rng.choice(len(shares), p=shares)]


def _cells(tumour: Tumour, clone: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """True copies per cell, HER2 and CEP17."""
    mean_h = np.array([c.her2_copies for c in tumour.clones])[clone]
    mean_c = np.array([c.cep17_copies for c in tumour.clones])[clone]
    chance, n = reference("chromosome_gain"), len(clone)
    shift = rng.choice([-1, 0, 1, 2], size=n, p=[chance / 2, 1 - 1.5 * chance, chance / 2, chance / 2])
    whole = np.floor(mean_c + rng.random(n)).astype(np.int64)
    # Polysomy is unstable: what lies above two chromosomes varies between cells, with half of Poisson's variance.
    trials = np.floor(2 * np.maximum(mean_c - 2, 0) + rng.random(n)).astype(np.int64)
    gained = 2 + rng.binomial(trials, 0.5)
    chromosomes = np.maximum(1, np.where(mean_c > 2, gained, whole) + shift * (shift < 2))
    chromosomes = np.where(shift == 2, 2 * chromosomes, chromosomes)  # G2: everything twice
    with_chromosome = chromosomes * mean_h / mean_c
    linked = np.floor(with_chromosome + rng.random(n)).astype(np.int64)
    size = reference("copies_dispersion")
    free = rng.poisson(rng.gamma(size, np.maximum(mean_h, 1e-9) / size))
    return np.where(mean_h >= 2 * mean_c, free, linked), chromosomes


def bulk(tumour: Tumour, *, dissected: bool = False) -> float:
    """Copies sequencing reports; `dissected` takes the most amplified clone alone (macrodissection)."""
    if not dissected:
        return tumour.bulk_copies
    best = max(clone.her2_copies for clone in tumour.clones)
    return tumour.purity * best + (1 - tumour.purity) * 2
