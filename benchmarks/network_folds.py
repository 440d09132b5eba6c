"""Receptor levels to responses: rank correlation in lines the network was not fitted to (five-fold split).

The network's parameters are refitted on each fold's training lines from a start that has not seen any data set: the
middle of every parameter's range. Receptor numbers and the status of PIK3CA and PTEN are all that differs between
lines. On top of these predictions small ridge regressions, one per ligand and read-out, are fitted to the training
lines only, their penalty by leave-one-out among those. These sets of inputs, fixed beforehand, are compared:

    network        the predictions alone
    receptors      ridge on the predicted folds and untreated levels, and on log EGFR, HER2 and HER3
    baseline       the same, and pERK and pAKT of the untreated line, measured in another experiment
    own baseline   the same, with the untreated pERK and pAKT of this experiment, by which the folds were divided
"""

import argparse
import json
from pathlib import Path

import numpy as np
from network_data import Folds, niepel
from network_objective import FoldModel, any_line, bounds, free_names, responses
from scipy.optimize import least_squares
from scipy.stats import spearmanr

RESULT = Path(__file__).parent / "results" / "network_folds.json"
FOLDS, SEED = 5, 0
PENALTIES = (1.0, 3.0, 10.0, 30.0, 100.0)
READ_OUTS = ("pERK", "pAKT")
LIGANDS = ("EGF", "NRG1")
UNTREATED = ("ERK", "AKT")
"""Species behind the read-outs, of a cell at rest."""


def ridge(inputs: np.ndarray, response: np.ndarray, train: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Predictions for the held-out lines; scaling, penalty and coefficients come from the training lines."""
    mean, spread = inputs[train].mean(0), inputs[train].std(0) + 1e-9
    z, y = (inputs - mean) / spread, response[train] - response[train].mean()
    a, eye = z[train], np.eye(inputs.shape[1])

    def left_out(penalty: float) -> float:
        hat = a @ np.linalg.solve(a.T @ a + penalty * eye, a.T)
        return float(np.mean(((y - hat @ y) / (1.0 - np.diag(hat) - 1.0 / len(train))) ** 2))

    best = min(PENALTIES, key=left_out)
    return z[held] @ np.linalg.solve(a.T @ a + best * eye, a.T @ y) + response[train].mean()


def splits(n: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Training and held-out rows of each fold."""
    order = np.random.default_rng(SEED).permutation(n)
    return [(np.setdiff1d(order, order[k::FOLDS]), order[k::FOLDS]) for k in range(FOLDS)]


def refit(data: Folds, model: FoldModel, train: np.ndarray, steps: int) -> dict[str, float]:
    """The network's parameters from the training lines."""
    names = free_names()
    _, low, high = bounds(names)
    middle = 0.5 * (low + high)

    def residuals(x: np.ndarray) -> np.ndarray:
        part = model.residuals(data, dict(zip(names, np.exp(x), strict=True)), train)
        return np.concatenate([np.nan_to_num(part, nan=30.0).clip(-30, 30), (x - middle) / (high - low) * 3.0])

    def jacobian(x: np.ndarray) -> np.ndarray:
        value, slope = model.jacobian(data, dict(zip(names, np.exp(x), strict=True)), train, names)
        sound = np.isfinite(value) & (np.abs(value) < 30)
        part = np.where(sound[:, None] & np.isfinite(slope), slope, 0.0)
        return np.concatenate([part, np.diag(3.0 / (high - low))])

    fit = least_squares(residuals, middle, jacobian, bounds=(low, high), x_scale=(high - low) / 4, max_nfev=steps)
    print(f"cost {2 * fit.cost:.0f} after {fit.nfev} steps", flush=True)
    return dict(zip(names, np.exp(fit.x), strict=True))


def interval(ours: np.ndarray, theirs: np.ndarray) -> list[float]:
    """95 % bootstrap interval of the rank correlation over lines."""
    rng, n = np.random.default_rng(1), len(ours)
    found = [spearmanr(ours[i], theirs[i])[0] for i in (rng.integers(0, n, n) for _ in range(500))]
    return [round(float(x), 2) for x in np.quantile(found, [0.025, 0.975])]


def main() -> None:
    """Split, fit, predict, correlate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--evaluations", type=int, default=20)
    chosen = parser.parse_args()
    data, model, still = niepel(), FoldModel(), any_line()
    n = len(data.lines)
    receptors = np.stack([np.log10(data.receptors[r] + 1.0) for r in ("EGFR", "HER2", "HER3")], axis=1)
    columns = {x: [j for j, (y, _) in enumerate(data.conditions) if y == x] for x in LIGANDS}
    observed = {
        **{(x, "pERK"): data.erk[:, columns[x]].mean((1, 2)) for x in LIGANDS},
        **{(x, "pAKT"): data.akt[:, columns[x]].mean((1, 2)) for x in LIGANDS},
        **{("none", w): data.control[:, k] for k, w in enumerate(READ_OUTS)},
    }  # fmt: skip
    held_out: dict[tuple[str, str, str], np.ndarray] = {}
    for train, held in splits(n):
        changes = refit(data, model, train, chosen.evaluations)
        fold = model.predict(data, changes, np.arange(n))
        basal = responses(still, [data.own(i) for i in range(n)], [{}], np.array([0.0]), UNTREATED, changes)[:, 0, 0]
        basal = np.log10(np.maximum(basal, 1e-6))
        for (ligand, what), measured in observed.items():
            k = READ_OUTS.index(what)
            own = basal if ligand == "none" else np.column_stack([fold[:, columns[ligand]].mean((1, 2)), basal])
            sets = {"network": None, "receptors": np.column_stack([own, receptors])}
            sets["baseline"] = np.column_stack([sets["receptors"], data.untreated])
            if ligand != "none":
                sets["own baseline"] = np.column_stack([sets["receptors"], data.control])
            for name, inputs in sets.items():
                target = held_out.setdefault((name, ligand, what), np.full(n, np.nan))
                target[held] = own[held, k] if inputs is None else ridge(inputs, measured, train, held)
    found: dict[str, dict[str, dict[str, object]]] = {}
    for (name, ligand, what), ours in held_out.items():
        rho = spearmanr(ours, observed[ligand, what])[0]
        found.setdefault(name, {}).setdefault(ligand, {})[what] = round(float(rho), 3)
        found[name][ligand][f"{what}, 95 % interval"] = interval(ours, observed[ligand, what])
    again = {
        "pERK, two antibodies": float(spearmanr(data.untreated[:, 0], data.untreated[:, 1])[0]),
        "pERK, two experiments": [float(spearmanr(data.control[:, 0], data.untreated[:, k])[0]) for k in (0, 1)],
        "pAKT, two experiments": float(spearmanr(data.control[:, 1], data.untreated[:, 2])[0]),
    }
    result = {"lines": n, "spearman of held-out lines": found, "untreated levels measured twice, spearman": again}
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
