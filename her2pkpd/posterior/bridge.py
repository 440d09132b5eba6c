"""Host functions as JAX functions, in double precision whatever the process is set to."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

_stopped: list[KeyboardInterrupt] = []


@contextmanager
def stoppable() -> Iterator[None]:
    """Around a compiled program: Ctrl-C that meets a host function comes out as what it is, not as JAX's error."""
    _stopped.clear()
    try:
        yield
    except Exception:
        if _stopped:
            raise _stopped.pop() from None
        raise


def on_host(function: Callable[[np.ndarray], tuple[np.ndarray, ...]], inner: tuple[tuple[int, ...], ...]) -> Any:
    """A NumPy function of many points as a JAX function of one; `vmap` brings the points together again.

    JAX hands arguments to the host in a thread that knows nothing of a scope of double precision and would round them
    to single: they cross as pairs of 32-bit integers.

    Args:
        function: points (C, n) to arrays (C, *shape), one for every shape of `inner`.
        inner: shapes of the results of one point.

    Returns:
        A function of one point (n,), to be called where double precision is on.
    """
    import jax

    shapes = tuple(jax.ShapeDtypeStruct((*shape, 2), np.uint32) for shape in inner)

    def call(words: Any) -> tuple[np.ndarray, ...]:
        points = np.ascontiguousarray(np.asarray(words)).view(np.float64)[..., 0]
        outer = points.shape[:-1]
        try:
            found = function(points.reshape(-1, points.shape[-1]))
        except KeyboardInterrupt as stop:
            _stopped.append(stop)
            raise
        wide = [np.ascontiguousarray(x, dtype=float).reshape(*outer, *s, 1) for x, s in zip(found, inner, strict=True)]
        return tuple(x.view(np.uint32) for x in wide)

    def one(point: Any) -> Any:
        words = jax.lax.bitcast_convert_type(point, np.uint32)
        found = jax.pure_callback(call, shapes, words, vmap_method="broadcast_all")
        return tuple(jax.lax.bitcast_convert_type(x, np.float64) for x in found)

    return one


def energy_function(host: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]], n: int) -> Any:
    """An energy with its gradient as a differentiable JAX function of one point (n,); both cost one call.

    Args:
        host: points (C, n) to energies (C,) and gradients (C, n).
        n: number of coordinates.
    """
    import jax
    import jax.numpy as jnp

    both = on_host(host, ((), (n,)))

    @jax.custom_jvp
    def energy(point: Any) -> Any:
        return both(point)[0]

    @energy.defjvp
    def tangent(primals: tuple[Any], tangents: tuple[Any]) -> tuple[Any, Any]:
        value, gradient = both(primals[0])
        return value, jnp.dot(gradient, tangents[0])

    return energy
