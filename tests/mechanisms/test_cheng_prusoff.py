"""Competition with ATP: the textbook correction, and how far it over-predicts, as a parameter."""

from dataclasses import replace

import numpy as np
import pytest

from her2pkpd.errors import InputError
from her2pkpd.library import load_drug
from her2pkpd.mechanisms.kinase import cellular_Ki
from her2pkpd.systems.cell import CellOptions, cell_model
from her2pkpd.systems.respond import cell_responses

OWN = {"HER2": 1e6, "HER3": 2e4, "EGFR": 5e4, "doubling_time": 40.0}


def cell(*drugs, ATP=True):
    return cell_model("cell", OWN, drugs=[load_drug(d) for d in drugs], options=CellOptions(growth=False, ATP=ATP))


def test_full_correction_is_cheng_and_prusoff():
    assert cellular_Ki(2.0, 0.0, 5.0) == 2.0
    assert cellular_Ki(2.0, 5.0, 5.0) == 4.0
    assert cellular_Ki(13.0, 2e6, 5e3) / 13.0 == pytest.approx(401.0)


def held(model, dose, **changes):
    return 1 - cell_responses(model, "cell", [{"lapatinib": dose}], [200.0], ["HER2.kinase_active"], changes)[0, 0, 0]


def test_at_the_librarys_atp_the_constant_in_cells_is_the_librarys():
    explicit, plain = cell("lapatinib", "tucatinib"), cell("lapatinib", "tucatinib", ATP=False)
    treatments = [{"lapatinib": 60.0}, {"tucatinib": 10.0}]
    names = ["HER2.kinase_active", "pERK"]
    both = [cell_responses(m, "cell", treatments, [2.0, 48.0], names) for m in (explicit, plain)]
    np.testing.assert_allclose(both[0], both[1], rtol=1e-5)
    # For lapatinib the full correction, 13 nM*(1 + 2 mM/5 uM) = 5.2 uM, is 95 times the 55 nM seen in cells.
    values = dict(zip(explicit.parameter_index, explicit.default_parameters(), strict=True))
    assert values["lapatinib.HER2.over_prediction"] == pytest.approx(13.0 * 401 / 55.0)


def test_more_atp_needs_more_drug_and_the_over_prediction_scales_it():
    model = cell("lapatinib")
    plain = held(model, 60.0)
    # Ki goes with 1 + ATP/Km and with one over the over-prediction: dose and constant scale together.
    assert held(model, 60.0 * (1 + 4e6 / 5e3) / 401, ATP=4e6) == pytest.approx(plain, rel=1e-5)
    hundredth = {"lapatinib.HER2.over_prediction": 13.0 * 401 / 5500.0}
    assert held(model, 6000.0, **hundredth) == pytest.approx(plain, rel=1e-5)
    assert held(model, 60.0, ATP=5e6) < plain < held(model, 60.0, ATP=1e6)


def test_a_drug_without_a_biochemical_constant_is_named():
    bare = replace(load_drug("lapatinib"), reference={})
    with pytest.raises(InputError, match="no biochemical constant of lapatinib on HER2"):
        cell_model("cell", OWN, drugs=[bare], options=CellOptions(ATP=True))
