"""The HER2 signal of a patient's tumour: what its cells depend on, and how kinase inhibitors and NRG1 reach them."""

from collections.abc import Mapping, Sequence

from her2pkpd.library import Drug, load_parameters
from her2pkpd.mechanisms.disposition import plasma
from her2pkpd.mechanisms.kinase import Inhibitor, kinase_inhibition
from her2pkpd.mechanisms.signalling import quasi_steady_signalling
from her2pkpd.model import Builder
from her2pkpd.systems.sourced import sourced
from her2pkpd.systems.well import CELL, mechanism_constants

DOWNSTREAM = ("AKT_gain", "AKT_free")
"""What alterations of PTEN and PIK3CA do to AKT; see `her2pkpd.mechanisms.signalling`."""

GLOBAL = ("n_S", "n_crit", "kturn.HER2", "kturn.EGFR")


def signal_parameters(build: Builder, population: str, own: Mapping[str, float]) -> None:
    """Constants of the signal and of what depends on it, of a population of a tumour.

    Args:
        build: the model.
        population: its name.
        own: its own values by name, any of `her2pkpd.systems.well.CELL` and `DOWNSTREAM`, canonical units; what is
            missing has the library's value for tumours, or else for cells.
    """
    table = load_parameters()
    for name in (*CELL, *DOWNSTREAM):
        default = table[f"tumour.{name}" if f"tumour.{name}" in table else f"cell.{name}"]
        build.parameter(f"{population}.{name}", own.get(name, default.canonical), default.canonical_unit)
    sourced(build, "net.share_AKT", table["net.share_AKT"])


def exposure_ratio(drug: Drug) -> float:
    """Concentration in culture medium that frees as much inhibitor as a concentration of one does in plasma.

    Cell constants are those of medium with 10 % serum. Binding is taken as proportional to protein, so that
    fu_medium = 1/(1 + 0.1*(1/fu - 1)), and the ratio is fu/fu_medium.
    """
    unbound = drug.plasma["fu"].canonical if "fu" in drug.plasma else 1.0
    return unbound * (1.0 + 0.1 * (1.0 / unbound - 1.0))


def stromal_ligand(build: Builder, concentration: float) -> None:
    """NRG1 made by the tissue around the cells, as fast as it is lost: constant in the interstitium, nM."""
    for name in ("a_ld", "K_NRG1"):
        sourced(build, name, load_parameters()[name])
    build.parameter("tumour.NRG1", concentration, "nM")
    build.quantity("NRG1", lambda s, p: p["tumour.NRG1"], "nM", "NRG1 around the tumour's cells")


def inhibitors_in_tumour(build: Builder, inhibitors: Sequence[Drug]) -> None:
    """Kinase inhibitors all over a tumour: they cross it within minutes, so that they follow plasma at once.

    Adds the quantity ``<drug>``, the concentration in culture medium (nM) that has the effect of the one in plasma.

    Args:
        build: the model, which holds the quantity ``plasma.<drug>``.
        inhibitors: the drugs.
    """
    for drug in inhibitors:
        name = drug.name
        build.parameter(f"{name}.exposure_ratio", exposure_ratio(drug), "1")
        build.quantity(
            name,
            lambda s, p, name=name: p[f"{name}.exposure_ratio"] * s[plasma(name)],
            "nM",
            f"{name} in the tumour, as the concentration in medium that has its effect",
        )
        mechanism_constants(build, drug)


def signalling_cells(
    build: Builder, population: str, inhibitors: Sequence[Drug], *, ligands: tuple[str, ...] = ()
) -> None:
    """Kinases and signal of a population in one place of a tumour.

    Args:
        build: the model; must hold `signal_parameters` of the population and the quantities of its receptors.
        population: its name, with the place.
        inhibitors: kinase inhibitors in the tumour.
        ligands: ("NRG1",) where there is some.
    """
    for kinase in ("HER2", "EGFR"):
        reached = [Inhibitor(d.name, d.kinases[kinase].mode) for d in inhibitors if kinase in d.kinases]
        kinase_inhibition(build, population, kinase, reached)
    quasi_steady_signalling(build, population, ligands=ligands, altered=True)
