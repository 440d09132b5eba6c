"""Predictions of the signalling network for the two data sets, and their residuals."""

from collections.abc import Mapping, Sequence

import numpy as np
from network_data import IMOTO_MINUTES, Folds, imoto
from network_experiment import CELL, Experiment, along

from her2pkpd.dosing import Add
from her2pkpd.library import load_cell_line, load_drug, load_parameters
from her2pkpd.model import Model
from her2pkpd.systems.cell import CellOptions, cell_model, network_parameters

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
    network = ("net.", "dimer.", "kint.")
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
    found = every(model, lines, treatments, hours, names, before).follow(changes)
    return found.reshape(len(lines), len(treatments), len(hours), len(names))


def every(
    model: Model,
    lines: Sequence[Mapping[str, float]],
    treatments: Sequence[Mapping[str, float]],
    hours: np.ndarray,
    names: Sequence[str],
    before: Sequence[Mapping[str, float]] | None = None,
) -> Experiment:
    """The experiment of every line under every treatment; see `responses`."""
    lanes = [[Add(0.0, s, x) for s, x in t.items() if x] for t in treatments]
    if before is not None:
        lanes = [a + [Add(-2.0, s, x) for s, x in b.items()] for a, b in zip(lanes, before, strict=True)]
    rows = np.repeat(np.arange(len(lines)), len(treatments))
    return Experiment(model, lines, rows, lanes * len(lines), hours, names, 0.0 if before is None else -2.0)


class FoldModel:
    """Predicted log10 folds of the receptor-to-response data."""

    def __init__(self) -> None:
        self.model = any_line()

    def experiment(self, data: Folds, rows: np.ndarray) -> Experiment:
        """Lines of some rows under all ligands."""
        treatments = [{ligand: dose} for ligand, dose in data.conditions]
        hours = np.array([10, 30, 90]) / 60
        return every(self.model, [data.own(i) for i in rows], treatments, hours, ("pERK", "pAKT"))

    def predict(self, data: Folds, changes: Mapping[str, float], rows: np.ndarray) -> np.ndarray:
        """(rows, conditions, 3 times, [ERK, AKT])."""
        return self._logs(data, self.experiment(data, rows).follow(changes))

    def residuals(self, data: Folds, changes: Mapping[str, float], rows: np.ndarray) -> np.ndarray:
        """Differences over the spread between lines that receptors do not explain."""
        return self._compare(data, rows, self.experiment(data, rows).follow(changes))

    def jacobian(
        self, data: Folds, changes: Mapping[str, float], rows: np.ndarray, names: Sequence[str]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Residuals with their slopes by the logarithms of named parameters."""
        found = self.experiment(data, rows).slopes(changes, names)
        compare = lambda shift: self._compare(data, rows, found.value + shift)  # noqa: E731
        return compare(0.0), along(compare, found.slope)

    def _logs(self, data: Folds, out: np.ndarray) -> np.ndarray:
        return np.log10(np.maximum(out, 1e-3)).reshape(-1, len(data.conditions), 3, 2)

    def _compare(self, data: Folds, rows: np.ndarray, out: np.ndarray) -> np.ndarray:
        found = self._logs(data, out)
        return np.concatenate([
            ((found[..., 0] - data.erk[rows]) / 0.5).ravel(), ((found[..., 1] - data.akt[rows]) / 0.3).ravel()
        ])  # fmt: skip


FACTORS = ("HER2", "HER3", "EGFR")
"""Receptors whose numbers may differ from those measured."""


class BlotModel:
    """The time courses of the three lines, scaled per line and read-out."""

    def __init__(self) -> None:
        self.model, self.data = any_line(), imoto()
        self.lines = [own_values(x) for x in self.data]
        self.measured = np.stack([m for m, _ in self.data.values()])
        # A floor of 0.08 is for what blots cannot resolve.
        self.error = np.sqrt(np.stack([s for _, s in self.data.values()]) ** 2 + 0.08**2)

    def experiment(self, factors: np.ndarray | None = None) -> Experiment:
        """The lines under EGF and NRG1; `factors` (3, 3) multiply HER2, HER3, EGFR per line."""
        scale = np.ones((3, 3)) if factors is None else factors
        lines = [
            {k: v * (s[FACTORS.index(k)] if k in FACTORS else 1.0) for k, v in x.items()}
            for x, s in zip(self.lines, scale, strict=True)
        ]
        return every(self.model, lines, [{"EGF": 10.0}, {"NRG1": 10.0}], IMOTO_MINUTES / 60, ("ERK", "AKT"))

    def predict(self, changes: Mapping[str, float], factors: np.ndarray | None = None) -> np.ndarray:
        """Scaled predictions, (line, read-out, ligand, time)."""
        return self.scaled(self.experiment(factors).follow(changes))

    def residuals(self, changes: Mapping[str, float], factors: np.ndarray | None = None) -> np.ndarray:
        """Differences over the standard error."""
        return ((self.predict(changes, factors) - self.measured) / self.error).ravel()

    def jacobian(self, changes: Mapping[str, float], names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Residuals with their slopes by the logarithms of named parameters."""
        found = self.experiment().slopes(changes, names)
        compare = lambda shift: ((self.scaled(found.value + shift) - self.measured) / self.error).ravel()  # noqa: E731
        return compare(0.0), along(compare, found.slope)

    def scaled(self, out: np.ndarray) -> np.ndarray:
        """Outputs (..., lanes, times, 2) as the blots show them, (..., line, read-out, ligand, time)."""
        raw = np.moveaxis(out.reshape(*out.shape[:-3], 3, 2, len(IMOTO_MINUTES), 2), -1, -3)
        # The blot's scale is free: its best value is linear regression through zero.
        fit = (raw * self.measured).sum(axis=(-2, -1), keepdims=True) / (raw**2).sum(axis=(-2, -1), keepdims=True)
        return raw * fit


def own_values(name: str) -> dict[str, float]:
    """Receptors and pathway state of a library line."""
    own = network_parameters(load_cell_line(name))
    return {k: v for k, v in own.items() if k in ("HER2", "HER3", "EGFR", "HER4", "PTEN", "PI3K", "PIK3CA", "RAS")}
