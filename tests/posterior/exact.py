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


def banana():
    """Three unknowns a, b, c with standard normal priors; b - a^2 and c + a^3/4 are measured as 0: a curved ridge.

    Returns:
        The objective, and a start (n,) from which its mode is found.
    """

    def function(u):
        a, b, c = u.T
        slopes = np.zeros((len(u), 2, 3))
        slopes[:, 0, 0], slopes[:, 0, 1] = -2 * a, 1
        slopes[:, 1, 0], slopes[:, 1, 2] = 0.75 * a**2, 1
        return 5.0 + np.stack([b - a**2, c + 0.25 * a**3], axis=1), slopes

    return made(function, np.array([5.0, 5.0])), np.full(3, 0.1)


def banana_moments():
    """Of the posterior of `banana`: means (3,), mean squares (3,), and the distribution function of a.

    Given a, b and c are normal; the density of a, with both integrated out, is summed on a grid.
    """
    shrink = 1 / (1 + SD**2)
    a = np.linspace(-4, 4, 8001)
    bent = np.stack([a**2, -0.25 * a**3])
    weight = np.exp(-0.5 * a**2 - 0.5 * shrink * np.sum(bent**2, axis=0))
    weight /= weight.sum()
    total = np.cumsum(weight) - 0.5 * weight
    centres = np.vstack([a, shrink * bent])
    mean = centres @ weight
    square = centres**2 @ weight + np.array([0.0, 1.0, 1.0]) * SD**2 * shrink
    return mean, square, lambda x: np.interp(x, a, total)


def problem(own, tmp_path, **method):
    """A fit problem around an objective."""
    path = tmp_path / "fit.toml"
    path.write_text("title = 'exact'")
    how = replace(MethodSettings(starts=1, intervals="laplace"), **method)
    settings = FitSettings(path, "exact", (), 1e-4, {}, (), own.noise, MetricNoise(), how, _NoLibrary())
    return FitProblem(settings, own, list(own.observations), [])


class _NoLibrary:
    files = ()
