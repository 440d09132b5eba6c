"""Derivatives of a model's own initial values by its parameters."""

from functools import lru_cache

import numpy as np

from her2pkpd.engine.program.calculus import jacobian, transplant
from her2pkpd.model.model import Model
from her2pkpd.model.tape import Tape, TapeBuilder, evaluate


def initial_jacobian(model: Model, parameters: np.ndarray) -> np.ndarray:
    """(L, n_species, n_parameters) derivatives of the initial values, at parameters (L, n_parameters)."""
    entries, tape = _program(model)
    full = np.zeros((len(parameters), model.n_species, model.n_parameters))
    for (row, column), value in zip(entries, evaluate(tape, list(parameters.T)), strict=True):
        full[:, row, column] = value
    return full


@lru_cache(maxsize=256)
def _program(model: Model) -> tuple[tuple[tuple[int, int], ...], Tape]:
    build = TapeBuilder(model.n_parameters)
    entries = jacobian(build, transplant(build, model.initial_tape, build.inputs), build.inputs)
    return tuple(entries), build.finish(entries.values())
