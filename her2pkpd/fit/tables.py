"""What a fit tells: parameters, predictions, published against fitted, as tables."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from her2pkpd.fit.intervals import Interval
from her2pkpd.fit.metrics import Metric
from her2pkpd.fit.objective import Evaluation, Objective

PARAMETER_COLUMNS = ["parameter", "unit", "estimate", "lower", "upper", "interval", "verdict"]

POTENCY_FOLD = 3.0
"""A fitted potency counts as met within this fold of the published one."""

EFFICACY_DIFFERENCE = 0.15
"""A fitted GRmax counts as met within this difference."""


def parameter_table(objective: Objective, intervals: Sequence[Interval]) -> pd.DataFrame:
    """One row per unknown: ``parameter, unit, estimate, lower, upper, interval, verdict``."""
    units = [f.estimate.unit for f in objective.free.free] + ["1"] * len(objective.estimated)
    rows = [
        (x.name, unit, x.estimate, x.lower, x.upper, f"95 % {x.kind}", x.verdict)
        for x, unit in zip(intervals, units, strict=True)
    ]
    return pd.DataFrame(rows, columns=PARAMETER_COLUMNS)


def prediction_table(objective: Objective, evaluation: Evaluation) -> pd.DataFrame:
    """One row per measured well and per published metric.

    Columns: ``cell_line, assay, drug, concentration, unit[, drug_2, concentration_2 ...], time, time_unit, readout,
    value, sd, prediction, residual, status, censoring, upper_limit``. Of a well that is only known by a limit,
    `residual` says how far the limit lies from the prediction, and is zero where the prediction keeps to it.
    """
    status = objective.predictor.design.lane_of
    rows = []
    for o, prediction in zip(objective.observations, evaluation.predictions, strict=True):
        t = o.signal.treatment
        failed = evaluation.status[status[t]] != 0 or evaluation.status[status[t.untreated]] != 0
        rows.append(
            {
                "cell_line": t.cell_line, "assay": t.assay, **_doses(t.doses), "time": o.signal.time, "time_unit": "h",
                "readout": o.signal.readout, "value": o.value, "sd": o.sd, "prediction": prediction,
                "residual": o.off(prediction), "status": "failed" if failed else "ok", "censoring": o.censoring,
                "upper_limit": o.upper, **dict(o.label),
            }
        )  # fmt: skip
    for m, value in zip(objective.metrics, evaluation.metrics, strict=True):
        prediction = 10**value if m.is_potency else value
        rows.append(
            {
                "cell_line": m.cell_line, "assay": m.assay, "drug": m.drug, "unit": "nM" if m.is_potency else "1",
                "time": m.time, "time_unit": "h", "readout": m.metric, "value": m.value, "prediction": prediction,
                "residual": m.value - prediction, "status": "ok" if np.isfinite(prediction) else "failed",
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def _doses(doses: Sequence[tuple[str, float]]) -> dict[str, object]:
    row: dict[str, object] = {"drug": "", "concentration": 0.0, "unit": "nM"}
    for k, (drug, nM) in enumerate(doses, start=1):
        tail = "" if k == 1 else f"_{k}"
        row |= {f"drug{tail}": drug, f"concentration{tail}": nM, f"unit{tail}": "nM"}
    return row


def published_table(metrics: Sequence[Metric], evaluation: Evaluation) -> pd.DataFrame:
    """Published against fitted metrics.

    Columns: ``cell_line, drug, metric, assay, published, censoring, fitted, unit, reached, off_by, within, source``;
    `off_by` is a fold for potencies and a difference for GRmax, `within` whether it is at most 3-fold or 0.15.
    A value only known to lie above a limit is met when the fitted one does, or comes within 3-fold of it.
    """
    rows = []
    for metric, value, reached in zip(metrics, evaluation.metrics, evaluation.reached, strict=True):
        fitted = 10**value if metric.is_potency else value
        off_by, within = _agreement(metric, fitted)
        rows.append(
            (
                metric.cell_line, metric.drug, metric.metric, metric.assay, metric.value, metric.censoring,
                fitted if reached else np.inf, "nM" if metric.is_potency else "1", bool(reached), off_by, within,
                metric.source,
            )
        )  # fmt: skip
    columns = "cell_line drug metric assay published censoring fitted unit reached off_by within source".split()
    return pd.DataFrame(rows, columns=columns)


def _agreement(metric: Metric, fitted: float) -> tuple[float, bool]:
    if not metric.is_potency:
        return fitted - metric.value, abs(fitted - metric.value) <= EFFICACY_DIFFERENCE
    fold = fitted / metric.value
    if metric.censoring == "right":
        return max(1.0, 1 / fold), fold >= 1 / POTENCY_FOLD
    if metric.censoring == "left":
        return max(1.0, fold), fold <= POTENCY_FOLD
    worst = max(fold, 1 / fold)
    return worst, worst <= POTENCY_FOLD
