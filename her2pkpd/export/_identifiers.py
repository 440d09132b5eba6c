"""SBML identifiers for the names people give."""

import re

from her2pkpd.model.model import Model

UNIT_COMPARTMENT = "unit"
"""Home of species that are plain values."""

_RESERVED = frozenset(
    "time avogadro pi exponentiale true false infinity inf nan notanumber delay rateof piecewise and or not xor exp ln"
    " log sqrt sqr pow power root abs floor ceil ceiling factorial min max rem quotient implies sin cos tan".split()
)


def identifiers(model: Model) -> dict[str, dict[str, str]]:
    """SBML identifiers by kind ("compartment", "species", "parameter", "quantity") and name."""
    taken: set[str] = {UNIT_COMPARTMENT}
    kinds = {
        "species": [s.name for s in model.species],
        "parameter": [p.name for p in model.parameters],
        "compartment": [c.name for c in model.compartments],
        "quantity": [q.name for q in model.quantities],
    }
    return {kind: {name: identifier(name, taken) for name in names} for kind, names in kinds.items()}


def identifier(name: str, taken: set[str]) -> str:
    """An identifier close to `name` that is not in `taken`; it is added there."""
    clean = re.sub(r"\W", "_", name, flags=re.ASCII)
    if not clean or clean[0].isdigit() or clean.lower() in _RESERVED:
        clean = f"_{clean}"
    wish, count = clean, 2
    while clean in taken:
        clean, count = f"{wish}_{count}", count + 1
    taken.add(clean)
    return clean
