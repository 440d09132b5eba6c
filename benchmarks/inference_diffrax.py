"""The well problem as a careful user of NumPyro and Diffrax would write it.

Wells are lanes of one `vmap`. A well's right-hand side is its model as straight-line scalar code; what depends on
parameters alone is computed once a solve, outside of it. Kvaerno5 under a PID controller, states in units of their
scale, only the last time saved. Derivatives go backwards through the solve (`RecursiveCheckpointAdjoint`), which is
NumPyro's default mode. Tried and slower here: forward mode (by 12 %), four chains under one `vmap` (by half), Kvaerno3
and Kvaerno4 at the same error of the log density; the model is too stiff for Tsit5.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from her2pkpd.engine import Options
from her2pkpd.fit.problem import FitProblem
from her2pkpd.model import Model
from her2pkpd.model.tape import CONST, INPUT, OPERATIONS
from her2pkpd.posterior.density import Density

Energy = Callable[[Any, Any], Any]
"""Coordinates v (n,) and relative tolerance to minus log posterior density, in JAX."""

TOLERANCES = (1e-2, 1e-3, 1e-4)


def _operations() -> dict[str, Callable[..., Any]]:
    import jax
    import jax.numpy as jnp

    named = {
        op: getattr(jnp, f.__name__) for op, f in OPERATIONS.items() if isinstance(f, np.ufunc) and op != "logistic"
    }
    return named | {"logistic": jax.nn.sigmoid, "select": lambda condition, no, yes: jnp.where(condition, yes, no)}


class RightHandSide:
    """dy/dt of a model in two parts: `prepare` works on parameters alone, `__call__` on states and what it left.

    Args:
        model: the model.
    """

    def __init__(self, model: Model) -> None:
        self.nodes, self.outputs, n = model.flux_tape.nodes, model.flux_tape.outputs, model.n_species
        self.moving: list[bool] = []
        for node in self.nodes:
            own = node.op == INPUT and node.value < n
            self.moving.append(own or any(self.moving[a] for a in node.args))
        used = {a for i, node in enumerate(self.nodes) if self.moving[i] for a in node.args} | set(self.outputs)
        self.handed = sorted(i for i in used if not self.moving[i] and self.nodes[i].op != CONST)
        self.n, self.operations = n, _operations()

    def _run(self, known: dict[int, Any], *, moving: bool) -> dict[int, Any]:
        for i, node in enumerate(self.nodes):
            if node.op == CONST:
                known[i] = node.value
            elif i not in known and self.moving[i] == moving and node.op != INPUT:
                known[i] = self.operations[node.op](*(known[a] for a in node.args))
        return known

    def prepare(self, p: Any) -> Any:
        """What the right-hand side needs of parameters (P,)."""
        import jax.numpy as jnp

        given = {i: p[int(x.value) - self.n] for i, x in enumerate(self.nodes) if x.op == INPUT and x.value >= self.n}
        known = self._run(given, moving=False)
        return jnp.stack([jnp.asarray(known[i], float) for i in self.handed])

    def __call__(self, y: Any, prepared: Any) -> Any:
        """dy/dt (n,) at states (n,)."""
        import jax.numpy as jnp

        given = {i: y[int(x.value)] for i, x in enumerate(self.nodes) if x.op == INPUT and x.value < self.n}
        known = self._run(given | dict(zip(self.handed, prepared, strict=True)), moving=True)
        return jnp.stack([jnp.asarray(known[o], float) for o in self.outputs])


def solver(given: FitProblem) -> Callable[[Any, Any, Any], Any]:
    """Cells at the end of one well, of parameters (P,), doses (m,) and relative tolerance, in JAX."""
    import diffrax

    from her2pkpd.engine.reference import initial_state

    design = given.objective.design
    model, batch = design.model, design.batch(design.parameters)
    right, inputs = RightHandSide(model), np.array(batch.segments.inputs)
    scale, end = np.array([s.scale for s in model.species]), float(batch.times[0, -1])
    term = diffrax.ODETerm(lambda t, z, h: right(z * scale, h) / scale)

    def lane(p: Any, dose: Any, rtol: Any) -> Any:
        steps = diffrax.PIDController(rtol=rtol, atol=rtol * 1e-2, pcoeff=0.3, icoeff=0.4)
        y = initial_state(model, p).at[inputs].add(dose)
        found = diffrax.diffeqsolve(
            term, diffrax.Kvaerno5(), 0.0, end, None, y / scale, right.prepare(p),
            saveat=diffrax.SaveAt(t1=True), stepsize_controller=steps, max_steps=4096, throw=False,
        )  # fmt: skip
        last = found.ys[0] * scale
        (cells,) = model.output_scalars(["N.cells"], [last[k] for k in range(model.n_species)], list(p))
        return cells

    return lane


def energy_of(given: FitProblem) -> Energy:
    """Our energy, in our coordinates, with Diffrax for the wells."""
    import jax
    import jax.numpy as jnp

    objective = given.objective
    design, free, predictor = objective.design, objective.free, objective.predictor
    space, lane = Density(objective).space, solver(given)
    doses = jnp.asarray(design.batch(design.parameters).segments.jump[:, 0])
    value, sd = objective.blocks[0].value, objective.blocks[0].noise.sd
    matrix, mean = free._linear_priors

    def energy(v: Any, rtol: Any) -> Any:
        u = space.low + (space.high - space.low) * jax.scipy.special.ndtr(v)
        p, scale = jnp.asarray(design.parameters), 1.0
        for k, unknown in enumerate(free.free):
            natural = jnp.exp(u[k]) if unknown.transform.scale == "log" else jax.nn.sigmoid(u[k])
            if unknown.estimate.target == "scale":
                scale = natural
            else:
                p = p.at[:, design.model.parameter_index[unknown.estimate.target]].set(natural)
        cells = jax.vmap(lane, in_axes=(0, 0, None))(p, doses, rtol)
        predicted = scale * cells[predictor.lane] / cells[predictor.control]
        cost = jnp.sum(((predicted - value) / sd) ** 2) + jnp.sum((matrix @ u - mean) ** 2)
        return 0.5 * cost + 0.5 * jnp.sum(v * v)

    return energy


class Peer:
    """NumPyro's NUTS on Diffrax, in coordinates whitened by our draws; everything timed in seconds of processor time.

    Args:
        given: the problem.
        v: (S, n) draws of ours, for centre and mass matrix.
    """

    def __init__(self, given: FitProblem, v: np.ndarray) -> None:
        import jax
        import jax.numpy as jnp

        self.given, self.v = given, v
        self.centre, self.factor = jnp.asarray(v.mean(axis=0)), jnp.asarray(np.linalg.cholesky(np.cov(v.T)))
        self.energy = energy_of(given)
        self.both = jax.jit(jax.value_and_grad(lambda z, rtol: self.energy(self.centre + self.factor @ z, rtol)))

    def compile_gradient(self) -> float:
        """Seconds to compile energy and gradient."""
        import jax

        began = time.process_time()
        jax.block_until_ready(self.both(np.zeros(self.v.shape[1]), TOLERANCES[-1]))
        return time.process_time() - began

    def gradients(self, points: int) -> list[dict[str, float]]:
        """At each tolerance: seconds per gradient (median), and how far the peer's posterior is from ours.

        Log densities are compared at draws of ours; weighted by their ratio these draws are the peer's own, so that
        their quantiles can be compared without a chain of the peer's.

        Args:
            points: draws of ours taken for it.
        """
        import jax

        some = self.v[np.linspace(0, len(self.v) - 1, points).astype(int)]
        z = np.linalg.solve(np.asarray(self.factor), (some - np.asarray(self.centre)).T).T
        ours = Density(self.given.objective, Options(1e-8, 1e-10))(some)[0]
        found = []
        for rtol in TOLERANCES:
            seconds, theirs = [], []
            for one in z:
                began = time.process_time()
                theirs.append(float(jax.block_until_ready(self.both(one, rtol))[0]))
                seconds.append(time.process_time() - began)
            off = np.array(theirs) - ours
            found.append({"rtol": rtol, "seconds_per_gradient": float(np.median(seconds)), **compared(some, off)})
        return found

    def chain(self, rtol: float, step_size: float, minutes: float) -> dict[str, Any]:
        """One chain of NUTS from our mean, at our step size and mass matrix, for as long as `minutes` (wall) allow."""
        import jax
        from numpyro.infer import NUTS

        kernel = NUTS(
            potential_fn=lambda z: self.energy(self.centre + self.factor @ z, rtol), step_size=step_size,
            adapt_step_size=False, adapt_mass_matrix=False,
            max_tree_depth=8,
        )  # fmt: skip
        began = time.process_time()
        state = kernel.init(jax.random.PRNGKey(1), 0, np.zeros(self.v.shape[1]), (), {})
        step = jax.jit(lambda s: kernel.sample(s, (), {}))
        state = jax.block_until_ready(step(state))
        compiled, began, ends = time.process_time() - began, time.process_time(), time.monotonic() + 60 * minutes
        leapfrogs, z = 0, []
        while time.monotonic() < ends:
            state = jax.block_until_ready(step(state))
            leapfrogs += int(state.num_steps)
            z.append(np.asarray(state.z))
            print(f"  {len(z)} draws, {leapfrogs} leapfrogs, {time.process_time() - began:.0f} s", flush=True)
        seconds = time.process_time() - began
        return {"compile_seconds": compiled, "draws": len(z), "leapfrogs": leapfrogs, "seconds": seconds, "z": z}


def compared(some: np.ndarray, off: np.ndarray) -> dict[str, float]:
    """How far a posterior is from ours: by log densities at draws (S, n) of ours, which are `off` (S,) apart.

    Returns:
        Standard deviation and range of the difference, and the largest difference of a quantile in posterior standard
        deviations, by weighting the draws.
    """
    weight, levels = np.exp(off.min() - off), (0.025, 0.25, 0.5, 0.75, 0.975)
    apart = [_quantiles(x, weight, levels) - _quantiles(x, np.ones(len(x)), levels) for x in some.T]
    return {
        "log_density_error_sd": float(off.std()), "log_density_error_range": float(np.ptp(off)),
        "quantiles_apart_in_sds": float(np.abs(np.array(apart) / some.std(axis=0)[:, None]).max()),
    }  # fmt: skip


def _quantiles(x: np.ndarray, weight: np.ndarray, level: Sequence[float]) -> np.ndarray:
    order = np.argsort(x)
    below = np.cumsum(weight[order]) - 0.5 * weight[order]
    return np.interp(level, below / weight.sum(), x[order])
