"""HER2 signal in quasi-steady state: which dimer drives it, and which drug reaches that dimer.

S = A_HER2*(a22*T^2 + a_li*(1 - L)*F4 + 2*a_ld*L*F2) + a_egfr*A_EGFR + EGF-driven part

with T the surface HER2, F4 and F2 the HER2 whose domain IV and II are free (all relative to untreated), A the
active fraction of a kinase and L = NRG1/(NRG1 + K_NRG1). One untreated cell without ligand has S = 1, because
a22 = 1 - a_li - a_egfr.

What each drug reaches is published; the algebra that joins them is this package's own:
  homodimers (a22) are cut by kinase inhibitors only; trastuzumab does not reduce them (Maadi 2018, Nami 2019),
  ligand-independent HER2:HER3 (a_li) by trastuzumab as well (Junttila 2009),
  ligand-driven HER2:HER3 (a_ld) by pertuzumab (Agus 2002; Lewis Phillips 2014), not by trastuzumab.

Where there is no receptor there is nothing an antibody could take away. T, F4 and F2 are means over cells whose
receptors are counted: with HER2 copies on average the share exp(-HER2) of cells has none (Poisson) and counts as
untreated. Antibodies thus lose their effect continuously as HER2 goes to zero, and the term is gone (below 1e-17) from
40 copies on. How much a line's signal rests on each arm is a constant of the line, not computed from its HER2: to
lower HER2 is to lower what there is to bind, not the line's dependence on it.

Alterations downstream of the receptors act on AKT. With u what reaches AKT from receptors, relative to untreated, a
cell whose AKT is raised AKT_gain times, the part AKT_free of it without any receptor, has

    pAKT = AKT_free + (1 - AKT_free)*u,     S' = S + share_AKT*(AKT_gain*pAKT - u)

pAKT being relative to its own untreated cell and S' to the untreated cell of the wild type; gain 1 and free 0 are the
wild type. The two constants of loss of PTEN and of mutant PIK3CA are those of the network, where AKT follows u nearly
on a straight line (`her2pkpd.systems.reduction`).

The mechanism defines the quantities ``signal``, ``pAKT`` and ``pERK`` of a population. A dynamic network that
defines the same three can take its place; nothing downstream knows the difference.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from her2pkpd.mechanisms.kinase import active
from her2pkpd.mechanisms.population import MEDIUM, constants
from her2pkpd.model import Builder, Expression, Scope

AKT_SHARE = {"homodimer": 0.4, "HER2:HER3": 0.8, "EGFR": 0.2}
"""Share of each arm's signal that goes to AKT, the rest going to ERK (assumed: HER3 carries the PI3K sites)."""


def ligand(build: Builder, name: str) -> None:
    """A ligand (NRG1 or EGF) in the medium, nM; supplied in excess, so receptors do not deplete it."""
    build.species(name, MEDIUM, "nM")


def _ligand_occupancy(name: str, s: Scope, p: Scope, present: bool) -> Any:
    return s[name] / (s[name] + p[f"K_{name}"]) if present else 0.0


def untreated_signal(population: str, *, altered: bool) -> Callable[[Scope], Any]:
    """The signal of the untreated cell, relative to the wild type's: 1, or more where AKT is raised."""
    if not altered:
        return lambda p: 1.0
    return lambda p: 1.0 + p["net.share_AKT"] * (p[f"{constants(population)}.AKT_gain"] - 1.0)


def quasi_steady_signalling(
    build: Builder, population: str, *, ligands: tuple[str, ...] = (), altered: bool = False
) -> None:
    """Signal, pAKT and pERK of a population, relative to the untreated cell without ligand.

    Args:
        build: the model; must hold ``<population>.HER2``, ``<population>.a_li``, ``<population>.a_egfr``, for
            each ligand present ``a_ld`` and ``K_<ligand>`` (nM), and where altered ``<population>.AKT_gain``,
            ``<population>.AKT_free`` and ``net.share_AKT``.
        population: name of the population.
        ligands: which of "NRG1" and "EGF" the medium holds.
        altered: whether AKT may be raised downstream of the receptors.
    """
    own = constants(population)

    def arms(s: Scope, p: Scope) -> dict[str, Any]:
        her2, egfr = s[active("HER2", population)], s[active("EGFR", population)]
        read = [s[f"HER2.{x}.{population}"] for x in ("surface", "free_domain_iv", "free_domain_ii")]
        none = jnp.exp(-p[f"{own}.HER2"])
        total, f4, f2 = (none + (1.0 - none) * x for x in read)
        a_li, a_egfr = p[f"{own}.a_li"], p[f"{own}.a_egfr"]
        nrg1 = _ligand_occupancy("NRG1", s, p, "NRG1" in ligands)
        egf = _ligand_occupancy("EGF", s, p, "EGF" in ligands)
        driven = 2.0 * p["a_ld"] if ligands else 0.0
        return {
            "homodimer": her2 * (1.0 - a_li - a_egfr) * total * total,
            "HER2:HER3": her2 * (a_li * (1.0 - nrg1) * f4 + driven * nrg1 * f2),
            "EGFR": egfr * a_egfr + driven * egf * egfr * 0.5 * (1.0 + her2 * f2),
        }

    def untreated(p: Scope) -> dict[str, Any]:
        a_li, a_egfr = p[f"{own}.a_li"], p[f"{own}.a_egfr"]
        return {"homodimer": 1.0 - a_li - a_egfr, "HER2:HER3": a_li, "EGFR": a_egfr}

    def weighted(values: dict[str, Any], to_akt: bool) -> Any:
        return sum(v * (AKT_SHARE[k] if to_akt else 1.0 - AKT_SHARE[k]) for k, v in values.items())

    def reaching(s: Scope, p: Scope, to_akt: bool) -> Any:
        return weighted(arms(s, p), to_akt) / weighted(untreated(p), to_akt)

    def akt(s: Scope, p: Scope) -> Any:
        u = reaching(s, p, True)
        return p[f"{own}.AKT_free"] + (1.0 - p[f"{own}.AKT_free"]) * u if altered else u

    def signal(s: Scope, p: Scope) -> Any:
        total = sum(arms(s, p).values())
        if not altered:
            return total
        raised = p[f"{own}.AKT_gain"] * akt(s, p) - reaching(s, p, True)
        return total + p["net.share_AKT"] * raised

    build.quantity(f"signal.{population}", signal, "relative", "HER2 signal")
    readings: tuple[tuple[str, Expression], ...] = (("pAKT", akt), ("pERK", lambda s, p: reaching(s, p, False)))
    for name, value in readings:
        text = f"{name} relative to the untreated cell"
        build.quantity(f"{name}.{population}", value, "relative to untreated", text)
