"""Growth of a tumour: exponential while small, linear when large, and at most Vmax.

    mu = ln2/td*(1 - V/Vmax)/(1 + (ln2/td*V/klin)^psi)^(1/psi) * undamaged,   psi = 20

Every population grows at its own doubling time; the linear regime is the tumour's, whose whole volume counts.

Source: Simeoni 2004 Cancer Res 64:1094 (the two regimes); Scheuher 2023 J Pharmacokinet Pharmacodyn 51:5-30.
"""

from typing import Any

import jax.numpy as jnp

from her2pkpd.mechanisms.growth import LN2
from her2pkpd.mechanisms.population import constants, count
from her2pkpd.model import Builder, Scope

PSI = 20


def tumour_growth(build: Builder, population: str) -> None:
    """Division of one population in a tumour; its death is by payload alone.

    Adds the quantities ``mu.<population>`` and ``death.<population>`` (1/h).

    Args:
        build: the model; must hold ``Vmax`` (L), ``klin`` (L/h) and ``<population>.doubling_time`` (h), and the
            quantities ``tumour.volume`` and ``undamaged.<population>``.
        population: name of the population.
    """
    own = constants(population)

    def division(s: Scope, p: Scope) -> Any:
        rate = LN2 / p[f"{own}.doubling_time"]
        volume = s["tumour.volume"]
        crowded = (rate * volume / p["klin"]) ** PSI
        slowing = jnp.exp(-jnp.log1p(crowded) / PSI)
        return rate * (1.0 - volume / p["Vmax"]) * slowing * s[f"undamaged.{population}"]

    build.quantity(f"mu.{population}", division, "1/h", "division rate")
    build.quantity(f"death.{population}", lambda s, p: 0.0 * p["Vmax"], "1/h", "death beside that by payload")
    build.growth(count(population), lambda s, p: s[f"mu.{population}"], name=f"division of {population}")
