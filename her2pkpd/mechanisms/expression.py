"""From gene copies to receptors: n copies, each transcribed at k_tx, make mRNA, and mRNA makes HER2.

Amplification raises n, and with it the neighbours on 17q12, GRB7 and STARD3; a super-enhancer raises the k_tx of
ERBB2 alone from two copies. Both can make the same HER2, and the neighbours tell them apart.

mRNA is relative to a cell with two copies and normal k_tx:  dm/dt = kdeg_mRNA*(n/2*k_tx - m).
"""

from typing import Any

from her2pkpd.model import Builder, Scope

NEIGHBOURS = ("GRB7", "STARD3")


def mrna(gene: str, population: str) -> str:
    """Name of the species mRNA of a gene, relative to a normal cell."""
    return f"mRNA.{gene}.{population}"


def her2_expression(build: Builder, population: str) -> None:
    """mRNA of ERBB2, GRB7 and STARD3.

    Args:
        build: the model; must hold ``kdeg_mRNA`` (1/h), ``<population>.gene_copies`` and ``<population>.k_tx``
            (transcription per ERBB2 copy, relative to normal).
        population: name of the population.
    """
    for gene in ("ERBB2", *NEIGHBOURS):

        def steady(p: Scope, own: bool = gene == "ERBB2") -> Any:
            return p[f"{population}.gene_copies"] / 2.0 * (p[f"{population}.k_tx"] if own else 1.0)

        name = mrna(gene, population)
        build.species(name, None, "relative to normal", initial=steady)
        build.reaction(
            f"transcription and decay of {gene} in {population}",
            {name: 1},
            lambda s, p, name=name, steady=steady: p["kdeg_mRNA"] * (steady(p) - s[name]),
            equation="kdeg_mRNA*(n/2*k_tx - m)",
        )
