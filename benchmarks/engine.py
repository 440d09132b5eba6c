"""The engine against what people use: time per lane at matched achieved error, on one core, in one run.

Writes ``results/engine.json``. Every method gets a range of tolerances; a time at a given error is read off its own
work-precision line by log-log interpolation, its best line where it has several. Times are processor time, the
median of several runs after one that is not counted; the error of a lane is its largest relative deviation from a
solution at 1e-12 (values below a thousandth of a species' largest count absolutely), the median over lanes.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from engine_amici import Amici, amici_solver
from engine_methods import at_error, deviation
from engine_models import MOVED, patients, wells
from engine_peers import (
    Solver,
    diffrax_lane,
    diffrax_solver,
    later_doses,
    roadrunner_solver,
    scipy_solver,
    started,
    tiled,
)
from engine_scaling import chain

from her2pkpd.engine import Batch, Directions, Options
from her2pkpd.engine.compile import host, lanes
from her2pkpd.engine.cpu import solve
from her2pkpd.engine.methods import default_method, method
from her2pkpd.engine.program.step import StepProgram
from her2pkpd.systems.adc_patient import adc_patients

RESULT = Path(__file__).parent / "results" / "engine.json"
LANES, COPIES = 8, 8
TOLERANCES = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9)
TARGETS = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8)
LIMIT = 60.0
"""Seconds after which a method is not asked for tighter tolerances."""


def seconds(run: Callable[[], object], repeats: int) -> float:
    """Processor time of a run, the median of several; a slow one is timed once."""
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        run()
        taken.append(time.process_time() - start)
        if taken[0] > LIMIT / 6:
            break
    return float(np.median(taken))


def line(run: Solver, exact: np.ndarray, absolute: float, repeats: int) -> list[dict[str, float]]:
    """One work-precision line: atol is `absolute` times rtol."""
    rows: list[dict[str, float]] = []
    for rtol in TOLERANCES:
        start = time.process_time()
        try:
            y = run(rtol, absolute * rtol)
        except RuntimeError as error:  # a peer that gives up at this tolerance has no point on its line
            print(f"    rtol {rtol:g}: {str(error)[:100]}", flush=True)
            continue
        first = time.process_time() - start
        cost = seconds(lambda rtol=rtol: run(rtol, absolute * rtol), repeats if first < LIMIT / 6 else 1)
        error = float(np.median(deviation(y, exact[: len(y)])))
        rows.append({"rtol": rtol, "error": error, "ms_per_lane": cost / len(y) * 1e3})
        print(f"    rtol {rtol:g}: {rows[-1]['ms_per_lane']:.4g} ms, error {error:.2g}", flush=True)
        if cost > LIMIT / 3:
            break
    return [r for r in rows if np.isfinite(r["error"])]


def work_precision(batch: Batch, repeats: int, peers: dict[str, tuple[Solver, tuple[float, ...]]]) -> dict:
    """Lines of every method on one problem, and times at matched errors."""
    tight = Options(1e-12, 1e-14, 10_000_000)
    exact = np.tile(solve(batch, tight, method_name="rodas5p").y, (COPIES, 1, 1))
    lines: dict[str, list[list[dict[str, float]]]] = {}
    for name, (run, factors) in peers.items():
        print(f"  {name}", flush=True)
        lines[name] = [line(run, exact, f, repeats) for f in factors]
    table = {}
    for target in TARGETS:
        times = {n: [at_error(rows, target, "ms_per_lane") for rows in several] for n, several in lines.items()}
        best = {n: min((t for t in found if t is not None), default=None) for n, found in times.items()}
        own = best["kernel"]
        ratios = {n: t / own for n, t in best.items() if t and own}
        table[f"{target:g}"] = {"ms_per_lane": best, "times_the_kernel": ratios}
    return {"species": batch.model.n_species, "lines": lines, "at_error": table}


def problem_peers(batch: Batch) -> dict[str, tuple[Solver, tuple[float, ...]]]:
    """The kernel and its peers on a batch of `LANES` lanes, with the ratios atol / rtol tried."""
    many = tiled(batch, LANES, COPIES)
    peers: dict[str, tuple[Solver, tuple[float, ...]]] = {
        "kernel": (lambda r, a: solve(many, Options(r, a), threads=1).y, (1e-2,)),
        "libRoadRunner (CVODE)": (roadrunner_solver(batch, LANES), (1e-2, 1e-4, 1e-6)),
        "SciPy LSODA, JAX right-hand side": (scipy_solver(batch, 2, "LSODA"), (1e-2,)),
        "SciPy BDF, JAX right-hand side": (scipy_solver(batch, 2, "BDF"), (1e-2,)),
    }
    if not later_doses(batch):
        few = tiled(batch, LANES, 2)
        for method in ("Kvaerno5", "Kvaerno3"):
            peers[f"Diffrax {method}, vmap"] = (diffrax_solver(few, 2 * LANES, method), (1e-2,))
        # AMICI's import of the well does not end within half an hour.
        if find_spec("amici") and batch.model.n_species > 30:
            peers["AMICI (CVODES)"] = (amici_solver(batch, 2), (1e-2, 1e-4))
    return peers


def lane_steps(batch: Batch, repeats: int) -> dict[str, float]:
    """Nanoseconds per lane-step, and the operations of a step that set its limit."""
    many = tiled(batch, LANES, COPIES)
    options = Options(1e-4, 1e-6)
    found = solve(many, options, threads=1)
    cost = seconds(lambda: solve(many, options, threads=1), repeats)
    n, width = batch.model.n_species, lanes(batch.model.n_species)
    table, routines = method(default_method(1e-4)), StepProgram(batch.model.flux_tape, n).finish()
    counts = {k: sum(x.op in ("mul", "div", "add", "sub") for x in routines[k].tape.nodes) for k in ("first", "stage")}
    combine = n * (np.count_nonzero(table.c_matrix) + sum(min(np.count_nonzero(r), 5) for r in table.a_matrix[:-2]) + 2)
    operations = counts["first"] + (table.stages - 1) * counts["stage"] + combine
    return {
        "steps": float(found.steps.mean()),
        "rejected": float(found.rejected.mean()),
        "ns_per_lane_step": cost / float((found.steps + found.rejected).sum()) * 1e9,
        "arithmetic_operations_per_step": int(operations),
        "vector_operations_per_lane_step": operations / width,
    }


FIRST = """
import json, time
import jax, numpy, scipy, llvmlite.binding, pandas
import her2pkpd.engine.cpu, her2pkpd.systems.well
from her2pkpd.engine import Options
from engine_models import patients
start = time.perf_counter()
batch = patients(8, cycles=1)
built = time.perf_counter()
her2pkpd.engine.cpu.solve(batch, Options(1e-4, 1e-6))
print(json.dumps({"model": built - start, "trace_compile_solve": time.perf_counter() - built}))
"""


def first_result(repeats: int) -> dict[str, dict[str, float]]:
    """Seconds from a model to its first solution in a new process, with an empty cache and a full one."""
    found: dict[str, list[dict[str, float]]] = {"cold": [], "cached": []}
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as place:
            for state in ("cold", "cached"):
                path = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])])
                env = os.environ | {"HER2PKPD_CACHE": place, "PYTHONPATH": path}
                out = subprocess.run([sys.executable, "-c", FIRST], env=env, capture_output=True, text=True, check=True)
                found[state].append(json.loads(out.stdout))
    return {s: {k: float(np.median([r[k] for r in rows])) for k in rows[0]} for s, rows in found.items()}


def scaling(repeats: int) -> dict:
    """Cost of a step against the size of the model."""
    rows = []
    for n in (10, 20, 50, 100, 200):
        batch = chain(n)
        found = solve(batch, Options(1e-5, 1e-7), threads=1)
        cost = seconds(lambda batch=batch: solve(batch, Options(1e-5, 1e-7), threads=1), repeats)
        step = StepProgram(batch.model.flux_tape, batch.model.n_species)
        count = float((found.steps + found.rejected).sum())
        rows.append({"species": n, "nonzeros": step.factors.nonzeros, "ns_per_lane_step": cost / count * 1e9})
    x, y = (np.log([r[k] for r in rows]) for k in ("nonzeros", "ns_per_lane_step"))
    return {"models": rows, "exponent_by_nonzeros": float(np.polyfit(x, y, 1)[0])}


def gradients(repeats: int) -> dict:
    """64 wells by 12 parameters: the kernel's tangents against its own solve and against Diffrax's."""
    import diffrax
    import jax

    batch = wells(64)
    moved = [k for k, p in enumerate(batch.model.parameters) if p.value][:12]
    directions, tight = Directions(tuple(moved)), Options(1e-10, 1e-13)
    exact = solve(batch, tight, directions).dy
    size = np.abs(exact).max(axis=(0, 1), keepdims=True) + 1e-300

    def off(dy: np.ndarray) -> float:
        return float(np.median((np.abs(dy - exact[: len(dy)]) / size).max(axis=(1, 2, 3))))

    rows = {}
    for rtol in (1e-4, 1e-6, 1e-8):
        options = Options(rtol, rtol * 1e-2)
        error = off(solve(batch, options, directions, threads=1).dy)
        with_tangents = seconds(lambda o=options: solve(batch, o, directions, threads=1), repeats)
        solve(batch, options, threads=1)
        without = seconds(lambda o=options: solve(batch, o, threads=1), repeats)
        rows[f"{rtol:g}"] = {
            "ms": with_tangents * 1e3, "ratio_to_solve": with_tangents / without, "error": error,
        }  # fmt: skip

    first = started(batch)
    s = first.segments

    def lane(q, p, y, b, i, t, r, a):  # noqa: ANN001, ANN202
        return diffrax_lane(batch, "Kvaerno5", p.at[np.array(moved)].set(q), y, b, i, t, r, a, diffrax.ForwardMode())

    peer = jax.jit(jax.vmap(jax.jacfwd(lane), in_axes=(0, 0, 0, 0, 0, 0, None, None)))
    arrays = (first.parameters[:, moved], first.parameters, first.initial, s.boundaries, s.infusion, first.times)
    theirs = {}
    for rtol in (1e-4, 1e-6):
        peer(*arrays, rtol, rtol * 1e-2)
        cost = seconds(lambda r=rtol: jax.block_until_ready(peer(*arrays, r, r * 1e-2)), repeats)
        theirs[f"{rtol:g}"] = {"ms": cost * 1e3}
    kernel = {r: row["ms"] for r, row in rows.items()}
    return {
        "wells": 64, "parameters": 12, "kernel": rows, "diffrax": theirs,
        "diffrax_times_the_kernel": {r: theirs[r]["ms"] / kernel[r] for r in theirs},
    }  # fmt: skip


def patient_gradients(repeats: int) -> dict:
    """The patient by 12 parameters: the kernel's tangents against AMICI's forward sensitivities."""
    batch = patients(LANES)
    moved = tuple(batch.model.parameter_index[name] for name in MOVED)
    many, directions = tiled(batch, LANES, 2), Directions(moved)
    exact = solve(batch, Options(1e-11, 1e-14, 10_000_000), directions).dy
    size = np.abs(exact).max(axis=(0, 1), keepdims=True) + 1e-300

    def off(dy: np.ndarray) -> float:
        return float(np.median((np.abs(dy - exact[: len(dy)]) / size).max(axis=(1, 2, 3))))

    peer = Amici(batch, 2, MOVED) if find_spec("amici") else None
    rows = {}
    for rtol in (1e-4, 1e-6, 1e-8):
        options = Options(rtol, rtol * 1e-2)
        found = solve(many, options, directions, threads=1)
        cost = seconds(lambda o=options: solve(many, o, directions, threads=1), repeats) / len(found.y)
        rows[f"{rtol:g}"] = {"kernel": {"ms_per_lane": cost * 1e3, "error": off(found.dy[:LANES])}}
        if peer:
            dy = np.stack([np.moveaxis(d, 1, 2) for d in peer.run(rtol, rtol * 1e-2)[1]])
            theirs = seconds(lambda r=rtol: peer.run(r, r * 1e-2), repeats) / 2
            rows[f"{rtol:g}"] |= {
                "AMICI": {"ms_per_lane": theirs * 1e3, "error": off(dy)}, "times_the_kernel": theirs / cost,
            }  # fmt: skip
    return {"species": batch.model.n_species, "parameters": len(moved), "by_rtol": rows}


def main() -> None:
    """Run everything, or the parts asked for, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--parts",
        nargs="*",
        default=["patient", "T-DXd patient", "well", "first", "scaling", "gradients", "patient gradients"],
    )
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    import jax

    jax.config.update("jax_enable_x64", True)
    result = json.loads(args.out.read_text()) if args.out.exists() else {}
    names = ("her2pkpd", "jax", "diffrax", "scipy", "libroadrunner", "amici", "llvmlite", "numpy")
    result["versions"] = {n: _version(n) for n in names} | {"python": platform.python_version()}
    result["machine"] = {"cpu": host().cpu, "width": host().width, "platform": platform.machine(), "cores_used": 1}
    problems: dict[str, Callable[[], Batch]] = {
        "patient": lambda: patients(LANES),
        "T-DXd patient": lambda: adc_patients(LANES),
        "well": lambda: wells(LANES),
    }
    for name, make in problems.items():
        if name in args.parts:
            print(name, flush=True)
            batch = make()
            result[name] = work_precision(batch, args.repeats, problem_peers(batch)) | lane_steps(batch, args.repeats)
            args.out.write_text(json.dumps(result, indent=1) + "\n")
    parts = (
        ("first", first_result),
        ("scaling", scaling),
        ("gradients", gradients),
        ("patient gradients", patient_gradients),
    )
    for name, part in parts:
        if name in args.parts:
            result[name] = part(args.repeats)
            print(name, json.dumps(result[name], indent=1), flush=True)
            args.out.write_text(json.dumps(result, indent=1) + "\n")


def _version(name: str) -> str:
    from importlib.metadata import PackageNotFoundError

    from her2pkpd import __version__

    try:
        return __version__ if name == "her2pkpd" else version(name)
    except PackageNotFoundError:
        return "not installed"


if __name__ == "__main__":
    main()
