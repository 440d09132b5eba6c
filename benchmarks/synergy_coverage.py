"""Do the 95 % intervals of fitted surfaces hold the truth in 95 % of surfaces?

    python benchmarks/synergy_coverage.py [SURFACES]

Fresh surfaces of a known truth on a 6 x 6 grid in triplicate (108 wells), under three kinds of error: constant (SD
0.02), that of the published synthetic files (1 % of the response and 1 % of the doses), and proportional (4 % of the
response). Counts, per surface, error and quantity, how often the interval holds the truth, and how often it errs on
either side. Writes results/synergy_coverage.json, with the size it was run at.

With n surfaces a rate of 95 % is met within sqrt(0.95*0.05/n): 1.5 % at n = 200. Rates of quantities of one surface
are not independent of each other.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import beta, binom

from her2pkpd.runinfo import versions
from her2pkpd.synergy.surface_fit import fit_surfaces
from her2pkpd.synergy.surfaces import Surface, braid, musyc, zimmer
from her2pkpd.synergy.wells import gather, log_doses

HERE = Path(__file__).resolve().parent
DOSES = np.array([0.0, 0.05, 0.2236, 1.0, 4.472, 20.0])
GRID = np.array([(a, b) for a in DOSES for b in DOSES] * 3)
SHAPE = {"h1": 0.8, "h2": 1.4, "C1": 1.0, "C2": 2.0}
MUSYC = {"E0": 1.0, "E1": 0.5, "E2": 0.3, "E3": 0.05, **SHAPE, "alpha12": 0.5, "alpha21": 2.0}
CASES = (
    (musyc(cooperativity=False), MUSYC),
    (musyc(), MUSYC | {"gamma12": 0.6, "gamma21": 1.5}),
    (braid(), {"E0": 1.0, "E3": 0.1, "f1": 0.6, "f2": 0.9, **SHAPE, "kappa": 1.0}),
    (zimmer(), {**SHAPE, "a12": -0.3, "a21": 0.5}),
)
ERRORS = ("constant", "published", "proportional")


def fresh(surface: Surface, u: np.ndarray, error: str, rng: np.random.Generator) -> np.ndarray:
    """Responses (108,) of one noisy surface."""
    doses = GRID * (1.0 + 0.01 * rng.normal(size=GRID.shape)) if error == "published" else GRID
    clean = surface(log_doses(doses), u)
    sd = {"constant": 0.02, "published": 0.01 * np.abs(clean), "proportional": 0.04 * np.abs(clean)}[error]
    return clean + sd * rng.normal(size=len(clean))


def coverage(surface: Surface, truth: dict[str, float], error: str, n: int, rng: np.random.Generator) -> dict[str, Any]:
    """How often the intervals of `n` fresh surfaces hold every reported quantity."""
    u = surface.coordinates(np.array([truth[name] for name in surface.names]))
    wells = [gather(GRID, fresh(surface, u, error, rng)) for _ in range(n)]
    fits = fit_surfaces(surface, wells)
    natural = surface.quantities(u[None])[0][0]
    found = {}
    for k, name in enumerate(surface.reported):
        value = np.exp(natural[k]) if surface.is_logarithmic(name) else natural[k]
        low, high = np.array([f.table.loc[k, ["lower", "upper"]].to_numpy(dtype=float) for f in fits]).T
        held = int(np.sum((low <= value) & (value <= high)))
        ends = [beta.ppf(0.025, held, n - held + 1), beta.ppf(0.975, held + 1, n - held) if held < n else 1.0]
        found[name] = {
            "held": held,
            "rate": held / n,
            "rate_95": [round(float(x), 3) for x in ends],
            "truth_below": int(np.sum(value < low)),
            "truth_above": int(np.sum(value > high)),
            "open": int(np.sum(~np.isfinite(low) | ~np.isfinite(high) | ((low == 0) & surface.is_logarithmic(name)))),
        }
    return {"converged": sum(f.converged for f in fits), "quantities": found}


def main(n: int) -> None:
    """Run every case, print the rates, write them."""
    began, rng = time.process_time(), np.random.default_rng(20)
    results = {}
    for surface, truth in CASES:
        for error in ERRORS:
            case = coverage(surface, truth, error, n, rng)
            results[f"{surface.name}, {error}"] = case
            rates = {k: round(v["rate"], 3) for k, v in case["quantities"].items()}
            print(f"{surface.name:12s} {error:13s} {np.mean(list(rates.values())):.3f} {rates}", flush=True)
    every = [q["rate"] for case in results.values() for q in case["quantities"].values()]
    # A quantity whose true rate is 95 % stays inside these counts in 99.9 of 100 runs.
    expected = [int(x) for x in binom.ppf([0.0005, 0.9995], n, 0.95)]
    outside = {
        f"{name}, {q}": v["rate"]
        for name, case in results.items()
        for q, v in case["quantities"].items()
        if not expected[0] <= v["held"] <= expected[1]
    }
    summary = {
        "surfaces_per_case": n,
        "wells": len(GRID),
        "mean_rate": float(np.mean(every)),
        "quantities": len(every),
        "counts_of_99.9_percent": expected,
        "outside_them": outside,
        "cpu_seconds": round(time.process_time() - began),
    }
    print(json.dumps(summary, indent=1))
    (HERE / "results" / "synergy_coverage.json").write_text(
        json.dumps({"summary": summary, "cases": results, "versions": versions()}, indent=1) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
