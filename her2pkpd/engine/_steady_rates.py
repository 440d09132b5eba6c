"""Rates, conserved totals and their derivatives as tapes: what Newton's method needs to find a steady state."""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from her2pkpd.engine.program.calculus import jacobian, transplant
from her2pkpd.model.conservation import Moiety, conserved_moieties
from her2pkpd.model.model import Model
from her2pkpd.model.tape import Tape, TapeBuilder, evaluate
from her2pkpd.model.trace import trace


@dataclass(frozen=True)
class Rates:
    """dy/dt of n species and the totals of r conserved moieties, as functions of state and parameters.

    Attributes:
        model: the model.
        moieties: what its reactions conserve.
    """

    model: Model
    moieties: tuple[Moiety, ...]

    @cached_property
    def dependent(self) -> list[int]:
        """One species per moiety that no other moiety has: its rate follows from the rates of the others."""
        names = [{n for n, w in m.weights.items() if w} for m in self.moieties]
        own = [sorted(mine - set().union(*(x for j, x in enumerate(names) if j != i))) for i, mine in enumerate(names)]
        return [self.model.species_index[o[-1]] for o in own]

    @cached_property
    def _program(self) -> tuple[Tape, tuple[tuple[int, int], ...], Tape]:
        """The tape of rates and totals, and rows and columns with the tape of their derivatives."""
        model, n = self.model, self.model.n_species

        def totals(*x: object) -> list[object]:
            scopes = model.scopes(x[:n], x[n:])
            return [m.amount(model, *scopes) for m in self.moieties]

        build = TapeBuilder(n + model.n_parameters)
        outputs = transplant(build, model.flux_tape, build.inputs)
        outputs += transplant(build, trace(totals, build.n_inputs), build.inputs)
        entries = jacobian(build, outputs, build.inputs)
        return build.finish(outputs), tuple(entries), build.finish(entries.values())

    @cached_property
    def linear(self) -> bool:
        """Whether dy/dt is a linear function of the state (plus a constant)."""
        _, entries, tape = self._program
        n = self.model.n_species
        used = [u for (row, column), u in zip(entries, tape.dependencies(), strict=True) if row < n and column < n]
        return all(i >= n for u in used for i in u)

    def values(self, y: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """dy/dt (L, n) and totals (L, r) at states (L, n) and parameters (L, P)."""
        found = evaluate(self._program[0], [*y.T, *p.T])
        full = np.stack([np.broadcast_to(v, len(y)) for v in found], axis=1).astype(float)
        return full[:, : self.model.n_species], full[:, self.model.n_species :]

    def derivatives(self, y: np.ndarray, p: np.ndarray) -> np.ndarray:
        """(L, n + r, n + P) derivatives of `values` by state and parameters."""
        values, entries, tape = self._program
        found = evaluate(tape, [*y.T, *p.T])
        full = np.zeros((len(y), len(values.outputs), values.n_inputs))
        for (row, column), value in zip(entries, found, strict=True):
            full[:, row, column] = value
        return full

    def held(self, derivatives: np.ndarray) -> np.ndarray:
        """From (L, n + r, k) to (L, n, k): rows of dependent species replaced by those of their totals."""
        n = self.model.n_species
        rows = derivatives[:, :n].copy()
        rows[:, self.dependent] = derivatives[:, n:]
        return rows

    @cached_property
    def scale(self) -> np.ndarray:
        """(n,) typical magnitude of each species."""
        return np.array([s.scale for s in self.model.species])


def grouped(model: Model, p: np.ndarray) -> list[tuple[Rates, np.ndarray]]:
    """Lanes that share their conserved moieties, which may depend on parameters that serve as coefficients.

    Args:
        model: the model.
        p: (L, P).

    Returns:
        For each group its `Rates` and the positions of its lanes.
    """
    names = sorted({c.lstrip("-") for r in model.reactions for c in r.stoichiometry.values() if isinstance(c, str)})
    columns = [model.parameter_index[n] for n in names]
    values, group = np.unique(p[:, columns], axis=0, return_inverse=True)
    return [(_rates(model, tuple(v), tuple(columns)), np.flatnonzero(group.ravel() == i)) for i, v in enumerate(values)]


@lru_cache(maxsize=256)
def _rates(model: Model, values: tuple[float, ...], columns: tuple[int, ...]) -> Rates:
    p = model.default_parameters()
    p[list(columns)] = values
    return Rates(model, tuple(conserved_moieties(model, p)))
