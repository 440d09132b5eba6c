import numpy as np
import pytest
from scipy.stats import lognorm, norm, sobol_indices, uniform

from her2pkpd.cohort.sensitivity import _evaluate_block, correlated_normal, sobol, tornado
from her2pkpd.errors import ComputationError, InputError

A, B = 7.0, 0.1
ISHIGAMI = {name: uniform(-np.pi, 2 * np.pi) for name in ("x1", "x2", "x3")}


def ishigami(x):
    return np.sin(x["x1"]) + A * np.sin(x["x2"]) ** 2 + B * x["x3"] ** 4 * np.sin(x["x1"])


def ishigami_exact():
    """Ishigami & Homma 1990: partial variances in closed form."""
    v1 = 0.5 * (1 + B * np.pi**4 / 5) ** 2
    v2 = A**2 / 8
    v13 = B**2 * np.pi**8 * (1 / 18 - 1 / 50)
    v = v1 + v2 + v13
    return np.array([v1, v2, 0.0]) / v, np.array([v1 + v13, v2, v13]) / v, v


def test_ishigami():
    first, total, variance = ishigami_exact()
    found = sobol(ishigami, ISHIGAMI, patients=700_000)
    np.testing.assert_allclose(found.indices["first"], first, atol=2e-3)
    np.testing.assert_allclose(found.indices["total"], total, atol=2e-3)
    assert found.variance == pytest.approx(variance, rel=1e-3)
    assert found.mean == pytest.approx(A / 2, rel=1e-3)
    assert found.patients <= 700_000


def test_intervals_hold_the_exact_indices():
    first, total, _ = ishigami_exact()
    inside = []
    for seed in range(60):
        table = sobol(ishigami, ISHIGAMI, patients=10_000, blocks=16, seed=seed).indices
        inside.append((table["first_lower"] <= first) & (first <= table["first_upper"]))
        inside.append((table["total_lower"] <= total) & (total <= table["total_upper"]))
    assert 0.90 < np.mean(inside) <= 0.99


def test_a_linear_model_has_its_shares_of_variance():
    slope, sd = np.array([1.0, 2.0, 0.5, 0.0]), np.array([1.0, 0.5, 3.0, 1.0])
    inputs = {f"x{i}": norm(10.0 * i, s) for i, s in enumerate(sd)}
    found = sobol(lambda x: 1e6 + sum(c * x[f"x{i}"] for i, c in enumerate(slope)), inputs, patients=200_000)
    share = (slope * sd) ** 2 / np.sum((slope * sd) ** 2)
    np.testing.assert_allclose(found.indices["first"], share, atol=3e-3)
    np.testing.assert_allclose(found.indices["total"], share, atol=3e-3)


def test_a_product_of_log_normals_has_interactions():
    """Steady-state concentration dose*F/CL: V_i = prod of (exp(s^2) - 1) and 1, in closed form."""
    s = np.array([0.3, 0.6])
    inputs = {"F": lognorm(s[0]), "CL": lognorm(s[1])}
    found = sobol(lambda x: x["F"] / x["CL"], inputs, patients=400_000)
    e = np.expm1(s**2)
    variance = np.prod(1 + e) - 1
    np.testing.assert_allclose(found.indices["first"], e / variance, atol=0.02)
    np.testing.assert_allclose(found.indices["total"], e * (1 + e[::-1]) / variance, atol=0.02)


def test_correlated_inputs_count_together():
    covariance = np.array([[1.0, 0.8], [0.8, 1.0]])
    inputs = {"eta": correlated_normal(["CL", "Vc"], covariance), "x": norm(0.0, 2.0)}
    found = sobol(lambda x: x["CL"] + x["Vc"] + x["x"], inputs, patients=100_000)
    own = covariance.sum()
    np.testing.assert_allclose(found.indices["first"], [own / (own + 4.0), 4.0 / (own + 4.0)], atol=4e-3)


def test_the_estimators_are_scipys():
    values = _evaluate_block(ishigami, ISHIGAMI, 1024, np.random.default_rng(3))
    f = {"f_A": values[None, 0], "f_B": values[None, 1], "f_AB": values[2:, None]}
    theirs = sobol_indices(func=f, n=1024)
    from her2pkpd.cohort import sensitivity

    _, _, first, total = sensitivity._indices(sensitivity._sums(values - values[:2].mean()))
    np.testing.assert_allclose(first, np.ravel(theirs.first_order), atol=1e-10)
    np.testing.assert_allclose(total, np.ravel(theirs.total_order), atol=1e-10)


def test_failed_patients_are_left_out_and_counted():
    first, _, _ = ishigami_exact()

    def some_fail(x):
        y = ishigami(x)
        y[::97] = np.nan
        return y

    found = sobol(some_fail, ISHIGAMI, patients=200_000)
    assert found.failed > 0
    np.testing.assert_allclose(found.indices["first"], first, atol=0.03)
    with pytest.raises(ComputationError, match="failed"):
        sobol(lambda x: np.full(len(x["x1"]), np.nan), ISHIGAMI, patients=10_000)
    with pytest.raises(ComputationError, match="does not vary"):
        sobol(lambda x: np.full(len(x["x1"]), 3.0), ISHIGAMI, patients=10_000)


def test_refusals():
    with pytest.raises(InputError, match="at least 320 patients"):
        sobol(ishigami, ISHIGAMI, patients=100)
    with pytest.raises(InputError, match="at least 4 blocks"):
        sobol(ishigami, ISHIGAMI, blocks=2)
    with pytest.raises(InputError, match="one value for each"):
        sobol(lambda x: np.zeros(3), ISHIGAMI, patients=10_000)


def test_one_number_does_not_depend_on_the_progress_bar():
    seen = []
    a = sobol(ishigami, ISHIGAMI, patients=5_000, seed=4, progress=lambda done, all_: seen.append((done, all_)))
    b = sobol(ishigami, ISHIGAMI, patients=5_000, seed=4)
    assert a.indices.equals(b.indices)
    assert seen[-1][0] == seen[-1][1] == a.patients


def test_tornado_of_a_clearance():
    inputs = {"CL": lognorm(0.3, scale=4.0), "F": uniform(0.6, 0.2)}
    found = tornado(lambda x: 100.0 * x["F"] / x["CL"], inputs)
    assert found["input"].tolist() == ["CL", "F"]
    z = norm.ppf(0.95)
    assert found["at_low"].iloc[0] == pytest.approx(100 * 0.7 / 4.0 * np.exp(0.3 * z))
    assert found["at_high"].iloc[0] == pytest.approx(100 * 0.7 / 4.0 * np.exp(-0.3 * z))
    assert (found["base"] == found["base"].iloc[0]).all()
    with pytest.raises(ComputationError, match="F"):
        tornado(lambda x: np.where(x["F"] > 0.75, np.nan, x["CL"]), inputs)
