# ruff: noqa: E501 - rows of a table
"""Joint fit of pERK and pAKT in MCF-7, BT-474 and SK-BR-3 under EGF and HRG with one network.

Per line only HER2, HER3 and EGFR move, within the two-fold spread of their measurement. Bands are pointwise 95 % intervals
of draws from the posterior: preconditioned Crank-Nicolson steps with the Laplace approximation as reference, several
chains. Writes results/network_blots.json and a figure.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from network_data import IMOTO_MINUTES
from network_objective import BlotModel, bounds, free_names
from scipy.optimize import least_squares
from scipy.special import expit, logit

RESULT = Path(__file__).parent / "results" / "network_blots.json"
FIGURE = Path(__file__).parents[1] / "docs" / "science" / "blots.png"
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


def posterior(
    log_density: Callable[[np.ndarray], float], centre: np.ndarray, factor: np.ndarray, steps: int, seed: int
) -> tuple[np.ndarray, float]:
    """One chain of `steps` after as many to find its step width; draws and the share accepted.

    Cotter 2013 Stat Sci 28:424: y = m + sqrt(1 - b^2)*(x - m) + b*xi keeps the Gaussian reference; what is accepted is
    the ratio of the posterior to it.
    """
    rng, width = np.random.default_rng(seed), 0.15

    def excess(z: np.ndarray) -> float:
        return log_density(centre + factor @ z) + 0.5 * float(z @ z)

    z = 0.5 * rng.normal(size=len(centre))
    here, draws, accepted = excess(z), [], 0
    for step in range(2 * steps):
        new = np.sqrt(1.0 - width**2) * z + width * rng.normal(size=len(z))
        there = excess(new)
        taken = np.log(rng.uniform()) < there - here
        if taken:
            z, here = new, there
        if step < steps:
            width = float(np.clip(width * np.exp((float(taken) - 0.3) / np.sqrt(step + 1.0)), 0.01, 0.95))
        else:
            draws.append(centre + factor @ z)
            accepted += int(taken)
    return np.array(draws), accepted / steps


def r_hat(chains: np.ndarray) -> np.ndarray:
    """Gelman and Rubin's ratio of (chains, draws, ...)."""
    n = chains.shape[1]
    within, between = chains.var(axis=1, ddof=1).mean(axis=0), n * chains.mean(axis=1).var(axis=0, ddof=1)
    return np.sqrt(((n - 1) * within + between) / (n * within))


def main() -> None:
    """Fit, draw samples, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--evaluations", type=int, default=40)
    parser.add_argument("--chains", type=int, default=4)
    parser.add_argument("--steps", type=int, default=1500, help="draws kept of each chain, and as many before")
    chosen = parser.parse_args()
    blots, names = BlotModel(), free_names()
    start, low, high = bounds(names)
    n = len(names)
    wide = np.concatenate([high - low, np.full(9, 4.0)])

    def predict(x: np.ndarray) -> np.ndarray:
        return blots.predict(dict(zip(names, np.exp(x[:n]), strict=True)), np.exp(x[n:]).reshape(3, 3))

    def residuals(x: np.ndarray) -> np.ndarray:
        part = blots.residuals(dict(zip(names, np.exp(x[:n]), strict=True)), np.exp(x[n:]).reshape(3, 3))
        # The calibration is the prior: a quarter of each range is one standard deviation.
        prior = np.concatenate([(x[:n] - start) / (high - low) * 4.0, x[n:] / SPREAD])
        return np.concatenate([np.nan_to_num(part, nan=30.0), prior])

    x0 = np.concatenate([np.clip(start, low + 1e-6, high - 1e-6), np.zeros(9)])
    box = (np.concatenate([low, np.full(9, -2.0)]), np.concatenate([high, np.full(9, 2.0)]))
    fit = least_squares(residuals, x0, bounds=box, x_scale=wide / 4, diff_step=1e-3, max_nfev=chosen.evaluations)
    width = box[1] - box[0]

    def inside(u: np.ndarray) -> np.ndarray:
        return box[0] + width * expit(u)

    def log_density(u: np.ndarray) -> float:
        volume = np.log(expit(u)) + np.log(expit(-u))
        return -0.5 * float((residuals(inside(u)) ** 2).sum()) + float(volume.sum())

    # Sampling is in logits of the box, around the optimum drawn a little into it, where estimates lie on a bound.
    share = np.clip((fit.x - box[0]) / width, 0.1, 0.9)
    slope = width * share * (1.0 - share)
    curvature = slope[:, None] * (fit.jac.T @ fit.jac) * slope + np.diag(2.0 * share * (1.0 - share))
    factor = np.linalg.cholesky(np.linalg.inv(curvature))
    runs = [posterior(log_density, logit(share), factor, chosen.steps, seed) for seed in range(chosen.chains)]
    thin = max(1, chosen.steps // 100)
    draws = np.stack([[predict(inside(u)) for u in chain[::thin]] for chain, _ in runs])
    best, band = predict(fit.x), np.quantile(draws.reshape(-1, *draws.shape[2:]), [0.025, 0.975], axis=0)
    ratio = r_hat(draws)[..., 1:]
    m = len(blots.residuals({}))
    part = residuals(fit.x)[:m]
    erk_peak = {
        line: [float(IMOTO_MINUTES[np.argmax(best[i, 0, g])]) for g in (0, 1)] for i, line in enumerate(blots.data)
    }
    kept = {line: {f"{w} {x}": float(best[i, r, g, 5] / best[i, r, g].max()) for r, w in enumerate(("pERK", "pAKT")) for g, x in enumerate(("EGF", "HRG"))}
            for i, line in enumerate(blots.data)}  # fmt: skip
    measured = np.stack([x for x, _ in blots.data.values()])
    result = {
        "points": m,
        "sum of squared standardised residuals": float((part**2).sum()),
        "root mean square error": float(np.sqrt(np.mean((best - measured) ** 2))),
        "R2": float(1 - ((best - measured) ** 2).sum() / ((measured - measured.mean()) ** 2).sum()),
        "time of pERK peak, min (EGF, HRG)": erk_peak,
        "kept at 60 min of peak": kept,
        "receptor factors (HER2, HER3, EGFR)": {k: np.exp(f).round(2).tolist() for k, f in zip(blots.data, fit.x[n:].reshape(3, 3), strict=True)},
        "chains, draws of each, share accepted": [chosen.chains, chosen.steps, round(float(np.mean([a for _, a in runs])), 2)],
        "R-hat of predictions, median and largest": [round(float(x), 2) for x in (np.median(ratio), ratio.max())],
        "mean width of the 95 % band": float((band[1] - band[0]).mean()),
        "measured inside band +- 2 standard errors": float(np.mean([
            (b[0] - 2 * np.hypot(e, 0.08) <= m_) & (m_ <= b[1] + 2 * np.hypot(e, 0.08))
            for b, m_, e in zip(np.moveaxis(band, 1, 0), measured, (e for _, e in blots.data.values()), strict=True)])),
        "values": {k: float(f"{v:.4g}") for k, v in zip(names, np.exp(fit.x[:n]), strict=True)},
    }  # fmt: skip
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    FIGURE.parent.mkdir(parents=True, exist_ok=True)
    draw(blots.data, best, band, FIGURE)
    print(json.dumps({k: v for k, v in result.items() if k != "values"}, indent=1))


if __name__ == "__main__":
    main()
