"""Conserved moieties: what the stoichiometry alone says cannot be made or lost."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from her2pkpd.model.model import Model
from her2pkpd.model.spec import Reaction, Scope
from her2pkpd.model.tape import evaluate
from her2pkpd.model.trace import trace


@dataclass(frozen=True)
class Moiety:
    """A combination of amounts that no reaction changes.

    Attributes:
        weights: how many of the moiety one of each species carries.
    """

    weights: Mapping[str, float]

    def amount(self, model: Model, s: Scope, p: Scope) -> Any:
        """Amount of the moiety as an expression, for use where rates are written."""
        return sum(w * s[name] * _volume(model, name, s, p) for name, w in self.weights.items())

    def total(self, model: Model, y: np.ndarray, p: np.ndarray) -> np.ndarray:
        """Amount of the moiety: the sum of weight * volume * concentration.

        Args:
            model: the model.
            y: state, shape (..., n_species).
            p: parameters, broadcastable to (..., n_parameters).

        Returns:
            Shape (...).
        """

        def amount(*x: object) -> list[object]:
            return [self.amount(model, *model.scopes(x[: model.n_species], x[model.n_species :]))]

        tape = trace(amount, model.n_species + model.n_parameters)
        return evaluate(tape, [*np.moveaxis(y, -1, 0), *np.moveaxis(np.asarray(p), -1, 0)])[0]

    def __str__(self) -> str:
        return " + ".join(f"{'' if w == 1 else f'{w:g}*'}{name}" for name, w in self.weights.items())


def _volume(model: Model, species: str, s: Scope, p: Scope) -> Any:
    home = model.species[model.species_index[species]].compartment
    return 1.0 if home is None else model.compartment_table[home].volume(s, p)


def conserved_moieties(model: Model, parameters: np.ndarray | None = None) -> list[Moiety]:
    """Basis of the left null space of the stoichiometric matrix, in exact rational arithmetic.

    Dilution is left out: it thins a concentration while the volume grows, and the amount stays. Cells that die
    take their contents along, so whatever lives in a compartment whose cells can die is not conserved.

    Args:
        model: the model.
        parameters: values of the parameters that serve as coefficients, default those of the model.
    """
    p = model.default_parameters() if parameters is None else np.asarray(parameters)
    columns = [_column(model, r, p) for r in model.reactions if r.kind == "reaction"]
    columns += [_unit(model, s) for s in _unconserved(model)]
    basis = _left_null_space([[column[i] for column in columns] for i in range(model.n_species)])
    names = [s.name for s in model.species]
    return [Moiety({n: float(w) for n, w in zip(names, vector, strict=True) if w}) for vector in basis]


def _column(model: Model, reaction: Reaction, p: np.ndarray) -> list[Fraction]:
    column = [Fraction(0)] * model.n_species
    for name, coefficient in reaction.stoichiometry.items():
        value = coefficient
        if isinstance(value, str):
            value = float(p[model.parameter_index[value.lstrip("-")]]) * (-1 if value.startswith("-") else 1)
        column[model.species_index[name]] += Fraction(value).limit_denominator(10**9)
    return column


def _unit(model: Model, species: str) -> list[Fraction]:
    return [Fraction(int(s.name == species)) for s in model.species]


def _unconserved(model: Model) -> list[str]:
    changing = {n for r in model.reactions if r.kind in ("growth", "death") for n in r.stoichiometry}
    dying = {n for r in model.reactions if r.kind == "death" for n in r.stoichiometry}
    lost = {c.name for c in model.compartments if c.count in dying}
    return [s.name for s in model.species if s.name in changing or s.compartment in lost]


def _left_null_space(matrix: list[list[Fraction]]) -> list[list[Fraction]]:
    """Vectors w with w S = 0, by Gauss-Jordan elimination on the transpose; integers without common sign flips."""
    n = len(matrix)
    rows = [list(column) for column in zip(*matrix, strict=True)]
    pivots: list[int] = []
    rank = 0
    for column in range(n):
        pivot = next((r for r in range(rank, len(rows)) if rows[r][column]), None)
        if pivot is None:
            continue
        rows[rank], rows[pivot] = rows[pivot], rows[rank]
        lead = rows[rank][column]
        rows[rank] = [v / lead for v in rows[rank]]
        for r in range(len(rows)):
            if r != rank and rows[r][column]:
                factor = rows[r][column]
                rows[r] = [a - factor * b for a, b in zip(rows[r], rows[rank], strict=True)]
        pivots.append(column)
        rank += 1
    basis = []
    for free in (c for c in range(n) if c not in pivots):
        vector = [Fraction(0)] * n
        vector[free] = Fraction(1)
        for r, column in enumerate(pivots):
            vector[column] = -rows[r][free]
        basis.append(vector)
    return basis
