"""Writes a fit problem as PEtab version 2: a model, five tables and one file that names them.

The files mean the same likelihood as the fit. Parameters are on their natural scale, as version 2 wants it, and have
the same prior distributions; a density seen from the logarithm differs by the factor that the change of variable
brings, so that a maximum a posteriori lies elsewhere although the posterior does not. Priors PEtab has no
distribution for stand as measurements of their own (data set ``prior``). Published potencies are read off a whole
predicted curve, which no PEtab observable can say: they are left out, and ``left_out.txt`` names each.

PEtab version 2: https://petab.readthedocs.io/en/latest/v2/documentation_data_format.html
"""

import json
import re
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from her2pkpd.errors import ComputationError, InputError, Problem, Problems
from her2pkpd.export.sbml import to_sbml
from her2pkpd.fit.finished import read_estimate
from her2pkpd.fit.objective import Objective
from her2pkpd.fit.problem import FitProblem, load_problem
from her2pkpd.fit.readouts import is_relative
from her2pkpd.petab.experiments import Experiments
from her2pkpd.petab.names import Names
from her2pkpd.petab.pair import paired
from her2pkpd.petab.readings import Readings, negative_log_likelihood, refuse
from her2pkpd.runinfo import RunInfo, hash_files, prepare_output, write_run, write_text


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        negative_log_likelihood: of everything in the files at the nominal values, by this package's engine.
        left_out: what PEtab cannot say, one sentence each.
        notes: what the validator noted, if it is installed.
        validated: whether it is.
    """

    negative_log_likelihood: float
    left_out: tuple[str, ...]
    notes: tuple[str, ...]
    validated: bool

    def __repr__(self) -> str:
        checked = "validated" if self.validated else 'not validated: pip install "her2pkpd[petab]"'
        lines = [f"PEtab problem, {checked}; -log likelihood {self.negative_log_likelihood:.6f} at the nominal values"]
        if self.left_out:
            lines.append(
                f"  left out: {len(self.left_out)} readings, named in left_out.txt; the first: {self.left_out[0]}"
            )
        return "\n".join([*lines, *(f"  note: {w}" for w in self.notes)])


def petab_file(
    settings: str | Path, out: str | Path, *, force: bool = False, fit: str | Path | None = None
) -> Exported:
    """Export a ``fit.toml`` to a folder.

    Args:
        settings: path of the ``fit.toml``.
        out: folder to write.
        force: write into a folder that holds something else.
        fit: folder of a finished fit whose estimates become the nominal values; else they are where the fit starts.

    Raises:
        InputError: for bad input, or a problem PEtab cannot say; nothing is written.
        ComputationError: if the validator objects (a defect of this package).
    """
    began = time.perf_counter()
    problem = load_problem(settings)
    estimate = {} if fit is None else read_estimate(Path(fit), "--fit")
    u = starting_point(problem.objective, estimate)
    inputs = hash_files(problem.settings.files)
    texts, readings = _texts(problem, u)
    folder = prepare_output(out, force, command="export petab", inputs=inputs)
    made = _write(texts, readings, folder)
    write_run(folder, RunInfo("export petab", inputs, time.perf_counter() - began, model_hash=problem.model.hash))
    return made


def write_petab(problem: FitProblem, u: np.ndarray, folder: str | Path) -> Exported:
    """Write a problem with nominal values at unknowns `u` (n_unknowns,); see `petab_file`."""
    folder = Path(folder)
    texts, readings = _texts(problem, u)
    folder.mkdir(parents=True, exist_ok=True)
    return _write(texts, readings, folder)


def _write(texts: dict[str, str], readings: Readings, folder: Path) -> Exported:
    for name, text in texts.items():
        write_text(folder / name, text)
    notes, validated = _validate(folder / "problem.yaml")
    nominal = json.loads(texts["nominal.json"])["negative_log_likelihood"]
    return Exported(nominal, tuple(readings.left_out), notes, validated)


def starting_point(objective: Objective, estimate: dict[str, float]) -> np.ndarray:
    """Unknowns of an estimate by name; what it does not name starts where the fit does, off the bounds."""
    start = np.clip(objective.start(), *objective.start_box())
    return np.array([estimate.get(n, x) for n, x in zip(objective.names, start, strict=True)])


def _texts(problem: FitProblem, u: np.ndarray) -> tuple[dict[str, str], Readings]:
    objective = problem.objective
    wanted = [o.signal.readout for o in problem.observations] + [m.readout for m in problem.metrics]
    model = paired(problem.model) if any(is_relative(r) for r in wanted) else problem.model
    names = Names(objective, model)
    problems = Problems(str(problem.settings.path))
    refuse(names, problems)
    problems.raise_any()
    readings = Readings(names, Experiments(names))
    readings.add_wells(problem.observations)
    readings.add_metrics(problem.metrics)
    if not readings.rows:
        remedy = "Only wells, and GRmax of published metrics, can be exported."
        raise InputError(Problem("the fit has nothing PEtab can say", remedy, str(problem.settings.path)))
    readings.add_priors()
    used = _used(readings)
    readings.left_out += [
        f"parameter {name}: no exported reading depends on it"
        for name, own in zip(objective.names, names.of, strict=True)
        if own not in used
    ]
    base = objective.design.parameters[0].copy()
    sbml = to_sbml(model, parameters=base)
    tables = {
        "parameters.tsv": _parameters(names, u, used),
        "observables.tsv": pd.DataFrame(readings.observables, columns=_OBSERVABLES),
        "conditions.tsv": pd.DataFrame(
            readings.experiments.conditions, columns=["conditionId", "targetId", "targetValue"]
        ),
        "experiments.tsv": pd.DataFrame(
            readings.experiments.experiments, columns=["experimentId", "time", "conditionId"]
        ),
        "measurements.tsv": _measurements(readings),
    }
    nominal = {
        "negative_log_likelihood": negative_log_likelihood(readings, u),
        "meaning": "of measurements.tsv at nominalValue, normal constants included",
    }
    texts = {n: t.to_csv(sep="\t", index=False) for n, t in tables.items()}
    texts |= {"model.xml": sbml, "problem.yaml": _YAML, "nominal.json": json.dumps(nominal, indent=2) + "\n"}
    if readings.left_out:
        texts["left_out.txt"] = "\n".join(readings.left_out) + "\n"
    return texts, readings


_OBSERVABLES = (
    "observableId observableName observableFormula noiseFormula noiseDistribution noisePlaceholders"
).split()

_YAML = """format_version: 2.0.0
model_files:
  well:
    location: model.xml
    language: sbml
parameter_files: [parameters.tsv]
observable_files: [observables.tsv]
condition_files: [conditions.tsv]
experiment_files: [experiments.tsv]
measurement_files: [measurements.tsv]
"""


def _used(readings: Readings) -> set[str]:
    """Identifiers that occur in a formula, or are parameters of the model."""
    texts = [x for _, _, x in readings.experiments.conditions]
    texts += [x for row in readings.observables for x in row[2:4]]
    texts += [x for row in readings.rows for x in row.noise]
    words = {w for text in texts for w in re.findall(r"[A-Za-z_]\w*", text)}
    return words | {readings.names.ids["parameter"][n] for n in readings.names.direct}


def _parameters(names: Names, u: np.ndarray, used: set[str]) -> pd.DataFrame:
    objective = names.objective
    free = objective.free
    low, high = objective.bounds()
    rows = []
    for k, own in enumerate(free.free):
        if own.role == "deviation":
            bounds, value = (float(low[k]), float(high[k])), float(u[k])
        else:
            t = own.transform
            bounds, value = (t.lower, t.upper), float(t.backward(u[k]))
        rows.append([names.of[k], own.name, *bounds, value, "true", *_prior(own, k, free.hierarchies)])
    for k in range(len(free), len(u)):
        ends = (float(np.exp(low[k])), float(np.exp(high[k])))
        rows.append([names.of[k], objective.names[k], *ends, float(np.exp(u[k])), "true", "", ""])
    columns = "parameterId parameterName lowerBound upperBound nominalValue estimate priorDistribution priorParameters"
    return pd.DataFrame([r for r in rows if r[0] in used], columns=columns.split())


def _prior(own: Any, k: int, hierarchies: Sequence[tuple[int, int, np.ndarray]]) -> tuple[str, str]:
    """Distribution and parameters of a prior PEtab has; those it has not become measurements."""
    e = own.estimate
    if own.role == "deviation":
        return "normal", "0.0;1.0"
    if own.role == "spread":  # half-normal: a normal cut off by the bounds
        return "normal", f"0.0;{e.pool_sd!r}"
    if e.prior is None or e.scale == "logit" or (own.role == "copy" and e.pooled is not None):
        return "", ""
    mean, sd = e.prior.on(own.transform)
    return ("log-normal" if e.scale == "log" else "normal"), f"{mean!r};{sd!r}"


def _measurements(readings: Readings) -> pd.DataFrame:
    rows = [
        (r.observable, r.experiment, r.time, r.value, ";".join(r.noise).replace("(", "").replace(")", ""), r.data_set)
        for r in readings.rows
    ]
    return pd.DataFrame(
        rows, columns="observableId experimentId time measurement noiseParameters datasetId".split()
    )  # fmt: skip


def _validate(file: Path) -> tuple[tuple[str, ...], bool]:
    """What the validator notes; its errors are defects of this package."""
    try:
        from petab import v2
    except ImportError:
        return (), False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own, about the libraries it uses
        found = v2.Problem.from_yaml(file).validate()
    if found.has_errors():
        raise ComputationError("the PEtab files are inconsistent: " + " | ".join(str(x.message) for x in found))
    return tuple(str(x.message) for x in found), True
