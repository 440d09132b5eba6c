# ruff: noqa: E501 - rows of a table
"""Joint fit of pERK and pAKT in MCF-7, BT-474 and SK-BR-3 under EGF and HRG with one network.

Per line only HER2, HER3 and EGFR move, within the two-fold spread of their measurement. Bands are pointwise 95 % intervals
of draws from the posterior: preconditioned Crank-Nicolson steps, whose reference is the Laplace approximation first and a
normal of the chains' own draws later, all chains in one batch of lanes. Writes results/network_blots.json and a figure.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from network_data import IMOTO_MINUTES
from network_experiment import CELL, Experiment
from network_objective import FACTORS, BlotModel, bounds, free_names
from scipy.optimize import least_squares
from scipy.special import ndtr, ndtri

from her2pkpd.engine import Options
from her2pkpd.errors import ComputationError
from her2pkpd.posterior.judge import convergence

RESULT = Path(__file__).parent / "results" / "network_blots.json"
FIGURE = Path(__file__).parents[1] / "docs" / "science" / "blots.png"
ROUGH = Options(rtol=1e-4, atol=1e-7)
"""Accuracy of the time courses: the sum of squares is off by a thousandth."""
SPREAD = 0.65
"""Standard deviation of the logarithm of a receptor number: a coefficient of variation of 70 %."""


def draw(data: dict, best: np.ndarray, band: np.ndarray, path: Path) -> None:
    """Measured, fitted and band above; standardised residuals below."""
    with mpl.rc_context({"font.size": 8, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(8.5, 5.2), layout="constrained")
        axes = figure.subplots(3, 4, sharex=True, sharey=True)
        for i, (line, (mean, error)) in enumerate(data.items()):
            for r, what in enumerate(("pERK", "pAKT")):
                for g, ligand in enumerate(("EGF", "HRG")):
                    ax = axes[i, 2 * r + g]
                    ax.fill_between(IMOTO_MINUTES, *band[:, i, r, g], color="#2b6cb0", alpha=0.25, lw=0)
                    ax.plot(IMOTO_MINUTES, best[i, r, g], color="#2b6cb0")
                    ax.errorbar(IMOTO_MINUTES, mean[r, g], error[r, g], fmt="o", ms=3, color="#333333", lw=0.8)
                    gap = (best[i, r, g] - mean[r, g]) / np.sqrt(error[r, g] ** 2 + 0.08**2)
                    ax.bar(IMOTO_MINUTES, 0.05 * gap, width=4, bottom=-0.25, color="#c05621")
                    ax.axhline(-0.25, color="#999999", lw=0.5)
                    ax.set_title(f"{line}, {what}, {ligand}", loc="left", fontsize=8)
        for ax in axes[-1]:
            ax.set_xlabel("min")
        figure.suptitle("Line and band: fit and 95 % interval. Bars: residual, one standard error = 0.05", fontsize=8)
        figure.savefig(path, dpi=130)


class Posterior:
    """Density of the network's parameters and the three lines' receptor numbers.

    The prior is a normal cut off at the ends of the ranges. Coordinates z are those in which it is a standard normal, so
    that what the data say nothing about is exactly Gaussian, also on the end of a range.
    """

    def __init__(self) -> None:
        self.blots, self.names = BlotModel(), free_names()
        self.start, low, high = bounds(self.names)
        self.n = len(self.names)
        self.prior = np.concatenate([(high - low) / 4.0, np.full(9, SPREAD)])
        self.middle = np.concatenate([self.start, np.zeros(9)])
        self.low, self.high = np.concatenate([low, np.full(9, -2.0)]), np.concatenate([high, np.full(9, 2.0)])
        one = self.blots.experiment()
        at = one.model.parameter_index
        self.base, self.shared = one.parameters({}), [at[x] for x in self.names]
        self.own = [at[f"{CELL}.{x}"] for x in FACTORS]

    def experiment(self, points: int) -> Experiment:
        """The blots of many points at once."""
        one = self.blots.experiment()
        rows = np.repeat(np.arange(3 * points), 2)
        lines, lanes = list(one.lines) * points, list(one.lanes) * points
        return Experiment(one.model, lines, rows, lanes, one.hours, one.names, options=ROUGH)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Scaled predictions (C, line, read-out, ligand, time) at logarithms (C, n + 9); NaN where a lane fails."""
        p = np.tile(self.base, (len(x), 1, 1))
        p[:, :, self.shared] = np.exp(x[:, None, : self.n])
        p[:, :, self.own] *= np.exp(x[:, self.n :]).reshape(-1, 3, 3)
        try:
            out = self.experiment(len(x)).outputs(p.reshape(-1, p.shape[-1]))
        except ComputationError:
            if len(x) == 1:
                return np.full((1, *self.blots.measured.shape), np.nan)
            return np.concatenate([self.predict(one[None]) for one in x])
        return self.blots.scaled(out.reshape(len(x), 6, *out.shape[1:]))

    def residuals(self, x: np.ndarray) -> np.ndarray:
        """(C, m + n + 9): of the blots, then of the prior, of which a quarter of each range is one deviation."""
        found = (self.predict(x) - self.blots.measured) / self.blots.error
        found = np.nan_to_num(found.reshape(len(x), -1), nan=30.0)
        return np.concatenate([found, (x - self.middle) / self.prior], axis=1)

    def inside(self, z: np.ndarray) -> np.ndarray:
        """Logarithms at coordinates z."""
        below, above = ndtr((self.low - self.middle) / self.prior), ndtr((self.high - self.middle) / self.prior)
        share = np.clip(below + ndtr(z) * (above - below), 1e-12, 1.0 - 1e-12)
        return np.clip(self.middle + self.prior * ndtri(share), self.low, self.high)

    def coordinates(self, x: np.ndarray) -> np.ndarray:
        """Coordinates of logarithms, which are drawn a little into the ranges."""
        below, above = ndtr((self.low - self.middle) / self.prior), ndtr((self.high - self.middle) / self.prior)
        share = (ndtr((x - self.middle) / self.prior) - below) / (above - below)
        return ndtri(np.clip(share, 0.05, 0.95))

    def __call__(self, z: np.ndarray) -> np.ndarray:
        """Log densities (C,) at coordinates (C, n + 9)."""
        found = self.residuals(self.inside(z))[:, : self.blots.measured.size]
        return -0.5 * (found**2).sum(axis=1) - 0.5 * (z**2).sum(axis=1)


@dataclass
class Chains:
    """Chains in step.

    Cotter 2013 Stat Sci 28:424: y = m + sqrt(1 - b^2)*(x - m) + b*xi keeps the Gaussian reference; what is accepted is
    the ratio of the posterior to it. Widths b vary from step to step around one that is adapted while warming up, so that
    some steps are long enough for the directions that the data leave to the prior.

    Attributes:
        density: log densities of points.
        centre, factor: of the reference.
        u: (C, n) where the chains are.
        rng: random numbers.
        width: middle of the widths.
    """

    density: Posterior
    centre: np.ndarray
    factor: np.ndarray
    u: np.ndarray
    rng: np.random.Generator
    width: float = 0.2

    def run(self, steps: int, *, adapt: bool, thin: int = 1) -> tuple[np.ndarray, float]:
        """Draws (C, steps/thin, n) and the share accepted."""
        z = np.linalg.solve(self.factor, (self.u - self.centre).T).T
        here, kept, accepted = self._excess(z), [], 0.0
        for step in range(steps):
            width = np.minimum(self.width * np.exp(0.7 * self.rng.normal(size=(len(z), 1))), 0.99)
            new = np.sqrt(1.0 - width**2) * z + width * self.rng.normal(size=z.shape)
            there = self._excess(new)
            taken = np.log(self.rng.uniform(size=len(z))) < there - here
            z[taken], here[taken] = new[taken], there[taken]
            accepted += taken.mean() / steps
            if adapt:
                pace = (taken.mean() - 0.3) / np.sqrt(step / 10.0 + 1.0)
                self.width = float(np.clip(self.width * np.exp(pace), 0.01, 0.95))
            if (step + 1) % thin == 0:
                kept.append(self.centre + z @ self.factor.T)
            if (step + 1) % 2000 == 0:
                print(
                    f"{step + 1} of {steps} steps, width {self.width:.3f}, accepted {accepted * steps / (step + 1):.2f}",
                    flush=True,
                )
        self.u = self.centre + z @ self.factor.T
        return np.swapaxes(np.array(kept), 0, 1), accepted

    def refer(self, draws: np.ndarray) -> None:
        """Take the normal of draws as reference."""
        flat = draws.reshape(-1, draws.shape[-1])
        # A tenth of the prior, so that directions in which the chains have hardly moved are not lost.
        covariance = 0.9 * np.cov(flat.T) + 0.1 * np.eye(flat.shape[1])
        self.centre, self.factor = flat.mean(axis=0), np.linalg.cholesky(covariance)

    def _excess(self, z: np.ndarray) -> np.ndarray:
        return self.density(self.centre + z @ self.factor.T) + 0.5 * (z**2).sum(axis=1)


def optimum(goal: Posterior, evaluations: int) -> tuple[np.ndarray, np.ndarray]:
    """Most probable logarithms and the Jacobian of the residuals there."""
    edge = 1e-6 * (goal.high - goal.low)
    start = np.clip(goal.middle, goal.low + edge, goal.high - edge)

    def slopes(x: np.ndarray) -> np.ndarray:
        step = 1e-3
        shifts = step * np.eye(len(x))
        ends = [np.concatenate([goal.residuals(x + s * part) for part in np.array_split(shifts, 5)]) for s in (1, -1)]
        return (ends[0] - ends[1]).T / (2 * step)

    fit = least_squares(
        lambda x: goal.residuals(x[None])[0], start, slopes, bounds=(goal.low, goal.high),
        x_scale=goal.prior, max_nfev=evaluations,
    )  # fmt: skip
    return fit.x, slopes(fit.x)


def sample(goal: Posterior, best: np.ndarray, slope: np.ndarray, chains: int, steps: int) -> tuple[np.ndarray, float]:
    """Draws (chains, draws, n + 9) of coordinates after three rounds of warm-up, and the share accepted."""
    centre, step = goal.coordinates(best), 1e-4
    scale = (goal.inside(centre + step) - goal.inside(centre - step)) / (2 * step)
    data = slope[: goal.blots.measured.size] * scale
    factor = np.linalg.cholesky(np.linalg.inv(data.T @ data + np.eye(len(best))))
    rng = np.random.default_rng(0)
    run = Chains(goal, centre, factor, centre + 0.5 * rng.normal(size=(chains, len(best))) @ factor.T, rng)
    for part in (8, 4, 4):
        draws, _ = run.run(steps // part, adapt=True, thin=5)
        run.refer(draws[:, draws.shape[1] // 3 :])
    run.run(steps // 16, adapt=True)
    return run.run(steps, adapt=False, thin=max(1, steps // 1000))


def main() -> None:
    """Fit, draw samples, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--evaluations", type=int, default=40)
    parser.add_argument("--chains", type=int, default=8)
    parser.add_argument(
        "--steps", type=int, default=30_000, help="of each chain after warming up, which takes 11/16 as many"
    )
    chosen = parser.parse_args()
    goal = Posterior()
    fit, slope = optimum(goal, chosen.evaluations)
    z, accepted = sample(goal, fit, slope, chosen.chains, chosen.steps)
    x = goal.inside(z)
    some = x[:, :: max(1, x.shape[1] // 250)]
    draws = np.stack([goal.predict(chain) for chain in some])
    draws = np.where(np.isfinite(draws), draws, np.nanmean(draws, axis=(0, 1)))
    best, band = goal.predict(fit[None])[0], np.quantile(draws.reshape(-1, *draws.shape[2:]), [0.025, 0.975], axis=0)
    of_predictions = convergence(draws[..., 1:].reshape(*draws.shape[:2], -1))
    of_parameters = convergence(x)
    blots, m = goal.blots, goal.blots.measured.size
    part = goal.residuals(fit[None])[0, :m]
    erk_peak = {
        line: [float(IMOTO_MINUTES[np.argmax(best[i, 0, g])]) for g in (0, 1)] for i, line in enumerate(blots.data)
    }
    kept = {line: {f"{w} {x}": float(best[i, r, g, 5] / best[i, r, g].max()) for r, w in enumerate(("pERK", "pAKT")) for g, x in enumerate(("EGF", "HRG"))}
            for i, line in enumerate(blots.data)}  # fmt: skip
    measured, error = blots.measured, blots.error
    result = {
        "points": m,
        "sum of squared standardised residuals": float((part**2).sum()),
        "root mean square error": float(np.sqrt(np.mean((best - measured) ** 2))),
        "R2": float(1 - ((best - measured) ** 2).sum() / ((measured - measured.mean()) ** 2).sum()),
        "time of pERK peak, min (EGF, HRG)": erk_peak,
        "kept at 60 min of peak": kept,
        "receptor factors (HER2, HER3, EGFR)": {k: np.exp(f).round(2).tolist() for k, f in zip(blots.data, fit[goal.n :].reshape(3, 3), strict=True)},
        "chains, steps of each, share accepted": [chosen.chains, chosen.steps, round(accepted, 2)],
        "R-hat of predictions, median and largest": extremes(of_predictions[0]),
        "R-hat of parameters, median and largest": extremes(of_parameters[0]),
        "effective draws of predictions, bulk and tail, smallest": [int(v.min()) for v in of_predictions[1:]],
        "effective draws of parameters, bulk and tail, smallest": [int(v.min()) for v in of_parameters[1:]],
        "mean width of the 95 % band": float((band[1] - band[0]).mean()),
        "measured inside band +- 2 standard errors": float(np.mean(
            (band[0] - 2 * error <= measured) & (measured <= band[1] + 2 * error))),
        "values": {k: float(f"{v:.4g}") for k, v in zip(goal.names, np.exp(fit[: goal.n]), strict=True)},
    }  # fmt: skip
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    FIGURE.parent.mkdir(parents=True, exist_ok=True)
    draw(blots.data, best, band, FIGURE)
    print(json.dumps({k: v for k, v in result.items() if k != "values"}, indent=1))


def extremes(ratio: np.ndarray) -> list[float]:
    """Median and largest."""
    return [round(float(x), 3) for x in (np.median(ratio), np.max(ratio))]


if __name__ == "__main__":
    main()
