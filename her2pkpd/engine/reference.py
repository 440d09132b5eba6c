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
from her2pkpd.engine._reference_timeline import Dosing, pad, padded, spread, timeline
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
        directions: derivatives wanted, or None. Their errors are controlled together with those of the states.

    Returns:
        The `Solution`. A derivative with respect to a boundary that coincides with a save time is the one-sided
        one that leaves the saved state after the jump.
    """
    seg = batch.segments
    dosing = Dosing(seg.boundaries, seg.jump, seg.keep, seg.infusion, seg.reset, batch.times)
    with double_precision():
        y, dy, counts = run(
            np, batch.model, batch.parameters, batch.initial, dosing, seg.inputs, options or Options(), directions
        )
        y, dy, (status, steps, rejected) = jax.device_get((y, dy, counts))
    dy = None if dy is None else batch.select(dy)
    return Solution(batch.times, batch.select(y), status, steps, rejected, "reference", dy)


def run(
    xp: Any,
    model: Model,
    parameters: Any,
    initial: Any,
    dosing: Dosing,
    inputs: tuple[int, ...],
    options: Options,
    directions: Directions | None,
) -> tuple[Any, Any, tuple[Any, Any, Any]]:
    """The solve on arrays of module `xp`, NumPy or jax.numpy (then it may be traced); float64 must be on.

    Returns:
        States (L, M, n), derivatives (L, M, n, K) or None, and per lane status, accepted and rejected steps.
    """
    events = timeline(xp, dosing, inputs, model.n_species)
    (lanes, saves), rows = dosing.times.shape, padded(dosing.times.shape[0])
    full = events.dosing
    terms = Terms(pad(xp, parameters, rows), pad(xp, initial, rows), full.boundaries, full.jump, full.infusion)
    tangents = None if directions is None else _tangents(xp, model, parameters, dosing, inputs, directions)
    fixed = Fixed(
        *events[:5], full.times, full.keep, full.reset,
        np.float64(options.rtol), np.float64(options.atol), np.array([s.scale for s in model.species]),
        np.int64(options.max_steps),
    )  # fmt: skip
    y, dy, (status, steps, rejected) = _program(model)(terms, tangents, fixed)
    counts = (status[:lanes], steps[:lanes], rejected[:lanes])
    return y[:lanes, :saves], None if dy is None else dy[:lanes, :saves], counts


def model_key(model: Model) -> Any:
    """What identifies a model in a cache that keeps the model alive: its content, or failing that, itself."""
    try:
        return model.hash
    except UntraceableError:
        return id(model)


def _program(model: Model) -> Callable[..., Any]:
    key = model_key(model)
    if key not in _programs:
        _programs[key] = jax.jit(partial(integrate, model))
        if len(_programs) > _KEPT:
            _programs.popitem(last=False)
    _programs.move_to_end(key)
    return _programs[key]


def _tangents(xp: Any, model: Model, p: Any, dosing: Dosing, inputs: tuple[int, ...], d: Directions) -> Terms:
    """Tangents of everything along every direction, zero where nothing is said, padded."""
    k, n, rows, (lanes, segments, m) = d.count, model.n_species, padded(len(p)), dosing.jump.shape
    width = padded(segments)

    def full(given: Any, shape: tuple[int, ...]) -> Any:
        shape = (lanes, *shape, k)
        return xp.zeros(shape) if given is None else xp.broadcast_to(xp.asarray(given, float), shape)

    moved = np.zeros((model.n_parameters, k))
    moved[list(d.parameters), range(len(d.parameters))] = 1.0
    parameters = xp.broadcast_to(moved, (lanes, *moved.shape))
    initial = initial_tangents(model, p) @ moved if d.initial is None else full(d.initial, (n,))
    dosed = [spread(xp, full(given, (segments, m)), inputs, n, 0.0) for given in (d.jump, d.infusion)]
    return Terms(
        pad(xp, parameters, rows),
        pad(xp, initial, rows),
        pad(xp, full(d.boundaries, (segments + 1,)), rows, width + 1),
        *(pad(xp, x, rows, width) for x in dosed),
    )


def initial_state(model: Model, p: Any) -> Any:
    """The model's own initial values (n,) as JAX, for parameters (P,)."""
    values = model.initial_scalars([p[i] for i in range(model.n_parameters)])
    return jnp.stack([jnp.asarray(v, dtype=float) for v in values])


def initial_tangents(model: Model, p: Any) -> Any:
    """(L, n, P) derivatives of the model's own initial values by its parameters (L, P)."""
    return jax.vmap(jax.jacfwd(partial(initial_state, model)))(p)
