"""The linear system of a step, W = dg I - J, and its factors.

The Jacobian is not always what should be factorised. Where many rates depend on many species through one quantity,
as everything inside growing cells depends on every cell number through the volume, J is dense although the rates are
not. Such quantities are kept as further unknowns of a larger, sparser system

    [ dg I - J0   -B ] [u]   [rhs]
    [    -C        I ] [v] = [ 0 ],      v = C u the change of the kept quantities, J = J0 + B C,

whose solution u is that of W u = rhs. Whether it pays is counted, not guessed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from her2pkpd.engine.program.calculus import LinearGraph, minus, negative, plus, times, unsigned
from her2pkpd.engine.program.order import Elimination, eliminate
from her2pkpd.engine.program.routine import Slot, Workshop

SOLVES = 8
"""Solves with the same factors per step, about; they weigh the entries of the factors against their making."""

Matrix = dict[tuple[int, int], int]


@dataclass(frozen=True)
class Factors:
    """W = L D U as nodes of a workshop, L and U with unit diagonals.

    Scaling U as well costs a product per entry once, and takes the pivots off the critical path of every solve.

    Attributes:
        order: pivots in order of elimination; those from n on are kept quantities.
        lower: entries of L below the diagonal by (row, column).
        upper: entries of U above the diagonal by (row, column).
        inverse: reciprocals of the pivots.
        slots: where those nodes that vary are kept for later solves.
    """

    order: tuple[int, ...]
    lower: Mapping[tuple[int, int], int]
    upper: Mapping[tuple[int, int], int]
    inverse: Mapping[int, int]
    slots: Mapping[int, Slot]

    @cached_property
    def nonzeros(self) -> int:
        """Entries of L + U, diagonal included."""
        return len(self.lower) + len(self.upper) + len(self.inverse)


class LinearSystem:
    """The system of a step as nodes of a workshop.

    Args:
        shop: the workshop.
        rates: nodes of dy/dt.
        y: nodes of the species.
        dg: node of 1 / (gamma h).

    Attributes:
        n: number of species.
        matrix: entries by (row, column); rows and columns from n on are the kept quantities.
        factors: its factors.
    """

    def __init__(self, shop: Workshop, rates: Sequence[int], y: Sequence[int], dg: int) -> None:
        self.shop, self.n = shop, len(y)
        graph = LinearGraph(shop.build, rates, y)
        graph.eliminate_all(graph.inner(), unless=lambda v: _worth_keeping(graph, v))
        kept, elimination = _choose(graph, y)
        graph.eliminate_all(v for v in graph.inner() if v not in kept)
        self.matrix = _matrix(graph, y, dg, sorted(kept))
        self.factors = self._factorise(elimination)

    def _factorise(self, elimination: Elimination) -> Factors:
        shop, build = self.shop, self.shop.build
        w = dict(self.matrix)
        lower: Matrix = {}
        inverse: dict[int, int] = {}
        one, zero = build.const(1.0), build.const(0.0)
        for k, below, right in elimination.steps:
            inverse[k] = build.apply("div", one, w[k, k])
            for i in below:
                lower[i, k] = times(build, w.pop((i, k)), inverse[k])
                for j in right:
                    w[i, j] = minus(build, w.get((i, j), zero), times(build, lower[i, k], w[k, j]))
        upper = {(i, j): times(build, inverse[i], node) for (i, j), node in w.items() if i != j}
        # Signs are left to the solves, which add or subtract at no cost.
        entries = (unsigned(build, v) for v in (*lower.values(), *upper.values(), *inverse.values()))
        kept = sorted({v for v in entries if shop.varying(v)})
        slots = {node: Slot("lu", k) for k, node in enumerate(kept)}
        return Factors(tuple(k for k, _, _ in elimination.steps), lower, upper, inverse, slots)

    def solve(self, rhs: Sequence[int]) -> list[int]:
        """Nodes of the solution of W u = rhs."""
        build, f = self.shop.build, self.factors
        x = [*rhs, *(build.const(0.0) for _ in range(len(f.order) - self.n))]
        by_column: dict[int, list[int]] = {}
        by_row: dict[int, list[int]] = {}
        for i, k in f.lower:
            by_column.setdefault(k, []).append(i)
        for i, j in f.upper:
            by_row.setdefault(i, []).append(j)
        for k in f.order:
            for i in by_column.get(k, ()):
                x[i] = minus(build, x[i], times(build, f.lower[i, k], x[k]))
        for k in reversed(f.order):
            x[k] = times(build, x[k], f.inverse[k])
            for j in by_row.get(k, ()):
                x[k] = minus(build, x[k], times(build, f.upper[k, j], x[j]))
        return x[: self.n]

    def product(self, u: Sequence[int]) -> tuple[list[int], list[int]]:
        """Nodes of W u, and of the sizes of what its rows sum on the diagonal and through kept quantities."""
        build, n = self.shop.build, self.n
        known, total = list(u), [build.const(0.0)] * len(self.factors.order)
        size = list(total)
        rows: dict[int, list[int]] = {}
        for i, j in self.matrix:
            rows.setdefault(i, []).append(j)
        # A kept quantity depends on species and on kept quantities before it.
        for i in (*range(n, len(total)), *range(n)):
            for j in rows[i]:
                if j == i >= n:
                    continue
                term = times(build, self.matrix[i, j], known[j])
                total[i] = plus(build, total[i], term)
                if i == j or j >= n:
                    size[i] = build.apply("add", size[i], build.apply("abs", term))
            if i >= n:
                known.append(negative(build, total[i]))
        return total[:n], size[:n]


def _worth_keeping(graph: LinearGraph, vertex: int) -> bool:
    arriving, leaving = len(graph.into.get(vertex, ())), len(graph.out.get(vertex, ()))
    return arriving * leaving > arriving + leaving


def _choose(graph: LinearGraph, y: Sequence[int]) -> tuple[set[int], Elimination]:
    """The quantities to keep, and the elimination of the system with them.

    The pattern alone decides. Quantities that the elimination would take out at once need not be kept.
    """
    best: tuple[int, set[int], Elimination] | None = None
    pattern = Pattern(graph)
    while True:
        kept = sorted(pattern.inner)
        found = eliminate(len(y) + len(kept), _entries(pattern, y, kept), len(kept))
        if best is None or found.cost(SOLVES) < best[0]:
            best = (found.cost(SOLVES), set(kept), found)
        if not kept:
            return best[1], best[2]
        pattern.eliminate(min(kept, key=lambda v: (pattern.cost(v), v)))


class Pattern:
    """The edges of a graph without their weights."""

    def __init__(self, graph: LinearGraph) -> None:
        self.into = {v: set(edges) for v, edges in graph.into.items()}
        self.out = {v: set(targets) for v, targets in graph.out.items()}
        self.inner = set(graph.inner())

    def cost(self, vertex: int) -> int:
        """Edges in times edges out."""
        return len(self.into[vertex]) * len(self.out[vertex])

    def eliminate(self, vertex: int) -> None:
        """Join the edges of every path through a vertex."""
        self.inner.discard(vertex)
        arriving, leaving = self.into.pop(vertex), self.out.pop(vertex)
        for source in arriving:
            self.out[source].discard(vertex)
            self.out[source] |= leaving
        for target in leaving:
            self.into[target].discard(vertex)
            self.into[target] |= arriving


def _entries(graph: Pattern, y: Sequence[int], kept: Sequence[int]) -> set[tuple[int, int]]:
    column = {node: j for j, node in enumerate((*y, *kept))}
    rows = {-1 - k: k for k in range(len(y))} | {v: len(y) + k for k, v in enumerate(kept)}
    return {(row, column[s]) for v, row in rows.items() for s in graph.into[v]}


def _matrix(graph: LinearGraph, y: Sequence[int], dg: int, kept: Sequence[int]) -> Matrix:
    build, n = graph.build, len(y)
    column = {node: j for j, node in enumerate((*y, *kept))}
    rows = {-1 - k: k for k in range(n)} | {v: n + k for k, v in enumerate(kept)}
    w = {(row, column[s]): negative(build, x) for v, row in rows.items() for s, x in graph.into[v].items()}
    for i in range(n):
        w[i, i] = plus(build, dg, w[i, i]) if (i, i) in w else dg
    return w | {(n + k, n + k): build.const(1.0) for k in range(len(kept))}
