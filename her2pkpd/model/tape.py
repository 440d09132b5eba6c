"""Straight-line scalar programs: what a traced model is made of.

A `Tape` is a list of scalar operations in single assignment form. Identical operations exist once, constants
are folded, and what no output needs is dropped, so the tape of a model is also its content: two models with
the same tape are the same model. Engines translate tapes to machine code; `evaluate` runs them in NumPy.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import expit

CONST, INPUT = "const", "input"

OPERATIONS: dict[str, Callable[..., Any]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "neg": np.negative,
    "exp": np.exp, "log": np.log, "log1p": np.log1p, "expm1": np.expm1, "pow": np.power, "sqrt": np.sqrt,
    "tanh": np.tanh, "logistic": expit, "max": np.maximum, "min": np.minimum, "abs": np.abs, "sign": np.sign,
    "sin": np.sin, "cos": np.cos, "floor": np.floor,
    "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal, "eq": np.equal,
    "ne": np.not_equal, "and": np.logical_and, "or": np.logical_or, "not": np.logical_not,
    "select": lambda condition, no, yes: np.where(condition, yes, no),
}  # fmt: skip
"""Every operation a tape may hold, with its meaning. ``select(condition, no, yes)`` keeps JAX's argument order."""

BOOLEAN = frozenset({"lt", "le", "gt", "ge", "eq", "ne", "and", "or", "not"})
_COMMUTATIVE = frozenset({"add", "mul", "max", "min", "eq", "ne", "and", "or"})


@dataclass(frozen=True)
class Node:
    """One operation: `op` applied to the values of the nodes `args`; constants carry `value`, inputs their index."""

    op: str
    args: tuple[int, ...] = ()
    value: float | bool | int = 0.0


@dataclass(frozen=True)
class Tape:
    """A scalar program.

    Attributes:
        n_inputs: number of scalar inputs; input nodes carry their position as `value`.
        nodes: operations, each after its arguments.
        outputs: node index of each output.
    """

    n_inputs: int
    nodes: tuple[Node, ...]
    outputs: tuple[int, ...]

    def digest(self) -> str:
        """SHA-256 over the program text: equal for equal programs, on every machine and JAX version."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        text = "\n".join(f"{n.op} {n.args} {float(n.value).hex()}" for n in self.nodes)
        return hashlib.sha256(f"{self.n_inputs}\n{text}\n{self.outputs}".encode()).hexdigest()

    def uses(self) -> list[int]:
        """How often each node is used, outputs included."""
        count = [0] * len(self.nodes)
        for node in self.nodes:
            for arg in node.args:
                count[arg] += 1
        for output in self.outputs:
            count[output] += 1
        return count

    def dependencies(self) -> list[frozenset[int]]:
        """Inputs each output depends on, as sets of input positions."""
        need: list[frozenset[int]] = []
        for node in self.nodes:
            if node.op == INPUT:
                need.append(frozenset((int(node.value),)))
            else:
                need.append(frozenset().union(*(need[a] for a in node.args)) if node.args else frozenset())
        return [need[o] for o in self.outputs]


class TapeBuilder:
    """Builds a tape with shared subexpressions and folded constants.

    ``x*0``, ``x*1``, ``x+0`` and the like are simplified as for real numbers: a model's structural zeros must
    vanish for its Jacobian to be sparse.
    """

    def __init__(self, n_inputs: int) -> None:
        self.n_inputs = n_inputs
        self.nodes: list[Node] = []
        self._known: dict[Node, int] = {}
        self.inputs = [self._push(Node(INPUT, (), i)) for i in range(n_inputs)]

    def _push(self, node: Node) -> int:
        # 0.0 == -0.0 and True == 1 in Python, so the key spells the constant out.
        key = Node(node.op, node.args, repr(node.value)) if node.op == CONST else node  # type: ignore[arg-type]
        if key not in self._known:
            self._known[key] = len(self.nodes)
            self.nodes.append(node)
        return self._known[key]

    def const(self, value: float | bool) -> int:
        """Node index of a constant."""
        return self._push(Node(CONST, (), bool(value) if isinstance(value, (bool, np.bool_)) else float(value)))

    def value(self, index: int) -> float | bool | None:
        """The constant at `index`, or None when it is not one."""
        node = self.nodes[index]
        return node.value if node.op == CONST else None

    def apply(self, op: str, *args: int) -> int:
        """Node index of `op` applied to the nodes `args`."""
        constants = [self.value(a) for a in args]
        known = [c for c in constants if c is not None]
        if len(known) == len(constants):
            with np.errstate(all="ignore"):
                return self.const(np.asarray(OPERATIONS[op](*known)).item())
        simple = self._simplify(op, args, constants)
        if simple is not None:
            return simple
        if op in _COMMUTATIVE and args[0] > args[1]:
            args = (args[1], args[0])
        return self._push(Node(op, args))

    def _simplify(  # noqa: PLR0911, PLR0912
        self, op: str, args: tuple[int, ...], c: list[float | bool | None]
    ) -> int | None:
        if op == "add":
            if c[0] == 0:
                return args[1]
            if c[1] == 0:
                return args[0]
        elif op == "sub":
            if c[1] == 0:
                return args[0]
            if c[0] == 0:
                return self.apply("neg", args[1])
            if args[0] == args[1]:
                return self.const(0.0)
        elif op == "mul":
            if 0 in (c[0], c[1]):
                return self.const(0.0)
            for i in (0, 1):
                if c[i] == 1:
                    return args[1 - i]
                if c[i] == -1:
                    return self.apply("neg", args[1 - i])
        elif op == "div":
            if c[0] == 0:
                return self.const(0.0)
            if c[1] == 1:
                return args[0]
            if c[1] is not None and c[1] != 0 and np.log2(abs(c[1])).is_integer():
                return self.apply("mul", args[0], self.const(1.0 / c[1]))
        elif op == "neg" and self.nodes[args[0]].op == "neg":
            return self.nodes[args[0]].args[0]
        elif op == "pow" and c[1] is not None:
            return {
                0.0: lambda: self.const(1.0),
                1.0: lambda: args[0],
                2.0: lambda: self.apply("mul", args[0], args[0]),
            }.get(float(c[1]), lambda: None)()
        elif op == "select":
            if c[0] is not None:
                return args[2] if c[0] else args[1]
            if args[1] == args[2]:
                return args[1]
        return None

    def integer_power(self, base: int, exponent: int) -> int:
        """`base` to an integer power by repeated squaring."""
        if exponent < 0:
            return self.apply("div", self.const(1.0), self.integer_power(base, -exponent))
        result, square = self.const(1.0), base
        while exponent:
            if exponent & 1:
                result = self.apply("mul", result, square)
            exponent >>= 1
            if exponent:
                square = self.apply("mul", square, square)
        return result

    def finish(self, outputs: Iterable[int]) -> Tape:
        """The tape of `outputs`, without what they do not need."""
        outputs = list(outputs)
        alive = set(outputs)
        for index in range(len(self.nodes) - 1, -1, -1):
            if index in alive:
                alive.update(self.nodes[index].args)
        kept = [i for i in range(len(self.nodes)) if i in alive]
        place = {old: new for new, old in enumerate(kept)}
        nodes = tuple(Node(n.op, tuple(place[a] for a in n.args), n.value) for n in (self.nodes[i] for i in kept))
        return Tape(self.n_inputs, nodes, tuple(place[o] for o in outputs))


def evaluate(tape: Tape, inputs: Sequence[Any]) -> list[Any]:
    """Run a tape in NumPy.

    Args:
        tape: the program.
        inputs: one array or scalar per input; shapes broadcast.

    Returns:
        One array per output.
    """
    values: list[Any] = []
    with np.errstate(all="ignore"):
        for node in tape.nodes:
            if node.op == INPUT:
                values.append(inputs[int(node.value)])
            elif node.op == CONST:
                values.append(node.value)
            else:
                values.append(OPERATIONS[node.op](*(values[a] for a in node.args)))
    return [values[o] for o in tape.outputs]
