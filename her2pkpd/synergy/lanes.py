"""One surface on many blocks: every fit is a lane of one compiled descent."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from her2pkpd.engine.descent import Descent, Minimum, observations
from her2pkpd.model.tape import Tape
from her2pkpd.model.trace import trace
from her2pkpd.synergy.surfaces import Surface, tape
from her2pkpd.synergy.wells import Wells

_ROWS = 6
"""Blocks are filled up to a multiple of so many rows, so that those of about one size go together."""


@dataclass(frozen=True)
class Held:
    """A quantity of every lane held at a value by a stiff condition.

    Attributes:
        which: (S,) place among `Surface.reported`.
        target: (S,) value; a logarithm where the quantity is one.
        stiffness: (S,) weight of the condition.
    """

    which: np.ndarray
    target: np.ndarray
    stiffness: np.ndarray


class Lanes:
    """The wells of many blocks under one surface.

    Args:
        surface: the surface.
        blocks: wells by block.
        variance: per block (g,) the variance of a well relative to the mean one; None for even scatter.
    """

    def __init__(self, surface: Surface, blocks: Sequence[Wells], variance: Sequence[np.ndarray] | None = None) -> None:
        self.surface = surface
        self._blocks, self._variance = blocks, variance
        size = np.array([-(-len(w.mean) // _ROWS) * _ROWS for w in blocks])
        self._group, self._place = np.zeros(len(blocks), dtype=int), np.zeros(len(blocks), dtype=int)
        self._data: list[np.ndarray] = []
        for g in np.unique(size):
            own = np.flatnonzero(size == g)
            self._group[own], self._place[own] = len(self._data), np.arange(len(own))
            self._data.append(self._stacked(own, int(g)))

    def _stacked(self, blocks: np.ndarray, g: int) -> np.ndarray:
        """Observations (b, g, k + 2) of blocks; rows that are filled up weigh nothing."""
        data = np.zeros((len(blocks), g, self.surface.inputs + 2))
        for row, b in zip(data, blocks, strict=True):
            w = self._blocks[b]
            row[: len(w.mean)] = observations(w.inputs, w.mean, self.weight(b))
        return data

    @property
    def scatter(self) -> np.ndarray:
        """(blocks,) sum of squares of replicates around their means, weighted like the rest."""
        if self._variance is None:
            return np.array([w.scatter for w in self._blocks])
        return np.array([np.sum(w.within / v) for w, v in zip(self._blocks, self._variance, strict=True)])

    def weight(self, block: int) -> np.ndarray:
        """(g,) square root of the weight of every dose combination of a block."""
        count = self._blocks[block].count
        return np.sqrt(count if self._variance is None else count / self._variance[block])

    def minimise(
        self,
        block: np.ndarray,
        u: np.ndarray,
        low: np.ndarray,
        high: np.ndarray,
        *,
        held: Held | None = None,
        iterations: int = 400,
        tolerance: float = 1e-12,
    ) -> Minimum:
        """Fit lanes.

        Args:
            block: (S,) the block of each lane.
            u: (S, p) starts.
            low: (S, p) or (p,) lower bounds.
            high: (S, p) or (p,) upper bounds.
            held: a quantity of each lane to be held; its condition counts in the cost.
            iterations: at most this many steps.
            tolerance: see `Descent.minimise`.
        """
        low, high = np.broadcast_to(low, u.shape), np.broadcast_to(high, u.shape)
        end, cost, converged = np.empty(u.shape), np.empty(len(u)), np.empty(len(u), dtype=bool)
        own = _own(self.surface, held) if held else None
        for group, data in enumerate(self._data):
            at = np.flatnonzero(self._group[block] == group)
            if not len(at):
                continue
            found = descent(self.surface, held is not None).minimise(
                data[self._place[block[at]]], u[at], (low[at], high[at]),
                own=None if own is None else own[at], iterations=iterations, tolerance=tolerance,
            )  # fmt: skip
            end[at], cost[at], converged[at] = found.u, found.cost, found.converged
        return Minimum(end, cost, converged)


@lru_cache(maxsize=64)
def descent(surface: Surface, held: bool = False) -> Descent:
    """The least-squares problem of a surface; with `held`, lanes have a condition of their own (see `Held`)."""
    rows = tape(surface, "gradient")
    if not held:
        return Descent(rows, surface.inputs)
    return Descent(rows, surface.inputs, _condition(surface), len(surface.reported) + 2)


def _own(surface: Surface, held: Held) -> np.ndarray:
    chosen = np.eye(len(surface.reported))[held.which]
    return np.column_stack([chosen, held.target, held.stiffness])


def _condition(surface: Surface) -> Tape:
    """Choice of the quantity (one number each), target, stiffness and coordinates to the residual and derivatives."""
    q = len(surface.reported)

    def residual(u: Sequence[Any], given: Sequence[Any]) -> Any:
        values = surface.reported_values(u)
        chosen = sum(c * v for c, v in zip(given[:q], values, strict=True))
        return jnp.asarray((chosen - given[q]) * given[q + 1], dtype=float)

    def outputs(*x: Any) -> list[Any]:
        given, u = list(x[: q + 2]), list(x[q + 2 :])
        return [residual(u, given), *jax.grad(residual)(u, given)]

    return trace(outputs, q + 2 + len(surface.parameters))
