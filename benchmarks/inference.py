"""Posterior sampling of the well problem: effective draws per second, against NumPyro on Diffrax and pyPESTO on AMICI.

64 wells, 12 unknowns (`inference_problem`). Ours: MAP from 20 starts, then 4 chains of NUTS with warm-up. The peers are
given the same log posterior in our coordinates, our mean, mass matrix and step size, and the loosest tolerance at which
the log density of our draws is right to `HARMLESS`. Measured of each: seconds of one core per gradient, alone; how far
its posterior is from ours, by log densities and quantiles; and its own sampler for as long as `--minutes` allow.
Extrapolated: effective draws per second, from the effective draws per gradient of NumPyro's NUTS run on our gradients
with a dense mass matrix ("plain"): the posterior is the same. That favours the peers, which start in the posterior.

    python benchmarks/inference.py [--parts own plain numpyro pypesto] [--draws 1000] [--minutes 15] [--keep draws.npz]

`--keep` names a file for our draws, to measure peers later or elsewhere.
"""

import argparse
import json
import os
import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from inference_problem import problem

from her2pkpd.engine import Options
from her2pkpd.engine.compile import host
from her2pkpd.fit.optimise import multi_start
from her2pkpd.fit.problem import FitProblem
from her2pkpd.posterior.density import HARMLESS, Density, harmless_options, laplace
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


def plain(given: FitProblem, draws: int) -> dict[str, Any]:
    """NumPyro's NUTS as it is, with a dense mass matrix and no shears, on our gradients: how a peer's chains mix."""
    from unittest.mock import patch

    with patch("her2pkpd.posterior.coordinates.find_shears", lambda v, gradients: ()):
        return own(given, draws)[0]


def against(result: dict[str, Any], per_gradient: float) -> dict[str, float]:
    """What a peer's seconds per gradient come to, warm-up charged to neither or to both."""
    ours, mixing = result["own"], result["plain"]
    least = min(mixing["ess_bulk_min"], mixing["ess_tail_min"])
    per_draw = least / (mixing["leapfrogs_per_draw"] * mixing["chains"] * mixing["draws"])
    with_warmup = least / mixing["evaluations"]
    each = ours["cpu_seconds"] / ours["evaluations"]
    return {
        "gradients_are_times_slower": per_gradient / each,
        "extrapolated_ess_per_second": with_warmup / per_gradient,
        "ours_is_times_that": ours["ess_per_cpu_second"] * per_gradient / with_warmup,
        "extrapolated_ess_per_second_without_warmup": per_draw / per_gradient,
        "ours_with_warmup_is_times_that": ours["ess_per_cpu_second"] * per_gradient / per_draw,
    }


def numpyro_peer(given: FitProblem, v: np.ndarray, step_size: float, minutes: float) -> dict[str, Any]:
    """NumPyro on Diffrax: gradients at three tolerances, and NUTS itself for some minutes."""
    from inference_diffrax import Peer

    peer = Peer(given, v)
    compiled = peer.compile_gradient()
    each = peer.gradients(20)
    print(json.dumps(each, indent=1), flush=True)
    chosen = next(x for x in each if x["log_density_error_range"] < HARMLESS)
    result = {"compile_gradient_seconds": compiled, "gradients": each} | chosen
    if minutes:
        chain = peer.chain(chosen["rtol"], step_size, minutes)
        z = np.array(chain.pop("z"))
        result["nuts"] = chain | {
            "seconds_per_leapfrog": chain["seconds"] / chain["leapfrogs"],
            "leapfrogs_per_draw": chain["leapfrogs"] / chain["draws"],
            # Whitened by our draws, its own must have mean 0 and standard deviation 1.
            "largest_mean": float(np.abs(z.mean(axis=0)).max()), "sds": [float(x) for x in np.sort(z.std(axis=0))],
        }  # fmt: skip
    return result


def pypesto_peer(given: FitProblem, v: np.ndarray, step_size: float, minutes: float) -> dict[str, Any]:
    """pyPESTO on AMICI: gradients at three tolerances, and pyPESTO's own sampler for some minutes."""
    from inference_amici import Wells, sample
    from inference_diffrax import compared

    some = v[np.linspace(0, len(v) - 1, 20).astype(int)]
    exact = Density(given.objective, Options(1e-8, 1e-10))(some)[0]
    wells, each = Wells(given, 1e-4), []
    for rtol in (1e-3, 1e-4, 1e-5, 1e-6):
        wells.accuracy(rtol)
        began = time.process_time()
        energies = np.array([wells.energy(x)[0] for x in some])
        seconds = (time.process_time() - began) / len(some)
        each.append({"rtol": rtol, "seconds_per_gradient": seconds, **compared(some, energies - exact)})
    print(json.dumps(each, indent=1), flush=True)
    chosen = next(x for x in each if x["log_density_error_range"] < HARMLESS)
    result = {"import_seconds": wells.import_seconds, "gradients": each} | chosen
    if minutes:
        wells.accuracy(chosen["rtol"])
        result["adaptive_metropolis"] = sample(wells, v, minutes)
    return result


PEERS = {"numpyro": numpyro_peer, "pypesto": pypesto_peer}
PARTS = ("own", "plain", *PEERS)
LIBRARIES = {"numpyro": ("numpyro", "diffrax", "jax"), "pypesto": ("pypesto", "amici")}


def main() -> None:
    """Run and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="*", default=PARTS, choices=PARTS)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--keep", type=Path)
    args = parser.parse_args()
    import jax

    jax.config.update("jax_enable_x64", True)
    result: dict[str, Any] = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    given = problem()
    result.pop("amici", None)
    result["problem"] = {"wells": 64, "unknowns": len(given.objective.names)}
    machine = {"cpu": host().cpu, "platform": platform.machine(), "load": list(os.getloadavg())}
    if "own" in args.parts:
        result |= {"machine": machine, "versions": versions()}
        result["own"], u = own(given, args.draws)
        print(json.dumps(result["own"], indent=1), flush=True)
        write(result)
        if args.keep:
            np.savez(args.keep, u=u)
    if "plain" in args.parts:
        result["plain"] = plain(given, args.draws)
        write(result)
    asked = [p for p in PEERS if p in args.parts]
    if asked and "own" not in args.parts:
        u = np.load(args.keep)["u"]
    for name in asked:
        v = Density(given.objective).unbounded(u.reshape(-1, u.shape[-1]))
        found = {"machine": machine, "versions": {n: version(n) for n in LIBRARIES[name]}}
        found |= PEERS[name](given, v, result["plain"]["step_size"], args.minutes)
        result.setdefault("peers", {})[name] = found
        print(json.dumps(found, indent=1))
        write(result)
    for found in result.get("peers", {}).values():
        found.update(against(result, found["seconds_per_gradient"]))
    write(result)


def write(result: dict[str, Any]) -> None:
    """Keep what is known so far."""
    RESULT.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
