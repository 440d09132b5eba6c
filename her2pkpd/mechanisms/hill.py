"""The saturating functions of pharmacology, safe to differentiate where plain powers are not."""

from typing import Any

import jax
import jax.numpy as jnp


def hill(x: Any, half: Any, n: Any) -> Any:
    """x^n / (half^n + x^n), with value and derivatives defined at x = 0.

    Args:
        x: concentration or signal; values at or below zero give 0.
        half: value at half effect, in the unit of `x`.
        n: Hill exponent.

    A power of a negative rounding error, and the derivative 0^(n-1)*log 0 at zero, are what make plain Hill
    expressions return NaN; below a millionth of a millionth of `half` the effect is taken as zero. The logistic of
    n*log(x/half) is the same function and does not overflow far above `half`.
    """
    ratio = x / half
    enough = ratio > 1e-12
    safe = jnp.where(enough, ratio, 1.0)
    return jnp.where(enough, jax.nn.sigmoid(n * jnp.log(safe)), 0.0)
