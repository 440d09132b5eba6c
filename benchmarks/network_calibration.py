"""Calibrate the signalling network jointly: receptor-to-response folds, blot time courses, published drug responses.

Writes the values that the library's parameters_network.toml holds, and how far each part is met.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from network_data import niepel
from network_objective import BlotModel, DrugModel, FoldModel, bounds, free_names
from scipy.optimize import least_squares

RESULT = Path(__file__).parent / "results" / "network_calibration.json"


def main() -> None:
    """Fit and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--evaluations", type=int, default=25, help="steps of the search")
    parser.add_argument("--out", type=Path, default=RESULT)
    chosen = parser.parse_args()
    names = free_names()
    start, low, high = bounds(names)
    middle = 0.5 * (low + high)
    folds, fold_model, blots, drugs = niepel(), FoldModel(), BlotModel(), DrugModel()
    rows = np.arange(len(folds.lines))

    def parts(x: np.ndarray) -> dict[str, np.ndarray]:
        changes = dict(zip(names, np.exp(x), strict=True))
        return {
            "folds": fold_model.residuals(folds, changes, rows) * 0.35,
            "blots": blots.residuals(changes),
            "drugs": drugs.residuals(changes) * 2.0,
            "prior": (x - middle) / (high - low) * 1.5,
        }

    def residuals(x: np.ndarray) -> np.ndarray:
        return np.nan_to_num(np.concatenate(list(parts(x).values())), nan=30.0).clip(-30, 30)

    fit = least_squares(
        residuals,
        np.clip(start, low + 1e-6, high - 1e-6),
        bounds=(low, high),
        x_scale=(high - low) / 4,
        diff_step=1e-3,
        max_nfev=chosen.evaluations,
        verbose=2,
    )
    cost = {k: float((v**2).sum()) for k, v in parts(fit.x).items()}
    values = {n: float(f"{np.exp(v):.4g}") for n, v in zip(names, fit.x, strict=True)}
    result = {"sum of squares": cost, "values": values}
    chosen.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(cost))


if __name__ == "__main__":
    main()
