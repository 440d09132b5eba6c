"""Derivatives of tapes: local partials, a linearised graph, and vertex elimination.

A tape is linearised into a graph whose edges carry local partial derivatives (themselves tape nodes). Removing
an inner vertex multiplies and adds edge weights; removing all of them leaves the Jacobian. The order in which
vertices go decides how many operations it costs: cheapest first (Markowitz), as in sparse elimination
(Griewank and Walther, Evaluating Derivatives, 2nd ed. 2008, chapter 9).
"""

import heapq
from collections.abc import Callable, Iterable, Sequence

from her2pkpd.model.tape import BOOLEAN, CONST, INPUT, Tape, TapeBuilder

_FLAT = BOOLEAN | {CONST, INPUT, "sign", "floor"}
"""Operations whose value does not vary with their arguments, wherever it has a derivative."""


def transplant(build: TapeBuilder, tape: Tape, inputs: Sequence[int]) -> list[int]:
    """Run a tape symbolically: its outputs as nodes of `build`, for `inputs` given as nodes of `build`."""
    place: list[int] = []
    for node in tape.nodes:
        if node.op == INPUT:
            place.append(inputs[int(node.value)])
        elif node.op == CONST:
            place.append(build.const(node.value))
        else:
            place.append(build.apply(node.op, *(place[a] for a in node.args)))
    return [place[o] for o in tape.outputs]


def plus(build: TapeBuilder, a: int, b: int) -> int:
    """The sum a + b, written as a subtraction where one is a negation."""
    negated = [build.nodes[x].op == "neg" for x in (a, b)]
    if all(negated):
        return negative(build, plus(build, build.nodes[a].args[0], build.nodes[b].args[0]))
    for (x, y), minus_y in zip(((b, a), (a, b)), negated, strict=True):
        if minus_y:
            return build.apply("sub", x, build.nodes[y].args[0])
    return build.apply("add", a, b)


_UNBOUNDED = frozenset({"div", "log", "log1p", "pow", "sqrt", "exp", "expm1"})
"""Operations that can give infinity or NaN for ordinary arguments."""


def _may_be_infinite(build: TapeBuilder, index: int) -> bool:
    stack, seen = [index], set()
    while stack:
        node = build.nodes[stack.pop()]
        if node.op in _UNBOUNDED:
            return True
        stack.extend(a for a in node.args if a not in seen)
        seen.update(node.args)
    return False


def times(build: TapeBuilder, a: int, b: int) -> int:
    """The product a * b; a factor that a condition sets to 0 stays 0 whatever the other is, infinity included."""
    for x, y in ((a, b), (b, a)):
        node = build.nodes[x]
        if node.op == "neg":
            return negative(build, times(build, node.args[0], y))
        if node.op == "select":
            values = [build.value(v) for v in node.args[1:]]
            if 0.0 in values and (1.0 in values or _may_be_infinite(build, y)):
                branches = (v if build.value(v) == 0.0 else times(build, v, y) for v in node.args[1:])
                return build.apply("select", node.args[0], *branches)
    return build.apply("mul", a, b)


def minus(build: TapeBuilder, a: int, b: int) -> int:
    """The difference a - b, written as a sum where b is a negation."""
    return plus(build, a, negative(build, b))


def negative(build: TapeBuilder, a: int) -> int:
    """-a."""
    node = build.nodes[a]
    return build.apply("sub", node.args[1], node.args[0]) if node.op == "sub" else build.apply("neg", a)


def unsigned(build: TapeBuilder, a: int) -> int:
    """A node without its leading negation, if it has one."""
    node = build.nodes[a]
    return node.args[0] if node.op == "neg" else a


def _mask(build: TapeBuilder, condition: int, yes: bool) -> int:
    one, zero = build.const(1.0), build.const(0.0)
    return build.apply("select", condition, zero if yes else one, one if yes else zero)


def _power_partials(build: TapeBuilder, node: int, base: int, exponent: int) -> list[int]:
    """Of a^b: b a^b / a and a^b log a; at a = 0 the first is 1 where b = 1 and else taken as 0, the second 0."""
    ap, zero, one = build.apply, build.const(0.0), build.const(1.0)
    at_zero = ap("select", ap("eq", exponent, one), zero, one)
    slope = ap("mul", exponent, ap("div", node, base))
    by_base = ap("select", ap("eq", base, zero), slope, at_zero)
    by_exponent = ap("select", ap("gt", base, zero), zero, ap("mul", node, ap("log", base)))
    return [by_base, by_exponent]


def partials(build: TapeBuilder, index: int) -> list[int]:  # noqa: PLR0911, PLR0912 - one case per operation
    """Derivative of a node with respect to each of its arguments, as nodes.

    At a kink (max, min, abs) the derivative is that of one side.
    """
    node = build.nodes[index]
    ap, one = build.apply, build.const(1.0)
    match node.op:
        case "add":
            return [one, one]
        case "sub":
            return [one, build.const(-1.0)]
        case "neg":
            return [build.const(-1.0)]
        case "mul":
            return [node.args[1], node.args[0]]
        case "div":
            inverse = ap("div", one, node.args[1])
            return [inverse, negative(build, times(build, index, inverse))]
        case "exp":
            return [index]
        case "log":
            return [ap("div", one, node.args[0])]
        case "log1p":
            return [ap("div", one, ap("add", one, node.args[0]))]
        case "expm1":
            return [ap("add", one, index)]
        case "pow":
            return _power_partials(build, index, *node.args)
        case "sqrt":
            return [ap("div", build.const(0.5), index)]
        case "tanh":
            return [ap("sub", one, ap("mul", index, index))]
        case "logistic":
            return [ap("mul", index, ap("sub", one, index))]
        case "sin":
            return [ap("cos", node.args[0])]
        case "cos":
            return [ap("neg", ap("sin", node.args[0]))]
        case "abs":
            return [ap("sign", node.args[0])]
        case "max" | "min":
            first = ap("ge" if node.op == "max" else "le", *node.args)
            return [_mask(build, first, True), _mask(build, first, False)]
        case "select":
            return [build.const(0.0), _mask(build, node.args[0], False), _mask(build, node.args[0], True)]
    raise NotImplementedError(f"no derivative for '{node.op}'")


class LinearGraph:
    """Tape nodes linearised with respect to some of them.

    Vertices are nodes of the builder, plus one vertex ``-1 - k`` for each output k.

    Args:
        build: the builder that holds the nodes; partial derivatives are added to it.
        outputs: nodes to differentiate.
        seeds: nodes to differentiate with respect to.
    """

    def __init__(self, build: TapeBuilder, outputs: Sequence[int], seeds: Iterable[int]) -> None:
        self.build = build
        self.seeds = frozenset(seeds)
        self.into: dict[int, dict[int, int]] = {}
        self.out: dict[int, set[int]] = {}
        active = self._active(outputs)
        for vertex in sorted(active - self.seeds):
            node = build.nodes[vertex]
            if any(a in active for a in node.args):
                for arg, weight in zip(node.args, partials(build, vertex), strict=True):
                    if arg in active:
                        self.connect(arg, vertex, weight)
        for k, node in enumerate(outputs):
            self.into[-1 - k] = {}
            if node in active:
                self.connect(node, -1 - k, build.const(1.0))
        self._prune()

    def _active(self, outputs: Sequence[int]) -> set[int]:
        """Nodes that lie between a seed and an output."""
        nodes = self.build.nodes
        reach = set(self.seeds)
        for index in range(min(self.seeds, default=len(nodes)), max(outputs, default=-1) + 1):
            if nodes[index].op not in _FLAT and any(a in reach for a in nodes[index].args):
                reach.add(index)
        needed = {o for o in outputs if o in reach}
        for index in range(max(needed, default=-1), -1, -1):
            if index in needed and index not in self.seeds:
                needed.update(a for a in nodes[index].args if a in reach)
        return needed

    def connect(self, source: int, target: int, weight: int) -> None:
        """Add `weight` to the edge from source to target; an edge of weight zero is none."""
        if self.build.value(weight) == 0.0:
            return
        edges = self.into.setdefault(target, {})
        edges[source] = plus(self.build, edges[source], weight) if source in edges else weight
        self.out.setdefault(source, set()).add(target)

    def _prune(self) -> None:
        """Drop vertices that lead nowhere (their weights vanished)."""
        stack = [v for v in self.into if v >= 0 and not self.out.get(v)]
        while stack:
            vertex = stack.pop()
            for source in self.into.pop(vertex, {}):
                self.out[source].discard(vertex)
                if source not in self.seeds and not self.out[source]:
                    stack.append(source)

    def remove_edges(self, unwanted: Callable[[int, int], bool]) -> None:
        """Remove edges for which ``unwanted(source, weight)`` holds, and vertices left without edges in or out."""
        for target, edges in self.into.items():
            for source in [x for x, weight in edges.items() if unwanted(x, weight)]:
                del edges[source]
                self.out[source].discard(target)
        while bare := [v for v in self.inner() if not self.into[v] or not self.out.get(v)]:
            for vertex in bare:
                for source in self.into.pop(vertex):
                    self.out[source].discard(vertex)
                for target in self.out.pop(vertex, set()):
                    self.into[target].pop(vertex, None)

    def inner(self) -> list[int]:
        """Vertices that are neither seeds nor outputs."""
        return [v for v in self.into if v >= 0 and v not in self.seeds]

    def cost(self, vertex: int) -> int:
        """Markowitz cost of eliminating a vertex: edges in times edges out."""
        return len(self.into.get(vertex, ())) * len(self.out.get(vertex, ()))

    def eliminate(self, vertex: int) -> None:
        """Remove a vertex, keeping every path through it."""
        arriving = self.into.pop(vertex, {})
        for source in arriving:
            self.out[source].discard(vertex)
        for target in sorted(self.out.pop(vertex, ())):
            onward = self.into[target].pop(vertex)
            for source, weight in arriving.items():
                self.connect(source, target, times(self.build, weight, onward))

    def eliminate_all(self, vertices: Iterable[int], unless: Callable[[int], bool] = lambda _: False) -> None:
        """Remove the given vertices, cheapest first, save those for which `unless` holds when their turn comes."""
        waiting = set(vertices)
        heap = [(self.cost(v), v) for v in waiting]
        heapq.heapify(heap)
        while heap:
            cost, vertex = heapq.heappop(heap)
            if vertex not in waiting:
                continue
            now = self.cost(vertex)
            if now > cost:
                heapq.heappush(heap, (now, vertex))
                continue
            waiting.discard(vertex)
            if not unless(vertex):
                self.eliminate(vertex)


def jacobian(build: TapeBuilder, outputs: Sequence[int], seeds: Sequence[int]) -> dict[tuple[int, int], int]:
    """Sparse Jacobian.

    Args:
        build: the builder that holds the nodes; the entries are added to it.
        outputs: nodes to differentiate.
        seeds: nodes to differentiate with respect to.

    Returns:
        Entry nodes by (position in outputs, position in seeds); absent entries are zero.
    """
    graph = LinearGraph(build, outputs, seeds)
    graph.eliminate_all(graph.inner())
    column = {node: j for j, node in enumerate(seeds)}
    return {(k, column[s]): w for k in range(len(outputs)) for s, w in graph.into[-1 - k].items()}


def directional(build: TapeBuilder, outputs: Sequence[int], tangents: dict[int, int]) -> list[int]:
    """Forward-mode derivative: tangents of `outputs` for given tangents of some nodes (absent means zero)."""
    zero = build.const(0.0)
    known = dict(tangents)
    last = max(outputs, default=-1)
    for index in range(min(tangents, default=0), last + 1):
        node = build.nodes[index]
        if index in known or node.op in _FLAT or not any(a in known for a in node.args):
            continue
        total = zero
        for arg, weight in zip(node.args, partials(build, index), strict=True):
            if arg in known:
                total = plus(build, total, times(build, weight, known[arg]))
        if build.value(total) != 0.0:
            known[index] = total
    return [known.get(o, zero) for o in outputs]


def substitute(build: TapeBuilder, nodes: Sequence[int], replacement: dict[int, int]) -> list[int]:
    """The given nodes with some inputs replaced by other nodes."""
    needed: set[int] = set()
    stack = list(nodes)
    while stack:
        index = stack.pop()
        if index not in needed:
            needed.add(index)
            stack.extend(build.nodes[index].args)
    new = dict(replacement)
    for index in sorted(needed):
        node = build.nodes[index]
        if index in new:
            continue
        if any(new[a] != a for a in node.args):
            new[index] = build.apply(node.op, *(new[a] for a in node.args))
        else:
            new[index] = index
    return [new[i] for i in nodes]
