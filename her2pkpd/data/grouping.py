"""Iterating over groups of rows, with the key always a tuple."""

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd


def groups(frame: pd.DataFrame, keys: Sequence[str]) -> Iterator[tuple[tuple[Any, ...], pd.DataFrame]]:
    """The rows of `frame` that agree in all columns `keys`, in order of first appearance; NaN agrees with NaN.

    Yields:
        The values of the keys, and the rows.
    """
    grouped: Any = frame.groupby(list(keys), sort=False, dropna=False)
    yield from grouped
