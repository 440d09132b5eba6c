"""Cells with their receptors, dimers and signalling network in a medium: the full biology behind the plate's model.

It fills the same outputs as `her2pkpd.systems.well` (``signal``, ``pAKT``, ``pERK``, ``N``), from mechanisms instead
of quasi-steady arms. Parts are switched off by leaving them out: no ligand, no drug, no shedding, no effectors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from her2pkpd.engine import Batch, Options, Segments, solve
from her2pkpd.errors import ComputationError, InputError, Problem
from her2pkpd.library import CellLine, Drug, load_parameters
from her2pkpd.mechanisms.adcc import adcc
from her2pkpd.mechanisms.antibody import antibody_in_medium
from her2pkpd.mechanisms.apoptosis import BIM, SURVIVIN, apoptotic_switch
from her2pkpd.mechanisms.dimers import (
    RECEPTORS,
    Dimer,
    Form,
    antibody_binding,
    dimerisation,
    dimers,
    forms,
    ligand_binding,
    receptors,
)
from her2pkpd.mechanisms.expression import her2_expression, mrna
from her2pkpd.mechanisms.growth import crowding, signal_driven_growth
from her2pkpd.mechanisms.kinase import Inhibitor, cellular_Ki, inhibitor_in_medium, kinase_inhibition
from her2pkpd.mechanisms.network import downstream_inhibition, phosphorylation, receptor_total, signalling_network
from her2pkpd.mechanisms.population import medium, population
from her2pkpd.mechanisms.receptors import receptor_states
from her2pkpd.mechanisms.signalling import ligand
from her2pkpd.mechanisms.trafficking import Trafficking, internalisation, shedding, synthesis
from her2pkpd.model import Builder, Model, Source
from her2pkpd.systems.sourced import sourced

CELL_NETWORK = ("PTEN", "PI3K", "PIK3CA", "RAS")
REFERENCES = {"AKT0": "AKT", "ERK0": "ERK", "FOXO0": "FOXO"}
"""Parameters that hold the untreated level of a species."""
GROWTH = ("w", "k_apo", "tolerance")
WELL = ("kint", "Vc", "kturn.HER2", "kturn.EGFR", "Nmax")
NETWORK_PREFIXES = ("net.", "dimer.", "kint.", "adcc.", "NRG1.", "EGF.")
DRUG_KINDS = ("antibody", "tki")
"""Kinds of library drugs the network takes."""

EQUILIBRATION = 600.0
"""Hours after which an untreated cell has settled."""
SETTLED = Options(rtol=1e-7, atol=1e-10)
"""How accurately the untreated cell is followed until then."""


@dataclass(frozen=True)
class CellOptions:
    """Parts of the biology that may be left out or added.

    Attributes:
        shedding: whether HER2 is shed and p95HER2 made.
        expression: whether HER2 synthesis follows its mRNA, gene copies and k_tx.
        growth: whether cells divide and die.
        effectors: whether effector cells are there.
        downstream: downstream inhibitors, target by drug; see `her2pkpd.mechanisms.network.TARGETS`.
        ATP: whether reversible inhibitors compete with an explicit ``ATP``; their constants at the library's ATP are
            unchanged, because the over-prediction of the full correction is a parameter,
            ``<drug>.<kinase>.over_prediction``.
        trafficking: "net" (Maass 2016) or "recycling" (Scheuher 2023); never both.
    """

    shedding: bool = True
    expression: bool = False
    growth: bool = True
    effectors: bool = False
    downstream: Mapping[str, str] = field(default_factory=dict)
    ATP: bool = False
    trafficking: Trafficking = "net"


def cell_model(
    name: str,
    own: Mapping[str, float],
    *,
    drugs: Sequence[Drug] = (),
    ligands: Sequence[str] = (),
    options: CellOptions | None = None,
    volume: float = 1e-4,
) -> Model:
    """Assemble the model of one population in a medium.

    Args:
        name: name of the population.
        own: its own values, canonical units: ``HER2``, ``HER3``, ``EGFR``, ``HER4`` (copies/cell),
            ``doubling_time`` (h), and any of ``PTEN``, ``PI3K``, ``PIK3CA``, ``RAS`` and the growth parameters; see
            `network_parameters`.
        drugs: library drugs in the medium.
        ligands: any of "NRG1", "EGF".
        options: which parts to include.
        volume: medium, L.

    Returns:
        The `Model`. Start it from `baseline`: its own initial values are not the untreated cell's steady state.

    Raises:
        InputError: for a drug that is neither an antibody nor a kinase inhibitor.
    """
    options = options or CellOptions()
    strangers = [d.name for d in drugs if d.kind not in DRUG_KINDS]
    if strangers:
        rule = f"the cell model takes antibodies and kinase inhibitors, not {', '.join(strangers)}"
        raise InputError(Problem(rule, "Leave it out, or use the system that models its kind."))
    build = Builder(f"cell {name}")
    _parameters(build, name, own, ligands, options)
    medium(build, volume=volume)
    for drug in drugs:
        _drug(build, drug, ATP=options.ATP)
    for one in ligands:
        ligand(build, one)
    for one in options.downstream:
        inhibitor_in_medium(build, one)
        build.parameter(f"{one}.Ki", 10.0, "nM", source=Source("a working value", "assumed"))
    population(build, name, seeded=own.get("seeded", 5000.0))
    bodies = [d for d in drugs if d.kind == "antibody"]
    states = receptor_states(*([d.name for d in bodies if d.epitope == e] for e in ("domain IV", "domain II")))
    present = forms(tuple(ligands), states)
    pairs = dimers(present)
    _membrane(build, name, present, pairs, drugs, options)
    downstream_inhibition(build, name, options.downstream)
    phosphorylation(build, name, pairs, shed=options.shedding)
    signalling_network(build, name)
    apoptotic_switch(build, name)
    receptor_total(build, name, present, pairs)
    _growth(build, name, drugs, present, pairs, options)
    return build.model()


def _membrane(
    build: Builder,
    name: str,
    present: list[Form],
    pairs: list[Dimer],
    drugs: Sequence[Drug],
    options: CellOptions,
) -> None:
    inhibitors = [d for d in drugs if d.kind == "tki"]
    for kinase in ("HER2", "EGFR"):
        reached = [
            Inhibitor(d.name, d.kinases[kinase].mode, competes=options.ATP) for d in inhibitors if kinase in d.kinases
        ]
        kinase_inhibition(build, name, kinase, reached)
    reversible = [d.name for d in inhibitors if "HER2" in d.kinases and d.kinases["HER2"].mode == "reversible"]
    receptors(build, name, present)
    dimerisation(build, name, pairs)
    ligand_binding(build, name, present, pairs)
    antibody_binding(build, name, present, pairs)
    route = options.trafficking
    internalisation(build, name, present, pairs, stabilisers=tuple(reversible), route=route)
    if options.expression:
        her2_expression(build, name)
    her2 = mrna("ERBB2", name) if options.expression else ""
    synthesis(build, name, her3=f"HER3_mRNA.{name}", her2=her2, route=route)
    if options.shedding:
        shedding(build, name, present, pairs, route=route)


def _growth(
    build: Builder,
    name: str,
    drugs: Sequence[Drug],
    present: list[Form],
    pairs: list[Dimer],
    options: CellOptions,
) -> None:
    if options.growth:
        toxic = [d.name for d in drugs if d.off_target]
        signal_driven_growth(build, name, toxic=toxic, survival=f"survival.{name}")
        crowding(build, [name])
    else:
        build.quantity(f"mu.{name}", lambda s, p: 0.0, "1/h", "no division")
    if options.effectors:
        bound = {f.species(name): _antibodies(f) for f in present}
        bound |= {d.species(name): _antibodies(d.one) + _antibodies(d.two) for d in pairs}
        adcc(build, name, {k: n for k, n in bound.items() if n})


def _antibodies(form: Form) -> float:
    return float(bool(form.domain_iv) + bool(form.domain_ii))


def network_parameters(line: CellLine) -> dict[str, float]:
    """A cell line's own values for `cell_model`, from its library entry; HER4 where nobody counted it is zero."""
    table = load_parameters()
    addicted = "cell.w" if line.status == "HER2amp" else "cell.w_not_amplified"
    wanted = ("HER2", "HER3", "EGFR", "HER4", "doubling_time", *CELL_NETWORK, *GROWTH)
    own = {k: q.canonical for k, q in line.quantities.items() if k in wanted}
    absent = {k: table[f"cell.{k}"].canonical for k in RECEPTORS if k not in own}
    return {"w": table[addicted].canonical, **absent, **own}


def _sourced(build: Builder, name: str, key: str = "", value: float | None = None) -> None:
    entry = load_parameters()[key or name]
    number = entry.canonical if value is None else value
    build.parameter(name, number, entry.canonical_unit, source=Source(entry.source.citation, entry.source.certainty))


def _parameters(
    build: Builder, name: str, own: Mapping[str, float], ligands: Sequence[str], options: CellOptions
) -> None:
    used = {f"{x}." for x in ligands} | {"net.", "dimer.", "kint."} | ({"adcc."} if options.effectors else set())
    used |= {"recycling."} if options.trafficking == "recycling" else set()
    for key in load_parameters():
        if any(key.startswith(x) for x in used):
            _sourced(build, key)
    for key in WELL:
        if key != "kint" or options.trafficking == "net":
            _sourced(build, key)
    _sourced(build, "kshed", value=None if options.shedding else 0.0)
    # Division follows AKT and ERK of the network, not the plate model's own drive.
    _sourced(build, "n_S", "net.n_division")
    _sourced(build, f"{name}.S50", "net.S_division")
    for receptor in RECEPTORS:
        _sourced(build, f"{name}.{receptor}", f"cell.{receptor}", own.get(receptor, 0.0))
    for key in CELL_NETWORK + GROWTH:
        _sourced(build, f"{name}.{key}", f"cell.{key}", own.get(key))
    build.parameter(f"{name}.doubling_time", own.get("doubling_time", 48.0), "h")
    for key in REFERENCES:
        build.parameter(f"{name}.{key}", 0.1, "1", source=Source("untreated steady state", "derived"))
    if options.expression:
        _sourced(build, "kdeg_mRNA")
        build.parameter(f"{name}.gene_copies", 2.0, "1")
        build.parameter(f"{name}.k_tx", 1.0, "1")
    if options.effectors:
        build.parameter("effectors", 0.0, "1", source=Source("effector cells per target cell", "assumed"))


def _drug(build: Builder, drug: Drug, *, ATP: bool) -> None:
    if drug.kind == "antibody":
        antibody_in_medium(build, drug.name)
        for key in ("kon", "KD"):
            sourced(build, f"{drug.name}.{key}", drug.binding[key])
        return
    inhibitor_in_medium(build, drug.name)
    for kinase, constants in drug.kinases.items():
        name = f"{drug.name}.{kinase}"
        if constants.mode == "covalent":
            for key in ("KI", "kinact"):
                sourced(build, f"{name}.{key}", constants.constants[key])
            continue
        sourced(build, f"{name}.koff", constants.constants["koff"])
        if ATP:
            _competition(build, drug, kinase)
        else:
            sourced(build, f"{name}.Ki", constants.constants["Ki"])
    for key, value in (drug.off_target or {}).items():
        sourced(build, f"{drug.name}.{key}_off", value)


def _competition(build: Builder, drug: Drug, kinase: str) -> None:
    name, table = f"{drug.name}.{kinase}", load_parameters()
    published = [drug.reference[k] for x in ("Ki", "IC50") if (k := f"{kinase} {x}, biochemical") in drug.reference]
    if not published:
        rule = f"the library has no biochemical constant of {drug.name} on {kinase}"
        raise InputError(Problem(rule, "Leave ATP out, or add the constant to the drug's reference values."))
    for key in ("ATP", f"{kinase}.Km_ATP"):
        sourced(build, key, table[key])
    sourced(build, f"{name}.Ki_biochemical", published[0])
    full = cellular_Ki(published[0].canonical, table["ATP"].canonical, table[f"{kinase}.Km_ATP"].canonical)
    ratio = full / drug.kinases[kinase].constants["Ki"].canonical
    source = Source("full Cheng-Prusoff correction over the constant in cells", "derived")
    build.parameter(f"{name}.over_prediction", ratio, "1", source=source)


def settling(model: Model, parameters: np.ndarray, name: str) -> Batch:
    """The untreated cell on its way to rest: neither dividing nor dying, HER3 at its reference.

    Args:
        model: a `cell_model`.
        parameters: (L, n_parameters).
        name: name of the population.
    """
    still = np.array(parameters, dtype=float)
    for key, value in ((f"{name}.doubling_time", 1e30), (f"{name}.k_apo", 0.0), ("net.f_FOXO", 0.0)):
        still[:, model.parameter_index[key]] = value
    segments = Segments(np.tile([0.0, EQUILIBRATION], (len(still), 1)))
    return Batch(model, still, segments, np.array([EQUILIBRATION]))


def baseline(model: Model, parameters: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The untreated cell at rest, with the references that read-outs are relative to.

    Args:
        model: a `cell_model`.
        parameters: (L, n_parameters) or (n_parameters,).
        name: name of the population.

    Returns:
        Parameters with ``AKT0``, ``ERK0`` and ``FOXO0`` set, (L, n_parameters), and the settled state with the
        seeded number of cells, (L, n_species).

    Raises:
        ComputationError: if a lane does not settle.
    """
    p = np.atleast_2d(np.array(parameters, dtype=float))
    at, state = model.parameter_index, model.species_index
    solution = solve(settling(model, p, name), SETTLED)
    if not solution.ok.all():
        raise ComputationError(f"untreated cells did not settle: {solution.status_counts()}")
    y = solution.y[:, 0].copy()
    for key, species in REFERENCES.items():
        p[:, at[f"{name}.{key}"]] = y[:, state[f"{species}.{name}"]]
    y[:, state[f"N.{name}"]] = model.initial(p)[:, state[f"N.{name}"]]
    for key in (BIM, SURVIVIN):
        y[:, state[f"{key}.{name}"]] = 1.0
    if "sHER2" in state:
        y[:, state["sHER2"]] = 0.0
    return p, y
