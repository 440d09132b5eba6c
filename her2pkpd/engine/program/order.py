"""Elimination order and symbolic factorisation of a sparse matrix with a structurally full diagonal."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Elimination:
    """What eliminating a matrix does.

    Attributes:
        steps: for each pivot in turn, the pivot, the rows below with an entry in its column, and the columns to the
            right with an entry in its row.
    """

    steps: tuple[tuple[int, tuple[int, ...], tuple[int, ...]], ...]

    @property
    def order(self) -> tuple[int, ...]:
        """Pivots in order of elimination."""
        return tuple(k for k, _, _ in self.steps)

    @property
    def pattern(self) -> set[tuple[int, int]]:
        """Non-zeros of L + U, diagonal included."""
        entries = {(k, k) for k in self.order}
        for k, below, right in self.steps:
            entries |= {(i, k) for i in below} | {(k, j) for j in right}
        return entries

    def cost(self, solves: int) -> int:
        """Multiplications of a factorisation and of `solves` solves with its factors."""
        making = sum(len(below) * (1 + len(right)) + len(right) for _, below, right in self.steps)
        return making + solves * sum(1 + len(below) + len(right) for _, below, right in self.steps)


def eliminate(n: int, entries: Iterable[tuple[int, int]], kept: int = 0) -> Elimination:
    """Pivots with little fill: at each step the diagonal pivot of least Markowitz cost.

    Args:
        n: size of the matrix.
        entries: (row, column) of the non-zeros; the diagonal is taken as present.
        kept: how many unknowns, the last ones, are kept quantities with a unit diagonal.

    Returns:
        The elimination. Ties go to the pivot that waits for the fewest others in a row, which keeps chains of
        dependent operations short, and then to the smaller index. A species whose own rate depends on it through
        kept quantities waits until those are gone: its diagonal would lack a part that is not small, which
        subtractions could not restore. The pivots of kept quantities thus stay one.
    """
    rows: list[set[int]] = [set() for _ in range(n)]
    columns: list[set[int]] = [set() for _ in range(n)]
    for i, j in entries:
        if i != j:
            rows[i].add(j)
            columns[j].add(i)
    left = set(range(n))
    level = [0] * n
    first = n - kept

    def waits(k: int) -> bool:
        """Whether a path leads from a species back to it through kept quantities only."""
        reached = {v for v in columns[k] if v >= first}
        stack = list(reached)
        while stack:
            onward = {v for v in columns[stack.pop()] if v >= first} - reached
            reached |= onward
            stack.extend(onward)
        return bool(reached & rows[k])

    steps = []
    while left:
        ready = [k for k in left if k >= first or not waits(k)]
        pivot = min(ready, key=lambda k: (len(rows[k]) * len(columns[k]), level[k], k))
        left.discard(pivot)
        steps.append((pivot, tuple(sorted(columns[pivot])), tuple(sorted(rows[pivot]))))
        for k in rows[pivot] | columns[pivot]:
            level[k] = max(level[k], level[pivot] + 1)
        for i in columns[pivot]:
            rows[i].discard(pivot)
            rows[i] |= rows[pivot] - {i}
        for j in rows[pivot]:
            columns[j].discard(pivot)
            columns[j] |= columns[pivot] - {j}
    return Elimination(tuple(steps))
