"""A patient of a cohort: the plasma of any drugs, the exposure so far, and a tumour of one of two kinds.

"signal" is the one-population tumour of `her2pkpd.systems.patient`, driven by the HER2 signal. "populations" is the
tumour of `her2pkpd.systems.tumour`: HER2-positive and negative cells in zones around capillaries, killed by payloads
that also reach the neighbours; with `TumourModel.signal` the positive ones depend on the HER2 signal too. Plasma takes
no notice of either: population pharmacokinetics describe all that a body does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from her2pkpd.errors import InputError, Problem
from her2pkpd.library import load_parameters
from her2pkpd.mechanisms.disposition import plasma
from her2pkpd.mechanisms.krogh import Shells, place
from her2pkpd.mechanisms.population import count
from her2pkpd.model import Builder, Model, Scope
from her2pkpd.systems.patient import PatientDrug, add_plasma, add_signalling_tumour
from her2pkpd.systems.tumour import Feed, Signal, add_tumour, shells

POSITIVE, NEGATIVE = "HER2+", "HER2-"
TumourKind = Literal["none", "signal", "populations"]
VOLUME = "tumour.volume"


@dataclass(frozen=True)
class TumourModel:
    """Which tumour a virtual patient has.

    Attributes:
        kind: "none", "signal" or "populations".
        zones: of "populations": 1 is well mixed, 2 a perivascular quarter and the rest, more are equal shells.
        signal: of "populations": whether division of the positive cells depends on the HER2 signal, which antibodies
            and kinase inhibitors act on; otherwise payload alone acts on cells.
        ligand: whether there is NRG1 around the cells, where there is a signal.
        values: own constants by name, canonical units, as `her2pkpd.systems.patient.patient_model` takes them.
    """

    kind: TumourKind = "none"
    zones: int = 1
    signal: bool = False
    ligand: bool = False
    values: Mapping[str, float] = field(default_factory=dict)

    def geometry(self) -> Shells:
        """Shells of the populations."""
        if self.zones == 2:
            return shells()
        return shells(self.zones)


def exposure(name: str) -> str:
    """Name of the state that integrates ``plasma.<name>`` over time, nM*h."""
    return f"auc.{name}"


def virtual_patient(drugs: Sequence[PatientDrug], tumour: TumourModel | None = None) -> Model:
    """Assemble the model of a virtual patient.

    Args:
        drugs: what may be given.
        tumour: which tumour.

    Returns:
        The `Model`. Doses go to ``central.<drug>`` or ``depot.<drug>``, nmol. Outputs: ``plasma.<x>`` (nM) and
        ``auc.<x>`` (nM*h) of every drug and released payload, ``tumour.volume``, and what the tumour has besides;
        in "populations" also ``occupancy.<drug>.HER2+``, and with a signal ``signal.HER2+``, ``pAKT.HER2+`` and
        ``pERK.HER2+``: means over the zones, weighted by cells.

    Raises:
        InputError: for a kinase inhibitor and a tumour of kind "populations" without a signal.
    """
    tumour = tumour or TumourModel()
    build = Builder("virtual patient")
    for given in drugs:
        add_plasma(build, given)
    circulating = [x for given in drugs for x in (given.drug.name, given.payload) if x]
    for name in dict.fromkeys(circulating):
        build.species(exposure(name), None, "nM*h", scale=10.0)
        build.reaction(f"exposure to {name}", {exposure(name): 1}, lambda s, p, x=name: s[plasma(x)])
    if tumour.kind == "signal":
        ligand = {"NRG1": tumour.values.get("NRG1", 0.0)} if tumour.ligand else {}
        add_signalling_tumour(build, drugs, {**tumour.values, **ligand})
    elif tumour.kind == "populations":
        _populations(build, drugs, tumour, circulating)
    return build.model()


def _populations(build: Builder, drugs: Sequence[PatientDrug], tumour: TumourModel, circulating: Sequence[str]) -> None:
    inhibitors = [given.drug.name for given in drugs if given.drug.kind == "tki"]
    if inhibitors and not tumour.signal:
        rule = f"without a signal there is nothing that {', '.join(inhibitors)} could inhibit"
        raise InputError(Problem(rule, "Leave out signal = false.", column="tumour.signal"))
    table = load_parameters()
    for key in ("klin", "Vmax"):
        q = table[f"tumour.human.{key}"]
        build.parameter(key, q.canonical, q.canonical_unit)
    feeds = {x: Feed(lambda s, p, x=x: s[plasma(x)]) for x in circulating}
    geometry = tumour.geometry()
    nrg1 = tumour.values.get("NRG1", 0.0) if tumour.ligand else None
    toxins = add_tumour(
        build, [given.drug for given in drugs], population_constants(), geometry, feeds,
        volume=table["tumour.initial_volume"].canonical, signal=Signal((POSITIVE,), nrg1) if tumour.signal else None,
    )  # fmt: skip
    given = [x.drug.name for x in drugs if x.drug.kind == "antibody"]
    for name in dict.fromkeys([*(d.name for d in toxins.antibodies), *(d.name for d in toxins.drugs), *given]):
        _mean(build, f"occupancy.{name}", "1", f"fraction of HER2 on positive cells carrying {name}", geometry)
    for name in ("signal", "pAKT", "pERK") if tumour.signal else ():
        _mean(build, name, "relative to untreated", f"{name} of positive cells", geometry)


def population_constants() -> dict[str, dict[str, float]]:
    """Typical constants of the two populations: half and half, HER2 of IHC 3+ and none."""
    table = load_parameters()
    kill = {k.removeprefix("tumour.human."): q.canonical for k, q in table.items() if _is_kill(k)}
    both = {"doubling_time": table["tumour.human.doubling_time"].canonical, "share": 0.5, **kill}
    return {POSITIVE: {**both, "HER2": table["tumour.HER2"].canonical}, NEGATIVE: {**both, "HER2": 0.0}}


def _is_kill(name: str) -> bool:
    return name.startswith("tumour.human.") and name.endswith(".kmax")


def _mean(build: Builder, name: str, unit: str, text: str, geometry: Shells) -> None:
    """A quantity of the positive cells, averaged over the zones."""
    places = [f"{POSITIVE}{place(i)}" for i in range(1, geometry.count + 1)]
    if not all(build.has(f"{name}.{x}") for x in places):
        return

    def mean(s: Scope, p: Scope) -> Any:
        cells = [s[count(x)] for x in places]
        held = [n * s[f"{name}.{x}"] for n, x in zip(cells, places, strict=True)]
        return sum(held[1:], held[0]) / sum(cells[1:], cells[0])

    build.quantity(f"{name}.{POSITIVE}", mean, unit, text)
