"""ADCs and payloads of a system: which species and parameters they bring, wherever their cells live."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from her2pkpd.dosing import Add
from her2pkpd.library import CellLine, Conjugate, Drug, Payload, load_parameters
from her2pkpd.mechanisms.adc import (
    Processing,
    antibody_pinocytosis,
    cargo,
    conjugate_processing,
    deconjugation,
    loads_of,
)
from her2pkpd.mechanisms.antibody import antibody_in_medium
from her2pkpd.mechanisms.dying import holding, release, transit_death
from her2pkpd.mechanisms.payload import payload_in_cells, payload_in_medium, payload_kill
from her2pkpd.mechanisms.population import MEDIUM
from her2pkpd.mechanisms.receptors import ReceptorState
from her2pkpd.model import Builder, Coefficient
from her2pkpd.systems.sourced import sourced

DEBRIS = "payload.debris"
"""Species that books payload lost with the debris of dead cells, nmol."""

CELL_OWN = ("kpino", "tau")
"""Parameters of a population that only ADCs and payloads need."""

PAYLOAD_OWN = ("kin", "kout", "target_amount", "target_KD", "target_kon", "n", "release_at_death")
"""Constants of a payload that are the same in every line."""


@dataclass(frozen=True)
class Cytotoxics:
    """The ADCs and payloads of a system.

    Attributes:
        drugs: the ADCs.
        processings: the ADCs as the mechanisms see them.
        payloads: every payload by name, carried or given free.
        antibodies: the naked antibodies, which deconjugation leaves.
    """

    drugs: tuple[Drug, ...]
    processings: tuple[Processing, ...]
    payloads: Mapping[str, Payload]
    antibodies: tuple[Drug, ...]

    @property
    def conjugates(self) -> list[str]:
        """Species that bind HER2 with payload on them."""
        return [load.species for x in self.processings for load in x.loads]

    def parameters(self, build: Builder) -> None:
        """Parameters that belong to no population."""
        if self.payloads:
            sourced(build, "kdeg", load_parameters()["kdeg"])
        for drug in self.drugs:
            molecule = _molecule(drug)
            for name in ("kon", "KD", "internalisation_ratio"):
                sourced(build, f"{drug.name}.{name}", drug.binding[name])
            sourced(build, f"{drug.name}.DAR", molecule.DAR)
            for name in ("deconjugation", "cleavage"):
                if name in molecule.linker.constants:
                    sourced(build, f"{drug.name}.{name}", molecule.linker.constants[name])
        for name, payload in self.payloads.items():
            for constant in PAYLOAD_OWN:
                sourced(build, f"{name}.{constant}", payload.constants[constant])
            build.parameter(f"{name}.permeability", 1.0, "1")

    def species(self, build: Builder, place: str = "", *, antibody: str = MEDIUM, payload: str = MEDIUM) -> None:
        """Dissolved conjugates and payloads of one place, and deconjugation there.

        Args:
            build: the model.
            place: "@2" for place 2; "" in a well.
            antibody: compartment proteins are dissolved in.
            payload: compartment payloads are dissolved in.
        """
        for name in self.conjugates:
            antibody_in_medium(build, f"{name}{place}", compartment=antibody)
        for name in self.payloads:
            payload_in_medium(build, f"{name}{place}", compartment=payload)
        for processing in self.processings:
            deconjugation(build, processing, place=place, compartment=antibody)
            if len(processing.loads) > 1:
                _whole(build, processing, place)

    def in_medium(self, build: Builder) -> None:
        """Parameters, and the species of a well's medium."""
        self.parameters(build)
        self.species(build)

    def cargo(self, population: str) -> Mapping[str, Mapping[str, Coefficient]]:
        """What comes into the lysosomes with each conjugate; see `her2pkpd.mechanisms.adc.cargo`."""
        return cargo(self.processings, population)

    def cell_parameters(self, build: Builder, population: str, own: Mapping[str, float]) -> None:
        """Parameters of one population: its own values, or the library's defaults."""
        if not self.payloads:
            return
        table = load_parameters()
        for name in CELL_OWN:
            default = table[f"cell.{name}"]
            build.parameter(f"{population}.{name}", own.get(name, default.canonical), default.canonical_unit)
        for name, payload in self.payloads.items():
            for constant in ("kc50", "kmax"):
                default, key = payload.constants[constant], f"{name}.{constant}"
                build.parameter(f"{population}.{key}", own.get(key, default.canonical), default.canonical_unit)

    def in_cells(self, build: Builder, population: str, states: Sequence[ReceptorState], *, ledger: str = "") -> None:
        """Everything that happens in one population; its ``death`` and ``mu`` must be defined elsewhere."""
        if not self.payloads:
            return
        for antibody in self.antibodies:
            antibody_pinocytosis(build, population, antibody.name)
        for processing in self.processings:
            conjugate_processing(build, population, processing)
        for name in self.payloads:
            payload_in_cells(build, population, name)
        payload_kill(build, population, list(self.payloads))
        transit_death(build, population)
        for name in self.payloads:
            release(build, population, name, holding(name, population, self.processings, states), ledger=ledger)


def _whole(build: Builder, processing: Processing, place: str) -> None:
    """The conjugate of every payload number together, under the name one species has where only the mean counts."""
    numbers = [(f"{x.species}{place}", float(x.payloads)) for x in processing.loads]
    name = f"{processing.adc}{place}"
    build.quantity(name, lambda s, p: sum(s[x] for x, _ in numbers), "nM", "antibody that carries payload")
    build.quantity(
        f"DAR.{name}",
        lambda s, p: sum(n * s[x] for x, n in numbers) / (sum(s[x] for x, _ in numbers) + 1e-30),
        "1",
        "payloads per antibody that carries any",
    )


def cytotoxics(drugs: Sequence[Drug], *, explicit_dar: bool = False) -> Cytotoxics:
    """The ADCs and payloads among some drugs.

    Args:
        drugs: any drugs.
        explicit_dar: one species per payload number instead of the mean DAR.
    """
    adcs = tuple(d for d in drugs if d.conjugate)
    payloads = {d.name: d.payload for d in drugs if d.payload}
    payloads |= {x.payload.name: x.payload for x in map(_molecule, adcs)}
    antibodies = {x.antibody.name: x.antibody for x in map(_molecule, adcs)}
    return Cytotoxics(adcs, tuple(_processing(d, explicit_dar) for d in adcs), payloads, tuple(antibodies.values()))


def _processing(drug: Drug, explicit: bool) -> Processing:
    molecule = _molecule(drug)
    loads = loads_of(drug.name, molecule.antibody.name, sites=molecule.sites if explicit else None)
    return Processing(drug.name, molecule.antibody.name, molecule.payload.name, molecule.linker.cleavable, loads)


def _molecule(drug: Drug) -> Conjugate:
    assert drug.conjugate is not None
    return drug.conjugate


def conjugate_doses(drug: Drug, time: float, concentration: float) -> list[Add]:
    """An ADC given where every payload number has a species of its own.

    Args:
        drug: the ADC.
        time: h.
        concentration: nM of antibody, with and without payload.

    Returns:
        One addition per payload number that occurs; the antibody without payload is naked antibody.
    """
    molecule = _molecule(drug)
    names = [molecule.antibody.name, *(f"{drug.name}.DAR{n}" for n in range(1, molecule.sites + 1))]
    return [Add(time, n, concentration * x) for n, x in zip(names, molecule.distribution, strict=True) if x > 0]


def cell_sensitivities(line: CellLine) -> dict[str, float]:
    """What the library knows of a line's response to ADCs and payloads, canonical units, by parameter name."""
    own = {k: line.quantities[k].canonical for k in CELL_OWN if k in line.quantities}
    return own | {f"{x}.{k}": q.canonical for x, constants in line.payloads.items() for k, q in constants.items()}
