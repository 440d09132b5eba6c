"""A well: one or more populations of cells in a medium with any of the drugs, assembled from the mechanisms."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from her2pkpd.library import CellLine, Drug, Quantity, load_parameters
from her2pkpd.mechanisms.adcc import adcc_rate
from her2pkpd.mechanisms.antibody import antibody_in_medium, epitope_binding
from her2pkpd.mechanisms.disposition import AMOUNTS, amounts
from her2pkpd.mechanisms.growth import crowding, signal_driven_growth
from her2pkpd.mechanisms.kinase import Inhibitor, inhibitor_in_medium, kinase_inhibition
from her2pkpd.mechanisms.population import medium, population
from her2pkpd.mechanisms.receptors import ReceptorState, her2_read_outs, her2_turnover, molecule, receptor_states
from her2pkpd.mechanisms.signalling import ligand, quasi_steady_signalling
from her2pkpd.model import Builder, Model, Scope
from her2pkpd.systems.conjugates import DEBRIS, Cytotoxics, cell_sensitivities, cytotoxics
from her2pkpd.systems.sourced import sourced

GLOBAL = (
    "kint",
    "Vc",
    "omega",
    "antibody_pair.internalisation_ratio",
    "kturn.HER2",
    "kturn.EGFR",
    "n_S",
    "n_crit",
    "Nmax",
)
"""Mechanism parameters every well has."""

CELL = ("a_li", "a_egfr", "w", "S50", "S_crit", "k_apo", "tolerance")
"""What is a cell line's own beside its receptors and doubling time."""

LIGANDS = ("NRG1", "EGF")

ADCC = ("kmax", "E50", "B50", "F158", "F158_ratio")
"""Constants of the killing by effector cells."""


def well_model(
    drugs: Sequence[Drug],
    populations: Mapping[str, Mapping[str, float]],
    *,
    volume: float = 1e-4,
    ligands: Sequence[str] = (),
    explicit_dar: bool = False,
    effectors: float | None = None,
    ledger: bool = False,
    name: str = "well",
) -> Model:
    """Assemble the model of a well.

    Args:
        drugs: drugs that may be in the medium; each brings its species, at zero until dosed.
        populations: per population the values of its own parameters, in canonical units: ``HER2`` (copies/cell),
            ``doubling_time`` (h), ``seeded`` (cells), any of `CELL`, and with ADCs or payloads ``kpino`` (1/h),
            ``tau`` (h) and ``<payload>.kc50`` (nM), ``<payload>.kmax`` (1/h); what is missing has the library's
            default.
        volume: medium, L.
        ligands: any of "NRG1", "EGF".
        explicit_dar: give every payload number of a conjugate a species of its own (``T-DM1.DAR3``) instead of one
            species with the mean DAR; ``T-DM1`` is then all that carry payload, ``DAR.T-DM1`` their mean.
        effectors: effector cells per target cell seeded, which kill what carries antibody (ADCC); None leaves them out.
        ledger: book payload that goes with the debris of dead cells, for balances.
        name: name of the model.

    Returns:
        The `Model`. Its outputs per population: ``N``, ``HER2.surface``, ``occupancy.<drug>``, ``signal``,
        ``pAKT``, ``pERK``, ``mu``, ``death``; medium species carry the drug's name and are in nM. An ADC brings its
        naked antibody and its payload as medium species, and per population ``payload.<payload>``, ``kill``,
        ``undamaged`` and ``loss``.
    """
    build = Builder(name)
    toxins = cytotoxics(drugs, explicit_dar=explicit_dar)
    drugs = [*drugs, *(d for d in toxins.antibodies if d.name not in {x.name for x in drugs})]
    antibodies = [d for d in drugs if d.kind == "antibody"]
    inhibitors = [d for d in drugs if d.kind == "tki"]
    _global_parameters(build, ligands)
    medium(build, volume=volume)
    for drug in drugs:
        drug_parameters(build, drug)
    for ligand_name in ligands:
        ligand(build, ligand_name)
    toxins.in_medium(build)
    if ledger:
        amounts(build)
        build.species(DEBRIS, AMOUNTS, "nmol")
    if effectors is not None:
        _effectors(build, effectors, [*(d.name for d in antibodies), *(d.name for d in toxins.drugs)])
    bound = {e: [d.name for d in antibodies if d.epitope == e] for e in ("domain IV", "domain II")}
    states = receptor_states([*bound["domain IV"], *toxins.conjugates], bound["domain II"])
    for cells, own in populations.items():
        _cell_parameters(build, cells, own, toxins)
        population(build, cells, seeded=own.get("seeded", 5000.0))
        her2_turnover(build, cells, states, cargo=toxins.cargo(cells))
        epitope_binding(build, cells, states)
        her2_read_outs(build, cells, states)
        for kinase in ("HER2", "EGFR"):
            reached = [Inhibitor(d.name, d.kinases[kinase].mode) for d in inhibitors if kinase in d.kinases]
            kinase_inhibition(build, cells, kinase, reached)
        quasi_steady_signalling(build, cells, ligands=tuple(ligands))
        toxic = [d.name for d in inhibitors if d.off_target]
        killed = effectors is not None
        signal_driven_growth(build, cells, toxic=toxic, damaged=bool(toxins.payloads), effectors=killed)
        if killed:
            adcc_rate(build, cells, _antibodies_on(cells, states))
        toxins.in_cells(build, cells, states, ledger=DEBRIS if ledger else "")
    crowding(build, list(populations))
    return build.model()


def cell_parameters(line: CellLine) -> dict[str, float]:
    """A cell line's own values for a well, canonical units, from its library entry.

    Lines whose HER2 nobody counted get the library's default for normal breast, and lines whose dependence on the
    signal nobody calibrated that of their HER2 status; what else is missing gets the library's default later, in
    `well_model`.
    """
    table = load_parameters()
    addicted = "cell.w" if line.status == "HER2amp" else "cell.w_not_amplified"
    own = {k: q.canonical for k, q in line.quantities.items() if k in ("HER2", "doubling_time", *CELL)}
    own |= cell_sensitivities(line)
    return {"HER2": table["cell.HER2"].canonical, "w": table[addicted].canonical, **own}


def _effectors(build: Builder, number: float, proteins: Sequence[str]) -> None:
    table = load_parameters()
    for name in ADCC:
        sourced(build, f"adcc.{name}", table[f"adcc.{name}"])
    build.parameter("effectors", number, "1")
    for protein in proteins:
        sourced(build, f"{protein}.Fc", table["antibody.Fc"])


def _antibodies_on(cells: str, states: Sequence[ReceptorState]) -> dict[str, Callable[[Scope], Any]]:
    """Antibodies per cell that a unit of each receptor state carries, weighted by what their Fc parts are worth."""

    def carried(state: ReceptorState) -> Callable[[Scope], Any]:
        names = [molecule(x) for x in (state.domain_iv, state.domain_ii) if x]
        return lambda p: p[f"{cells}.HER2"] * sum(p[f"{x}.Fc"] for x in names)

    return {x.species(cells): carried(x) for x in states if x != ReceptorState()}


def _global_parameters(build: Builder, ligands: Sequence[str]) -> None:
    table = load_parameters()
    for name in GLOBAL:
        sourced(build, name, table[name])
    if ligands:
        sourced(build, "a_ld", table["a_ld"])
    for name in ligands:
        sourced(build, f"K_{name}", table[f"K_{name}"])


def _cell_parameters(build: Builder, cells: str, own: Mapping[str, float], toxins: Cytotoxics) -> None:
    table = load_parameters()
    build.parameter(f"{cells}.HER2", own["HER2"], "copies/cell")
    build.parameter(f"{cells}.doubling_time", own["doubling_time"], "h")
    for name in CELL:
        default = table[f"cell.{name}"]
        build.parameter(f"{cells}.{name}", own.get(name, default.canonical), default.canonical_unit)
    toxins.cell_parameters(build, cells, own)


def drug_parameters(build: Builder, drug: Drug) -> None:
    """A drug's state in the fluid around the cells, and the constants of its mechanism."""
    if drug.kind in ("adc", "payload"):
        return
    medium = antibody_in_medium if drug.kind == "antibody" else inhibitor_in_medium
    medium(build, drug.name)
    mechanism_constants(build, drug)


def mechanism_constants(build: Builder, drug: Drug) -> None:
    """The constants of an antibody or inhibitor, without its state in the medium."""
    for name, value in drug_constants(drug).items():
        sourced(build, name, value)


def drug_constants(drug: Drug) -> dict[str, Quantity]:
    """The library's numbers of what a drug does to its receptor and beside it, by model parameter."""
    if drug.binding:
        return {f"{drug.name}.{name}": drug.binding[name] for name in ("kon", "KD", "internalisation_ratio")}
    found = {}
    for kinase, constants in drug.kinases.items():
        names = ("Ki", "koff") if constants.mode == "reversible" else ("KI", "kinact")
        found |= {f"{drug.name}.{kinase}.{name}": constants.constants[name] for name in names}
    return found | {f"{drug.name}.{name}_off": value for name, value in drug.off_target.items()}
