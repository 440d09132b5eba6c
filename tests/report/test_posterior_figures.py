"""What is chosen to be shown of a posterior, and published metrics against it."""

from types import SimpleNamespace

import numpy as np
import pytest

from her2pkpd.fit.metrics import Metric
from her2pkpd.fit.objective import MetricNoise
from her2pkpd.posterior.checks import metric_checks
from her2pkpd.report.page import png
from her2pkpd.report.posterior_figures import MOST_PAIRS, ridges
from her2pkpd.report.predictive_figures import metric_figure


def test_every_ridge_is_shown_once():
    # Twelve unknowns that move together, two pairs of their own, and four of no interest.
    correlation = np.eye(20)
    correlation[:12, :12] = 0.95
    correlation[12, 13] = correlation[13, 12] = -0.9
    correlation[14, 15] = correlation[15, 14] = 0.6
    np.fill_diagonal(correlation, 1.0)
    shown = ridges(correlation)
    assert len(shown) == len(set(shown)) == MOST_PAIRS
    assert sum(i < 12 for i in shown) == 2
    assert {12, 13, 14, 15} <= set(shown)
    assert ridges(np.eye(3)) == [0, 1, 2]


def metric(name, value, censoring="none"):
    return Metric("SK-BR-3", "lapatinib", name, value, censoring, 72.0, 1e4)


def posterior(metrics, draws):
    objective = SimpleNamespace(metric_noise=MetricNoise(0.2, 0.1))
    problem = SimpleNamespace(objective=objective, metrics=metrics)
    return SimpleNamespace(problem=problem, predictive=SimpleNamespace(metrics=np.asarray(draws)))


def test_published_metrics_are_held_against_another_laboratorys():
    metrics = [
        metric("GR50", 100.0), metric("GR50", 1000.0), metric("GRmax", 0.2), metric("GR50", 1000.0, "right"),
        metric("GR50", 10.0, "right"),
    ]  # fmt: skip
    rng = np.random.default_rng(0)
    means = np.array([2.0, 2.0, 0.2, 2.0, 2.0])
    draws = means + np.array([0.1, 0.1, 0.05, 0.1, 0.1]) * rng.standard_normal((20000, 5))
    found = metric_checks(posterior(metrics, draws))
    met = [verdict == "as predicted" for verdict in found["verdict"]]
    assert met == [True, False, True, False, True]
    assert set(found["verdict"][[1, 3]]) == {"the model lies too low"}
    # Scatter between laboratories and uncertainty of the prediction add up.
    sd = np.hypot(0.2, 0.1)
    assert found["lower"][0] == pytest.approx(10 ** (2.0 - 1.96 * sd), rel=0.03)
    assert found["upper"][0] == pytest.approx(10 ** (2.0 + 1.96 * sd), rel=0.03)
    assert found["upper"][2] == pytest.approx(0.2 + 1.96 * np.hypot(0.1, 0.05), rel=0.03)
    assert png(metric_figure(found))[:4] == b"\x89PNG"


def test_no_metrics_are_an_empty_table():
    assert metric_checks(posterior([], np.zeros((10, 0)))).empty
