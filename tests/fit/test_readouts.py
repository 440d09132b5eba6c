"""Read-outs and metrics read off curves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from her2pkpd.fit.metrics import GRID_PER_DECADE, Metric, curve_signals, dose_grid, read_off, unique_curves
from her2pkpd.fit.readouts import RELATION, growth_rate_inhibition, output_of, relation

cells = st.floats(200.0, 1e6)


@given(st.floats(-0.9, 1.5), st.floats(0.2, 3.0), cells)
def test_gr_is_two_to_the_ratio_of_growth_rates_minus_one(rate, control_rate, seeded):
    t = np.array([seeded * np.exp(rate)])
    c = np.array([seeded * np.exp(control_rate)])
    gr, *_ = growth_rate_inhibition(t, c, np.array([seeded]))
    assert gr[0] == pytest.approx(2 ** (rate / control_rate) - 1, rel=1e-9, abs=1e-12)


def test_landmarks_of_the_gr_scale():
    seeded, control = np.array([1000.0]), np.array([4000.0])
    for treated, gr in ((4000.0, 1.0), (1000.0, 0.0), (2000.0, np.sqrt(2) - 1), (1e-200, -1.0)):
        assert growth_rate_inhibition(np.array([treated]), control, seeded)[0][0] == pytest.approx(gr, abs=1e-12)


@pytest.mark.parametrize("readout", [*RELATION, "occupancy.trastuzumab"])
def test_derivatives_of_every_relation(readout):
    treated, control, seeded, h = np.array([3000.0]), np.array([9000.0]), np.array([2000.0]), 1e-3
    f = relation(readout)
    _, by_treated, by_control = f(treated, control, seeded)
    up, down = (f(treated + s * h, control, seeded)[0] for s in (1, -1))
    np.testing.assert_allclose(by_treated, (up - down) / (2 * h), rtol=1e-7)
    up, down = (f(treated, control + s * h, seeded)[0] for s in (1, -1))
    np.testing.assert_allclose(by_control, (up - down) / (2 * h), rtol=1e-7, atol=1e-15)


def test_outputs_of_read_outs():
    assert output_of("viability", "cells") == "N.cells"
    assert output_of("gr", "cells") == "N.cells"
    assert output_of("pAKT", "cells") == "pAKT.cells"
    assert output_of("occupancy.trastuzumab", "cells") == "occupancy.trastuzumab.cells"


# --- metrics -------------------------------------------------------------------------------------------------


def metric(name, top=1e4, value=10.0, censoring="none"):
    return Metric("SK-BR-3", "lapatinib", name, value, censoring, 72.0, top)


def sigmoid(doses, inf, ec50, h=1.0):
    return inf + (1 - inf) / (1 + (doses / ec50) ** h)


@pytest.mark.parametrize(("inf", "ec50", "h"), [(-0.3, 50.0, 1.0), (0.2, 3.0, 0.8), (0.0, 700.0, 2.5)])
def test_gr50_and_grmax_of_a_sigmoid_curve(inf, ec50, h):
    grid = dose_grid(1e4)
    y = sigmoid(grid, inf, ec50, h)
    # From the definition: GR(c) = 0.5.
    exact = ec50 * ((1 - inf) / (0.5 - inf) - 1) ** (1 / h)
    found, _, reached = read_off(metric("GR50"), y, None)
    assert reached
    assert 10**found == pytest.approx(exact, rel=0.03)
    assert read_off(metric("GRmax"), y, None)[0] == y[-1]


def test_gec50_is_half_way_down_whatever_the_plateau():
    y = sigmoid(dose_grid(1e4), 0.6, 8.0)
    found, _, reached = read_off(metric("GEC50"), y, None)
    assert reached
    assert 10**found == pytest.approx(8.0, rel=0.03)
    value, _, reached = read_off(metric("GR50"), y, None)
    assert not reached
    assert value > 4.0


def test_a_curve_that_never_falls_is_beyond_the_top_dose_by_what_it_misses():
    low, high = (read_off(metric("GR50"), np.full(len(dose_grid(1e4)), level), None) for level in (0.6, 0.9))
    assert not low[2]
    assert 4.0 < low[0] < high[0]


def test_the_crossing_moves_smoothly_where_the_curve_starts_to_reach_the_level():
    # From just missed to just reached: no jump.
    grid = dose_grid(1e4)
    base = sigmoid(grid, 0.0, 3e4)
    values = [read_off(metric("GR50"), base + shift, None)[0] for shift in np.linspace(-0.3, -0.2, 201)]
    assert np.abs(np.diff(values)).max() < 0.05


def test_a_curve_that_is_down_from_the_start_lies_below_the_lowest_dose():
    grid = dose_grid(1e4)
    flat, lower = (read_off(metric("GR50"), np.full(len(grid), level), None) for level in (0.3, 0.1))
    assert flat[2]
    assert lower[0] < flat[0] < np.log10(grid[0])
    # No jump where the lowest dose passes the level.
    just = [read_off(metric("GR50"), sigmoid(grid, 0.0, e), None)[0] for e in grid[0] * np.linspace(0.9, 1.1, 41)]
    assert np.abs(np.diff(just)).max() < 0.1


@pytest.mark.parametrize("name", ["GR50", "GEC50", "GRmax"])
@pytest.mark.parametrize("inf", [-0.2, 0.45, 0.7])
@pytest.mark.parametrize("ec50", [60.0, 0.02])
def test_derivatives_of_read_off_metrics(name, inf, ec50):
    grid = dose_grid(1e4)
    names = ("inf", "ec50")
    at, h = np.array([inf, ec50]), np.array([1e-5, 1e-5 * ec50])

    def curve(p):
        return sigmoid(grid, *p)

    slopes = np.stack([(curve(at + d) - curve(at - d)) / (2 * d[i]) for i, d in enumerate(np.diag(h))], axis=1)
    _, found, _ = read_off(metric(name), curve(at), slopes)
    for i, d in enumerate(np.diag(h)):
        up, down = (read_off(metric(name), curve(at + s * d), None)[0] for s in (1, -1))
        assert found[i] == pytest.approx((up - down) / (2 * d[i]), rel=1e-4, abs=1e-7), names[i]


def test_metrics_of_one_curve_share_its_signals():
    first, second, other = metric("GR50"), metric("GRmax"), metric("IC50")
    assert unique_curves([first, second, other]) == [first, other]
    signals = curve_signals(first)
    assert len(signals) == len(dose_grid(first.top))
    assert signals[-1].treatment.doses == (("lapatinib", 1e4),)
    assert {s.readout for s in curve_signals(other)} == {"viability"}


def test_the_grid_is_even_and_ends_at_the_top():
    grid = dose_grid(500.0)
    assert grid[-1] == 500.0
    np.testing.assert_allclose(np.diff(np.log10(grid)), 1 / GRID_PER_DECADE, rtol=1e-9)
