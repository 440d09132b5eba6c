"""The ``[parameters]`` of a scenario, the same for every kind of system."""

from collections.abc import Mapping
from typing import Any

from her2pkpd.errors import InputError, Problems
from her2pkpd.library import Library
from her2pkpd.model import Model
from her2pkpd.settings import nearest
from her2pkpd.units import quantity


def overrides(
    given: Mapping[str, Any], model: Model, problems: Problems, library: Library, system: str
) -> dict[str, float]:
    """Parameters in canonical units; what is wrong with them is recorded.

    Args:
        given: text with unit, by parameter as the user wrote its name.
        model: the model whose parameters are replaced.
        problems: receives unknown names, units that do not fit and values outside the parameter's bounds.
        library: the drugs and cell lines of the scenario: their names, and molar masses for ug/mL and the like.
        system: what the messages call the model.
    """
    values: dict[str, float] = {}
    for written, text in given.items():
        name, column = library.spelt(written), f"parameters.{written}"
        index = model.parameter_index.get(name)
        if index is None:
            remedy = nearest(written, model.parameter_index)
            problems.add(f"is not a parameter of this {system}", remedy, column=column, value=text)
            continue
        parameter = model.parameters[index]
        try:
            values[name] = quantity(text, parameter.unit, molar_mass=library.molar_masses.get(name.split(".")[0]))
        except InputError as error:
            for p in error.problems:
                problems.add(p.rule, p.remedy, column=column, value=text)
            continue
        if not parameter.lower <= values[name] <= parameter.upper:
            rule = f"must lie between {parameter.lower:g} and {parameter.upper:g}"
            problems.add(rule, "Correct the number.", column=column, value=text)
    return values
