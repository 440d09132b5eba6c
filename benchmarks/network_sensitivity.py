"""What addiction rests on: local and global (Sobol) sensitivity of survival at half block, upstream and downstream.

Parameters are log-uniform over the ranges of the library, its priors. Indices by SciPy (Saltelli's and Jansen's
estimators) with bootstrap intervals; local ones are elasticities at the library's values. Writes
results/network_sensitivity.json and, on request, a figure.
"""

import argparse
import json
import warnings
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from network_drugs import HALF_HER2
from network_objective import CELL, HALF, any_line, bounds, own_values
from scipy.stats import sobol_indices, uniform

from her2pkpd.dosing import Add, compile_segments
from her2pkpd.engine import Batch, solve
from her2pkpd.library import load_parameters
from her2pkpd.systems.cell import baseline

RESULT = Path(__file__).parent / "results" / "network_sensitivity.json"
TREATMENTS = ({}, {"lapatinib": HALF_HER2}, {"AKTi": HALF})
OUTPUTS = ("survival, half of HER2 blocked", "survival, half of AKT blocked", "lead of HER2 in ln(BIM/survivin)")


def names() -> list[str]:
    """Parameters of receptors, network and switch that have a range."""
    table = load_parameters()
    kinds = ("net.", "dimer.K", "kint.", "cell.PTEN", "cell.RAS")
    away = ("net.n_division", "net.S_division", "net.share_AKT")
    return [k for k, q in table.items() if k.startswith(kinds) and q.spread and q.spread.low > 0 and k not in away]


class Addiction:
    """Survival of SK-BR-3 at half block over that of the untreated cell, and what both pathways send to the switch."""

    def __init__(self, hours: float = 48.0) -> None:
        self.model = any_line(("lapatinib",), {"AKTi": "AKT:ATP"})
        self.names, self.hours = names(), hours
        self.default, self.low, self.high = bounds(self.names)
        own = {f"{CELL}.{k}": v for k, v in own_values("SK-BR-3").items()}
        self.base = self.model.parameter_vector(own)
        self.at = [self.model.parameter_index[n.replace("cell.", f"{CELL}.")] for n in self.names]
        self.failed = 0

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """(3, n) outputs of (d, n) logarithms; a draw whose lane fails has the mean of the rest."""
        x = x.reshape(len(self.names), -1)
        p = np.tile(self.base, (x.shape[1], 1))
        p[:, self.at] = np.exp(x.T)
        p, y = baseline(self.model, p, CELL)
        m, n = len(TREATMENTS), len(p)
        lanes = [[Add(0.0, s, d) for s, d in t.items()] for t in TREATMENTS] * n
        segments = compile_segments(self.model, lanes, start=0.0, stop=self.hours)
        solution = solve(Batch(self.model, np.repeat(p, m, 0), segments, np.array([self.hours]), np.repeat(y, m, 0)))
        wanted = [f"{x}.{CELL}" for x in ("survival", "apoptotic_pressure")]
        left, pressure = np.moveaxis(self.model.outputs(wanted, solution.y[:, 0], np.repeat(p, m, 0)), -1, 0)
        left, pressure = left.reshape(n, m), pressure.reshape(n, m)
        found = np.stack([left[:, 1] / left[:, 0], left[:, 2] / left[:, 0], np.log(pressure[:, 1] / pressure[:, 2])])
        bad = ~np.isfinite(found).all(axis=0)
        self.failed += int(bad.sum())
        found[:, bad] = found[:, ~bad].mean(axis=1, keepdims=True)
        return found


def draw(found: dict, path: Path) -> None:
    """First-order and total indices of the leading parameters."""
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    for axes, output in zip(figure.subplots(1, 2), OUTPUTS[:2], strict=True):
        rows = list(found[output].items())[:12][::-1]
        place = np.arange(len(rows))
        axes.barh(place + 0.2, [r["total"] for _, r in rows], 0.4, color="#2b6cb0", label="total")
        axes.barh(place - 0.2, [r["first"] for _, r in rows], 0.4, color="#c05621", label="first order")
        axes.set_yticks(place, [k for k, _ in rows], fontsize=7)
        axes.set_title(output, fontsize=9, loc="left")
    axes.legend(fontsize=7)
    figure.savefig(path, dpi=130)


def main() -> None:
    """Run and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=256, help="a power of two; evaluations are draws*(parameters + 2)")
    parser.add_argument("--figure", type=Path)
    chosen = parser.parse_args()
    model = Addiction()
    span = [uniform(a, b - a) for a, b in zip(model.low, model.high, strict=True)]
    rest = model(model.default)[:, 0]
    step = 0.02
    near = model(model.default[:, None] + step * np.hstack([np.eye(len(span)), -np.eye(len(span))]))
    local = (near[:, : len(span)] - near[:, len(span) :]) / (2 * step)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = sobol_indices(func=model, n=chosen.draws, dists=span, random_state=np.random.default_rng(0))
        spread = found.bootstrap(confidence_level=0.95, n_resamples=200)
    sample = model(np.random.default_rng(1).uniform(model.low[:, None], model.high[:, None], (len(span), 512)))
    result: dict = {
        "parameters": len(span), "draws": chosen.draws, "failed evaluations": model.failed,
        "at the library's values": dict(zip(OUTPUTS, rest.tolist(), strict=True)),
        "over the prior, 2.5, 50 and 97.5 %": {
            o: np.quantile(v, [0.025, 0.5, 0.975]).round(3).tolist() for o, v in zip(OUTPUTS, sample, strict=True)},
        "share of the prior in which half of HER2 costs more survival than half of AKT": float(np.mean(sample[2] > 0)),
        "share of the prior in which half of HER2 costs more than half of survival and half of AKT less": float(
            np.mean((sample[0] < 0.5) & (sample[1] > 0.5))),
    }  # fmt: skip
    for i, output in enumerate(OUTPUTS):
        order = np.argsort(-found.total_order[i])
        result[output] = {
            model.names[j]: {
                "first": round(float(found.first_order[i, j]), 3),
                "total": round(float(found.total_order[i, j]), 3),
                "total, 95 % interval": [round(float(v[i, j]), 3) for v in (
                    spread.total_order.confidence_interval.low, spread.total_order.confidence_interval.high)],
                "local": round(float(local[i, j]), 3),
            } for j in order
        }  # fmt: skip
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if chosen.figure:
        draw(result, chosen.figure)
    print(json.dumps({k: v for k, v in result.items() if k not in OUTPUTS}, indent=1))
    for output in OUTPUTS:
        print(output, list(result[output].items())[:6])


if __name__ == "__main__":
    main()
