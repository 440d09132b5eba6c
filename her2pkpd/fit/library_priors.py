"""Priors from the library: what is published about a number, and how far it may be off."""

from collections.abc import Sequence

from her2pkpd.fit.design import POPULATION
from her2pkpd.library import Drug, Quantity, load_parameters
from her2pkpd.systems.well import drug_constants


def known_quantities(drugs: Sequence[Drug]) -> dict[str, Quantity]:
    """Every number of a well that the library holds for all cell lines, by model parameter.

    Args:
        drugs: the drugs of the well.
    """
    shared = {
        f"{POPULATION}.{name.removeprefix('cell.')}" if name.startswith("cell.") else name: q
        for name, q in load_parameters().items()
    }
    own = {name: q for d in drugs for name, q in drug_constants(d).items()}
    return shared | own
