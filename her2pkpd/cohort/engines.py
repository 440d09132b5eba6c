"""The engines a cohort may run on."""

import hashlib
from dataclasses import dataclass
from typing import Literal

from her2pkpd.cohort.treat import Solve
from her2pkpd.engine import Batch, Options, Solution
from her2pkpd.errors import InputError, Problem, Problems

Engine = Literal["auto", "kernel", "gpu"]


@dataclass(frozen=True)
class Resources:
    """What a cohort is computed on; results do not depend on it, but for the engine.

    Attributes:
        engine: "kernel" (the processor), "gpu", or "auto": a GPU where there is one.
        threads: threads to use; None is one per core.
        chunk: patients computed at once; None suits the engine.
        scheduler: address of a Dask scheduler whose workers compute the patients, or None for this process.
    """

    engine: Engine = "auto"
    threads: int | None = None
    chunk: int | None = None
    scheduler: str | None = None

    def __post_init__(self) -> None:
        problems = Problems()
        for name in ("threads", "chunk"):
            value = getattr(self, name)
            if value is not None and value < 1:
                problems.add("must be at least 1", "Leave it out for the usual number.", column=name, value=value)
        problems.raise_any()


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
        remedy = "Use --engine kernel; a GPU needs an NVIDIA card, its driver and the extra her2pkpd[cuda]."
        raise InputError(Problem(f"no GPU can be used: {obstacle}", remedy, value=engine))
    return "kernel" if obstacle is not None else "gpu"


def solver(engine: str) -> Solve:
    """The function that integrates a batch on an engine, one thread on the processor."""
    if engine == "gpu":
        from her2pkpd.engine import gpu

        return gpu.solve
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
    code = hashlib.sha256(repr(target).encode()).hexdigest()[:8]
    return f"{target.cpu}, {target.width} lanes, {code}"
