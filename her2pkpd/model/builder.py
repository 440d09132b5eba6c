"""How a model is written: mechanisms add species, parameters and reactions to a `Builder`."""

from collections.abc import Callable, Mapping
from typing import Any

from her2pkpd.model.model import Model
from her2pkpd.model.spec import (
    Coefficient,
    Compartment,
    Expression,
    Parameter,
    Quantity,
    Reaction,
    Scope,
    Source,
    Species,
)


class ModelError(ValueError):
    """A mechanism describes something inconsistent (a programming error, not a user's)."""


class Builder:
    """Collects the parts of a model; `model` checks them and makes it immutable.

    Args:
        name: name of the model.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._compartments: dict[str, Compartment] = {}
        self._species: dict[str, Species] = {}
        self._parameters: dict[str, Parameter] = {}
        self._reactions: list[Reaction] = []
        self._quantities: dict[str, Quantity] = {}
        self._dilutions: list[tuple[str, Expression, str]] = []
        self._expansions: list[tuple[str, Expression]] = []

    def compartment(self, name: str, volume: Expression, *, count: str | None = None) -> str:
        """Add a compartment; `volume` in L. With `count`, it consists of that many cells."""
        self._add(self._compartments, Compartment(name, volume, count))
        return name

    def species(
        self,
        name: str,
        compartment: str | None,
        unit: str = "nM",
        *,
        initial: float | Callable[[Scope], Any] = 0.0,
        scale: float = 1.0,
    ) -> str:
        """Add a species; see `Species`. Returns its name."""
        self._add(self._species, Species(name, compartment, unit, initial, scale))
        return name

    def parameter(
        self,
        name: str,
        value: float,
        unit: str,
        *,
        lower: float = 0.0,
        upper: float = float("inf"),
        source: Source | None = None,
    ) -> str:
        """Add a parameter in canonical units; adding the same parameter again is harmless, another value is not."""
        new = Parameter(name, float(value), unit, lower, upper, source or Source())
        if self._parameters.get(name, new) != new:
            raise ModelError(f"parameter '{name}' is given twice with different values")
        self._parameters[name] = new
        return name

    def held(self, name: str) -> None:
        """Let a parameter change on the way: a state of its name, without dynamics, takes its place in every rate.

        It starts at the parameter's value; a dosing record (`her2pkpd.dosing.records.Hold`) gives it another.

        Raises:
            ModelError: for a parameter the model does not have.
        """
        if name not in self._parameters:
            raise ModelError(f"'{name}' is to vary in time and is no parameter of the model")
        own = self._parameters[name]
        held = Species(name, None, own.unit, lambda p: p[name], abs(own.value) or 1.0, name)
        self._add(self._species, held)

    def reaction(
        self,
        name: str,
        stoichiometry: Mapping[str, Coefficient],
        rate: Expression,
        *,
        at: str | None = None,
        equation: str = "",
    ) -> None:
        """Add a reaction. `at` may be left out when all its species share one compartment."""
        homes = {self._species[s].compartment for s in stoichiometry if s in self._species}
        if at is None and len(homes) == 1:
            at = homes.pop()
        elif at is None:
            raise ModelError(
                f"reaction '{name}' spans {sorted(map(str, homes))}: say which compartment its rate refers to with at="
            )
        self._reactions.append(Reaction(name, dict(stoichiometry), rate, at, "reaction", equation))

    def growth(self, count: str, rate: Expression, *, name: str = "", equation: str = "") -> None:
        """Cells divide at `rate` per cell and hour; everything inside them is diluted accordingly (added for you)."""
        self._per_cell(count, +1.0, rate, "growth", name or f"{count} division", equation)

    def death(self, count: str, rate: Expression, *, name: str = "", equation: str = "") -> None:
        """Cells leave at `rate` per cell and hour, taking along what they hold; concentrations inside stay."""
        self._per_cell(count, -1.0, rate, "death", name or f"{count} death", equation)

    def expansion(self, compartment: str, rate: Expression) -> None:
        """What a compartment holds is thinned at `rate` (1/h), because its volume grows by empty space at that rate."""
        self._expansions.append((compartment, rate))

    def _per_cell(self, count: str, sign: float, rate: Expression, kind: Any, name: str, equation: str) -> None:
        whole = lambda s, p: rate(s, p) * s[count]  # noqa: E731
        self._reactions.append(Reaction(name, {count: sign}, whole, None, kind, equation))
        if kind != "growth":
            return
        self._dilutions.append((count, rate, name))

    def quantity(self, name: str, expression: Expression, unit: str, description: str = "") -> str:
        """Add a named expression; it may be used in rates and asked for as output."""
        self._add(self._quantities, Quantity(name, expression, unit, description))
        return name

    def has(self, name: str) -> bool:
        """Whether a species or quantity of that name exists."""
        return name in self._species or name in self._quantities

    def has_compartment(self, name: str) -> bool:
        """Whether a compartment of that name exists."""
        return name in self._compartments

    def _add(self, table: dict[str, Any], item: Any) -> None:
        taken = {**self._species, **self._quantities} if table is not self._compartments else self._compartments
        if item.name in taken or item.name in table:
            raise ModelError(f"'{item.name}' is defined twice")
        table[item.name] = item

    def model(self) -> Model:
        """The finished, immutable model.

        Raises:
            ModelError: if a reaction or compartment names something that does not exist.
        """
        self._check()
        reactions = [*self._reactions, *self._dilution_reactions()]
        return Model(
            self.name,
            tuple(self._compartments.values()),
            tuple(self._species.values()),
            tuple(self._parameters.values()),
            tuple(reactions),
            tuple(self._quantities.values()),
        )

    def _check(self) -> None:
        for species in self._species.values():
            if species.compartment is not None and species.compartment not in self._compartments:
                raise ModelError(f"species '{species.name}' lives in the unknown compartment '{species.compartment}'")
        for compartment in self._compartments.values():
            if compartment.count is not None and compartment.count not in self._species:
                raise ModelError(f"compartment '{compartment.name}' counts the unknown species '{compartment.count}'")
        for reaction in self._reactions:
            for species, coefficient in reaction.stoichiometry.items():
                if species not in self._species:
                    raise ModelError(f"reaction '{reaction.name}' changes the unknown species '{species}'")
                if isinstance(coefficient, str) and coefficient.lstrip("-") not in self._parameters:
                    raise ModelError(f"reaction '{reaction.name}' uses the unknown coefficient '{coefficient}'")
                if isinstance(coefficient, str) and coefficient.lstrip("-") in self._species:
                    raise ModelError(f"'{coefficient.lstrip('-')}' counts molecules and cannot vary in time")
            if reaction.at is not None and reaction.at not in self._compartments:
                raise ModelError(f"reaction '{reaction.name}' is at the unknown compartment '{reaction.at}'")

    def _dilution_reactions(self) -> list[Reaction]:
        made: list[Reaction] = []
        for count, rate, cause in self._dilutions:
            inside = {c.name for c in self._compartments.values() if c.count == count}
            made += [_dilution(s, rate, cause) for s in self._species.values() if s.compartment in inside]
        for where, rate in self._expansions:
            made += [_dilution(s, rate, where) for s in self._species.values() if s.compartment == where]
        return made


def _dilution(species: Species, rate: Expression, cause: str) -> Reaction:
    name = f"dilution of {species.name} ({cause})"
    thinning: Expression = lambda s, p: rate(s, p) * s[species.name]  # noqa: E731
    return Reaction(name, {species.name: -1.0}, thinning, species.compartment, "dilution")
