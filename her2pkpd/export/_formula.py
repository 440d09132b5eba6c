"""Tapes as infix formulas of SBML Level 3, with shared subexpressions as named intermediate values."""

import math
from collections.abc import Mapping, Sequence

from her2pkpd.export._identifiers import identifier
from her2pkpd.model.tape import CONST, INPUT, Node, Tape

_INLINE = 8
"""An expression of at most this many operations is repeated rather than named."""

_INFIX = {
    "add": "+", "sub": "-", "mul": "*", "div": "/", "pow": "^", "and": "&&", "or": "||",
    "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!=",
}  # fmt: skip
_CALLS = {
    "neg": "(-{0})", "not": "(!{0})", "exp": "exp({0})", "log": "ln({0})", "sqrt": "sqrt({0})", "tanh": "tanh({0})",
    "sin": "sin({0})", "cos": "cos({0})", "floor": "floor({0})", "abs": "abs({0})",
    "log1p": "ln(1 + {0})", "expm1": "(exp({0}) - 1)", "logistic": "(1 / (1 + exp(-{0})))",
    "max": "piecewise({0}, {0} >= {1}, {1})", "min": "piecewise({0}, {0} <= {1}, {1})",
    "sign": "piecewise(1, {0} > 0, -1, {0} < 0, 0)", "select": "piecewise({2}, {0}, {1})",
}  # fmt: skip
"""Operations without an infix form; SBML has no log1p, expm1 or logistic, and few tools have max and min."""

_TWICE = frozenset({"max", "min", "sign"})
"""Operations whose formula repeats an argument."""


class Formulas:
    """Formulas of a tape's outputs.

    Args:
        tape: the program.
        inputs: identifier of each input.
        outputs: identifiers that some outputs have anyway; used instead of new names.
        taken: identifiers that new names must avoid, or None to repeat shared expressions instead of naming them.

    Attributes:
        rules: identifier and formula of each intermediate value, in order of evaluation.
    """

    def __init__(
        self, tape: Tape, inputs: Sequence[str], outputs: Mapping[int, str] | None = None, taken: set[str] | None = None
    ) -> None:
        self._tape, self._inputs = tape, inputs
        given: dict[int, list[str]] = {}
        for position, name in (outputs or {}).items():
            given.setdefault(tape.outputs[position], []).append(name)
        self._text: dict[int, str] = {}
        self.rules: list[tuple[str, str]] = []
        uses, size = self._uses(), [0] * len(tape.nodes)
        for index, node in enumerate(tape.nodes):
            size[index] = 1 + sum(size[a] for a in node.args) if node.args else 0
            text = self._formula(node)
            names = given.get(index, [])
            if not names and taken is not None and uses[index] > 1 and size[index] > _INLINE:
                names = [identifier(f"shared_{len(self.rules) + 1}", taken)]
            self.rules += [(name, text) for name in names]
            if names and node.args:
                text, size[index] = names[0], 0
            self._text[index] = text

    def output(self, position: int) -> str:
        """Formula of an output, in terms of inputs and intermediate values."""
        return self._text[self._tape.outputs[position]]

    def _uses(self) -> list[int]:
        uses = [0] * len(self._tape.nodes)
        for node in self._tape.nodes:
            for a in node.args:
                uses[a] += 2 if node.op in _TWICE else 1
        for output in self._tape.outputs:
            uses[output] += 1
        return uses

    def _formula(self, node: Node) -> str:
        if node.op == INPUT:
            return self._inputs[int(node.value)]
        if node.op == CONST:
            return number(node.value)
        arguments = [self._text[a] for a in node.args]
        if node.op in _INFIX:
            return f"({arguments[0]} {_INFIX[node.op]} {arguments[1]})"
        return _CALLS[node.op].format(*arguments)


def number(value: float | bool) -> str:
    """A constant as SBML's infix notation reads it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = {float("inf"): "INF", float("-inf"): "(-INF)"}.get(value, "NaN" if math.isnan(value) else repr(float(value)))
    return f"({text})" if text.startswith("-") else text
