"""One step of Kvaerno's method of order 5(4), with Diffrax's coefficients.

Diffrax's own step is not used because its Newton iteration, as released (Diffrax 0.7.2, Optimistix 0.1.0),
takes "not yet converged" for divergence and rejects most good steps (optimistix issue 230, diffrax issue 754),
and because its derivative raises an exception for the whole batch when one lane turns infinite.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

_TABLEAU = diffrax.Kvaerno5.tableau
STAGES = len(_TABLEAU.b_sol)
_GAMMA = float(_TABLEAU.a_diagonal[-1])  # type: ignore[index]
_KAPPA = 1e-2
"""Newton stops when the error left in a stage is below this fraction of the tolerance."""
_ITERATIONS = 10

Field = Callable[[Any, Any], Any]
"""Vector field of (y, args). Whatever JAX transforms must come in through the arguments, not a closure."""


def _square(rows: Any) -> np.ndarray:
    full = np.zeros((STAGES, STAGES))
    for i, row in enumerate(rows, start=1):
        full[i, : len(row)] = row
    return full


_LOWER = _square(_TABLEAU.a_lower)
_PREDICTOR = _square(_TABLEAU.a_predictor)
_ERROR = np.asarray(_TABLEAU.b_error)


class Step(NamedTuple):
    """End point (n,), error estimate (n,) and whether every stage converged."""

    y: Any
    error: Any
    converged: Any


def step(field: Field, y: Any, args: Any, h: Any, scale: Any) -> Step:
    """Step from `y` by `h`.

    Args:
        field: the vector field; autonomous.
        y: (n,) state.
        args: second argument of the field.
        h: step size, a constant to differentiation.
        scale: (n,) tolerance of each state, in its unit.
    """
    n = y.shape[0]
    frozen = jax.lax.stop_gradient((y, args))
    jacobian = jax.jacfwd(field)(*frozen)
    lu = jax.scipy.linalg.lu_factor(jnp.eye(n) - h * _GAMMA * jacobian)
    first = h * field(y, args)

    def stage(carry: Any, row: Any) -> tuple[Any, None]:
        ks, converged = carry
        lower, predictor, index = row
        guess = jax.lax.stop_gradient(predictor @ ks)
        base = y + lower @ ks
        found, fine = _newton(field, *jax.lax.stop_gradient((base, args)), h, scale, lu, guess)
        k = _implicit(field, base, args, h, found)
        return (ks.at[index].set(k), converged & fine), None

    ks = jnp.zeros((STAGES, n)).at[0].set(first)
    rows = (jnp.asarray(_LOWER[1:]), jnp.asarray(_PREDICTOR[1:]), jnp.arange(1, STAGES))
    (ks, converged), _ = jax.lax.scan(stage, (ks, jnp.array(True)), rows)
    # Stiffly accurate: the last stage is the solution.
    end = y + jnp.asarray(_LOWER[-1]) @ ks + _GAMMA * ks[-1]
    return Step(end, jnp.asarray(_ERROR) @ ks, converged)


def _newton(field: Field, base: Any, args: Any, h: Any, scale: Any, lu: Any, guess: Any) -> tuple[Any, Any]:
    """Solve k = h f(base + gamma k) with a fixed factorisation; returns k and whether it converged."""

    def going(carry: Any) -> Any:
        return ~carry[3] & ~carry[4] & (carry[5] < _ITERATIONS)

    def iterate(carry: Any) -> Any:
        k, size_before, _, _, _, count = carry
        change = jax.scipy.linalg.lu_solve(lu, k - h * field(base + _GAMMA * k, args))
        size = jnp.max(jnp.abs(change / scale))
        rate = size / size_before
        left = size * rate / (1 - rate)
        twice = count >= 1
        converged = twice & ((size < 1e-2 * _KAPPA) | ((rate < 1) & (left < _KAPPA)))
        diverged = ~jnp.isfinite(size) | (twice & ~converged & (rate > 2))
        return k - change, size, rate, converged, diverged, count + 1

    no = jnp.array(False)
    start = (guess, jnp.ones(()), jnp.ones(()), no, no, jnp.zeros((), dtype=int))
    k, _, _, converged, _, _ = jax.lax.while_loop(going, iterate, start)
    return k, converged


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _implicit(field: Field, base: Any, args: Any, h: Any, found: Any) -> Any:
    """The solution `found` of k = h f(base + gamma k, args), as a differentiable function of base and args."""
    return found


@_implicit.defjvp
def _implicit_jvp(field: Field, primals: Any, tangents: Any) -> tuple[Any, Any]:
    base, args, h, found = primals
    dbase, dargs, _, _ = tangents
    at = base + _GAMMA * found
    _, forcing = jax.jvp(field, (at, args), (dbase, dargs))
    matrix = jnp.eye(base.shape[0]) - h * _GAMMA * jax.jacfwd(field)(at, args)
    return found, jnp.linalg.solve(matrix, h * forcing)
