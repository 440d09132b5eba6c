"""What receptor levels alone can say of responses: regressions without any network, same data and held-out lines.

A network cannot be asked for more than the data hold. Four regressions of different kinds (ridge, partial least
squares, Gaussian process, random forest) are fitted to training lines and asked for the held-out fifth, over several
random splits; inputs are measured levels, from three receptors to all proteins on the array. Needs scikit-learn, which
the package does not. Writes results/network_ceiling.json.
"""

import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from network_data import NIEPEL, niepel
from network_folds import ridge
from scipy.stats import spearmanr
from sklearn.cross_decomposition import PLSRegression
from sklearn.ensemble import RandomForestRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

RESULT = Path(__file__).parent / "results" / "network_ceiling.json"
SPLITS = 5
UNIT = " log10(pg/cell)"


def forest(x: np.ndarray, y: np.ndarray, train: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Random forest."""
    model = RandomForestRegressor(100, min_samples_leaf=2, max_features=0.5, random_state=0)
    return model.fit(x[train], y[train]).predict(x[held])


def least_squares(x: np.ndarray, y: np.ndarray, train: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Partial least squares, two components."""
    return PLSRegression(2).fit(x[train], y[train]).predict(x[held]).ravel()


def process(x: np.ndarray, y: np.ndarray, train: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Gaussian process, one length for all standardised inputs."""
    mean, spread = x[train].mean(0), x[train].std(0) + 1e-9
    kernel = ConstantKernel(1.0) * RBF(2.0 * np.sqrt(x.shape[1])) + WhiteKernel(0.5)
    model = GaussianProcessRegressor(kernel, normalize_y=True).fit((x[train] - mean) / spread, y[train])
    return model.predict((x[held] - mean) / spread)


METHODS = {"ridge": ridge, "partial least squares": least_squares, "Gaussian process": process, "random forest": forest}


def inputs() -> dict[str, np.ndarray]:
    """Levels of the lines, logarithms, by set."""
    data = niepel()
    table = pd.read_csv(NIEPEL / "receptor_profiling.tsv", sep="\t").set_index("Cell Line Name").loc[data.lines]
    table["ERK" + UNIT] = np.log10(table["ERK" + UNIT])  # linear in the file, whatever its heading says
    levels = table[[c for c in table.columns if c.endswith(UNIT)]]
    levels = levels.loc[:, levels.std() > 1e-6]
    status = np.column_stack([data.status["PIK3CA"], data.status["PTEN"]])
    family = ["ErbB1", "ErbB2", "ErbB3", "ErbB4"]
    some = lambda *names: levels[[n + UNIT for n in names]].to_numpy(float)  # noqa: E731
    return {
        "EGFR, HER2, HER3": some(*family[:3]),
        "and HER4, PIK3CA, PTEN": np.column_stack([some(*family), status]),
        "and total ERK and AKT, IGF1R, InsR, MET": np.column_stack([
            some(*family, "ERK", "Akt", "IGF1R", "InsR", "c-Met"), status]),
        "all levels of the array": np.column_stack([levels.to_numpy(float), status]),
    }  # fmt: skip


def main() -> None:
    """Split, fit, correlate."""
    warnings.simplefilter("ignore")
    data = niepel()
    n = len(data.lines)
    at = {x: [j for j, (y, _) in enumerate(data.conditions) if y == x] for x in ("EGF", "NRG1")}
    observed = {
        f"{x} {what}": table[:, at[x]].mean((1, 2))
        for what, table in (("pERK", data.erk), ("pAKT", data.akt))
        for x in at
    }
    observed |= {"none pERK": data.control[:, 0], "none pAKT": data.control[:, 1]}
    result: dict[str, dict[str, dict[str, float]]] = {}
    for kind, x in inputs().items():
        for method, fit in METHODS.items():
            row = result.setdefault(kind, {}).setdefault(method, {})
            for name, y in observed.items():
                found = []
                for seed in range(SPLITS):
                    order = np.random.default_rng(seed).permutation(n)
                    ours = np.full(n, np.nan)
                    for k in range(5):
                        held = order[k::5]
                        ours[held] = fit(x, y, np.setdiff1d(order, held), held)
                    found.append(spearmanr(ours, y)[0])
                row[name] = round(float(np.mean(found)), 2)
            print(kind, method, row, flush=True)
    RESULT.write_text(json.dumps({"lines": n, "splits": SPLITS, "spearman": result}, indent=1) + "\n")


if __name__ == "__main__":
    main()
