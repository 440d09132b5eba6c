"""State of long work on disk: named arrays, written so that a reader finds the old state or the new, never half."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

_KEY = "inputs"


def save(path: str | Path, inputs: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays to an ``.npz`` file at once.

    Args:
        path: the file.
        inputs: what the state belongs to; `load` returns it to nobody else.
        arrays: by name.
    """
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        np.savez(file, allow_pickle=False, **{_KEY: np.array(inputs)}, **arrays)
    partial.replace(path)


def load(path: str | Path, inputs: str) -> dict[str, np.ndarray] | None:
    """Arrays of a file that belongs to `inputs`; None if there is none, or none that can be read."""
    try:
        with Path(path).open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, KeyError, AttributeError, TypeError, zipfile.BadZipFile):
        return None
    return arrays if str(arrays.pop(_KEY, "")) == inputs else None
