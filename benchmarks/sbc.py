"""Simulation-based calibration of three problems: a single agent, a combination, an antibody-drug conjugate.

Writes ``results/sbc.json``: rank histograms and the chi-squared p-value of every unknown.

    python benchmarks/sbc.py [--problems single combination adc] [--plates 192]
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from her2pkpd.fit.design import Signal, Treatment
from her2pkpd.fit.objective import Observation
from her2pkpd.fit.problem import FitProblem, make_problem
from her2pkpd.fit.settings import read_fit_settings
from her2pkpd.posterior.sbc import Calibration, SbcSettings, calibrate
from her2pkpd.runinfo import versions

RESULT = Path(__file__).parent / "results" / "sbc.json"
HEAD = '[[data]]\nfile = "simulated.csv"\n[noise.viability]\nkind = "normal"\n'
NOISE = "sd_prior = { median = 0.05, spread = 1.3 }\n"
SINGLE = (
    HEAD
    + NOISE
    + """
[estimate."lapatinib.HER2.Ki"]
prior = { median = "20 nM", spread = 2 }
[estimate.w]
prior = { median = 0.7, spread = 0.7 }
[estimate.S50]
prior = { median = 0.3, spread = 1.5 }
"""
)
COMBINATION = (
    HEAD
    + NOISE
    + """
[estimate."lapatinib.HER2.Ki"]
prior = { median = "20 nM", spread = 2 }
[estimate."trastuzumab.KD"]
prior = { median = "1 nM", spread = 2 }
[estimate.a_li]
prior = { median = 0.6, spread = 0.7 }
[estimate.w]
prior = { median = 0.7, spread = 0.7 }
"""
)
ADC = (
    HEAD
    + "sd = 0.05\n"
    + """
[estimate."T-DM1.KD"]
prior = { median = "1 nM", spread = 2 }
[estimate.w]
prior = { median = 0.7, spread = 0.7 }
[estimate."Lys-MCC-DM1.kc50"]
prior = { median = "200 nM", spread = 2 }
"""
)


def doses() -> dict[str, list[tuple[tuple[str, float], ...]]]:
    """Treatments of each problem."""
    lapatinib = [(("lapatinib", float(d)),) for d in np.geomspace(3, 5000, 10)]
    antibody = [(("trastuzumab", float(d)),) for d in np.geomspace(0.05, 100, 6)]
    both = [(("lapatinib", x), ("trastuzumab", y)) for x in (30.0, 300.0) for y in (1.0, 30.0)]
    conjugate = [(("T-DM1", float(d)),) for d in np.geomspace(0.003, 30, 10)]
    return {"single": lapatinib, "combination": [*lapatinib[::2], *antibody, *both], "adc": conjugate}


def problem(name: str) -> FitProblem:
    """One of the three problems; what is measured is a viability of 0.5 everywhere, which calibration replaces."""
    text = {"single": SINGLE, "combination": COMBINATION, "adc": ADC}[name]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fit.toml"
        path.write_text(text)
        settings = read_fit_settings(path)
    signals = [Signal(Treatment("SK-BR-3", "", 5000.0, tuple(sorted(d))), 72.0, "viability") for d in doses()[name]]
    return make_problem(settings, [Observation(s, 0.5) for s in signals], [])


def record(found: Calibration, seconds: float) -> dict:
    """A calibration as JSON."""
    table = found.table()
    return {
        "plates": len(found.ranks), "failed": found.failed, "divergent": found.divergent,
        "ranked_draws": found.settings.ranked, "seconds": seconds,
        "unknowns": {
            row.parameter: {
                "p_value": row.p_value, "mean_rank": row.mean_rank, "spread": row.spread, "verdict": row.verdict,
                "histogram": found.histogram(i).tolist(),
            }
            for i, row in enumerate(table.itertuples())
        },
    }  # fmt: skip


def main() -> None:
    """Calibrate the problems asked for and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", nargs="*", default=["single", "combination", "adc"])
    parser.add_argument("--plates", type=int, default=192)
    args = parser.parse_args()
    result = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    for name in args.problems:
        began = time.perf_counter()
        found = calibrate(problem(name), SbcSettings(plates=args.plates), progress=lambda *x: print(*x, flush=True))
        result[name] = record(found, time.perf_counter() - began)
        result["versions"] = versions()
        print(name, found.table().to_string(), f"{found.divergent:.2%} divergent", sep="\n", flush=True)
        RESULT.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
