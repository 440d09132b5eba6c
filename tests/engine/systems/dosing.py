"""Every way of dosing, as lanes of one batch."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from her2pkpd.engine.problem import Batch, Segments
from tests.engine.systems.system import Exact


@dataclass(frozen=True)
class Case:
    """One lane: times as fractions of the system's span, one entry per segment in jump, keep, rate and reset."""

    boundaries: tuple[float, ...]
    times: tuple[float, ...]
    jump: tuple[float, ...] = ()
    keep: tuple[float, ...] = ()
    rate: tuple[float, ...] = ()
    reset: tuple[bool, ...] = ()


CASES = {
    "nothing": Case((0, 1), (0, 0.3, 1)),
    "bolus at 0": Case((0, 1), (0, 0.1, 0.5, 1), jump=(10,)),
    "repeated bolus": Case((0, 0.25, 0.5, 0.75, 1), (0.1, 0.3, 0.6, 0.9), jump=(10, 5, 5, 5)),
    "infusion": Case((0, 0.1, 1), (0.05, 0.1, 0.4), rate=(8, 0)),
    "overlapping infusions": Case((0, 0.1, 0.2, 0.4, 1), (0.05, 0.15, 0.3, 0.8), rate=(3, 7, 4, 0)),
    "wash-out": Case((0, 0.5, 1), (0.4, 0.5, 0.8), jump=(10, 0), keep=(1, 0)),
    "half the medium replaced": Case((0, 0.5, 1), (0.4, 0.5, 0.8), jump=(10, 1), keep=(1, 0.5)),
    "reset": Case((0, 0.5, 1), (0.4, 0.5, 0.8), jump=(10, 3), reset=(False, True)),
    "zero-length segments": Case(
        (0, 0, 0.5, 0.5, 0.5, 1), (0, 0.2, 0.5, 1), jump=(2, 3, 4, 1, 1), keep=(1, 1, 1, 0.5, 1)
    ),
    "saved at boundaries": Case((0, 0.3, 0.6, 1), (0, 0.3, 0.6, 1), jump=(10, 5, 5), rate=(0, 1, 0)),
    "dose at the last time": Case((0, 0.5, 1, 1), (0.5, 0.99, 1, 1), jump=(10, 0, 7)),
    "starts late": Case((0.2, 0.4, 1), (0.2, 0.7, 1), jump=(10, 5)),
}  # fmt: skip


def dosing_batch(system: Exact, parameters: np.ndarray | None = None) -> tuple[Batch, list[str]]:
    """All cases a system supports as one batch, with their names; the second input gets half of every dose."""
    names = [n for n, c in CASES.items() if (system.infusions or not any(c.rate)) and (system.doses or n == "nothing")]
    cases = [CASES[n] for n in names]
    k = max(len(c.boundaries) for c in cases) - 1
    m = max(len(c.times) for c in cases)
    share = np.array([1.0, 0.5])[: len(system.inputs)]

    def table(values: Callable[[Case], tuple], default: float) -> np.ndarray:
        return np.array([list(values(c)) + [default] * (k - len(values(c))) for c in cases], dtype=float)

    def ends(values: Callable[[Case], tuple], size: int) -> np.ndarray:
        return system.span * np.array([list(values(c)) + [values(c)[-1]] * (size - len(values(c))) for c in cases])

    segments = Segments(
        ends(lambda c: c.boundaries, k + 1),
        system.inputs,
        jump=table(lambda c: c.jump, 0.0)[..., None] * share,
        keep=np.repeat(table(lambda c: c.keep, 1.0)[..., None], len(system.inputs), axis=-1),
        infusion=table(lambda c: c.rate, 0.0)[..., None] * share / system.span * 10,
        reset=table(lambda c: c.reset, 0.0) > 0,
    )
    p = system.model.default_parameters() if parameters is None else parameters
    return Batch(system.model, p, segments, ends(lambda c: c.times, m)), names
