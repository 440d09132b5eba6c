"""How ErbB receptors reach and leave the membrane: synthesis, internalisation, shedding of the HER2 ectodomain.

There are two published descriptions of the same data, which must not be mixed. The *net* set (Maass 2016, the default)
has recycling inside its rates: without ligand every form of HER2, HER3 and HER4 goes in at ``kint`` and is gone. The
*recycling* set (Scheuher 2023) has an endosome: in at ``kendo``, back at ``krec``, degraded at ``kdeg``, a net loss
of kendo*kdeg/(kdeg + krec). EGFR goes at ``kturn.EGFR`` in both. Synthesis replaces what is lost, so that untreated
cells hold exactly the receptors measured. HER2 resists internalisation: ligand takes EGFR away within minutes, its
dimers with HER2 slowly.
"""

from typing import Any, Literal

from her2pkpd.mechanisms.dimers import RECEPTORS, Dimer, Form, membrane
from her2pkpd.mechanisms.kinase import occupied
from her2pkpd.mechanisms.population import MEDIUM
from her2pkpd.model import Builder, Scope

SHED = "sHER2"
Trafficking = Literal["net", "recycling"]


def net_loss(p: Scope, route: Trafficking, mu: Any = 0.0) -> Any:
    """Loss of HER2, HER3 and HER4 from the membrane for good, 1/h; `mu` is the division that dilutes the endosome."""
    if route == "net":
        return p["kint"]
    return p["recycling.kendo"] * (p["recycling.kdeg"] + mu) / (p["recycling.kdeg"] + p["recycling.krec"] + mu)


def endosome(name: str) -> str:
    """Name of the species inside for a species on the membrane."""
    kind, _, population = name.rpartition(".")
    return f"{kind}@endosome.{population}"


def p95(population: str) -> str:
    """Name of the species that is left of HER2 after shedding."""
    return f"p95HER2.{population}"


def synthesis(build: Builder, population: str, *, her3: str = "", her2: str = "", route: Trafficking = "net") -> None:
    """New receptors replace what untreated cells lose and what division dilutes.

    Args:
        build: the model; must hold the rates of the route, ``kshed``, ``kturn.EGFR`` (1/h), ``<population>.<receptor>``
            (copies/cell) and the quantity ``mu.<population>``.
        population: name of the population.
        her3: quantity or species by which HER3 synthesis is multiplied (its mRNA), or "".
        her2: likewise for HER2, when its mRNA is modelled.
        route: which description of trafficking.
    """
    for receptor in RECEPTORS:
        scale = {"HER3": her3, "HER2": her2}.get(receptor, "")

        def rate(s: Scope, p: Scope, receptor: str = receptor, scale: str = scale) -> Any:
            mu = s[f"mu.{population}"]
            loss = p["kturn.EGFR"] if receptor == "EGFR" else net_loss(p, route, mu)
            loss = loss + (p["kshed"] if receptor == "HER2" else 0.0) + mu
            return loss * p[f"{population}.{receptor}"] * (s[scale] if scale else 1.0)

        build.reaction(
            f"{receptor} synthesis in {population}",
            {Form(receptor).species(population): 1},
            rate,
            equation="(loss + mu)*R0",
        )


def internalisation(
    build: Builder,
    population: str,
    present: list[Form],
    pairs: list[Dimer],
    *,
    stabilisers: tuple[str, ...] = (),
    route: Trafficking = "net",
) -> None:
    """Every form and dimer goes in at its own pace; dimers as one unit (Hendriks 2003).

    Args:
        build: the model; must hold ``kint``, ``kturn.EGFR``, ``kint.EGFR_driven``, ``kint.HER2_driven`` (1/h) and
            the ratios ``kint.single_antibody``, ``kint.antibody_pair``, ``kint.inhibited``.
        population: name of the population.
        present: forms.
        pairs: dimers.
        stabilisers: reversible HER2 inhibitors, which hold HER2 on the surface.
        route: "net", or "recycling", which adds ``<form>@endosome.<population>`` (copies/cell) for what goes at
            ``kint`` and needs ``recycling.kendo``, ``recycling.krec``, ``recycling.kdeg`` (1/h) in its place.

    Source: Maass 2016 (kint); Scheuher 2023 (recycling set); Chen 2009 (liganded EGFR in minutes, other dimers two
    decades slower); Szymanska 2016 (pairs of antibodies drive internalisation, single ones hardly do).
    """

    def held(s: Scope, p: Scope) -> Any:
        share = sum((s[occupied("HER2", drug, population)] for drug in stabilisers), 0.0)
        return 1.0 - (1.0 - p["kint.inhibited"]) * share

    for item in [*present, *pairs]:
        name, bodies = item.species(population), _bodies(item)
        base, ratio = _pace(bodies), _antibody_ratio(bodies)
        back = route == "recycling" and base == "kint"
        if back:
            base = "recycling.kendo"
            _endosome(build, population, name)
        her2 = any(f.receptor == "HER2" for f in bodies)
        build.reaction(
            f"internalisation of {name}",
            {name: -1, endosome(name): 1} if back else {name: -1},
            lambda s, p, name=name, base=base, ratio=ratio, her2=her2: (
                p[base] * (p[ratio] if ratio else 1.0) * (held(s, p) if her2 else 1.0) * s[name]
            ),
            equation=f"{base}{'*' + ratio if ratio else ''}*[{name}]",
        )


def _endosome(build: Builder, population: str, name: str) -> None:
    inside = endosome(name)
    build.species(inside, membrane(population), "copies/cell", scale=100.0)
    build.reaction(f"recycling of {name}", {inside: -1, name: 1}, lambda s, p: p["recycling.krec"] * s[inside])
    build.reaction(f"degradation of {name}", {inside: -1}, lambda s, p: p["recycling.kdeg"] * s[inside])


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


def shedding(
    build: Builder, population: str, present: list[Form], pairs: list[Dimer], *, route: Trafficking = "net"
) -> None:
    """ADAM10 cuts HER2 whose domain IV is free: soluble HER2 in the medium, p95HER2 in the membrane.

    p95HER2 is active without ligand, has no epitope, and is lost like HER2. The partner in a dimer is set free.

    Args:
        build: the model; must hold ``kshed`` and the rates of the route (1/h); the medium gains the species ``sHER2``
            (nM).
        population: name of the population.
        present: forms.
        pairs: dimers.
        route: which description of trafficking.

    Source: Molina 2001 (trastuzumab stops the cleavage, 2C4 does not); Scheuher 2023 (none from bound HER2).
    """
    left = p95(population)
    if not build.has(SHED):
        build.species(SHED, MEDIUM, "nM", scale=0.1)
    build.species(left, membrane(population), "copies/cell", initial=lambda p: (
        p["kshed"] / net_loss(p, route) * p[f"{population}.HER2"]), scale=100.0)  # fmt: skip
    build.reaction(f"internalisation of {left}", {left: -1}, lambda s, p: net_loss(p, route) * s[left])
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
