"""A solve as one JAX operation.

`jax.grad`, `jacfwd`, `jacrev`, `vmap`, `jit`, optimistix and NumPyro see an ordinary function. The kernel runs
outside JAX, called once per evaluation with all lanes. Its forward sensitivities come back as a tensor, and the
derivative is the product of that tensor with whatever tangents (or cotangents) JAX brings, so forward and
reverse mode cost the same single solve. Batch axes added by `vmap` (chains, starts) become more lanes. Only
arguments that carry derivatives are differentiated; second derivatives are refused.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from her2pkpd.engine import reference
from her2pkpd.engine._reference_timeline import Dosing
from her2pkpd.engine.problem import Batch, Directions, Options, Segments
from her2pkpd.engine.select import EngineName, resolve, solve
from her2pkpd.errors import InputError, Problem, Problems
from her2pkpd.model.model import Model

_KEPT = 256
_operations: OrderedDict[Any, Callable[..., Any]] = OrderedDict()


class SecondDerivativeError(NotImplementedError):
    """A derivative of a derivative of `solve_jax` was asked for."""


class _Values(NamedTuple):
    """What may carry derivatives: (L, P), (L, n), (L, K+1), (L, K, m), (L, K, m)."""

    parameters: Any
    initial: Any
    boundaries: Any
    jump: Any
    infusion: Any


class _Rest(NamedTuple):
    """What may not: (L, K, m), (L, K), (L, M)."""

    keep: Any
    reset: Any
    times: Any


@dataclass(frozen=True)
class _Problem:
    """The static part of a solve; `wrt` are the parameters that may carry derivatives."""

    model: Model
    inputs: tuple[int, ...]
    options: Options
    engine: EngineName
    wrt: tuple[int, ...]
    own_initial: bool

    @property
    def key(self) -> Any:
        return (reference.model_key(self.model), self.inputs, self.options, self.engine, self.wrt, self.own_initial)


def solve_jax(  # noqa: PLR0913 - the arguments of a dosing table, each of which may carry derivatives
    model: Model,
    parameters: Any,
    segments: Segments,
    times: Any,
    *,
    initial: Any = None,
    boundaries: Any = None,
    jump: Any = None,
    infusion: Any = None,
    wrt: Sequence[str | int] | None = None,
    options: Options | None = None,
    engine: EngineName = "auto",
) -> Any:
    """States at the save times, as a differentiable JAX operation.

    Args:
        model: the model.
        parameters: (L, n_parameters), or (n_parameters,) for all lanes.
        segments: the dosing of L lanes; its boundaries, jumps and infusions may be overridden below.
        times: (L, M) or (M,) save times; constants.
        initial: (L, n_species) or (n_species,), or None for the model's own initial values, whose dependence
            on the parameters is then part of the derivative.
        boundaries: (L, K+1) in h, instead of those of `segments`, when they carry derivatives (lag, duration).
        jump: (L, K, m), likewise.
        infusion: (L, K, m), likewise.
        wrt: parameters (names or positions) that derivatives are wanted for; the others count as constants.
            A derivative costs in proportion to their number. None means all.
        options: tolerances and limits.
        engine: as in `her2pkpd.engine.solve`.

    Returns:
        (L, M, n_species), float64; NaN from where a lane failed. A lane whose boundaries are out of order, or
        do not cover its save times, counts as failed.

    Raises:
        InputError: if JAX is not in double precision, or a parameter or an engine is unknown.
        SecondDerivativeError: when differentiated twice.
    """
    _require_double_precision()
    static = _Problem(
        model, segments.inputs, options or Options(), resolve(engine, model), _positions(model, wrt), initial is None
    )
    lanes, n = segments.n_lanes, model.n_species
    shape = segments.jump.shape
    p = jnp.broadcast_to(jnp.asarray(parameters, dtype=float), (lanes, model.n_parameters))
    y = jnp.zeros((lanes, n)) if initial is None else jnp.broadcast_to(jnp.asarray(initial, dtype=float), (lanes, n))
    values = _Values(
        p,
        y,
        _given(boundaries, segments.boundaries, segments.boundaries.shape),
        _given(jump, segments.jump, shape),
        _given(infusion, segments.infusion, shape),
    )
    t = jnp.asarray(times, dtype=float)
    rest = _Rest(jnp.asarray(segments.keep), jnp.asarray(segments.reset), jnp.broadcast_to(t, (lanes, t.shape[-1])))
    return _operation(static)(values, rest)


def _given(value: Any, default: np.ndarray, shape: tuple[int, ...]) -> Any:
    return jnp.broadcast_to(jnp.asarray(default if value is None else value, dtype=float), shape)


def _require_double_precision() -> None:
    if jnp.zeros(()).dtype != np.float64:
        line = 'jax.config.update("jax_enable_x64", True)'
        raise InputError(Problem("solve_jax needs double precision", f"Put `{line}` at the top of the program."))


def _positions(model: Model, wrt: Sequence[str | int] | None) -> tuple[int, ...]:
    if wrt is None:
        return tuple(range(model.n_parameters))
    problems = Problems()
    found = []
    for item in wrt:
        position = model.parameter_index.get(item, -1) if isinstance(item, str) else int(item)
        if not 0 <= position < model.n_parameters:
            problems.add(f"the model has no parameter '{item}'", f"Available: {', '.join(model.parameter_index)}.")
        found.append(position)
    problems.raise_any()
    return tuple(dict.fromkeys(found))


def _operation(static: _Problem) -> Callable[..., Any]:
    """The differentiable operation of a static problem; kept, so that equal calls share compiled code."""
    if static.key not in _operations:
        _operations[static.key] = _make(static)
        if len(_operations) > _KEPT:
            _operations.popitem(last=False)
    _operations.move_to_end(static.key)
    return _operations[static.key]


def _make(static: _Problem) -> Callable[..., Any]:
    @jax.custom_jvp
    def operation(values: _Values, rest: _Rest) -> Any:
        return _states(static, (), values, rest)

    def tangent(primals: tuple[_Values, _Rest], tangents: tuple[_Values, _Rest]) -> tuple[Any, Any]:
        values, rest = primals
        if not all(map(_is_zero, tangents[1])):
            raise InputError(Problem("save times cannot carry derivatives", "Use stop_gradient on them."))
        moving = _moving(static, tangents[0])
        if not moving:
            y = _states(static, (), values, rest)
            return y, jnp.zeros_like(y)
        y, sensitivity = _derivative(static, moving, values, rest)
        return y, _contract(static, moving, sensitivity, tangents[0])

    operation.defjvp(tangent, symbolic_zeros=True)
    return operation


def _moving(static: _Problem, tangents: _Values) -> tuple[str, ...]:
    """Names of the values that carry derivatives here."""
    idle = {"initial"} if static.own_initial else set()
    if not static.wrt:
        idle.add("parameters")
    return tuple(name for name in _Values._fields if name not in idle and not _is_zero(getattr(tangents, name)))


def _is_zero(tangent: Any) -> bool:
    return isinstance(tangent, jax.custom_derivatives.SymbolicZero)


def _contract(static: _Problem, moving: tuple[str, ...], sensitivity: Any, tangents: _Values) -> Any:
    """Sensitivities (L, M, n, K) times tangents; linear, so that JAX can transpose it."""
    columns = []
    for name in moving:
        tangent = getattr(tangents, name)
        tangent = tangent[:, list(static.wrt)] if name == "parameters" else tangent
        columns.append(tangent.reshape(tangent.shape[0], -1))
    return jnp.einsum("lmnk,lk->lmn", sensitivity, jnp.concatenate(columns, axis=1))


def _directions(static: _Problem, moving: tuple[str, ...], dosing_shape: tuple[int, ...]) -> Directions:
    """One direction per entry of everything that moves, in the order of `moving`."""
    lanes, k, m = dosing_shape
    shapes = {"initial": (static.model.n_species,), "boundaries": (k + 1,), "jump": (k, m), "infusion": (k, m)}
    wrt = static.wrt if "parameters" in moving else ()
    sizes = [len(wrt) if name == "parameters" else int(np.prod(shapes[name])) for name in moving]
    count, start, given = sum(sizes), 0, {}
    for name, size in zip(moving, sizes, strict=True):
        if name != "parameters":
            block = np.zeros((size, count))
            block[:, start : start + size] = np.eye(size)
            given[name] = np.broadcast_to(block.reshape(*shapes[name], count), (lanes, *shapes[name], count))
        start += size
    if not static.own_initial and "initial" not in given:
        given["initial"] = np.zeros((lanes, static.model.n_species, count))
    return Directions(wrt, **given)


def _states(static: _Problem, moving: tuple[str, ...], values: _Values, rest: _Rest) -> Any:
    y, _ = _evaluate(static, moving, values, rest)
    return y


def _derivative(static: _Problem, moving: tuple[str, ...], values: _Values, rest: _Rest) -> tuple[Any, Any]:
    """States and sensitivities; differentiating these again is refused with a clear message."""

    @jax.custom_jvp
    def first(values: _Values, rest: _Rest) -> tuple[Any, Any]:
        return _evaluate(static, moving, values, rest)

    @first.defjvp
    def refuse(primals: Any, tangents: Any) -> Any:
        raise SecondDerivativeError(
            "solve_jax has first derivatives only. For a Hessian of a sum of squares use the Gauss-Newton product "
            "of first derivatives (jax.jacfwd of the residuals); otherwise difference the gradient."
        )

    return first(values, rest)


def _evaluate(static: _Problem, moving: tuple[str, ...], values: _Values, rest: _Rest) -> tuple[Any, Any]:
    if static.engine == "reference":
        return _inside(static, moving, values, rest)
    lanes, saves = rest.times.shape
    n = static.model.n_species
    shapes = [jax.ShapeDtypeStruct((lanes, saves, n), np.float64)]
    if moving:
        count = _directions(static, moving, values.jump.shape).count
        shapes.append(jax.ShapeDtypeStruct((lanes, saves, n, count), np.float64))

    def host(values: _Values, rest: _Rest) -> tuple[np.ndarray, ...]:
        return _outside(static, moving, _Values(*map(np.asarray, values)), _Rest(*map(np.asarray, rest)))

    found = jax.pure_callback(host, tuple(shapes), values, rest, vmap_method="broadcast_all")
    return found[0], found[1] if moving else None


def _inside(static: _Problem, moving: tuple[str, ...], values: _Values, rest: _Rest) -> tuple[Any, Any]:
    """The reference engine is JAX already and is traced, not called."""
    model = static.model
    initial = (
        jax.vmap(lambda p: reference.initial_state(model, p))(values.parameters)
        if static.own_initial
        else values.initial
    )
    bad = _misordered(jnp, values.boundaries, rest.times)
    parameters = jnp.where(bad[:, None], jnp.nan, values.parameters)
    dosing = Dosing(values.boundaries, values.jump, rest.keep, values.infusion, rest.reset, rest.times)
    directions = _directions(static, moving, values.jump.shape) if moving else None
    y, dy, _ = reference.run(jnp, model, parameters, initial, dosing, static.inputs, static.options, directions)
    return y, dy


def _outside(static: _Problem, moving: tuple[str, ...], values: _Values, rest: _Rest) -> tuple[np.ndarray, ...]:
    """Runs on the host, in NumPy; leading axes that `vmap` added are more lanes."""
    outer = rest.times.shape[:-2]
    values = _Values(*(_flat(x, outer) for x in values))
    rest = _Rest(*(_flat(x, outer) for x in rest))
    bad = _misordered(np, values.boundaries, rest.times)
    boundaries = np.where(bad[:, None], 0.0, values.boundaries)
    times = np.where(bad[:, None], 0.0, rest.times)
    parameters = np.where(bad[:, None], np.nan, values.parameters)
    segments = Segments(boundaries, static.inputs, values.jump, rest.keep, values.infusion, rest.reset)
    initial = None if static.own_initial else values.initial
    batch = Batch(static.model, parameters, segments, times, initial)
    directions = _directions(static, moving, values.jump.shape) if moving else None
    solution = solve(batch, static.options, directions, engine=static.engine)
    missing = bad[:, None, None] | ~np.isfinite(solution.y)
    results = [np.where(missing, np.nan, solution.y)]
    if solution.dy is not None:
        results.append(np.where(missing[..., None], np.nan, solution.dy))
    return tuple(x.reshape(*outer, -1, *x.shape[1:]) for x in results)


def _flat(array: np.ndarray, outer: tuple[int, ...]) -> np.ndarray:
    return array.reshape(-1, *array.shape[len(outer) + 1 :])


def _misordered(xp: Any, boundaries: Any, times: Any) -> Any:
    """(L,) whether a lane's boundaries are not in order or do not cover its save times."""
    ordered = (xp.diff(boundaries, axis=1) >= 0).all(axis=1) & xp.isfinite(boundaries).all(axis=1)
    inside = (times >= boundaries[:, :1]) & (times <= boundaries[:, -1:])
    return ~(ordered & inside.all(axis=1))
