"""One cohort, many ways to compute it, the same bytes: threads, chunks, 20 kills, a Dask cluster that loses a worker.

Writes ``results/cohort_determinism.json``. A way counts as equal if every file of the folder has the same SHA-256 as
in the undisturbed run, ``run.json`` left out, which says how long it took.
"""

import argparse
import hashlib
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from her2pkpd.cohort import Resources, cohort_file, engines

RESULT = Path(__file__).parent / "results" / "cohort_determinism.json"
SETTINGS = """
[population]
size = {size}
seed = 7

[tumour]
ihc = {{ "3+" = 0.6, "2+" = 0.4 }}
negative = 0.2
negative_sd = 1.0

[variability]
"*.DXd.kc50" = {{ cv = 100.0 }}

[[arm]]
name = "T-DXd"
[[arm.dose]]
drug = "T-DXd"
amount = "5.4 mg/kg"
infusion = "90 min"
every = "21 d"
doses = 6
[[arm.rule]]
drug = "T-DXd"
variable = "DXd"
measure = "auc"
above = "40 ng*d/mL"
then = "reduce"
levels = ["4.4 mg/kg", "3.2 mg/kg"]

[[arm]]
name = "T-DM1, then T-DXd"
[[arm.dose]]
drug = "T-DM1"
amount = "3.6 mg/kg"
every = "21 d"
doses = 6
until = "progression"
[[arm.dose]]
drug = "T-DXd"
amount = "5.4 mg/kg"
every = "21 d"
doses = 6
line = 2

[output]
part = 5000
trajectories = 100
"""


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file but ``run.json``."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "run.json")
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def command(settings: Path, out: Path, threads: int, chunk: int) -> list[str]:
    """The command line of a run that goes on where another ended."""
    words = [sys.executable, "-m", "her2pkpd.cli", "cohort", str(settings), "--out", str(out), "--quiet", "--resume"]
    return [*words, "--no-report", "--engine", "kernel", "--threads", str(threads), "--chunk", str(chunk)]


def killed(settings: Path, out: Path, threads: int, chunk: int, kills: int, whole: float) -> int:
    """Run, killing it at random moments; returns how many kills met a run that was not finished."""
    lot, met = random.Random(threads * chunk), 0
    for _ in range(kills):
        run = subprocess.Popen(command(settings, out, threads, chunk))
        try:
            run.wait(timeout=lot.uniform(0.0, 2.0 * whole / kills + 4.0))
        except subprocess.TimeoutExpired:
            run.send_signal(signal.SIGKILL)
            run.wait()
            met += 1
    subprocess.run(command(settings, out, threads, chunk), check=True)
    return met


def on_cluster(settings: Path, out: Path, chunk: int) -> None:
    """Run on a local Dask cluster, one of whose workers is killed when the first part is written."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50) as cluster:
        victim = next(iter(cluster.workers.values())).pid

        def kill() -> None:
            while not list(out.glob("endpoints.parquet/part-*.parquet")):
                time.sleep(0.01)
            os.kill(victim, signal.SIGKILL)

        threading.Thread(target=kill, daemon=True).start()
        cohort_file(settings, out, resources=Resources("kernel", chunk=chunk, scheduler=cluster.scheduler_address))


def main() -> None:
    """Every way once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=40_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        settings = folder / "cohort.toml"
        settings.write_text(SETTINGS.format(size=args.size), encoding="utf-8")
        began = time.perf_counter()
        cohort_file(settings, folder / "plain", resources=Resources("kernel", 1, 1000))
        whole, expected = time.perf_counter() - began, digests(folder / "plain")
        rows: list[dict[str, Any]] = []
        for threads, chunk, interrupted in itertools.product((1, 2), (1000, 10_000), (False, True)):
            out = folder / f"{threads}-{chunk}-{interrupted}"
            met = 0
            if interrupted:
                met = killed(settings, out, threads, chunk, args.kills, whole)
            else:
                cohort_file(settings, out, resources=Resources("kernel", threads, chunk))
            rows.append({"threads": threads, "chunk": chunk, "kills": met, "equal": digests(out) == expected})
            print(rows[-1], flush=True)
        for chunk in (1000, 10_000):
            out = folder / f"dask-{chunk}"
            on_cluster(settings, out, chunk)
            rows.append({"dask": "2 workers, one killed", "chunk": chunk, "equal": digests(out) == expected})
            print(rows[-1], flush=True)
    result = {
        "patients": args.size, "arms": 2, "files": len(expected), "processor": engines.processor("kernel"),
        "ways": rows, "all_equal": all(r["equal"] for r in rows),
    }  # fmt: skip
    args.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({k: v for k, v in result.items() if k != "ways"}))


if __name__ == "__main__":
    main()
