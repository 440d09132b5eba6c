"""Writes a model as an SBML document, piece by piece."""

import re
from typing import Any

import numpy as np

from her2pkpd.errors import ComputationError
from her2pkpd.export._formula import Formulas, number
from her2pkpd.export._identifiers import UNIT_COMPARTMENT, identifier, identifiers
from her2pkpd.model.model import Model
from her2pkpd.model.spec import Reaction
from her2pkpd.model.trace import trace


class Writer:
    """Builds one document."""

    def __init__(self, libsbml: Any, model: Model, parameters: np.ndarray | None, initial: np.ndarray | None) -> None:
        self.lib, self.model, self.initial = libsbml, model, initial
        self.values = model.default_parameters() if parameters is None else np.asarray(parameters, dtype=float)
        self.ids = identifiers(model)
        self.taken = {UNIT_COMPARTMENT, *(i for kind in self.ids.values() for i in kind.values())}
        n, names = model.n_species, [c.name for c in model.compartments]
        species, constants = list(self.ids["species"].values()), list(self.ids["parameter"].values())

        def everything(*x: Any) -> list[Any]:
            s, p = model.scopes(x[:n], x[n:])
            volumes = [c.volume(s, p) for c in model.compartments]
            return [*model.rate_scalars(x[:n], x[n:]), *volumes, *(s[q.name] for q in model.quantities)]

        tape = trace(lambda *x: [1.0 * v for v in everything(*x)], n + model.n_parameters)
        needs = tape.dependencies()[len(model.reactions) : len(model.reactions) + len(names)]
        self.fixed = {name for name, used in zip(names, needs, strict=True) if all(i >= n for i in used)}
        first = len(model.reactions) + len(names)
        quantities = {first + i: self.ids["quantity"][q.name] for i, q in enumerate(model.quantities)}
        self.formulas = Formulas(tape, [*species, *constants], quantities, self.taken)
        self.volume = {name: self.formulas.output(len(model.reactions) + i) for i, name in enumerate(names)}
        start = trace(lambda *p: [1.0 * v for v in model.initial_scalars(p)], model.n_parameters)
        self.start = Formulas(start, constants)

    def document(self) -> Any:
        """The document without dosing."""
        document = self.lib.SBMLDocument(3, 2)
        self.out = document.createModel()
        self.out.setId(identifier(self.model.name, self.taken))
        self.out.setName(self.model.name)
        self._units()
        self._compartments()
        self._species()
        self._parameters()
        for i, reaction in enumerate(self.model.reactions):
            self._reaction(reaction, self.formulas.output(i))
        return document

    def math(self, formula: str) -> Any:
        """A formula as libSBML's tree."""
        tree = self.lib.parseL3Formula(formula)
        if tree is None:
            raise ComputationError(f"a formula could not be written as SBML: {self.lib.getLastParseL3Error()}")
        return tree

    def _units(self) -> None:
        for name, base, scale, multiplier in (
            ("hour", self.lib.UNIT_KIND_SECOND, 0, 3600.0), ("nmol", self.lib.UNIT_KIND_MOLE, -9, 1.0)
        ):  # fmt: skip
            definition = self.out.createUnitDefinition()
            definition.setId(name)
            unit = definition.createUnit()
            unit.setKind(base)
            unit.setExponent(1)
            unit.setScale(scale)
            unit.setMultiplier(multiplier)
            self.taken.add(name)
        self.out.setTimeUnits("hour")
        self.out.setSubstanceUnits("nmol")
        self.out.setExtentUnits("nmol")
        self.out.setVolumeUnits("litre")

    def _compartments(self) -> None:
        self._compartment(UNIT_COMPARTMENT, "counts, fractions, and species in volumes that vary", "1.0")
        for name in self.fixed:
            self._compartment(self.ids["compartment"][name], name, self.volume[name])

    def _compartment(self, compartment_id: str, name: str, size: str) -> None:
        made = self.out.createCompartment()
        made.setId(compartment_id)
        made.setName(name)
        made.setSpatialDimensions(3)
        made.setConstant(True)
        self._value(compartment_id, size, made.setSize)

    def _value(self, symbol: str, formula: str, put: Any) -> None:
        """A number as the attribute it is, anything else as an initial assignment."""
        try:
            put(float(formula.strip("()")))
        except ValueError:
            assignment = self.out.createInitialAssignment()
            assignment.setSymbol(symbol)
            assignment.setMath(self.math(formula))

    def _species(self) -> None:
        for i, species in enumerate(self.model.species):
            made = self.out.createSpecies()
            species_id = self.ids["species"][species.name]
            home = species.compartment if species.compartment in self.fixed else None
            real = home is not None
            made.setId(species_id)
            made.setName(species.name)
            made.setCompartment(UNIT_COMPARTMENT if home is None else self.ids["compartment"][home])
            made.setHasOnlySubstanceUnits(not real)
            made.setBoundaryCondition(False)
            made.setConstant(False)
            self._value(
                species_id, self.initial_formula(i), made.setInitialConcentration if real else made.setInitialAmount
            )

    def initial_formula(self, i: int) -> str:
        """Initial value of a species as a formula."""
        return self.start.output(i) if self.initial is None else number(float(self.initial[i]))

    def _parameters(self) -> None:
        for parameter, value in zip(self.model.parameters, self.values, strict=True):
            self.parameter(self.ids["parameter"][parameter.name], parameter.name, float(value))
        varying = [(self.ids["compartment"][c], self.volume[c], c) for c in self.volume if c not in self.fixed]
        named = {self.ids["quantity"][q.name]: q.name for q in self.model.quantities}
        for variable, formula, name in [*((i, f, named.get(i, i)) for i, f in self.formulas.rules), *varying]:
            self.parameter(variable, name, None)
            rule = self.out.createAssignmentRule()
            rule.setVariable(variable)
            rule.setMath(self.math(formula))

    def parameter(self, name_id: str, name: str, value: float | None, *, constant: bool = True) -> None:
        """A parameter; one without value is set by a rule."""
        made = self.out.createParameter()
        made.setId(name_id)
        made.setName(name)
        made.setConstant(constant and value is not None)
        if value is not None:
            made.setValue(value)

    def _factor(self, reaction: Reaction, species: str) -> str:
        """What turns a reaction's rate into the change of a species' amount, as SBML counts it."""
        home, at = self.model.species[self.model.species_index[species]].compartment, reaction.at
        if home in self.fixed:
            return self.ids["compartment"][home if at is None else at]
        if home is None or at is None or home == at:
            return ""
        return f"{self.ids['compartment'][at]} / {self.ids['compartment'][home]}"

    def _reaction(self, reaction: Reaction, rate: str) -> None:
        groups: dict[tuple[str, str], dict[str, float]] = {}
        for species, coefficient in reaction.stoichiometry.items():
            by_name, size = "", coefficient
            if isinstance(coefficient, str):
                by_name = self.ids["parameter"][coefficient.lstrip("-")]
                size = -1.0 if coefficient.startswith("-") else 1.0
            groups.setdefault((self._factor(reaction, species), by_name), {})[species] = float(size)
        for number_, ((factor, by_name), change) in enumerate(groups.items(), start=1):
            part = f" (part {number_})" if len(groups) > 1 else ""
            law = " * ".join(x for x in (rate, factor, by_name) if x)
            changed = {self.ids["species"][species]: size for species, size in change.items()}
            self.add_reaction(reaction.name + part, changed, law)

    def add_reaction(self, name: str, change: dict[str, float], law: str) -> None:
        """A reaction that changes species (by identifier) at the rate `law`."""
        made = self.out.createReaction()
        made.setId(identifier(name, self.taken))
        made.setName(name)
        made.setReversible(True)
        tree = self.math(law)
        for species_id, size in change.items():
            side = made.createReactant() if size < 0 else made.createProduct()
            side.setSpecies(species_id)
            side.setStoichiometry(abs(size))
            side.setConstant(True)
        for species_id in self.ids["species"].values():
            if species_id not in change and _mentions(law, species_id):
                made.createModifier().setSpecies(species_id)
        made.createKineticLaw().setMath(tree)


def _mentions(formula: str, identifier: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(identifier)}(?!\w)", formula) is not None
