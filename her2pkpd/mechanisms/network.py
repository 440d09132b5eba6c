"""Signalling from dimers to ERK and AKT, with its feedbacks, in 18 states of one cell; time in h.

Phosphorylation of a dimer's tails:  f = a*A*rel/(Q + a*A*rel), with a the activity of that dimer, A the fraction of the
acting kinase free of inhibitor, rel = 1/(1 + ERK/K_T677) (ERK -| receptor), and Q = 1, but for HER3 falling with AKT
activity (its phosphatase). HER3 has no kinase: it is phosphorylated by its partner only, and two HER3 do nothing.
Ligand-driven dimers are far from linear (a >> 1) and so resist inhibitors; spontaneous ones are linear (a << 1).

    RAS   k_ras*((U/(1 + f_SOS*SOSp) + basal)*(1 - RAS) - RAS/K_gap)     SOSp follows ERK (ERK -| SOS)
    RAF, MEK   low-pass, MEK saturating;  ERK  kE*MEK^2/(K^2 + MEK^2)*(1 - ERK) - (kd0 + kD*DUSP)*ERK
    DUSP6 mRNA and protein follow ERK^2/(K^2 + ERK^2) slowly
    PIP3  k_pi*(PI3K input)*(1 - PIP3) - k_pt*PTEN*PIP3;  input: HER3 and other tails, /(1 + f_GAB*GAB) (ERK -| PI3K),
          plus IRS1, which S6K takes away and to which mutant PIK3CA answers more
    AKT   ka*PIP3/(Ka + PIP3)*(1 - AKT)*(1 - allosteric) - kda*AKT*(1 - protection*ATP-competitive)
    S6K, IRS1, FOXO and HER3 mRNA follow (AKT -| FOXO -> HER3)

pAKT is what a blot shows; AKT activity is pAKT whose kinase is free of inhibitor. The structure is assembled of
published edges (Sergina 2007, Garrett 2011, Turke 2012, Nakakuki 2010, Okuzumi 2009); the algebra is this
package's own.
"""

from collections.abc import Mapping
from typing import Any

from her2pkpd.mechanisms.dimers import Dimer, Form
from her2pkpd.mechanisms.hill import hill
from her2pkpd.mechanisms.kinase import active
from her2pkpd.mechanisms.trafficking import p95
from her2pkpd.model import Builder, Scope

TARGETS = ("MEK", "PI3K", "mTOR", "AKT:ATP", "AKT:allosteric")
"""What a downstream inhibitor can hit; AKT in its ATP pocket or allosterically."""

TAILS = ("EGFR", "HER2", "HER3", "HER4")
STATES = "SOSp RAS RAF MEK ERK DUSP6_mRNA DUSP6 GAB1p PIP3 AKT S6K IRS1 FOXO HER3_mRNA".split()
_COPIES = 1e4
"""Phosphorylated tails are counted in this many copies, so that all states are near one."""


def tail(receptor: str, population: str) -> str:
    """Name of the species phosphorylated tails of a receptor, 1e4 copies/cell."""
    return f"p{receptor}.{population}"


def downstream_inhibition(build: Builder, population: str, inhibitors: Mapping[str, str]) -> None:
    """Occupied fraction I/(I + Ki) of every downstream target, for inhibitors that bind fast.

    Args:
        build: the model; must hold ``<drug>.Ki`` (nM, apparent in cells).
        population: name of the population.
        inhibitors: target (one of `TARGETS`) by drug; those of one target compete.
    """
    for target in TARGETS:
        drugs = [d for d, t in inhibitors.items() if t == target]

        def share(s: Scope, p: Scope, drugs: list[str] = drugs) -> Any:
            load = sum((s[d] / p[f"{d}.Ki"] for d in drugs), 0.0)
            return load / (1.0 + load)

        build.quantity(f"inhibited.{target}.{population}", share, "1", f"fraction of {target} held by inhibitors")


def phosphorylation(build: Builder, population: str, pairs: list[Dimer], *, shed: bool) -> None:
    """Phosphorylated tails of the four receptors.

    Args:
        build: the model; must hold ``net.k_phos`` (1/h), the activities ``net.a_driven``, ``net.a_HER2_HER2``,
            ``net.a_HER2_HER3``, ``net.a_p95``, and ``net.K_T677``, ``net.q_HER3``, ``net.K_HER3``.
        population: name of the population.
        pairs: dimers.
        shed: whether there is p95HER2.
    """
    own = lambda name: f"{name}.{population}"  # noqa: E731

    def acting(kinase: str, s: Scope) -> Any:
        return s[active(kinase, population)] if kinase in ("HER2", "EGFR") else (0.0 if kinase == "HER3" else 1.0)

    def share(drive: Any, receptor: str, s: Scope, p: Scope) -> Any:
        drive = drive / (1.0 + s[own("ERK")] / p["net.K_T677"])
        kept = s[own("AKT_activity")] / (s[own("AKT_activity")] + p["net.K_HER3"])
        brake = 1.0 - p["net.q_HER3"] * (1.0 - kept) if receptor == "HER3" else 1.0
        return drive / (brake + drive)

    def target(receptor: str, s: Scope, p: Scope) -> Any:
        total: Any = 0.0
        for pair in pairs:
            for form, partner in (pair.forms, pair.forms[::-1]):
                if form.receptor == receptor and partner.receptor != "HER3":
                    drive = p[_activity(pair)] * acting(partner.receptor, s)
                    total = total + s[pair.species(population)] * share(drive, receptor, s, p)
        if shed and receptor == "HER2":
            total = total + s[p95(population)] * share(p["net.a_p95"] * acting("HER2", s), receptor, s, p)
        return total / _COPIES

    for receptor in TAILS:
        name = tail(receptor, population)
        build.species(name, None, "1e4 copies/cell")
        build.reaction(
            f"phosphorylation of {receptor} in {population}",
            {name: 1},
            lambda s, p, receptor=receptor, name=name: p["net.k_phos"] * (target(receptor, s, p) - s[name]),
            equation="k_phos*(sum over dimers of copies*f - p)",
        )


def _activity(pair: Dimer) -> str:
    if pair.driven:
        return "net.a_driven"
    return "net.a_HER2_HER3" if pair.two.receptor == "HER3" else "net.a_HER2_HER2"


def signalling_network(build: Builder, population: str) -> None:
    """The two pathways, their feedbacks, and the read-outs.

    Adds ``pAKT`` and ``pERK`` (relative to untreated), ``AKT_activity`` and ``signal``, what drives division:
    share_AKT*AKT activity + (1 - share_AKT)*ERK, relative to untreated.

    Args:
        build: the model; must hold the parameters ``net.*`` and, of the population, ``PTEN``, ``PI3K``, ``RAS``
            (relative to wild type), ``PIK3CA`` (1 where mutated, else 0), and the untreated ``AKT0``, ``ERK0``,
            ``FOXO0`` that `systems.cell.baseline` sets.
        population: name of the population.
    """
    for name in STATES:
        start = 1.0 if name in ("IRS1", "HER3_mRNA") else 0.0
        build.species(f"{name}.{population}", None, "1", initial=start)
    _read_outs(build, population)
    for name, rate in {**_mapk(population), **_pi3k(population)}.items():
        build.reaction(f"change of {name} in {population}", {f"{name}.{population}": 1}, rate)


def _read_outs(build: Builder, population: str) -> None:
    own = lambda name: f"{name}.{population}"  # noqa: E731
    blocked = [own(f"inhibited.{t}") for t in ("AKT:ATP", "AKT:allosteric")]
    build.quantity(
        own("AKT_activity"),
        lambda s, p: s[own("AKT")] * (1.0 - s[blocked[0]]) * (1.0 - s[blocked[1]]),
        "fraction",
        "phosphorylated AKT whose kinase is free",
    )
    build.quantity(own("pAKT"), lambda s, p: s[own("AKT")] / p[f"{population}.AKT0"], "relative to untreated", "pAKT")
    build.quantity(own("pERK"), lambda s, p: s[own("ERK")] / p[f"{population}.ERK0"], "relative to untreated", "pERK")

    def drive(s: Scope, p: Scope) -> Any:
        akt, erk = s[own("AKT_activity")] / p[f"{population}.AKT0"], s[own("pERK")]
        return p["net.share_AKT"] * akt + (1.0 - p["net.share_AKT"]) * erk

    build.quantity(own("signal"), drive, "relative to untreated", "what drives division: AKT and ERK")


def _recruited(population: str, s: Scope, p: Scope, pathway: str) -> Any:
    return sum(p[f"net.{pathway}_{r}"] * s[tail(r, population)] for r in TAILS)


def _mapk(population: str) -> dict[str, Any]:
    own = lambda name: f"{name}.{population}"  # noqa: E731

    def ras(s: Scope, p: Scope) -> Any:
        drive = _recruited(population, s, p, "U") / (1.0 + p["net.f_SOS"] * s[own("SOSp")])
        drive = drive + p["net.basal_RAS"] * p[f"{population}.RAS"]
        return p["net.k_RAS"] * (drive * (1.0 - s[own("RAS")]) - s[own("RAS")])

    def erk(s: Scope, p: Scope) -> Any:
        made = p["net.k_ERK"] * hill(s[own("MEK")], p["net.K_MEK"], 2.0) * (1.0 - s[own("inhibited.MEK")])
        return made * (1.0 - s[own("ERK")]) - (p["net.kd_ERK"] + p["net.kd_DUSP6"] * s[own("DUSP6")]) * s[own("ERK")]

    return {
        "SOSp": lambda s, p: (s[own("ERK")] - s[own("SOSp")]) / p["net.tau_SOS"],
        "RAS": ras,
        "RAF": lambda s, p: (s[own("RAS")] - s[own("RAF")]) / p["net.tau_RAF"],
        "MEK": lambda s, p: (
            (s[own("RAF")] * (1.0 - s[own("MEK")]) - p["net.kd_MEK"] * s[own("MEK")]) / p["net.tau_MEK"]
        ),
        "ERK": erk,
        "DUSP6_mRNA": lambda s, p: (
            (p["net.basal_DUSP6"] + hill(s[own("ERK")], p["net.K_DUSP6"], 2.0) - s[own("DUSP6_mRNA")])
            / p["net.tau_DUSP6_mRNA"]
        ),
        "DUSP6": lambda s, p: (s[own("DUSP6_mRNA")] - s[own("DUSP6")]) / p["net.tau_DUSP6"],
        "GAB1p": lambda s, p: (s[own("ERK")] - s[own("GAB1p")]) / p["net.tau_GAB1"],
    }


def _pi3k(population: str) -> dict[str, Any]:
    own = lambda name: f"{name}.{population}"  # noqa: E731

    def pip3(s: Scope, p: Scope) -> Any:
        tails = _recruited(population, s, p, "G") / (1.0 + p["net.f_GAB1"] * s[own("GAB1p")])
        basal = p["net.G_IRS1"] * s[own("IRS1")] * (1.0 + p["net.f_PIK3CA"] * p[f"{population}.PIK3CA"])
        lipid = (tails + basal) * p[f"{population}.PI3K"] * (1.0 - s[own("inhibited.PI3K")])
        return p["net.k_PIP3"] * (lipid * (1.0 - s[own("PIP3")]) - p[f"{population}.PTEN"] * s[own("PIP3")])

    def akt(s: Scope, p: Scope) -> Any:
        made = p["net.k_AKT"] * s[own("PIP3")] / (p["net.K_AKT"] + s[own("PIP3")])
        made = made * (1.0 - s[own("AKT")]) * (1.0 - s[own("inhibited.AKT:allosteric")])
        guarded = 1.0 - p["net.protection"] * s[own("inhibited.AKT:ATP")]
        return made - p["net.kd_AKT"] * guarded * s[own("AKT")]

    def foxo(s: Scope, p: Scope) -> Any:
        return (1.0 - hill(s[own("AKT_activity")], p["net.K_FOXO"], 2.0) - s[own("FOXO")]) / p["net.tau_FOXO"]

    def her3(s: Scope, p: Scope) -> Any:
        steady = (1.0 + p["net.f_FOXO"] * s[own("FOXO")]) / (1.0 + p["net.f_FOXO"] * p[f"{population}.FOXO0"])
        return (steady - s[own("HER3_mRNA")]) / p["net.tau_HER3_mRNA"]

    def s6k(s: Scope, p: Scope) -> Any:
        steady = s[own("AKT_activity")] / (p["net.K_S6K"] + s[own("AKT_activity")])
        return (steady * (1.0 - s[own("inhibited.mTOR")]) - s[own("S6K")]) / p["net.tau_S6K"]

    return {
        "PIP3": pip3,
        "AKT": akt,
        "S6K": s6k,
        "IRS1": lambda s, p: (1.0 / (1.0 + p["net.f_S6K"] * s[own("S6K")]) - s[own("IRS1")]) / p["net.tau_IRS1"],
        "FOXO": foxo,
        "HER3_mRNA": her3,
    }


def receptor_total(build: Builder, population: str, present: list[Form], pairs: list[Dimer]) -> None:
    """Read-outs of the membrane: ``<receptor>.surface`` (copies/cell) of each of the four receptors."""
    for receptor in TAILS:
        weights = {f.species(population): 1.0 for f in present if f.receptor == receptor}
        for pair in pairs:
            n = sum(f.receptor == receptor for f in pair.forms)
            if n:
                weights[pair.species(population)] = float(n)

        def total(s: Scope, p: Scope, weights: dict[str, float] = weights) -> Any:
            return sum(w * s[name] for name, w in weights.items())

        build.quantity(f"{receptor}.membrane.{population}", total, "copies/cell", f"{receptor} on the membrane")
