"""Where summaries read from: a table in memory, or a Parquet dataset of which only the needed columns are read.

Every summary takes a `Source`, keeps patients whose ``status`` is "ok", counts the others, and may be given weights.
A Parquet dataset is read column by column and batch by batch, so that a summary of a million patients needs the
memory of a few columns of numbers and never that of the dataset.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd

from her2pkpd.errors import InputError, Problem, Problems
from her2pkpd.settings import nearest

if TYPE_CHECKING:
    import pyarrow.dataset

Source: TypeAlias = "pd.DataFrame | str | os.PathLike[str] | pyarrow.dataset.Dataset | Join"
Weights: TypeAlias = "str | pd.Series | None"

IDS = ("patient", "id")
"""Names of the column that says who a row is about: in a cohort's tables, and in those of `her2pkpd.simulate`."""

STATUS, OK = "status", "ok"
"""A row whose status is not "ok" has no results."""

BATCH = 131_072
"""Rows read at a time."""


@dataclass(frozen=True)
class Join:
    """A table with one row or more per patient, and one with one row per patient that adds columns to it.

    Attributes:
        rows: endpoints or trajectories.
        patients: who the patients are.
    """

    rows: Source
    patients: Source


@dataclass(frozen=True)
class Rows:
    """Some columns of a table, without the patients who failed.

    Attributes:
        frame: the columns asked for; text is categorical.
        weight: (n,) of every row; ones where none were given.
        failed: rows left out because their status is not "ok".
    """

    frame: pd.DataFrame
    weight: np.ndarray
    failed: int

    def __len__(self) -> int:
        return len(self.frame)

    def values(self, column: str) -> np.ndarray:
        """(n,) a column of numbers as float64.

        Raises:
            InputError: if it does not hold numbers.
        """
        try:
            return self.frame[column].to_numpy(dtype=float)
        except (TypeError, ValueError) as error:
            raise InputError(
                Problem(
                    "must hold numbers", "Choose a column of numbers.", column=column, value=self.frame[column].iloc[0]
                )
            ) from error

    def groups(self, by: Sequence[str]) -> Iterator[tuple[dict[str, Any], "Rows"]]:
        """Each group's values of `by`, and its rows; failed rows are not divided among groups."""
        if not by:
            yield {}, self
            return
        for key, places in self.frame.groupby(list(by), observed=True, sort=True).indices.items():
            own = key if isinstance(key, tuple) else (key,)
            yield dict(zip(by, own, strict=True)), self.take(places)

    def take(self, places: np.ndarray) -> "Rows":
        """The rows at these places, or where a mask is true."""
        return Rows(self.frame.iloc[places], self.weight[places], self.failed)

    def known(self, column: str) -> "Rows":
        """The rows in which a column of numbers is not missing."""
        fine = ~np.isnan(self.values(column))
        return self if fine.all() else self.take(np.flatnonzero(fine))


def read(
    source: Source, columns: Sequence[str], *, where: Mapping[str, Any] | None = None, weights: Weights = None
) -> Rows:
    """Some columns of a table.

    Args:
        source: a DataFrame, the path of a Parquet file or dataset, a pyarrow dataset, or a `Join` of two of these.
        columns: which.
        where: values that other columns must have; on Parquet only what matches is read.
        weights: None; the name of a column; or a Series of weights by patient.

    Raises:
        InputError: for columns the table does not have, and weights that are negative, missing or not finite.
    """
    parts = list(batches(source, columns, where=where, weights=weights))
    if len(parts) == 1:
        return parts[0]
    frame = _joined([p.frame for p in parts]) if parts else pd.DataFrame({c: [] for c in columns})
    weight = np.concatenate([p.weight for p in parts]) if parts else np.empty(0)
    return Rows(frame, weight, sum(p.failed for p in parts))


def batches(
    source: Source,
    columns: Sequence[str],
    *,
    where: Mapping[str, Any] | None = None,
    weights: Weights = None,
    rows: int = BATCH,
) -> Iterator[Rows]:
    """The same as `read`, in batches of at most `rows` rows; a DataFrame is one batch."""
    extra = [weights] if isinstance(weights, str) else [id_of(source)] if isinstance(weights, pd.Series) else []
    wanted = list(dict.fromkeys([*columns, *extra]))
    for frame in _frames(source, wanted, dict(where or {}), rows):
        fine = np.ones(len(frame), dtype=bool)
        if STATUS in frame:
            fine = (frame[STATUS] == OK).to_numpy()
        kept = frame.loc[fine]
        weight = _weight(kept, weights)
        yield Rows(kept[list(dict.fromkeys(columns))].reset_index(drop=True), weight, int(np.sum(~fine)))


def columns_of(source: Source) -> list[str]:
    """Names of a table's columns."""
    if isinstance(source, Join):
        return list(dict.fromkeys([*columns_of(source.rows), *columns_of(source.patients)]))
    return list(source.columns) if isinstance(source, pd.DataFrame) else list(_dataset(source).schema.names)


def id_of(source: Source) -> str:
    """Name of the column that says who a row is about.

    Raises:
        InputError: if there is none of `IDS`.
    """
    known = columns_of(source)
    for name in IDS:
        if name in known:
            return name
    raise InputError(
        Problem("there is no column that says who a row is about", f"Name it '{IDS[0]}'.", value=known[:5])
    )


def _frames(source: Source, wanted: list[str], where: dict[str, Any], rows: int) -> Iterator[pd.DataFrame]:
    known = columns_of(source)
    problems = Problems(str(source) if isinstance(source, str | os.PathLike) else None)
    for name in (*wanted, *where):
        if name not in known:
            problems.add(f"no column '{name}'", nearest(name, known), column=name)
    problems.raise_any()
    own = [*wanted, *([STATUS] if STATUS in known and STATUS not in wanted else [])]
    if isinstance(source, Join):
        yield from _joined_frames(source, own, where, rows)
    elif isinstance(source, pd.DataFrame):
        mask = np.ones(len(source), dtype=bool)
        for name, value in where.items():
            mask &= (source[name] == value).to_numpy()
        yield source.loc[mask, own]
    else:
        yield from _parquet_frames(source, own, where, rows)


def _parquet_frames(source: Any, own: list[str], where: dict[str, Any], rows: int) -> Iterator[pd.DataFrame]:
    import pyarrow.dataset as ds

    condition = None
    for name, value in where.items():
        term = ds.field(name) == value
        condition = term if condition is None else condition & term
    for batch in _dataset(source).to_batches(columns=own, filter=condition, batch_size=rows):
        if batch.num_rows:
            yield batch.to_pandas(strings_to_categorical=True)


def _joined_frames(source: Join, own: list[str], where: dict[str, Any], rows: int) -> Iterator[pd.DataFrame]:
    left, right = columns_of(source.rows), columns_of(source.patients)
    key, other = id_of(source.rows), id_of(source.patients)
    added = [c for c in dict.fromkeys([*own, *where]) if c not in left and c in right]
    people = read(source.patients, [other, *added]).frame.set_index(other)
    if not people.index.is_unique:
        rule = "the table of patients has several rows for one patient"
        raise InputError(Problem(rule, "Give one row per patient.", column=other))
    ours = {k: v for k, v in where.items() if k in left}
    for frame in _frames(source.rows, list(dict.fromkeys([key, *(c for c in own if c in left)])), ours, rows):
        place = people.index.get_indexer(frame[key].to_numpy())
        if (place < 0).any():
            missing = frame[key].to_numpy()[place < 0][0]
            rule = "is not in the table of patients"
            raise InputError(Problem(rule, "Give the patients of these results.", column=key, value=missing))
        both = pd.concat([frame.reset_index(drop=True), people.iloc[place].reset_index(drop=True)], axis=1)
        mask = np.ones(len(both), dtype=bool)
        for name in where.keys() - ours.keys():
            mask &= (both[name] == where[name]).to_numpy()
        yield both.loc[mask, own]


def _dataset(source: Any) -> "pyarrow.dataset.Dataset":
    import pyarrow
    import pyarrow.dataset as ds

    if isinstance(source, ds.Dataset):
        return source
    try:
        return ds.dataset(os.fspath(source), format="parquet", partitioning="hive")
    except (OSError, pyarrow.ArrowInvalid) as error:
        raise InputError(
            Problem(
                f"the Parquet dataset cannot be read ({str(error).splitlines()[0]})",
                "Check its name.",
                file=str(source),
            )
        ) from error


def _weight(frame: pd.DataFrame, weights: Weights) -> np.ndarray:
    if weights is None:
        return np.ones(len(frame))
    if isinstance(weights, str):
        found, column = frame[weights].to_numpy(dtype=float), weights
    else:
        who = next(name for name in IDS if name in frame)
        found, column = weights.reindex(frame[who]).to_numpy(dtype=float), "weight"
    bad = ~(np.isfinite(found) & (found >= 0.0))
    if bad.any():
        value = float(found[np.argmax(bad)])
        rule = "a weight must be zero or positive, and every patient needs one"
        raise InputError(Problem(rule, "Weigh every patient of the cohort.", column=column, value=value))
    return found


def _joined(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Frames one below the other, with the categories of all."""
    from pandas.api.types import union_categoricals

    columns: dict[str, Any] = {}
    for name in frames[0].columns:
        parts: list[Any] = [f[name] for f in frames]
        if isinstance(parts[0].dtype, pd.CategoricalDtype):
            columns[name] = union_categoricals(parts)
        else:
            columns[name] = pd.concat(parts, ignore_index=True)
    return pd.DataFrame(columns)
