"""Fits whose posterior is known: a real objective whose wells follow any given function of the unknowns."""

from dataclasses import replace

import numpy as np

from her2pkpd.engine import Options
from her2pkpd.fit.noise import Noise
from her2pkpd.fit.objective import MetricNoise
from her2pkpd.fit.parameters import Prior
from her2pkpd.fit.predict import Predicted
from her2pkpd.fit.problem import FitProblem
from her2pkpd.fit.settings import FitSettings, MethodSettings
from tests.fit.problems import estimate, objective, observations, signals

NAMES = ("trastuzumab.KD", "lapatinib.HER2.Ki", "cells.k_apo")
SD = 0.1


def made(function, values, *, names=NAMES, noise=None, prior=True):
    """An objective over len(values) wells predicted by `function`: u (C, n) to values (C, m) and slopes (C, m, n)."""
    entries = [
        estimate(n, lower=1e-6, upper=1e6, start=1.0, prior=Prior(1.0, float(np.e)) if prior else None) for n in names
    ]
    doses = [(0.0, float(d)) for d in np.geomspace(1, 1e3, len(values))]
    wells = observations(signals(["viability"], doses, lines=("SK-BR-3",)), values)
    own = objective(wells, entries, noise=noise or {"viability": Noise("normal", SD)}, options=Options(1e-6, 1e-8))

    def many(u, *, derivatives=True, options=None):
        value, slope = function(u)
        status = np.zeros((len(u), len(own.design.lanes)), dtype=int)
        return Predicted(value, slope if derivatives else None, status, "exact")

    own.predictor.many = many
    return own


def linear(n=3, wells=6, seed=3):
    """A linear model with exact posterior: objective, mean (n,) and covariance (n, n) of the coordinates."""
    rng = np.random.default_rng(seed)
    matrix = rng.standard_normal((wells, n))
    values = matrix @ rng.standard_normal(n) + SD * rng.standard_normal(wells) + 5.0
    covariance = np.linalg.inv(np.eye(n) + matrix.T @ matrix / SD**2)
    mean = covariance @ matrix.T @ (values - 5.0) / SD**2

    def function(u):
        return 5.0 + u @ matrix.T, np.broadcast_to(matrix, (len(u), *matrix.shape)).copy()

    return made(function, values, names=NAMES[:n]), mean, covariance


def problem(own, tmp_path, **method):
    """A fit problem around an objective."""
    path = tmp_path / "fit.toml"
    path.write_text("title = 'exact'")
    how = replace(MethodSettings(starts=1, intervals="laplace"), **method)
    settings = FitSettings(path, "exact", (), 1e-4, {}, (), own.noise, MetricNoise(), how, _NoLibrary())
    return FitProblem(settings, own, list(own.observations), [])


class _NoLibrary:
    files = ()
