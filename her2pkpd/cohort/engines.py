"""The engines a cohort may run on."""

from typing import Literal

from her2pkpd.cohort.treat import Solve
from her2pkpd.engine import Batch, Options, Solution
from her2pkpd.errors import InputError, Problem

Engine = Literal["auto", "kernel", "gpu"]

SCRATCH = 2**26
"""Bytes of states that one call of the processor's kernel may fill; larger batches are cut."""


def resolve(engine: str) -> str:
    """The engine that "auto" stands for: a GPU where one can be used, else the processor.

    Raises:
        InputError: for an unknown engine, or "gpu" without one.
    """
    if engine not in ("auto", "kernel", "gpu"):
        raise InputError(Problem("unknown engine", "Use auto, kernel or gpu.", value=engine))
    if engine == "kernel":
        return engine
    from her2pkpd.engine import cuda

    obstacle = cuda.obstacle() if engine == "gpu" or cuda.likely() else "no card"
    if engine == "gpu" and obstacle is not None:
        raise InputError(Problem(f"no GPU can be used: {obstacle}", "Use --engine kernel.", value=engine))
    return "kernel" if obstacle is not None else "gpu"


def solver(engine: str) -> Solve:
    """The function that integrates a batch on an engine, one thread on the processor."""
    if engine == "gpu":
        from her2pkpd.engine import gpu

        return lambda batch, options: gpu.solve(batch, options)
    return _on_processor


def _on_processor(batch: Batch, options: Options) -> Solution:
    from her2pkpd.engine import cpu

    return cpu.solve(batch, options, threads=1)


def processor(engine: str) -> str:
    """What the bits of results depend on beside versions: the processor code is made for, or the card."""
    if engine == "gpu":
        from her2pkpd.engine import cuda

        return str(cuda.card().name)
    from her2pkpd.engine.compile import host

    target = host()
    return f"{target.cpu}, {target.width} lanes{', fma' if target.fma else ''}{', ' + target.reciprocals if target.reciprocals else ''}"
