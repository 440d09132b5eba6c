"""Choose an engine."""

import importlib
from typing import Literal

from her2pkpd.engine.problem import Batch, Directions, Options, Solution
from her2pkpd.errors import InputError, Problem
from her2pkpd.model.model import Model

EngineName = Literal["auto", "kernel", "reference", "gpu", "linear"]
_MODULES = {
    "kernel": "her2pkpd.engine.cpu",
    "reference": "her2pkpd.engine.reference",
    "gpu": "her2pkpd.engine.gpu",
    "linear": "her2pkpd.engine.linear",
}


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
        engine: "auto" takes the closed form for a small linear model, else the kernel, or a GPU where one is there and
            the batch is large enough to gain; and the reference engine for a rate the kernel cannot translate.

    Returns:
        The `Solution`; its `engine` says which ran.

    Raises:
        InputError: for an unknown engine, or "gpu" where no GPU can be used.
    """
    chosen = resolve(engine, batch.model)
    if engine == "auto" and chosen == "kernel" and directions is None and _gpu_gains(batch):
        chosen = "gpu"
    module = _MODULES[chosen]
    return importlib.import_module(module).solve(batch, options or Options(), directions)


def resolve(engine: EngineName, model: Model) -> EngineName:
    """The engine that "auto" stands for; any other name as it is.

    Raises:
        InputError: for an unknown engine.
    """
    if engine == "auto":
        return _automatic(model)
    if engine not in _MODULES:
        raise InputError(Problem("unknown engine", f"Use auto, {', '.join(_MODULES)}.", value=engine))
    return engine


def _automatic(model: Model) -> EngineName:
    from her2pkpd.model.trace import UntraceableError

    try:
        _ = model.flux_tape
        importlib.import_module(_MODULES["kernel"])
        from her2pkpd.engine.linear import is_linear

        if is_linear(model):
            return "linear"
    except (UntraceableError, ImportError):
        return "reference"
    return "kernel"


WORTH_A_GPU = 200_000
"""Lanes times species from which a GPU that is there gains on the processor, its compile time included."""


def _gpu_gains(batch: Batch) -> bool:
    from her2pkpd.engine import cuda

    size = batch.segments.n_lanes * batch.model.n_species
    return size >= WORTH_A_GPU and cuda.likely() and cuda.obstacle() is None
