"""Loewe scores of the lapatinib blocks of O'Neil 2016, from a table without single-agent wells.

    python benchmarks/synergy_oneil.py

The public excerpt of the screen holds combination wells only, and of each 4 x 4 block the row in which the first drug
is at its lowest dose. Single-agent curves are therefore inferred: in each cell line one Hill curve per drug, and the
survival at the lowest dose of each first drug, are fitted to all rows under independence, robustly, since most
pairs should hardly interact. The block to be scored is left out of its own fit. Its score is the mean excess over Loewe
additivity (over independence where the first drug has no curve), in per cent. The published scores are of the whole
blocks, from measured single agents.

Whether a curve can be inferred at all is asked first: with the first drug at its lowest dose, wells of one line that
share second drug and dose should agree whatever the first drug is. `agreement` is how much of their variance the mean
of the others explains, beside what the place of the dose among the four, of whichever drug, explains.
Writes results/synergy_oneil.json.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import least_squares
from scipy.sparse import csr_matrix
from scipy.stats import pearsonr, spearmanr

from her2pkpd.runinfo import versions
from her2pkpd.synergy.null_models import hill_effect, loewe_expected

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / "shared" / "data" / "synergy_published"
LAPATINIB = "LAPATINIB"
ROBUST = 0.1
"""Residual (survival) from which a well counts less."""
ENOUGH = 3
"""Doses a drug needs for a curve."""


def wells() -> pd.DataFrame:
    """``line, a, b, da, db, y``: mean of the replicates of every dose pair."""
    table = pd.read_csv(DATA / "oneil2016_raw_viability_subset_merckLongTable.csv")
    y = table[[f"viability{k}" for k in range(1, 5)]].median(axis=1)
    return pd.DataFrame({
        "line": table["cellid"], "a": table["drug1id"].str.upper(), "b": table["drug2id"].str.upper(),
        "da": table["drug1dose"], "db": table["drug2dose"], "y": y,
    })  # fmt: skip


class Curves:
    """Curves of one cell line: E1, log h, log C of every second drug, survival at its lowest dose of every first."""

    def __init__(self, rows: pd.DataFrame) -> None:
        self.second = sorted(rows["b"].unique())
        self.first = sorted(rows["a"].unique())
        self.b = rows["b"].map({d: i for i, d in enumerate(self.second)}).to_numpy()
        self.a = rows["a"].map({d: i for i, d in enumerate(self.first)}).to_numpy()
        self.dose, self.y = rows["db"].to_numpy(), rows["y"].to_numpy()
        middle = rows.groupby("b")["db"].median().reindex(self.second).to_numpy()
        k, m = len(self.second), len(self.first)
        self.start = np.concatenate([np.full(k, 0.2), np.zeros(k), np.log(middle), np.full(m, 0.95)])
        wide = np.log(1e3)
        self.low = np.concatenate([np.zeros(k), np.full(k, np.log(0.3)), np.log(middle) - wide, np.zeros(m)])
        self.high = np.concatenate([np.ones(k), np.full(k, np.log(5.0)), np.log(middle) + wide, np.full(m, 1.2)])

    def split(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(3, k) curves and (m,) survivals."""
        k = len(self.second)
        return u[: 3 * k].reshape(3, k), u[3 * k :]

    def fit(self, use: np.ndarray, start: np.ndarray | None = None) -> np.ndarray:
        """Coordinates fitted to the rows of a mask; a weak pull to the start keeps what no row tells."""
        k, n = len(self.second), len(self.start)
        at = np.flatnonzero(use)
        spread = np.concatenate([np.full(k, 0.5), np.full(k, 0.7), np.full(k, 3.0), np.full(n - 3 * k, 0.1)])

        def residual(u: np.ndarray) -> np.ndarray:
            curve, alone = self.split(u)
            e1, h, c = curve[0, self.b[at]], np.exp(curve[1, self.b[at]]), np.exp(curve[2, self.b[at]])
            expected = alone[self.a[at]] * (1 + (e1 - 1) / (1 + (c / self.dose[at]) ** h))
            return np.concatenate([expected - self.y[at], 0.1 * (u - self.start) / spread])

        rows = np.arange(len(at))
        touched = [self.b[at] + j * k for j in range(3)] + [3 * k + self.a[at]]
        pattern = csr_matrix(
            (
                np.ones(4 * len(at) + n),
                (np.r_[np.tile(rows, 4), len(at) + np.arange(n)], np.r_[np.concatenate(touched), np.arange(n)]),
            ),
            shape=(len(at) + n, n),
        )
        found = least_squares(
            residual, self.start if start is None else start, bounds=(self.low, self.high), loss="soft_l1",
            f_scale=ROBUST, jac_sparsity=pattern, max_nfev=60,
        )  # fmt: skip
        return found.x


def score(line: Curves, u: np.ndarray, block: pd.DataFrame) -> tuple[float, str]:
    """Mean excess (per cent) of a block's wells and the null model it is against."""
    curve, alone = line.split(u)
    a, b = block["a"].iloc[0], block["b"].iloc[0]
    doses = block[["da", "db"]].to_numpy()
    two = line.second.index(b)
    if a in line.second:
        pair = [line.second.index(a), two]
        e1, h, c = curve[0, pair], np.exp(curve[1, pair]), np.exp(curve[2, pair])
        expected = loewe_expected(doses, np.ones(len(doses)), *(np.tile(x, (len(doses), 1)) for x in (e1, h, c)))
        if np.isfinite(expected).any():
            return 100 * float(np.nanmean(expected - block["y"].to_numpy())), "loewe"
    effect = hill_effect(doses[:, 1], np.ones(len(doses)), curve[0, two], np.exp(curve[1, two]), np.exp(curve[2, two]))
    return 100 * float(np.mean(alone[line.first.index(a)] * effect - block["y"].to_numpy())), "independence"


def agreement(table: pd.DataFrame) -> dict[str, object]:
    """Part of the variance explained by the other wells of the same line, second drug and dose, and by place alone."""
    table = table.assign(place=table.groupby("b")["db"].rank(method="dense"))
    explained = {}
    for label, keys in (("same second drug and dose", ["line", "b", "db"]), ("same place", ["line", "place"])):
        group = table.groupby(keys)["y"]
        n, total = group.transform("size"), group.transform("sum")
        others = ((total - table["y"]) / (n - 1).where(n > 1)).dropna()
        y = table.loc[others.index, "y"]
        explained[label] = float(1 - np.sum((y - others) ** 2) / np.sum((y - y.mean()) ** 2))
    lapatinib = table[(table["b"] == LAPATINIB) & (table["db"] == 1.1)].groupby("line")["y"]
    ranges = {str(line): [float(y.min()), float(y.max())] for line, y in lapatinib}
    return {"variance_explained_by_the_others": explained, "survival_at_1.1_uM_lapatinib_by_line": ranges}


def published() -> dict[tuple[str, str, str], float]:
    """Loewe score by cell line and the two drugs, sorted."""
    table = pd.read_csv(DATA / "oneil2016_loewe_synergy_lapatinib_all39lines.csv")
    keys = (tuple(sorted(p)) for p in zip(table["drug1"].str.upper(), table["drug2"].str.upper(), strict=True))
    return {(c, *k): float(v) for c, k, v in zip(table["cell"], keys, table["synergy"], strict=True)}


def main() -> None:
    """Score every lapatinib block there is and compare."""
    known, found = published(), []
    for name, part in wells().groupby("line"):
        rows = part.reset_index(drop=True)
        line = Curves(rows)
        everything = line.fit(np.ones(len(rows), dtype=bool))
        ours = rows[(rows["a"] == LAPATINIB) | (rows["b"] == LAPATINIB)]
        for (a, b), block in ours.groupby(["a", "b"]):
            keep = np.ones(len(rows), dtype=bool)
            keep[block.index] = False
            value, null = score(line, line.fit(keep, everything), block)
            key = (str(name), *sorted((a, b)))
            found.append({
                "cell_line": name, "pair": f"{a} + {b}", "wells": len(block), "null": null, "excess": value,
                "published": known.get(key, np.nan),
            })  # fmt: skip
        print(name, len(ours), flush=True)
    table = pd.DataFrame(found)
    both = table.dropna(subset=["published"])
    summary: dict[str, object] = {
        "blocks": len(table), "with_published_score": len(both), "agreement": agreement(wells()),
    }  # fmt: skip
    for label, part in (("all", both), ("loewe", both[both["null"] == "loewe"]), ("4 wells", both[both["wells"] >= 4])):
        if len(part) > 2:
            r, rho = pearsonr(part["excess"], part["published"]), spearmanr(part["excess"], part["published"])
            summary[label] = {
                "n": len(part), "pearson": float(r.statistic), "pearson_p": float(r.pvalue),
                "spearman": float(rho.statistic), "spearman_p": float(rho.pvalue),
                "same_sign": float(np.mean(np.sign(part["excess"]) == np.sign(part["published"]))),
            }  # fmt: skip
    print(json.dumps(summary, indent=1))
    out = {"summary": summary, "blocks": json.loads(table.to_json(orient="records")), "versions": versions()}
    (HERE / "results" / "synergy_oneil.json").write_text(json.dumps(out, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
