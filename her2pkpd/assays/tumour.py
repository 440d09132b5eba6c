"""A tumour as its assays see it: clones with gene copies, receptors and p95HER2, one biology for all read-outs.

From gene to receptor: median receptors per cell R = R2*(CN/2)^beta, times a log-normal scatter between tumours. R2
and beta follow from two numbers, receptors of a diploid and of a 20-copy cell (`reference.toml`); beta is 1.6, more
than proportional. Everything downstream (staining, signals, bulk copies, receptors a drug can bind) is computed from
the same clones, so that discordance between assays is a result and not an input.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from her2pkpd.assays.reference import reference
from her2pkpd.errors import Problems


def median_receptors(her2_copies: np.ndarray | float) -> np.ndarray | float:
    """Median HER2 molecules per cell of a tumour with these gene copies; vectorised."""
    low, high = reference("receptors_diploid"), reference("receptors_amplified")
    beta = math.log(high / low) / math.log(20 / 2)
    return low * (np.asarray(her2_copies) / 2) ** beta


@dataclass(frozen=True)
class Clone:
    """Tumour cells alike but for chance.

    Attributes:
        fraction: of the tumour cells, 0 to 1.
        her2_copies: mean ERBB2 copies per cell.
        cep17_copies: mean chromosome 17 centromeres per cell.
        receptors: median HER2 molecules per cell on the membrane, truncated ones included.
        spread: SD of ln(receptors) between cells.
        p95: fraction of HER2 without extracellular domain, 0 to 1.
    """

    fraction: float
    her2_copies: float = 2.0
    cep17_copies: float = 2.0
    receptors: float = field(default_factory=lambda: reference("receptors_diploid"))
    spread: float = field(default_factory=lambda: reference("receptor_spread"))
    p95: float = 0.0


@dataclass(frozen=True)
class Tumour:
    """A tumour.

    Attributes:
        clones: one or more, fractions adding up to 1.
        purity: fraction of tumour cells in tissue taken for sequencing.
        icc: how alike neighbours are, 0 (mosaic) to 1 (fully focal).
    """

    clones: tuple[Clone, ...]
    purity: float = 0.6
    icc: float = 0.0

    def __post_init__(self) -> None:
        problems = Problems("tumour")
        if abs(sum(c.fraction for c in self.clones) - 1) > 1e-9 or any(c.fraction < 0 for c in self.clones):
            fractions = [c.fraction for c in self.clones]
            problems.add("fractions of clones must add up to 1", "Correct them.", column="fraction", value=fractions)
        for name, low, high in (("p95", 0, 1), ("her2_copies", 0, math.inf), ("cep17_copies", 0, math.inf)):
            for clone in self.clones:
                value = getattr(clone, name)
                if not low <= value <= high:
                    problems.add(f"{name} must lie in its range", "Correct it.", column=name, value=value)
        for name in ("purity", "icc"):
            if not 0 <= getattr(self, name) <= 1:
                rule = f"{name} must lie between 0 and 1"
                problems.add(rule, "Correct it.", column=name, value=getattr(self, name))
        problems.raise_any()

    @property
    def her2_copies(self) -> float:
        """Mean copies per tumour cell: what hybridisation counts in a complete section."""
        return sum(c.fraction * c.her2_copies for c in self.clones)

    @property
    def bulk_copies(self) -> float:
        """CN_obs of the tissue sequenced, p*mean + (1 - p)*2."""
        return self.purity * self.her2_copies + (1 - self.purity) * 2

    def populations(self, bins: int = 3) -> pd.DataFrame:
        """Cell populations for a mechanistic model: each clone cut into cells of equal number by receptors.

        Args:
            bins: parts of each clone.

        Returns:
            One row a population: ``clone, population, fraction`` (of tumour cells), ``HER2`` (copies/cell that carry
            the extracellular domain: what antibodies and conjugates bind), ``p95`` (copies/cell without it; kinase
            inhibitors reach both). The mean over populations is the clone's log-normal mean, exactly.
        """
        from scipy import stats

        edges = stats.norm.ppf(np.linspace(0, 1, bins + 1))
        rows = []
        for k, clone in enumerate(self.clones):
            share = np.diff(stats.norm.cdf(edges - clone.spread))  # partial means of a log-normal
            means = clone.receptors * math.exp(clone.spread**2 / 2) * share * bins
            for j, mean in enumerate(means):
                full, cut = mean * (1 - clone.p95), mean * clone.p95
                rows.append((k, j, clone.fraction / bins, full, cut))
        return pd.DataFrame(rows, columns=["clone", "population", "fraction", "HER2", "p95"])


def typical(
    ihc: str = "0",
    *,
    amplified: bool = False,
    fraction: float = 1.0,
    p95: float = 0.0,
    icc: float = 0.0,
    purity: float = 0.6,
    copies: float = 20.0,
) -> Tumour:
    """The typical tumour of an assay state: what a pathology report tells a model.

    Args:
        ihc: score of the clone described.
        amplified: whether hybridisation is positive.
        fraction: of tumour cells in that clone; the rest has two copies and the receptors of IHC 0.
        p95: fraction of HER2 that is truncated.
        icc: of the clone in space.
        purity: of sequenced tissue.
        copies: ERBB2 copies of an amplified clone.

    Returns:
        The tumour. Receptors are those of the score, so gene and protein may disagree here as they do in reports.
    """
    base = reference("ihc_0")
    clone = Clone(fraction, copies if amplified else 2.0, 2.0, reference(f"ihc_{ihc}"), p95=p95)
    rest: Sequence[Clone] = () if fraction >= 1 else (Clone(1 - fraction, receptors=base),)
    return Tumour((clone, *rest), purity, icc)
