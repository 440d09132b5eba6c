"""Few divisions: a division costs as much as ten multiplications, and many denominators differ by constants only."""

from collections.abc import Callable, Iterable, Sequence
from functools import reduce

from her2pkpd.model.tape import CONST, INPUT, Node, Tape, TapeBuilder

_PRODUCT = frozenset({"mul", "div", "neg"})
_EXTREME = frozenset({"pow", "exp", "expm1", "logistic"})
"""What may be so large or small that it must stay beside what balances it: K**h, or a switch far from its threshold."""


def gather_constants(tape: Tape, n: int) -> Tape:
    """The rates with what does not vary gathered in front of quotients by what does.

    ``k * x / (V * c)`` becomes ``(k / c) * x / V`` with k / c computed once per lane, and what stands above and below
    cancels, so that quotients by ``V * c``, ``V * d`` and ``V`` need one reciprocal of V between them. As for real
    numbers: the result differs by rounding, and where a factor that cancels is zero. A quotient of what varies stays
    one factor of a product: ``x**h / (K**h + x**h)`` is at most 1 where ``n * x**h`` would overflow. For the same
    reason powers and exponentials of parameters are left where they are. Quotients by constants stay divisions, rounded
    once: with reciprocals, steep switches on fast reactions ran out of steps in one lane more of 250 with random
    parameters.

    Args:
        tape: inputs are the species, then the parameters.
        n: number of species.
    """
    uses, moves = tape.uses(), _extend([], tape.nodes, n)
    build = TapeBuilder(tape.n_inputs)
    new: list[int] = []
    varying: list[bool] = []

    def varies(index: int) -> bool:
        _extend(varying, build.nodes[: index + 1], n)
        return varying[index]

    for index, node in enumerate(tape.nodes):
        if node.op == INPUT:
            new.append(build.inputs[int(node.value)])
        elif node.op == CONST:
            new.append(build.const(node.value))
        elif node.op == "div" and moves[node.args[1]]:
            new.append(_product(build, _factors(tape, index, uses, moves), new, varies))
        else:
            new.append(build.apply(node.op, *(new[a] for a in node.args)))
    return build.finish([new[o] for o in tape.outputs])


def _extend(moves: list[bool], nodes: Sequence[Node], n: int) -> list[bool]:
    """Append, for nodes beyond those known, whether they depend on a species or on something extreme."""
    for node in nodes[len(moves) :]:
        own = node.value < n if node.op == INPUT else node.op in _EXTREME
        moves.append(own or any(moves[a] for a in node.args))
    return moves


def _factors(tape: Tape, root: int, uses: list[int], moves: list[bool]) -> tuple[bool, list[int], list[int]]:
    """Sign (True for minus), numerator and denominator of a product, as nodes of the tape.

    A product that others use too is one factor of a numerator, so that it is still computed once; a denominator is
    taken apart in any case, but for quotients in it.
    """
    minus = False
    sides: tuple[list[int], list[int]] = ([], [])
    stack = [(root, False)]
    while stack:
        index, below = stack.pop()
        node = tape.nodes[index]
        quotient = node.op == "div" and moves[node.args[1]]
        whole = node.op not in _PRODUCT or quotient or not (below or uses[index] == 1)
        if whole and (index != root or node.op not in _PRODUCT):
            sides[below].append(index)
        elif node.op == "neg":
            minus = not minus
            stack.append((node.args[0], below))
        else:
            stack += [(node.args[1], below != (node.op == "div")), (node.args[0], below)]
    return minus, *sides


def _product(
    build: TapeBuilder, factors: tuple[bool, list[int], list[int]], new: list[int], varies: Callable[[int], bool]
) -> int:
    minus, above, below = factors[0], [new[k] for k in factors[1]], [new[k] for k in factors[2]]
    for factor in tuple(below):
        if factor in above and varies(factor):
            above.remove(factor)
            below.remove(factor)
    constant = _times(build, (k for k in above if not varies(k)))
    fixed = [k for k in below if not varies(k)]
    if fixed:
        constant = build.apply("div", constant, _times(build, fixed))
    result = _times(build, [constant, _times(build, (k for k in above if varies(k)))])
    moving = [k for k in below if varies(k)]
    if moving:
        result = build.apply("div", result, _times(build, moving))
    return build.apply("neg", result) if minus else result


def _times(build: TapeBuilder, factors: Iterable[int]) -> int:
    return reduce(lambda a, b: build.apply("mul", a, b), factors, build.const(1.0))


def share_reciprocals(tape: Tape) -> Tape:
    """Where several quotients share a denominator, divide once and multiply."""
    count: dict[int, int] = {}
    for node in tape.nodes:
        if node.op == "div":
            count[node.args[1]] = count.get(node.args[1], 0) + 1
    if all(c < 2 for c in count.values()):
        return tape
    build = TapeBuilder(tape.n_inputs)
    new: list[int] = []
    for node in tape.nodes:
        if node.op == INPUT:
            new.append(build.inputs[int(node.value)])
        elif node.op == CONST:
            new.append(build.const(node.value))
        elif node.op == "div" and count[node.args[1]] > 1:
            inverse = build.apply("div", build.const(1.0), new[node.args[1]])
            new.append(build.apply("mul", new[node.args[0]], inverse))
        else:
            new.append(build.apply(node.op, *(new[a] for a in node.args)))
    return build.finish([new[o] for o in tape.outputs])
