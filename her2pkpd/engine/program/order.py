"""Elimination order and symbolic factorisation of a sparse matrix with a structurally full diagonal."""

from collections.abc import Iterable


def elimination_order(n: int, entries: Iterable[tuple[int, int]]) -> list[int]:
    """Pivot order with little fill: at each step the diagonal pivot of least Markowitz cost.

    Args:
        n: size of the matrix.
        entries: (row, column) of the non-zeros; the diagonal is taken as present.

    Returns:
        Pivot indices in order of elimination. Ties go to the pivot that waits for the fewest others in a row,
        which keeps chains of dependent operations short, and then to the smaller index.
    """
    rows: list[set[int]] = [set() for _ in range(n)]
    columns: list[set[int]] = [set() for _ in range(n)]
    for i, j in entries:
        if i != j:
            rows[i].add(j)
            columns[j].add(i)
    left = set(range(n))
    level = [0] * n
    order: list[int] = []
    while left:
        pivot = min(left, key=lambda k: (len(rows[k]) * len(columns[k]), level[k], k))
        left.discard(pivot)
        order.append(pivot)
        for k in rows[pivot] | columns[pivot]:
            level[k] = max(level[k], level[pivot] + 1)
        for i in columns[pivot]:
            rows[i].discard(pivot)
            rows[i] |= rows[pivot] - {i}
        for j in rows[pivot]:
            columns[j].discard(pivot)
            columns[j] |= columns[pivot] - {j}
    return order


def filled(n: int, entries: Iterable[tuple[int, int]], order: list[int]) -> set[tuple[int, int]]:
    """Non-zeros of the factors L + U, diagonal included, when pivots are taken in `order`."""
    present = set(entries) | {(i, i) for i in range(n)}
    place = {k: i for i, k in enumerate(order)}
    for k in order:
        below = [i for i in range(n) if place[i] > place[k] and (i, k) in present]
        right = [j for j in range(n) if place[j] > place[k] and (k, j) in present]
        present.update((i, j) for i in below for j in right)
    return present
