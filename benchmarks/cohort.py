"""A cohort of patients on T-DXd, from the settings file to Parquet on disk: speed, memory, accuracy, split of time.

5.4 mg/kg every 21 d for six cycles; 31 states: plasma, payload, exposure integrals, and a tumour with HER2-positive and
negative cells. Writes ``results/cohort.json``.

Every size runs in a process of its own, so that its peak memory is its own. Seconds are those of `cohort_file`
(drawing, treating, reducing, writing), imports and compilation of the kernel left out. libRoadRunner integrates a
subsample of the same patients in the same run; times at equal error are read off its work-precision line.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from engine_methods import at_error
from engine_peers import roadrunner_solver

from her2pkpd.cohort import Resources, blocks, cohort_file, engines, load, read_cohort, store, treat
from her2pkpd.cohort.course import Course
from her2pkpd.cohort.people import draw_people
from her2pkpd.cohort.settings import ATOL, CohortSettings, Solver
from her2pkpd.cohort.trial import build_trial
from her2pkpd.cohort.tuning import tuned
from her2pkpd.dosing.table import compile_slots
from her2pkpd.engine import Batch, Options, cpu

RESULT = Path(__file__).parent / "results" / "cohort.json"
SETTINGS = """
[population]
size = {size}
seed = 1

[tumour]
kind = "populations"
zones = 1
ihc = {{ "3+" = 0.6, "2+" = 0.4 }}
negative = 0.2
negative_sd = 1.0

[variability]
"*.DXd.kc50" = {{ cv = 100.0 }}
"*.doubling_time" = {{ fold = 2.0 }}

[[arm]]
name = "T-DXd"
[[arm.dose]]
drug = "T-DXd"
amount = "5.4 mg/kg"
infusion = "90 min"
every = "21 d"
doses = 6
"""
SIZES, FULL = (10_000, 100_000), 1_000_000
SUBSAMPLE, COPIES = 16, 32
ENDPOINTS = (
    "AUC.T-DXd.last", "Cmax.T-DXd.last", "Cmin.T-DXd.last", "AUC.DXd.last", "Cmax.DXd.last",
    "trough.occupancy.T-DXd.HER2+.last", "SLD.last_change",
)  # fmt: skip
PEER_TOLERANCES = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)


def settings_of(size: int) -> CohortSettings:
    """The cohort of the benchmark."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "cohort.toml"
        path.write_text(SETTINGS.format(size=size), encoding="utf-8")
        return read_cohort(path)


def one_size(size: int, threads: int, folder: Path) -> dict[str, Any]:
    """One cohort into a folder; in a process of its own."""
    settings = settings_of(size)
    trial = tuned(build_trial(settings), engines.solver("kernel"))
    blocks.template(trial, engines.solver("kernel"))  # compiles, so that a full cache and an empty one time alike
    out = folder / "out"
    before = os.times()
    found = cohort_file(settings, out, resources=Resources("kernel", threads))
    after = os.times()
    size_on_disk = sum(p.stat().st_size for p in out.rglob("*.parquet") if p.is_file())
    peak = peak_memory()
    ended = load(out).endpoints if size <= SIZES[-1] else None
    return {
        "patients": size, "threads": threads, "seconds": found["seconds"],
        "patients_per_second": size / found["seconds"],
        "cpu_microseconds_per_patient": (after.user + after.system - before.user - before.system) / size * 1e6,
        "peak_memory_MiB": peak, "bytes_per_patient": size_on_disk / size, "status": found["status"],
        "best_response": None if ended is None else ended["best_response"].value_counts(normalize=True).to_dict(),
    }  # fmt: skip


def peak_memory() -> float:
    """Most memory this process has held, MiB; `getrusage` would count what the parent held when it forked."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def in_own_process(size: int, threads: int) -> dict[str, Any]:
    """`one_size`, so that peak memory is that of this size."""
    with tempfile.TemporaryDirectory() as place:
        command = [sys.executable, __file__, "--one", str(size), "--threads", str(threads), "--folder", place]
        out = subprocess.run(command, capture_output=True, text=True, check=True)
        shutil.rmtree(Path(place) / "out", ignore_errors=True)
    return json.loads(out.stdout.splitlines()[-1])


def split(size: int = 20_000, chunk: int = 2000) -> dict[str, float]:
    """Processor time of the parts, microseconds a patient, on one thread."""
    taken: Counter[str] = Counter()

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **more: Any) -> Any:
            start = time.process_time()
            result = function(*args, **more)
            taken[name] += time.process_time() - start
            return result

        return call

    solve = timed("kernel", engines.solver("kernel"))
    trial = tuned(build_trial(settings_of(size)), solve)
    _, meanings = blocks.template(trial, solve)
    places = ((blocks, "draw_people", "drawing patients"), (blocks, "endpoints", "endpoints"))
    places += ((treat, "_read", "reading variables"), (treat, "compile_slots", "dosing"))
    kept = [(module, name, getattr(module, name)) for module, name, _ in places]
    for module, name, what in places:
        setattr(module, name, timed(what, getattr(module, name)))
    taken.clear()
    begin = time.process_time()
    write = timed("serialising", store.serialise)
    for start in range(0, size, chunk):
        block = blocks.compute(trial, range(start, start + chunk), solve)
        write(block.endpoints, meanings["endpoints"])
        write(block.patients, meanings["patients"])
    whole = time.process_time() - begin
    for module, name, function in kept:
        setattr(module, name, function)
    taken["everything else"] = whole - sum(taken.values())
    return {"all": whole / size * 1e6} | {k: v / size * 1e6 for k, v in taken.most_common()}


def accuracy(size: int = 2000) -> dict[str, Any]:
    """Relative error of endpoints against a tolerance of 1e-8; of SLD, in units of the baseline."""
    settings = settings_of(size)

    def run(rtol: float) -> dict[str, Any]:
        trial = build_trial(replace(settings, solver=Solver(rtol)))
        return blocks.compute(trial, range(size), engines.solver("kernel")).endpoints

    exact, found = run(1e-8), {}
    chosen = tuned(build_trial(settings), engines.solver("kernel")).settings.solver.rtol
    for rtol in (0.1, 0.05, 0.02, 0.01, 0.001):
        ours = run(rtol)
        rows = {}
        for name in ENDPOINTS:
            scale = 100.0 if name.startswith("SLD") else np.abs(exact[name])
            error = np.abs(ours[name] - exact[name]) / scale
            rows[name] = {"median": float(np.median(error)), "99 %": float(np.quantile(error, 0.99))}
        same = float(np.mean(ours["best_response"].codes == exact["best_response"].codes))
        found[f"{rtol:g}"] = {"endpoints": rows, "same_best_response": same, "steps": float(ours["steps"].mean())}
    return {"asked_for": settings.solver.accuracy, "chosen_rtol": chosen, "by_rtol": found}


def trajectories(lanes: int) -> tuple[Batch, Callable[[np.ndarray], np.ndarray]]:
    """The first patients of the cohort as a batch, looked at once a day; and the variables compared."""
    trial = build_trial(settings_of(lanes))
    plan, people = trial.plans[0], draw_people(trial.settings, trial.defaults, range(lanes))
    course = Course(plan, people, range(lanes), 1)
    p = treat._parameters(plan, people, lanes)
    start, stop = np.zeros(lanes), np.full(lanes, trial.settings.stop)
    segments = compile_slots(plan.model, course.slots(np.arange(lanes)), start, stop)
    times = np.arange(0.0, trial.settings.stop + 1.0, 24.0)
    names = ("plasma.T-DXd", "plasma.DXd", "auc.T-DXd", "auc.DXd", "tumour.volume")

    def variables(y: np.ndarray) -> np.ndarray:
        return plan.model.outputs(names, y, np.tile(p, (len(y) // lanes, 1))[:, None, :])

    return Batch(plan.model, p, segments, times), variables


def beside_roadrunner(rtol: float) -> dict[str, Any]:
    """Time of a patient at equal error, here and in libRoadRunner, on one core each."""
    batch, variables = trajectories(SUBSAMPLE)
    exact = variables(cpu.solve(batch, Options(1e-11, 1e-13, 10_000_000), threads=1).y)
    largest = np.abs(exact).max(axis=1, keepdims=True)

    def error(y: np.ndarray) -> float:
        off = np.abs(variables(y) - exact) / (np.abs(exact) + 1e-3 * largest)
        return float(np.median(off.max(axis=(1, 2))))

    from engine_peers import tiled

    many = tiled(batch, SUBSAMPLE, COPIES)
    options = Options(rtol, ATOL * rtol)
    own_error = error(cpu.solve(batch, options, threads=1).y)
    own = min(_cpu(lambda: cpu.solve(many, options, threads=1)) for _ in range(5)) / (SUBSAMPLE * COPIES)
    rows, peer = [], roadrunner_solver(batch, SUBSAMPLE)
    for tolerance in PEER_TOLERANCES:
        y = peer(tolerance, 1e-2 * tolerance)
        taken = min(_cpu(lambda t=tolerance: peer(t, 1e-2 * t)) for _ in range(3)) / SUBSAMPLE
        rows.append({"rtol": tolerance, "error": error(y), "ms": taken * 1e3})
    at = at_error(rows, own_error, "ms")
    # Where even its loosest tolerance is more accurate, its time there is the least that can be said.
    theirs = at if at is not None else min(r["ms"] for r in rows if r["error"] <= own_error)
    return {
        "patients": SUBSAMPLE, "rtol": rtol, "error": own_error, "kernel_ms": own * 1e3, "roadrunner": rows,
        "roadrunner_ms_at_that_error": theirs, "interpolated": at is not None, "times_the_kernel": theirs / (own * 1e3),
    }  # fmt: skip


def _cpu(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def main() -> None:
    """Run everything, or one size for the parent process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help=f"also {FULL:,} patients")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(one_size(args.one, args.threads, args.folder)))
        return
    result: dict[str, Any] = json.loads(args.out.read_text()) if args.out.exists() else {}
    result["processor"], result["states"] = (
        engines.processor("kernel"),
        build_trial(settings_of(1)).plans[0].model.n_species,
    )
    for name, part in (
        ("accuracy", accuracy),
        ("microseconds_per_patient", split),
        ("libRoadRunner", lambda: beside_roadrunner(result["accuracy"]["chosen_rtol"])),
    ):
        result[name] = part()
        print(name, json.dumps(result[name], indent=1), flush=True)
    sizes = (*SIZES, FULL) if args.full else SIZES
    result.setdefault("sizes", {})
    for size in sizes:
        result["sizes"][str(size)] = in_own_process(size, args.threads)
        print(size, json.dumps(result["sizes"][str(size)]), flush=True)
        args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
