"""The words a model is written in: compartments, species, parameters, reactions, quantities."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from her2pkpd.sources import Source


class Scope(Protocol):
    """Values by name inside a rate: ``s["HER2"]`` for species and quantities, ``p["kint"]`` for parameters."""

    def __getitem__(self, name: str) -> Any: ...


Expression = Callable[[Scope, Scope], Any]
"""A JAX scalar expression of species, quantities and parameters."""

Coefficient = float | str
"""A stoichiometric number, or the name of the parameter that holds it (DAR, say)."""


@dataclass(frozen=True)
class Compartment:
    """A well-mixed volume.

    Attributes:
        name: its name.
        volume: L, as an expression; cells of one population together have volume N * Vc.
        count: species that counts the cells the compartment consists of, if it grows and dies with them.
    """

    name: str
    volume: Expression
    count: str | None = None


@dataclass(frozen=True)
class Species:
    """A state variable.

    Attributes:
        name: unique name.
        compartment: where its concentration is defined; None for counts and fractions, which no volume scales.
        unit: unit of its value.
        initial: value at time zero, a number or an expression in the parameters.
        scale: a typical magnitude, from which absolute tolerances are made.
        holds: parameter whose place it takes in every rate, or "".
    """

    name: str
    compartment: str | None
    unit: str
    initial: float | Callable[[Scope], Any] = 0.0
    scale: float = 1.0
    holds: str = ""


@dataclass(frozen=True)
class Parameter:
    """A constant of the model, in canonical units.

    Attributes:
        name: unique name.
        value: default.
        unit: its (canonical) unit.
        lower: smallest meaningful value.
        upper: largest meaningful value.
        source: where the default comes from.
    """

    name: str
    value: float
    unit: str
    lower: float = 0.0
    upper: float = float("inf")
    source: Source = field(default_factory=Source)


@dataclass(frozen=True)
class Reaction:
    """A process.

    Attributes:
        name: a sentence fragment a biologist would write.
        stoichiometry: change of each species per event.
        rate: events per hour, in the unit of compartment `at`.
        at: compartment the rate refers to; a species elsewhere changes by the ratio of the two volumes.
        kind: "reaction", or "dilution" for the thinning-out that a growing compartment causes (derived, never written).
        equation: how the rate reads on paper.
    """

    name: str
    stoichiometry: Mapping[str, Coefficient]
    rate: Expression
    at: str | None
    kind: Literal["reaction", "growth", "death", "dilution"] = "reaction"
    equation: str = ""


@dataclass(frozen=True)
class Quantity:
    """A named expression: an output, or a step towards other rates (a signal, an occupancy)."""

    name: str
    expression: Expression
    unit: str
    description: str = ""
