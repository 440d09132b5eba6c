"""A screen end to end: `her2pkpd synergy` on hundreds of blocks, its time and memory, and whether its ranking is right.

    python benchmarks/synergy_screen.py [BLOCKS]

Blocks of 6 x 6 doses in duplicate with 5 % noise, of drugs that act independently; every tenth pair is synergistic in
potency (each drug makes the other five times as potent) or in efficacy (the pair reaches further than either). Writes
results/synergy_screen.json.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from her2pkpd.runinfo import versions
from her2pkpd.synergy.surfaces import musyc
from her2pkpd.synergy.wells import log_doses

HERE = Path(__file__).resolve().parent
DOSES = np.array([0.0, 0.05, 0.2236, 1.0, 4.472, 20.0])
GRID = np.array([(a, b) for a in DOSES for b in DOSES] * 2)
NOISE, EVERY = 0.05, 10


def block(number: int) -> tuple[pd.DataFrame, str]:
    """The wells of one block and what it is: "potency", "efficacy" or ""."""
    rng = np.random.default_rng(number)
    e1, e2 = rng.uniform(0.2, 0.7, 2)
    kind = "" if number % EVERY else ("potency" if number % (2 * EVERY) else "efficacy")
    alpha = 5.0 if kind == "potency" else 1.0
    e3 = e1 * e2 - (0.7 * e1 * e2 if kind == "efficacy" else 0.0)
    value = [1.0, e1, e2, e3, *rng.uniform(0.8, 1.6, 2), *np.exp(rng.normal(0, 0.5, 2)), alpha, alpha]
    surface = musyc(cooperativity=False)
    clean = surface(log_doses(GRID), surface.coordinates(np.array(value)))
    frame = pd.DataFrame({
        "cell_line": "line", "block": f"b{number:03d}", "drug": f"A{number:03d}", "concentration": GRID[:, 0],
        "unit": "uM", "drug_2": f"B{number:03d}", "concentration_2": GRID[:, 1], "unit_2": "uM", "time": 72,
        "time_unit": "h", "readout": "viability", "value": np.maximum(clean + NOISE * rng.normal(size=len(GRID)), 0.0),
        "replicate": np.repeat([1, 2], len(DOSES) ** 2),
    })  # fmt: skip
    return frame, kind


def found(ranking: pd.DataFrame, truth: dict[str, str], score: str) -> dict[str, object]:
    """True and false discoveries of one score at q < 0.05, and where the synergistic blocks rank."""
    rows = ranking[ranking["score"] == score]
    right_side = rows["value"] < 1 if "_ci_" in score else rows["value"] > 0
    called = set(rows.loc[(rows["q"] < 0.05) & right_side, "block"])
    real = {b for b, kind in truth.items() if kind}
    top = rows["block"].head(len(real))
    return {
        "called": len(called), "true": len(called & real), "false": len(called - real),
        "false_share": len(called - real) / max(len(called), 1), "of_synergistic": len(real),
        "synergistic_among_as_many_at_the_top": int(top.isin(list(real)).sum()),
    }  # fmt: skip


def main(n: int) -> None:
    """Write the plate, run the command, read its ranking."""
    made = [block(i) for i in range(n)]
    truth = {f"b{i:03d}": kind for i, (_, kind) in enumerate(made)}
    with tempfile.TemporaryDirectory() as folder:
        plate, out = Path(folder) / "screen.csv", Path(folder) / "out"
        pd.concat([frame for frame, _ in made]).to_csv(plate, index=False)
        began = time.perf_counter()
        command = [sys.executable, "-m", "her2pkpd.cli", "synergy", str(plate), "--out", str(out), "--quiet"]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - began
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        if run.returncode not in (0, 3):
            raise SystemExit(run.stderr)
        ranking = pd.read_csv(out / "ranking.csv")
        files = {p.name: p.stat().st_size for p in sorted(out.iterdir()) if p.is_file()}
        pictures = len(list((out / "figures").glob("*.png")))
        message = run.stderr.strip().rpartition("\n")[2][:300]
    scores = sorted(set(ranking["score"]))
    result = {
        "blocks": n, "wells": n * len(GRID), "exit_code": run.returncode, "message": message, "seconds": seconds,
        "cpu_seconds": used.ru_utime + used.ru_stime, "peak_memory_MiB": used.ru_maxrss / 1024,
        "figures": pictures, "bytes": files, "scores": {s: found(ranking, truth, s) for s in scores},
        "versions": versions(),
    }  # fmt: skip
    print(json.dumps(result, indent=1))
    (HERE / "results" / "synergy_screen.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300)
