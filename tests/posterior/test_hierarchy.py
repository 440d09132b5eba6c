"""Plates, replicates and cell lines that scatter around a centre, against posteriors in closed form."""

import numpy as np
import pytest
from scipy import stats

from her2pkpd.engine import Options
from her2pkpd.fit.design import Signal, Treatment
from her2pkpd.fit.noise import Noise
from her2pkpd.fit.objective import Observation
from her2pkpd.fit.parameters import Prior
from her2pkpd.fit.predict import Predicted
from her2pkpd.fit.run import fit
from her2pkpd.posterior.judge import convergence
from her2pkpd.posterior.prior import prior_draws
from her2pkpd.posterior.run import sample
from tests.fit.problems import estimate, objective
from tests.posterior.exact import SD, problem
from tests.posterior.test_exact import assert_drawn_from

LINES = ("SK-BR-3", "BT-474", "AU565", "HCC1954")
WELLS = 2
"""Of every group."""

POOL = 1.5
"""Fold by which copies scatter around their centre, where that is known."""


def place(column, group):
    """Cell line, plate and replicate of the wells of a group."""
    return (
        LINES[group] if column == "cell_line" else LINES[0],
        f"plate {group}" if column == "plate" else "",
        f"r{group}" if column == "replicate" else "",
    )


def scattered(column, *, spread=None, groups=4, seed=5, sd=SD):
    """Wells whose value is 5 plus the coordinate of their group's copy: objective, and mean of every group less 5."""
    rng = np.random.default_rng(seed)
    truth = 0.3 + 0.4 * rng.standard_normal(groups)
    wells = []
    for g in range(groups):
        line, plate, replicate = place(column, g)
        for dose in np.geomspace(1, 100, WELLS):
            treatment = Treatment(line, "", 5000.0, (("lapatinib", float(dose)),), plate, replicate)
            value = 5 + truth[g] + sd * rng.standard_normal()
            wells.append(Observation(Signal(treatment, 72.0, "viability"), float(value)))
    entry = estimate(
        "trastuzumab.KD", per=(column,), lower=1e-6, upper=1e6, start=1.0, prior=Prior(1.0, float(np.e)),
        pooled=spread or 2.0, hierarchy=spread is None,
    )  # fmt: skip
    own = objective(wells, [entry], noise={"viability": Noise("normal", sd)}, options=Options(1e-6, 1e-8))
    copy = own.free.index[0][[own.design.lane_of[o.signal.treatment] for o in wells]]
    by_coordinate = np.eye(len(own.free))[copy]

    def many(u, *, derivatives=True, options=None):
        slope = own.free.chain(u, np.broadcast_to(by_coordinate, (len(u), *by_coordinate.shape)))
        status = np.zeros((len(u), len(own.design.lanes)), dtype=int)
        return Predicted(5 + own.free.coordinates(u)[:, copy], slope if derivatives else None, status, "exact")

    own.predictor.many = many
    return own, np.array([o.value - 5 for o in wells]).reshape(groups, WELLS).mean(axis=1)


COLUMNS = ["plate", "replicate", "cell_line"]


def gaussian(mean_of):
    """Posterior of (copies, centre) whose scatter is known: mean and precision."""
    groups, tau = len(mean_of), np.log(POOL)
    # The centre has a prior of its own, copies one around it; the groups' means are measured.
    precision = np.diag([WELLS / SD**2 + 1 / tau**2] * groups + [1.0 + groups / tau**2])
    precision[:groups, groups] = precision[groups, :groups] = -1 / tau**2
    return np.linalg.solve(precision, np.append(mean_of * WELLS / SD**2, 0.0)), precision


@pytest.mark.parametrize("column", COLUMNS)
def test_copies_around_an_estimated_centre_have_a_normal_density(column):
    own, mean_of = scattered(column, spread=POOL)
    assert own.names[-1] == "trastuzumab.KD (centre)"
    mean, precision = gaussian(mean_of)
    u = mean + 0.3 * np.random.default_rng(1).standard_normal((6, len(mean)))
    expected = np.einsum("si,ij,sj->s", u - mean, precision, u - mean)
    np.testing.assert_allclose(np.diff(own.many(u).costs), np.diff(expected), rtol=1e-9)


@pytest.mark.parametrize("column", COLUMNS)
def test_copies_of_an_estimated_spread_have_the_density_written_out(column):
    own, _ = scattered(column)
    assert own.names[-2:] == ["trastuzumab.KD (centre)", "trastuzumab.KD (sd of log)"]
    u = 0.4 * np.random.default_rng(2).standard_normal((6, len(own.names)))
    value = np.array([o.value for o in own.observations]).reshape(-1, WELLS)
    expected = []
    for x in u:
        away, centre, tau = x[:-2], x[-2], np.exp(x[-1])
        prior = stats.norm.logpdf(away).sum() + stats.norm.logpdf(centre)
        # The unknown is the log of the spread, whose density is that of the spread times the spread.
        prior += stats.halfnorm.logpdf(tau, scale=np.log(2.0)) + np.log(tau)
        data = stats.norm.logpdf(value, 5 + (centre + tau * away)[:, None], SD).sum()
        expected.append(-2 * (prior + data))
    np.testing.assert_allclose(np.diff(own.many(u).costs), np.diff(expected), rtol=1e-9)


def test_copies_around_an_estimated_centre_are_drawn_from_it(tmp_path):
    own, mean_of = scattered("plate", spread=POOL)
    mean, precision = gaussian(mean_of)
    found = sample(fit(problem(own, tmp_path, sample="nuts", draws=300, warmup=100)))
    assert_drawn_from(found.u, mean, np.linalg.inv(precision))
    np.testing.assert_allclose(np.log(np.median(found.values[..., 0])), mean[0], atol=0.02)


def exact_spread(mean_of, tau, sd):
    """Posterior density of an estimated spread on a grid, and mean and variance of the centre given it."""
    own = tau**2 + sd**2 / WELLS
    weight = len(mean_of) / own
    log_density = stats.halfnorm.logpdf(tau, scale=np.log(2.0)) + np.array(
        [stats.multivariate_normal.logpdf(mean_of, cov=v * np.eye(len(mean_of)) + 1.0) for v in own]
    )
    density = np.exp(log_density - log_density.max())
    return density / np.trapezoid(density, tau), mean_of.mean() * weight / (weight + 1.0), 1 / (weight + 1.0)


def test_an_estimated_spread_has_its_exact_posterior(tmp_path):
    sd = 0.4  # as much as the plates scatter: their own values are shrunk by half
    own, mean_of = scattered("plate", sd=sd)
    found = sample(fit(problem(own, tmp_path, sample="nuts", draws=500, warmup=150)))
    assert found.draws.diverging.sum() == 0
    tau = np.linspace(1e-3, 4.0, 4000)
    density, centre, variance = exact_spread(mean_of, tau, sd)
    below = np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] + density[:-1]) * np.diff(tau))])
    _, bulk, _ = convergence(found.u)
    drawn = found.values[..., -1].ravel()
    for level in (0.1, 0.5, 0.9):
        error = 4 * np.sqrt(level * (1 - level) / bulk[-1])
        assert (drawn < np.interp(level, below, tau)).mean() == pytest.approx(level, abs=error)
    # The centre is a mixture of normal distributions over the spread.
    own_centre = found.u[..., -2].ravel()
    for x in np.quantile(own_centre, [0.1, 0.5, 0.9]):
        expected = np.trapezoid(density * stats.norm.cdf(x, centre, np.sqrt(variance)), tau)
        assert (own_centre < x).mean() == pytest.approx(expected, abs=4 * 0.5 / np.sqrt(bulk[-2]))
    # Copies, whose unknown is their distance from the centre in spreads, are drawn towards it.
    precision = WELLS / sd**2 + 1 / tau**2
    for g in range(len(mean_of)):
        given = (mean_of[g] * WELLS / sd**2 + centre / tau**2) / precision
        expected = np.trapezoid(density * given, tau)
        coordinate = np.log(found.values[..., g])
        error = 4 * coordinate.std() / np.sqrt(bulk[g])
        assert coordinate.mean() == pytest.approx(expected, abs=error)


def test_groups_without_wells_of_their_own_follow_the_prior_without_a_funnel(tmp_path):
    """Wells that say next to nothing: an estimated spread must still be sampled down to zero."""
    own, _ = scattered("plate")
    for block in own.blocks:
        block.known_sd[:] = 1e3
    found = sample(fit(problem(own, tmp_path, sample="nuts", draws=300, warmup=150)))
    assert found.draws.diverging.sum() == 0
    tau = found.values[:, ::3, -1].ravel()
    assert stats.kstest(tau, stats.halfnorm(scale=np.log(2.0)).cdf).pvalue > 0.001
    assert (tau < 0.03).any()


@pytest.mark.parametrize("spread", [POOL, None])
def test_prior_draws_of_copies_scatter_as_they_are_said_to(spread):
    own, _ = scattered("plate", spread=spread)
    u = prior_draws(own, 20_000, seed=2)
    coordinates = own.free.coordinates(u)
    tau = np.full(len(u), np.log(POOL)) if spread else np.exp(u[:, -1])
    centre = u[:, 4]
    assert stats.kstest(centre, stats.norm.cdf).pvalue > 0.001
    for g in range(4):
        assert stats.kstest((coordinates[:, g] - centre) / tau, stats.norm.cdf).pvalue > 0.001
    if spread is None:
        assert stats.kstest(tau, stats.halfnorm(scale=np.log(2.0)).cdf).pvalue > 0.001
