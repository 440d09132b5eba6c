"""Unknowns: copies, groups, priors and pools."""

import numpy as np
import pytest

from her2pkpd.fit.parameters import FreeParameters, Prior
from tests.fit.problems import estimate

ROWS = [{"cell_line": c, "assay": a} for c in ("X", "Y", "Z") for a in ("1", "2")]


def free(*estimates):
    return FreeParameters(estimates, ROWS)


def test_copies_follow_the_groups():
    made = free(
        estimate("a", lower=0.1, upper=10.0, start=1.0),
        estimate("cells.b", "b", per=("cell_line",), lower=0.1, upper=10.0, start=1.0),
        estimate("c", per=("cell_line", "assay"), lower=0.1, upper=10.0, start=1.0),
        estimate("d", lower=0.1, upper=10.0, start=1.0, where=(("assay", ("2",)), ("cell_line", ("X", "Z")))),
    )
    assert made.names == ["a", "X.b", "Y.b", "Z.b", *(f"{c}.{a}.c" for c in "XYZ" for a in "12"), "d"]
    np.testing.assert_array_equal(made.index[1], [1, 1, 2, 2, 3, 3])
    np.testing.assert_array_equal(made.index[3], [-1, 10, -1, -1, -1, 10])


def test_values_of_lanes_and_their_slopes():
    made = free(
        estimate("k", lower=0.1, upper=10.0, start=1.0),
        estimate("k", "factor", per=("assay",), lower=0.1, upper=10.0, start=1.0, where=(("cell_line", ("X", "Y")),)),
        estimate("w", scale="logit", lower=0.0, upper=1.0, start=0.5, where=(("cell_line", ("Z",)),)),
    )
    u = np.array([np.log(2.0), np.log(3.0), np.log(5.0), 0.7])
    value, parts = made.lane_values(u, "k", np.full(6, 100.0))
    np.testing.assert_allclose(value, [6.0, 10.0, 6.0, 10.0, 2.0, 2.0])
    value_w, _ = made.lane_values(u, "w", np.full(6, 0.25))
    np.testing.assert_allclose(value_w, [0.25] * 4 + [1 / (1 + np.exp(-0.7))] * 2)
    jacobian = np.zeros((6, 4))
    for index, slope in parts:
        for lane, column in enumerate(index):
            if column >= 0:
                jacobian[lane, column] += np.broadcast_to(slope, 6)[lane]
    h = 1e-6
    for i in range(4):
        e = np.eye(4)[i] * h
        up, down = (made.lane_values(u + s * e, "k", np.full(6, 100.0))[0] for s in (1, -1))
        np.testing.assert_allclose(jacobian[:, i], (up - down) / (2 * h), rtol=1e-8, atol=1e-9)


def test_priors_and_pools():
    made = free(
        estimate("a", lower=0.1, upper=10.0, start=1.0, prior=Prior(2.0, 3.0)),
        estimate("b", per=("cell_line",), lower=0.1, upper=10.0, start=1.0, pooled=1.5, prior=Prior(1.0, 2.0)),
        estimate("c", scale="logit", lower=0.0, upper=1.0, start=0.5, prior=Prior(0.5, 0.8)),
    )
    assert made.names == ["a", "X.b", "Y.b", "Z.b", "b (centre)", "c"]
    u = np.array([0.3, 0.1, 0.2, -0.4, 0.05, 1.1])
    residuals, jacobian = made.prior_residuals(u)
    # The prior of pooled copies is their centre's; each copy is held to the centre.
    expected = [
        (0.3 - np.log(2.0)) / np.log(3.0), 0.05 / np.log(2.0), 1.1 / 0.8,
        *((x - 0.05) / np.log(1.5) for x in (0.1, 0.2, -0.4)),
    ]  # fmt: skip
    np.testing.assert_allclose(sorted(residuals), sorted(expected))
    np.testing.assert_allclose(jacobian @ u - residuals, made.prior_residuals(np.zeros(6))[0] * -1, atol=1e-12)


def test_starts_lie_within_start_box_within_bounds():
    made = free(
        estimate("a", lower=0.1, upper=10.0, start=3.0, prior=Prior(2.0, 50.0)),
        estimate("b", scale="logit", lower=0.0, upper=1.0, start=0.0),
        estimate("c", scale="linear", lower=-1.0, upper=2.0, start=0.0),
    )
    (low, high), (inner_low, inner_high) = made.bounds(), made.start_box()
    assert (low <= inner_low).all()
    assert (inner_low < inner_high).all()
    assert (inner_high <= high).all()
    assert np.isfinite(made.start()).all()
    np.testing.assert_allclose(made.values(made.start()), [3.0, 0.0, 0.0], atol=1e-6)


def test_no_unknowns_at_all():
    made = free(estimate("a", per=("cell_line",), lower=0.1, upper=10.0, start=1.0, where=(("cell_line", ("Q",)),)))
    assert len(made) == 0
    assert (made.index[0] == -1).all()


@pytest.mark.parametrize("scale", ["log", "linear"])
def test_a_prior_s_spread_is_a_fold_on_a_log_scale_and_a_deviation_elsewhere(scale):
    e = estimate("a", scale=scale, lower=0.1, upper=10.0, start=1.0, prior=Prior(2.0, 3.0))
    mean, sd = e.prior.on(e.transform)
    assert (mean, sd) == pytest.approx((np.log(2.0), np.log(3.0)) if scale == "log" else (2.0, 3.0))
