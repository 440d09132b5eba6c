"""`sample`: from a fit to draws of its posterior."""

import time
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from her2pkpd.errors import InputError, Problem
from her2pkpd.fit.problem import FitProblem, load_problem
from her2pkpd.fit.run import FitResult, fit
from her2pkpd.posterior import checkpoint
from her2pkpd.posterior._stats import psis
from her2pkpd.posterior.density import Density, Gaussian, harmless_options, laplace
from her2pkpd.posterior.nuts import Draws, Nuts, NutsSettings, Progress
from her2pkpd.posterior.result import Posterior
from her2pkpd.runinfo import hash_files

if TYPE_CHECKING:
    from her2pkpd.posterior.smc import Smc

NEEDS = {"nuts": "numpyro", "smc": "blackjax", "pathfinder": "blackjax"}
"""Modules samplers need that are not installed by default."""

WORTH = 10.0
"""Objective (-2 log posterior) above the best below which another optimum may hold a part that counts."""

SAVE_EVERY = 2.0
"""Seconds between two checkpoints, at least."""


def sample(
    fitted: FitResult | FitProblem | str | Path,
    *,
    progress: Progress | None = None,
    keep: str | Path | None = None,
    resume: bool = True,
) -> Posterior:
    """Sample the posterior of a fit, as its ``[method]`` says.

    Args:
        fitted: a finished fit; or a problem, or the path of a ``fit.toml``, which are then fitted first.
        progress: called after every round of draws with (done, planned, words).
        keep: file for checkpoints; a run that finds one of the same inputs goes on from there, to the same draws.
        resume: whether to; False starts afresh.

    Returns:
        The `Posterior`.

    Raises:
        InputError: for bad settings, or where a sampler is not installed.
        ComputationError: if the posterior is not finite where the fit ended.
    """
    problem = fitted.problem if isinstance(fitted, FitResult) else fitted
    problem = problem if isinstance(problem, FitProblem) else load_problem(problem)
    method = problem.settings.method
    kind = method.sample if method.sample != "none" else "nuts"
    check_installed(kind, method.init)
    result = fitted if isinstance(fitted, FitResult) else fit(problem)
    density = Density(result.problem.objective)
    around = laplace(density, result.optimum.best.u)
    density.options = harmless_options(density, around)
    began = time.perf_counter()
    settings = NutsSettings(method.chains, method.draws, method.warmup, method.target, seed=method.seed)
    if kind == "laplace":
        return replace(laplace_draws(result.problem, density, around, settings), seconds=time.perf_counter() - began)
    run = _sampler(kind, density, around, settings, method.init)
    inputs = f"{hash_files(result.problem.settings.files)} {result.problem.model.hash} {kind} {method.init} {settings}"
    saver = _restored(run, keep, inputs, resume=resume)
    draws = run.run(progress=progress, keep=saver)
    depth = settings.max_tree_depth if kind == "nuts" else 0
    return Posterior(
        result.problem, kind, density.bounded(draws.v), draws, density.options, time.perf_counter() - began,
        max_tree_depth=depth, elsewhere=_unvisited(result, density, draws.v),
    )  # fmt: skip


def _unvisited(result: FitResult, density: Density, v: np.ndarray) -> tuple[float, ...]:
    """Objectives, above the best, of optima that starts of the fit ended at and that lie outside all draws."""
    low, high = v.min(axis=(0, 1)), v.max(axis=(0, 1))
    margin = 0.5 * (high - low)
    best = result.optimum.best.cost
    near = [s for s in result.optimum.starts if s.cost < best + WORTH]
    ends = [(s.cost - best, density.unbounded(s.u)) for s in near]
    return tuple(cost for cost, at in ends if ((at < low - margin) | (at > high + margin)).any())


def _sampler(kind: str, density: Density, around: Gaussian, settings: NutsSettings, init: str) -> "Nuts | Smc":
    if kind == "smc":
        from her2pkpd.posterior.smc import Smc

        return Smc(density, settings)
    if init == "pathfinder":
        from her2pkpd.posterior.pathfinder import pathfinder

        around = pathfinder(density, around, seed=settings.seed)
    return Nuts(density, around, settings)


def _restored(
    run: "Nuts | Smc", keep: str | Path | None, inputs: str, *, resume: bool
) -> Callable[[dict[str, np.ndarray]], None] | None:
    """Take over an earlier run's state, and say how to keep this one's."""
    if keep is None:
        return None
    known = checkpoint.load(keep, inputs) if resume else None
    if known is not None:
        run.restore(known)
    last = [0.0]

    def saver(arrays: dict[str, np.ndarray]) -> None:
        now = time.monotonic()
        if now - last[0] > SAVE_EVERY or run.finished:
            checkpoint.save(keep, inputs, arrays)
            last[0] = now

    return saver


def laplace_draws(problem: FitProblem, density: Density, around: Gaussian, settings: NutsSettings) -> Posterior:
    """Independent draws of the normal approximation, with a verdict on it by their importance weights."""
    rng = np.random.default_rng(settings.seed)
    z = rng.standard_normal((settings.chains * settings.draws, density.n))
    v = around.points(z)
    checked = v[: min(len(v), 400)]
    weights = 0.5 * np.sum(z[: len(checked)] ** 2, axis=1) - density.energy(checked)
    shape = (settings.chains, settings.draws)
    nothing = np.zeros(shape)
    draws = Draws(v.reshape(*shape, -1), nothing, nothing, nothing > 0, nothing, nothing + 1)
    draws.evaluations = density.evaluations
    options = density.options or density.objective.predictor.options
    u = density.bounded(draws.v)
    return Posterior(problem, "laplace", u, draws, options, pareto_k=pareto_k(weights))


def pareto_k(log_weights: np.ndarray) -> float:
    """Shape of the generalised Pareto distribution of the largest weights: above 0.7 they do not average."""
    finite = log_weights[np.isfinite(log_weights)]
    if len(finite) < len(log_weights) / 2:
        return np.inf
    return float(psis(finite - finite.max())[1])


def check_installed(method: str, init: str = "laplace") -> None:
    """Raise an InputError if what a sampler needs is not installed; arguments as ``[method] sample`` and ``init``."""
    needed = {method: method.upper()} | ({init: "Pathfinder"} if method == "nuts" else {})
    missing = [(words, NEEDS[x]) for x, words in needed.items() if x in NEEDS and find_spec(NEEDS[x]) is None]
    if missing:
        remedy = "pip install 'her2pkpd[bayes]'"
        raise InputError(
            [Problem(f"{words} needs {module}, which is not installed", remedy) for words, module in missing]
        )
