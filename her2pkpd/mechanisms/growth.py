"""Growth and death of cells: division driven by the HER2 signal, apoptosis when it is lost, toxicity beside it.

mu    = ln2/td * [(1 - w) + w*g(S)/g(1)] * (1 - Ntotal/Nmax),   g(S) = S^n/(S50^n + S^n)
death = k_apo * S_crit^m/(S_crit^m + S^m) + kmax*u^h/(1 + u^h),   u = sum over drugs of I/IC50

w is how far the line's division depends on the signal: 1 in addicted lines, 0 in HER2-negative ones; where AKT is
raised downstream of the receptors, g(1) is g of the untreated cell's own signal. The second term of death is toxicity
off the HER2 family, which every kinase inhibitor shows at micromolar concentrations.
Several drugs add up in units of their own IC50 (Loewe), so that a drug mixed with itself is that drug; height and
slope of the mixture are the drugs' own, weighted by their shares of u.
The forms are this package's own; Scheuher 2023 and Shah 2012 use the same saturable kill for payloads.
"""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from her2pkpd.mechanisms.hill import hill
from her2pkpd.mechanisms.population import constants, count
from her2pkpd.mechanisms.signalling import untreated_signal
from her2pkpd.model import Builder, Scope

LN2 = 0.6931471805599453


def crowding(build: Builder, populations: Sequence[str]) -> None:
    """``crowding``: the factor 1 - Ntotal/Nmax shared by all populations of a well."""
    names = [count(x) for x in populations]
    build.quantity(
        "crowding",
        lambda s, p: 1.0 - sum((s[n] for n in names[1:]), s[names[0]]) / p["Nmax"],
        "1",
        "room left in the well",
    )


def signal_driven_growth(
    build: Builder,
    population: str,
    *,
    toxic: Sequence[str] = (),
    damaged: bool = False,
    effectors: bool = False,
    survival: str = "",
    altered: bool = False,
) -> None:
    """Division and death of one population.

    Adds the quantities ``mu.<population>`` (division, 1/h) and ``death.<population>`` (1/h).

    Args:
        build: the model; must hold ``Nmax`` (cells), ``n_S``, ``n_crit``, and for the population
            ``doubling_time`` (h), ``w``, ``S50``, ``k_apo`` (1/h), ``S_crit``; for each toxic drug ``IC50_off``
            (nM), ``kmax_off`` (1/h) and ``h_off``, with the IC50 multiplied by ``<population>.tolerance``.
        population: name of the population; ``signal.<population>`` and ``crowding`` must exist or come later.
        toxic: drugs in the medium with toxicity off the HER2 family.
        survival: quantity that says how far apoptosis is held off (1 all, 0 not), in place of the Hill function of
            the signal with ``S_crit`` and ``n_crit``.
        damaged: whether payloads kill these cells; damaged cells do not divide (see `her2pkpd.mechanisms.dying`).
        effectors: whether effector cells kill as well, at ``adcc.<population>`` (see `her2pkpd.mechanisms.adcc`).
        altered: as in `her2pkpd.mechanisms.signalling.quasi_steady_signalling`.
    """

    def dividing(s: Scope) -> Any:
        return s[f"undamaged.{population}"] if damaged else 1.0

    def division(s: Scope, p: Scope) -> Any:
        rate = LN2 / p[f"{constants(population)}.doubling_time"]
        return rate * driven_share(s, p, population, altered=altered) * s["crowding"] * dividing(s)

    def death(s: Scope, p: Scope) -> Any:
        total = signal_loss(s, p, population, survival) + toxicity(s, p, population, toxic)
        return total + s[f"adcc.{population}"] if effectors else total

    cells = count(population)
    build.quantity(f"mu.{population}", division, "1/h", "division rate")
    build.quantity(f"death.{population}", death, "1/h", "death rate")
    build.growth(cells, lambda s, p: s[f"mu.{population}"], name=f"division of {population}", equation="mu*N")
    build.death(cells, lambda s, p: s[f"death.{population}"], name=f"death of {population}", equation="death*N")


def driven_share(s: Scope, p: Scope, population: str, *, altered: bool = False) -> Any:
    """Division of a population relative to its untreated rate: (1 - w) + w*g(S)/g(S of the untreated cell)."""
    own, untreated = constants(population), untreated_signal(population, altered=altered)(p)
    half, w = p[f"{own}.S50"], p[f"{own}.w"]
    drive = hill(s[f"signal.{population}"], half, p["n_S"]) / hill(untreated, half, p["n_S"])
    return 1.0 - w + w * drive


def signal_loss(s: Scope, p: Scope, population: str, survival: str = "") -> Any:
    """Apoptosis of a population that has lost its signal, 1/h; `survival` as in `signal_driven_growth`."""
    own = constants(population)
    held = s[survival] if survival else hill(s[f"signal.{population}"], p[f"{own}.S_crit"], p["n_crit"])
    return p[f"{own}.k_apo"] * (1.0 - held)


def toxicity(s: Scope, p: Scope, population: str, drugs: Sequence[str]) -> Any:
    """Death by inhibitors off the HER2 family, 1/h."""
    if not drugs:
        return 0.0
    tolerance = p[f"{constants(population)}.tolerance"]
    doses = [s[drug] / (p[f"{drug}.IC50_off"] * tolerance) for drug in drugs]
    if len(drugs) == 1:
        return p[f"{drugs[0]}.kmax_off"] * hill(doses[0], 1.0, p[f"{drugs[0]}.h_off"])
    total = sum(doses[1:], doses[0])
    # Shares of nothing: any number serves, because the effect itself is zero there.
    shares = [dose / jnp.where(total > 1e-12, total, 1.0) for dose in doses]
    top, slope = (
        sum(share * p[f"{drug}.{name}"] for share, drug in zip(shares, drugs, strict=True))
        for name in ("kmax_off", "h_off")
    )
    return top * hill(total, 1.0, slope)
