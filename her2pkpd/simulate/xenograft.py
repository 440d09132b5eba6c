"""Scenarios of kind "xenograft": a mouse with a tumour of one or more cell lines, treated and untreated."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from her2pkpd.dosing import Add, compile_segments
from her2pkpd.engine import Batch, Options, Status, solve
from her2pkpd.engine.select import EngineName
from her2pkpd.errors import InputError, Problems
from her2pkpd.library import CellLine, Drug, Library, drug_names, load_cell_line, load_drug
from her2pkpd.settings import Section, nearest, read_settings
from her2pkpd.simulate.overrides import overrides
from her2pkpd.simulate.scenario import read_times
from her2pkpd.simulate.well import Simulation
from her2pkpd.systems.tumour import population_values, shells
from her2pkpd.systems.xenograft import MOUSE_WEIGHT, mouse_doses, xenograft_model

RELATIVE = "tumour.relative_volume"
"""The one output that needs the untreated mouse: tumour volume over that of the control at the same time."""

MOST_SHELLS = 12


@dataclass(frozen=True)
class XenograftScenario:
    """A mouse, as ``scenario.toml`` describes it.

    Attributes:
        shares: share of the tumour's cells by cell line; they add up to 1.
        volume: of the tumour at time zero, L.
        shells: number of shells of equal thickness; 0 for the two zones.
        doses: doses, nmol.
        drugs: library drugs by name.
        lines: library cell lines by name.
        times: output times, h.
        variables: what to report; empty means every output there is.
        parameters: overrides by name, as written.
        explicit_dar: whether every payload number of a conjugate is a species of its own.
    """

    shares: Mapping[str, float]
    volume: float
    shells: int
    doses: tuple[Add, ...]
    drugs: Mapping[str, Drug]
    lines: Mapping[str, CellLine]
    times: np.ndarray
    variables: tuple[str, ...]
    parameters: Mapping[str, Any]
    explicit_dar: bool = False


def read_xenograft(path: str | Path) -> XenograftScenario:
    """Read and check a scenario of kind "xenograft".

    Raises:
        InputError: listing everything wrong with it.
    """
    top = read_settings(path)
    problems, system = top.problems, top.section("system")
    system.text("kind", choices=("xenograft",))
    lines, shares = _shares(system, problems)
    volume = system.quantity("volume", "L", 2e-4, low=1e-9)
    number = system.integer("shells", 0, low=0, high=MOST_SHELLS)
    weight = system.quantity("weight", "kg", MOUSE_WEIGHT, low=1e-3)
    explicit = bool(system.flag("explicit_dar", False))
    drugs: dict[str, Drug] = {}
    doses = [d for s in top.sections("dose") for d in _dose(s, drugs, weight or MOUSE_WEIGHT, explicit)]
    parameters = top.get("parameters", dict, {}, words="a table [parameters]") or {}
    output = top.section("output")
    times = read_times(output, problems)
    variables = output.texts("variables", (), words="a list of names in quotes") or ()
    top.finish()
    problems.raise_any()
    assert times is not None
    return XenograftScenario(
        shares, volume, number, tuple(doses), drugs, lines, times, variables, dict(parameters), explicit
    )


def _shares(system: Section, problems: Problems) -> tuple[dict[str, CellLine], dict[str, float]]:
    given = system.get("cell_lines", dict, words='a table such as { "NCI-N87" = 1.0 }') or {}
    lines: dict[str, CellLine] = {}
    shares: dict[str, float] = {}
    for name, share in given.items():
        key = f"system.cell_lines.{name}"
        if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 < share <= 1:
            problems.add("must be a share above 0 and at most 1", "Shares add up to 1.", column=key, value=share)
            continue
        try:
            line = load_cell_line(name)
        except InputError as error:
            for p in error.problems:
                problems.add(p.rule, p.remedy, column=key, value=name)
            continue
        lines[line.name], shares[line.name] = line, float(share)
    if not problems.found and abs(sum(shares.values()) - 1) > 1e-6:
        rule = "the shares of the cell lines must add up to 1"
        problems.add(rule, "Correct them.", column="system.cell_lines", value=sum(shares.values()))
    return lines, shares


def _dose(section: Section, drugs: dict[str, Drug], weight: float, explicit: bool) -> list[Add]:
    name, time = section.text("drug"), section.quantity("time", "h", 0.0, low=0.0)
    every, doses = section.quantity("every", "h", 0.0, low=0.0), section.integer("doses", 1, low=1, high=1000)
    per_kg = section.quantity("amount", "mg/kg", low=0.0)
    if name is None or time is None or per_kg is None or every is None or doses is None:
        return []
    try:
        drug = load_drug(name)
    except InputError:
        section.complain("drug", f"unknown drug '{name}'", nearest(name, drug_names()))
        return []
    if drug.kind == "tki" or drug.payload:
        section.complain("drug", "a xenograft has no disposition for this drug", "Use an antibody or an ADC.")
        return []
    drugs[drug.name] = drug
    nmol = per_kg * weight / drug.molar_mass.canonical * 1e6
    return [d for k in range(doses) for d in mouse_doses(drug, time + k * every, nmol, explicit_dar=explicit)]


def simulate_xenograft(
    scenario: XenograftScenario, *, options: Options | None = None, engine: EngineName = "auto"
) -> Simulation:
    """Simulate a treated and an untreated mouse.

    Args:
        scenario: the mouse.
        options: tolerances of the engine.
        engine: which engine.

    Raises:
        InputError: for parameters or variables the model does not have.
    """
    batch = prepare_xenograft(scenario)
    found, model, p = solve(batch, options, engine=engine), batch.model, batch.parameters[0]
    units = {s.name: s.unit for s in model.species} | {q.name: q.unit for q in model.quantities} | {RELATIVE: "1"}
    names = list(scenario.variables) or [RELATIVE, *model.quantity_table, *model.species_index]
    own = [n for n in names if n != RELATIVE]
    values = dict(zip(own, model.outputs(own, found.y[0], p).T, strict=True)) if own else {}
    volume = model.outputs(["tumour.volume"], found.y, p)[..., 0]
    values[RELATIVE] = volume[0] / volume[1]
    status = Status(int(found.status.max())).name.lower()
    columns = ["time", "time_unit", "variable", "value", "unit", "id", "status"]
    parts = [
        pd.DataFrame({"time": scenario.times, "time_unit": "h", "variable": n, "value": values[n], "unit": units[n]})
        for n in names
    ]
    table = pd.concat(parts, ignore_index=True).assign(id=0, status=status).reindex(columns=columns)
    return Simulation(table, model, found)


def prepare_xenograft(scenario: XenograftScenario) -> Batch:
    """What is solved for a scenario: the treated mouse, then the untreated one.

    Raises:
        InputError: as `simulate_xenograft`.
    """
    populations = {
        x: {**population_values(scenario.lines[x], "mouse"), "share": share} for x, share in scenario.shares.items()
    }
    model = xenograft_model(
        list(scenario.drugs.values()),
        populations,
        shells(scenario.shells),
        volume=scenario.volume,
        explicit_dar=scenario.explicit_dar,
    )
    problems = Problems()
    library = Library(scenario.drugs, scenario.lines)
    p = model.parameter_vector(overrides(scenario.parameters, model, problems, library, "xenograft"))
    known = [RELATIVE, *model.quantity_table, *model.species_index]
    for name in scenario.variables:
        if name not in known:
            problems.add("unknown variable", nearest(name, known), column="output.variables", value=name)
    problems.raise_any()
    stop = max(float(scenario.times[-1]), max((d.time for d in scenario.doses), default=0.0))
    segments = compile_segments(model, [list(scenario.doses), []], start=0.0, stop=stop)
    return Batch(model, np.tile(p, (2, 1)), segments, scenario.times)
