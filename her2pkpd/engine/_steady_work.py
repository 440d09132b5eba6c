"""What the searches for steady states share: the work on one group of lanes, and collecting results."""

from dataclasses import dataclass

import numpy as np

from her2pkpd.engine._steady_rates import Rates
from her2pkpd.engine.initial import initial_jacobian
from her2pkpd.engine.problem import Directions, Options, Segments, Status
from her2pkpd.engine.select import EngineName
from her2pkpd.model.model import Model


@dataclass(frozen=True)
class SteadyState:
    """Steady states of a batch.

    Attributes:
        y: (L, n) states; NaN where none was found. For a repeated interval, the state just before its first act.
        status: (L,) `Status` codes.
        iterations: (L,) Newton iterations.
        dy: (L, n, K) derivatives along `Directions`, or None.
    """

    y: np.ndarray
    status: np.ndarray
    iterations: np.ndarray
    dy: np.ndarray | None = None

    @property
    def ok(self) -> np.ndarray:
        """(L,) True where a steady state was found."""
        return self.status == Status.OK


@dataclass(frozen=True)
class Work:
    """One group of lanes: parameters (L, P), where totals are read (L, n), tolerances."""

    rates: Rates
    p: np.ndarray
    initial: np.ndarray
    options: Options
    ss_rtol: float
    engine: EngineName

    def correction_size(self, change: np.ndarray, y: np.ndarray) -> np.ndarray:
        """(L,) largest change in units of its tolerance."""
        floor = 10 * self.options.atol * self.rates.scale
        return np.max(np.abs(change) / (self.ss_rtol * np.abs(y) + floor), axis=1)

    def total_tangents(self, moved: np.ndarray, dp: np.ndarray) -> np.ndarray:
        """(L, r, K) how the totals of the initial state move, for tangents (L, n, K) and (P, K)."""
        n = self.rates.model.n_species
        there = self.rates.derivatives(self.initial, self.p)[:, n:]
        return there[:, :, :n] @ moved + there[:, :, n:] @ dp


class Found:
    """Collects the results of groups of lanes; lanes without a steady state become NaN."""

    def __init__(self, lanes: int, n: int, directions: Directions | None) -> None:
        self.y = np.full((lanes, n), np.nan)
        self.status = np.zeros(lanes, dtype=int)
        self.iterations = np.zeros(lanes, dtype=int)
        self.dy = None if directions is None else np.full((lanes, n, directions.count), np.nan)

    def put(
        self, lanes: np.ndarray, y: np.ndarray, status: np.ndarray, count: np.ndarray, dy: np.ndarray | None
    ) -> None:
        """Keep the results of the lanes at positions `lanes`."""
        good = status == Status.OK
        self.y[lanes] = np.where(good[:, None], y, np.nan)
        self.status[lanes], self.iterations[lanes] = status, count
        if self.dy is not None and dy is not None:
            self.dy[lanes] = np.where(good[:, None, None], dy, np.nan)

    def result(self) -> SteadyState:
        """All lanes."""
        return SteadyState(self.y, self.status, self.iterations, self.dy)


def take(segments: Segments, lanes: np.ndarray) -> Segments:
    """Some lanes of a table of segments."""
    dosing = (segments.jump[lanes], segments.keep[lanes], segments.infusion[lanes])
    return Segments(segments.boundaries[lanes], segments.inputs, *dosing)


def take_directions(d: Directions, lanes: np.ndarray) -> Directions:
    """Some lanes of a set of directions."""

    def part(x: np.ndarray | None) -> np.ndarray | None:
        return None if x is None else x[lanes]

    return Directions(d.parameters, part(d.initial), part(d.jump), part(d.infusion), part(d.boundaries))


def parameter_tangents(model: Model, d: Directions) -> np.ndarray:
    """(P, K)."""
    moved = np.zeros((model.n_parameters, d.count))
    moved[list(d.parameters), range(len(d.parameters))] = 1.0
    return moved


def initial_directions(model: Model, p: np.ndarray, d: Directions | None) -> np.ndarray | None:
    """(L, n, K) how the initial state moves along each direction."""
    if d is None:
        return None
    if d.initial is not None:
        return np.broadcast_to(d.initial, (len(p), model.n_species, d.count))
    return initial_jacobian(model, p) @ parameter_tangents(model, d)
