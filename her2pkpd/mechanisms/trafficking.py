"""How ErbB receptors reach and leave the membrane: synthesis, internalisation, shedding of the HER2 ectodomain.

Trafficking is the net set (recycling inside the rates; see `her2pkpd.mechanisms.receptors`). Without ligand every
form of HER2, HER3 and HER4 goes in at ``kint`` and EGFR at ``kturn.EGFR``, so that untreated cells hold exactly the
receptors measured. HER2 resists internalisation: ligand takes EGFR away within minutes, its dimers with HER2 slowly.
"""

from typing import Any

from her2pkpd.mechanisms.dimers import RECEPTORS, Dimer, Form, membrane
from her2pkpd.mechanisms.kinase import occupied
from her2pkpd.mechanisms.population import MEDIUM
from her2pkpd.model import Builder, Scope

SHED = "sHER2"


def p95(population: str) -> str:
    """Name of the species that is left of HER2 after shedding."""
    return f"p95HER2.{population}"


def synthesis(build: Builder, population: str, *, her3: str = "", her2: str = "") -> None:
    """New receptors replace what untreated cells lose and what division dilutes.

    Args:
        build: the model; must hold ``kint``, ``kshed``, ``kturn.EGFR`` (1/h), ``<population>.<receptor>``
            (copies/cell) and the quantity ``mu.<population>``.
        population: name of the population.
        her3: quantity or species by which HER3 synthesis is multiplied (its mRNA), or "".
        her2: likewise for HER2, when its mRNA is modelled.
    """
    for receptor in RECEPTORS:
        scale = {"HER3": her3, "HER2": her2}.get(receptor, "")

        def rate(s: Scope, p: Scope, receptor: str = receptor, scale: str = scale) -> Any:
            loss = p["kturn.EGFR"] if receptor == "EGFR" else p["kint"]
            loss = loss + (p["kshed"] if receptor == "HER2" else 0.0) + s[f"mu.{population}"]
            return loss * p[f"{population}.{receptor}"] * (s[scale] if scale else 1.0)

        build.reaction(
            f"{receptor} synthesis in {population}",
            {Form(receptor).species(population): 1},
            rate,
            equation="(loss + mu)*R0",
        )


def internalisation(
    build: Builder, population: str, present: list[Form], pairs: list[Dimer], *, stabilisers: tuple[str, ...] = ()
) -> None:
    """Every form and dimer goes in at its own pace; dimers as one unit (Hendriks 2003).

    Args:
        build: the model; must hold ``kint``, ``kturn.EGFR``, ``kint.EGFR_driven``, ``kint.HER2_driven`` (1/h) and
            the ratios ``kint.single_antibody``, ``kint.antibody_pair``, ``kint.inhibited``.
        population: name of the population.
        present: forms.
        pairs: dimers.
        stabilisers: reversible HER2 inhibitors, which hold HER2 on the surface.

    Source: Maass 2016 (kint); Chen 2009 (liganded EGFR in minutes, other dimers two decades slower); Szymanska 2016
    (pairs of antibodies drive internalisation, single ones hardly do).
    """

    def held(s: Scope, p: Scope) -> Any:
        share = sum((s[occupied("HER2", drug, population)] for drug in stabilisers), 0.0)
        return 1.0 - (1.0 - p["kint.inhibited"]) * share

    for item in [*present, *pairs]:
        name, bodies = item.species(population), _bodies(item)
        base, ratio = _pace(bodies), _antibody_ratio(bodies)
        her2 = any(f.receptor == "HER2" for f in bodies)
        build.reaction(
            f"internalisation of {name}",
            {name: -1},
            lambda s, p, name=name, base=base, ratio=ratio, her2=her2: (
                p[base] * (p[ratio] if ratio else 1.0) * (held(s, p) if her2 else 1.0) * s[name]
            ),
            equation=f"{base}{'*' + ratio if ratio else ''}*[{name}]",
        )


def _bodies(item: Form | Dimer) -> tuple[Form, ...]:
    return (item,) if isinstance(item, Form) else item.forms


def _pace(bodies: tuple[Form, ...]) -> str:
    kinds = {f.receptor for f in bodies}
    if not any(f.ligand for f in bodies):
        return "kturn.EGFR" if kinds == {"EGFR"} else "kint"
    return "kint.EGFR_driven" if "EGFR" in kinds and "HER2" not in kinds else "kint.HER2_driven"


def _antibody_ratio(bodies: tuple[Form, ...]) -> str:
    if any(f.domain_iv and f.domain_ii for f in bodies):
        return "kint.antibody_pair"
    return "kint.single_antibody" if any(f.domain_iv or f.domain_ii for f in bodies) else ""


def shedding(build: Builder, population: str, present: list[Form], pairs: list[Dimer]) -> None:
    """ADAM10 cuts HER2 whose domain IV is free: soluble HER2 in the medium, p95HER2 in the membrane.

    p95HER2 is active without ligand, has no epitope, and is lost like HER2. The partner in a dimer is set free.

    Args:
        build: the model; must hold ``kshed`` and ``kint`` (1/h); the medium gains the species ``sHER2`` (nM).
        population: name of the population.
        present: forms.
        pairs: dimers.

    Source: Molina 2001 (trastuzumab stops the cleavage, 2C4 does not); Scheuher 2023 (none from bound HER2).
    """
    left = p95(population)
    if not build.has(SHED):
        build.species(SHED, MEDIUM, "nM", scale=0.1)
    build.species(left, membrane(population), "copies/cell", initial=lambda p: (
        p["kshed"] / p["kint"] * p[f"{population}.HER2"]), scale=100.0)  # fmt: skip
    build.reaction(f"internalisation of {left}", {left: -1}, lambda s, p: p["kint"] * s[left])
    for item in [*present, *pairs]:
        name, bodies = item.species(population), _bodies(item)
        for place, form in enumerate(bodies):
            if form.receptor != "HER2" or form.domain_iv:
                continue
            change = {name: -1.0, left: 1.0, SHED: 1.0}
            for other in bodies[:place] + bodies[place + 1 :]:
                change[other.species(population)] = 1.0
            build.reaction(
                f"shedding from {name} ({place + 1})",
                change,
                lambda s, p, name=name: p["kshed"] * s[name],
                at=membrane(population),
                equation=f"kshed*[{name}]",
            )
