"""The optimal plate against the usual 8-point half-log series, by simulation.

For each problem the plate is planned, then both plates are simulated many times, each time with parameters drawn from
the prior, and fitted again; what counts is the width of the target's 95 % profile-likelihood interval on the log
scale. The usual series has half of its doses above the IC50 and is read at three days; it is also run at the dose and
time that serve the target best. Both have as many treated wells as the proposed plate. A plate read at several times
needs untreated wells at each, so the usual series is run a third time, with as many wells in all.

    python benchmarks/plate_design.py [--replicates 60]
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from her2pkpd.design.candidates import Candidates, usual_counts
from her2pkpd.design.plan import Plan, plan_plate
from her2pkpd.fit.design import Signal
from her2pkpd.fit.objective import Observation
from her2pkpd.fit.optimise import multi_start
from her2pkpd.fit.problem import make_problem
from her2pkpd.fit.profile import profile

RESULT = Path(__file__).parent / "results" / "plate_design.json"
SD = 0.04
PROBLEMS = {
    "T-DM1: kc50 of its payload": """
title = "T-DM1 in SK-BR-3"
[estimate."Lys-MCC-DM1.kc50"]
prior = { median = "150 nM", spread = 2.0 }
[estimate."Lys-MCC-DM1.kmax"]
prior = { median = "0.03 1/h", spread = 1.5 }
[estimate.tau]
prior = { median = "20 h", spread = 1.5 }
[noise.viability]
sd = 0.04
[design]
wells = 48
target = "kc50"
cell_lines = ["SK-BR-3"]
times = ["24 h", "48 h", "72 h", "96 h", "120 h", "144 h"]
[[design.drug]]
name = "T-DM1"
lowest = "0.003 nM"
highest = "300 nM"
""",
    "lapatinib: IC50 of its toxicity beside HER2": """
title = "Lapatinib in three lines"
[estimate."lapatinib.IC50_off"]
prior = { median = "10 uM", spread = 1.5 }
[estimate."lapatinib.kmax_off"]
prior = { median = "0.03 1/h", spread = 1.5 }
[estimate."lapatinib.HER2.Ki"]
prior = { median = "20 nM", spread = 1.5 }
[estimate.tolerance]
prior = { median = 1.0, spread = 1.5 }
where.cell_line = ["BT-474"]
[noise.viability]
sd = 0.04
[design]
wells = 48
target = "lapatinib.IC50_off"
cell_lines = ["SK-BR-3", "BT-474", "MDA-MB-231"]
times = ["24 h", "48 h", "72 h", "96 h"]
[[design.drug]]
name = "lapatinib"
lowest = "1 nM"
highest = "100 uM"
""",
}


def observations(found: Candidates, counts: np.ndarray, values: np.ndarray | None = None) -> list[Observation]:
    """Wells of a plate, with values or without."""
    signals = [
        Signal(w.treatment, t, w.readout)
        for w, n in zip(found.wells, counts, strict=True)
        for _ in range(n)
        for t in w.times
    ]
    values = np.ones(len(signals)) if values is None else values
    return [Observation(s, float(v), SD) for s, v in zip(signals, values, strict=True)]


def widths(plan: Plan, counts: np.ndarray, truths: np.ndarray, seed: int) -> np.ndarray:
    """Width of the target's interval, on the log scale, in every simulated plate; NaN where an end is not found."""
    clean = make_problem(plan.settings, observations(plan.candidates, counts), []).objective
    rng, found = np.random.default_rng(seed), []
    for truth in truths:
        prediction = clean.predictor(truth, derivatives=False).value
        values = prediction + SD * rng.standard_normal(len(prediction))
        objective = make_problem(plan.settings, observations(plan.candidates, counts, values), []).objective
        best = multi_start(objective, starts=2, seed=1, max_evaluations=60).best
        i = objective.names.index(plan.design.target[0])
        own = profile(objective, best.u, only=(i,))[0][i]
        found.append(np.log(own.upper / own.lower))
    return np.array(found)


def study(text: str, replicates: int) -> dict[str, object]:
    """One problem."""
    with tempfile.TemporaryDirectory() as folder:
        (path := Path(folder) / "fit.toml").write_text(text, encoding="utf-8")
        began = time.perf_counter()
        plan = plan_plate(path)
        seconds = time.perf_counter() - began
    found = plan.candidates
    free = make_problem(plan.settings, observations(found, plan.choice.counts), []).objective.free
    assert free.names == found.names
    priors = [f.estimate.prior.on(f.transform) for f in free.free if f.estimate.prior is not None]
    rng = np.random.default_rng(11)
    truths = np.array([[m + s * rng.standard_normal() for m, s in priors] for _ in range(replicates)])
    kinds = plan.wells
    groups = kinds.groupby("cell_line")["time"].nunique().sum()
    usual = plan.usual_wells
    spare = plan.design.controls * int(groups - usual.groupby("cell_line")["time"].nunique().sum())
    more = usual_counts(found.series[found.common], found.pool.size, plan.design.wells + spare)
    plates = {
        "proposed": plan.choice.counts,
        "usual": plan.usual,
        "usual, best placed": plan.best_usual,
        "usual, as many wells in all": more,
    }
    measured = {k: widths(plan, c, truths, 5) for k, c in plates.items()}
    mean = {k: float(np.mean(np.minimum(w, found.widths.max()))) for k, w in measured.items()}
    row = plan.gain[plan.gain["target"]].iloc[0]
    better = 1 - measured["proposed"] / measured["usual"]
    return {
        "target": plan.design.target[0],
        "treated_wells": plan.design.wells,
        "usual_series": found.common,
        "usual_series_best_placed": plan.best_place,
        "kinds_of_wells": len(kinds),
        "efficiency_at_least": plan.choice.efficiency,
        "seconds_to_plan": seconds,
        "expected": {k: float(row[k]) for k in ("usual", "best_usual", "proposed", "narrower")},
        "simulated": {
            "plates": replicates,
            "mean_width": mean,
            "ends_not_found": {k: int(np.isnan(w).sum()) for k, w in measured.items()},
            "narrower": 1 - mean["proposed"] / mean["usual"],
            "standard_error": float(np.nanstd(better) / np.sqrt(replicates)),
            "narrower_than_best_placed": 1 - mean["proposed"] / mean["usual, best placed"],
            "narrower_at_as_many_wells_in_all": 1 - mean["proposed"] / mean["usual, as many wells in all"],
        },
        "wells": kinds.drop(columns=["time_unit"]).to_dict("records"),
    }


def main() -> None:
    """Run all problems and write the result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--replicates", type=int, default=24)
    replicates = parser.parse_args().replicates
    result = {}
    for name, text in PROBLEMS.items():
        result[name] = study(text, replicates)
        shown = {k: v for k, v in result[name].items() if k != "wells"}
        print(name, json.dumps(shown, indent=2))
    RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
