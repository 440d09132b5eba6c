"""Choose an engine."""

import importlib
from typing import Literal

from her2pkpd.engine.problem import Batch, Directions, Options, Solution
from her2pkpd.errors import InputError, Problem

EngineName = Literal["auto", "kernel", "reference", "gpu"]
_MODULES = {"kernel": "her2pkpd.engine.cpu", "reference": "her2pkpd.engine.reference", "gpu": "her2pkpd.engine.gpu"}


def solve(
    batch: Batch,
    options: Options | None = None,
    directions: Directions | None = None,
    *,
    engine: EngineName = "auto",
) -> Solution:
    """Integrate every lane of a batch.

    Args:
        batch: the problem.
        options: tolerances and limits.
        directions: derivatives wanted, or None.
        engine: "auto" takes the kernel, and the reference engine for a rate the kernel cannot translate.

    Returns:
        The `Solution`; its `engine` says which ran.

    Raises:
        InputError: for an unknown engine.
    """
    options = options or Options()
    if engine == "auto":
        engine = _automatic(batch)
    if engine not in _MODULES:
        raise InputError(Problem("unknown engine", f"Use auto, {', '.join(_MODULES)}.", value=engine))
    return importlib.import_module(_MODULES[engine]).solve(batch, options, directions)


def _automatic(batch: Batch) -> EngineName:
    from her2pkpd.model.trace import UntraceableError

    try:
        _ = batch.model.flux_tape
        importlib.import_module(_MODULES["kernel"])
    except (UntraceableError, ImportError):
        return "reference"
    return "kernel"
