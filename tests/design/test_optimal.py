"""Optimal designs with published answers, and the exchange against every possible plate."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2pkpd.design.criteria import Criterion, Pool, widths
from her2pkpd.design.exchange import choose, efficiency
from her2pkpd.errors import InputError

NOTHING = 1e-9


def single(rows, known=NOTHING):
    rows = np.asarray(rows, dtype=float)
    return Pool(rows[None, :, None, :], known * np.eye(rows.shape[1])[None])


def chosen(x, counts):
    return {float(x[i]): int(counts[i]) for i in np.flatnonzero(counts)}


def test_michaelis_menten_is_measured_at_the_top_and_where_theory_says():
    # Duggleby, J Theor Biol 81 (1979) 671: half the wells at the top b, half at K b/(2 K + b).
    top, half, vmax = 4.0, 1.0, 2.0
    x = np.linspace(0.02, top, 200)
    slopes = np.column_stack([x / (half + x), -vmax * x / (half + x) ** 2])
    found = choose(single(slopes), 10, Criterion())
    lower = half * top / (2 * half + top)
    wells = chosen(x, found.counts)
    assert sorted(wells.values()) == [5, 5]
    assert sorted(wells) == pytest.approx([lower, top], abs=0.02)
    assert found.efficiency > 0.999


def test_an_exponential_decay_is_measured_at_the_start_and_one_time_constant_later():
    # Box and Lucas, Biometrika 46 (1959) 77: t = 0 and t = 1/k for a exp(-k t); t = 1/k for k alone.
    t, k = np.linspace(0.0, 5.0, 251), 0.5
    both = np.column_stack([np.exp(-k * t), -t * np.exp(-k * t)])
    assert chosen(t, choose(single(both), 8, Criterion()).counts) == {0.0: 4, 2.0: 4}
    assert chosen(t, choose(single(both[:, 1:]), 8, Criterion()).counts) == {2.0: 8}


def test_a_parabola_is_measured_at_its_ends_and_in_the_middle():
    x = np.linspace(-1, 1, 41)
    found = choose(single(np.column_stack([np.ones_like(x), x, x**2])), 12, Criterion())
    assert chosen(x, found.counts) == {-1.0: 4, 0.0: 4, 1.0: 4}
    # For the curvature alone: half of the wells in the middle (c-optimal, Elfving).
    curvature = choose(single(np.column_stack([np.ones_like(x), x, x**2])), 12, Criterion((2,)))
    assert chosen(x, curvature.counts) == {-1.0: 3, 0.0: 6, 1.0: 3}
    assert curvature.efficiency > 0.999


def test_an_emax_curve_on_the_log_of_its_dose_has_its_three_points():
    # E0 + Emax d/(ED50 + d), d in [0, b]: 0, b and ED50 b/(2 ED50 + b), a third each (Dette et al. 2010).
    top, ed50 = 100.0, 10.0
    d = np.concatenate([[0.0], np.geomspace(0.1, top, 400)])
    slopes = np.column_stack([np.ones_like(d), d / (ed50 + d), -d / (ed50 + d) ** 2])
    wells = chosen(d, choose(single(slopes), 9, Criterion()).counts)
    middle = ed50 * top / (2 * ed50 + top)
    assert (wells[0.0], wells[top]) == (3, 3)
    assert all(0.98 * middle < x < 1.02 * middle for x in wells if 0 < x < top)


@pytest.mark.parametrize("targets", [(), (0,), (1, 2)])
@pytest.mark.parametrize("seed", range(4))
def test_the_exchange_finds_what_trying_every_plate_finds(targets, seed):
    rng = np.random.default_rng(seed)
    draws = rng.standard_normal((3, 7, 1, 3)) * 2
    own, criterion = Pool(draws, 0.1 * np.tile(np.eye(3), (3, 1, 1))), Criterion(targets)
    found = choose(own, 4, criterion, most=2)
    plates = (np.bincount(p, minlength=7) for p in itertools.combinations_with_replacement(range(7), 4))
    best = max(criterion.value(own.information(p)) for p in plates if p.max() <= 2)
    assert found.value == pytest.approx(best, abs=0.02)
    assert found.value <= best + 1e-12
    # The bound is one: no plate of four wells is better by more.
    assert best <= found.value - np.log(found.efficiency) + 1e-9
    assert found.counts.sum() == 4
    assert found.counts.max() <= 2


@given(st.integers(0, 10_000), st.sampled_from([(), (1,), (0, 2)]), st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_gains_and_slopes_are_those_of_the_criterion(seed, targets, readings):
    rng = np.random.default_rng(seed)
    own = Pool(rng.standard_normal((2, 5, readings, 3)), np.tile(np.eye(3), (2, 1, 1)))
    counts, criterion = rng.integers(0, 3, 5), Criterion(targets)
    covariance = np.linalg.inv(own.information(counts))
    gains, slopes = criterion.gains(own, covariance), criterion.slopes(own, covariance)
    before, each = criterion.value(own.information(counts)), np.eye(5)
    for i in range(5):
        assert gains[i] == pytest.approx(criterion.value(own.information(counts + each[i])) - before, abs=1e-9)
        moved = [criterion.value(own.information(counts + h * each[i])) for h in (1e-5, -1e-5)]
        assert slopes[i] == pytest.approx((moved[0] - moved[1]) / 2e-5, rel=1e-4, abs=1e-7)
        assert gains[i] <= slopes[i] + 1e-12


def test_a_plate_good_for_two_guesses_lies_between_those_good_for_one():
    t = np.linspace(0.1, 10.0, 100)
    rows = np.array([-t * np.exp(-k * t) for k in (0.2, 1.0)])[:, :, None, None]
    known = NOTHING * np.ones((2, 1, 1))
    both = choose(Pool(rows, known), 6, Criterion())
    alone = [choose(Pool(rows[i : i + 1], known[:1]), 6, Criterion()) for i in (0, 1)]
    times = [t[np.flatnonzero(c.counts)] for c in (both, *alone)]
    assert times[2].max() < times[0].mean() < times[1].min()


def test_expected_widths():
    information = np.array([np.diag([4.0, 1e-6]), np.diag([16.0, 1e-6])])
    np.testing.assert_allclose(widths(information, np.array([10.0, 10.0])), [2 * 1.96 * (0.5 + 0.25) / 2, 10.0])


def test_more_wells_than_can_be_placed_are_refused():
    with pytest.raises(InputError, match="2 kinds of wells with at most 3 replicates each are fewer than the 7 wells"):
        choose(single(np.eye(2)), 7, Criterion(), most=3)


def test_the_bound_tells_a_poor_plate():
    x = np.linspace(-1, 1, 41)
    own = single(np.column_stack([np.ones_like(x), x]))
    poor = np.zeros(41, dtype=int)
    poor[[15, 25]] = 4
    assert efficiency(own, Criterion(), poor, 8) < 0.1
