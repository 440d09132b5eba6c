"""Antibody-dependent killing by effector cells.

death = kmax*E/(E + E50)*B/(B + B50),  E effector cells per target cell, B antibodies bound per target cell.

B counts every antibody with a working Fc part: trastuzumab, its conjugates, and pertuzumab. Effectors whose
Fcgamma receptor IIIa is F158 bind the Fc part half as tightly as V158 and need as many more antibodies.
"""

from collections.abc import Callable, Mapping
from typing import Any

from her2pkpd.mechanisms.population import count
from her2pkpd.model import Builder, Scope


def adcc_rate(build: Builder, population: str, bound: Mapping[str, Callable[[Scope], Any]]) -> None:
    """How fast effectors kill one population: the quantities ``antibodies_bound`` and ``adcc`` (1/h).

    Args:
        build: the model; must hold ``adcc.kmax`` (1/h), ``adcc.E50``, ``adcc.B50`` (antibodies/cell, V158),
            ``adcc.F158`` (fraction of effectors' alleles that are F), ``adcc.F158_ratio`` and ``effectors``
            (effector cells per target cell seeded).
        population: name of the population.
        bound: antibodies with a working Fc part per cell and unit of each species, from the parameters.

    Source: the form and the thresholds follow Barok 2007, Collins 2012 and Boero 2015; the affinities of the two
    allotypes are those of mAbs 2018 10:864; the rate constants are this package's own.
    """
    label = f"antibodies_bound.{population}"
    build.quantity(label, lambda s, p: sum((n(p) * s[x] for x, n in bound.items()), 0.0), "copies/cell", "bound")

    def rate(s: Scope, p: Scope) -> Any:
        half = p["adcc.B50"] * (1.0 + p["adcc.F158"] * (p["adcc.F158_ratio"] - 1.0))
        reach = p["effectors"] / (p["effectors"] + p["adcc.E50"])
        return p["adcc.kmax"] * reach * s[label] / (half + s[label])

    build.quantity(f"adcc.{population}", rate, "1/h", "killing by effector cells")


def adcc(build: Builder, population: str, bound: Mapping[str, float]) -> None:
    """Killing of one population, as `adcc_rate`, and its death by it.

    Args:
        build: the model.
        population: name of the population.
        bound: antibodies carried by each species that carries any; species are in copies/cell.
    """
    adcc_rate(build, population, {x: lambda p, n=n: n for x, n in bound.items()})
    build.death(count(population), lambda s, p: s[f"adcc.{population}"], name=f"ADCC of {population}")
