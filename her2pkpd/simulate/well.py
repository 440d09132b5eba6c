"""Simulate a well: the treated well and its untreated twin, side by side."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from her2pkpd.dosing import Add, Event, Wash, compile_segments
from her2pkpd.engine import Batch, Options, Solution, Status, solve
from her2pkpd.engine.select import EngineName
from her2pkpd.errors import Problems
from her2pkpd.library import Library
from her2pkpd.mechanisms.population import MEDIUM, count
from her2pkpd.model import Model
from her2pkpd.settings import nearest
from her2pkpd.simulate.overrides import overrides
from her2pkpd.simulate.scenario import WellScenario
from her2pkpd.systems.cell import CellOptions, baseline, cell_model, network_parameters
from her2pkpd.systems.conjugates import conjugate_doses
from her2pkpd.systems.well import cell_parameters, well_model

VIABILITY = "viability."
"""Prefix of the one output that needs the untreated twin."""


@dataclass(frozen=True)
class Simulation:
    """What a simulation returns.

    Attributes:
        table: ``time, time_unit, variable, value, unit, id, status``, one row per time and variable.
        model: the model that was simulated.
        solution: the engine's own result; lane 0 is treated, lane 1 untreated.
    """

    table: pd.DataFrame
    model: Model
    solution: Solution

    def __repr__(self) -> str:
        names = ", ".join(self.table["variable"].unique()[:8])
        how = f"{self.solution.y.shape[1]} times, engine {self.solution.engine}, {self.solution.status_counts()}"
        return f"Simulation({self.model.name}: {names}; {how})"


def simulate_well(scenario: WellScenario, *, options: Options | None = None, engine: EngineName = "auto") -> Simulation:
    """Simulate one well.

    Args:
        scenario: the well.
        options: tolerances of the engine.
        engine: which engine.

    Returns:
        The `Simulation`. A lane that fails leaves NaN and its status in the table.

    Raises:
        InputError: for parameters, variables or washed drugs the model does not have.
        ComputationError: if the untreated cells of a network do not settle.
    """
    batch, variables = prepare_well(scenario)
    solution = solve(batch, options, engine=engine)
    table = _table(batch.model, batch.parameters[0], solution, variables, scenario.times)
    return Simulation(table, batch.model, solution)


def prepare_well(scenario: WellScenario) -> tuple[Batch, dict[str, str]]:
    """What is solved for a scenario, treated well first and untreated second, and what is reported of it.

    Raises:
        InputError: as `simulate_well`.
    """
    model = scenario_model(scenario)
    problems = Problems()
    changes = overrides(scenario.parameters, model, problems, Library(scenario.drugs, scenario.lines), "well")
    variables = _variables(scenario, model, problems)
    problems.raise_any()
    parameters, initial = model.parameter_vector(changes), None
    if scenario.network:
        rested, initial = baseline(model, parameters, next(iter(scenario.cell_lines)))
        parameters = rested[0]
    lanes = [_events(scenario, model, treated) for treated in (True, False)]
    stop = max(float(scenario.times[-1]), max((e.time for e in scenario.events), default=0.0))
    segments = compile_segments(model, lanes, start=0.0, stop=stop)
    return Batch(model, np.tile(parameters, (2, 1)), segments, scenario.times, initial), variables


def scenario_model(scenario: WellScenario) -> Model:
    """The model a scenario describes."""
    if scenario.network:
        return _network_model(scenario)
    populations = {
        name: {**cell_parameters(scenario.lines[name]), "seeded": cells} for name, cells in scenario.cell_lines.items()
    }
    return well_model(
        list(scenario.drugs.values()),
        populations,
        volume=scenario.volume,
        ligands=tuple(scenario.ligand),
        explicit_dar=scenario.explicit_dar,
        effectors=scenario.effectors,
    )


def _network_model(scenario: WellScenario) -> Model:
    ((name, cells),) = scenario.cell_lines.items()
    own = {**network_parameters(scenario.lines[name]), "seeded": cells}
    options = CellOptions(downstream=scenario.downstream)
    drugs, ligands = list(scenario.drugs.values()), tuple(scenario.ligand)
    return cell_model(name, own, drugs=drugs, ligands=ligands, options=options, volume=scenario.volume)


def _variables(scenario: WellScenario, model: Model, problems: Problems) -> dict[str, str]:
    """What to report, as the scenario writes it, with the model's name for it."""
    known = [f"{VIABILITY}{name}" for name in scenario.cell_lines] + [*model.quantity_table, *model.species_index]
    library = Library(scenario.drugs, scenario.lines)
    asked = {written: library.spelt(written) for written in scenario.variables or known}
    for written, name in asked.items():
        if name not in known:
            problems.add("unknown variable", nearest(written, known), column="output.variables", value=written)
    return asked


def _events(scenario: WellScenario, model: Model, treated: bool) -> list[Event]:
    in_medium = tuple(s.name for s in model.species if s.compartment == MEDIUM)
    chains = {x for x, d in scenario.drugs.items() if d.conjugate} if scenario.explicit_dar else set[str]()

    def spread(name: str) -> tuple[str, ...]:
        return tuple(n for n in in_medium if n.startswith(f"{name}.DAR")) if name in chains else (name,)

    events: list[Event] = [Add(0.0, name, nM) for name, nM in scenario.ligand.items() if nM]
    for event in scenario.events:
        if isinstance(event, Wash):
            names = in_medium if event.species == ("*",) else tuple(x for n in event.species for x in spread(n))
            events.append(Wash(event.time, names, event.kept))
        elif treated and isinstance(event, Add) and event.species in chains:
            events += conjugate_doses(scenario.drugs[event.species], event.time, event.amount)
        elif treated or event.species in scenario.ligand:
            events.append(event)
    return events


def _table(
    model: Model, parameters: np.ndarray, solution: Solution, variables: Mapping[str, str], times: np.ndarray
) -> pd.DataFrame:
    own = [v for v in variables.values() if not v.startswith(VIABILITY)]
    values: Mapping[str, np.ndarray] = {}
    if own:
        block = model.outputs(own, solution.y[0], parameters)
        values = {name: block[:, i] for i, name in enumerate(own)}
    units = {s.name: s.unit for s in model.species} | {q.name: q.unit for q in model.quantities}
    parts = []
    for written, name in variables.items():
        if name.startswith(VIABILITY):
            cells = solution.y[:, :, model.species_index[count(name.removeprefix(VIABILITY))]]
            column, unit, lanes = cells[0] / cells[1], "fraction of untreated", (0, 1)
        else:
            column, unit, lanes = values[name], units[name], (0,)
        status = max(int(solution.status[lane]) for lane in lanes)
        parts.append(
            pd.DataFrame(
                {
                    "time": times,
                    "time_unit": "h",
                    "variable": written,
                    "value": column,
                    "unit": unit,
                    "id": 0,
                    "status": Status(status).name.lower(),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)
