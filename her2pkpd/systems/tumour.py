"""A tumour in shells, with any number of cell populations, fed from a plasma that its owner provides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from her2pkpd.library import CellLine, Drug, load_parameters
from her2pkpd.mechanisms.antibody import antibody_in_medium, epitope_binding
from her2pkpd.mechanisms.disposition import AMOUNTS, amounts
from her2pkpd.mechanisms.krogh import Shells, equal_shells, fluid, place, tissue, transport, two_zones
from her2pkpd.mechanisms.population import count, cytosol, surface
from her2pkpd.mechanisms.receptors import ReceptorState, her2_read_outs, her2_turnover, receptor_states
from her2pkpd.mechanisms.tumour_growth import tumour_growth
from her2pkpd.model import Builder, Expression
from her2pkpd.systems.conjugates import DEBRIS, Cytotoxics, cell_sensitivities, cytotoxics
from her2pkpd.systems.sourced import sourced
from her2pkpd.systems.tumour_signal import GLOBAL as SIGNAL_GLOBAL
from her2pkpd.systems.tumour_signal import inhibitors_in_tumour, signal_parameters, signalling_cells, stromal_ligand
from her2pkpd.units import AVOGADRO

TRANSPORT = tuple(f"tumour.{x}{kind}" for kind in ("", "_payload") for x in ("P", "D", "epsilon"))
WASHED_OUT = "payload.washed_out"
DRAINED = "payload.drained"


@dataclass(frozen=True)
class Feed:
    """What plasma offers the tumour.

    Attributes:
        concentration: of a molecule in plasma, nM.
        species: plasma species it is taken from and given back to, or "" if plasma does not notice.
    """

    concentration: Expression
    species: str = ""


@dataclass(frozen=True)
class Signal:
    """The HER2 signal in a tumour of several populations.

    Attributes:
        populations: those whose division depends on it; inhibitors harm the others off the HER2 family only.
        NRG1: around the cells, nM, or None where the model has none.
    """

    populations: tuple[str, ...]
    NRG1: float | None = None

    @property
    def ligands(self) -> tuple[str, ...]:
        """Ligands around the cells."""
        return () if self.NRG1 is None else ("NRG1",)


def shells(number: int = 0) -> Shells:
    """The library's Krogh cylinder in equal shells; 0 makes the two zones (a perivascular quarter, and the rest)."""
    table = load_parameters()
    sizes = {"capillary": table["tumour.Rcap"].canonical, "cylinder": table["tumour.Rkrogh"].canonical}
    return equal_shells(number, **sizes) if number else two_zones(**sizes)


def population_values(line: CellLine, species: str) -> dict[str, float]:
    """A cell line's own values as a tumour population of "mouse" or "human", canonical units."""
    table = load_parameters()
    return {
        "HER2": line.HER2.canonical if "HER2" in line.quantities else table["cell.HER2"].canonical,
        "doubling_time": table[f"tumour.{species}.doubling_time"].canonical,
        **cell_sensitivities(line),
        **{k.removeprefix(f"tumour.{species}."): q.canonical for k, q in table.items() if _is_kill(k, species)},
    }


def _is_kill(name: str, species: str) -> bool:
    return name.startswith(f"tumour.{species}.") and name.endswith(".kmax")


def add_tumour(  # noqa: PLR0913 - the parts of a tumour are chosen one by one
    build: Builder,
    drugs: Sequence[Drug],
    populations: Mapping[str, Mapping[str, float]],
    geometry: Shells,
    feeds: Mapping[str, Feed],
    *,
    volume: float,
    explicit_dar: bool = False,
    ledger: bool = False,
    signal: Signal | None = None,
) -> Cytotoxics:
    """Add a tumour to a model.

    Args:
        build: the model; must hold ``klin`` (L/h) and ``Vmax`` (L).
        drugs: antibodies, ADCs, payloads and, with a `signal`, kinase inhibitors that may reach it.
        populations: per population ``HER2`` (copies/cell), ``doubling_time`` (h), ``share`` of the cells, and what
            `her2pkpd.systems.conjugates.Cytotoxics.cell_parameters` takes.
        geometry: the shells.
        feeds: plasma by molecule; one that is missing is absent from plasma and washes out.
        volume: of the tumour at time zero, L.
        explicit_dar: give every payload number of a conjugate a species of its own.
        ledger: book payload that leaves with blood, drained fluid and debris in species of their own, for balances.
        signal: the HER2 signal of its cells; None means that payload alone acts on them.

    Returns:
        The ADCs and payloads of the tumour. Outputs: ``tumour.volume``, and per population and shell (``HER2+@1``)
        what a well has per population; ``signal`` and kinases only of populations that depend on them.
    """
    toxins = cytotoxics(drugs, explicit_dar=explicit_dar)
    proteins = [*{d.name: d for d in (*(x for x in drugs if x.kind == "antibody"), *toxins.antibodies)}.values()]
    inhibitors = [d for d in drugs if d.kind == "tki"] if signal else []
    _parameters(build, proteins, volume)
    if signal:
        _signal_parameters(build, signal, inhibitors, populations)
    toxins.parameters(build)
    for name, own in populations.items():
        build.parameter(f"{name}.HER2", own["HER2"], "copies/cell")
        build.parameter(f"{name}.doubling_time", own["doubling_time"], "h")
        build.parameter(f"{name}.share", own["share"], "1")
        toxins.cell_parameters(build, name, own)
    bound = {e: [d.name for d in proteins if d.epitope == e] for e in ("domain IV", "domain II")}
    states = receptor_states([*bound["domain IV"], *toxins.conjugates], bound["domain II"])
    names = list(populations)
    for i, share in enumerate(geometry.shares, start=1):
        for name in names:
            _population(build, name, i, share)
    tissue(build, geometry, names)
    if ledger:
        amounts(build)
        for name in (WASHED_OUT, DRAINED, DEBRIS):
            build.species(name, AMOUNTS, "nmol")
    for i in range(1, geometry.count + 1):
        for drug in proteins:
            antibody_in_medium(build, f"{drug.name}{place(i)}", compartment=fluid("protein", i))
        toxins.species(build, place(i), antibody=fluid("protein", i), payload=fluid("payload", i))
        for name in names:
            here = f"{name}{place(i)}"
            driven = signal is not None and name in signal.populations
            if signal and driven:
                signalling_cells(build, here, inhibitors, ligands=signal.ligands)
            _cells(build, here, states, toxins, driven, inhibitors, ledger=DEBRIS if ledger else "")
    _exchange(build, geometry, [d.name for d in proteins], toxins, feeds, ledger=ledger)
    return toxins


def _parameters(build: Builder, proteins: Sequence[Drug], volume: float) -> None:
    table = load_parameters()
    for name in ("kint", "Vc", "omega", "antibody_pair.internalisation_ratio", *TRANSPORT):
        sourced(build, name, table[name])
    build.parameter("tumour.initial_volume", volume, "L")
    for drug in proteins:
        for name in ("kon", "KD", "internalisation_ratio"):
            sourced(build, f"{drug.name}.{name}", drug.binding[name])


def _population(build: Builder, name: str, shell: int, share: float) -> None:
    here = f"{name}{place(shell)}"
    cells = count(here)
    build.species(
        cells,
        None,
        "cells",
        initial=lambda p: (
            share * p[f"{name}.share"] * p["tumour.initial_volume"] * (1.0 - p["tumour.epsilon_payload"]) / p["Vc"]
        ),
        scale=1e6,
    )
    build.compartment(cytosol(here), lambda s, p: s[cells] * p["Vc"], count=cells)
    build.compartment(surface(here), lambda s, p: s[cells] * p[f"{name}.HER2"] * (1e9 / AVOGADRO), count=cells)


def _signal_parameters(
    build: Builder, signal: Signal, inhibitors: Sequence[Drug], populations: Mapping[str, Mapping[str, float]]
) -> None:
    table = load_parameters()
    for name in SIGNAL_GLOBAL:
        sourced(build, name, table[name])
    inhibitors_in_tumour(build, inhibitors)
    if signal.ligands:
        stromal_ligand(build, signal.NRG1 or 0.0)
    for name, own in populations.items():
        if name in signal.populations:
            signal_parameters(build, name, own)
        else:
            default = table["cell.tolerance"]
            build.parameter(f"{name}.tolerance", own.get("tolerance", default.canonical), default.canonical_unit)


def _cells(
    build: Builder, here: str, states: Sequence[ReceptorState], toxins: Cytotoxics, driven: bool,
    inhibitors: Sequence[Drug], *, ledger: str,
) -> None:  # fmt: skip
    her2_turnover(build, here, states, cargo=toxins.cargo(here))
    epitope_binding(build, here, states)
    her2_read_outs(build, here, states)
    toxic = [d.name for d in inhibitors if d.off_target]
    tumour_growth(build, here, driven=driven, toxic=toxic, damaged=bool(toxins.payloads))
    toxins.in_cells(build, here, states, ledger=ledger)


def _exchange(
    build: Builder,
    geometry: Shells,
    proteins: Sequence[str],
    toxins: Cytotoxics,
    feeds: Mapping[str, Feed],
    *,
    ledger: bool,
) -> None:
    carried = {load.species: load.payloads for x in toxins.processings for load in x.loads}
    absent = Feed(lambda s, p: 0.0)
    molecules = [*((x, "protein", carried.get(x)) for x in (*proteins, *toxins.conjugates))]
    molecules += [(x, "payload", 1.0) for x in toxins.payloads]
    for name, kind, payloads in molecules:
        feed = feeds.get(name, absent)
        books = {}
        if ledger and payloads is not None and not feed.species:
            books = {WASHED_OUT: f"-{payloads}" if isinstance(payloads, str) else -payloads}
        transport(build, name, geometry, kind, feed.concentration, books=books, source=feed.species)
        if ledger and payloads is not None:
            for i in range(1, geometry.count + 1):
                here, drainage = f"{name}{place(i)}", f"drainage{place(i)}"
                build.reaction(
                    f"{name} drains from shell {i}",
                    {DRAINED: payloads},
                    lambda s, p, n=here, d=drainage: s[d] * s[n],
                    at=fluid(kind, i),
                )
