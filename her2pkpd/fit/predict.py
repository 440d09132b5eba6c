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
        time = np.searchsorted(design.times, [s.time for s in signals])
        self.solved, own = self._distinct()
        lanes = own[np.concatenate([self.lane, self.control])]
        self.expand = own
        ends = np.stack([lanes, np.concatenate([time, time])], axis=1)
        self.places, place = np.unique(ends.reshape(-1, 2), axis=0, return_inverse=True)
        self.treated, self.untreated = np.split(place.reshape(-1), 2)
        self.outputs = tuple(dict.fromkeys(output_of(s.readout, POPULATION) for s in signals))
        self.output = np.array([self.outputs.index(output_of(s.readout, POPULATION)) for s in signals], dtype=int)
        self.seeded = np.array([s.treatment.seeded for s in signals])
        readouts = np.array([s.readout for s in signals])
        self.by_readout = {str(r): np.flatnonzero(readouts == r) for r in np.unique(readouts)}

    def lane_parameters(self, u: np.ndarray) -> tuple[np.ndarray, LaneParts]:
        """Parameters of every lane, and per target how they follow from the unknowns (`FreeParameters.lane_values`).

        Args:
            u: unknowns (..., n_free).

        Returns:
            Parameters (..., L, n_parameters), and the parts, whose arrays have the same leading axes.
        """
        parameters = np.broadcast_to(self.design.parameters, (*u.shape[:-1], *self.design.parameters.shape)).copy()
        parts, c = [], self.free.coordinates(u)
        for target, column in zip(self.targets, self.columns, strict=True):
            parameters[..., column], part = self.free.lane_values(c, target, self.design.parameters[:, column])
            parts.append(part)
        return parameters, parts

    def __call__(self, u: np.ndarray, *, derivatives: bool = True) -> Predicted:
        """Predict all signals at unknowns `u` (n_free,)."""
        many = self.many(u[None], derivatives=derivatives)
        jacobian = None if many.jacobian is None else many.jacobian[0]
        return Predicted(many.value[0], jacobian, many.status[0], many.engine)

    def many(self, u: np.ndarray, *, derivatives: bool = True, options: Options | None = None) -> Predicted:
        """Predict all signals at C points in one solve of C times L lanes.

        Args:
            u: unknowns (C, n_free).
            derivatives: whether the Jacobian is wanted.
            options: tolerances, where they are not to be the predictor's own.

        Returns:
            `Predicted` whose arrays have a leading axis of length C.
        """
        points = len(u)
        parameters, parts = self.lane_parameters(u)
        directions = Directions(self.columns) if derivatives and self.columns else None
        parameters = parameters[:, self.solved]
        batch = self.design.batch(parameters.reshape(points * len(self.solved), -1), self.solved)
        solution = solve(batch, options or self.options, directions, engine=self.engine)
        value, slope = self._outputs(solution, parameters)
        treated, control = (value[:, place, self.output] for place in (self.treated, self.untreated))
        prediction, by_treated, by_control = self._relate(treated, control)
        jacobian = None
        if derivatives:
            jacobian = np.zeros((points, len(self.signals), len(self.free)))
            if slope is not None:
                self._chain(jacobian, slope[:, self.treated, self.output], parts, self.lane, by_treated)
                self._chain(jacobian, slope[:, self.untreated, self.output], parts, self.control, by_control)
        status = solution.status.reshape(points, -1)[:, self.expand]
        found = self._scaled(self.free.coordinates(u), Predicted(prediction, jacobian, status, solution.engine))
        return found if jacobian is None else replace(found, jacobian=self.free.chain(u, jacobian))

    def _distinct(self) -> tuple[np.ndarray, np.ndarray]:
        """Lanes the engine solves, and for every lane its position among them.

        Lanes that differ only in what multiplies read-outs (plates of one treatment, say) are solved once.
        """
        inner = [i for e, i in zip(self.free.estimates, self.free.index, strict=True) if e.target != "scale"]
        first: dict[object, int] = {}
        own = np.zeros(len(self.design.lanes), dtype=int)
        for lane, treatment in enumerate(self.design.lanes):
            copies = tuple(int(index[lane]) for index in inner)
            key = (treatment.cell_line, treatment.seeded, treatment.doses, treatment.assay, copies)
            own[lane] = first.setdefault(key, len(first))
        return np.unique(own, return_index=True)[1], own

    def _outputs(self, solution: Solution, parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Outputs (C, n_places, n_outputs), and their total derivatives by the targets (..., n_targets)."""
        tape = _gradient_tape(self.design.model, self.outputs, self.columns)
        lane, time = self.places.T
        points, lanes = parameters.shape[:2]
        y = solution.y.reshape(points, lanes, *solution.y.shape[1:])[:, lane, time]
        columns = evaluate(tape, [*np.moveaxis(y, -1, 0), *np.moveaxis(parameters[:, lane], -1, 0)])
        n, shape = y.shape[-1], y.shape[:2]
        block = np.stack([np.broadcast_to(c, shape) for c in columns], axis=-1).astype(float)
        block = block.reshape(*shape, len(self.outputs), 1 + n + len(self.columns))
        if solution.dy is None:
            return block[..., 0], None
        dy = solution.dy.reshape(points, lanes, *solution.dy.shape[1:])[:, lane, time]
        return block[..., 0], block[..., 1 : 1 + n] @ dy + block[..., 1 + n :]

    def _relate(self, treated: np.ndarray, control: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        result = np.empty((3, *treated.shape))
        for readout, at in self.by_readout.items():
            with np.errstate(all="ignore"):
                result[..., at] = relation(readout)(treated[..., at], control[..., at], self.seeded[at])
        return result[0], result[1], result[2]

    @staticmethod
    def _chain(jacobian: np.ndarray, slope: np.ndarray, parts: LaneParts, lane: np.ndarray, outer: np.ndarray) -> None:
        """Add the part of the Jacobian that goes through one lane of each signal."""
        for k, part in enumerate(parts):
            by_target = slope[..., k] * outer
            for index, chain in part:
                _scatter(jacobian, index[lane], by_target * chain[..., lane])

    def _scaled(self, u: np.ndarray, predicted: Predicted) -> Predicted:
        if "scale" not in self.free.targets:
            return predicted
        value, jacobian = predicted.value, predicted.jacobian
        factor, parts = self.free.lane_values(u, "scale", np.ones(len(self.design.lanes)))
        factor = factor[..., self.lane]
        if jacobian is not None:
            jacobian *= factor[..., None]
            for index, chain in parts:
                _scatter(jacobian, index[self.lane], value * chain[..., self.lane])
        return replace(predicted, value=value * factor)


def _scatter(jacobian: np.ndarray, column: np.ndarray, values: np.ndarray) -> None:
    """Add values (C, n_signals) to a Jacobian, each signal's at a column of its own, where that is not -1."""
    use = np.flatnonzero(column >= 0)
    jacobian[:, use, column[use]] += values[:, use]


@lru_cache(maxsize=32)
def _gradient_tape(model: Model, outputs: tuple[str, ...], columns: tuple[int, ...]) -> Tape:
    return model.output_gradient_tape(outputs, columns)
