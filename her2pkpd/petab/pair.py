"""A treated well and its untreated twin as one model, for formats in which one reading is made of one simulation."""

from collections.abc import Callable
from typing import Any

from her2pkpd.model import Model
from her2pkpd.model.spec import Compartment, Quantity, Reaction, Scope, Species

TWIN = "untreated."


class _Twin:
    """A scope in which every name means that of the untreated well."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def __getitem__(self, name: str) -> Any:
        return self._scope[TWIN + name]


def _moved(expression: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda s, p: expression(_Twin(s), p)


def paired(model: Model) -> Model:
    """Both wells side by side, with the same parameters; names of the untreated one begin with ``untreated.``."""

    def name(own: str | None) -> str | None:
        return None if own is None else TWIN + own

    compartments = [Compartment(TWIN + c.name, _moved(c.volume), name(c.count)) for c in model.compartments]
    species = [Species(TWIN + x.name, name(x.compartment), x.unit, x.initial, x.scale) for x in model.species]
    reactions = [
        Reaction(
            f"{r.name} (untreated)",
            {TWIN + n: k for n, k in r.stoichiometry.items()},
            _moved(r.rate),
            name(r.at),
            r.kind,
            r.equation,
        )
        for r in model.reactions
    ]
    quantities = [Quantity(TWIN + q.name, _moved(q.expression), q.unit, q.description) for q in model.quantities]
    return Model(
        f"{model.name} and its control",
        (*model.compartments, *compartments),
        (*model.species, *species),
        model.parameters,
        (*model.reactions, *reactions),
        (*model.quantities, *quantities),
    )
