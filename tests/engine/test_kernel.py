import numpy as np
import pytest

from her2pkpd.engine import Batch, Options, Segments
from her2pkpd.engine.cpu import solve
from tests.engine.systems import EXACT, HARD, dosing_batch


def in_tolerances(y, exact, options, model):
    """Largest error in units of the requested tolerance."""
    scale = np.array([s.scale for s in model.species])
    return np.max(np.abs(y - exact) / (options.atol * scale + options.rtol * np.abs(exact)))


@pytest.mark.parametrize("name", EXACT)
def test_every_dosing_case_agrees_with_the_closed_form(name):
    system = EXACT[name]
    batch, _ = dosing_batch(system)
    options = Options(1e-7, 1e-10)
    found = solve(batch, options)
    assert found.status_counts() == {"ok": len(batch.times)}
    assert in_tolerances(found.y, system.of_batch(batch), options, system.model) < 10


@pytest.mark.parametrize("name", HARD)
def test_stiff_classics(name):
    hard = HARD[name]
    model = hard.model
    segments = Segments(np.array([[0.0, hard.times[-1]]]))
    options = Options(1e-8, 1e-11)
    found = solve(Batch(model, model.default_parameters(), segments, hard.times[None]), options)
    assert found.ok.all()
    for state, value in hard.published:
        assert found.y[0, -1, state] == pytest.approx(value, rel=1e-5)
