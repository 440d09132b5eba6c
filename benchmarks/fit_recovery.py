"""Do fits of simulated plates recover the truth at the nominal rate?

Simulates plates from known parameters (three cell lines, trastuzumab and lapatinib alone and together, normal noise
of unknown size), fits each, and counts how often the 95 % intervals hold the truth. Writes
``benchmarks/results/fit_recovery.json``.

    python benchmarks/fit_recovery.py [PLATES]
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from her2pkpd.fit.design import Signal, Treatment
from her2pkpd.fit.objective import Observation
from her2pkpd.fit.problem import make_problem
from her2pkpd.fit.run import fit
from her2pkpd.fit.settings import read_fit_settings
from her2pkpd.runinfo import versions

SETTINGS = """
[[data]]
file = "simulated.csv"
[estimate."lapatinib.HER2.Ki"]
shared = true
lower = "1 nM"
upper = "500 nM"
start = "30 nM"
[estimate."trastuzumab.KD"]
shared = true
lower = "0.01 nM"
upper = "20 nM"
start = "1 nM"
[estimate.a_li]
shared = true
lower = 0.05
upper = 0.95
start = 0.5
[estimate.w]
shared = false
start = 0.7
[estimate.k_apo]
shared = true
lower = "1e-3 1/h"
upper = "0.2 1/h"
start = "0.01 1/h"
[noise.viability]
kind = "normal"
[method]
starts = 1
max_evaluations = 80
"""
TRUTH = {
    "lapatinib.HER2.Ki": 22.0, "trastuzumab.KD": 0.4, "a_li": 0.6, "k_apo": 0.015,
    "SK-BR-3.w": 0.65, "BT-474.w": 0.6, "MDA-MB-453.w": 0.5, "sd.viability": 0.04,
}  # fmt: skip
NEAR_BOUND = TRUTH | {"SK-BR-3.w": 0.9, "BT-474.w": 0.8}
"""The same with two fractions whose intervals reach their bound, where a Laplace interval is at its weakest."""

LINES = ("SK-BR-3", "BT-474", "MDA-MB-453")
REPLICATES = 3


def treatments() -> list[Treatment]:
    """Both drugs alone over eight doses, and three fixed combinations, per line."""
    singles = [(("lapatinib", d),) for d in np.geomspace(3, 10_000, 8)]
    singles += [(("trastuzumab", d),) for d in np.geomspace(0.03, 100, 8)]
    combined = [(("lapatinib", lap), ("trastuzumab", tra)) for lap, tra in ((30.0, 1.0), (100.0, 10.0), (300.0, 30.0))]
    return [Treatment(line, "", 5000.0, doses) for line in LINES for doses in (*singles, *combined)]


def study(truth: dict[str, float], plates: int) -> dict[str, object]:
    """Simulate and fit `plates` plates; coverage and errors per parameter."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fit.toml"
        path.write_text(SETTINGS)
        settings = read_fit_settings(path)
    signals = [Signal(t, 72.0, "viability") for t in treatments() for _ in range(REPLICATES)]
    blank = make_problem(settings, [Observation(s, 1.0) for s in signals], [])
    u = np.array([float(f.transform.forward(truth[f.name])) for f in blank.objective.free.free])
    clean = blank.objective.predictor(u, derivatives=False).value
    covered = dict.fromkeys(truth, 0)
    deviations: dict[str, list[float]] = {n: [] for n in truth}
    seconds, unfinished = [], 0
    for plate in range(plates):
        rng = np.random.default_rng(plate)
        values = clean + truth["sd.viability"] * rng.standard_normal(len(clean))
        problem = make_problem(settings, [Observation(s, float(v)) for s, v in zip(signals, values, strict=True)], [])
        began = time.perf_counter()
        result = fit(problem)
        seconds.append(time.perf_counter() - began)
        unfinished += "maximum number" in result.optimum.best.message
        for interval in result.intervals:
            covered[interval.name] += bool(interval.lower <= truth[interval.name] <= interval.upper)
            deviations[interval.name].append(float(np.log(interval.estimate / truth[interval.name])))
    margin = 1.96 * (0.95 * 0.05 / plates) ** 0.5
    return {
        "truth": truth, "plates": plates, "wells_per_plate": len(signals), "unfinished_fits": int(unfinished),
        "coverage_of_95_percent_intervals": {n: c / plates for n, c in covered.items()},
        "overall_coverage": sum(covered.values()) / (plates * len(covered)),
        "binomial_95_percent_range_of_one_coverage": [0.95 - margin, 0.95 + margin],
        "median_absolute_log_error": {n: float(np.median(np.abs(d))) for n, d in deviations.items()},
        "mean_log_error": {n: float(np.mean(d)) for n, d in deviations.items()},
        "seconds_per_fit_median": float(np.median(seconds)),
    }  # fmt: skip


def main(plates: int = 200) -> None:
    """Run both studies and write their result."""
    record = {"inside": study(TRUTH, plates), "near_bound": study(NEAR_BOUND, plates), "versions": versions()}
    out = Path(__file__).parent / "results" / "fit_recovery.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(record, indent=2) + "\n")
    print(json.dumps(record, indent=2))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
