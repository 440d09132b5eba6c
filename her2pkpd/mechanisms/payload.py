"""A payload in a medium and in cells: exchange, the target that holds it, and the kill it causes.

    dx/dt = ... - permeability*(kout*x - kin*P) - [kon_t*(x*(T - b) - KD_t*b)] - mu*x       free in the cytosol
    db/dt = [kon_t*(x*(T - b) - KD_t*b)] - mu*b                                            on its target
    dP/dt = ... + sum_j phi_j*permeability*(kout*x_j - kin*P)                              medium

Populations share a payload through the medium alone, each weighted by its cell volume over that of the medium
(phi = N*Vc/V). kin and kout act on concentrations. ``permeability`` multiplies both: 1 is the payload as published,
0 keeps it where it is.

Cells are damaged at kmax*u^n/(1 + u^n) with u = sum over payloads of (x + b)/kc50: what counts is the payload in the
cell, free and bound. Payloads add up in units of their own kc50 (Loewe), as inhibitors do, so that a payload mixed
with itself is that payload. kc50 and kmax belong to a line and a payload together.

Sources: Shah 2012 J Pharmacokinet Pharmacodyn 39:643; Singh & Shah 2017 AAPS J 19:1054; Scheuher 2023 J
Pharmacokinet Pharmacodyn 51:5-30 (kill by free and bound payload).
"""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from her2pkpd.mechanisms.hill import hill
from her2pkpd.mechanisms.population import MEDIUM, around, constants, cytosol
from her2pkpd.model import Builder, Scope


def free(payload: str, population: str) -> str:
    """Name of the species "free payload in the cytosol", nM of cell volume."""
    return f"cytosol.{payload}.{population}"


def on_target(payload: str, population: str) -> str:
    """Name of the species "payload on its target", nM of cell volume."""
    return f"target.{payload}.{population}"


def payload_in_medium(build: Builder, payload: str, *, compartment: str = MEDIUM) -> None:
    """Free payload in the medium (nM)."""
    build.species(payload, compartment, "nM", scale=0.01)


def payload_in_cells(build: Builder, population: str, payload: str) -> None:
    """Exchange with the medium and binding to the target.

    Adds the quantity ``payload.<payload>.<population>``, free and bound together (nM of cell volume).

    Args:
        build: the model; must hold the payload's ``kin``, ``kout``, ``target_kon``, ``target_KD``, ``target_amount``
            and ``permeability``.
        population: name of the population.
        payload: name of the payload.
    """
    x, b, dissolved = free(payload, population), on_target(payload, population), around(payload, population)
    inside = cytosol(population)
    build.species(x, inside, "nM", scale=1.0)
    build.species(b, inside, "nM", scale=1.0)
    build.reaction(
        f"{payload} crosses the membrane of {population}",
        {x: -1, dissolved: 1},
        lambda s, p: p[f"{payload}.permeability"] * (p[f"{payload}.kout"] * s[x] - p[f"{payload}.kin"] * s[dissolved]),
        at=inside,
        equation=f"permeability*(kout*[{x}] - kin*[{dissolved}])",
    )
    build.reaction(
        f"{payload} binds its target in {population}",
        {x: -1, b: 1},
        lambda s, p: (
            p[f"{payload}.target_kon"]
            * (s[x] * (p[f"{payload}.target_amount"] - s[b]) - p[f"{payload}.target_KD"] * s[b])
        ),
        equation=f"kon_t*([{x}]*(T - [{b}]) - KD_t*[{b}])",
    )
    build.quantity(f"payload.{payload}.{population}", lambda s, p: s[x] + s[b], "nM", f"{payload} in the cell")


def payload_kill(build: Builder, population: str, payloads: Sequence[str]) -> None:
    """The quantity ``kill.<population>``: the rate at which payloads damage cells, 1/h.

    Args:
        build: the model; must hold ``<population>.<payload>.kc50`` (nM), ``<population>.<payload>.kmax`` (1/h) and
            ``<payload>.n``.
        population: name of the population.
        payloads: those present.
    """
    own = constants(population)

    def rate(s: Scope, p: Scope) -> Any:
        doses = [s[f"payload.{x}.{population}"] / p[f"{own}.{x}.kc50"] for x in payloads]
        total = sum(doses[1:], doses[0])
        tops = [p[f"{own}.{x}.kmax"] for x in payloads]
        slopes = [p[f"{x}.n"] for x in payloads]
        if len(payloads) == 1:
            return tops[0] * hill(total, 1.0, slopes[0])
        # Shares of nothing: any number serves, because the effect itself is zero there.
        shares = [dose / jnp.where(total > 1e-12, total, 1.0) for dose in doses]
        top, slope = (sum(a * v for a, v in zip(shares, values, strict=True)) for values in (tops, slopes))
        return top * hill(total, 1.0, slope)

    build.quantity(f"kill.{population}", rate, "1/h", "rate at which payloads damage cells")
