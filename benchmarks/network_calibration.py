"""Calibrate the signalling network jointly: receptor-to-response folds, blot time courses, published drug responses.

Starts are the library's values and, by turns, draws from the whole prior and from around the library's values; each is
searched until its steps no longer improve it. Writes the values, how far each part is met, how many starts reach the
best optimum, and what lies on a bound.
With ``--write`` the best values go into the library's parameters_network.toml.
"""

import argparse
import json
import re
import time
from pathlib import Path

import numpy as np
from network_data import niepel
from network_drugs import DrugModel
from network_objective import BlotModel, FoldModel, bounds, free_names
from scipy.optimize import least_squares

RESULT = Path(__file__).parent / "results" / "network_calibration.json"
LIBRARY = Path(__file__).parents[1] / "her2pkpd" / "library" / "parameters_network.toml"
MOST = 30.0
"""Largest residual: what a lane that fails counts as."""
WIDE, NEAR = 0.45, 0.15
"""How much of a prior range starts are drawn from, to either side: of its middle, and of the library's value."""


class Objective:
    """Residuals of all parts at the logarithms of the free parameters."""

    def __init__(self) -> None:
        self.names = free_names()
        self.start, self.low, self.high = bounds(self.names)
        self.middle = 0.5 * (self.low + self.high)
        self.folds, self.fold_model, self.blots, self.drugs = niepel(), FoldModel(), BlotModel(), DrugModel()

    WEIGHTS = {"folds": 0.35, "blots": 1.0, "drugs": 2.0, "prior": 1.5}  # noqa: RUF012
    """Folds of 39 lines share what receptors do not explain and are weighted down."""

    def parts(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Weighted residuals by part."""
        changes = dict(zip(self.names, np.exp(x), strict=True))
        rows = np.arange(len(self.folds.lines))
        found = {
            "folds": self.fold_model.residuals(self.folds, changes, rows),
            "blots": self.blots.residuals(changes),
            "drugs": self.drugs.residuals(changes),
            "prior": (x - self.middle) / (self.high - self.low),
        }
        return {k: v * self.WEIGHTS[k] for k, v in found.items()}

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """All residuals; a lane that fails counts as far off."""
        try:
            found = self.parts(x)
        except Exception:  # noqa: BLE001 - a start in a corner of the prior must not end the search
            return np.full(self.size, MOST)
        whole = np.nan_to_num(np.concatenate(list(found.values())), nan=MOST).clip(-MOST, MOST)
        self.size = len(whole)
        return whole

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        """Exact slopes of all residuals; zero where one is cut off."""
        changes = dict(zip(self.names, np.exp(x), strict=True))
        rows = np.arange(len(self.folds.lines))
        try:
            found = {
                "folds": self.fold_model.jacobian(self.folds, changes, rows, self.names),
                "blots": self.blots.jacobian(changes, self.names),
                "drugs": self.drugs.jacobian(changes, self.names),
                "prior": (np.zeros(len(x)), np.diag(1.0 / (self.high - self.low))),
            }
        except Exception:  # noqa: BLE001 - as above
            return np.zeros((self.size, len(x)))
        value = np.concatenate([v * self.WEIGHTS[k] for k, (v, _) in found.items()])
        slope = np.concatenate([s * self.WEIGHTS[k] for k, (_, s) in found.items()])
        inside = np.isfinite(value) & (np.abs(value) < MOST)
        return np.where(inside[:, None] & np.isfinite(slope), slope, 0.0)

    size = 0


def write(values: dict[str, float]) -> None:
    """Put values into the library file, four digits."""
    text = LIBRARY.read_text("utf-8")
    for name, value in values.items():
        pattern = rf'(\["?{re.escape(name)}"?\]\nvalue = )\S+'
        text, found = re.subn(pattern, rf"\g<1>{value:g}", text)
        if found != 1:
            raise KeyError(name)
    LIBRARY.write_text(text, "utf-8")


def main() -> None:
    """Fit and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=12)
    parser.add_argument("--evaluations", type=int, default=150, help="steps of each search at most")
    parser.add_argument("--minutes", type=float, default=60.0, help="no new start after this")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--write", action="store_true", help="put the best values into the library")
    chosen = parser.parse_args()
    goal, rng, began = Objective(), np.random.default_rng(chosen.seed), time.time()
    width = goal.high - goal.low
    inside = lambda x: np.clip(x, goal.low + 1e-4 * width, goal.high - 1e-4 * width)  # noqa: E731
    goal(inside(goal.start))
    draw = lambda about, share: inside(about + width * rng.uniform(-share, share, len(width)))  # noqa: E731
    starts = [inside(goal.start)]
    starts += [draw(goal.middle, WIDE) if k % 2 else draw(goal.start, NEAR) for k in range(1, chosen.starts)]
    ends = []
    for number, x in enumerate(starts):
        if time.time() - began > 60 * chosen.minutes:
            break
        fit = least_squares(goal, x, goal.jacobian, bounds=(goal.low, goal.high), x_scale=width / 4, ftol=1e-5,
                            xtol=1e-5, max_nfev=chosen.evaluations)  # fmt: skip
        ends.append(fit)
        print(f"start {number}: {2 * fit.cost:.1f} after {fit.nfev} steps, {fit.message}", flush=True)
        best = min(ends, key=lambda f: f.cost)
        costs = [float(2 * f.cost) for f in ends]
        near = np.minimum(best.x - goal.low, goal.high - best.x) < 0.01 * width
        on = [n for n, edge in zip(goal.names, near, strict=True) if edge]
        result = {
            "sum of squares": {k: float((v**2).sum()) for k, v in goal.parts(best.x).items()},
            "sum of squares of each start": costs,
            "steps of each start": [int(f.nfev) for f in ends],
            "starts that stopped by themselves": int(sum(f.status > 0 for f in ends)),
            "starts within 2 % of the best": int(sum(c < 1.02 * min(costs) for c in costs)),
            "the best is the start from the library": bool(best is ends[0]),
            "on a bound": on,
            "values": {n: float(f"{np.exp(v):.4g}") for n, v in zip(goal.names, best.x, strict=True)},
        }
        chosen.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        if chosen.write:
            write(result["values"])
    print(json.dumps(result["sum of squares"]))


if __name__ == "__main__":
    main()
