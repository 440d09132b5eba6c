"""Predicted read-outs and their exact derivatives by the unknowns, through the engine's sensitivities."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from her2pkpd.engine import Directions, Options, Solution, solve
from her2pkpd.engine.select import EngineName
from her2pkpd.fit.design import POPULATION, Design, Signal
from her2pkpd.fit.parameters import FreeParameters
from her2pkpd.fit.readouts import output_of, relation
from her2pkpd.model import Model
from her2pkpd.model.tape import Tape, evaluate

LaneParts = list[list[tuple[np.ndarray, np.ndarray]]]
"""Per target, what `FreeParameters.lane_values` returns about its unknowns."""


@dataclass(frozen=True)
class Predicted:
    """Predictions of a list of signals.

    Attributes:
        value: (n_signals,); NaN where a lane failed.
        jacobian: (n_signals, n_free), or None.
        status: (L,) lane statuses.
        engine: which engine ran.
    """

    value: np.ndarray
    jacobian: np.ndarray | None
    status: np.ndarray
    engine: str


class Predictor:
    """Predicts signals for a vector of unknowns.

    Args:
        design: the lanes.
        free: the unknowns; entries on the target "scale" multiply read-outs.
        signals: what to predict, in order.
        options: tolerances of the engine.
        engine: which engine runs.
    """

    def __init__(
        self,
        design: Design,
        free: FreeParameters,
        signals: Sequence[Signal],
        *,
        options: Options | None = None,
        engine: EngineName = "auto",
    ) -> None:
        self.design, self.free, self.signals = design, free, list(signals)
        self.options = options or Options(rtol=1e-7, atol=1e-9)
        self.engine: EngineName = engine
        self.targets = tuple(t for t in free.targets if t != "scale")
        self.columns = tuple(design.model.parameter_index[t] for t in self.targets)
        self.lane = np.array([design.lane_of[s.treatment] for s in signals], dtype=int)
        self.control = np.array([design.lane_of[s.treatment.untreated] for s in signals], dtype=int)
        self.time = np.searchsorted(design.times, [s.time for s in signals])
        self.outputs = tuple(dict.fromkeys(output_of(s.readout, POPULATION) for s in signals))
        self.output = np.array([self.outputs.index(output_of(s.readout, POPULATION)) for s in signals], dtype=int)
        self.seeded = np.array([s.treatment.seeded for s in signals])

    def lane_parameters(self, u: np.ndarray) -> tuple[np.ndarray, LaneParts]:
        """Parameters of every lane, and per target how they follow from the unknowns (`FreeParameters.lane_values`)."""
        parameters, parts = self.design.parameters.copy(), []
        for target, column in zip(self.targets, self.columns, strict=True):
            parameters[:, column], part = self.free.lane_values(u, target, self.design.parameters[:, column])
            parts.append(part)
        return parameters, parts

    def __call__(self, u: np.ndarray, *, derivatives: bool = True) -> Predicted:
        """Predict all signals at coordinates `u` (n_free,)."""
        parameters, parts = self.lane_parameters(u)
        directions = Directions(self.columns) if derivatives and self.columns else None
        solution = solve(self.design.batch(parameters), self.options, directions, engine=self.engine)
        value, slope = self._outputs(solution, parameters)
        treated, control = (value[lane, self.time, self.output] for lane in (self.lane, self.control))
        prediction, by_treated, by_control = self._relate(treated, control)
        jacobian = None
        if derivatives:
            jacobian = np.zeros((len(self.signals), len(self.free)))
            if slope is not None:
                self._chain(jacobian, slope, parts, self.lane, by_treated)
                self._chain(jacobian, slope, parts, self.control, by_control)
        return self._scaled(u, Predicted(prediction, jacobian, solution.status, solution.engine))

    def _outputs(self, solution: Solution, parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Outputs (L, M, n_outputs) and their total derivatives by the targets (L, M, n_outputs, n_targets)."""
        tape = _gradient_tape(self.design.model, self.outputs, self.columns)
        lanes, times, n = solution.y.shape
        p = np.broadcast_to(parameters[:, None, :], (lanes, times, parameters.shape[1]))
        columns = evaluate(tape, [*np.moveaxis(solution.y, -1, 0), *np.moveaxis(p, -1, 0)])
        block = np.stack([np.broadcast_to(c, (lanes, times)) for c in columns], axis=-1).astype(float)
        block = block.reshape(lanes, times, len(self.outputs), 1 + n + len(self.columns))
        if solution.dy is None:
            return block[..., 0], None
        total = np.einsum("lmqn,lmnk->lmqk", block[..., 1 : 1 + n], solution.dy) + block[..., 1 + n :]
        return block[..., 0], total

    def _relate(self, treated: np.ndarray, control: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        result = np.empty((3, len(self.signals)))
        readouts = np.array([s.readout for s in self.signals])
        for readout in set(readouts):
            at = readouts == readout
            with np.errstate(all="ignore"):
                result[:, at] = relation(readout)(treated[at], control[at], self.seeded[at])
        return result[0], result[1], result[2]

    def _chain(
        self, jacobian: np.ndarray, slope: np.ndarray, parts: LaneParts, lane: np.ndarray, outer: np.ndarray
    ) -> None:
        by_target = slope[lane, self.time, self.output] * outer[:, None]
        rows = np.arange(len(self.signals))
        for k, part in enumerate(parts):
            for index, chain in part:
                column = index[lane]
                use = column >= 0
                np.add.at(jacobian, (rows[use], column[use]), by_target[use, k] * chain[lane[use]])

    def _scaled(self, u: np.ndarray, predicted: Predicted) -> Predicted:
        if "scale" not in self.free.targets:
            return predicted
        value, jacobian = predicted.value, predicted.jacobian
        factor, parts = self.free.lane_values(u, "scale", np.ones(len(self.design.lanes)))
        factor = factor[self.lane]
        if jacobian is not None:
            jacobian *= factor[:, None]
            rows = np.arange(len(self.signals))
            for index, chain in parts:
                column = index[self.lane]
                use = column >= 0
                np.add.at(jacobian, (rows[use], column[use]), value[use] * chain[self.lane[use]])
        return replace(predicted, value=value * factor)


@lru_cache(maxsize=32)
def _gradient_tape(model: Model, outputs: tuple[str, ...], columns: tuple[int, ...]) -> Tape:
    return model.output_gradient_tape(outputs, columns)
