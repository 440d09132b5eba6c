"""Posterior sampling of the well problem: effective draws per second, against NumPyro on Diffrax.

64 wells, 12 unknowns (`inference_problem`). Ours: MAP from 20 starts, then 4 chains of NUTS with warm-up. The peer:
the same log posterior written in JAX, each well a Diffrax Kvaerno5 solve under ``vmap``, forward-mode derivatives,
sampled by NumPyro's NUTS. That both have one posterior is checked on log densities at draws of ours, differences of
which agree to the solvers' tolerance. The peer is given our coordinates and step size, so that its chains mix as ours
do; it makes a few draws, which give its seconds per leapfrog, and its effective draws per second follow from the
effective draws per leapfrog of our chains. That is an extrapolation in the peer's favour: no warm-up is charged to it.

pyPESTO with AMICI is not part of it: the file says whether they are installed.

    python benchmarks/inference.py [--parts own peer] [--draws 1000] [--peer-draws 4]
"""

import argparse
import json
import os
import platform
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from engine_peers import diffrax_lane
from inference_problem import problem

from her2pkpd.engine.compile import host
from her2pkpd.fit.optimise import multi_start
from her2pkpd.fit.problem import FitProblem
from her2pkpd.posterior.density import Density, harmless_options, laplace
from her2pkpd.posterior.judge import convergence
from her2pkpd.posterior.nuts import Nuts, NutsSettings
from her2pkpd.runinfo import versions

QUANTILES = (0.025, 0.5, 0.975)
"""Of every unknown, on its scale of estimation, kept for comparison with other samplers."""

RESULT = Path(__file__).parent / "results" / "inference.json"


def own(given: FitProblem, draws: int) -> tuple[dict[str, Any], np.ndarray]:
    """Our MAP and posterior: timings, and draws (chains, draws, n) of the unknowns."""
    objective = given.objective
    objective.many(np.tile(objective.start(), (20, 1)))  # compiled before timing, as the peer's is
    began = time.perf_counter()
    found = multi_start(objective, starts=20, seed=1)
    map_seconds = time.perf_counter() - began
    began, cpu = time.perf_counter(), time.process_time()
    density = Density(objective)
    around = laplace(density, found.best.u)
    density.options = harmless_options(density, around)
    run = Nuts(density, around, NutsSettings(4, draws))
    made = run.run(progress=lambda done, planned, words: print(f"  {words} {done}/{planned}", end="\r", flush=True))
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    u = density.bounded(made.v)
    low, middle, high = np.quantile(u.reshape(-1, u.shape[-1]), QUANTILES, axis=0)
    agreement, bulk, tail = convergence(u)
    least = float(min(bulk.min(), tail.min()))
    return {
        "map": {"starts": 20, "agreeing": found.agreeing, "seconds": map_seconds},
        "chains": 4, "draws": draws, "seconds_with_warmup": seconds, "cpu_seconds": cpu,
        "rtol": (density.options or objective.options).rtol, "rhat": float(agreement.max()),
        "ess_bulk_min": float(bulk.min()), "ess_tail_min": float(tail.min()), "divergent": int(made.diverging.sum()),
        "leapfrogs_per_draw": float(made.leapfrogs.mean()), "step_size": made.step_size,
        "ess_per_second": least / seconds, "ess_per_cpu_second": least / cpu, "evaluations": made.evaluations,
        "bent_along": [objective.names[s.along] for s in run.potential.around.shears],
        "quantiles": {n: [float(x) for x in q] for n, *q in zip(objective.names, low, middle, high, strict=True)},
    }, u  # fmt: skip


def peer_energy(given: FitProblem, rtol: float) -> Any:
    """The energy of our coordinates v (n,) in JAX, with Diffrax."""
    import diffrax
    import jax
    import jax.numpy as jnp

    from her2pkpd.engine.reference import initial_state

    objective = given.objective
    design, free, predictor = objective.design, objective.free, objective.predictor
    batch = design.batch(design.parameters)
    space = Density(objective).space
    inputs, jump = np.array(batch.segments.inputs), jnp.asarray(batch.segments.jump[:, 0])
    boundaries, infusion = jnp.asarray(batch.segments.boundaries), jnp.asarray(batch.segments.infusion)
    times, value = jnp.asarray(batch.times), jnp.asarray(objective.blocks[0].value)
    matrix, mean = free._linear_priors

    def lane(p, dose, b, i, t):  # noqa: ANN001, ANN202
        y = initial_state(design.model, p).at[inputs].add(dose)
        states = diffrax_lane(batch, "Kvaerno5", p, y, b, i, t, rtol, rtol * 1e-2, diffrax.ForwardMode())
        n = design.model.n_species
        (cells,) = design.model.output_scalars(["N.cells"], [states[-1, k] for k in range(n)], list(p))
        return cells

    def energy(v):  # noqa: ANN001, ANN202
        u = space.low + (space.high - space.low) * jax.scipy.special.ndtr(v)
        p, scale = jnp.asarray(design.parameters), 1.0
        for k, unknown in enumerate(free.free):
            natural = jnp.exp(u[k]) if unknown.transform.scale == "log" else jax.nn.sigmoid(u[k])
            if unknown.estimate.target == "scale":
                scale = natural
            else:
                p = p.at[:, design.model.parameter_index[unknown.estimate.target]].set(natural)
        cells = jax.vmap(lane)(p, jump, boundaries, infusion, times)
        predicted = scale * cells[predictor.lane] / cells[predictor.control]
        cost = jnp.sum(((predicted - value) / 0.03) ** 2) + jnp.sum((matrix @ u - mean) ** 2)
        return 0.5 * cost + 0.5 * jnp.sum(v * v)

    return energy


def peer(given: FitProblem, u: np.ndarray, ours: dict[str, Any], draws: int) -> dict[str, Any]:
    """The peer: agreement of log densities, seconds per gradient and per leapfrog, effective draws per second."""
    import jax
    import jax.numpy as jnp
    from numpyro.infer import NUTS

    density = Density(given.objective)
    chosen = density.unbounded(u.reshape(-1, u.shape[-1])[:: max(1, u.shape[0] * u.shape[1] // 8)][:8])
    covariance = np.cov(density.unbounded(u.reshape(-1, u.shape[-1])).T)
    factor = jnp.asarray(np.linalg.cholesky(covariance))
    centre = jnp.asarray(density.unbounded(u).reshape(-1, u.shape[-1]).mean(axis=0))
    energy = peer_energy(given, ours["rtol"])
    tight = jax.jit(peer_energy(given, 1e-8))
    theirs = np.array([float(tight(jnp.asarray(v))) for v in chosen])
    off = theirs - Density(given.objective)(chosen)[0]

    def potential(z):  # noqa: ANN001, ANN202
        return energy(centre + factor @ z)

    gradient = jax.jit(jax.jacfwd(potential))
    point = jnp.asarray(np.linalg.solve(np.asarray(factor), chosen[0] - np.asarray(centre)))
    gradient(point).block_until_ready()
    began = time.perf_counter()
    for _ in range(3):
        gradient(point).block_until_ready()
    per_gradient = (time.perf_counter() - began) / 3
    kernel = NUTS(
        potential_fn=potential, step_size=ours["step_size"], adapt_step_size=False, adapt_mass_matrix=False,
        forward_mode_differentiation=True, max_tree_depth=8,
    )  # fmt: skip
    state = kernel.init(jax.random.PRNGKey(1), 0, point, (), {})
    step = jax.jit(lambda s: kernel.sample(s, (), {}))
    state = step(state)
    began, leapfrogs = time.perf_counter(), 0
    for _ in range(draws):
        state = jax.block_until_ready(step(state))
        leapfrogs += int(state.num_steps)
        print(f"  peer: {leapfrogs} leapfrogs, {time.perf_counter() - began:.0f} s", flush=True)
    per_leapfrog = (time.perf_counter() - began) / leapfrogs
    least = min(ours["ess_bulk_min"], ours["ess_tail_min"])
    per_effective = ours["leapfrogs_per_draw"] * ours["chains"] * ours["draws"] / least
    rate = 1 / (per_leapfrog * per_effective)
    return {
        "rtol": ours["rtol"], "log_density_differences_agree_to": float(np.ptp(off)),
        "seconds_per_gradient_alone": per_gradient, "draws": draws, "leapfrogs": leapfrogs,
        "seconds_per_leapfrog": per_leapfrog, "extrapolated_ess_per_second": rate,
        "ours_times_the_peer": ours["ess_per_second"] / rate,
    }  # fmt: skip


def main() -> None:
    """Run and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="*", default=["own", "peer"])
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--peer-draws", type=int, default=4)
    args = parser.parse_args()
    import jax

    jax.config.update("jax_enable_x64", True)
    result: dict[str, Any] = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    given = problem()
    result["problem"] = {"wells": 64, "unknowns": len(given.objective.names)}
    result["machine"] = {"cpu": host().cpu, "platform": platform.machine(), "load": list(os.getloadavg())}
    result["versions"] = versions()
    result["amici"] = {n: find_spec(n) is not None for n in ("amici", "pypesto")}
    ours, u = own(given, args.draws)
    result["own"] = ours
    print(json.dumps(ours, indent=1), flush=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    if "peer" in args.parts:
        result["peer"] = peer(given, u, ours, args.peer_draws)
        print(json.dumps(result["peer"], indent=1))
        RESULT.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
