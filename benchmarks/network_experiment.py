"""Cells from rest under treatments, with exact derivatives by parameters, from the engine's own sensitivities.

The sensitivities of the untreated cell at rest start those of every treatment. What follows from a time course (folds,
scales of blots, growth) is arithmetic, and its slope along each direction is taken by central differences of that.
Derivatives are by logarithms of parameters.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from her2pkpd.dosing import Event, compile_segments
from her2pkpd.engine import Batch, Directions, Options, Segments, solve
from her2pkpd.model import Model
from her2pkpd.systems.cell import REFERENCES, baseline, settling

CELL = "cell"
"""Name of the population in models that stand for any line."""

STEP = 1e-5
"""Of the logarithm of a parameter, for differences of the arithmetic behind the time courses."""

DEFAULT = Options()
DIRECTION = Options(rtol=1e-4, atol=1e-7)
"""Accuracy of derivatives: a search and a sampler want directions, and both check them against values."""


@dataclass(frozen=True)
class Experiment:
    """Lines under treatments.

    Attributes:
        model: of one population, `CELL`.
        lines: each line's own values, ``HER2``, ``HER3`` and so on.
        rows: the line of each lane.
        lanes: doses of each lane.
        hours: times of read-out.
        names: outputs without the population's name.
        start: time of the first dose.
        options: accuracy.
    """

    model: Model
    lines: Sequence[Mapping[str, float]]
    rows: Sequence[int]
    lanes: Sequence[Sequence[Event]]
    hours: np.ndarray
    names: Sequence[str]
    start: float = 0.0
    options: Options = DEFAULT

    def parameters(self, changes: Mapping[str, float]) -> np.ndarray:
        """(lines, n_parameters); `changes` are shared by all lines."""
        own = [{**changes, **{f"{CELL}.{k}": v for k, v in x.items()}} for x in self.lines]
        return np.array([self.model.parameter_vector(c) for c in own])

    def follow(self, changes: Mapping[str, float]) -> np.ndarray:
        """Outputs, (lanes, times, names)."""
        return self.outputs(self.parameters(changes))

    def outputs(self, parameters: np.ndarray) -> np.ndarray:
        """Outputs, (lanes, times, names), of lines with parameters (lines, n_parameters)."""
        p, y = baseline(self.model, parameters, CELL)
        rows = np.asarray(self.rows)
        solution = solve(Batch(self.model, p[rows], self._segments(), self.hours, y[rows]), self.options)
        return self._outputs(solution.y, p[rows, None])

    def slopes(self, changes: Mapping[str, float], shared: Sequence[str], own: Sequence[str] = ()) -> "Courses":
        """Outputs with derivatives by parameters that lines share and by those that each has for itself."""
        model, at, rows = self.model, self.model.parameter_index, np.asarray(self.rows)
        moved = [at[x] for x in (*shared, *(f"{CELL}.{x}" for x in own))]
        held = [at[f"{CELL}.{x}"] for x in REFERENCES]
        p, y = baseline(model, self.parameters(changes), CELL)
        rest, references = self._rest(p, moved)
        directions = Directions((*moved, *held), initial=rest[rows])
        batch = Batch(model, p[rows], self._segments(), self.hours, y[rows])
        found = solve(batch, DIRECTION, directions)
        if found.dy is None:
            raise ValueError("the engine gave no derivatives")
        n = len(moved)
        dy = found.dy[..., :n] + np.einsum("ltsb,lbk->ltsk", found.dy[..., n:], references[rows])
        dp = np.zeros((len(p), model.n_parameters, n))
        dp[:, moved, np.arange(n)] = 1.0
        dp[:, held] = references
        scale = p[:, moved][rows, None, None]
        dy, dp, p = dy * scale, dp[rows, None] * scale, p[rows, None]
        slope = along(lambda y, p_: self._outputs(found.y + y, p + p_), dy, dp)
        return Courses(self._outputs(found.y, p), slope)

    def _rest(self, p: np.ndarray, moved: list[int]) -> tuple[np.ndarray, np.ndarray]:
        state = self.model.species_index
        dy = solve(settling(self.model, p, CELL), DIRECTION, Directions(tuple(moved))).dy
        if dy is None:
            raise ValueError("the engine gave no derivatives")
        dy = dy[:, 0]
        references = dy[:, [state[f"{x}.{CELL}"] for x in REFERENCES.values()]]
        # What starts at a set value does not move with the parameters.
        fixed = (f"BIM.{CELL}", f"survivin.{CELL}", f"N.{CELL}", "sHER2")
        dy[:, [state[x] for x in fixed if x in state]] = 0.0
        return np.concatenate([dy, np.zeros((*dy.shape[:2], len(REFERENCES)))], axis=2), references

    def _segments(self) -> Segments:
        return compile_segments(self.model, self.lanes, start=self.start, stop=float(self.hours[-1]))

    def _outputs(self, y: np.ndarray, p: np.ndarray) -> np.ndarray:
        return self.model.outputs([f"{x}.{CELL}" for x in self.names], y, p)


@dataclass(frozen=True)
class Courses:
    """Outputs with their derivatives.

    Attributes:
        value: (lanes, times, names).
        slope: (lanes, times, names, K) by the logarithm of each parameter, of the lane's own line.
    """

    value: np.ndarray
    slope: np.ndarray


def along(function: Callable[..., np.ndarray], *directions: np.ndarray) -> np.ndarray:
    """Slopes, (..., K), of a cheap function of shifts along each of the K directions in their last axes."""
    columns = []
    for k in range(directions[0].shape[-1]):
        shifts = [STEP * d[..., k] for d in directions]
        columns.append((function(*shifts) - function(*(-s for s in shifts))) / (2.0 * STEP))
    return np.stack(columns, axis=-1)
