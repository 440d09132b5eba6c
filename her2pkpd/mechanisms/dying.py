"""Damaged cells: a delay of three stages between the hit of a payload and the end of the cell, and what is released.

    dN/dt  = mu*N - (death + D3/(tau*N))*N                all cells that are still there
    dD1/dt = kill*(N - D1 - D2 - D3) - (1/tau + death)*D1
    dD2/dt = (D1 - D2)/tau - death*D2
    dD3/dt = (D2 - D3)/tau - death*D3

Damaged cells no longer divide. They count in the volume, go on binding and exchanging, and hold what the average
cell of their population holds, until they fall apart. Then everything a cell holds (on its receptors, in its
lysosomes, in its cytosol and on the target) reaches the surroundings as free payload, in the fraction
``release_at_death``; the rest leaves with the debris.

Sources: Scheuher 2023 J Pharmacokinet Pharmacodyn 51:5-30 (transit death, release into the interstitium); Singh 2020
J Pharmacol Exp Ther 374:184 (release by dying cells). That damaged cells share the average content is this
package's simplification; it keeps the balance exact with one compartment per population.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from her2pkpd.mechanisms.adc import Processing, held_by
from her2pkpd.mechanisms.payload import free, on_target
from her2pkpd.mechanisms.population import around, constants, count, cytosol, surface
from her2pkpd.mechanisms.receptors import ReceptorState
from her2pkpd.model import Builder, Coefficient, Scope

STAGES = 3


def damaged(population: str, stage: int) -> str:
    """Name of the species that counts damaged cells in one stage."""
    return f"damaged{stage}.{population}"


def transit_death(build: Builder, population: str) -> None:
    """Stages of damage, and the end of cells that have passed them.

    Adds the quantities ``undamaged.<population>`` (fraction) and ``loss.<population>`` (1/h, every way out).

    Args:
        build: the model; must hold ``<population>.tau`` (h) and the quantities ``kill.<population>`` and
            ``death.<population>``.
        population: name of the population.
    """
    cells, stages = count(population), [damaged(population, k) for k in range(1, STAGES + 1)]
    tau = f"{constants(population)}.tau"
    for name in stages:
        build.species(name, None, "cells", scale=1e3)
    build.quantity(
        f"undamaged.{population}",
        lambda s, p: 1.0 - sum((s[d] for d in stages[1:]), s[stages[0]]) / s[cells],
        "1",
        "share of cells no payload has damaged",
    )
    build.reaction(
        f"payload damages {population}",
        {stages[0]: 1},
        lambda s, p: s[f"kill.{population}"] * s[f"undamaged.{population}"] * s[cells],
        equation="kill*undamaged*N",
    )
    for k, name in enumerate(stages):
        onwards: dict[str, Coefficient] = {name: -1}
        if k + 1 < STAGES:
            onwards[stages[k + 1]] = 1
        build.reaction(f"{name} goes on", onwards, lambda s, p, d=name: s[d] / p[tau], equation=f"[{name}]/tau")
        build.reaction(f"{name} dies otherwise", {name: -1}, lambda s, p, d=name: s[f"death.{population}"] * s[d])
    build.death(cells, lambda s, p: s[stages[-1]] / (p[tau] * s[cells]), name=f"{population} falls apart")
    build.quantity(
        f"loss.{population}",
        lambda s, p: s[f"death.{population}"] + s[stages[-1]] / (p[tau] * s[cells]),
        "1/h",
        "cells lost, by whatever cause",
    )


@dataclass(frozen=True)
class Holding:
    """What a population holds of one payload, in the amounts that are released together.

    Attributes:
        inside: species in the cytosol's compartment, payload by payload.
        bound: receptor states that carry conjugate, with the payloads on each.
    """

    inside: tuple[str, ...]
    bound: Mapping[str, Coefficient]


def holding(
    payload: str, population: str, processings: Sequence[Processing], states: Sequence[ReceptorState]
) -> Holding:
    """Everything a population holds of a payload."""
    own = [x for x in processings if x.payload == payload]
    inside = [
        free(payload, population),
        on_target(payload, population),
        *(n for x in own for n in held_by(x, population)),
    ]
    carried = {load.species: load.payloads for x in own for load in x.loads}
    bound = {s.species(population): carried[s.domain_iv] for s in states if s.domain_iv in carried}
    return Holding(tuple(inside), bound)


def release(build: Builder, population: str, payload: str, held: Holding, *, ledger: str = "") -> None:
    """What lost cells held reaches the surroundings.

    Args:
        build: the model; must hold ``<payload>.release_at_death`` and the quantity ``loss.<population>``.
        population: name of the population.
        payload: name of the payload.
        held: what is released.
        ledger: species that books what goes with the debris, or "" for none.
    """
    outside, share = around(payload, population), f"{payload}.release_at_death"

    def number(payloads: Coefficient, p: Scope) -> object:
        return p[payloads] if isinstance(payloads, str) else payloads

    def book(name: str, where: str, payloads: Coefficient) -> None:
        lost = lambda s, p: s[f"loss.{population}"] * number(payloads, p) * s[name]  # noqa: E731
        build.reaction(f"{name} set free", {outside: 1}, lambda s, p: p[share] * lost(s, p), at=where)
        if ledger:
            build.reaction(
                f"{name} lost with debris", {ledger: 1}, lambda s, p: (1.0 - p[share]) * lost(s, p), at=where
            )

    for name in held.inside:
        book(name, cytosol(population), 1.0)
    for name, payloads in held.bound.items():
        book(name, surface(population), payloads)
