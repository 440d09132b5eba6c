"""Payload released from a conjugate into plasma, as population models describe it: by an apparent rate.

dA/dt = payload_per_antibody*Krel*f(cycle)*A_central - CL*C,   C = A/Vc,   f = cycle^b * (later if cycle > 1)

Krel is not a physical linker rate. Yin 2021 estimates it at 0.0159/h while the intact conjugate is eliminated at
0.0063/h: within a cycle the model "releases" more payload than was dosed. The release therefore takes nothing from
the conjugate, and no mass balance holds between the two.
"""

from typing import Any

import jax.numpy as jnp

from her2pkpd.mechanisms.disposition import AMOUNTS, central, plasma
from her2pkpd.model import Builder, Scope


def cycle(drug: str) -> str:
    """Name of the state that counts the doses of a drug given so far."""
    return f"cycle.{drug}"


def released_payload(build: Builder, drug: str, payload: str) -> None:
    """Plasma payload, formed at an apparent rate from the conjugate in plasma and eliminated linearly.

    Adds the state ``central.<payload>`` (nmol), the counter ``cycle.<drug>``, which every dose raises by one, and the
    output ``plasma.<payload>`` (nM).

    Args:
        build: the model with the conjugate's disposition; must hold ``<drug>.Krel`` (1/h),
            ``<drug>.Krel_cycle_exponent``, ``<drug>.Krel_later_cycles``, ``<drug>.payload_per_antibody``, and
            ``<payload>.CL`` (L/h) and ``<payload>.Vc`` (L).
        drug: the conjugate.
        payload: the payload.

    Source: Yin 2021 Clin Pharmacol Ther 109:1314.
    """
    build.species(cycle(drug), None, "1")
    build.species(central(payload), AMOUNTS, "nmol")
    build.quantity(plasma(payload), lambda s, p: s[central(payload)] / p[f"{payload}.Vc"], "nM", f"{payload} in plasma")

    def release(s: Scope, p: Scope) -> Any:
        number = jnp.maximum(s[cycle(drug)], 1.0)
        # Between doses the count is whole; half a dose is as good a threshold as any.
        later = jnp.where(number > 1.5, p[f"{drug}.Krel_later_cycles"], 1.0)
        rate = p[f"{drug}.Krel"] * jnp.power(number, p[f"{drug}.Krel_cycle_exponent"]) * later
        return p[f"{drug}.payload_per_antibody"] * rate * s[central(drug)]

    build.reaction(
        f"release of {payload} from {drug}",
        {central(payload): 1},
        release,
        equation="payload_per_antibody*Krel*cycle^b*(later if cycle > 1)*A",
    )
    build.reaction(
        f"clearance of {payload}",
        {central(payload): -1},
        lambda s, p: p[f"{payload}.CL"] * s[plasma(payload)],
        equation=f"CL*[{plasma(payload)}]",
    )
