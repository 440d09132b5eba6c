"""From JAX expressions to tapes. The one place that reads jaxprs, and so the one that follows JAX's changes."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import jax
import numpy as np

from her2pkpd.model.tape import Tape, TapeBuilder

_SAME_NAME = frozenset({
    "add", "sub", "mul", "div", "neg", "exp", "log", "log1p", "expm1", "sqrt", "tanh", "logistic", "max", "min",
    "abs", "sign", "sin", "cos", "floor", "lt", "le", "gt", "ge", "eq", "ne", "and", "or", "not",
})  # fmt: skip
_IDENTITY = frozenset({
    "copy", "copy_p", "stop_gradient", "reshape", "squeeze", "broadcast_in_dim", "reduce_precision",
    "optimization_barrier",
})  # fmt: skip
_CALLS = frozenset({
    "pjit", "jit", "closed_call", "core_call", "custom_jvp_call", "custom_vjp_call", "remat", "checkpoint",
    "custom_lin",
})  # fmt: skip


class UntraceableError(TypeError):
    """A rate uses a JAX operation that has no scalar meaning here; the reference engine can still run it."""


def double_precision() -> AbstractContextManager[Any]:
    """A scope in which JAX computes in float64, leaving the global setting alone."""
    return jax.enable_x64(True)


def trace(function: Callable[..., Sequence[Any]], n_inputs: int) -> Tape:
    """Trace a function of scalars.

    Args:
        function: takes `n_inputs` JAX scalars, returns a sequence of scalars.
        n_inputs: number of inputs; inputs the function ignores keep their position.

    Returns:
        The `Tape` of its outputs.

    Raises:
        UntraceableError: if it uses an operation outside scalar arithmetic (an array reduction, a loop).
    """
    with double_precision():
        closed = jax.make_jaxpr(lambda *args: tuple(function(*args)))(*(np.float64(1.0),) * n_inputs)
        build = TapeBuilder(n_inputs)
        outputs = _inline(build, closed, build.inputs)
    return build.finish(outputs)


def _open(closed: Any) -> tuple[Any, Sequence[Any]]:
    """Jaxpr and constants, for JAX before 0.11 (two classes) and after (one)."""
    return getattr(closed, "jaxpr", closed), getattr(closed, "consts", ())


def _inline(build: TapeBuilder, closed: Any, args: Sequence[int]) -> list[int]:
    jaxpr, consts = _open(closed)
    known: dict[Any, int] = dict(zip(jaxpr.invars, args, strict=True))
    known |= {var: build.const(_scalar(value)) for var, value in zip(jaxpr.constvars, consts, strict=True)}

    def read(atom: Any) -> int:
        return build.const(_scalar(atom.val)) if hasattr(atom, "val") else known[atom]

    for eqn in jaxpr.eqns:
        results = _equation(build, eqn, [read(a) for a in eqn.invars])
        known.update(zip(eqn.outvars, results, strict=True))
    return [read(a) for a in jaxpr.outvars]


def _scalar(value: Any) -> float | bool:
    array = np.asarray(value)
    if array.size != 1:
        raise UntraceableError(f"a rate holds an array constant of shape {array.shape}; write it with scalars")
    item = array.reshape(()).item()
    return item if isinstance(item, bool) else float(item)


def _equation(build: TapeBuilder, eqn: Any, args: list[int]) -> list[int]:
    name = eqn.primitive.name
    if name in _CALLS:
        inner = next(eqn.params[k] for k in ("jaxpr", "call_jaxpr", "fun_jaxpr") if k in eqn.params)
        return _inline(build, inner, args)
    return [_operation(build, name, eqn, args)]


def _operation(build: TapeBuilder, name: str, eqn: Any, args: list[int]) -> int:  # noqa: PLR0911
    if name in _SAME_NAME:
        return build.apply(name, *args)
    if name in _IDENTITY:
        return args[0]
    if name == "convert_element_type":
        return _convert(build, eqn, args[0])
    if name == "select_n":
        return build.apply("select", *args)
    if name == "integer_pow":
        return build.integer_power(args[0], int(eqn.params["y"]))
    if name == "pow":
        exponent = build.value(args[1])
        if exponent is not None and float(exponent).is_integer() and abs(exponent) <= 8:
            return build.integer_power(args[0], int(exponent))
        return build.apply("pow", *args)
    if name == "add_any":  # how reverse-mode derivatives add up
        return build.apply("add", *args)
    if name == "square":
        return build.apply("mul", args[0], args[0])
    if name == "rsqrt":
        return build.apply("div", build.const(1.0), build.apply("sqrt", args[0]))
    if name == "exp2":
        return build.apply("exp", build.apply("mul", args[0], build.const(float(np.log(2.0)))))
    if name == "is_finite":
        return build.const(True)
    raise UntraceableError(
        f"the JAX operation '{name}' has no scalar form here; use arithmetic, exp, log, pow, tanh, where"
    )


def _convert(build: TapeBuilder, eqn: Any, arg: int) -> int:
    from_bool = eqn.invars[0].aval.dtype == np.bool_
    to_bool = eqn.params["new_dtype"] == np.bool_
    if from_bool and not to_bool:
        return build.apply("select", arg, build.const(0.0), build.const(1.0))
    if to_bool and not from_bool:
        return build.apply("ne", arg, build.const(0.0))
    return arg
