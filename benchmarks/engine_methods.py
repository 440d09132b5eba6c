"""Which Rosenbrock method: work against achieved error, per method, on the patient stand-in and the well.

Writes ``results/engine_methods.json``. Work is the processor time of one thread (the least of several runs), so
that other loads on the machine count little; the error of a lane is its largest relative deviation from a
solution at 1e-12, values below a thousandth of a species' largest counting absolutely.
"""

import argparse
import json
import platform
import time
from pathlib import Path

import numpy as np
from engine_models import patients, wells

from her2pkpd.engine import Batch, Options
from her2pkpd.engine.compile import host
from her2pkpd.engine.cpu import solve
from her2pkpd.engine.methods import METHODS

RESULT = Path(__file__).parent / "results" / "engine_methods.json"
TOLERANCES = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8)
TARGETS = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)


def deviation(y: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Largest relative error of each lane, shape (L,)."""
    largest = np.abs(exact).max(axis=1, keepdims=True)
    return (np.abs(y - exact) / (np.abs(exact) + 1e-3 * largest + 1e-300)).max(axis=(1, 2))


def measure(batch: Batch, exact: np.ndarray, repeats: int) -> dict[str, list[dict[str, float]]]:
    """Steps, processor time and achieved error of every method at every tolerance.

    The methods take turns, so that a busy minute on the machine does not fall on one of them.
    """
    table: dict[str, list[dict[str, float]]] = {m: [] for m in METHODS}
    for rtol in TOLERANCES:
        options = Options(rtol, rtol * 1e-2, 1_000_000)
        best = dict.fromkeys(METHODS, np.inf)
        found = {m: solve(batch, options, threads=1, method_name=m) for m in METHODS}
        for _ in range(repeats):
            for m in METHODS:
                start = time.process_time()
                solve(batch, options, threads=1, method_name=m)
                best[m] = min(best[m], time.process_time() - start)
        for m, solution in found.items():
            errors, lanes = deviation(solution.y, exact), len(exact)
            table[m].append(
                {
                    "rtol": rtol,
                    "error": float(np.median(errors)),
                    "worst_error": float(errors.max()),
                    "steps": float(solution.steps.mean()),
                    "rejected": float(solution.rejected.mean()),
                    "us_per_lane": best[m] / lanes * 1e6,
                    "ns_per_lane_step": best[m] / float((solution.steps + solution.rejected).sum()) * 1e9,
                    "failed": int((~solution.ok).sum()),
                }
            )
    return table


def at_error(rows: list[dict[str, float]], target: float, what: str) -> float | None:
    """A column at a given achieved error, by log-log interpolation; None outside what was measured."""
    error, value = (np.log([r[k] for r in rows]) for k in ("error", what))
    order = np.argsort(error)
    if not error[order][0] <= np.log(target) <= error[order][-1]:
        return None
    return float(np.exp(np.interp(np.log(target), error[order], value[order])))


def study(batch: Batch, repeats: int) -> dict:
    """All methods on one batch."""
    exact = solve(batch, Options(1e-12, 1e-14, 10_000_000), method_name="rodas5p").y
    table = measure(batch, exact, repeats)
    best = {
        f"{target:g}": {
            m: {k: at_error(rows, target, k) for k in ("us_per_lane", "steps")} for m, rows in table.items()
        }
        for target in TARGETS
    }
    return {"species": batch.model.n_species, "lanes": len(exact), "runs": table, "at_error": best}


def main() -> None:
    """Run the study and write its result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lanes", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    target = host()
    result = {"cpu": target.cpu, "width": target.width, "platform": platform.machine(), "problems": {}}
    for name, batch in {"patient": patients(args.lanes, cycles=2, saves=42), "well": wells(args.lanes)}.items():
        result["problems"][name] = study(batch, args.repeats)
        for error, methods in result["problems"][name]["at_error"].items():
            line = "  ".join(
                f"{m} {v['us_per_lane'] or np.nan:8.1f} us {v['steps'] or np.nan:6.0f}" for m, v in methods.items()
            )
            print(f"{name:8s} error {error:>6s}  {line}")
    args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
