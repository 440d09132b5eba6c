"""The JAX program of the reference engine: one adaptive Kvaerno5 loop over the events of every lane.

Each interval between two events is integrated in unit time, dy/dtau = (t1 - t0) f(y), tau from 0 to 1, so a
derivative with respect to a dose time, a lag or the length of an infusion is the derivative with respect to
an ordinary factor of the rates. Step sizes are constants to the differentiation.
"""

from typing import Any, NamedTuple

import diffrax
import jax
import jax.numpy as jnp

from her2pkpd.engine._reference_step import step
from her2pkpd.engine.problem import Status
from her2pkpd.model.model import Model

RUNNING = -1
"""Status of a lane that has not finished."""

_STRETCH = 1.01
"""A step that would leave less than this fraction of itself goes all the way."""

_SMALLEST = 1e-18
"""Step size, as a fraction of an interval, that no problem in double precision needs."""


class Terms(NamedTuple):
    """What derivatives are taken of: (L, P), (L, n), (L, S+1), (L, S, n), (L, S, n)."""

    parameters: Any
    initial: Any
    boundaries: Any
    jump: Any
    infusion: Any


class Fixed(NamedTuple):
    """What they are not: the events (see `Timeline`), tolerances and limits."""

    source: Any
    act: Any
    save: Any
    segment: Any
    last: Any
    times: Any
    keep: Any
    reset: Any
    rtol: Any
    atol: Any
    max_steps: Any


class _Lane(NamedTuple):
    """State of one lane: position, step size (in h) and controller memory."""

    y: Any
    event: Any
    fresh: Any
    tau: Any
    h: Any
    memory: Any
    steps: Any
    rejected: Any
    status: Any


def integrate(model: Model, terms: Terms, fixed: Fixed) -> tuple[Any, tuple[Any, Any, Any]]:
    """Integrate all lanes.

    Returns:
        Saved states (L, M, n), and per lane status, accepted and rejected steps.
    """
    lanes, n = terms.initial.shape
    saves = fixed.times.shape[1]
    shared = Fixed(0, 0, 0, 0, 0, 0, 0, 0, None, None, None)
    axes = (0, Terms(0, 0, 0, 0, 0), shared)
    advance = jax.vmap(lambda lane, t, f: _advance(model, lane, t, f), in_axes=axes)
    start = _start(terms, fixed)
    out = jnp.full((lanes, saves + 1, n), jnp.nan)

    def running(carry: tuple[_Lane, Any]) -> Any:
        return jnp.any(carry[0].status == RUNNING)

    def body(carry: tuple[_Lane, Any]) -> tuple[_Lane, Any]:
        lane, saved = carry
        lane, row, value = advance(lane, terms, fixed)
        return lane, saved.at[jnp.arange(lanes), row].set(value)

    lane, out = jax.lax.while_loop(running, body, (start, out))
    return out[:, :saves], (lane.status, lane.steps, lane.rejected)


def _start(terms: Terms, fixed: Fixed) -> _Lane:
    lanes = terms.initial.shape[0]
    zero, count = jnp.zeros(lanes), jnp.zeros(lanes, dtype=int)
    finite = jnp.isfinite(terms.parameters).all(axis=1) & jnp.isfinite(fixed.times).all(axis=1)
    status = jnp.where(finite, RUNNING, int(Status.NOT_FINITE))
    memory = (jnp.ones(lanes), jnp.ones(lanes))
    return _Lane(terms.initial, count, jnp.ones(lanes, dtype=bool), zero, zero, memory, count, count, status)


def _advance(model: Model, lane: _Lane, terms: Terms, fixed: Fixed) -> tuple[_Lane, Any, Any]:
    """Act on a fresh event, then try one step; returns the lane, the row to save to (M: none) and the value."""
    saves, active = fixed.times.shape[0], lane.status == RUNNING
    acts = active & lane.fresh & (fixed.act[lane.event] >= 0)
    y = jnp.where(acts, _jump(lane.y, fixed.act[lane.event], terms, fixed), lane.y)
    finite = jnp.isfinite(y).all()
    wanted = active & lane.fresh & finite & (fixed.save[lane.event] >= 0)
    row = jnp.where(wanted, fixed.save[lane.event], saves)

    clock = jnp.concatenate([terms.boundaries, fixed.times])
    done = lane.event >= fixed.last
    following = jnp.minimum(lane.event + 1, fixed.last)
    length = clock[fixed.source[following]] - clock[fixed.source[lane.event]]
    infusion = terms.infusion[jnp.maximum(fixed.segment[lane.event], 0)]
    # A finished lane stands still at a harmless state while the others go on.
    length = jnp.where(active & ~done & finite, length, 0.0)
    y = jnp.where(active & ~finite, jnp.nan, y)
    slope = model.vector_field(y, terms.parameters) + infusion
    broken = ~done & ~jnp.isfinite(slope).all()

    began = active & lane.fresh & (fixed.act[lane.event] >= 0)
    stepped, arrived = _step(model, lane._replace(y=y), slope, length, began, infusion, terms.parameters, fixed)
    idle = length == 0
    # The value of an interval of no length is its starting point; its derivative by the length is the slope.
    y_next = jnp.where(idle, y + length * jnp.where(idle & ~broken, slope, 0.0), stepped.y)
    move = active & ~done & (idle | arrived)
    status = jnp.where(
        ~finite | broken,
        int(Status.NOT_FINITE),
        jnp.where(done, int(Status.OK), _limits(stepped, idle | arrived, length, fixed)),
    )
    chosen = stepped._replace(
        y=jnp.where(active, y_next, lane.y),
        event=lane.event + move,
        fresh=move,
        tau=jnp.where(move, 0.0, stepped.tau),
        h=jnp.where(idle, lane.h, stepped.h),
        steps=jnp.where(idle, lane.steps, stepped.steps),
        rejected=jnp.where(idle, lane.rejected, stepped.rejected),
        status=jnp.where(active, status, lane.status),
    )
    return chosen, row, y


def _jump(y: Any, k: Any, terms: Terms, fixed: Fixed) -> Any:
    y = jnp.where(fixed.reset[k], terms.initial, y)
    return fixed.keep[k] * y + terms.jump[k]


def _limits(lane: _Lane, arrived: Any, length: Any, fixed: Fixed) -> Any:
    least = jnp.maximum(_SMALLEST, 4 * jnp.finfo(float).eps * lane.tau) * length
    status = jnp.where(~arrived & (lane.h < least), int(Status.STEP_TOO_SMALL), RUNNING)
    spent = ~arrived & (lane.steps + lane.rejected >= fixed.max_steps)
    return jnp.where(spent & (status == RUNNING), int(Status.MAX_STEPS), status)


def _step(
    model: Model, lane: _Lane, slope: Any, length: Any, began: Any, infusion: Any, p: Any, fixed: Fixed
) -> tuple[_Lane, Any]:
    """Try one Kvaerno5 step; returns the lane after it and whether it reached the end of the interval."""
    scale = jax.lax.stop_gradient(fixed.atol + fixed.rtol * jnp.abs(lane.y))
    span = jax.lax.stop_gradient(length)
    h = jnp.where(began | (lane.h == 0), _first_step(lane.y, slope, scale), lane.h)
    left = 1.0 - lane.tau
    wish = h / jnp.where(span > 0, span, 1.0)
    last = wish * _STRETCH >= left
    dtau = jax.lax.stop_gradient(jnp.where(last, left, wish))

    def field(y: Any, args: Any) -> Any:
        return args[0] * (model.vector_field(y, args[1]) + args[2])

    y1, error, converged = step(field, lane.y, (length, p, infusion), dtau, scale)
    controller = diffrax.PIDController(
        rtol=fixed.rtol, atol=fixed.atol, norm=_largest, pcoeff=0.3, icoeff=0.4, error_order=5
    )
    error = jax.lax.stop_gradient(jnp.where(converged & jnp.isfinite(error), error, jnp.inf))
    before, after = jax.lax.stop_gradient((lane.y, y1))
    keep, start, stop, _, memory, _ = controller.adapt_step_size(
        0.0, dtau, before, after, None, error, 5, (*lane.memory, False)
    )
    keep = keep & jnp.isfinite(y1).all()
    h_next = (stop - start) * span
    # A step cut short by an event says little about the size the solution allows.
    h_next = jnp.where(keep & last, jnp.maximum(h_next, h), h_next)
    arrived = keep & last
    moved = lane._replace(
        y=jnp.where(keep, y1, lane.y),
        fresh=jnp.zeros_like(lane.fresh),
        tau=jnp.where(keep, lane.tau + dtau, lane.tau),
        h=jax.lax.stop_gradient(h_next),
        memory=memory[:2],
        steps=lane.steps + keep,
        rejected=lane.rejected + ~keep,
    )
    return moved, arrived


def _largest(x: Any) -> Any:
    return jnp.max(jnp.abs(x))


def _first_step(y: Any, slope: Any, scale: Any) -> Any:
    """A step that moves the state by a hundredth of itself, or of its tolerance where that is larger."""
    rate = _largest(slope / scale)
    h = 0.01 * (1 + _largest(y / scale)) / jnp.where(rate > 0, rate, 1.0)
    return jax.lax.stop_gradient(jnp.where(rate > 0, h, jnp.inf))
