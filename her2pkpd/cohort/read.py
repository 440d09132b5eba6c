"""Read ``cohort.toml``: every key checked, every problem collected."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from her2pkpd.assays.ihc import SCORES
from her2pkpd.cohort.settings import (
    ACCURACY,
    LOSSES,
    Arm,
    ArmDose,
    CohortSettings,
    Endpoints,
    Output,
    Population,
    Posterior,
    Rule,
    Solver,
    Tumour,
    Variation,
)
from her2pkpd.cohort.tables import read_patients, read_posterior
from her2pkpd.dosing.regimen import Amount, read_amount
from her2pkpd.errors import InputError
from her2pkpd.library import load_parameters
from her2pkpd.library.populations import population_names
from her2pkpd.settings import Section, nearest, read_settings
from her2pkpd.simulate.patient_scenario import one_model_per_drug, read_covariates, read_dose

MAX_PATIENTS, MAX_SEED = 10**9, 2**63 - 1
TUMOUR_VALUES = {"doubling_time": "h", "NRG1": "nM"}


def read_cohort(path: str | Path) -> CohortSettings:
    """Read and check a ``cohort.toml``.

    Raises:
        InputError: listing everything wrong with it and with the files it names.
    """
    top = read_settings(path)
    folder = Path(path).parent
    population = _population(top.section("population"), folder)
    arms = _arms(top)
    settings = CohortSettings(
        population, arms, _tumour(top), _variations(top), _posterior(top, folder), _endpoints(top.section("endpoints")),
        _output(top.section("output")), _solver(top.section("solver")),
        top.get("parameters", dict, {}, words="a table [parameters]") or {}, path=str(path),
    )  # fmt: skip
    one_model_per_drug(list(settings.doses), top.problems)
    top.finish()
    top.problems.raise_any()
    return settings


def _population(table: Section, folder: Path) -> Population:
    covariates = read_covariates(table.section("covariates"))
    own = table.text("table", None)
    frame = _file(table, "table", folder, own, read_patients)
    given = covariates.get("tumour_type")
    default = given if given in population_names() else "metastatic breast"
    return Population(
        table.text("name", default, choices=population_names()),
        table.integer("size", len(frame) if frame is not None else 1000, low=1, high=MAX_PATIENTS) or 1,
        table.integer("seed", 0, low=0, high=MAX_SEED),
        table.text("design", "crossed", choices=("crossed", "parallel")),
        table.flag("variability", True),
        covariates,
        frame,
    )


def _file(table: Section, key: str, folder: Path, name: str | None, read: Any) -> pd.DataFrame | None:
    if name is None:
        return None
    try:
        return read(folder / name)
    except InputError as error:
        table.problems.extend(error)
        return None


def _tumour(top: Section) -> Tumour:
    if "tumour" not in top.table:
        top.has("tumour")
        return Tumour()
    table = top.section("tumour")
    kind = table.text("kind", "populations", choices=("none", "signal", "populations"))
    values = {}
    for name, unit in TUMOUR_VALUES.items():
        if table.has(name) and (value := table.quantity(name, unit, low=0.0)) is not None:
            values[name] = value
    scores = _scores(table)
    spread = _fold(table, "HER2_fold", math.log(2.0) / 1.96 if scores else 0.0)
    median = load_parameters()["tumour.HER2"].canonical
    return Tumour(
        kind,
        table.integer("zones", 1, low=1, high=12),
        scores,
        table.quantity("HER2", "copies/cell", median, low=0.0) or median,
        spread,
        _share(table, "negative", 0.0),
        max(table.number("negative_sd", 0.0), 0.0),
        table.integer("lesions", 3, low=1, high=10),
        {name: _share(table, name, 0.0) for name in LOSSES if name in table.table and kind != "none"},
        _signal(table, kind, values),
        values,
    )


def _signal(table: Section, kind: str | None, values: Mapping[str, float]) -> bool | None:
    if "signal" not in table.table or kind != "populations":
        return None
    wanted = table.flag("signal")
    through = [name for name in (*LOSSES, "NRG1") if name in values or name in table.table]
    if wanted is False and through:
        rule = f"{', '.join(through)} acts through the signal, which is left out"
        table.complain("signal", rule, "Leave out signal = false.")
    return wanted


def _scores(table: Section) -> dict[str, float]:
    if not table.has("ihc"):
        return {}
    given = table.table["ihc"]
    given = {given: 1.0} if isinstance(given, str) else given
    plain = isinstance(given, dict) and all(isinstance(v, (int, float)) and v >= 0 for v in given.values())
    if not plain or not set(given) <= set(SCORES) or abs(sum(given.values()) - 1.0) > 1e-9:
        rule = f"must be one of {', '.join(SCORES)}, or probabilities of these that add up to 1"
        table.complain("ihc", rule, 'Write ihc = "3+", or ihc = { "3+" = 0.6, "2+" = 0.4 }.')
        return {}
    if table.has("HER2"):
        table.complain("HER2", "stands beside ihc, which sets the receptors as well", "Keep one of the two.")
    return {str(k): float(v) for k, v in given.items()}


def _share(table: Section, key: str, default: float) -> float:
    value = table.number(key, default)
    if value is None or not 0.0 <= value <= 1.0:
        table.complain(key, "must lie between 0 and 1", "Correct the number.")
        return default
    return float(value)


def _fold(table: Section, key: str, default: float) -> float:
    """Standard deviation of the logarithm behind "95 % lie within this factor of the median"."""
    value = table.number(key, None)
    if value is None:
        return default
    if value < 1.0:
        table.complain(key, "must be at least 1", "Give the factor within which 95 % of tumours lie.")
        return default
    return math.log(value) / 1.96


def _variations(top: Section) -> tuple[Variation, ...]:
    table = top.section("variability")
    found = []
    for pattern in table.table:
        entry = table.section(pattern)
        if not entry.table:
            continue
        kinds = [k for k in ("cv", "sd_log", "fold") if entry.has(k)]
        if len(kinds) != 1:
            table.complain(pattern, "needs exactly one of cv, sd_log and fold", "Write { cv = 0.3 }.")
            continue
        value = entry.number(kinds[0])
        if value is None or value < (1.0 if kinds[0] == "fold" else 0.0):
            entry.complain(kinds[0], "must not be negative, nor a fold below 1", "Correct the number.")
            continue
        sd = {"cv": lambda x: math.sqrt(math.log1p(x * x)), "sd_log": float, "fold": lambda x: math.log(x) / 1.96}
        found.append(Variation(pattern, sd[kinds[0]](value)))
    return tuple(found)


def _posterior(top: Section, folder: Path) -> Posterior | None:
    if not top.has("posterior"):
        return None
    table = top.section("posterior")
    names = table.get("parameters", dict, {}, words='a table { "parameter" = "column" }') or {}
    bad = [k for k, v in names.items() if not isinstance(v, str)]
    for key in bad:
        table.problems.add("must be the name of a column", "Put it in quotes.", column=f"posterior.parameters.{key}")
    file = table.text("file")
    frame = _file(table, "file", folder, file, lambda path: read_posterior(path, {} if bad else names))
    return None if frame is None else Posterior(frame)


def _arms(top: Section) -> tuple[Arm, ...]:
    found = []
    tables = top.sections("arm")
    for table in tables:
        name = table.text("name")
        doses = [d for s in table.sections("dose") if (d := _dose(s)) is not None]
        rules = [r for s in table.sections("rule") if (r := _rule(s, doses)) is not None]
        found.append(Arm(name or "", tuple(doses), tuple(rules)))
    if not found:
        top.problems.add("a cohort needs at least one arm", "Add [[arm]] and [[arm.dose]].", column="arm")
    names = [a.name for a in found]
    for name in {n for n in names if names.count(n) > 1}:
        top.problems.add("two arms have the same name", "Rename one.", column="arm.name", value=name)
    if found and not any(table.table.get("dose") for table in tables):
        top.problems.add("no arm has a dose", "Add [[arm.dose]] to one.", column="arm.dose")
    return tuple(found)


def _dose(section: Section) -> ArmDose | None:
    line = section.integer("line", 1, low=1, high=9)
    until = section.text("until", "", choices=("progression",))
    dose = read_dose(section)
    if dose is None:
        return None
    if dose.regimen.interval and not dose.regimen.doses:
        section.complain("doses", "a cohort needs the number of doses", 'Add doses = 6, or "for 6 doses".')
        dose = replace(dose, regimen=replace(dose.regimen, doses=1))
    return ArmDose(dose, line, until)


def _rule(section: Section, doses: list[ArmDose]) -> Rule | None:
    drug, variable = section.text("drug"), section.text("variable")
    measure = section.text("measure", "now", choices=("now", "auc"))
    then = section.text("then", choices=("reduce", "delay", "stop"))
    levels = _levels(section)
    by = section.quantity("by", "h", 0.0, low=0.0)
    most = section.integer("most", 2, low=0, high=100)
    after = section.flag("stop_after_last", False)
    above, below = (section.get(k, (str, int, float), None, words="a number with unit") for k in ("above", "below"))
    names = [d.dose.drug.name for d in doses]
    if drug is None or variable is None or then is None:
        return None
    own = next((n for d, n in zip(doses, names, strict=True) if drug in (n, *d.dose.drug.synonyms)), None)
    if own is None:
        section.complain("drug", "the arm does not give this drug", nearest(drug, names))
    if then == "reduce" and not levels:
        section.complain("levels", "a reduction needs levels", 'Add levels = ["4.4 mg/kg", "3.2 mg/kg"].')
    if then == "delay" and not by:
        section.complain("by", "a delay needs a time", 'Add by = "7 d".')
    if variable != "progression" and (above is None) == (below is None):
        section.complain("above", "a rule needs exactly one of above and below", 'Add above = "25 ng*d/mL".')
    return Rule(own or drug, variable, measure, above, below, then, levels, by or 0.0, most, after)


def _levels(section: Section) -> tuple[Amount, ...]:
    found = []
    for text in section.texts("levels", ()) or ():
        try:
            found.append(read_amount(text))
        except InputError as error:
            for p in error.problems:
                section.problems.add(p.rule, p.remedy, column=section.name("levels"), value=text)
    return tuple(found)


def _endpoints(table: Section) -> Endpoints:
    intervals = table.get("intervals", list, ["first", "last"], words='a list such as ["first", 3, "last"]')
    words = []
    for one in intervals or []:
        number = isinstance(one, int) and not isinstance(one, bool) and one >= 1
        if not number and one not in ("first", "last"):
            table.complain("intervals", 'must be "first", "last" or numbers from 1', 'Write ["first", 3, "last"].')
        words.append(f"cycle{one}" if number else str(one))
    assess = table.quantity("assess", "h", 1008.0, low=24.0)
    return Endpoints(
        table.texts("exposure", None), tuple(dict.fromkeys(words)), table.texts("trough", None),
        _limits(table, "above"), _limits(table, "below"),
        assess or 1008.0,
    )  # fmt: skip


def _limits(table: Section, key: str) -> Mapping[str, Any]:
    return table.get(key, dict, {}, words='a table such as { "plasma.T-DXd" = "20 ug/mL" }') or {}


def _output(table: Section) -> Output:
    stop = table.quantity("stop", "h", None, low=0.0)
    if stop == 0.0:
        table.complain("stop", "must be longer than zero", "Give the length of the trial.")
    return Output(
        stop,
        table.integer("part", 10_000, low=100, high=1_000_000),
        table.integer("trajectories", 0, low=0, high=100_000),
        table.quantity("step", "h", 24.0, low=0.1) or 24.0,
        table.texts("variables", ()) or (),
    )


def _solver(table: Section) -> Solver:
    values = {"rtol": table.number("rtol", None), "accuracy": table.number("accuracy", ACCURACY)}
    for key, value in values.items():
        if value is not None and not 1e-12 <= value <= 0.1:
            table.complain(key, "must lie between 1e-12 and 0.1", "Leave it out for the usual accuracy.")
    if values["rtol"] is not None and table.has("accuracy"):
        table.complain("accuracy", "stands beside rtol, which decides", "Keep one of the two.")
    return Solver(
        values["rtol"], values["accuracy"] or ACCURACY, table.integer("max_steps", 100_000, low=10, high=10**9)
    )
