"""What a system with a known solution consists of."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.integrate import solve_ivp

from her2pkpd.model import Model


@dataclass(frozen=True)
class Exact:
    """A model with a closed-form flow.

    Attributes:
        model: the model.
        flow: ``flow(p, y, u, dt)``, the state `dt` hours after `y` under constant infusion `u`.
        initial: ``initial(p)``, the state at time zero.
        inputs: state indices that may be dosed.
        span: h worth simulating.
        infusions: whether `flow` is right for u other than zero.
        doses: whether dosing makes sense at all.
    """

    model: Model
    flow: Callable
    initial: Callable
    inputs: tuple[int, ...]
    span: float
    infusions: bool = True
    doses: bool = True

    def solution(self, p, initial, boundaries, jump, infusion, *, batch, lane: int):
        """States (M, n) of one lane: the definition of a segment, followed literally. Complex numbers may go in."""
        seg, inputs = batch.segments, list(batch.segments.inputs)
        rates = np.zeros((seg.n_segments, self.model.n_species), dtype=np.result_type(infusion))
        rates[:, inputs] = infusion
        y, starts = initial, []
        for k in range(seg.n_segments):
            if k > 0:
                y = self.flow(p, y, rates[k - 1], boundaries[k] - boundaries[k - 1])
            y = np.array(initial if seg.reset[lane, k] else y, dtype=complex)
            y[inputs] = seg.keep[lane, k] * y[inputs] + jump[k]
            starts.append(y)
        rows = []
        for t in batch.times[lane]:
            k = np.searchsorted(seg.boundaries[lane, :-1], t, side="right") - 1
            rows.append(self.flow(p, starts[k], rates[k], t - boundaries[k]))
        return np.stack(rows)

    def _arguments(self, batch, lane: int) -> list[np.ndarray]:
        seg = batch.segments
        dosing = (seg.boundaries[lane], seg.jump[lane], seg.infusion[lane])
        return [np.array(x, dtype=complex) for x in (batch.parameters[lane], batch.initial[lane], *dosing)]

    def of_batch(self, batch) -> np.ndarray:
        """Exact states (L, M, n) of a batch."""
        lanes = range(len(batch.times))
        return np.stack([self.solution(*self._arguments(batch, i), batch=batch, lane=i).real for i in lanes])

    def gradient(self, batch) -> np.ndarray:
        """Exact (L, M, n, P) derivatives by all parameters, through the initial values too."""
        return self._complex_step(batch, [0], through_initial=True)

    def dosing_gradient(self, batch) -> np.ndarray:
        """Exact (L, M, n, K) derivatives by initial values, jumps, infusions (if any) and boundaries, in this order."""
        return self._complex_step(batch, [1, 3, 4, 2] if self.infusions else [1, 3, 2], through_initial=False)

    def _complex_step(self, batch, which: list[int], through_initial: bool) -> np.ndarray:
        """Derivatives to machine precision: Im f(x + i h) / h (Squire & Trapp, SIAM Review 40 (1998) 110-112)."""
        lanes = []
        for lane in range(len(batch.times)):
            columns = []
            for position in which:
                for index in np.ndindex(self._arguments(batch, lane)[position].shape):
                    arguments = self._arguments(batch, lane)
                    arguments[position][index] += 1e-30j
                    if through_initial:
                        arguments[1] = np.array(self.initial(arguments[0]), dtype=complex)
                    columns.append(self.solution(*arguments, batch=batch, lane=lane).imag / 1e-30)
            lanes.append(np.stack(columns, axis=-1))
        return np.stack(lanes)


@dataclass(frozen=True)
class Hard:
    """A stiff classic.

    Attributes:
        model: the model.
        rhs: ``rhs(y)`` with the default parameters, written independently in NumPy.
        times: h to compare at.
        atol: absolute tolerance that suits the state's size.
        published: state index to its value at the last of `times`, as printed in the source.
        digits: relative agreement expected with `published`.
    """

    model: Model
    rhs: Callable
    times: np.ndarray
    atol: float = 1e-9
    published: tuple[tuple[int, float], ...] = ()
    digits: float = 1e-8

    @cached_property
    def reference(self) -> np.ndarray:
        """States (M, n) by SciPy's LSODA at its tightest useful tolerance."""
        y0 = np.array([float(s.initial) for s in self.model.species])
        span = (0.0, float(self.times[-1]))
        found = solve_ivp(lambda t, y: self.rhs(y), span, y0, "LSODA", self.times, rtol=1e-12, atol=1e-6 * self.atol)
        assert found.success, found.message
        return found.y.T
