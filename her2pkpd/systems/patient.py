"""A patient: the plasma of every drug, and, where asked for, a tumour with the same cells a well has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from her2pkpd.library import Drug, load_parameters
from her2pkpd.mechanisms.antibody import epitope_binding
from her2pkpd.mechanisms.disposition import Structure, disposition
from her2pkpd.mechanisms.growth import crowding, signal_driven_growth
from her2pkpd.mechanisms.interstitium import antibody_uptake, inhibitor_uptake, interstitium, payload_uptake
from her2pkpd.mechanisms.kinase import Inhibitor, kinase_inhibition
from her2pkpd.mechanisms.population import count, cytosol, surface
from her2pkpd.mechanisms.receptors import her2_read_outs, her2_turnover, receptor_states
from her2pkpd.mechanisms.released import released_payload
from her2pkpd.mechanisms.signalling import quasi_steady_signalling
from her2pkpd.model import Builder, Model
from her2pkpd.systems.conjugates import Cytotoxics, cytotoxics
from her2pkpd.systems.sourced import sourced
from her2pkpd.systems.tumour_signal import exposure_ratio, signal_parameters, stromal_ligand
from her2pkpd.systems.well import GLOBAL, drug_parameters
from her2pkpd.units import AVOGADRO

TUMOUR = "tumour"
"""Name of the population a patient's tumour consists of."""

TISSUE = ("tumour.cell_density", "tumour.Rcap", "tumour.Rkrogh", "tumour.kexchange")
"""Parameters of the tissue, beside those of `TRANSPORT`."""

TRANSPORT = ("tumour.P", "tumour.D", "tumour.epsilon", "tumour.P_payload", "tumour.D_payload", "tumour.epsilon_payload")
"""Parameters of transport into it."""


@dataclass(frozen=True)
class PatientDrug:
    """A drug in a patient: which disposition it has, and the constants of the one simulated.

    Attributes:
        drug: the library's entry.
        structure: compartments and processes.
        parameters: by name without the drug's, canonical units; those of a payload as ``<payload>.CL``.
        payload: the payload whose plasma concentration is followed, or "".
    """

    drug: Drug
    structure: Structure
    parameters: Mapping[str, float]
    payload: str = ""
    released: Mapping[str, float] = field(default_factory=dict)


def patient_model(
    drugs: Sequence[PatientDrug],
    tumour: Mapping[str, float] | None = None,
    *,
    held: Sequence[str] = (),
    name: str = "patient",
) -> Model:
    """Assemble the model of a patient.

    Args:
        drugs: the drugs that may be given.
        tumour: None for plasma alone; otherwise the tumour's own values, canonical units, by name: ``HER2``
            (copies/cell), ``doubling_time`` (h), ``volume`` (L) and any of `her2pkpd.systems.well.CELL`. What is
            missing has the library's default.
        held: parameters that change on the way, by their names in the model.
        name: name of the model.

    Returns:
        The `Model`. Doses go to ``central.<drug>`` or ``depot.<drug>``, in nmol. Outputs: ``plasma.<drug>`` in nM;
        with a tumour ``tumour.volume``, ``occupancy.<drug>.tumour``, ``pAKT.tumour`` and what a well has besides.
    """
    build = Builder(name)
    for given in drugs:
        add_plasma(build, given)
    if tumour is not None:
        add_signalling_tumour(build, drugs, tumour)
    for parameter in held:
        build.held(parameter)
    return build.model()


def add_plasma(build: Builder, given: PatientDrug) -> None:
    """Add the disposition of one drug, and of the payload it releases, to a model."""
    drug = given.drug.name
    for name, unit in given.structure.parameters.items():
        build.parameter(f"{drug}.{name}", given.parameters[name], unit)
    disposition(build, drug, given.structure)
    if given.payload:
        for name in ("Krel", "Krel_cycle_exponent", "Krel_later_cycles", "payload_per_antibody"):
            build.parameter(f"{drug}.{name}", given.released[name], "1/h" if name == "Krel" else "1", lower=-10.0)
        build.parameter(f"{given.payload}.CL", given.released["CL"], "L/h")
        build.parameter(f"{given.payload}.Vc", given.released["Vc"], "L")
        released_payload(build, drug, given.payload)


def add_signalling_tumour(build: Builder, given: Sequence[PatientDrug], own: Mapping[str, float]) -> None:
    """Add the one-population tumour of `patient_model` to a model that holds the plasma of its drugs."""
    toxins = cytotoxics([x.drug for x in given])
    ligands = ("NRG1",) if "NRG1" in own else ()
    drugs = [x.drug for x in given]
    drugs += [x for x in toxins.antibodies if x.name not in {d.name for d in drugs}]
    antibodies, inhibitors = ([d for d in drugs if d.kind == kind] for kind in ("antibody", "tki"))
    _tumour_parameters(build, own, toxins)
    _cells(build)
    if ligands:
        stromal_ligand(build, own["NRG1"])
    for drug in drugs:
        drug_parameters(build, drug)
    toxins.in_medium(build)
    for drug in (x.drug for x in given):
        if drug.epitope:
            antibody_uptake(build, drug.name, TUMOUR)
        elif drug.kinases:
            build.parameter(f"{drug.name}.exposure_ratio", exposure_ratio(drug), "1")
            inhibitor_uptake(build, drug.name)
    for payload in toxins.payloads:
        payload_uptake(build, payload, TUMOUR, in_plasma=payload in {x.payload for x in given})
    bound = {e: [d.name for d in antibodies if d.epitope == e] for e in ("domain IV", "domain II")}
    states = receptor_states([*bound["domain IV"], *toxins.conjugates], bound["domain II"])
    her2_turnover(build, TUMOUR, states, cargo=toxins.cargo(TUMOUR))
    epitope_binding(build, TUMOUR, states)
    her2_read_outs(build, TUMOUR, states)
    for kinase in ("HER2", "EGFR"):
        reached = [Inhibitor(d.name, d.kinases[kinase].mode) for d in inhibitors if kinase in d.kinases]
        kinase_inhibition(build, TUMOUR, kinase, reached)
    quasi_steady_signalling(build, TUMOUR, ligands=ligands, altered=True)
    crowding(build, [TUMOUR])
    toxic = [d.name for d in inhibitors if d.off_target]
    signal_driven_growth(build, TUMOUR, toxic=toxic, damaged=bool(toxins.payloads), altered=True)
    toxins.in_cells(build, TUMOUR, states)


def _cells(build: Builder) -> None:
    cells = count(TUMOUR)
    build.species(
        cells, None, "cells", initial=lambda p: p["tumour.initial_volume"] * p["tumour.cell_density"], scale=1e6
    )
    build.compartment(cytosol(TUMOUR), lambda s, p: s[cells] * p["Vc"], count=cells)
    build.compartment(surface(TUMOUR), lambda s, p: s[cells] * p["tumour.HER2"] * (1e9 / AVOGADRO), count=cells)
    interstitium(build, TUMOUR)


def _tumour_parameters(build: Builder, own: Mapping[str, float], toxins: Cytotoxics) -> None:
    table = load_parameters()
    for name in GLOBAL:
        sourced(build, name, table["tumour.Nmax" if name == "Nmax" else name])
    for name in (*TISSUE, *TRANSPORT):
        sourced(build, name, table[name])
    for name, unit in (("HER2", "copies/cell"), ("doubling_time", "h"), ("initial_volume", "L")):
        build.parameter(f"tumour.{name}", own.get(name, table[f"tumour.{name}"].canonical), unit)
    signal_parameters(build, TUMOUR, own)
    slow = {f"{payload}.kmax": table["tumour.kmax"].canonical for payload in toxins.payloads}
    toxins.cell_parameters(build, TUMOUR, {**slow, **own})
