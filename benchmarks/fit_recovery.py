"""Do fits of simulated plates recover the truth at the nominal rate?

Simulates plates from known parameters (three cell lines, trastuzumab and lapatinib alone and together, normal noise
of unknown size), fits each, and counts how often the 95 % profile-likelihood and Laplace intervals hold the truth.
Writes ``benchmarks/results/fit_recovery.json``. Parameters of one plate are correlated, so a miss seldom comes alone:
the overall coverage is known less well than its number of intervals suggests, and its standard error is given.

    python benchmarks/fit_recovery.py [PLATES]
"""

import json
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from her2pkpd.fit.design import Signal, Treatment
from her2pkpd.fit.intervals import Interval, laplace
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

STUDIES = {"inside": TRUTH, "near_bound": NEAR_BOUND}
"""Each with noise of its own: two studies on the same noise would be one study told twice."""

LINES = ("SK-BR-3", "BT-474", "MDA-MB-453")
REPLICATES = 3


def treatments() -> list[Treatment]:
    """Both drugs alone over eight doses, and three fixed combinations, per line."""
    singles = [(("lapatinib", d),) for d in np.geomspace(3, 10_000, 8)]
    singles += [(("trastuzumab", d),) for d in np.geomspace(0.03, 100, 8)]
    combined = [(("lapatinib", lap), ("trastuzumab", tra)) for lap, tra in ((30.0, 1.0), (100.0, 10.0), (300.0, 30.0))]
    return [Treatment(line, "", 5000.0, doses) for line in LINES for doses in (*singles, *combined)]


Row = dict[str, tuple[float, bool, bool, bool]]
"""Of one plate, by parameter: log error of the estimate, whether the profile and the Laplace interval hold the truth,
and whether the profile interval lies above it."""


def study(name: str, plates: range) -> list[Row]:
    """Simulate and fit plates of one of the `STUDIES`."""
    truth = STUDIES[name]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fit.toml"
        path.write_text(SETTINGS)
        settings = read_fit_settings(path)
    signals = [Signal(t, 72.0, "viability") for t in treatments() for _ in range(REPLICATES)]
    blank = make_problem(settings, [Observation(s, 1.0) for s in signals], [])
    u = np.array([float(f.transform.forward(truth[f.name])) for f in blank.objective.free.free])
    clean = blank.objective.predictor(u, derivatives=False).value
    found = []
    for plate in plates:
        rng = np.random.default_rng([list(STUDIES).index(name), plate])
        values = clean + truth["sd.viability"] * rng.standard_normal(len(clean))
        problem = make_problem(settings, [Observation(s, float(v)) for s, v in zip(signals, values, strict=True)], [])
        result = fit(problem)
        simple = laplace(problem.objective, result.optimum.best.u)[0]
        found.append({x.name: _row(x, y, truth[x.name]) for x, y in zip(result.intervals, simple, strict=True)})
    return found


def _row(x: Interval, y: Interval, at: float) -> tuple[float, bool, bool, bool]:
    return float(np.log(x.estimate / at)), x.lower <= at <= x.upper, y.lower <= at <= y.upper, x.lower > at


def summary(truth: dict[str, float], found: list[Row]) -> dict[str, object]:
    """Coverage and errors per parameter, over all plates."""
    n = len(found)
    table = {name: np.array([row[name] for row in found], dtype=float) for name in truth}
    margin = 1.96 * (0.95 * 0.05 / n) ** 0.5
    each_plate = np.mean([t[:, 1] for t in table.values()], axis=0)
    return {
        "truth": truth, "plates": n, "wells_per_plate": len(treatments()) * REPLICATES,
        "coverage_of_95_percent_profile_intervals": {k: float(t[:, 1].mean()) for k, t in table.items()},
        "coverage_of_95_percent_laplace_intervals": {k: float(t[:, 2].mean()) for k, t in table.items()},
        "profile_intervals_that_lie_above_the_truth": {k: float(t[:, 3].mean()) for k, t in table.items()},
        "overall_profile_coverage": float(each_plate.mean()),
        "overall_laplace_coverage": float(np.mean([t[:, 2].mean() for t in table.values()])),
        "standard_error_of_overall_coverage": float(each_plate.std() / n**0.5),
        "binomial_95_percent_range_of_one_coverage": [0.95 - margin, 0.95 + margin],
        "median_absolute_log_error": {k: float(np.median(np.abs(t[:, 0]))) for k, t in table.items()},
        "mean_log_error": {k: float(t[:, 0].mean()) for k, t in table.items()},
    }  # fmt: skip


def main(plates: int = 400, processes: int = 2) -> None:
    """Run both studies and write their result."""
    record: dict[str, object] = {}
    parts = [range(k, plates, processes) for k in range(processes)]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for name, truth in STUDIES.items():
            jobs = [pool.submit(study, name, part) for part in parts]
            record[name] = summary(truth, [row for job in jobs for row in job.result()])
    record["versions"] = versions()
    out = Path(__file__).parent / "results" / "fit_recovery.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(record, indent=2) + "\n")
    print(json.dumps(record, indent=2))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 400)
