"""No-U-turn sampling through NumPyro: chains in step, each leapfrog one batch of lanes.

The sampler moves in coordinates in which the Laplace approximation is a standard normal; steps are then long and trees
short. Warm-up proceeds in rounds of a few draws: the step size is one for all chains and follows the one that accepts
least, and now and then the coordinates are made anew from the draws of all chains together, curved ridges straightened
(`coordinates`, `shear`). A round is also the unit of work: after each the whole state can be saved, and a run that
continues from it makes the same draws as one that was never stopped.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from threading import Lock
from typing import Any

import numpy as np

from her2pkpd.errors import ComputationError
from her2pkpd.posterior.bridge import energy_function, stoppable
from her2pkpd.posterior.coordinates import Coordinates, adapted
from her2pkpd.posterior.density import Density, Gaussian

ROUND = 10
"""Draws of a round."""

REWHITEN = (0.07, 0.2, 0.5)
"""Parts of the warm-up after which the coordinates are made anew."""

SETTLED = 0.6
"""Part of the warm-up after which step sizes are averaged for sampling."""

Progress = Callable[[int, int, str], None]
"""Called after every round with (draws done, draws planned, words), warm-up included, per chain."""

Keep = Callable[[dict[str, np.ndarray]], None]
"""Called after every round with everything needed to go on from there."""


@dataclass(frozen=True)
class NutsSettings:
    """How to sample.

    Attributes:
        chains: chains, at least two to compare.
        draws: draws kept per chain.
        warmup: draws per chain before that.
        target: mean acceptance the step size aims at.
        max_tree_depth: trees end at 2**max_tree_depth leapfrogs.
        seed: of every random number.
        separate: whether every chain samples a density of its own, and adapts by itself.
        leapfrogs: 0 for NUTS; otherwise the fixed number of leapfrogs of plain Hamiltonian Monte Carlo. With hundreds
            of chains in step, the longest tree among them would set the pace of all.
    """

    chains: int = 4
    draws: int = 1000
    warmup: int = 200
    target: float = 0.9
    max_tree_depth: int = 8
    seed: int = 1
    separate: bool = False
    leapfrogs: int = 0


@dataclass
class Draws:
    """What the sampler leaves behind; arrays (chains, draws, ...).

    Attributes:
        v: (chains, draws, n) coordinates without bounds.
        energy: Hamiltonian at every draw.
        potential: minus log density.
        diverging: whether the trajectory was cut off.
        leapfrogs: of every draw.
        acceptance: mean acceptance along the trajectory.
        step_size: used for sampling.
        evaluations: points of the density evaluated in this process.
        failed: those at which a lane failed.
    """

    v: np.ndarray
    energy: np.ndarray
    potential: np.ndarray
    diverging: np.ndarray
    leapfrogs: np.ndarray
    acceptance: np.ndarray
    step_size: float = np.nan
    evaluations: int = 0
    failed: int = 0


@dataclass
class _Potential:
    """Energy in standardised coordinates, as a JAX function whose gradient costs the same single solve."""

    density: Density
    around: Coordinates
    _last: dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]] = field(default_factory=dict)

    def host(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Energies and gradients at (C, n); a chain that waits for the others asks again for what it has."""
        z = np.asarray(z)
        known = self._last.get(len(z))
        new = np.ones(len(z), dtype=bool) if known is None else (known[0] != z).any(axis=1)
        energy, gradient = (np.zeros(len(z)), np.zeros(z.shape)) if known is None else (known[1], known[2])
        if new.any():
            energy, gradient = energy.copy(), gradient.copy()
            rows = np.flatnonzero(new)
            around = self.around.some(rows)
            v = around.points(z[new])
            energy[new], slope = self.density(v, rows)
            gradient[new] = around.slopes(slope, v)
        self._last[len(z)] = (z.copy(), energy, gradient)
        return energy, gradient

    def move(self, around: Coordinates) -> None:
        """Take other coordinates."""
        self.around = around
        self._last.clear()


class _Program:
    """Start, and a round of all chains, compiled once for all densities of as many unknowns.

    Compiled code calls the potential it is lent for the time of a call; one call at a time.
    """

    def __init__(self, n: int, leapfrogs: int, max_tree_depth: int) -> None:
        import jax

        self._lock, self._lent = Lock(), list[_Potential]()
        kernel = _kernel(energy_function(self._host, n), leapfrogs, max_tree_depth)

        def start(keys: Any, z: Any) -> Any:
            return jax.vmap(lambda key, point: kernel.init(key, 0, point, (), {}))(keys, z)

        def step(state: Any, _: Any) -> tuple[Any, dict[str, Any]]:
            state = jax.vmap(lambda s: kernel.sample(s, (), {}))(state)
            names = {
                "z": state.z, "slopes": state.z_grad, "energy": state.energy, "potential": state.potential_energy,
                "diverging": state.diverging, "leapfrogs": state.num_steps, "acceptance": state.accept_prob,
            }  # fmt: skip
            return state, names

        self._start = jax.jit(start)
        self._round = jax.jit(lambda state: jax.lax.scan(step, state, None, length=ROUND))

    def _host(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self._lent[0].host(z)

    def start(self, potential: _Potential, keys: np.ndarray, z: np.ndarray) -> Any:
        """State of chains with random keys at points z (chains, n)."""
        return self._run(potential, self._start, keys, z)

    def round(self, potential: _Potential, state: Any) -> Any:
        """The state after a round, and its draws (ROUND, chains, ...) by name."""
        return self._run(potential, self._round, state)

    def _run(self, potential: _Potential, compiled: Any, *args: Any) -> Any:
        import jax

        with self._lock:
            self._lent[:] = [potential]
            try:
                with stoppable():
                    return jax.block_until_ready(compiled(*args))
            finally:
                self._lent.clear()


_program = lru_cache(maxsize=8)(_Program)


def _kernel(potential: Any, leapfrogs: int, max_tree_depth: int) -> Any:
    from numpyro.infer import HMC, NUTS

    common = {"potential_fn": potential, "adapt_step_size": False, "adapt_mass_matrix": False, "step_size": 1.0}
    if leapfrogs:
        # A trajectory length, which has a default, would set the step size whatever is asked for.
        return HMC(**common, num_steps=leapfrogs, trajectory_length=None)  # pyright: ignore[reportArgumentType]
    return NUTS(**common, max_tree_depth=max_tree_depth)


class Nuts:
    """A run of the sampler.

    Args:
        density: what to sample.
        around: normal approximation to start from.
        settings: how.
    """

    def __init__(self, density: Density, around: Gaussian, settings: NutsSettings) -> None:
        self.density, self.settings = density, settings
        self.potential = _Potential(density, Coordinates(around))
        self.round = 0
        # After a quarter of its period a trajectory in a standard normal has forgotten where it began; after half of it
        # it would be at the mirror image, and draws would alternate. Lengths vary from 0.6 to 1 times this one.
        self._longest = np.log(0.625 * np.pi / settings.leapfrogs) if settings.leapfrogs else np.inf
        self.log_step = self._first_step()
        self.averaged: list[np.ndarray] = []
        self.warm: list[dict[str, np.ndarray]] = []
        self.kept: list[dict[str, np.ndarray]] = []
        self.state: Any = None
        self._program = _program(density.n, settings.leapfrogs, settings.max_tree_depth)

    @property
    def rounds(self) -> tuple[int, int]:
        """Rounds of warm-up and of sampling."""
        return -(-self.settings.warmup // ROUND), -(-self.settings.draws // ROUND)

    @property
    def finished(self) -> bool:
        """Whether all draws are made."""
        return self.round == sum(self.rounds)

    def run(self, *, progress: Progress | None = None, keep: Keep | None = None) -> Draws:
        """Sample to the end.

        Args:
            progress: called after every round.
            keep: called after every round with the state.

        Returns:
            The `Draws`; those made so far when interrupted by Ctrl-C, if there are any.
        """
        import jax

        warmup, sampling = self.rounds
        with jax.enable_x64(True):
            self._ready()
            try:
                while self.round < warmup + sampling:
                    self._one_round(warmup)
                    if keep is not None:
                        keep(self.save())
                    if progress is not None:
                        words = "warming up" if self.round <= warmup else "sampling"
                        progress(self.round * ROUND, (warmup + sampling) * ROUND, words)
            except KeyboardInterrupt:
                if not self.kept:
                    raise
        return self._draws()

    # --- one round ---------------------------------------------------------------------------------------------

    def _one_round(self, warmup: int) -> None:
        state = self.state._replace(adapt_state=self.state.adapt_state._replace(step_size=self._step_sizes()))
        self.state, made = self._program.round(self.potential, state)
        made = {name: np.swapaxes(np.asarray(x), 0, 1) for name, x in made.items()}
        here = {name: made.pop(name) for name in ("z", "slopes")}
        self.round += 1
        if self.round <= warmup:
            self.warm.append(here)
            self._adapt(made["acceptance"].mean(axis=1), warmup)
        else:
            self.kept.append(made | {"v": self.potential.around.points(here["z"])})

    def _step_sizes(self) -> Any:
        import jax.numpy as jnp

        steps = np.exp(self.log_step)
        if self.settings.leapfrogs:
            # No length for long, lest it resonates with the posterior.
            steps = steps * np.random.default_rng([self.settings.seed, self.round]).uniform(0.6, 1.0)
        return jnp.asarray(steps)

    def _first_step(self) -> np.ndarray:
        """What suits a standard normal, as the posterior is hoped to be in new coordinates; log, (chains,)."""
        return np.minimum(np.full(self.settings.chains, np.log(0.9 / self.density.n**0.25)), self._longest)

    def _adapt(self, acceptance: np.ndarray, warmup: int) -> None:
        """After a round of warm-up: the step size follows the acceptance, now and then the coordinates follow."""
        if not self.settings.separate:
            # The chain in the narrowest place sets the step: a mean would let others outvote it, and it diverge.
            acceptance = np.full_like(acceptance, acceptance.min())
        log_step = self.log_step + (acceptance - self.settings.target) * 2.0 / (1 + len(self.averaged)) ** 0.6
        self.log_step = np.minimum(log_step, self._longest)
        if self.round > SETTLED * warmup:
            self.averaged.append(self.log_step)
        if self.round == warmup and self.averaged:
            self.log_step = np.mean(self.averaged, axis=0)
        # A chain alone has too few draws to make better coordinates than the Laplace approximation's.
        if not self.settings.separate and self.round in {round(part * warmup) for part in REWHITEN}:
            self._rewhiten()

    def _rewhiten(self) -> None:
        """Coordinates from the draws of all chains since they were last made, the first third left out."""
        old = self.potential.around
        recent = _columns(self.warm)
        z, slopes = (x[:, x.shape[1] // 3 :].reshape(-1, self.density.n) for x in (recent["z"], recent["slopes"]))
        here = old.points(np.asarray(self.state.z))
        self.potential.move(adapted(old, *old.raised(z, slopes)))
        self._place(self.potential.around.standardised(here), np.asarray(self.state.rng_key))
        self.warm, self.log_step = [], self._first_step()

    # --- state -------------------------------------------------------------------------------------------------

    def _ready(self) -> None:
        import jax

        if self.state is None:
            seeds = jax.random.split(jax.random.PRNGKey(self.settings.seed), self.settings.chains)
            self._place(self._beginnings(), np.asarray(seeds))

    def _beginnings(self) -> np.ndarray:
        """Where the chains begin, (chains, n): draws of the approximation, drawn in where the density is not finite."""
        rng = np.random.default_rng(self.settings.seed)
        z = rng.standard_normal((self.settings.chains, self.density.n))
        for _ in range(30):
            lost = ~np.isfinite(self.density(self.potential.around.points(z), np.arange(len(z)))[0])
            if not lost.any():
                return z
            z[lost] *= 0.5
        raise ComputationError("no chain finds a point where all wells can be computed; check bounds and priors.")

    def _place(self, z: np.ndarray, keys: np.ndarray) -> None:
        """Chains at points z (chains, n)."""
        self.state = self._program.start(self.potential, keys, z)

    def save(self) -> dict[str, np.ndarray]:
        """Everything needed to go on, as arrays."""
        import jax

        arrays = {"round": np.array(self.round), "log_step": self.log_step, "averaged": np.array(self.averaged)}
        arrays |= self.potential.around.save()
        arrays["evaluations"] = np.array([self.density.evaluations, self.density.failed])
        arrays |= {f"state_{i}": np.asarray(x) for i, x in enumerate(jax.tree_util.tree_leaves(self.state))}
        for kind, rounds in (("warm", self.warm), ("kept", self.kept)):
            arrays |= {f"{kind}_{name}": x for name, x in _columns(rounds).items()}
        return arrays

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Go on from what `save` gave."""
        import jax

        self.potential.move(Coordinates.load(arrays))
        self.round, self.log_step = int(arrays["round"]), arrays["log_step"]
        self.averaged = list(arrays["averaged"])
        self.density.evaluations, self.density.failed = (int(x) for x in arrays["evaluations"])
        with jax.enable_x64(True):
            keys = np.asarray(jax.random.split(jax.random.PRNGKey(0), self.settings.chains))
            self._place(np.zeros((self.settings.chains, self.density.n)), keys)
            _, shape = jax.tree_util.tree_flatten(self.state)
            leaves = [jax.numpy.asarray(arrays[f"state_{i}"]) for i in range(shape.num_leaves)]
            self.state = jax.tree_util.tree_unflatten(shape, leaves)
        self.warm, self.kept = _rounds(arrays, "warm_"), _rounds(arrays, "kept_")

    def _draws(self) -> Draws:
        count = self.settings.draws
        arrays = {name: x[:, :count] for name, x in _columns(self.kept).items()}
        return Draws(
            **arrays, step_size=float(np.exp(self.log_step.mean())), evaluations=self.density.evaluations,
            failed=self.density.failed,
        )  # fmt: skip


def _columns(rounds: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Draws (chains, draws, ...) by name, of rounds of them."""
    return {name: np.concatenate([made[name] for made in rounds], axis=1) for name in (rounds[0] if rounds else ())}


def _rounds(arrays: dict[str, np.ndarray], prefix: str) -> list[dict[str, np.ndarray]]:
    """Rounds of draws, of those arrays whose name begins alike."""
    own = {name.removeprefix(prefix): x for name, x in arrays.items() if name.startswith(prefix)}
    count = max((x.shape[1] for x in own.values()), default=0)
    return [{name: x[:, i : i + ROUND] for name, x in own.items()} for i in range(0, count, ROUND)]
