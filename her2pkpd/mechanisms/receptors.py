"""HER2 on the surface: synthesis, internalisation, and the states its two antibody epitopes can take.

Trafficking is the *net* set of Maass 2016 (internalisation with recycling already inside it). It must not be
mixed with the recycling set of Scheuher 2023, whose rates describe the same data differently.

A receptor state is a pair (who sits on domain IV, who sits on domain II); each may be nobody. Everything that
binds domain IV competes for it: trastuzumab, and any conjugate made from it. Domain II is pertuzumab's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from her2pkpd.mechanisms.population import surface
from her2pkpd.model import Builder, Coefficient, Expression, Scope


def molecule(occupant: str) -> str:
    """The drug whose constants an occupant has: ``T-DM1.DAR3`` binds and travels as ``T-DM1`` does."""
    return occupant.partition(".DAR")[0]


@dataclass(frozen=True)
class ReceptorState:
    """Occupants of the two epitopes; "" is nobody."""

    domain_iv: str = ""
    domain_ii: str = ""

    def species(self, population: str) -> str:
        """Species name, such as ``HER2:trastuzumab:pertuzumab.SK-BR-3``."""
        return ":".join(["HER2", *filter(None, (self.domain_iv, self.domain_ii))]) + f".{population}"


def receptor_states(domain_iv: Sequence[str], domain_ii: Sequence[str]) -> list[ReceptorState]:
    """Every combination of occupants, the free receptor first."""
    return [ReceptorState(iv, ii) for ii in ("", *domain_ii) for iv in ("", *domain_iv)]


def her2_turnover(
    build: Builder,
    population: str,
    states: Sequence[ReceptorState],
    *,
    cargo: Mapping[str, Mapping[str, Coefficient]] | None = None,
) -> None:
    """Surface HER2 is made free, and internalised in every state.

    d(HER2)/dt = (kint + mu)*1 - kint*HER2 - (dilution mu*HER2), in fractions of R0: synthesis restores the
    untreated level and keeps up with division at the current rate mu. Antibody-bound receptor goes in
    ``<drug>.internalisation_ratio`` times as fast; one that carries antibodies on both epitopes goes in
    ``antibody_pair.internalisation_ratio`` times as fast.

    Args:
        build: the model; must hold ``kint`` (1/h) and define the quantity ``mu.<population>``.
        population: name of the population.
        states: receptor states present.
        cargo: what an internalised occupant of domain IV brings along, as species and number, by occupant.

    Source: Maass 2016 (net internalisation, half-life 6-14 h); Szymanska 2016 (pairs of antibodies on separate
    epitopes drive internalisation that single antibodies do not; direction only).
    """
    where = surface(population)
    for state in states:
        free = state == ReceptorState()
        build.species(state.species(population), where, "fraction of R0", initial=1.0 if free else 0.0)
    build.reaction(
        f"HER2 synthesis in {population}",
        {ReceptorState().species(population): 1},
        lambda s, p: p["kint"] + s[f"mu.{population}"],
        equation="(kint + mu)*R0",
    )
    for state in states:
        name, ratio = state.species(population), _internalisation_ratio(state)
        build.reaction(
            f"internalisation of {name}",
            {name: -1, **(cargo or {}).get(state.domain_iv, {})},
            lambda s, p, name=name, ratio=ratio: p["kint"] * (p[ratio] if ratio else 1.0) * s[name],
            at=where,
            equation=f"kint{'*' + ratio if ratio else ''}*[{name}]",
        )


def _internalisation_ratio(state: ReceptorState) -> str:
    if state.domain_iv and state.domain_ii:
        return "antibody_pair.internalisation_ratio"
    bound = molecule(state.domain_iv or state.domain_ii)
    return f"{bound}.internalisation_ratio" if bound else ""


def her2_read_outs(build: Builder, population: str, states: Sequence[ReceptorState]) -> None:
    """Surface HER2, the parts of it free at each epitope, and the occupancy by each drug.

    Adds ``HER2.surface``, ``HER2.free_domain_iv``, ``HER2.free_domain_ii`` (all relative to R0) and
    ``occupancy.<drug>`` (fraction of the HER2 on the surface that carries the drug), each ending in the
    population's name.
    """

    def total(chosen: list[str]) -> Expression:
        return lambda s, p: sum((s[name] for name in chosen[1:]), s[chosen[0]])

    names = {state: state.species(population) for state in states}
    build.quantity(f"HER2.surface.{population}", total(list(names.values())), "fraction of R0", "HER2 on the surface")
    for site in ("domain_iv", "domain_ii"):
        free = [name for state, name in names.items() if not getattr(state, site)]
        label = f"HER2.free_{site}.{population}"
        build.quantity(label, total(free), "fraction of R0", f"surface HER2 whose {site} is free")
        for drug in sorted({molecule(getattr(state, site)) for state in states} - {""}):
            held = [n for state, n in names.items() if molecule(getattr(state, site)) == drug]
            _occupancy(build, population, drug, held)


def _occupancy(build: Builder, population: str, drug: str, bound: list[str]) -> None:
    def fraction(s: Scope, p: Scope) -> Any:
        return sum((s[name] for name in bound[1:]), s[bound[0]]) / s[f"HER2.surface.{population}"]

    build.quantity(f"occupancy.{drug}.{population}", fraction, "1", f"fraction of surface HER2 carrying {drug}")
