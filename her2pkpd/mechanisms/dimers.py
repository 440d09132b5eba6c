"""EGFR, HER2, HER3 and HER4 on the membrane: which forms exist, which of them pair, and how they come and go.

HER2 has no ligand and is always open; the others stay tethered until EGF (EGFR) or NRG1 (HER3, HER4) binds. Any two
open receptors pair by mass action, A + B <-> AB with rate kon*A*B, so homodimers form with the square of the receptor
number. HER2:HER3 also forms without ligand, far more weakly; ligand then binds the dimer as much more tightly than the
monomer as it strengthens the dimer (detailed balance of the square).

What antibodies do to pairing is published: domain II on its dimerisation arm blocks the ligand-driven pairs and leaves
HER2:HER2 and ligand-independent HER2:HER3; domain IV takes apart ligand-independent HER2:HER3 only, and not all of it,
and leaves HER2:HER2.

Species are copies per cell; the membrane's "volume" N*1e9/NA turns them into nmol, so that the medium pays for what
binds.
"""

from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Any

from her2pkpd.mechanisms.population import count
from her2pkpd.mechanisms.receptors import ReceptorState
from her2pkpd.model import Builder, Scope
from her2pkpd.units import AVOGADRO

RECEPTORS = ("HER2", "EGFR", "HER3", "HER4")
LIGAND_OF = {"EGFR": "EGF", "HER3": "NRG1", "HER4": "NRG1"}


@dataclass(frozen=True)
class Form:
    """One receptor with what sits on it; "" is nobody."""

    receptor: str
    ligand: str = ""
    domain_iv: str = ""
    domain_ii: str = ""

    def __str__(self) -> str:
        return ":".join(filter(None, (self.receptor, self.ligand, self.domain_iv, self.domain_ii)))

    @property
    def open(self) -> bool:
        """Whether its dimerisation arm is exposed."""
        return self.receptor == "HER2" or bool(self.ligand)

    def species(self, population: str) -> str:
        """Species name, such as ``HER3:NRG1.SK-BR-3``; HER2 as `ReceptorState` names it."""
        return f"{self}.{population}"


@dataclass(frozen=True)
class Dimer:
    """A pair of forms; `affinity` names its dissociation constant and `koff` its rate of falling apart.

    An antibody on domain IV that has `uncoupled` the pair divides its dissociation constant by `weight`.
    """

    one: Form
    two: Form
    affinity: str
    koff: str
    uncoupled: bool = False

    def weight(self, p: Scope) -> Any:
        """Share of its strength that the pair keeps: less than one where an antibody pulls it apart."""
        return 1.0 - p["dimer.uncoupling"] if self.uncoupled else 1.0

    def species(self, population: str) -> str:
        """Species name, such as ``HER2|HER3:NRG1.SK-BR-3``."""
        return f"{self.one}|{self.two}.{population}"

    @property
    def forms(self) -> tuple[Form, Form]:
        """Both receptors."""
        return self.one, self.two

    @property
    def driven(self) -> bool:
        """Whether a ligand holds it together."""
        return any(f.ligand for f in self.forms)


def membrane(population: str) -> str:
    """Name of the compartment in which receptors are counted per cell."""
    return f"membrane.{population}"


def forms(ligands: tuple[str, ...], states: list[ReceptorState]) -> list[Form]:
    """Every form there is with these ligands and antibodies, the bare ones first."""
    found = [Form("HER2", "", s.domain_iv, s.domain_ii) for s in states]
    for receptor, own in LIGAND_OF.items():
        found += [Form(receptor)] + ([Form(receptor, own)] if own in ligands else [])
    return found


def dimers(present: list[Form]) -> list[Dimer]:
    """Every pair that forms."""
    pairs = [_pair(a, b) for a, b in combinations_with_replacement(present, 2)]
    return [d for d in pairs if d]


def _pair(a: Form, b: Form) -> Dimer | None:
    kinds = (a.receptor, b.receptor)
    if kinds == ("HER2", "HER2"):
        return Dimer(a, b, "dimer.K_HER2_HER2", "dimer.koff")
    if kinds == ("HER2", "HER3") and not b.ligand:
        return Dimer(a, b, "dimer.K_HER2_HER3", "dimer.koff", uncoupled=bool(a.domain_iv))
    if not (a.open and b.open) or a.domain_ii or b.domain_ii:
        return None
    name = {
        ("HER2", "EGFR"): "dimer.K_HER2_EGF_EGFR", ("HER2", "HER3"): "dimer.K_HER2_NRG1_HER3",
        ("HER2", "HER4"): "dimer.K_HER2_NRG1_HER4", ("EGFR", "EGFR"): "dimer.K_EGFR_EGFR",
        ("EGFR", "HER3"): "dimer.K_EGFR_HER3", ("HER4", "HER4"): "dimer.K_HER4_HER4",
    }.get(kinds)  # fmt: skip
    return Dimer(a, b, name, "dimer.koff_driven") if name else None


def receptors(build: Builder, population: str, present: list[Form]) -> None:
    """The membrane and every receptor form on it, bare ones at the line's receptor number."""
    cells = count(population)
    build.compartment(membrane(population), lambda s, p: s[cells] * (1e9 / AVOGADRO), count=cells)
    for form in present:
        bare = form == Form(form.receptor)
        key = f"{population}.{form.receptor}"
        start = (lambda p, key=key: p[key]) if bare else 0.0
        build.species(form.species(population), membrane(population), "copies/cell", initial=start, scale=100.0)


def dimerisation(build: Builder, population: str, pairs: list[Dimer]) -> None:
    """Mass action of every pair: 2 A <-> AA with kon*A^2, A + B <-> AB with kon*A*B; kon = koff/K.

    Two forms of one receptor meet twice as often as either meets itself, so that antibodies that do not touch
    pairing leave the number of homodimers as it is.

    Args:
        build: the model; must hold each pair's ``dimer.K_...`` (copies/cell), ``dimer.uncoupling`` (the share of
            ligand-independent HER2:HER3 that an antibody on domain IV takes apart) and the two rates ``dimer.koff``,
            ``dimer.koff_driven`` (1/h).
        population: name of the population.
        pairs: those that form.

    Source: Zhou 2024 for HER2:HER2 and HER2:HER3 without ligand; Hendriks 2003 (EGFR:EGFR and EGFR:HER2 alike).
    """
    for pair in pairs:
        a, b, ab = pair.one.species(population), pair.two.species(population), pair.species(population)
        build.species(ab, membrane(population), "copies/cell", scale=100.0)
        times = 2.0 if pair.one.receptor == pair.two.receptor and a != b else 1.0
        build.reaction(
            f"{a} pairs with {b}",
            {a: -2, ab: 1} if a == b else {a: -1, b: -1, ab: 1},
            lambda s, p, d=pair, a=a, b=b, ab=ab, times=times: (
                p[d.koff] * (times * s[a] * s[b] * d.weight(p) / p[d.affinity] - s[ab])
            ),
            equation=f"koff*({'2*' if times == 2 else ''}[{a}]*[{b}]/K - [{ab}])",
        )


def ligand_binding(build: Builder, population: str, present: list[Form], pairs: list[Dimer]) -> None:
    """EGF and NRG1 bind their receptors, alone and inside the HER2:HER3 that formed without them.

    Inside the dimer the constant is KD*K(driven)/K(without ligand): the square monomer - ligand - dimer - liganded
    dimer closes.

    Args:
        build: the model; must hold ``<ligand>.kon`` (1/nM/h) and ``<ligand>.KD`` (nM); ligands are in excess.
        population: name of the population.
        present: forms.
        pairs: dimers.
    """
    for form in present:
        if form.ligand:
            _bind(build, form.ligand, Form(form.receptor).species(population), form.species(population))
    by_forms = {d.forms: d for d in pairs}
    for pair in pairs:
        bare = by_forms.get((pair.one, Form(pair.two.receptor)))
        if pair.two.ligand and bare and bare is not pair:
            _bind(build, pair.two.ligand, bare.species(population), pair.species(population), (pair, bare))


def _bind(build: Builder, ligand: str, free: str, bound: str, square: tuple[Dimer, Dimer] | None = None) -> None:
    def tightened(p: Scope) -> Any:
        if not square:
            return 1.0
        driven, bare = square
        return p[driven.affinity] * bare.weight(p) / p[bare.affinity]

    build.reaction(
        f"{ligand} binds {free}",
        {free: -1, bound: 1},
        lambda s, p: p[f"{ligand}.kon"] * (s[ligand] * s[free] - p[f"{ligand}.KD"] * tightened(p) * s[bound]),
        equation=f"kon*([{ligand}]*[{free}] - KD{'*K/K0' if square else ''}*[{bound}])",
    )


def antibody_binding(build: Builder, population: str, present: list[Form], pairs: list[Dimer]) -> None:
    """Antibodies bind HER2 alone and in homodimers, whatever sits on the other epitope.

    Args:
        build: the model; must hold ``<drug>.kon`` (1/nM/h) and ``<drug>.KD`` (nM).
        population: name of the population.
        present: forms.
        pairs: dimers.
    """
    for form in present:
        for drug, taken in _next(form, present):
            _antibody(build, drug, population, form.species(population), taken.species(population), (1.0, 1.0))
    known = {frozenset({str(d.one), str(d.two)}): d for d in pairs}
    for pair in pairs:
        if {f.receptor for f in pair.forms} != {"HER2"}:
            continue
        for form, other in {pair.forms, pair.forms[::-1]}:
            for drug, taken in _next(form, present):
                bound = known[frozenset({str(taken), str(other)})]
                # Two equal sites to bind, two equal antibodies to lose.
                many = (2.0 if form == other else 1.0, 2.0 if taken == other else 1.0)
                _antibody(build, drug, population, pair.species(population), bound.species(population), many)


def _next(form: Form, present: list[Form]) -> list[tuple[str, Form]]:
    if form.receptor != "HER2":
        return []
    own = [f for f in present if f.receptor == "HER2"]
    iv = [(f.domain_iv, f) for f in own if not form.domain_iv and f.domain_iv and f.domain_ii == form.domain_ii]
    ii = [(f.domain_ii, f) for f in own if not form.domain_ii and f.domain_ii and f.domain_iv == form.domain_iv]
    return iv + ii


def _antibody(build: Builder, drug: str, population: str, free: str, bound: str, many: tuple[float, float]) -> None:
    build.reaction(
        f"{drug} binds {free} to {bound}",
        {drug: -1, free: -1, bound: 1},
        lambda s, p: p[f"{drug}.kon"] * (many[0] * s[drug] * s[free] - many[1] * p[f"{drug}.KD"] * s[bound]),
        at=membrane(population),
        equation=f"kon*({many[0]:g}*[{drug}]*[{free}] - {many[1]:g}*KD*[{bound}])",
    )
