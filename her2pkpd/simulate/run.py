"""`simulate`: from a scenario file to the table it asks for."""

from pathlib import Path

from her2pkpd.engine import Options
from her2pkpd.engine.select import EngineName
from her2pkpd.errors import ComputationError, InputError, Problem
from her2pkpd.settings import read_settings
from her2pkpd.simulate.patient import simulate_patient
from her2pkpd.simulate.patient_scenario import PatientScenario, read_patient_scenario
from her2pkpd.simulate.scenario import WellScenario, read_scenario
from her2pkpd.simulate.well import Simulation, simulate_well


def simulate(
    scenario: str | Path | WellScenario | PatientScenario,
    *,
    options: Options | None = None,
    engine: EngineName = "auto",
) -> Simulation:
    """Simulate a scenario.

    Args:
        scenario: path of a ``scenario.toml``, or the object read from one.
        options: tolerances of the engine.
        engine: which engine.

    Returns:
        The `Simulation`, whose `table` has ``time, time_unit, variable, value, unit, id, status``.

    Raises:
        InputError: listing everything wrong with the scenario.
    """
    if isinstance(scenario, WellScenario):
        return simulate_well(scenario, options=options, engine=engine)
    if isinstance(scenario, PatientScenario):
        return simulate_patient(scenario, options=options, engine=engine)
    try:
        if _kind(scenario) == "patient":
            return simulate_patient(read_patient_scenario(scenario), options=options, engine=engine)
        return simulate_well(read_scenario(scenario), options=options, engine=engine)
    except InputError as error:
        raise InputError(
            [Problem(p.rule, p.remedy, p.file or str(scenario), p.row, p.column, p.value) for p in error.problems]
        ) from error


def _kind(path: str | Path) -> object:
    system = read_settings(path).table.get("system")
    return system.get("kind") if isinstance(system, dict) else None


def simulate_file(scenario: str | Path, out: str | Path, *, force: bool = False) -> Simulation:
    """Simulate a scenario file and write ``out.csv``.

    Args:
        scenario: path of the ``scenario.toml``.
        out: CSV to write.
        force: overwrite an existing file.

    Returns:
        The `Simulation`.

    Raises:
        InputError: for a bad scenario, or an existing `out` without `force`; nothing is written.
        ComputationError: if the engine failed; the table is written with what finished, marked by status.
    """
    out = Path(out)
    if out.exists() and not force:
        raise InputError(Problem("the output file exists", "Choose another name, or say --force.", file=str(out)))
    result = simulate(scenario)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(out.name + ".partial")
    result.table.to_csv(partial, index=False)
    partial.replace(out)
    failed = [s for s in result.solution.status if s != 0]
    if failed:
        from her2pkpd.engine import Status

        raise ComputationError(
            f"{len(failed)} of {len(result.solution.status)} trajectories failed. {Status(int(failed[0])).advice}"
        )
    return result
