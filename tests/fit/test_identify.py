"""Identifiability on problems whose answer is known, by three methods and by rank."""

import numpy as np
import pytest

from her2pkpd.fit.combinations import determined_combinations, directions, write_product
from her2pkpd.fit.identify import COMBINATION, DETERMINED, UNDETERMINED, identify
from her2pkpd.fit.parameters import Prior
from her2pkpd.fit.profile import profile, trace_profile
from her2pkpd.fit.structure import rank_of, structure
from tests.fit.problems import estimate, objective, observations, predictions, signals
from tests.fit.test_intervals import BOUNDS
from tests.fit.test_profile import Curve, best, linear, names

TIMES = np.linspace(0.2, 3.0, 15)
SD = 0.05


def decay(u):
    """Only a*b and k are determined: f = a b exp(-k t)."""
    a, b, k = np.exp(u)
    f = a * b * np.exp(-k * TIMES)
    return f, np.column_stack([f, f, -k * TIMES * f])


def decay_and_a(u):
    """The same with one reading of a itself."""
    f, slopes = decay(u)
    return np.append(f, np.exp(u[0])), np.vstack([slopes, [np.exp(u[0]), 0.0, 0.0]])


def made(model, truth=(2.0, 0.5, 0.7), sd=SD, free=None, seed=0):
    clean = model(np.log(truth))[0]
    return Curve(free or names(3), clean + sd * np.random.default_rng(seed).standard_normal(len(clean)), model, sd=sd)


def draws_of(problem, u, n=6000, seed=2):
    """Posterior draws between the bounds by a random walk, after a Metropolis rule of its own."""
    rng = np.random.default_rng(seed)
    low, high = problem.bounds()
    directions_ = np.linalg.eigh(problem.information(u))
    sizes = 1.5 / np.sqrt(np.maximum(directions_[0], 1.0 / (0.2 * (high - low)) ** 2))
    kept, here, cost = [], u.copy(), problem(u).cost
    for _ in range(n):
        k = rng.integers(len(u))
        there = here + sizes[k] * rng.standard_normal() * directions_[1][:, k]
        inside = np.all((there > low) & (there < high))
        new = problem(there).cost if inside else np.inf
        if np.log(rng.random()) < 0.5 * (cost - new):
            here, cost = there, new
        kept.append(here)
    return np.array(kept[n // 10 :])


def judged(problem, *, draws=True):
    u = best(problem, np.zeros(len(problem.free)))
    curves = []
    intervals, _ = profile(problem, u, keep=curves.append)
    return identify(
        problem, u, intervals=intervals, curves=curves, draws=draws_of(problem, u) if draws else None
    ), curves  # fmt: skip


def test_three_methods_call_a_product_a_product_and_name_it():
    found, curves = judged(made(decay))
    assert found.table["verdict"].tolist() == [COMBINATION, COMBINATION, DETERMINED]
    for method in ("fisher", "profile", "posterior"):
        assert found.table[method].tolist() == [COMBINATION, COMBINATION, DETERMINED]
    assert found.table["methods_agree"].all()
    assert found.table["cause"].tolist() == ["structural", "structural", ""]
    assert found.table["combination"].tolist() == ["a × b", "a × b", ""]
    assert found.without_effect == ["a × 2, b × 0.5"]
    assert [c.shape for c in curves] == ["flat", "flat", "closed"]
    assert curves[0].followers()[:2] == pytest.approx([1.0, -1.0], abs=0.02)
    assert "without any effect: a × 2, b × 0.5" in repr(found)


def test_the_reading_that_separates_them_changes_the_verdict():
    found, curves = judged(made(decay_and_a))
    assert found.table["verdict"].tolist() == [DETERMINED] * 3
    assert found.table["methods_agree"].all()
    assert not found.without_effect
    assert not found.combinations
    assert [c.shape for c in curves] == ["closed"] * 3


def test_the_certainty_of_the_product_is_that_of_least_squares():
    # log(a b) and k are the two parameters of a fit with a b as one.
    problem = made(decay)
    found, _ = judged(problem, draws=False)
    u = best(problem, np.zeros(3))
    slopes = decay(u)[1][:, 1:] / SD
    covariance = np.linalg.inv(slopes.T @ slopes)
    (product,) = found.combinations
    assert product.sd == pytest.approx(np.sqrt(covariance[0, 0]), rel=1e-3)
    assert product.fold == pytest.approx(np.exp(2 * 1.96 * product.sd))


def test_a_tight_prior_does_not_hide_what_the_data_leave_open():
    free = [*names(1), estimate("b", **BOUNDS, prior=Prior(0.5, 1.2)), *names(3)[2:]]
    found, curves = judged(made(decay, free=free), draws=False)
    assert found.table["cause"].tolist() == ["structural", "structural", ""]
    assert found.table["combination"].tolist()[:2] == ["a × b", "a × b"]
    assert curves[1].shape == "flat"  # the prior ends the interval, and the data do not object to any value


def test_practical_is_not_structural():
    # Michaelis-Menten far below saturation: Vmax/Km, and hardly anything else.
    x = np.linspace(0.01, 0.1, 10)

    def model(u):
        top, half = np.exp(u)
        f = top * x / (half + x)
        return f, np.column_stack([f, -f * half / (half + x)])

    found, curves = judged(made(model, truth=(50.0, 50.0), sd=0.003, free=names(2)))
    assert found.table["cause"].tolist() == ["practical"] * 2
    assert found.table["verdict"].tolist() == [COMBINATION] * 2
    assert found.table["combination"].tolist() == ["a / b"] * 2
    assert {c.shape for c in curves} <= {"open above", "open"}
    assert found.table["methods_agree"].all()


def test_an_unknown_without_effect():
    found, curves = judged(made(lambda u: (decay(u)[0] / np.exp(u[0]), decay(u)[1] / np.exp(u[0]) * [0.0, 1.0, 1.0])))
    assert found.table["verdict"].tolist() == [UNDETERMINED, DETERMINED, DETERMINED]
    assert found.table["cause"].tolist() == ["structural", "", ""]
    assert found.structure.idle.tolist() == [True, False, False]
    assert curves[0].shape == "flat"


def test_an_effect_that_only_vanishes_at_the_estimate_is_not_structural():
    def model(u):
        return np.array([u[0], u[1] ** 2]), np.array([[1.0, 0.0], [0.0, 2 * u[1]]])

    problem = Curve(names(2), np.zeros(2), model)
    assert structure(problem, np.zeros(2)).rank == 2
    assert rank_of(problem(np.zeros(2)).jacobian[:2]).rank == 1


def test_null_directions_are_exact_in_rank_deficient_problems_of_any_size():
    rng = np.random.default_rng(5)
    basis = np.array([[1.0, -1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, -0.5, -0.5]])
    projector = np.eye(5) - np.linalg.pinv(basis) @ basis
    found = rank_of(rng.standard_normal((30, 5)) @ projector * np.array([1.0, 1.0, 1.0, 1.0, 1.0]))
    assert found.rank == 3
    np.testing.assert_allclose(projector @ found.null, 0.0, atol=1e-9)
    assert np.count_nonzero(found.null, axis=0).tolist() in ([2, 3], [3, 2])
    assert found.involved.all()
    assert not found.idle.any()


def test_eigenvectors_are_those_of_the_information():
    rng = np.random.default_rng(3)
    x = rng.standard_normal((20, 3))
    problem = Curve(names(3), np.zeros(20), linear(x), sd=0.1)
    values = np.linalg.eigvalsh(x.T @ x / 0.01)[::-1]
    found = directions(problem.free.free, x.T @ x / 0.01)
    for value, direction in zip(values, found, strict=True):
        unit = direction.powers / np.linalg.norm(direction.powers)
        assert unit @ x.T @ x @ unit / 0.01 == pytest.approx(value)
        assert direction.sd == pytest.approx(np.sqrt(direction.powers @ direction.powers / value))
        assert np.abs(direction.powers).max() == 1.0


def test_products_are_written_in_the_unknowns_names():
    free = [estimate("lapatinib.HER2.Ki", **BOUNDS), estimate("w", scale="logit", lower=0.0, upper=1.0, start=0.5)]
    problem = Curve(free, np.zeros(2), linear(np.eye(2)))
    assert write_product(problem.free.free, np.array([1.0, 0.5])) == "lapatinib.HER2.Ki × odds(w)^0.5"
    assert write_product(problem.free.free, np.array([-1.0, 0.0])) == "1 / lapatinib.HER2.Ki"


def test_no_product_is_named_where_none_is_determined():
    free = Curve(names(2), np.zeros(2), linear(np.eye(2))).free.free
    assert determined_combinations(free, np.diag([4.0, 9.0]), np.array([True, True])) == []
    assert determined_combinations(free, np.diag([4.0, 0.1]), np.array([True, False])) == []


def test_the_traced_profile_of_a_linear_model_is_a_parabola():
    x = np.random.default_rng(4).standard_normal((12, 2))
    problem = Curve(names(2), 0.1 * np.random.default_rng(5).standard_normal(12), linear(x))
    u = best(problem, np.zeros(2))
    curve = trace_profile(problem, u, 0)
    sd = np.sqrt(np.linalg.inv(x.T @ x / 0.01)[0, 0])
    np.testing.assert_allclose(curve.deviance, ((curve.coordinates[:, 0] - u[0]) / sd) ** 2, atol=1e-6)
    assert curve.deviance.max() > 1.3 * curve.threshold
    assert len(curve.points) > 10
    values, smooth = curve.smooth()
    np.testing.assert_allclose(smooth, ((np.log(values) - u[0]) / sd) ** 2, atol=1e-2)


IC50 = estimate("lapatinib.IC50_off", lower=100.0, upper=1e6, start=5e3)
TOLERANCE = estimate(
    "cells.tolerance", "tolerance", per=("cell_line",), lower=0.01, upper=100.0, start=1.0,
    where=(("cell_line", ("BT-474",)),),
)  # fmt: skip
KMAX = estimate("lapatinib.kmax_off", lower=1e-3, upper=1.0, start=0.03)
DOSES = [(0.0, d) for d in (100.0, 1e3, 3e3, 1e4, 3e4)]


def toxicity(lines):
    """Toxicity of lapatinib beside HER2: its IC50 and the tolerance of BT-474 multiply."""
    free, truth = [IC50, TOLERANCE, KMAX], np.log([4e3, 1.5, 0.05])
    wanted = signals(["viability"], DOSES, lines=lines)
    values = predictions(wanted, free, truth)
    noisy = values + 0.01 * np.random.default_rng(7).standard_normal(len(values))
    return objective(observations(wanted, noisy, 0.01), free), truth


def test_wells_of_one_line_determine_the_product_and_those_of_another_its_factors():
    alone, truth = toxicity(("BT-474",))
    found = identify(alone, best(alone, truth))
    assert found.table["cause"].tolist() == ["structural", "structural", ""]
    assert found.table["combination"].tolist()[:2] == ["lapatinib.IC50_off × BT-474.tolerance"] * 2
    both, truth = toxicity(("BT-474", "SK-BR-3"))
    assert identify(both, best(both, truth)).table["verdict"].tolist() == [DETERMINED] * 3


def test_products_are_written_with_the_unknowns_that_matter():
    # Three unknowns known by their products with a fourth, and each also a little by a fifth.
    matrix = np.array([[1.0, 0, 0, 1.0, 0.005], [0, 1.0, 0, 1.0, -0.01], [0, 0, 1.0, 1.0, 0.0075]])
    covariance = np.linalg.inv(matrix.T @ matrix / 0.05**2 + np.eye(5) / 3.0**2)
    free = Curve(names(5), np.zeros(1), None).free.free
    found = determined_combinations(free, covariance, np.ones(5, dtype=bool))
    assert [np.count_nonzero(c.powers) for c in found] == [2, 2, 2]
    assert np.linalg.matrix_rank([c.powers for c in found]) == 3
    for c in found:
        exact = np.sqrt(c.powers @ covariance @ c.powers)
        assert c.determined
        assert c.sd == pytest.approx(exact)
    # A fourth that is known by itself stands beside those it is multiplied with.
    unknown = np.array([True, True, True, False, True])
    beside = ~unknown
    found = determined_combinations(free, covariance, unknown, beside)
    assert [bool(c.powers[3]) for c in found] == [True] * 3


def test_the_centre_of_a_pool_is_known_by_its_copies():
    lines = ("SK-BR-3", "BT-474", "AU565", "HCC1954")
    free = [estimate("cells.k_apo", per=("cell_line",), lower=1e-4, upper=1.0, start=0.02, pooled=1.5)]
    wanted = signals(["viability"], DOSES, lines=lines)
    truth = np.log([0.02, 0.03, 0.015, 0.025, 0.022])
    values = predictions(wanted, free, truth)
    problem = objective(observations(wanted, values, 0.01), free)
    found = identify(problem, best(problem, truth))
    assert found.table["parameter"].iloc[-1] == "cells.k_apo (centre)"
    assert found.table["verdict"].tolist() == [DETERMINED] * 5
    assert set(found.table["cause"]) == {""}
    assert not found.without_effect
