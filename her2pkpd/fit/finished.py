"""Finished fits, read back from their folders."""

import json
from pathlib import Path

from her2pkpd.errors import InputError, Problem


def read_estimate(folder: Path, key: str) -> dict[str, float]:
    """Coordinates of the best start by the names of the unknowns, from the ``fit.json`` of a fit's folder.

    Args:
        folder: the folder.
        key: where it was named, for the message.

    Raises:
        InputError: if it holds no finished fit.
    """
    file = folder / "fit.json"
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        return {str(n): float(x) for n, x in zip(kept["unknowns"], kept["coordinates"], strict=True)}
    except (OSError, ValueError, KeyError, TypeError) as error:
        rule, remedy = "is not of a finished fit", "Name the DIR that her2pkpd fit has written."
        raise InputError(Problem(rule, remedy, str(file), None, key)) from error
