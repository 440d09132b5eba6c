"""Why there is much HER2: more gene copies, or more transcription of two."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

NEIGHBOURS = ("GRB7", "STARD3")
"""Genes of the same amplicon; they rise together with ERBB2 when the gene is amplified, and not otherwise."""

_RAISED = 1.0
"""log2: twice the reference, for RNA that counts as raised."""
_DIPLOID = 3.0
"""Copies per tumour cell below which DNA counts as not gained."""
_AMPLIFIED = 4.0
"""Copies per tumour cell from which DNA counts as gained, as in hybridisation."""


@dataclass(frozen=True)
class Origin:
    """Verdict on the origin of HER2 overexpression.

    Attributes:
        call: "amplification", "transcriptional up-regulation", "not overexpressed" or "unclear".
        reason: why, in words.
    """

    call: str
    reason: str


def overexpression_origin(cn_tumour: float, rna: Mapping[str, float]) -> Origin:
    """Tell gene amplification from transcriptional up-regulation.

    Args:
        cn_tumour: ERBB2 copies per tumour cell, corrected for purity.
        rna: expression over a diploid reference (a ratio, not a logarithm) of ERBB2 and at least one of GRB7, STARD3.

    Returns:
        The verdict. Amplification has many copies and raised neighbours; a regulatory change has about two copies
        and ERBB2 alone raised.

    Raises:
        ValueError: if ERBB2 or both neighbours are missing, or a ratio is not positive.
    """
    near = {gene: rna[gene] for gene in NEIGHBOURS if gene in rna}
    if "ERBB2" not in rna or not near or any(not value > 0 for value in rna.values()):
        raise ValueError("RNA ratios above zero of ERBB2 and of GRB7 or STARD3 are needed")
    own = math.log2(rna["ERBB2"]) >= _RAISED
    raised = [gene for gene, value in near.items() if math.log2(value) >= _RAISED]
    what = f"{cn_tumour:.3g} ERBB2 copies per tumour cell, ERBB2 RNA {rna['ERBB2']:.3g}-fold, " + ", ".join(
        f"{gene} {value:.3g}-fold" for gene, value in near.items()
    )
    if not own:
        return Origin("not overexpressed", what)
    if cn_tumour >= _AMPLIFIED and raised:
        return Origin("amplification", f"{what}: copies are gained and neighbours rise with ERBB2")
    if cn_tumour < _DIPLOID and not raised:
        return Origin("transcriptional up-regulation", f"{what}: two copies, and ERBB2 rises alone")
    return Origin("unclear", f"{what}: DNA and neighbours disagree; check purity and repeat")
