"""SBML formulas as expressions of the model layer."""

import math
from collections.abc import Callable, Mapping
from functools import cache, reduce
from itertools import pairwise
from typing import Any

import jax.numpy as jnp

Lookup = Callable[[str], Any]
"""Value of a symbol by identifier."""

Formula = Callable[[Lookup], Any]
"""A formula, to be given the values of its symbols."""

TIME = "time"
"""The symbol of simulated time, whatever a file calls it."""


class UnsupportedMathError(ValueError):
    """A formula uses something this reader does not translate; the message is its name."""


def _fold(operation: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    return lambda *x: reduce(operation, x)


def _chain(compare: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    return lambda *x: reduce(jnp.logical_and, (compare(a, b) for a, b in pairwise(x)))


def _piecewise(*x: Any) -> Any:
    """Value and condition in turn, perhaps a last value for all other cases."""
    if len(x) % 2 == 0:
        raise UnsupportedMathError("piecewise without otherwise")
    result = x[-1]
    for value, condition in reversed(list(zip(x[:-1:2], x[1:-1:2], strict=True))):
        result = jnp.where(condition, value, result)
    return result


def power(base: Any, exponent: Any) -> Any:
    """`base` to the power `exponent`.

    A concentration that rounding took below zero has no broken power; it counts as zero there.
    """
    if isinstance(exponent, (int, float)) and float(exponent).is_integer():
        return base ** int(exponent)
    positive = base > 0
    return jnp.where(positive, jnp.where(positive, base, 1.0) ** exponent, 0.0 * exponent)


@cache
def _table() -> Mapping[int, Callable[..., Any]]:
    import libsbml as lib

    return {
        lib.AST_PLUS: lambda *x: sum(x[1:], x[0]) if x else 0.0,
        lib.AST_TIMES: lambda *x: reduce(lambda a, b: a * b, x, 1.0),
        lib.AST_MINUS: lambda *x: -x[0] if len(x) == 1 else x[0] - x[1],
        lib.AST_DIVIDE: lambda a, b: a / b,
        lib.AST_POWER: power, lib.AST_FUNCTION_POWER: power,
        lib.AST_FUNCTION_ROOT: lambda *x: jnp.sqrt(x[0]) if len(x) == 1 else power(x[1], 1.0 / x[0]),
        lib.AST_FUNCTION_EXP: jnp.exp, lib.AST_FUNCTION_LN: jnp.log,
        lib.AST_FUNCTION_LOG: lambda *x: jnp.log(x[-1]) / (jnp.log(x[0]) if len(x) == 2 else math.log(10.0)),
        lib.AST_FUNCTION_ABS: jnp.abs, lib.AST_FUNCTION_FLOOR: jnp.floor,
        lib.AST_FUNCTION_CEILING: lambda x: -jnp.floor(-x),
        lib.AST_FUNCTION_SIN: jnp.sin, lib.AST_FUNCTION_COS: jnp.cos, lib.AST_FUNCTION_TANH: jnp.tanh,
        lib.AST_FUNCTION_TAN: lambda x: jnp.sin(x) / jnp.cos(x),
        lib.AST_FUNCTION_MAX: _fold(jnp.maximum), lib.AST_FUNCTION_MIN: _fold(jnp.minimum),
        lib.AST_FUNCTION_PIECEWISE: _piecewise,
        lib.AST_LOGICAL_AND: _fold(jnp.logical_and), lib.AST_LOGICAL_OR: _fold(jnp.logical_or),
        lib.AST_LOGICAL_NOT: jnp.logical_not, lib.AST_LOGICAL_XOR: _fold(lambda a, b: a != b),
        lib.AST_RELATIONAL_LT: _chain(lambda a, b: a < b), lib.AST_RELATIONAL_LEQ: _chain(lambda a, b: a <= b),
        lib.AST_RELATIONAL_GT: _chain(lambda a, b: a > b), lib.AST_RELATIONAL_GEQ: _chain(lambda a, b: a >= b),
        lib.AST_RELATIONAL_EQ: _chain(lambda a, b: a == b), lib.AST_RELATIONAL_NEQ: lambda a, b: a != b,
    }  # fmt: skip


@cache
def _constants() -> Mapping[int, float | bool]:
    import libsbml as lib

    return {
        lib.AST_CONSTANT_PI: math.pi,
        lib.AST_CONSTANT_E: math.e,
        lib.AST_CONSTANT_TRUE: True,
        lib.AST_CONSTANT_FALSE: False,
    }


def formula(node: Any, functions: Mapping[str, Any]) -> Formula:
    """Translate libSBML's tree.

    Args:
        node: the tree.
        functions: the file's function definitions by identifier, as libSBML trees of lambdas.

    Returns:
        The formula as a function of its symbols' values.

    Raises:
        UnsupportedMathError: naming the first thing that cannot be translated.
    """
    import libsbml as lib

    kind = node.getType()
    if node.isNumber():
        value = float(node.getValue())
        return lambda _: value
    if kind in _constants():
        constant = _constants()[kind]
        return lambda _: constant
    if kind in (lib.AST_NAME, lib.AST_NAME_TIME):
        name = TIME if kind == lib.AST_NAME_TIME else node.getName()
        return lambda look: look(name)
    arguments = [formula(node.getChild(i), functions) for i in range(node.getNumChildren())]
    if kind == lib.AST_FUNCTION:
        return _call(node.getName(), arguments, functions)
    if kind not in _table():
        raise UnsupportedMathError(node.getName() or node.getOperatorName() or f"node type {kind}")
    operation = _table()[kind]
    return lambda look: operation(*(a(look) for a in arguments))


def _call(name: str, arguments: list[Formula], functions: Mapping[str, Any]) -> Formula:
    if name not in functions:
        raise UnsupportedMathError(f"the undefined function '{name}'")
    tree = functions[name]
    last = tree.getNumChildren() - 1
    formal = [tree.getChild(i).getName() for i in range(last)]
    # A definition may call others but, by the standard, not itself.
    body = formula(tree.getChild(last), {k: v for k, v in functions.items() if k != name})

    def value(look: Lookup) -> Any:
        actual = dict(zip(formal, (a(look) for a in arguments), strict=True))
        return body(lambda symbol: actual[symbol] if symbol in actual else look(symbol))

    return value


def symbols(node: Any) -> set[str]:
    """Identifiers a libSBML tree refers to, `TIME` among them where it does."""
    import libsbml as lib

    found = set().union(*(symbols(node.getChild(i)) for i in range(node.getNumChildren()))) if node else set()
    if node.getType() == lib.AST_NAME_TIME:
        found.add(TIME)
    elif node.getType() == lib.AST_NAME:
        found.add(node.getName())
    return found
