"""Kinase inhibitors in the cell: slow reversible and covalent occupancy of the ATP pocket, undone by new receptor.

Free pocket F = 1 - sum of occupied fractions; inhibitors of one kinase compete for it.

Reversible:  dO/dt = koff*(I/Ki*F - O) - (kturn + mu)*O     Ki is the apparent constant at cellular ATP
Covalent:    dX/dt = kinact*I/KI/(1 + sum of I/KI)*F - (kturn + mu)*X   recovery only by receptor synthesis

The sum runs over all covalent inhibitors, which share the pocket in the fast step before the bond forms.

Ki in cells is left as a parameter of its own, because Cheng-Prusoff's Ki*(1 + ATP/Km) over-predicts for inhibitors that
prefer an inactive conformation, lapatinib and tucatinib among them. Where ATP is to be explicit it is
Ki*(1 + ATP/Km)/over_prediction, with the factor by which the full correction is too large as a parameter.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from her2pkpd.mechanisms.population import MEDIUM
from her2pkpd.model import Builder, Scope


@dataclass(frozen=True)
class Inhibitor:
    """A kinase inhibitor and how it holds one kinase."""

    drug: str
    mode: Literal["reversible", "covalent"]
    competes: bool = False
    """Whether its constant follows ATP: see `cellular_Ki`."""


def cellular_Ki(biochemical: Any, ATP: Any, Km: Any, over_prediction: Any = 1.0) -> Any:
    """Apparent constant in cells of an inhibitor that competes with ATP, in the unit of `biochemical`.

    Args:
        biochemical: constant without ATP.
        ATP: in the cell, in the unit of `Km`.
        Km: of the kinase for ATP.
        over_prediction: by what factor the full correction is too large; 1 is Cheng and Prusoff.

    Source: Cheng & Prusoff 1973 Biochem Pharmacol 22:3099.
    """
    return biochemical * (1.0 + ATP / Km) / over_prediction


def inhibitor_in_medium(build: Builder, drug: str) -> None:
    """Kinase inhibitor in the medium (nM). It crosses membranes fast; the cells hold too little to deplete it."""
    build.species(drug, MEDIUM, "nM", scale=10.0)


def occupied(kinase: str, drug: str, population: str) -> str:
    """Name of the species "fraction of the kinase held by the drug"."""
    return f"{kinase}.kinase:{drug}.{population}"


def active(kinase: str, population: str) -> str:
    """Name of the quantity "fraction of the kinase free of inhibitor"."""
    return f"{kinase}.kinase_active.{population}"


def kinase_inhibition(build: Builder, population: str, kinase: str, inhibitors: Sequence[Inhibitor]) -> None:
    """Occupancy of one kinase by all inhibitors that reach it.

    Args:
        build: the model; must hold ``kturn.<kinase>`` (1/h) and, per drug, ``<drug>.<kinase>.Ki`` (nM) with
            ``<drug>.<kinase>.koff`` (1/h), or ``<drug>.<kinase>.kinact`` (1/h) with ``<drug>.<kinase>.KI`` (nM). For
            a reversible one that competes with explicit ATP ``<drug>.<kinase>.Ki_biochemical`` (nM) and
            ``<drug>.<kinase>.over_prediction`` in place of its Ki, and ``ATP`` and ``<kinase>.Km_ATP`` (nM).
        population: name of the population; the quantity ``mu.<population>`` must exist.
        kinase: "HER2" or "EGFR".
        inhibitors: those present; none leaves the kinase fully active.

    Source: Wood 2004 (lapatinib leaves HER2 and EGFR slowly); Rabindran 2004 (neratinib is covalent). The
    equations are textbook slow-binding and time-dependent inactivation kinetics.
    """
    held = [occupied(kinase, i.drug, population) for i in inhibitors]
    for name in held:
        build.species(name, None, "1")
    build.quantity(
        active(kinase, population),
        lambda s, p: 1.0 - sum((s[name] for name in held), 0.0),
        "1",
        f"fraction of {kinase} kinase free of inhibitor",
    )
    covalent = [i.drug for i in inhibitors if i.mode == "covalent"]
    for inhibitor, name in zip(inhibitors, held, strict=True):
        if inhibitor.mode == "reversible":
            _reversible(build, population, kinase, inhibitor, name)
        else:
            _covalent(build, population, kinase, inhibitor.drug, name, covalent)
        build.reaction(
            f"new {kinase} replaces {kinase}:{inhibitor.drug} in {population}",
            {name: -1},
            lambda s, p, name=name: (p[f"kturn.{kinase}"] + s[f"mu.{population}"]) * s[name],
            equation=f"(kturn + mu)*[{name}]",
        )


def _reversible(build: Builder, population: str, kinase: str, inhibitor: Inhibitor, name: str) -> None:
    drug = inhibitor.drug
    free, key = active(kinase, population), f"{drug}.{kinase}"

    def constant(p: Scope) -> Any:
        if not inhibitor.competes:
            return p[f"{key}.Ki"]
        given = (p[f"{key}.Ki_biochemical"], p["ATP"], p[f"{kinase}.Km_ATP"], p[f"{key}.over_prediction"])
        return cellular_Ki(*given)

    build.reaction(
        f"{drug} binds the {kinase} kinase in {population}",
        {name: 1},
        lambda s, p: p[f"{key}.koff"] * (s[drug] / constant(p) * s[free] - s[name]),
        equation=f"koff*([{drug}]/Ki*free - [{name}])",
    )


def _covalent(build: Builder, population: str, kinase: str, drug: str, name: str, rivals: Sequence[str]) -> None:
    free, key = active(kinase, population), f"{drug}.{kinase}"
    others = [r for r in rivals if r != drug]
    half = f"KI*(1 + {' + '.join(f'[{r}]/KI_{r}' for r in others)})" if others else "KI"

    def inactivation(s: Scope, p: Scope) -> Any:
        crowd = sum((s[r] / p[f"{r}.{kinase}.KI"] for r in others), 0.0)
        return p[f"{key}.kinact"] * s[drug] / (p[f"{key}.KI"] * (1.0 + crowd) + s[drug]) * s[free]

    build.reaction(
        f"{drug} inactivates the {kinase} kinase in {population}",
        {name: 1},
        inactivation,
        equation=f"kinact*[{drug}]/({half} + [{drug}])*free",
    )
