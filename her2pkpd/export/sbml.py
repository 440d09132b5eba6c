"""Models as SBML Level 3 Version 2, the same differential equations to the letter.

Reactions become reactions with kinetic laws taken from the traced rates; initial values, volumes and named
quantities follow. Species whose home has a volume of its own (a number, or an expression in parameters) are
concentrations in a compartment of that size. Two kinds of species are plain values in a compartment of size one
instead: counts and fractions, and species in compartments whose volume is part of the state (cells times volume
per cell). SBML would thin the latter out as the volume grows, where this model says so with an explicit dilution
reaction; as plain values they are thinned out once. A reaction that touches species of both kinds, or has a
parameter for a stoichiometric coefficient, is written as one SBML reaction per factor between its rate and the
change of a species.

Dosing becomes events when a table of segments is given; without one the file holds the undosed system.
SBML reference: Hucka et al., J Integr Bioinform 16 (2019) 20190021 (Level 3 Version 2 Core, Release 2).
"""

from pathlib import Path
from typing import Any

import numpy as np

from her2pkpd.engine.problem import Segments
from her2pkpd.errors import ComputationError, InputError, Problem
from her2pkpd.export._dosing import add_dosing
from her2pkpd.export._writer import Writer
from her2pkpd.model.model import Model


def write_sbml(model: Model, path: Path | str, **settings: Any) -> None:
    """Write `to_sbml` to a file; arguments and errors as there."""
    Path(path).write_text(to_sbml(model, **settings), encoding="utf-8")


def to_sbml(
    model: Model,
    *,
    parameters: np.ndarray | None = None,
    initial: np.ndarray | None = None,
    segments: Segments | None = None,
    lane: int = 0,
) -> str:
    """The model as an SBML document.

    Args:
        model: the model.
        parameters: (n_parameters,) values, default the model's own.
        initial: (n_species,) initial values, default the model's own expressions in its parameters.
        segments: dosing to write as events; each dosed species gets a parameter for its infusion rate.
        lane: which lane of `segments`.

    Returns:
        The XML text. Identifiers are close to the names people gave, which stand in `name`.

    Raises:
        InputError: if python-libsbml is not installed.
        ComputationError: if libSBML finds the document inconsistent (a defect of this package).
    """
    libsbml = _libsbml()
    writer = Writer(libsbml, model, parameters, initial)
    document = writer.document()
    if segments is not None:
        add_dosing(writer, segments, lane)
    _check(libsbml, document)
    return libsbml.writeSBMLToString(document)


def _libsbml() -> Any:
    try:
        import libsbml
    except ImportError:
        remedy = 'Install it with: pip install "her2pkpd[sbml]"'
        raise InputError(Problem("SBML export needs python-libsbml", remedy)) from None
    return libsbml


def _check(libsbml: Any, document: Any) -> None:
    document.setConsistencyChecks(libsbml.LIBSBML_CAT_UNITS_CONSISTENCY, False)
    document.checkConsistency()
    found = [document.getError(i) for i in range(document.getNumErrors())]
    worst = [e.getMessage().strip() for e in found if e.getSeverity() >= libsbml.LIBSBML_SEV_ERROR]
    if worst:
        raise ComputationError("the SBML document is inconsistent: " + " | ".join(worst[:3]))
