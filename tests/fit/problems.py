"""Small fits for tests: a few lines, drugs and doses, any read-outs."""

import itertools

import numpy as np

from her2pkpd.engine import Options
from her2pkpd.fit.design import Signal, Treatment, make_design
from her2pkpd.fit.metrics import curve_signals, unique_curves
from her2pkpd.fit.objective import MetricNoise, Objective, Observation
from her2pkpd.fit.parameters import Estimate, FreeParameters, Prior
from her2pkpd.library import load_cell_line, load_drug

LINES = ("SK-BR-3", "BT-474")
DRUGS = ("trastuzumab", "lapatinib")
TIGHT = Options(rtol=1e-10, atol=1e-13)


def signals(readouts, doses, lines=LINES, time=72.0, assay=""):
    """Every line at every dose pair (trastuzumab nM, lapatinib nM) for every read-out."""
    made = []
    for line, (t, l_), readout in itertools.product(lines, doses, readouts):
        given = tuple(sorted((d, v) for d, v in (("trastuzumab", t), ("lapatinib", l_)) if v))
        made.append(Signal(Treatment(line, assay, 5000.0, given), time, readout))
    return made


def estimate(target, name=None, *, per=(), scale="log", lower, upper, start, **more):
    """An entry in canonical units."""
    return Estimate(target, name or target, tuple(per), scale, lower, upper, start, **more)


KD = estimate("trastuzumab.KD", lower=0.01, upper=10.0, start=0.3, prior=Prior(0.3, 3.0))
KI = estimate("lapatinib.HER2.Ki", lower=1.0, upper=1e3, start=30.0)
W = estimate("cells.w", "w", per=("cell_line",), scale="logit", lower=0.0, upper=1.0, start=0.8)
S50 = estimate(
    "cells.S50", "S50", per=("cell_line",), lower=0.01, upper=2.0, start=0.3, pooled=2.0, prior=Prior(0.3, 2.0)
)
SCALE = estimate("scale", per=("cell_line",), lower=0.5, upper=2.0, start=1.05)


def objective(observations, estimates, *, metrics=(), noise=None, options=TIGHT, engine="kernel", metric_noise=None):
    """An objective over observations and metrics."""
    wanted = [o.signal for o in observations] + [s for m in unique_curves(metrics) for s in curve_signals(m)]
    lines = {s.treatment.cell_line for s in wanted}
    design = make_design(wanted, [load_drug(d) for d in DRUGS], {n: load_cell_line(n) for n in lines})
    free = FreeParameters(estimates, design.rows)
    return Objective(design, free, observations, metrics, noise or {}, metric_noise or MetricNoise(), options, engine)


def observations(wanted, values, sd=None):
    """One observation per signal."""
    each = [sd] * len(wanted) if sd is None or np.isscalar(sd) else sd
    return [Observation(s, float(v), e) for s, v, e in zip(wanted, values, each, strict=True)]


def predictions(wanted, estimates, u):
    """What the model predicts for signals at coordinates `u`."""
    return objective(observations(wanted, np.ones(len(wanted)), 1.0), estimates)(u).predictions
