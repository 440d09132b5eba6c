"""Fits of public population data against published estimates and individual predictions."""

import json

import numpy as np
import pytest

from benchmarks.pk_fits import (
    DATA,
    RESULT,
    THEOPHYLLINE,
    THEOPHYLLINE_START,
    WARFARIN,
    errors_away,
    theophylline,
    warfarin,
)
from benchmarks.pkpd_fit import NONMEM, SAEM, JointFit
from benchmarks.pkpd_fit import RESULT as JOINT
from benchmarks.pkpd_fit import errors_away as joint_errors_away

pytestmark = pytest.mark.skipif(not DATA.exists(), reason="the shared data are not here")


def test_theophylline_reproduces_the_published_fit():
    data = theophylline()
    x, objective = data.fit(THEOPHYLLINE_START)
    assert errors_away(THEOPHYLLINE, x).max() < 0.1
    assert objective == pytest.approx(116.8037, abs=0.01)
    np.testing.assert_allclose(np.exp(x[6:]), THEOPHYLLINE.residual, rtol=2e-3)
    np.testing.assert_allclose(data.shrinkage(x), THEOPHYLLINE.shrinkage, atol=0.2)
    # Predictions printed for subject 1 at 0.25 and 0.57 h: of the typical values, and of its most probable ones.
    rows = data.times[0].searchsorted([0.25, 0.57])
    typical = data.concentrations(np.tile(x[:3], (1, 12, 1)))[0][0, 0, rows]
    own = data.concentrations((x[:3] + data.eta)[None])[0][0, 0, rows]
    np.testing.assert_allclose(typical, [3.26, 5.83], rtol=5e-3)
    np.testing.assert_allclose(own, [3.85, 6.79], rtol=5e-3)


def test_warfarin_clearance_and_volume_agree_with_the_published_fit():
    kept = json.loads(RESULT.read_text())["warfarin"]
    data, x = warfarin(), np.array(kept["vector"])
    values, eta = data.objective(np.vstack([x, WARFARIN.vector()]))
    data.eta = eta[0]
    assert values[0] == pytest.approx(kept["objective"], abs=1e-3)
    assert values[0] < values[1]
    # Only their sum of means is well determined of ktr and ka; clearance and volume are held to the standard error.
    assert errors_away(WARFARIN, x)[2:].max() < 1.0
    np.testing.assert_allclose(data.shrinkage(x), WARFARIN.shrinkage, atol=2.0)


def test_warfarin_with_its_response_agrees_with_the_published_fit_of_both():
    kept = json.loads(JOINT.read_text())
    data, x = JointFit.read(), np.array(kept["vector"])
    data.eta = np.array(kept["deviations"])
    values, _ = data.objective(x[None])
    assert values.sum() == pytest.approx(kept["objective"], abs=1e-2)
    assert max(joint_errors_away(x, NONMEM).values()) < 1.0
    # By SAEM the two absorption steps differ; exchanged or not, clearance and volume agree.
    assert max(joint_errors_away(x, SAEM)[n] for n in ("CL", "Vc")) < 1.0
    cv = [row["CV %"] for row in kept["parameters"]][:4]
    np.testing.assert_allclose(cv, WARFARIN.cv, rtol=0.03)
