"""Addiction as a number: on curves whose numbers are known, and on an addicted cell."""

import numpy as np
import pytest

from her2pkpd import load_cell_line, load_drug
from her2pkpd.systems.addiction import FRACTIONS, Dependence, blocking_dose, dependence
from her2pkpd.systems.cell import CellOptions, cell_model, network_parameters
from her2pkpd.systems.respond import cell_responses

LINE = "SK-BR-3"


@pytest.fixture(scope="module")
def model():
    options = CellOptions(growth=False, downstream={"AKTi": "AKT:ATP"})
    own = network_parameters(load_cell_line(LINE))
    return cell_model(LINE, own, drugs=[load_drug("lapatinib")], options=options)


@pytest.mark.parametrize("n", [1.0, 3.0, 8.0])
def test_numbers_of_a_hill_curve(n):
    blocked = np.linspace(0.0, 0.9999, 20001)
    active, half = 1 - blocked, 0.02
    curve = Dependence(blocked, active**n / (half**n + active**n) * (1 + half**n))
    assert curve.hill == pytest.approx(n, rel=0.05)  # the plateau is not at infinity
    assert curve.local == pytest.approx(n * half**n / (1 + half**n), rel=0.01, abs=1e-6)
    assert curve.at_half == pytest.approx(0.5**n / (half**n + 0.5**n) * (1 + half**n), rel=1e-3)


def test_a_proportional_cell_is_not_addicted_and_a_buffered_one_has_no_hill_coefficient():
    blocked = np.array(FRACTIONS)
    assert Dependence(blocked, 1 - blocked).at_half == pytest.approx(0.5)
    assert Dependence(blocked, 1 - blocked).local == pytest.approx(1.0)
    buffered = Dependence(blocked, 1 - 0.3 * blocked)
    assert np.isnan(buffered.hill)
    assert np.isnan(buffered.to_half)


@pytest.mark.parametrize("fraction", [0.2, 0.5, 0.9])
def test_blocking_dose_holds_that_fraction(model, fraction):
    dose = blocking_dose(load_drug("lapatinib"), "HER2", fraction)
    free = cell_responses(model, LINE, [{"lapatinib": dose}], [400.0], ["HER2.kinase_active"])[0, 0, 0]
    assert 1 - free == pytest.approx(fraction, rel=1e-4)


def test_half_of_her2_costs_an_addicted_cell_more_than_half_and_half_of_akt_hardly_anything(model):
    lapatinib = load_drug("lapatinib")
    upstream = dependence(model, LINE, [{"lapatinib": blocking_dose(lapatinib, "HER2", f)} for f in FRACTIONS])
    downstream = dependence(model, LINE, [{"AKTi": 10.0 * f / (1 - f)} for f in FRACTIONS])
    assert upstream.at_half < 0.4
    assert downstream.at_half > 0.8
    assert upstream.hill > 4.0
    assert upstream.to_half < 0.5
    # ERK alone keeps BIM under its threshold, however much of AKT is blocked.
    assert np.isnan(downstream.to_half)
    assert downstream.survival.min() > 0.8
    assert (np.diff(upstream.survival) <= 1e-9).all()
