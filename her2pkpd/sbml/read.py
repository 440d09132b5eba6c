"""SBML in: a file becomes a `Model` that every engine runs.

Amounts are what SBML's reactions change, concentrations what most of its formulas speak of; a reaction of the built
model therefore takes place in a compartment of volume one, and the model layer turns the change of an amount into
that of a concentration. Time is converted to hours; concentrations, amounts and volumes keep the file's numbers.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from her2pkpd.errors import InputError, Problem, Problems
from her2pkpd.model import Builder, Expression, Model, Scope, Source
from her2pkpd.sbml.formulas import TIME, Formula, Lookup, UnsupportedMathError, formula, symbols
from her2pkpd.sbml.refusals import refuse_unsupported

AMOUNTS = "amounts"
"""Compartment of volume one in which the reactions take place."""

SECONDS_PER_HOUR = 3600.0


def read_sbml(path: str | Path) -> Model:
    """Read an SBML file (Level 2 or 3).

    Args:
        path: the file.

    Returns:
        The `Model`, named after the file's. Its time is in hours. Species keep their identifiers and their unit in
        formulas (concentration, or amount where the file says so). What the file holds constant is a parameter:
        global constants and species under their identifiers, a reaction's own as ``<reaction>.<identifier>``,
        compartment sizes, and the initial value of a species as ``<species>.initial``. Variables with an assignment
        rule are quantities. A file whose formulas mention time gets a species ``time``, in the file's unit.

    Raises:
        InputError: if the file cannot be read, or naming everything in it that is not supported: events, delays,
            constraints, fast reactions, algebraic rules, compartments that change size, conversion factors, computed
            stoichiometries, functions without a counterpart, missing values, packages that change the meaning.
    """
    import libsbml

    path = Path(path)
    if not path.is_file():
        raise InputError(Problem("no such file", "Check the path.", file=str(path)))
    document = libsbml.readSBMLFromFile(str(path))
    problems = Problems(str(path))
    for i in range(document.getNumErrors()):
        error = document.getError(i)
        if error.getSeverity() >= libsbml.LIBSBML_SEV_ERROR:
            text = error.getMessage().strip().splitlines()[0].rstrip(".")
            problems.add(text, "Make the file valid SBML.", row=error.getLine())
    problems.raise_any()
    if document.getModel() is None:
        raise InputError(Problem("the file holds no model", "Give an SBML file.", file=str(path)))
    refuse_unsupported(document, document.getModel(), problems)
    problems.raise_any()
    reader = _Reader(document.getModel(), problems)
    model = reader.model()
    problems.raise_any()
    return model


class _Reader:
    """Builds the model of one file."""

    def __init__(self, sbml: Any, problems: Problems) -> None:
        self.sbml, self.problems = sbml, problems
        self.build = Builder(sbml.getName() or sbml.getId() or "SBML model")
        self.functions = {f.getId(): f.getMath() for f in sbml.getListOfFunctionDefinitions()}
        self.rules = {r.getVariable(): r for r in sbml.getListOfRules()}
        self.assigned = {a.getSymbol(): self._formula(a.getMath(), a.getSymbol()) for a in _listed(sbml)}
        self.states: set[str] = set()
        self.quantities: dict[str, Formula] = {}
        self.starts: dict[str, Formula] = {}

    def _formula(self, node: Any, owner: str) -> Formula:
        try:
            return formula(node, self.functions)
        except UnsupportedMathError as error:
            self.problems.add(f"the formula uses {error}, which is not supported", "Rewrite it.", column=owner)
            return lambda _: 0.0

    def _scale(self) -> float:
        """Units of the file's time per hour."""
        definition = self.sbml.getUnitDefinition(self.sbml.getTimeUnits() or "time")
        name = self.sbml.getTimeUnits() if self.sbml.isSetTimeUnits() else "second"
        if definition is None:
            if name not in ("second", "dimensionless"):
                self.problems.add("the unit of time is not known", "Define it in the file.", column=name)
            return SECONDS_PER_HOUR
        unit = definition.getUnit(0)
        if definition.getNumUnits() != 1 or not unit.isSecond():
            self.problems.add("time must be in multiples of a second", "Define it so.", column=definition.getId())
            return SECONDS_PER_HOUR
        return SECONDS_PER_HOUR / (unit.getMultiplier() * 10.0 ** unit.getScale())

    def model(self) -> Model:
        """The whole model."""
        per_hour = self._scale()
        self.build.compartment(AMOUNTS, lambda s, p: 1.0)
        self._compartments()
        self._clock(per_hour)
        for species in self.sbml.getListOfSpecies():
            self._species(species)
        for parameter in self.sbml.getListOfParameters():
            self._parameter(parameter)
        self._assignment_rules()
        self._rate_rules(per_hour)
        for reaction in self.sbml.getListOfReactions():
            self._reaction(reaction, per_hour)
        return self.build.model()

    def _compartments(self) -> None:
        for compartment in self.sbml.getListOfCompartments():
            name = compartment.getId()
            size = compartment.getSize() if compartment.isSetSize() else 1.0
            self._constant(name, size, "volume as in the file")
            self.build.compartment(name, lambda s, p, name=name: s[name] if self._is_quantity(name) else p[name])

    def _is_quantity(self, name: str) -> bool:
        return self.build.has(name)

    def _clock(self, per_hour: float) -> None:
        if not any(TIME in symbols(node) for node in _formulas(self.sbml)):
            return
        self.build.species(TIME, None, "time as in the file")
        self.build.reaction("time passes", {TIME: 1}, lambda s, p: per_hour)
        self.states.add(TIME)

    def _species(self, species: Any) -> None:
        name, home = species.getId(), species.getCompartment()
        size = self.sbml.getCompartment(home)
        amount = species.getHasOnlySubstanceUnits() or size.getSpatialDimensions() == 0
        rule = self.rules.get(name)
        if rule is not None and rule.isAssignment():
            return
        value, unit = _initial_value(species, size, amount), "amount" if amount else "concentration"
        held = rule is None and (species.getBoundaryCondition() or species.getConstant())
        if held:
            self._constant(name, value, unit)
            return
        start = f"{name}.initial"
        if name in self.assigned:
            self.starts[name] = self.assigned[name]
        else:
            self.build.parameter(start, value, unit, source=Source("the SBML file", "published"))
            self.starts[name] = lambda look: look(start)
        self.states.add(name)
        first = self.starts[name]
        self.build.species(
            name,
            None if amount else home,
            unit,
            initial=lambda p: first(self._at_start(p)),
            scale=max(abs(value), 1e-3),
        )

    def _constant(self, name: str, value: float, unit: str) -> None:
        """A parameter, or a quantity of parameters where the file computes its value."""
        if name in self.assigned:
            given = self.assigned[name]
            self.build.quantity(name, lambda s, p: given(self._at_start(p)), unit, "computed at the start")
        else:
            lower = float("-inf") if value < 0 else 0.0
            self.build.parameter(name, value, unit, lower=lower, source=Source("the SBML file", "published"))

    def _parameter(self, parameter: Any) -> None:
        name, rule = parameter.getId(), self.rules.get(parameter.getId())
        unit = parameter.getUnits() or "1"
        if rule is None:
            self._constant(name, parameter.getValue(), unit)
        elif rule.isRate():
            self.build.parameter(f"{name}.initial", parameter.getValue(), unit, lower=float("-inf"))
            self.build.species(name, None, unit, initial=lambda p: p[f"{name}.initial"])
            self.starts[name] = lambda look: look(f"{name}.initial")
            self.states.add(name)

    def _assignment_rules(self) -> None:
        for name, rule in self.rules.items():
            if rule.isAssignment():
                self.quantities[name] = self._formula(rule.getMath(), name)
                self.build.quantity(name, self._expression(self.quantities[name]), "as in the file", rule.getName())

    def _rate_rules(self, per_hour: float) -> None:
        for name, rule in self.rules.items():
            if rule.isRate():
                rate = self._expression(self._formula(rule.getMath(), name))
                self.build.reaction(f"rate of {name}", {name: 1}, _scaled(rate, per_hour))

    def _reaction(self, reaction: Any, per_hour: float) -> None:
        law, name = reaction.getKineticLaw(), reaction.getId()
        own = {}
        for parameter in [*law.getListOfParameters(), *law.getListOfLocalParameters()]:
            own[parameter.getId()] = f"{name}.{parameter.getId()}"
            value = parameter.getValue()
            lower = float("-inf") if value < 0 else 0.0
            unit = parameter.getUnits() or "1"
            self.build.parameter(f"{name}.{parameter.getId()}", value, unit, lower=lower)
        change: dict[str, float] = {}
        for sign, references in ((-1.0, reaction.getListOfReactants()), (1.0, reaction.getListOfProducts())):
            for reference in references:
                species = reference.getSpecies()
                if species in self.states and not self.sbml.getSpecies(species).getBoundaryCondition():
                    coefficient = reference.getStoichiometry() if reference.isSetStoichiometry() else 1.0
                    change[species] = change.get(species, 0.0) + sign * coefficient
        change = {species: coefficient for species, coefficient in change.items() if coefficient}
        if not change:
            return
        rate = self._expression(self._formula(law.getMath(), name), own)
        self.build.reaction(reaction.getName() or name, change, _scaled(rate, per_hour), at=AMOUNTS)

    def _expression(self, given: Formula, own: Mapping[str, str] | None = None) -> Expression:
        names = own or {}
        return lambda s, p: given(lambda x: p[names[x]] if x in names else s[x] if self._varies(x) else p[x])

    def _varies(self, name: str) -> bool:
        return name in self.states or self.build.has(name)

    def _at_start(self, p: Scope) -> Lookup:
        """Values at time zero, for initial assignments."""

        def look(name: str) -> Any:
            if name == TIME:
                return 0.0
            for known in (self.starts, self.assigned, self.quantities):
                if name in known:
                    return known[name](look)
            return p[name]

        return look


def _scaled(rate: Expression, per_hour: float) -> Expression:
    return lambda s, p: per_hour * rate(s, p)


def _listed(sbml: Any) -> list[Any]:
    return list(sbml.getListOfInitialAssignments())


def _formulas(sbml: Any) -> list[Any]:
    """Every formula that matters after the start."""
    found = [r.getMath() for r in sbml.getListOfRules()] + [
        r.getKineticLaw().getMath() for r in sbml.getListOfReactions()
    ]
    return found + [f.getMath() for f in sbml.getListOfFunctionDefinitions()]


def _initial_value(species: Any, compartment: Any, amount: bool) -> float:
    size = compartment.getSize() if compartment.isSetSize() else 1.0
    if species.isSetInitialAmount():
        return species.getInitialAmount() if amount else species.getInitialAmount() / size
    if species.isSetInitialConcentration():
        return species.getInitialConcentration() * size if amount else species.getInitialConcentration()
    return 0.0
