"""Cells in a shared medium: the volumes through which everything is exchanged.

Per-cell concentrations are nM of cell volume; a population of N cells of volume Vc occupies N*Vc. Whatever
passes between medium and cells changes each side by the ratio of these volumes (phi = N*Vc/V), which the model
layer applies by itself from the compartments declared here. Receptor states are fractions of the receptor
number R0 of an untreated cell; the surface "volume" N*Vc*R0 turns a fraction into an amount. Divided by R0 the
published equations are unchanged, and they stay defined for a line without receptors.

A population may live in one of several places, the shells of a tumour for instance: ``HER2+@2`` is the population
``HER2+`` in place 2. It has the constants of ``HER2+`` and exchanges with what is dissolved in its own place, such as
the species ``T-DXd@2``. In a well there is one place, and names carry no ``@``.
"""

from her2pkpd.model import Builder
from her2pkpd.units import AVOGADRO

MEDIUM = "medium"


def constants(population: str) -> str:
    """Whose parameters a population has: its name without the place."""
    return population.partition("@")[0]


def around(name: str, population: str) -> str:
    """A dissolved species, or a compartment of the surroundings, in the place where a population lives."""
    _, at, place = population.partition("@")
    return f"{name}{at}{place}"


def count(population: str) -> str:
    """Name of the species that counts the live cells of a population."""
    return f"N.{population}"


def cytosol(population: str) -> str:
    """Name of the intracellular compartment of a population."""
    return f"cell.{population}"


def surface(population: str) -> str:
    """Name of the compartment of a population's surface receptors."""
    return f"surface.{population}"


def medium(build: Builder, *, volume: float) -> None:
    """The culture medium.

    Args:
        build: the model under construction.
        volume: L.
    """
    build.parameter("V", volume, "L")
    build.compartment(MEDIUM, lambda s, p: p["V"])


def population(build: Builder, name: str, *, seeded: float) -> None:
    """One population of cells, with its count, its cell volume and its surface.

    Args:
        build: the model; must hold the parameters ``Vc`` (L per cell) and ``<name>.HER2`` (copies/cell).
        name: name of the population, usually the cell line.
        seeded: cells at time zero.
    """
    cells = count(name)
    build.parameter(f"{name}.seeded", seeded, "cells")
    build.species(cells, None, "cells", initial=lambda p: p[f"{name}.seeded"], scale=1e3)
    build.compartment(cytosol(name), lambda s, p: s[cells] * p["Vc"], count=cells)
    # R0 in nM of cell volume is copies/(NA*Vc), so N*Vc*R0 in nmol loses the cell volume.
    copies = f"{constants(name)}.HER2"
    build.compartment(surface(name), lambda s, p: s[cells] * p[copies] * (1e9 / AVOGADRO), count=cells)
