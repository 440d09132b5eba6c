"""``scenario.toml``: what is simulated, read and checked as one typed object."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from her2pkpd.dosing import Add, Event, Wash
from her2pkpd.errors import InputError, Problems
from her2pkpd.library import CellLine, Drug, Library, read_library
from her2pkpd.mechanisms.network import TARGETS
from her2pkpd.settings import Section, nearest, read_settings
from her2pkpd.systems.cell import DRUG_KINDS as NETWORK_KINDS
from her2pkpd.systems.well import LIGANDS

KINDS = ("well", "co-culture")
"""Kinds this reader takes."""

ELSEWHERE = ("xenograft", "patient")
"""Kinds with readers of their own: `her2pkpd.simulate.xenograft` and `her2pkpd.simulate.patient_scenario`."""

MAX_TIMES = 1_000_000
MAX_CELLS = 1e12
MAX_EFFECTORS = 1000.0


@dataclass(frozen=True)
class WellScenario:
    """One well, as ``scenario.toml`` describes it.

    Attributes:
        cell_lines: cells seeded by cell line; more than one line makes a co-culture.
        volume: medium, L.
        ligand: nM by ligand, from time zero on.
        events: additions and washes; drugs in nM.
        drugs: library drugs by name.
        lines: library cell lines by name.
        parameters: overrides by name, canonical units.
        times: output times, h, ascending.
        variables: what to report; empty means every output there is.
        explicit_dar: whether every payload number of a conjugate is a species of its own.
        effectors: effector cells per target cell seeded, or None for none.
        network: whether the cells have the full signalling network (`her2pkpd.systems.cell`) instead of quasi-steady
            arms; they are at rest at time zero.
        downstream: target by downstream inhibitor, with the network; their doses are in `events`.
    """

    cell_lines: Mapping[str, float]
    volume: float
    times: np.ndarray
    variables: tuple[str, ...] = ()
    ligand: Mapping[str, float] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    drugs: Mapping[str, Drug] = field(default_factory=dict)
    lines: Mapping[str, CellLine] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    explicit_dar: bool = False
    effectors: float | None = None
    network: bool = False
    downstream: Mapping[str, str] = field(default_factory=dict)


def read_scenario(path: str | Path) -> WellScenario:
    """Read and check ``scenario.toml``.

    Raises:
        InputError: listing everything wrong with it.
    """
    top = read_settings(path)
    problems = top.problems
    system = top.section("system")
    kind = system.text("kind", choices=(*KINDS, *ELSEWHERE))
    library = read_library(system, path)
    lines, seeded = _cell_lines(system, library, problems)
    if kind == "co-culture" and len(lines) < 2 and not problems.found:
        system.complain("cell_lines", "a co-culture has at least two cell lines", 'Add one, or say kind = "well".')
    volume = system.quantity("volume", "L", 1e-4, low=1e-9)
    ligand = _ligand(system)
    explicit_dar = bool(system.flag("explicit_dar", False))
    effectors = _effectors(system)
    network = bool(system.flag("network", False))
    downstream = _downstream(system, network, library)
    drugs: dict[str, Drug] = {}
    events = _events(top.sections("dose"), library, drugs, ligand, downstream)
    parameters = top.get("parameters", dict, {}, words="a table [parameters]") or {}
    output = top.section("output")
    times = read_times(output, problems)
    variables = output.texts("variables", (), words="a list of names in quotes") or ()
    if network:
        _network_limits(system, lines, drugs)
    top.finish()
    problems.raise_any()
    assert times is not None
    told = (variables, ligand, tuple(events), drugs, lines, dict(parameters))
    return WellScenario(seeded, volume, times, *told, explicit_dar, effectors, network, downstream)


def _effectors(system: Section) -> float | None:
    """Effector cells per target cell; only a number says so, since "20:1" could be read either way."""
    number = system.number("effectors", None)
    if number is not None and not 0.0 <= number <= MAX_EFFECTORS:
        rule = f"must be a number from 0 to {MAX_EFFECTORS:g}"
        system.complain("effectors", rule, "Give effector cells per target cell seeded.")
    return number


def _cell_lines(system: Section, library: Library, problems: Problems) -> tuple[dict[str, CellLine], dict[str, float]]:
    given = system.get("cell_lines", dict, words='a table such as { "SK-BR-3" = 5000 }') or {}
    lines: dict[str, CellLine] = {}
    seeded: dict[str, float] = {}
    if system.has("cell_lines") and not given:
        system.complain("cell_lines", "must name at least one cell line", 'Write { "SK-BR-3" = 5000 }.')
    for name, cells in given.items():
        key = f"system.cell_lines.{name}"
        if isinstance(cells, bool) or not isinstance(cells, (int, float)) or not 0 < cells < MAX_CELLS:
            rule = f"cells seeded must be a positive number below {MAX_CELLS:g}"
            problems.add(rule, "Give cells per well.", column=key, value=cells)
            continue
        try:
            line = library.cell_line(name)
        except InputError as error:
            for p in error.problems:
                problems.add(p.rule, p.remedy, column=key, value=name)
            continue
        if line.name in seeded:
            problems.add(f"names the cell line {line.name} twice", "Keep one entry.", column=key, value=name)
        lines[line.name], seeded[line.name] = line, float(cells)
    return lines, seeded


def _ligand(system: Section) -> dict[str, float]:
    table = system.section("ligand")
    return {
        name: value
        for name in LIGANDS
        if (value := table.quantity(name, "nM", 0.0, low=0.0)) is not None and table.has(name)
    }


def _downstream(system: Section, network: bool, library: Library) -> dict[str, str]:
    """Downstream inhibitors by name, such as ``{ trametinib = "MEK" }``."""
    table = system.section("downstream")
    if table.table and not network:
        system.complain("downstream", "needs the signalling network", "Set network = true.")
    found = {}
    for name in table.table:
        target = table.text(name, choices=TARGETS)
        if name in (*library.drug_spellings, *LIGANDS):
            table.complain(name, "is a drug of the library or a ligand", "Choose another name.")
        elif target in TARGETS:
            found[name] = target
    return found


def _network_limits(system: Section, lines: Mapping[str, CellLine], drugs: Mapping[str, Drug]) -> None:
    for key in ("effectors", "explicit_dar"):
        if system.has(key):
            system.complain(key, "is not there with the signalling network", f"Leave {key} out, or network.")
    if len(lines) > 1:
        system.complain("network", "the signalling network takes one cell line", "Name one, or leave network out.")
    strangers = [d.name for d in drugs.values() if d.kind not in NETWORK_KINDS]
    if strangers:
        rule = f"the signalling network takes antibodies and kinase inhibitors, not {', '.join(strangers)}"
        system.complain("network", rule, "Leave network out, or give the naked antibody.")


def _events(
    sections: list[Section],
    library: Library,
    drugs: dict[str, Drug],
    ligand: dict[str, float],
    downstream: Mapping[str, str],
) -> list[Event]:
    """Additions first: what may be washed is what is added anywhere."""
    washes = [s.text("action", "add", choices=("add", "wash")) == "wash" for s in sections]
    events = [
        e
        for s, wash in zip(sections, washes, strict=True)
        if not wash
        for e in _addition(s, library, drugs, ligand, downstream)
    ]
    known = [*drugs, *ligand, *downstream]
    return events + [e for s, wash in zip(sections, washes, strict=True) if wash for e in _wash(s, library, known)]


def _wash(section: Section, library: Library, known: list[str]) -> list[Event]:
    time = section.quantity("time", "h", 0.0, low=0.0)
    kept = section.number("kept", 0.0)
    if not 0.0 <= kept <= 1.0:
        section.complain("kept", "must be between 0 and 1", "Give the fraction of the medium left behind.")
    names = section.texts("drugs", None, words="a list of drugs in quotes")
    if names == ():
        section.complain("drugs", "must name at least one drug", "Leave drugs out to wash everything.")
    found = []
    for name in names or ():
        found.append(own := library.spelt(name))
        if own not in known:
            section.complain("drugs", f"cannot wash '{name}', which no [[dose]] adds", nearest(name, known))
    return [] if time is None else [Wash(time, tuple(found) or ("*",), kept)]


def _addition(
    section: Section,
    library: Library,
    drugs: dict[str, Drug],
    ligand: dict[str, float],
    downstream: Mapping[str, str],
) -> list[Event]:
    time = section.quantity("time", "h", 0.0, low=0.0)
    name = section.text("drug")
    if name is None or time is None:
        return []
    if name in LIGANDS or name in downstream:
        if name in LIGANDS:
            ligand.setdefault(name, 0.0)
        amount = section.quantity("concentration", "nM", low=0.0)
        return [] if amount is None else [Add(time, name, amount)]
    try:
        drug = library.drug(name)
    except InputError:
        known = [*library.drug_spellings, *LIGANDS, *downstream]
        section.complain("drug", f"unknown drug '{name}'", nearest(name, known))
        return []
    drugs[drug.name] = drug
    amount = section.quantity("concentration", "nM", molar_mass=drug.molar_mass.canonical, low=0.0)
    return [] if amount is None else [Add(time, drug.name, amount)]


def read_times(output: Section, problems: Problems) -> np.ndarray | None:
    """Output times in h: a list of quantities, or a table with start, stop and step."""
    name = output.name("times")
    given = output.get("times", (list, dict), words='a list, or { start = "0 h", stop = "72 h", step = "1 h" }')
    if given is None:
        return None
    if isinstance(given, dict):
        table = output.section("times")
        start, stop, step = (
            table.quantity(k, "h", *d, low=0.0) for k, d in (("start", (0.0,)), ("stop", ()), ("step", ()))
        )
        if start is None or stop is None or step is None:
            return None
        if step <= 0 or stop < start or (stop - start) / step > MAX_TIMES:
            problems.add(
                "times need start <= stop, a positive step and at most a million points",
                "Correct the table.",
                column=name,
                value=given,
            )
            return None
        return start + step * np.arange(int(np.floor((stop - start) / step + 1e-9)) + 1)
    holder = Section({str(i): t for i, t in enumerate(given, start=1)}, name, problems)
    values = [holder.quantity(i, "h", low=0.0) for i in holder.table]
    if not values:
        problems.add("must hold at least one time", 'Write ["0 h", "72 h"].', column=name)
    if not values or any(v is None for v in values):
        return None
    return np.unique(np.array(values, dtype=float))
