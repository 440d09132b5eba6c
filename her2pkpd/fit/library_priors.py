"""Priors from the library: what is published about a number, and how far it may be off."""

from collections.abc import Sequence

from her2pkpd.fit.design import POPULATION
from her2pkpd.library import Drug, Quantity, load_parameters


def known_quantities(drugs: Sequence[Drug]) -> dict[str, Quantity]:
    """Every number of a well that the library holds for all cell lines, by model parameter.

    Args:
        drugs: the drugs of the well.
    """
    shared = {
        f"{POPULATION}.{name.removeprefix('cell.')}" if name.startswith("cell.") else name: q
        for name, q in load_parameters().items()
    }
    binding = {f"{d.name}.{name}": q for d in drugs for name, q in d.binding.items() if isinstance(q, Quantity)}
    return shared | binding
