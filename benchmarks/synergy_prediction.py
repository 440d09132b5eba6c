"""Combinations predicted from single drugs and scored on their own wells, which the prediction does not see.

    python benchmarks/synergy_prediction.py

1. Neratinib with inhibitors of AKT, mTOR, PI3K/mTOR and IGF1R in four lines (HMS LINCS, counts relative to the vehicle
   wells of the plate; 16 blocks of 9 combinations, three plates each), by the null models. Lines without HER2
   amplification, and partners the mechanism does not know, so that it has nothing to say here.
2. Trastuzumab with lapatinib in BT-474, simulated: the mechanism is fitted to wells of single drugs (5 % noise) and
   predicts the combinations with the band of its Laplace posterior, twenty times over; the null models predict the
   same wells. The truth is the mechanism itself, with numbers the fit does not know: this tests the path from fit
   to prediction, not the mechanism.

Writes results/synergy_prediction.json.
"""

import json
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from her2pkpd import load_cell_line, load_drug
from her2pkpd.fit.problem import load_problem
from her2pkpd.fit.run import fit
from her2pkpd.runinfo import versions
from her2pkpd.synergy import make_block
from her2pkpd.synergy.draws import fit_draws
from her2pkpd.synergy.mechanism import Combination, parameter_draws, predicted_survival
from her2pkpd.synergy.prediction import predict_by_mechanism, predict_from_singles, prediction_score

HERE = Path(__file__).resolve().parent
LINCS = HERE.parents[1] / "shared/data/hms_lincs_raw_counts/DrugCoTreatmentResults_neratinib_trim.csv"
DRUGS, LINE, NOISE, DRAWS = ("trastuzumab", "lapatinib"), "BT-474", 0.05, 100
DOSES = ((0.3, 1.0, 3.0, 10.0, 100.0), (10.0, 30.0, 100.0, 300.0, 1000.0))
SETTINGS = """
title = "single drugs"
[[data]]
file = "plate.csv"
[model]
system = "well"
[estimate."lapatinib.HER2.Ki"]
shared = true
prior = { median = "20 nM", spread = 2.0 }
[estimate.a_li]
per = "cell_line"
prior = { median = 0.65, spread = 1.0 }
[estimate.S50]
per = "cell_line"
lower = 0.005
upper = 2.0
prior = { median = 0.3, spread = 2.0 }
[estimate.w]
per = "cell_line"
[estimate.k_apo]
per = "cell_line"
lower = "1e-5 1/h"
upper = "0.2 1/h"
prior = { median = "0.01 1/h", spread = 3.0 }
[noise.viability]
sd = 0.05
[method]
starts = 2
max_evaluations = 60
intervals = "laplace"
"""


def lincs_blocks() -> dict[str, pd.DataFrame]:
    """Predictions of the sixteen blocks."""
    wells = pd.read_csv(LINCS)
    wells = wells.rename(columns={
        "location[plate]": "plate", "cellline": "line", "drug1[conc]=uM": "c1", "drug2[conc]=uM": "c2",
    })  # fmt: skip
    wells = wells[wells["pert_type"] != "Untrt"]  # plates of their own, stopped when the drugs were added
    control = wells[wells["pert_type"] == "ctl_vehicle"].groupby("plate")["cellcount"].mean()
    wells["y"] = wells["cellcount"] / wells["plate"].map(control)
    found = {}
    for line, part in wells.groupby("line"):
        for partner in sorted(set(part["drug2"]) - {"-"}):
            doses, y = [], []
            for row in part.itertuples():
                held = {row.drug1: row.c1, row.drug2: row.c2}
                held.pop("-", None)
                if set(held) <= {"Neratinib", partner}:
                    doses.append([held.get("Neratinib", 0.0), held.get(partner, 0.0)])
                    y.append(row.y)
            block = make_block(np.array(doses), np.array(y), kind="viability", name=f"{line} {partner}")
            if block.has_curves:
                found[f"{line}, neratinib + {partner}"] = predict_from_singles(block)
    return found


def simulated(seed: int) -> pd.DataFrame:
    """Predictions of the combinations of one simulated plate."""
    rng = np.random.default_rng(seed)
    grid = np.array([(a, b) for a in (0.0, *DOSES[0]) for b in (0.0, *DOSES[1])])
    case = Combination(load_cell_line(LINE), tuple(load_drug(d) for d in DRUGS), grid, {})
    truth = {
        "cells.S50": 0.3 * np.exp(0.3 * rng.normal()), "cells.w": 0.85, "cells.a_li": 0.6,
        "lapatinib.HER2.Ki": 20.0 * np.exp(0.3 * rng.normal()), "cells.k_apo": 0.008,
    }  # fmt: skip
    model = case.model()
    values = parameter_draws(model, {k: np.array([v]) for k, v in truth.items()})
    clean = predicted_survival(case, model, values)[0, :, 0]
    doses, y = np.tile(grid, (3, 1)), np.tile(clean, 3) + NOISE * rng.normal(size=3 * len(grid))
    block = make_block(doses, y, kind="viability", drugs=DRUGS, units=("nM", "nM"))
    single = (doses > 0).sum(axis=1) <= 1
    with tempfile.TemporaryDirectory() as folder:
        plate = pd.DataFrame({
            "cell_line": LINE, "drug": np.where(doses[single, 1] > 0, DRUGS[1], DRUGS[0]),
            "concentration": doses[single].sum(axis=1), "unit": "nM", "time": 72, "time_unit": "h",
            "readout": "viability", "value": y[single],
        })  # fmt: skip
        same = ["drug", "concentration"]
        plate.assign(replicate=plate.groupby(same).cumcount() + 1).to_csv(Path(folder) / "plate.csv", index=False)
        (Path(folder) / "fit.toml").write_text(SETTINGS, encoding="utf-8")
        result = fit(load_problem(Path(folder) / "fit.toml"))
    draws = fit_draws(result, LINE, DRAWS, seed=seed)
    return pd.concat([predict_by_mechanism(case, draws, block, NOISE, seed=seed), predict_from_singles(block)])


def _score(tables: dict[str, pd.DataFrame]) -> dict[str, object]:
    every = prediction_score(pd.concat(tables.values())).set_index("model").to_dict("index")
    best: dict[str, int] = {}
    for table in tables.values():
        own = prediction_score(table)
        name = str(own.loc[own["rmse"].idxmin(), "model"])
        best[name] = best.get(name, 0) + 1
    return {"blocks": len(tables), "models": every, "blocks_in_which_it_is_best": best}


def main() -> None:
    """Predict, score, write."""
    measured = lincs_blocks() if LINCS.is_file() else {}
    made = {f"plate {seed}": simulated(seed) for seed in range(20)}
    out = {"HMS LINCS": _score(measured) if measured else "data absent", "simulated": _score(made)}
    if measured:
        rmse = {n: prediction_score(t).set_index("model")["rmse"] for n, t in measured.items()}
        out["by_block"] = {n: {k: v if np.isfinite(v) else None for k, v in r.items()} for n, r in rmse.items()}
    print(json.dumps(out, indent=1))
    out["versions"] = versions()
    (HERE / "results" / "synergy_prediction.json").write_text(json.dumps(out, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
