"""`simulate`: from a scenario file to the table it asks for."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from her2pkpd.engine import Options
from her2pkpd.engine.select import EngineName
from her2pkpd.errors import ComputationError, InputError, Problem
from her2pkpd.export.sbml import to_sbml
from her2pkpd.runinfo import write_text
from her2pkpd.settings import read_settings
from her2pkpd.simulate.patient import prepare_patient, simulate_patient
from her2pkpd.simulate.patient_scenario import PatientScenario, read_patient_scenario
from her2pkpd.simulate.scenario import WellScenario, read_scenario
from her2pkpd.simulate.well import Simulation, prepare_well, simulate_well
from her2pkpd.simulate.xenograft import XenograftScenario, prepare_xenograft, read_xenograft, simulate_xenograft

Scenario = WellScenario | XenograftScenario | PatientScenario


def simulate(
    scenario: str | Path | Scenario,
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
    with _naming(scenario):
        found = read_any(scenario)
        if isinstance(found, XenograftScenario):
            return simulate_xenograft(found, options=options, engine=engine)
        if isinstance(found, PatientScenario):
            return simulate_patient(found, options=options, engine=engine)
        return simulate_well(found, options=options, engine=engine)


def scenario_sbml(scenario: str | Path | Scenario, *, patient: int = 0) -> str:
    """A scenario as SBML: the model with the scenario's parameters, and its dosing as events.

    Args:
        scenario: path of a ``scenario.toml``, or the object read from one.
        patient: which patient, where there are several. Of wells and mice it is the treated one.

    Returns:
        The XML text; see `her2pkpd.export.to_sbml`.

    Raises:
        InputError: listing everything wrong with the scenario, or without python-libsbml.
    """
    with _naming(scenario):
        found = read_any(scenario)
        if isinstance(found, XenograftScenario):
            batch = prepare_xenograft(found)
        else:
            batch = prepare_patient(found)[0] if isinstance(found, PatientScenario) else prepare_well(found)[0]
        several = len(batch.parameters) if isinstance(found, PatientScenario) else 1
        if not 0 <= patient < several:
            rule = f"there is no patient {patient}; they are numbered from 0 to {several - 1}"
            raise InputError(Problem(rule, "Choose one of these with --id."))
    return to_sbml(batch.model, parameters=batch.parameters[patient], segments=batch.segments, lane=patient)


def read_any(scenario: str | Path | Scenario) -> Scenario:
    """Read a scenario of any kind; one that has been read is returned as it is.

    Raises:
        InputError: listing everything wrong with it.
    """
    if not isinstance(scenario, (str, Path)):
        return scenario
    readers = {"patient": read_patient_scenario, "xenograft": read_xenograft}
    return readers.get(str(_kind(scenario)), read_scenario)(scenario)


@contextmanager
def _naming(scenario: str | Path | Scenario) -> Iterator[None]:
    """Problems name the scenario's file where they name none."""
    try:
        yield
    except InputError as error:
        if not isinstance(scenario, (str, Path)):
            raise
        raise InputError(
            [Problem(p.rule, p.remedy, p.file or str(scenario), p.row, p.column, p.value) for p in error.problems]
        ) from error


def _kind(path: str | Path) -> object:
    system = read_settings(path).table.get("system")
    return system.get("kind") if isinstance(system, dict) else None


def _free(out: str | Path, *, force: bool) -> Path:
    """A file's path, if it may be written."""
    out = Path(out)
    if out.exists() and not force:
        raise InputError(Problem("the output file exists", "Choose another name, or say --force.", file=str(out)))
    return out


def sbml_file(scenario: str | Path, out: str | Path, *, patient: int = 0, force: bool = False) -> None:
    """Write `scenario_sbml` to a file.

    Args:
        scenario: path of the ``scenario.toml``.
        out: SBML to write.
        patient: which patient, where there are several.
        force: overwrite an existing file.

    Raises:
        InputError: for a bad scenario, or an existing `out` without `force`; nothing is written.
    """
    out, text = _free(out, force=force), scenario_sbml(scenario, patient=patient)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text(out, text)


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
    out = _free(out, force=force)
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
