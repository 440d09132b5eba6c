"""A cohort on a card, which is imitated: it agrees with the processor for every patient."""

import numpy as np
import pytest

from her2pkpd.cohort import Resources, cohort, load
from her2pkpd.cohort.run import cohort_file
from her2pkpd.engine import cuda
from tests.cohort.cohorts import TDXD, plasma
from tests.engine.systems.card import imitated

RULE = '[[arm.rule]]\ndrug = "T-DXd"\nvariable = "DXd"\nmeasure = "auc"\nabove = "30 ng*d/mL"\nthen = "reduce"\n'


@pytest.fixture
def card(monkeypatch):
    return imitated(monkeypatch)


def test_card_and_processor_agree_for_every_patient(tmp_path, card, monkeypatch):
    monkeypatch.setattr(cuda, "obstacle", lambda: None)
    settings = plasma(tmp_path, f'{TDXD}\n{RULE}levels = ["4.4 mg/kg"]', size=200, rest="[solver]\nrtol = 0.01\n")
    ours = cohort(settings, resources=Resources("kernel", 1)).endpoints
    cohort_file(settings, tmp_path / "out", resources=Resources("gpu", 1, chunk=150))
    theirs = load(tmp_path / "out")
    assert card.launches
    assert theirs.manifest["engine"] == "gpu"
    assert theirs.manifest["processor"] == card.name
    for name in ours:
        if ours[name].dtype.kind == "f" and not name.startswith("off"):
            np.testing.assert_allclose(theirs.endpoints[name], ours[name], rtol=1e-3, err_msg=name)
    np.testing.assert_array_equal(theirs.endpoints["reductions.T-DXd"], ours["reductions.T-DXd"])
