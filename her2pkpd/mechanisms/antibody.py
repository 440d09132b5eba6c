"""Antibodies on HER2: reversible binding to independent epitopes, paid for by the medium."""

from collections.abc import Sequence

from her2pkpd.mechanisms.population import MEDIUM, around, surface
from her2pkpd.mechanisms.receptors import ReceptorState, molecule
from her2pkpd.model import Builder


def antibody_in_medium(build: Builder, drug: str, *, compartment: str = MEDIUM) -> None:
    """Antibody or conjugate in the medium (nM); binding by cells depletes it."""
    build.species(drug, compartment, "nM")


def epitope_binding(build: Builder, population: str, states: Sequence[ReceptorState]) -> None:
    """Every antibody binds its epitope on every receptor state that leaves the epitope free.

    bind = kon*A*R - koff*C,  koff = kon*KD, for one apparent KD per antibody (both arms together). When the
    other epitope is taken already, koff is divided by ``omega``: omega = 1 leaves the two epitopes independent.
    The medium loses bind * phi * R0.

    Args:
        build: the model; must hold ``<drug>.kon`` (1/nM/h), ``<drug>.KD`` (nM) and ``omega``.
        population: name of the population.
        states: receptor states present.

    Source: Scheuher 2023 (constants for trastuzumab on cells, fitted to Austin 2004); Lua 2015 (neither antibody
    enhances the other's binding: omega = 1).
    """
    present = set(states)
    for state in states:
        for bound, drug in _bound_states(state, present):
            _bind(build, population, state, bound, drug)


def _bound_states(state: ReceptorState, present: set[ReceptorState]) -> list[tuple[ReceptorState, str]]:
    reach = []
    for target in present:
        if not state.domain_iv and target.domain_iv and target.domain_ii == state.domain_ii:
            reach.append((target, target.domain_iv))
        if not state.domain_ii and target.domain_ii and target.domain_iv == state.domain_iv:
            reach.append((target, target.domain_ii))
    return sorted(reach, key=lambda pair: pair[1])


def _bind(build: Builder, population: str, free: ReceptorState, bound: ReceptorState, drug: str) -> None:
    receptor, complex_ = free.species(population), bound.species(population)
    both = bool(bound.domain_iv and bound.domain_ii)
    own, dissolved = molecule(drug), around(drug, population)
    build.reaction(
        f"{drug} binds {receptor}",
        {dissolved: -1, receptor: -1, complex_: 1},
        lambda s, p: (
            p[f"{own}.kon"]
            * (s[dissolved] * s[receptor] - p[f"{own}.KD"] / (p["omega"] if both else 1.0) * s[complex_])
        ),
        at=surface(population),
        equation=f"kon*([{dissolved}]*[{receptor}] - KD{'/omega' if both else ''}*[{complex_}])",
    )
