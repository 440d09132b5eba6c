"""A million patients on a GPU: 6 cycles of 21 d, float64, end points on the card.

One command on a machine with a card, from the root of the checkout:

    python benchmarks/engine_gpu.py

writes ``results/engine_gpu.json``: seconds, lane-steps per second, the fraction of the card's float64 peak, and the
agreement with the CPU kernel for every lane (``--check`` limits how many lanes the CPU repeats). It times several
block sizes and methods and reports all of them. Without a card it says so, writes nothing and exits with 2;
``--static`` then still shows what the assembler says of the kernel, and the limits that follow from it.
"""

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from engine_models import patients

from her2pkpd.engine import Batch, Options, cpu, cuda, gpu, nvptx
from her2pkpd.engine.emit.ptx import device_text

RESULT = Path(__file__).parent / "results" / "engine_gpu.json"
OPTIONS = Options(1e-4, 1e-6)
METHODS = ("rodas5", "rodas4")
BLOCKS = (32, 64, 128)


def cohort(lanes: int, cycles: int) -> Batch:
    """The patients, with a trough and a final state saved."""
    batch = patients(lanes, cycles=cycles, saves=1)
    times = np.array([504.0 * (cycles - 1), 504.0 * cycles])
    return Batch(batch.model, batch.parameters, batch.segments, times, batch.initial)


def operations(batch: Batch, method: str) -> int:
    """Float64 operations of an attempted step, a fused multiply-add counting two, read off the routines."""
    request = gpu.request_for(batch.model, batch.segments, OPTIONS, None, method)
    text, _ = gpu.program(request, batch.model.flux_tape, batch.segments.inputs)
    bodies = dict.fromkeys(("first", "stage"), 0)
    for name in bodies:
        body = text[text.index(f"@{name}(") :]
        body = body[: body.index("\n}")]
        bodies[name] = 2 * body.count("@llvm.fma.") + sum(
            body.count(f" {op} double") for op in ("fadd", "fsub", "fmul")
        )
        # A reciprocal takes four fused multiply-adds.
        bodies[name] += 9 * body.count("fdiv double")
    from her2pkpd.engine.methods import METHODS as TABLES

    table = TABLES[method]
    n = batch.model.n_species
    combinations = (
        2
        * n
        * sum(np.count_nonzero(table.a_matrix[i]) + np.count_nonzero(table.c_matrix[i]) for i in range(table.stages))
    )
    return int(bodies["first"] + (table.stages - 1) * bodies["stage"] + combinations + 12 * batch.model.n_species)


def static(batch: Batch) -> dict[str, Any]:
    """What the assembler says, per method."""
    found: dict[str, Any] = {}
    for method in METHODS:
        request = gpu.request_for(batch.model, batch.segments, OPTIONS, None, method)
        text, shape = gpu.program(request, batch.model.flux_tape, batch.segments.inputs)
        begin = time.perf_counter()
        source = nvptx.ptx(device_text(text, shape), "sm_90")
        middle = time.perf_counter()
        _, taken = nvptx.assemble(source, "sm_90")
        found[method] = {
            **vars(taken),
            "scratch_bytes": 8 * shape.size,
            "ptx_lines": source.count("\n"),
            "operations_per_step": operations(batch, method),
            "seconds_ptx": middle - begin,
            "seconds_ptxas": time.perf_counter() - middle,
        }
    return found


def timed(batch: Batch, method: str, threads: int, repeats: int) -> dict[str, Any]:
    """Median seconds of a whole run, from parameters on the host to end points on the host."""
    gpu.THREADS = threads
    gpu._loaded.clear()
    seconds = []
    last = batch.model.species_index["N1"]

    def end(y: cuda.DeviceArray) -> np.ndarray:
        try:
            import jax.numpy as jnp

            return np.asarray(jnp.asarray(y)[:, :, last])
        except (ImportError, TypeError, ValueError, RuntimeError):
            return np.asarray(y)[:, :, last]

    small = cohort(1024, 1)
    gpu.endpoints(small, end, OPTIONS, method_name=method)
    for _ in range(repeats):
        begin = time.perf_counter()
        _, found = gpu.endpoints(batch, end, OPTIONS, method_name=method)
        seconds.append(time.perf_counter() - begin)
    taken, attempts = float(np.median(seconds)), int((found.steps + found.rejected).sum())
    rate = attempts / taken
    return {
        "method": method,
        "threads": threads,
        "seconds": taken,
        "all_seconds": seconds,
        "steps_per_lane": attempts / len(found.steps),
        "lane_steps_per_second": rate,
        "fraction_of_float64_peak": rate * operations(batch, method) / cuda.card().peak,
        "status": found.status_counts(),
    }


def agreement(batch: Batch, lanes: int, method: str) -> dict[str, Any]:
    """Every lane on both engines: the largest difference in units of the tolerance."""
    worst, differing, alike = 0.0, 0, True
    scale = np.array([s.scale for s in batch.model.species])
    for start in range(0, lanes, 20_000):
        some = slice(start, min(start + 20_000, lanes))
        s = batch.segments
        parts = {x: getattr(s, x)[some] for x in ("boundaries", "jump", "keep", "infusion", "reset")}
        assert batch.initial is not None
        piece = replace(
            batch, parameters=batch.parameters[some], segments=replace(s, **parts), times=batch.times[some],
            initial=batch.initial[some],
        )  # fmt: skip
        on_card, on_cpu = (f(piece, OPTIONS, method_name=method) for f in (gpu.solve, cpu.solve))
        alike &= bool(np.array_equal(on_card.status, on_cpu.status))
        error = np.abs(on_card.y - on_cpu.y) / (OPTIONS.atol * scale + OPTIONS.rtol * np.abs(on_cpu.y))
        worst = max(worst, float(np.nanmax(error)))
        differing += int((~np.isclose(on_card.y, on_cpu.y, rtol=1e-12, atol=0, equal_nan=True)).any(axis=(1, 2)).sum())
        print(f"  checked {some.stop} of {lanes} lanes: worst {worst:.2e} tolerances", end="\r", file=sys.stderr)
    return {"lanes": lanes, "worst_in_tolerances": worst, "lanes_beyond_1e-12": differing, "statuses_equal": alike}


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lanes", type=int, default=1_000_000)
    parser.add_argument("--cycles", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--check", type=int, default=None, help="lanes repeated on the CPU; default all")
    parser.add_argument("--static", action="store_true", help="only what the assembler says; needs no card")
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    if args.static:
        print(json.dumps(static(cohort(2, args.cycles)), indent=1))
        return 0
    missing = cuda.obstacle()
    if missing:
        print(f"Nothing measured: {missing}.", file=sys.stderr)
        return 2
    card = cuda.card()
    batch = cohort(args.lanes, args.cycles)
    runs = [timed(batch, m, threads, args.repeats) for m in METHODS for threads in BLOCKS]
    best = min(runs, key=lambda r: r["seconds"])
    gpu.THREADS = best["threads"]
    gpu._loaded.clear()
    result = {
        "card": card.name,
        "float64_peak": card.peak,
        "lanes": args.lanes,
        "cycles": args.cycles,
        "rtol": OPTIONS.rtol,
        "atol": OPTIONS.atol,
        "best": best,
        "runs": runs,
        "agreement": agreement(batch, min(args.check or args.lanes, args.lanes), best["method"]),
        "assembler": static(batch) if nvptx.assembler() else None,
    }
    args.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({k: result[k] for k in ("card", "best", "agreement")}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
