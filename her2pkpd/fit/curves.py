"""Smooth predicted curves of a finished fit, for figures and for predictions at doses nobody measured."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from her2pkpd.fit.design import Design, Signal, Treatment, make_design
from her2pkpd.fit.metrics import unique_curves
from her2pkpd.fit.objective import Observation
from her2pkpd.fit.parameters import FreeParameters
from her2pkpd.fit.predict import Predictor
from her2pkpd.fit.problem import FitProblem
from her2pkpd.library import Drug

POINTS = 41

LANES = 4096
"""Lanes of one batch of draws."""


@dataclass(frozen=True)
class Curve:
    """A dose-response curve: what was measured and what the fit predicts.

    Attributes:
        cell_line, drug, assay, time, readout: what it is.
        partner: fixed doses of other drugs, (drug, nM) pairs.
        dose: (n,) nM of the predicted curve.
        prediction: (n,) predicted read-out.
        measured: (m, 3) dose, value, sd of the wells; empty for published metrics.
        limits: (k, 3) dose, lower and upper limit of wells known by limits only, infinite where there is none.
        marks: published metrics as (name, value) pairs; potencies in nM.
    """

    cell_line: str
    drug: str
    assay: str
    time: float
    readout: str
    partner: tuple[tuple[str, float], ...]
    dose: np.ndarray
    prediction: np.ndarray
    measured: np.ndarray
    marks: tuple[tuple[str, float], ...] = ()
    limits: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))


def predict_signals(problem: FitProblem, u: np.ndarray, signals: Sequence[Signal]) -> np.ndarray:
    """Predict any signals with the unknowns of a fit; drugs and lines must be the fit's own.

    Args:
        problem: the fit.
        u: all unknowns (n_unknowns,), or at several draws (S, n_unknowns).
        signals: what to predict.

    Returns:
        (..., n_signals) predictions; NaN where a lane failed.
    """
    old = problem.objective
    library = problem.settings.library
    lines = {n: library.cell_line(n) for n in dict.fromkeys(s.treatment.cell_line for s in signals)}
    design = make_design(signals, _drugs(problem), lines, volume=problem.settings.volume)
    _carry_over(problem, design)
    free = FreeParameters(old.free.estimates, design.rows)
    draws = np.atleast_2d(u)
    own = np.tile(free.start(), (len(draws), 1))
    for column, name in enumerate(free.names):
        if name in old.free.names:
            own[:, column] = draws[:, old.free.names.index(name)]
    predictor = Predictor(design, free, signals, options=old.options, engine=old.engine)
    size = max(1, LANES // len(design.lanes))
    parts = [predictor.many(own[i : i + size], derivatives=False).value for i in range(0, len(own), size)]
    return np.concatenate(parts) if np.ndim(u) == 2 else parts[0][0]


def _drugs(problem: FitProblem) -> list[Drug]:
    names = [s.name for s in problem.model.species if s.compartment == "medium"]
    return [problem.settings.library.drug(n) for n in names]


def _carry_over(problem: FitProblem, design: Design) -> None:
    """Fixed parameter values are those of the fit, line by line."""
    old = problem.objective.design
    row_of = {t.cell_line: old.parameters[i] for i, t in enumerate(old.lanes)}
    seeded = design.model.parameter_index["cells.seeded"]
    for lane, treatment in enumerate(design.lanes):
        if treatment.cell_line in row_of:
            own = design.parameters[lane, seeded]
            design.parameters[lane] = row_of[treatment.cell_line]
            design.parameters[lane, seeded] = own


def fitted_curves(problem: FitProblem, u: np.ndarray) -> list[Curve]:
    """Every measured or published curve with its prediction, in order of appearance."""
    wanted = _wanted(problem)
    signals = [s for c, doses in wanted for s in _signals(c, doses)]
    values = predict_signals(problem, u, signals) if signals else np.zeros(0)
    curves, place = [], 0
    for curve, doses in wanted:
        prediction = values[place : place + len(doses)]
        place += len(doses)
        curves.append(replace(curve, dose=doses, prediction=prediction))
    return curves


def _wanted(problem: FitProblem) -> list[tuple[Curve, np.ndarray]]:
    return [*_plate_curves(problem), *_metric_curves(problem)]


def posterior_curves(problem: FitProblem, u: np.ndarray) -> list[np.ndarray]:
    """The same curves as `fitted_curves` at draws `u` (S, n_unknowns): one array (S, n_doses) for each."""
    wanted = _wanted(problem)
    values = predict_signals(problem, u, [s for c, doses in wanted for s in _signals(c, doses)])
    ends = np.cumsum([len(doses) for _, doses in wanted])
    return np.split(values, ends[:-1], axis=1)


def _signals(curve: Curve, doses: np.ndarray) -> list[Signal]:
    return [
        Signal(
            Treatment(
                curve.cell_line,
                curve.assay,
                float(curve.dose[0]),
                tuple(sorted((*curve.partner, (curve.drug, float(d))))),
            ),
            curve.time,
            curve.readout,
        )
        for d in doses
    ]


_CurveKey = tuple[str, str, str, float, str, tuple[tuple[str, float], ...], float]


def _plate_curves(problem: FitProblem) -> list[tuple[Curve, np.ndarray]]:
    groups: dict[_CurveKey, list[tuple[float, Observation]]] = {}
    for o in problem.observations:
        t = o.signal.treatment
        if not t.doses:
            continue
        (drug, dose), partner = t.doses[0], t.doses[1:]
        key = (t.cell_line, drug, t.assay, o.signal.time, o.signal.readout, partner, t.seeded)
        groups.setdefault(key, []).append((dose, o))
    curves = []
    for (line, drug, assay, time, readout, partner, seeded), points in groups.items():
        given = [dose for dose, _ in points]
        doses = np.geomspace(min(given) / 3, max(given) * 3, POINTS)
        exact = [(x, o.value, np.nan if o.sd is None else o.sd) for x, o in points if o.censoring == "none"]
        limits = [(x, *o.ends) for x, o in points if o.censoring != "none"]
        empty = np.array([seeded], dtype=float)
        curve = Curve(
            line, drug, assay, time, readout, partner, empty, empty, _rows(exact), limits=_rows(limits)
        )  # fmt: skip
        curves.append((curve, doses))
    return curves


def _rows(points: list[tuple[float, float, float]]) -> np.ndarray:
    return np.array(sorted(points)).reshape(-1, 3)


def _metric_curves(problem: FitProblem) -> list[tuple[Curve, np.ndarray]]:
    curves = []
    for first in unique_curves(problem.metrics):
        same = [m for m in problem.metrics if m.curve == first.curve and m.readout == first.readout]
        marks = tuple((m.metric if m.censoring == "none" else f"{m.metric} beyond", m.value) for m in same)
        empty = np.array([first.seeded])
        doses = np.geomspace(first.top * 1e-6, first.top, POINTS)
        curves.append(
            (
                Curve(
                    first.cell_line,
                    first.drug,
                    first.assay,
                    first.time,
                    first.readout,
                    (),
                    empty,
                    empty,
                    np.zeros((0, 3)),
                    marks,
                ),
                doses,
            )
        )
    return curves
