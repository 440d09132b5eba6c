"""Receptor levels to responses: rank correlation in lines the network was not fitted to (five-fold split).

Parameters are refitted on each fold's training lines from a start that has not seen any data set: the middle of every
parameter's range. Receptor numbers are the only thing that differs between lines.
"""

import json
from pathlib import Path

import numpy as np
from network_data import niepel
from network_objective import FoldModel, any_line, bounds, free_names, responses
from scipy.optimize import least_squares
from scipy.stats import spearmanr

RESULT = Path(__file__).parent / "results" / "network_folds.json"
EVALUATIONS, FOLDS, SEED = 12, 5, 0


def main() -> None:
    """Split, fit, predict, correlate."""
    data, model, names = niepel(), FoldModel(), free_names()
    _, low, high = bounds(names)
    middle = 0.5 * (low + high)
    order = np.random.default_rng(SEED).permutation(len(data.lines))
    predicted = np.full((len(data.lines), len(data.conditions), 3, 2), np.nan)
    basal = np.full((len(data.lines), 2), np.nan)
    still = any_line()
    for fold in range(FOLDS):
        held = order[fold::FOLDS]
        train = np.setdiff1d(order, held)

        def residuals(x: np.ndarray, train: np.ndarray = train) -> np.ndarray:
            part = model.residuals(data, dict(zip(names, np.exp(x), strict=True)), train)
            return np.concatenate([np.nan_to_num(part, nan=30.0).clip(-30, 30), (x - middle) / (high - low) * 3.0])

        fit = least_squares(residuals, middle, bounds=(low, high), x_scale=(high - low) / 4, diff_step=1e-3,
                            max_nfev=EVALUATIONS)  # fmt: skip
        changes = dict(zip(names, np.exp(fit.x), strict=True))
        predicted[held] = model.predict(data, changes, held)
        lines = [data.own(i) for i in held]
        basal[held] = responses(still, lines, [{}], np.array([0.0]), ("ERK", "AKT"), changes)[:, 0, 0]
        print(f"fold {fold + 1}: cost {2 * fit.cost:.0f}", flush=True)
    observed = np.stack([data.erk, data.akt], axis=-1)
    result: dict[str, dict[str, float]] = {}
    for ligand in ("EGF", "NRG1"):
        columns = [j for j, (x, _) in enumerate(data.conditions) if x == ligand]
        for k, what in enumerate(("pERK", "pAKT")):
            ours, theirs = (x[..., k][:, columns] for x in (predicted, observed))
            result.setdefault(ligand, {})[what] = float(spearmanr(ours.mean((1, 2)), theirs.mean((1, 2)))[0])
            per = [float(spearmanr(ours[:, -1, t], theirs[:, -1, t])[0]) for t in range(3)]
            result[ligand] |= {f"{what} at {m} min, high dose": v for m, v in zip((10, 30, 90), per, strict=True)}
        # Both read-outs of one ligand together, each ranked over all lines and doses.
        result[ligand]["all pairs of line, dose, time and read-out"] = float(
            spearmanr(predicted[:, columns].ravel(), observed[:, columns].ravel())[0]
        )
    result["none"] = {w: float(spearmanr(basal[:, k], data.control[:, k])[0]) for k, w in enumerate(("pERK", "pAKT"))}
    RESULT.write_text(json.dumps({"lines": len(data.lines), "spearman of held-out lines": result}, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
