"""Predictions of the signalling network for the two data sets, and their residuals."""

from collections.abc import Mapping, Sequence

import numpy as np
from network_data import IMOTO_MINUTES, Folds, imoto

from her2pkpd.dosing import Add, compile_segments
from her2pkpd.engine import Batch, solve
from her2pkpd.library import load_cell_line, load_drug, load_parameters
from her2pkpd.model import Model
from her2pkpd.systems.cell import CellOptions, baseline, cell_model, network_parameters

CELL = "cell"
"""Name of the population in models that stand for any line."""

LIGANDS = ("NRG1", "EGF")
DOWNSTREAM = {
    "MEKi": "MEK",
    "PI3Ki": "PI3K",
    "rapamycin": "mTOR",
    "AKTi": "AKT:ATP",
    "AKTi_allosteric": "AKT:allosteric",
}
HALF = 10.0
"""nM of a downstream inhibitor of Ki 10 nM: half of its target."""
BLOCK = 190.0
"""nM of a downstream inhibitor of Ki 10 nM: 95 % of its target."""


def free_names() -> list[str]:
    """Parameters of the network that calibration may move, with a positive range."""
    table = load_parameters()
    network = ("net.", "dimer.", "kint.EGFR_driven", "kint.HER2_driven")
    return [k for k, q in table.items() if k.startswith(network) and "network_calibration" in q.source.citation]


def bounds(names: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logarithms of default, lower and upper end."""
    table = [load_parameters()[n] for n in names]
    ends = np.log([[q.canonical, q.spread.low, q.spread.high] for q in table if q.spread])
    return ends[:, 0], ends[:, 1], ends[:, 2]


def any_line(drugs: Sequence[str] = (), downstream: Mapping[str, str] | None = None) -> Model:
    """A population without growth whose receptors are parameters."""
    options = CellOptions(growth=False, downstream=downstream or {})
    return cell_model(CELL, {"HER2": 1e4}, drugs=[load_drug(d) for d in drugs], ligands=LIGANDS, options=options)


def responses(
    model: Model,
    lines: Sequence[Mapping[str, float]],
    treatments: Sequence[Mapping[str, float]],
    hours: np.ndarray,
    names: Sequence[str],
    changes: Mapping[str, float],
    *,
    before: Sequence[Mapping[str, float]] | None = None,
) -> np.ndarray:
    """Outputs of every line under every treatment (nM by species, from time zero), (lines, treatments, times, names).

    Args:
        model: from `any_line`.
        lines: values of ``HER2``, ``HER3`` and so on of each line.
        treatments: what is added at time zero.
        hours: times.
        names: outputs without the population's name.
        changes: parameters all lines share.
        before: what is added two hours earlier, per treatment.
    """
    own = [{**changes, **{f"{CELL}.{k}": v for k, v in line.items()}} for line in lines]
    p, y = baseline(model, np.array([model.parameter_vector(c) for c in own]), CELL)
    n, m = len(lines), len(treatments)
    lanes = [[Add(0.0, s, x) for s, x in t.items() if x] for t in treatments]
    if before is not None:
        lanes = [a + [Add(-2.0, s, x) for s, x in b.items()] for a, b in zip(lanes, before, strict=True)]
    start = 0.0 if before is None else -2.0
    segments = compile_segments(model, lanes * n, start=start, stop=float(hours[-1]))
    solution = solve(Batch(model, np.repeat(p, m, axis=0), segments, hours, np.repeat(y, m, axis=0)))
    out = model.outputs([f"{x}.{CELL}" for x in names], solution.y, np.repeat(p, m, axis=0)[:, None])
    return out.reshape(n, m, len(hours), len(names))


class FoldModel:
    """Predicted log10 folds of the receptor-to-response data."""

    def __init__(self) -> None:
        self.model = any_line()

    def predict(self, data: Folds, changes: Mapping[str, float], rows: np.ndarray) -> np.ndarray:
        """(rows, conditions, 3 times, [ERK, AKT])."""
        lines = [data.own(i) for i in rows]
        treatments = [{ligand: dose} for ligand, dose in data.conditions]
        found = responses(self.model, lines, treatments, np.array([0, 10, 30, 90]) / 60, ("pERK", "pAKT"), changes)
        return np.log10(np.maximum(found[:, :, 1:], 1e-3))

    def residuals(self, data: Folds, changes: Mapping[str, float], rows: np.ndarray) -> np.ndarray:
        """Differences over the spread between lines that receptors do not explain."""
        found = self.predict(data, changes, rows)
        return np.concatenate([
            ((found[..., 0] - data.erk[rows]) / 0.5).ravel(), ((found[..., 1] - data.akt[rows]) / 0.3).ravel()
        ])  # fmt: skip


class BlotModel:
    """The time courses of the three lines, scaled per line and read-out."""

    def __init__(self) -> None:
        self.model, self.data = any_line(), imoto()
        self.lines = [own_values(x) for x in self.data]

    def predict(self, changes: Mapping[str, float], factors: np.ndarray | None = None) -> np.ndarray:
        """Scaled predictions, (line, read-out, ligand, time); `factors` multiply HER2, HER3, EGFR per line."""
        scale = np.ones((3, 3)) if factors is None else factors
        lines = [
            {
                k: v * (s[("HER2", "HER3", "EGFR").index(k)] if k in ("HER2", "HER3", "EGFR") else 1.0)
                for k, v in x.items()
            }
            for x, s in zip(self.lines, scale, strict=True)
        ]
        treatments = [{"EGF": 10.0}, {"NRG1": 10.0}]
        raw = responses(self.model, lines, treatments, IMOTO_MINUTES / 60, ("ERK", "AKT"), changes)
        raw = np.moveaxis(raw, -1, 1)
        measured = np.stack([m for m, _ in self.data.values()])
        # The blot's scale is free: its best value is linear regression through zero.
        fit = (raw * measured).sum(axis=(2, 3), keepdims=True) / (raw**2).sum(axis=(2, 3), keepdims=True)
        return raw * fit

    def residuals(self, changes: Mapping[str, float], factors: np.ndarray | None = None) -> np.ndarray:
        """Differences over the standard error, with a floor of 0.08 for what blots cannot resolve."""
        measured = np.stack([m for m, _ in self.data.values()])
        error = np.sqrt(np.stack([s for _, s in self.data.values()]) ** 2 + 0.08**2)
        return ((self.predict(changes, factors) - measured) / error).ravel()


def own_values(name: str) -> dict[str, float]:
    """Receptors and pathway state of a library line."""
    own = network_parameters(load_cell_line(name))
    return {k: v for k, v in own.items() if k in ("HER2", "HER3", "EGFR", "HER4", "PTEN", "PI3K", "PIK3CA", "RAS")}
