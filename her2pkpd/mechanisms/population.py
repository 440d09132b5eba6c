"""Cells in a shared medium: the volumes through which everything is exchanged.

Per-cell concentrations are nM of cell volume; a population of N cells of volume Vc occupies N*Vc. Whatever
passes between medium and cells changes each side by the ratio of these volumes (phi = N*Vc/V), which the model
layer applies by itself from the compartments declared here. Receptor states are fractions of the receptor
number R0 of an untreated cell; the surface "volume" N*Vc*R0 turns a fraction into an amount. Divided by R0 the
published equations are unchanged, and they stay defined for a line without receptors.
"""

from her2pkpd.model import Builder
from her2pkpd.units import AVOGADRO

MEDIUM = "medium"


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
        build: the model; must hold the parameters ``Vc`` (L per cell) and ``<name>.HER2`` (receptors per cell).
        name: name of the population, usually the cell line.
        seeded: cells at time zero.
    """
    cells = count(name)
    build.parameter(f"{name}.seeded", seeded, "cells")
    build.species(cells, None, "cells", initial=lambda p: p[f"{name}.seeded"], scale=1e3)
    build.compartment(cytosol(name), lambda s, p: s[cells] * p["Vc"], count=cells)
    # R0 in nM of cell volume is copies/(NA*Vc), so N*Vc*R0 in nmol loses the cell volume.
    build.compartment(surface(name), lambda s, p: s[cells] * p[f"{name}.HER2"] * (1e9 / AVOGADRO), count=cells)
