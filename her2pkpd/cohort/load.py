"""What a cohort leaves behind, read back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from her2pkpd.cohort.endpoints import Coded
from her2pkpd.cohort.rows import Values
from her2pkpd.errors import InputError, Problem


@dataclass(frozen=True)
class Cohort:
    """A cohort's tables; ``docs/cohort.md`` says what is in them.

    Attributes:
        patients: one row a patient.
        endpoints: one row for each patient and arm.
        trajectories: one row for each patient, arm and time, of a subsample.
        columns: unit and description by table and column.
        manifest: what made it.
    """

    patients: pd.DataFrame
    endpoints: pd.DataFrame
    trajectories: pd.DataFrame
    columns: Mapping[str, Mapping[str, Mapping[str, str]]]
    manifest: Mapping[str, Any] = field(default_factory=dict)

    def unit(self, column: str) -> str:
        """Unit of a column of any of the tables."""
        return next(t[column]["unit"] for t in self.columns.values() if column in t)

    def __repr__(self) -> str:
        arms = ", ".join(map(str, self.endpoints["arm"].cat.categories))
        status = self.endpoints["status"].value_counts()
        ended = ", ".join(f"{n} {word}" for word, n in status.items() if n)
        return f"Cohort({len(self.patients)} patients; arms: {arms}; {ended})"


def frame(columns: Mapping[str, Values]) -> pd.DataFrame:
    """Columns as a data frame; words are categories."""
    return pd.DataFrame(
        {n: pd.Categorical.from_codes(v.codes, v.words) if isinstance(v, Coded) else v for n, v in columns.items()}
    )


def load(folder: str | Path) -> Cohort:
    """Read a cohort's folder.

    Raises:
        InputError: if it holds no cohort, or one that is not complete.
    """
    from her2pkpd.cohort import store

    folder = Path(folder)
    manifest = store.read_manifest(folder)
    if manifest is None:
        raise InputError(Problem("the folder holds no cohort", "Give the --out of a cohort.", file=str(folder)))
    if not manifest.get("complete"):
        raise InputError(Problem("the cohort is not complete", "Finish it with --resume.", file=str(folder)))
    who, ended, shown = (_table(folder / store.folder_of(t)) for t in store.TABLES)
    return Cohort(who, ended, shown, manifest["columns"], manifest)


def _table(folder: Path) -> pd.DataFrame:
    parts = sorted(folder.glob("part-*.parquet"))
    return pd.concat([pd.read_parquet(p) for p in parts], ignore_index=True) if parts else pd.DataFrame()
