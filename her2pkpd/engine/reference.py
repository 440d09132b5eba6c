"""The reference engine: Kvaerno's 5(4) method, Diffrax's coefficients and controller, in plain JAX.

It is slow and independent: it runs the model's JAX expressions directly (not the traced tape), hits every
boundary and save time exactly instead of interpolating, and so serves as the oracle of the tests and as the
engine for rates the kernel cannot translate.

Source of the method: Kvaerno (2004), Singly diagonally implicit Runge-Kutta methods with an explicit first
stage, BIT Numerical Mathematics 44, 489-502.
"""

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from her2pkpd.engine._reference_program import Fixed, Terms, integrate
from her2pkpd.engine._reference_timeline import Timeline, pad, spread, timeline
from her2pkpd.engine.problem import Batch, Directions, Options, Solution
from her2pkpd.model.model import Model
from her2pkpd.model.trace import UntraceableError, double_precision

_KEPT = 64
_programs: OrderedDict[Any, Callable[..., Any]] = OrderedDict()


def solve(batch: Batch, options: Options | None = None, directions: Directions | None = None) -> Solution:
    """Integrate every lane of a batch; see `her2pkpd.engine.solve`.

    Args:
        batch: the problem.
        options: tolerances and limits; changing them does not recompile.
        directions: derivatives wanted, by forward differentiation of the solve, or None.

    Returns:
        The `Solution`. A derivative with respect to a boundary that coincides with a save time is the one-sided
        one that leaves the saved state after the jump.
    """
    options = options or Options()
    events = timeline(batch)
    rows = events.boundaries.shape[0]
    initial = batch.initial
    assert initial is not None
    terms = Terms(pad(batch.parameters, rows), pad(initial, rows), events.boundaries, events.jump, events.infusion)
    fixed = _fixed(batch.model, events, options, batch.segments.n_lanes)
    tangents = None if directions is None else _tangents(batch, directions, terms)
    with double_precision():
        y, dy, counts = _program(batch.model)(terms, tangents, fixed)
    return _solution(batch, np.asarray(y), None if dy is None else np.asarray(dy), [np.asarray(c) for c in counts])


def _fixed(model: Model, events: Timeline, options: Options, lanes: int) -> Fixed:
    last = events.last.copy()
    last[lanes:] = 0
    scale = np.array([s.scale for s in model.species])
    return Fixed(
        events.source, events.act, events.save, events.segment, last, events.times, events.keep, events.reset,
        np.float64(options.rtol), np.float64(options.atol), scale, np.int64(options.max_steps),
    )  # fmt: skip


def _program(model: Model) -> Callable[..., Any]:
    try:
        key: Any = model.hash
    except UntraceableError:
        # Such a model has no content hash; the entry keeps the object alive, so its id stays its own.
        key = id(model)
    if key not in _programs:
        _programs[key] = jax.jit(partial(integrate, model))
        if len(_programs) > _KEPT:
            _programs.popitem(last=False)
    _programs.move_to_end(key)
    return _programs[key]


def _tangents(batch: Batch, d: Directions, like: Terms) -> Terms:
    """Tangents of everything along every direction, zero where nothing is said, padded like `like`."""
    k, lanes, n = d.count, batch.segments.n_lanes, batch.model.n_species
    rows, inputs = like.initial.shape[0], batch.segments.inputs

    def full(given: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray:
        return np.zeros((*shape, k)) if given is None else np.broadcast_to(np.asarray(given, float), (*shape, k))

    segments = batch.segments.n_segments
    parameters = np.zeros((lanes, batch.model.n_parameters, k))
    for direction, index in enumerate(d.parameters):
        parameters[:, index, direction] = 1.0
    initial = _initial_tangents(batch, parameters) if d.initial is None else full(d.initial, (lanes, n))
    jump = spread(full(d.jump, (lanes, segments, len(inputs))), inputs, n, 0.0)
    infusion = spread(full(d.infusion, (lanes, segments, len(inputs))), inputs, n, 0.0)
    boundaries = full(d.boundaries, (lanes, segments + 1))
    width = like.jump.shape[1]
    return Terms(
        pad(parameters, rows),
        pad(initial, rows),
        pad(boundaries, rows, width + 1),
        pad(jump, rows, width),
        pad(infusion, rows, width),
    )


def _initial_tangents(batch: Batch, parameters: np.ndarray) -> np.ndarray:
    """(L, n, K) derivatives of the model's own initial values along parameter tangents (L, P, K)."""
    model = batch.model

    def initial(p: Any) -> Any:
        return jnp.stack(
            [jnp.asarray(v, dtype=float) for v in model.initial_scalars([p[i] for i in range(model.n_parameters)])]
        )

    with double_precision():
        jacobian = jax.vmap(jax.jacfwd(initial))(batch.parameters)
    return np.einsum("lnp,lpk->lnk", np.asarray(jacobian), parameters)


def _solution(batch: Batch, y: np.ndarray, dy: np.ndarray | None, counts: list[np.ndarray]) -> Solution:
    lanes, saves = batch.times.shape
    y = y[:lanes, :saves]
    if dy is not None:
        dy = np.where(np.isfinite(y)[..., None], dy[:lanes, :saves], np.nan)
    status, steps, rejected = (c[:lanes] for c in counts)
    return Solution(batch.times, y, status, steps, rejected, "reference", dy)
