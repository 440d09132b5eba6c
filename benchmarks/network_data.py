"""The two public data sets the signalling network is compared with, as arrays."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from her2pkpd.library.load import plain

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
NIEPEL, IMOTO = SHARED / "niepel_receptor_ligand", SHARED / "imoto2020_erbb_timecourse"
RECEPTOR_COLUMNS = {"EGFR": "ErbB1", "HER2": "ErbB2", "HER3": "ErbB3", "HER4": "ErbB4"}
KDA = {"EGFR": 170.0, "HER2": 185.0, "HER3": 180.0, "HER4": 180.0}
SURFACE = 0.24
"""Surface copies per copy of total protein, so that SK-BR-3 has 1.12e6 HER2 as by flow cytometry."""
PTEN_LEFT = 0.2
"""PTEN activity of a mutated line, as in the library's cell_lines_status.toml."""
NANOMOLAR_PER_NG_ML = {"EGF": 1 / 6.2, "NRG1": 1 / 8.0}
"""Recombinant EGF is 6.2 kDa, the EGF domain of heregulin 8 kDa."""


@dataclass(frozen=True)
class Folds:
    """Niepel: ligand-induced folds.

    Attributes:
        lines: (n,) names.
        receptors: copies per cell, (n,) per receptor.
        conditions: ligand and nM of each of c conditions.
        erk, akt: (n, c, 3) log10 fold at 10, 30 and 90 min.
        control: (n, 2) log10 untreated pERK and pAKT, arbitrary units, of the same experiment as the folds.
        untreated: (n, 3) log10 pERK by two antibodies and pAKT, arbitrary units, of another experiment of the same lab.
        status: ``PIK3CA`` (1 where mutated) and ``PTEN`` (activity left) of each line, as in the library.
    """

    lines: np.ndarray
    receptors: dict[str, np.ndarray]
    conditions: list[tuple[str, float]]
    erk: np.ndarray
    akt: np.ndarray
    control: np.ndarray
    untreated: np.ndarray
    status: dict[str, np.ndarray]

    def own(self, row: int) -> dict[str, float]:
        """What the network takes of one line."""
        return {k: float(v[row]) for k, v in {**self.receptors, **self.status}.items()}


def niepel(ligands: tuple[str, ...] = ("EGF", "HRG"), doses: tuple[float, ...] = (1.0, 100.0)) -> Folds:
    """The lines that have both a receptor profile and responses."""
    profile = pd.read_csv(NIEPEL / "receptor_profiling.tsv", sep="\t").set_index("Cell Line Name")
    folds = pd.read_csv(NIEPEL / "pERK-pAKT_fold_change_20160606.tsv", sep="\t")
    raw = pd.read_csv(NIEPEL / "pERK-pAKT_raw_level.tsv", sep="\t").drop_duplicates("Cell Line Name")
    names = folds.groupby("Protein Name").size().index
    protein = {x: next(n for n in names if n.upper().startswith(x[:3])) for x in ligands}
    lines = np.array(sorted(set(profile.index) & set(folds["Cell Line Name"])))
    own = {
        r: 10 ** profile.loc[lines, f"{c} log10(pg/cell)"].to_numpy(float) * 1e-12 / (KDA[r] * 1e3) * 6.022e23 * SURFACE
        for r, c in RECEPTOR_COLUMNS.items()
    }
    keep = [(x, d) for x in ligands for d in doses]
    shape = (len(lines), len(keep), 3)
    erk, akt = np.full(shape, np.nan), np.full(shape, np.nan)
    table = folds.set_index(["Cell Line Name", "Protein Name", "Ligand Concentration"]).sort_index()
    for i, line in enumerate(lines):
        for j, (ligand, dose) in enumerate(keep):
            row = table.loc[(line, protein[ligand], dose)]
            for k, minutes in enumerate((10, 30, 90)):
                erk[i, j, k] = np.mean(row[f"Measured pErk:{minutes}min log10(fold change)"])
                akt[i, j, k] = np.mean(row[f"Measured pAkt:{minutes}min log10(fold change)"])
    control = raw.set_index("Cell Line Name").loc[lines, ["Control pErk (a.u.)", "Control pAkt (a.u.)"]].to_numpy(float)
    model = {"HRG": "NRG1", "EGF": "EGF"}
    conditions = [(model[x], d * NANOMOLAR_PER_NG_ML[model[x]]) for x, d in keep]
    other = profile.loc[lines, [f"{x} log10(a.u.)" for x in ("pERK RnD", "pERK CST", "pAkt")]].to_numpy(float)
    table = {plain(x["Cell Line"]): x for x in pd.read_csv(NIEPEL / "cell_lines.csv").fillna("").to_dict("records")}
    mutated = {g: np.array([table[plain(x)][g].startswith("MUT") for x in lines]) for g in ("PIK3CA", "PTEN")}
    status = {"PIK3CA": mutated["PIK3CA"].astype(float), "PTEN": np.where(mutated["PTEN"], PTEN_LEFT, 1.0)}
    return Folds(lines, own, conditions, erk, akt, control, other, status)


IMOTO_LINES = {"MCF7": "MCF-7", "BT474": "BT-474", "SKBR3": "SK-BR-3"}
IMOTO_MINUTES = np.array([0.0, 5, 15, 30, 45, 60, 90, 120])


def imoto() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Per line: mean and standard error over replicates, (readout pERK/pAKT, ligand EGF/HRG, time).

    Each replicate is divided by its largest value over both ligands, as blots of one replicate share a scale.
    """
    table = pd.read_csv(IMOTO / "imoto2020_blots_long.csv")
    found = {}
    for short, name in IMOTO_LINES.items():
        rows = table[table["cell_line"].str.replace("-", "").str.upper() == short]
        cube = np.stack([
            np.stack([
                rows[(rows["readout"].str.upper() == r.upper()) & (rows["ligand"] == x)]
                .pivot_table(index="replicate", columns="time_min", values="blot_intensity_au")
                .to_numpy(float)
                for x in ("EGF", "HRG")
            ])
            for r in ("pERK", "pAkt")
        ])  # fmt: skip
        scaled = cube / cube.max(axis=(1, 3), keepdims=True)
        found[name] = (scaled.mean(axis=2), scaled.std(axis=2, ddof=1) / np.sqrt(scaled.shape[2]))
    return found
