"""Growth of a tumour: exponential while small, linear when large, and at most Vmax.

    mu = ln2/td*(1 - V/Vmax)/(1 + (ln2/td*V/klin)^psi)^(1/psi) * undamaged * f(S),   psi = 20

Every population grows at its own doubling time; the linear regime is the tumour's, whose whole volume counts. In a
population that depends on the HER2 signal f and a death rate follow from it as in `her2pkpd.mechanisms.growth`; in
others f = 1.

Source: Simeoni 2004 Cancer Res 64:1094 (the two regimes); Scheuher 2023 J Pharmacokinet Pharmacodyn 51:5-30.
"""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from her2pkpd.mechanisms.growth import LN2, driven_share, signal_loss, toxicity
from her2pkpd.mechanisms.population import constants, count
from her2pkpd.model import Builder, Scope

PSI = 20


def tumour_growth(
    build: Builder, population: str, *, driven: bool = False, toxic: Sequence[str] = (), damaged: bool = True
) -> None:
    """Division of one population in a tumour, and its death beside that by payload.

    Adds the quantities ``mu.<population>`` and ``death.<population>`` (1/h).

    Args:
        build: the model; must hold ``Vmax`` (L), ``klin`` (L/h) and ``<population>.doubling_time`` (h), and the
            quantity ``tumour.volume``; of a driven population ``signal.<population>`` and the constants of
            `her2pkpd.mechanisms.growth.signal_driven_growth`.
        population: name of the population.
        driven: whether division depends on the HER2 signal.
        toxic: inhibitors with toxicity off the HER2 family.
        damaged: whether payloads may kill these cells, and ``undamaged.<population>`` exists.
    """
    own = constants(population)

    def division(s: Scope, p: Scope) -> Any:
        rate = LN2 / p[f"{own}.doubling_time"]
        volume = s["tumour.volume"]
        crowded = (rate * volume / p["klin"]) ** PSI
        slowing = jnp.exp(-jnp.log1p(crowded) / PSI)
        rate = rate * (1.0 - volume / p["Vmax"]) * slowing
        rate = rate * s[f"undamaged.{population}"] if damaged else rate
        return rate * driven_share(s, p, population, altered=True) if driven else rate

    def death(s: Scope, p: Scope) -> Any:
        lost = signal_loss(s, p, population) if driven else 0.0 * p["Vmax"]
        return lost + toxicity(s, p, population, toxic) if toxic else lost

    build.quantity(f"mu.{population}", division, "1/h", "division rate")
    build.quantity(f"death.{population}", death, "1/h", "death beside that by payload")
    build.growth(count(population), lambda s, p: s[f"mu.{population}"], name=f"division of {population}")
    if driven or toxic:
        build.death(count(population), lambda s, p: s[f"death.{population}"], name=f"death of {population}")
    if not damaged:
        build.quantity(f"loss.{population}", death, "1/h", "cells lost, by whatever cause")
