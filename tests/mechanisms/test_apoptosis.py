"""The apoptotic switch against its closed-form solution."""

import numpy as np
import pytest
from scipy.stats import logistic

from her2pkpd.engine import Batch, Options, Segments, solve
from her2pkpd.mechanisms.apoptosis import apoptotic_switch
from her2pkpd.model import Builder

CELL = "cell"
VALUES = {
    "net.BIM_basal": 0.1, "net.tau_BIM": 5.0, "net.survivin_basal": 0.2, "net.tau_survivin": 3.0,
    "net.theta_BIM": 1.5, "net.n_BIM": 4.0, "net.theta_survivin": 2.0, "net.n_survivin": 6.0,
    f"{CELL}.AKT0": 0.25, "ERK": 0.5, "AKT": 0.1,
}  # fmt: skip
HOURS = np.array([0.0, 1.0, 6.0, 24.0, 400.0])


@pytest.fixture(scope="module")
def model():
    build = Builder("switch")
    for name, value in VALUES.items():
        build.parameter(name, value, "1")
    build.quantity(f"pERK.{CELL}", lambda s, p: p["ERK"], "1")
    build.quantity(f"AKT_activity.{CELL}", lambda s, p: p["AKT"], "1")
    apoptotic_switch(build, CELL)
    return build.model()


def passed(x, theta, n):
    return 1 / (1 + (theta / x) ** n)


def course(model, **changes):
    p = model.parameter_vector(changes)
    segments = Segments(np.array([[0.0, HOURS[-1]]]))
    y = solve(Batch(model, p[None], segments, HOURS), Options(1e-9, 1e-12)).y[0]
    return model.outputs([f"{x}.{CELL}" for x in ("BIM", "survivin", "apoptotic_pressure", "survival")], y, p)


def test_time_course_is_the_exact_one(model):
    bim, survivin, pressure, survival = course(model).T
    loss, kept = 0.1 + 0.9 * 0.5, 0.2 + 0.8 * 0.1 / 0.25
    np.testing.assert_allclose(bim, 1 / loss + (1 - 1 / loss) * np.exp(-loss * HOURS / 5.0), rtol=1e-6)
    np.testing.assert_allclose(survivin, kept + (1 - kept) * np.exp(-HOURS / 3.0), rtol=1e-6)
    np.testing.assert_allclose(pressure, bim / survivin, rtol=1e-12)
    np.testing.assert_allclose(survival, 1 - passed(bim, 1.5, 4) * passed(1 / survivin, 2.0, 6), rtol=1e-9)


def test_the_share_of_cells_is_a_log_logistic_distribution_of_thresholds():
    x, theta, n = np.linspace(0.5, 4.0, 9), 1.5, 12.0
    spread = np.pi / np.sqrt(3.0) / n
    thresholds = logistic(np.log(theta), np.sqrt(3.0) * spread / np.pi)
    assert thresholds.std() == pytest.approx(spread)
    np.testing.assert_allclose(thresholds.cdf(np.log(x)), passed(x, theta, n), rtol=1e-12)


def test_an_untreated_cell_stays_on_its_plateau(model):
    found = course(model, ERK=1.0, AKT=0.25)
    np.testing.assert_allclose(found[:, 2], 1.0, rtol=1e-9)
    np.testing.assert_allclose(found[:, 3], 1 - passed(1, 1.5, 4) * passed(1, 2.0, 6), rtol=1e-9)


def test_one_pathway_alone_never_kills_more_than_the_other_threshold_lets(model):
    whole = {"ERK": 1.0, "AKT": 0.25}
    both, erk, akt = (
        course(model, **{**whole, **x})[-1, 3] for x in ({"ERK": 0.0, "AKT": 0.0}, {"ERK": 0.0}, {"AKT": 0.0})
    )
    assert erk >= 1 - passed(1, 2.0, 6)
    assert akt >= 1 - passed(1, 1.5, 4)
    assert both < 0.01
    assert min(erk, akt) > 0.8


def test_what_both_pathways_lose_multiplies_in_the_share_that_dies(model):
    lost = {"ERK": 0.5, "AKT": 0.125}
    bim, survivin, _, survival = course(model, **lost)[-1]
    alone = 1 - course(model, ERK=0.5, AKT=0.25)[-1, 3], 1 - course(model, ERK=1.0, AKT=0.125)[-1, 3]
    plateau = passed(1, 1.5, 4) * passed(1, 2.0, 6)
    assert 1 - survival == pytest.approx(alone[0] * alone[1] / plateau, rel=1e-6)
    assert 1 - survival > 2 * max(alone)
    assert bim > 1 > survivin
