"""What the reader does not take, found before anything is built, each by its name in the file."""

from collections.abc import Iterator
from typing import Any

from her2pkpd.errors import Problems

_REMEDY = "Remove it from a copy of the file, or simulate the model with a tool that has it, such as libRoadRunner."


def refuse_unsupported(document: Any, model: Any, problems: Problems) -> None:
    """Record every construct this reader does not translate."""
    for what, name in [*_packages(document), *_parts(model), *_reactions(model), *_missing(model)]:
        problems.add(f"{what} is not supported", _REMEDY, column=name)


def _packages(document: Any) -> Iterator[tuple[str, str]]:
    if document.getLevel() < 3:  # what looks like a package there is an annotation
        return
    for i in range(document.getNumPlugins()):
        plugin = document.getPlugin(i)
        name = plugin.getPackageName()
        # Level 3 Version 2 counts its own max, min and the like as a package.
        if name != "l3v2extendedmath" and document.getPackageRequired(name):
            yield f"the SBML package '{name}'", name


def _parts(model: Any) -> Iterator[tuple[str, str]]:
    for event in model.getListOfEvents():
        yield "an event", event.getId() or "event"
    for i, _ in enumerate(model.getListOfConstraints(), start=1):
        yield "a constraint", f"constraint {i}"
    for i, rule in enumerate(model.getListOfRules(), start=1):
        if rule.isAlgebraic():
            yield "an algebraic rule", f"rule {i}"
        elif model.getCompartment(rule.getVariable()) is not None:
            yield "a compartment whose size changes", rule.getVariable()
    if model.isSetConversionFactor():
        yield "a conversion factor", model.getId()
    for species in model.getListOfSpecies():
        if species.isSetConversionFactor():
            yield "a conversion factor", species.getId()


def _reactions(model: Any) -> Iterator[tuple[str, str]]:
    for reaction in model.getListOfReactions():
        name = reaction.getId()
        if reaction.isSetFast() and reaction.getFast():
            yield "a fast reaction", name
        if not reaction.isSetKineticLaw() or reaction.getKineticLaw().getMath() is None:
            yield "a reaction without a kinetic law", name
        for reference in [*reaction.getListOfReactants(), *reaction.getListOfProducts()]:
            variable = reference.isSetStoichiometryMath() or model.getRule(reference.getId() or "") is not None
            if variable or model.getInitialAssignment(reference.getId() or "") is not None:
                yield f"a stoichiometry that is a formula (of {reference.getSpecies()})", name


def _missing(model: Any) -> Iterator[tuple[str, str]]:
    def given(item: Any, has: bool) -> bool:
        name = item.getId()
        return has or model.getRule(name) is not None or model.getInitialAssignment(name) is not None

    for compartment in model.getListOfCompartments():
        if compartment.getSpatialDimensions() and not given(compartment, compartment.isSetSize()):
            yield "a compartment without a size", compartment.getId()
    for species in model.getListOfSpecies():
        if not given(species, species.isSetInitialAmount() or species.isSetInitialConcentration()):
            yield "a species without an initial value", species.getId()
    for parameter in model.getListOfParameters():
        if not given(parameter, parameter.isSetValue()):
            yield "a parameter without a value", parameter.getId()
