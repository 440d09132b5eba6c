"""What every engine takes and what it gives back; the meaning of dosing lives here, once.

A batch has L lanes (patients, wells, draws), all of one model. Time in each lane is cut into K segments at
the dosing boundaries. At the start of a segment the state is reset, kept in part and raised,

    y <- where(reset, y_initial, y);   y[inputs] <- keep * y[inputs] + jump

and inside it constant infusions run: dy[inputs]/dt += infusion. A segment of zero length acts (its keep and
jump apply) and costs nothing. A state saved at a boundary is the state *after* the jump there.
"""

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

from her2pkpd.errors import InputError, Problem
from her2pkpd.model.model import Model


class Status(IntEnum):
    """How a lane ended. Anything but OK leaves NaN where the lane had not arrived."""

    OK = 0
    MAX_STEPS = 1
    STEP_TOO_SMALL = 2
    NOT_FINITE = 3
    STEADY_STATE_NOT_REACHED = 4

    @property
    def advice(self) -> str:
        """One sentence: what happened and what to try."""
        return _ADVICE[self]


_ADVICE = {
    Status.OK: "The lane finished.",
    Status.MAX_STEPS: (
        "The lane used up max_steps; raise max_steps, loosen rtol, or look for a parameter far out of range."
    ),
    Status.STEP_TOO_SMALL: (
        "The step size fell to rounding level; the model is singular there: "
        "check for a division by zero or a rate of infinite slope."
    ),
    Status.NOT_FINITE: (
        "The state, a parameter or a rate is NaN or infinite; check the lane's parameters, volumes and doses."
    ),
    Status.STEADY_STATE_NOT_REACHED: (
        "No steady state was found; check that every species is both made and lost, or loosen ss_rtol."
    ),
}


@dataclass(frozen=True)
class Segments:
    """The dosing of a batch, as a table of segments.

    Attributes:
        boundaries: (L, K+1) times in h, non-decreasing in each lane.
        inputs: state indices that are dosed or washed, m of them.
        jump: (L, K, m) added at the start of a segment.
        keep: (L, K, m) fraction of the state kept at the start of a segment (0 washes out, 1 leaves alone).
        infusion: (L, K, m) rate per hour during a segment.
        reset: (L, K) whether all states return to their initial values at the start of a segment.
    """

    boundaries: np.ndarray
    inputs: tuple[int, ...] = ()
    jump: np.ndarray = field(default=None)  # type: ignore[assignment]
    keep: np.ndarray = field(default=None)  # type: ignore[assignment]
    infusion: np.ndarray = field(default=None)  # type: ignore[assignment]
    reset: np.ndarray = field(default=None)  # type: ignore[assignment]

    def __post_init__(self) -> None:
        b = np.atleast_2d(np.asarray(self.boundaries, dtype=float))
        lanes, k = b.shape[0], b.shape[1] - 1
        shape = (lanes, k, len(self.inputs))
        object.__setattr__(self, "boundaries", b)
        for name, default, full in (
            ("jump", 0.0, shape),
            ("keep", 1.0, shape),
            ("infusion", 0.0, shape),
            ("reset", False, (lanes, k)),
        ):
            given = getattr(self, name)
            values = np.asarray(default if given is None else given, dtype=type(default))
            object.__setattr__(self, name, np.broadcast_to(values, full))

    @property
    def n_lanes(self) -> int:
        """Number of lanes, L."""
        return self.boundaries.shape[0]

    @property
    def n_segments(self) -> int:
        """Number of segments, K."""
        return self.boundaries.shape[1] - 1


@dataclass(frozen=True)
class Options:
    """How accurately, and how long, an engine works.

    Attributes:
        rtol: relative tolerance of a step.
        atol: absolute tolerance, times each species' `scale`.
        max_steps: steps a lane may take in all.
    """

    rtol: float = 1e-6
    atol: float = 1e-9
    max_steps: int = 100_000


@dataclass(frozen=True)
class Batch:
    """One solve: a model, its lanes and what to save.

    Attributes:
        model: the model.
        parameters: (L, n_parameters).
        segments: the dosing, L lanes.
        times: (L, M) times to save at, non-decreasing, within the boundaries of each lane.
        initial: (L, n_species), or None for the model's own initial values.
        saved: indices of the species to save, in this order; None saves all.
    """

    model: Model
    parameters: np.ndarray
    segments: Segments
    times: np.ndarray
    initial: np.ndarray | None = None
    saved: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        lanes = self.segments.n_lanes
        p = np.broadcast_to(np.asarray(self.parameters, dtype=float), (lanes, self.model.n_parameters))
        t = np.asarray(self.times, dtype=float)
        t = np.broadcast_to(t, (lanes, t.shape[-1]))
        y = self.model.initial(p) if self.initial is None else self.initial
        object.__setattr__(self, "parameters", p)
        object.__setattr__(self, "times", t)
        object.__setattr__(self, "initial", np.broadcast_to(np.asarray(y, dtype=float), (lanes, self.model.n_species)))
        self._check()

    def select(self, y: np.ndarray) -> np.ndarray:
        """What is to be saved of states (L, M, n_species) or their derivatives (L, M, n_species, K)."""
        return y if self.saved is None else np.ascontiguousarray(y[:, :, list(self.saved)])

    def _check(self) -> None:
        b, t = self.segments.boundaries, self.times
        if np.any(np.diff(b, axis=1) < 0):
            raise InputError(Problem("segment boundaries must not decrease", "Sort the dosing records by time."))
        if np.any(np.diff(t, axis=1) < 0):
            raise InputError(Problem("save times must not decrease", "Sort the output times."))
        if t.size and (np.any(t[:, 0] < b[:, 0]) or np.any(t[:, -1] > b[:, -1])):
            raise InputError(
                Problem(
                    "save times must lie within the simulated interval",
                    "Extend the last segment, or drop times outside it.",
                )
            )


@dataclass(frozen=True)
class Directions:
    """Directions to differentiate along.

    K directions in all. Direction k < len(parameters) moves parameter ``parameters[k]`` by one unit *in the
    rates*; the arrays say how the same direction moves the initial state and the dosing. Any other derivative
    is a linear combination of these.

    Attributes:
        parameters: parameter indices, one per leading direction.
        initial: (L, n_species, K) tangents of the initial state; None means those that follow from the model's
            own initial values for the parameter directions, zero for the rest.
        jump: (L, segments, m, K) tangents of the jumps, or None.
        infusion: (L, segments, m, K) tangents of the infusions, or None.
        boundaries: (L, segments+1, K) tangents of the boundary times, or None.
    """

    parameters: tuple[int, ...]
    initial: np.ndarray | None = None
    jump: np.ndarray | None = None
    infusion: np.ndarray | None = None
    boundaries: np.ndarray | None = None

    @property
    def count(self) -> int:
        """K, the number of directions."""
        sizes = [a.shape[-1] for a in (self.initial, self.jump, self.infusion, self.boundaries) if a is not None]
        return sizes[0] if sizes else len(self.parameters)


@dataclass(frozen=True)
class Solution:
    """What an engine returns.

    Attributes:
        times: (L, M) save times.
        y: (L, M, species saved); NaN from where a lane failed.
        status: (L,) `Status` codes.
        steps: (L,) accepted steps.
        rejected: (L,) rejected steps.
        engine: which engine ran.
        dy: (L, M, species saved, K) derivatives along `Directions`, or None.
    """

    times: np.ndarray
    y: np.ndarray
    status: np.ndarray
    steps: np.ndarray
    rejected: np.ndarray
    engine: str
    dy: np.ndarray | None = None

    @property
    def ok(self) -> np.ndarray:
        """(L,) True where the lane finished."""
        return self.status == Status.OK

    def status_counts(self) -> dict[str, int]:
        """How many lanes ended how."""
        codes, counts = np.unique(self.status, return_counts=True)
        return {Status(int(c)).name.lower(): int(n) for c, n in zip(codes, counts, strict=True)}

    def __repr__(self) -> str:
        lanes, times, species = self.y.shape
        shape = f"{lanes} lanes x {times} times x {species} species"
        steps = int(np.median(self.steps))
        return f"Solution({shape}, engine {self.engine}, {self.status_counts()}, median steps {steps})"
