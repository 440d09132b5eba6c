"""One mechanism against thirty logistic curves: lapatinib in the breast lines of CCLE 2012.

Runs ``fits/ccle-lapatinib/fit.toml`` and compares each line's root-mean-square residual with that of the line's own
4-parameter logistic. Writes ``benchmarks/results/ccle_lapatinib.json``. Needs the CCLE table in ``../shared/data``.

    python benchmarks/ccle_lapatinib.py
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

from her2pkpd.data.logistic import fit_curve
from her2pkpd.fit.problem import FitProblem, load_problem
from her2pkpd.fit.run import fit
from her2pkpd.runinfo import versions

ROOT = Path(__file__).parent.parent
LIMIT = 1.25


def main() -> None:
    """Run the comparison and write its result."""
    problem = load_problem(ROOT / "fits" / "ccle-lapatinib" / "fit.toml")
    began = time.perf_counter()
    result = fit(problem, progress=lambda done, planned, best: sys.stderr.write(f"{done}/{planned} best {best:.2f}\n"))
    seconds = time.perf_counter() - began
    objective, u = problem.objective, result.optimum.best.u
    lines = {}
    for line in dict.fromkeys(o.signal.treatment.cell_line for o in problem.observations):
        at = [i for i, o in enumerate(problem.observations) if o.signal.treatment.cell_line == line]
        dose = np.array([problem.observations[i].signal.treatment.doses[0][1] for i in at])
        measured = np.array([problem.observations[i].value for i in at])
        predicted = result.evaluation.predictions[at]
        logistic = fit_curve(dose, measured).rms
        rms = float(np.sqrt(np.mean((measured - predicted) ** 2)))
        lines[line] = {
            "rms": rms,
            "logistic_rms": logistic,
            "ratio": rms / logistic,
            "IC50_nM": _ic50(problem, u, line, dose),
        }
    information = objective.information(u)
    n_free = len(objective.free)
    prior = objective.free.prior_residuals(u[:n_free])[1]
    data = information[:n_free, :n_free] - prior.T @ prior
    effective = float(np.trace(np.linalg.solve(information[:n_free, :n_free] + 1e-9 * np.eye(n_free), data)))
    ranked = sorted(lines, key=lambda name: lines[name]["IC50_nM"])
    record = {
        "lines_within_1.25": sum(x["ratio"] <= LIMIT for x in lines.values()), "lines": len(lines),
        "unknowns": n_free, "effective_unknowns": effective, "logistic_unknowns": 4 * len(lines),
        "most_sensitive": ranked[:4], "seconds": seconds, "converged": result.converged, "per_line": lines,
        "versions": versions(),
    }  # fmt: skip
    (ROOT / "benchmarks" / "results" / "ccle_lapatinib.json").write_text(json.dumps(record, indent=2) + "\n")
    print(json.dumps({k: v for k, v in record.items() if k != "per_line"}, indent=2))
    for name in ranked:
        print(f"{name:16s} ratio {lines[name]['ratio']:.2f}  IC50 {lines[name]['IC50_nM']:.4g} nM")


def _ic50(problem: FitProblem, u: np.ndarray, line: str, dose: np.ndarray) -> float:
    """Dose at which the predicted curve passes half of its own undosed value; infinite beyond the top dose."""
    from her2pkpd.fit.curves import predict_signals
    from her2pkpd.fit.design import Signal, Treatment

    grid = np.geomspace(dose.min(), dose.max(), 81)
    seeded = problem.observations[0].signal.treatment.seeded
    tiny = 1e-6
    signals = [
        Signal(Treatment(line, "", seeded, (("lapatinib", float(d)),)), 72.0, "viability") for d in (tiny, *grid)
    ]
    curve = predict_signals(problem, u, signals)
    below = np.flatnonzero(curve[1:] < 0.5 * curve[0])
    return float(grid[below[0]]) if below.size else float("inf")


if __name__ == "__main__":
    main()
