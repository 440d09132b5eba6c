"""The JAX program of the reference engine: one adaptive loop over the events of every lane.

Each interval between two events is integrated in unit time, dy/dtau = (t1 - t0) f(y), tau from 0 to 1, so a
derivative with respect to a dose time, a lag or the length of an infusion is the derivative with respect to
an ordinary factor of the rates.

Derivatives are tangents of the very steps taken, with step sizes as constants. Their own error estimates take
part in the choice of step: a lane that holds no drug has nothing to resolve in its state, but much in how the
state would answer to a dose.
"""

from collections.abc import Callable
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
    """What derivatives are taken of: (L, P), (L, n), (L, S+1), (L, S, n), (L, S, n); tangents end in K."""

    parameters: Any
    initial: Any
    boundaries: Any
    jump: Any
    infusion: Any


class Fixed(NamedTuple):
    """What they are not: the events (see `Timeline`), tolerances and limits, and the weight of each direction."""

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
    scale: Any
    max_steps: Any
    weight: Any = None


class _Lane(NamedTuple):
    """One lane: state (n,), tangents (n, K) or None, position, step size (in h), controller memory, counts."""

    y: Any
    dy: Any
    event: Any
    fresh: Any
    tau: Any
    h: Any
    memory: Any
    steps: Any
    rejected: Any
    status: Any


class _Attempt(NamedTuple):
    """What came of trying a step: the new state, and whether it is kept and ends the interval."""

    y: Any
    dy: Any
    kept: Any
    arrived: Any
    tau: Any
    h: Any
    memory: Any


def integrate(
    model: Model, terms: Terms, tangents: Terms | None, fixed: Fixed
) -> tuple[Any, Any, tuple[Any, Any, Any]]:
    """Integrate all lanes.

    Returns:
        Saved states (L, M, n), their derivatives (L, M, n, K) or None, and per lane status, accepted and
        rejected steps.
    """
    (lanes, n), saves = terms.initial.shape, fixed.times.shape[1]
    if tangents is not None:
        fixed = fixed._replace(weight=_weight(terms, tangents, fixed.scale))
    shared = Fixed(0, 0, 0, 0, 0, 0, 0, 0, None, None, None, None, 0)
    advance = jax.vmap(lambda lane, t, d, f: _advance(model, lane, t, d, f), in_axes=(0, 0, 0, shared))
    out = jnp.full((lanes, saves + 1, n), jnp.nan)
    dout = None if tangents is None else jnp.full((lanes, saves + 1, n, tangents.initial.shape[-1]), jnp.nan)

    def running(carry: tuple[_Lane, Any, Any]) -> Any:
        return jnp.any(carry[0].status == RUNNING)

    def body(carry: tuple[_Lane, Any, Any]) -> tuple[_Lane, Any, Any]:
        lane, out, dout = carry
        lane, row, y, dy = advance(lane, terms, tangents, fixed)
        place = (jnp.arange(lanes), row)
        return lane, out.at[place].set(y), None if dout is None else dout.at[place].set(dy)

    lane, out, dout = jax.lax.while_loop(running, body, (_start(terms, tangents, fixed), out, dout))
    return out[:, :saves], None if dout is None else dout[:, :saves], (lane.status, lane.steps, lane.rejected)


def _start(terms: Terms, tangents: Terms | None, fixed: Fixed) -> _Lane:
    lanes = terms.initial.shape[0]
    zero, count = jnp.zeros(lanes), jnp.zeros(lanes, dtype=int)
    finite = jnp.isfinite(terms.parameters).all(axis=1) & jnp.isfinite(fixed.times).all(axis=1)
    status = jnp.where(finite, RUNNING, int(Status.NOT_FINITE))
    memory = (jnp.ones(lanes), jnp.ones(lanes))
    dy = None if tangents is None else tangents.initial
    return _Lane(terms.initial, dy, count, jnp.ones(lanes, dtype=bool), zero, zero, memory, count, count, status)


def _weight(terms: Terms, tangents: Terms, scale: Any) -> Any:
    """(L, K) how far each direction moves its inputs, relative to their size; makes absolute tolerances of it."""
    size = jnp.where(terms.parameters == 0, 1.0, jnp.abs(terms.parameters))
    sizes = Terms(size, scale, 1.0, scale, scale)
    moves = [jnp.abs(d) / jnp.broadcast_to(s, d.shape[:-1])[..., None] for d, s in zip(tangents, sizes, strict=True)]
    return jnp.max(jnp.stack([m.reshape(m.shape[0], -1, m.shape[-1]).max(axis=1) for m in moves]), axis=0)


def _push(function: Callable[..., tuple[Any, Any]], primals: tuple[Any, ...], tangents: Any) -> tuple[Any, Any, Any]:
    """Value, derivatives along the last axis of `tangents` (None: none) and auxiliary output of `function`."""
    if tangents is None:
        value, aux = function(*primals)
        return value, None, aux

    def along(tangent: Any) -> tuple[Any, Any, Any]:
        return jax.jvp(function, primals, tangent, has_aux=True)

    return jax.vmap(along, in_axes=-1, out_axes=(None, -1, None))(tangents)


def _where(condition: Any, yes: Any, no: Any) -> Any:
    return None if yes is None else jnp.where(condition, yes, no)


def _advance(model: Model, lane: _Lane, terms: Terms, tangents: Any, fixed: Fixed) -> tuple[_Lane, Any, Any, Any]:
    """Act on a fresh event, then try one step; also returns the row to save to (M: none) and what to save."""
    event, active = lane.event, lane.status == RUNNING
    acts = active & lane.fresh & (fixed.act[event] >= 0)

    def act(y: Any, t: Terms) -> tuple[Any, None]:
        k = fixed.act[event]
        return fixed.keep[k] * jnp.where(fixed.reset[k], t.initial, y) + t.jump[k], None

    def look(y: Any, t: Terms) -> tuple[Any, None]:
        slope = model.vector_field(y, t.parameters) + _infusion(t, fixed, event)
        return (slope, _length(t, fixed, event)), None

    y, dy, _ = _push(act, (lane.y, terms), None if tangents is None else (lane.dy, tangents))
    y, dy = jnp.where(acts, y, lane.y), _where(acts, dy, lane.dy)
    finite = jnp.isfinite(y).all()
    saved = active & lane.fresh & finite & (fixed.save[event] >= 0)
    row = jnp.where(saved, fixed.save[event], fixed.times.shape[0])

    both = None if tangents is None else (dy, tangents)
    (slope, length), changes, _ = _push(look, (y, terms), both)
    dslope, dlength = (None, None) if changes is None else changes
    done = event >= fixed.last
    idle = length == 0
    broken = ~finite | (~done & ~jnp.isfinite(slope).all())
    lane = lane._replace(y=y, dy=dy)
    tried = _attempt(model, lane, terms, tangents, fixed, (slope, dslope, length, acts))

    # The value of an interval of no length is its starting point; its derivative by the length is the slope.
    y_end = jnp.where(idle, y, tried.y)
    dy_end = None if dy is None else jnp.where(idle, dy + slope[:, None] * dlength, tried.dy)
    moves = active & ~done & ~broken & (idle | tried.arrived)
    works = active & ~done & ~broken & ~idle
    after = lane._replace(
        y=jnp.where(moves | works, y_end, y),
        dy=_where(moves | works, dy_end, dy),
        event=event + moves,
        fresh=moves,
        tau=jnp.where(moves | ~works, 0.0, tried.tau),
        h=jnp.where(works, tried.h, lane.h),
        memory=tuple(jnp.where(works, new, old) for new, old in zip(tried.memory, lane.memory, strict=True)),
        steps=lane.steps + (works & tried.kept),
        rejected=lane.rejected + (works & ~tried.kept),
    )
    outcome = jnp.where(works & ~tried.arrived, _limits(after, length, fixed), RUNNING)
    outcome = jnp.where(done & finite, int(Status.OK), jnp.where(broken, int(Status.NOT_FINITE), outcome))
    return after._replace(status=jnp.where(active, outcome, lane.status)), row, y, dy


def _infusion(terms: Terms, fixed: Fixed, event: Any) -> Any:
    return terms.infusion[jnp.maximum(fixed.segment[event], 0)]


def _length(terms: Terms, fixed: Fixed, event: Any) -> Any:
    """Length in h of the interval after an event; zero after the last."""
    clock = jnp.concatenate([terms.boundaries, fixed.times])
    following = jnp.minimum(event + 1, fixed.last)
    return jnp.where(event < fixed.last, clock[fixed.source[following]] - clock[fixed.source[event]], 0.0)


def _limits(lane: _Lane, length: Any, fixed: Fixed) -> Any:
    least = jnp.maximum(_SMALLEST, 4 * jnp.finfo(float).eps * lane.tau) * length
    spent = lane.steps + lane.rejected >= fixed.max_steps
    status = jnp.where(spent, int(Status.MAX_STEPS), RUNNING)
    return jnp.where(lane.h < least, int(Status.STEP_TOO_SMALL), status)


def _attempt(model: Model, lane: _Lane, terms: Terms, tangents: Any, fixed: Fixed, seen: tuple[Any, ...]) -> _Attempt:
    """Try one step inside an interval of positive length; `seen` is slope, its tangents, length, fresh start."""
    slope, dslope, length, began = seen
    scale = fixed.atol * fixed.scale + fixed.rtol * jnp.abs(lane.y)
    span = jnp.where(length > 0, length, 1.0)
    first = jnp.minimum(_first_step(lane.y, slope, scale), _first_tangent_step(lane.dy, dslope, fixed))
    h = jnp.where(began | (lane.h == 0), first, lane.h)
    left = 1.0 - lane.tau
    last = h / span * _STRETCH >= left
    dtau = jnp.where(last, left, h / span)

    def field(y: Any, args: Any) -> Any:
        return args[0] * (model.vector_field(y, args[1]) + args[2])

    def trial(y: Any, t: Terms) -> tuple[Any, Any]:
        args = (_length(t, fixed, lane.event), t.parameters, _infusion(t, fixed, lane.event))
        result = step(field, y, args, dtau, scale)
        return (result.y, result.error), result.converged

    both = None if tangents is None else (lane.dy, tangents)
    (y, error), moved, converged = _push(trial, (lane.y, terms), both)
    dy, derror = (None, None) if moved is None else moved
    y_ratio = _ratio(error, jnp.maximum(jnp.abs(lane.y), jnp.abs(y)), fixed.atol * fixed.scale, fixed.rtol)
    ratio = jnp.maximum(y_ratio, _tangent_ratio(derror, lane.dy, dy, fixed))
    ratio = jnp.where(converged & jnp.isfinite(ratio), ratio, jnp.inf)

    # Errors go to the controller already in units of the tolerance.
    controller = diffrax.PIDController(rtol=0.0, atol=1.0, norm=jnp.max, pcoeff=0.3, icoeff=0.4, error_order=5)
    none = jnp.zeros(1)
    kept, start, stop, _, memory, _ = controller.adapt_step_size(
        0.0, dtau, none, none, None, ratio[None], 5, (*lane.memory, False)
    )
    h_next = (stop - start) * span
    # A step cut short by an event says little about the size the solution allows.
    h_next = jnp.where(kept & last, jnp.maximum(h_next, h), h_next)
    return _Attempt(
        jnp.where(kept, y, lane.y),
        _where(kept, dy, lane.dy),
        kept,
        kept & last,
        jnp.where(kept, lane.tau + dtau, lane.tau),
        h_next,
        memory[:2],
    )


def _largest(x: Any) -> Any:
    return jnp.max(jnp.abs(x))


def _ratio(error: Any, size: Any, atol: Any, rtol: Any) -> Any:
    """Largest error in units of the tolerance; NaN where it is not a number."""
    return _largest(error / (atol + rtol * size))


def _tangent_tolerance(size: Any, fixed: Fixed) -> Any:
    """(n, K) tolerance of tangents of absolute size `size`; zero only where nothing moves."""
    along = jnp.maximum(jnp.max(size / fixed.scale[:, None], axis=0), fixed.weight)
    tolerance = fixed.rtol * size + fixed.atol * fixed.scale[:, None] * along
    return jnp.where(tolerance > 0, tolerance, 1.0)


def _tangent_ratio(error: Any, before: Any, after: Any, fixed: Fixed) -> Any:
    if error is None:
        return 0.0
    return _largest(error / _tangent_tolerance(jnp.maximum(jnp.abs(before), jnp.abs(after)), fixed))


def _first_step(y: Any, slope: Any, scale: Any) -> Any:
    """A step that moves the state by a hundredth of itself, or of its tolerance where that is larger."""
    rate = _largest(slope / scale)
    h = 0.01 * (1 + _largest(y / scale)) / jnp.where(rate > 0, rate, 1.0)
    return jnp.where(rate > 0, h, jnp.inf)


def _first_tangent_step(dy: Any, dslope: Any, fixed: Fixed) -> Any:
    """As `_first_step`, for the tangents; one that starts from zero says nothing yet."""
    if dy is None:
        return jnp.inf
    return _first_step(dy, dslope, jnp.where(jnp.any(dy != 0, axis=0), _tangent_tolerance(jnp.abs(dy), fixed), jnp.inf))
