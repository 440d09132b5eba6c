"""The apoptotic switch against its closed-form solution."""

import numpy as np
import pytest

from her2pkpd.engine import Batch, Options, Segments, solve
from her2pkpd.mechanisms.apoptosis import apoptotic_switch
from her2pkpd.model import Builder

CELL = "cell"
VALUES = {
    "net.BIM_basal": 0.1, "net.tau_BIM": 5.0, "net.survivin_basal": 0.2, "net.tau_survivin": 3.0, "net.theta": 2.0,
    "net.n_apoptosis": 4.0, f"{CELL}.AKT0": 0.25, "ERK": 0.5, "AKT": 0.1,
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
    np.testing.assert_allclose(survival, 1 / (1 + (pressure / 2.0) ** 4), rtol=1e-9)


def test_an_untreated_cell_stays_on_its_plateau(model):
    found = course(model, ERK=1.0, AKT=0.25)
    np.testing.assert_allclose(found[:, 2], 1.0, rtol=1e-9)
    np.testing.assert_allclose(found[:, 3], 1 / (1 + 0.5**4), rtol=1e-9)


def test_what_both_pathways_lose_multiplies(model):
    both, erk, akt = (course(model, ERK=e, AKT=a)[-1, 2] for e, a in ((0.5, 0.125), (0.5, 0.25), (1.0, 0.125)))
    assert both == pytest.approx(erk * akt, rel=1e-9)
    assert both > max(erk, akt) > 1.0
