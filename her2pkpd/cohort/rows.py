"""Rows of patients in memory, cut and joined."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from her2pkpd.cohort.endpoints import Coded

Values = np.ndarray | Coded


@dataclass
class Block:
    """Rows of consecutive patients.

    Attributes:
        patients, endpoints, trajectories: columns by name; no columns where there are no rows.
    """

    patients: dict[str, Values]
    endpoints: dict[str, Values]
    trajectories: dict[str, Values]

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def numbers(self) -> np.ndarray:
        """(L,) who the patients are."""
        numbers = self.patients["patient"]
        assert isinstance(numbers, np.ndarray)
        return numbers

    @property
    def counts(self) -> dict[str, int]:
        """Patients and arms by status."""
        status = self.endpoints["status"]
        assert isinstance(status, Coded)
        codes, many = np.unique(status.codes, return_counts=True)
        return {status.words[c]: int(n) for c, n in zip(codes, many, strict=True)}


def slice_block(block: Block, patients: range) -> Block:
    """The rows of some of a block's patients."""

    def cut(columns: Mapping[str, Values]) -> dict[str, Values]:
        if not columns:
            return {}
        numbers = columns["patient"]
        assert isinstance(numbers, np.ndarray)
        a, b = np.searchsorted(numbers, [patients.start, patients.stop])
        return {k: Coded(v.codes[a:b], v.words) if isinstance(v, Coded) else v[a:b] for k, v in columns.items()}

    return Block(cut(block.patients), cut(block.endpoints), cut(block.trajectories))


def _nothing(columns: Mapping[str, Values]) -> np.ndarray:
    """A column of no values: of a variable that no arm in this chunk has."""
    numbers = columns["patient"]
    assert isinstance(numbers, np.ndarray)
    return np.full(len(numbers), np.nan)


def complete(columns: Mapping[str, Values], names: Iterable[str]) -> dict[str, Values]:
    """Columns in the order of `names`, those that are missing without values; no rows stay no columns."""
    return {name: columns.get(name, _nothing(columns)) for name in names} if columns else {}


def join_blocks(blocks: Sequence[Block]) -> Block:
    """Blocks of consecutive patients as one."""

    def join(tables: Sequence[Mapping[str, Values]]) -> dict[str, Values]:
        full = [t for t in tables if t]
        if not full:
            return {}
        joined: dict[str, Values] = {}
        for name in dict.fromkeys(n for t in full for n in t):
            parts = [t.get(name, _nothing(t)) for t in full]
            values = np.concatenate([p.codes if isinstance(p, Coded) else p for p in parts])
            first = parts[0]
            joined[name] = Coded(values, first.words) if isinstance(first, Coded) else values
        return joined

    if len(blocks) == 1:
        return blocks[0]
    tables = ("patients", "endpoints", "trajectories")
    return Block(*(join([getattr(b, table) for b in blocks]) for table in tables))
