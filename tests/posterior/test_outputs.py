"""What leaves a posterior: ArviZ data, tables, comparison, checks, calibration."""

import arviz as az
import numpy as np
import pytest
import xarray as xr
from scipy import stats

from her2pkpd.errors import InputError
from her2pkpd.fit.noise import Noise
from her2pkpd.fit.run import fit
from her2pkpd.posterior import arviz_io, compare, sample, to_arviz
from her2pkpd.posterior._stats import ess, psis, rhat
from her2pkpd.posterior.arviz_io import save
from her2pkpd.posterior.checks import predictive_checks
from her2pkpd.posterior.compare import loo
from her2pkpd.posterior.prior import overlap, prior_draws
from her2pkpd.posterior.sbc import Calibration, SbcSettings, calibrate
from tests.posterior.exact import SD, linear, made, problem


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    own, mean, covariance = linear(n=2, wells=12)
    found = sample(fit(problem(own, tmp_path_factory.mktemp("drawn"), sample="laplace", draws=1000)))
    return found, mean, covariance


def test_arviz_gets_names_units_wells_and_densities(drawn, tmp_path):
    found, *_ = drawn
    data = to_arviz(found)
    assert set(data.posterior.data_vars) == {"trastuzumab.KD", "lapatinib.HER2.Ki"}
    assert data.posterior["trastuzumab.KD"].attrs["units"] == "1"
    assert data.posterior["trastuzumab.KD"].shape == (4, 1000)
    wells = data.log_likelihood["viability"]
    assert wells.dims == ("chain", "draw", "viability.well")
    assert list(wells["viability.concentration.lapatinib"].values[[0, -1]]) == [1.0, 1000.0]
    assert wells["viability.time"].attrs["units"] == "h"
    assert set(wells["viability.cell_line"].values) == {"SK-BR-3"}
    groups = data.groups() if callable(data.groups) else [g.strip("/") for g in data.groups]
    assert set(groups) >= {"posterior", "prior", "posterior_predictive", "log_likelihood", "observed_data"}


def group(data, name):
    """A group of an InferenceData or of a DataTree as a dataset."""
    found = data[name]
    return found if isinstance(found, xr.Dataset) else found.to_dataset()


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_what_is_saved_is_what_was_there(drawn, tmp_path, suffix):
    found, *_ = drawn
    data, file = to_arviz(found), tmp_path / f"posterior{suffix}"
    save(found, file)
    assert [p.name for p in tmp_path.iterdir()] == [file.name]
    # ArviZ 0.x reads no Zarr 3 and sends its users to xarray.
    by_arviz = [az.from_netcdf(str(file))] if suffix == ".nc" else []
    with xr.open_datatree(file, engine="h5netcdf" if suffix == ".nc" else "zarr") as by_xarray:
        for name in ("posterior", "prior", "posterior_predictive", "log_likelihood", "observed_data"):
            mine = group(data, name)
            for again in (group(x, name) for x in (*by_arviz, by_xarray)):
                xr.testing.assert_equal(again.load(), mine)
                assert all(again[v].attrs == mine[v].attrs for v in mine.variables)
                assert {k: again.attrs[k] for k in mine.attrs} == mine.attrs


def test_a_zarr_store_without_zarr_says_what_to_install(drawn, tmp_path, monkeypatch):
    found, *_ = drawn
    monkeypatch.setattr(arviz_io, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"her2pkpd\[zarr\]"):
        save(found, tmp_path / "posterior.zarr")
    assert not list(tmp_path.iterdir())


def test_the_statistics_are_those_of_their_definitions():
    """R-hat and effective sizes of known chains, and weights whose Pareto shape is known, on any ArviZ."""
    rng = np.random.default_rng(2)
    x = rng.standard_normal((4, 2000))
    assert rhat(x) == pytest.approx(1.0, abs=0.01)
    assert rhat(x + 3.0 * np.arange(4)[:, None]) > 1.5
    for t in range(1, 2000):  # AR(1): bulk size n (1 - 0.9) / (1 + 0.9)
        x[:, t] = 0.9 * x[:, t - 1] + np.sqrt(1 - 0.81) * x[:, t]
    assert ess(x, "bulk") == pytest.approx(8000 * 0.1 / 1.9, rel=0.25)
    assert 0.5 < ess(x, "tail") / (8000 * 0.1 / 1.9) < 4
    shape = np.array([0.2, 0.5, 0.9])
    log_weights = stats.genpareto(shape).rvs((4000, 3), random_state=3).T
    smoothed, k = psis(np.log1p(log_weights))
    np.testing.assert_allclose(k, shape, atol=0.2)
    np.testing.assert_allclose(np.exp(smoothed).sum(axis=1), 1.0)
    order = np.argsort(log_weights, axis=1)
    assert (np.diff(np.take_along_axis(smoothed, order, 1), axis=1) >= -1e-12).all()


def test_weights_without_a_tail_are_left_alone():
    flat = np.stack([np.zeros(400), np.where(np.arange(400) < 100, -5.0, 1e-17), np.linspace(-1e-3, 0, 400)])
    smoothed, k = psis(flat)
    assert (k == 0).all()
    expected = np.exp(flat) / np.exp(flat).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(np.exp(smoothed), expected, rtol=1e-12)


def test_leaving_wells_out_agrees_with_leaving_them_out(drawn):
    found, *_ = drawn
    observations = found.problem.observations
    value = np.array([o.value for o in observations]) - 5.0
    matrix = np.random.default_rng(3).standard_normal((12, 2))
    elpd, k = loo(found)
    for i in range(12):
        rest = np.arange(12) != i
        covariance = np.linalg.inv(np.eye(2) + matrix[rest].T @ matrix[rest] / SD**2)
        mean = covariance @ matrix[rest].T @ value[rest] / SD**2
        law = stats.norm(matrix[i] @ mean, np.sqrt(SD**2 + matrix[i] @ covariance @ matrix[i]))
        if k[i] < 0.7:
            assert elpd[i] == pytest.approx(law.logpdf(value[i]), abs=0.1)
    assert (k < 0.7).sum() > 8


def test_models_are_ranked_and_other_data_refused(drawn, tmp_path):
    found, *_ = drawn
    value = [o.value for o in found.problem.observations]
    flat = made(
        lambda u: (np.full((len(u), 12), 5.0), np.zeros((len(u), 12, 1))), np.array(value), names=("trastuzumab.KD",)
    )
    worse = sample(fit(problem(flat, tmp_path, sample="laplace", draws=200)))
    table = compare({"linear": found, "flat": worse})
    assert list(table["model"]) == ["linear", "flat"]
    assert table["verdict"][0] == "predicts best"
    assert table["difference"][1] < -20
    other = made(lambda u: (u[:, :1], np.ones((len(u), 1, 1))), np.array([0.3]), names=("trastuzumab.KD",))
    with pytest.raises(InputError, match="other data"):
        compare({"linear": found, "other": sample(fit(problem(other, tmp_path, sample="laplace", draws=200)))})


def test_the_table_says_what_its_intervals_are(drawn):
    found, mean, covariance = drawn
    table = found.table()
    assert list(table.columns[:7]) == ["parameter", "unit", "estimate", "lower", "upper", "interval", "verdict"]
    assert set(table["interval"]) == {"95 % equal-tailed posterior (Laplace draws)"}
    np.testing.assert_allclose(np.log(table["estimate"]), mean, atol=0.1 * np.sqrt(covariance[0, 0]) + 0.005)
    assert (table["prior_overlap"] < 0.2).all()
    assert set(table["verdict"]) == {"determined"}


def test_predictive_checks_pass_where_the_model_is_right_and_not_where_it_is_wrong(drawn, tmp_path):
    found, *_ = drawn
    (row,) = predictive_checks(found).to_dict("records")
    assert row["wells"] == 12
    assert row["verdict"] == "as predicted"
    wrong = made(
        lambda u: (np.full((len(u), 12), 4.0), np.zeros((len(u), 12, 1))), np.full(12, 5.0), names=("trastuzumab.KD",)
    )
    (row,) = predictive_checks(sample(fit(problem(wrong, tmp_path, sample="laplace", draws=200)))).to_dict("records")
    assert row["verdict"] == "the model lies too low here"


def test_overlap_is_the_shared_area():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal(20_000), rng.standard_normal(20_000) + 1.0
    assert overlap(a, rng.standard_normal(20_000)) > 0.97
    assert overlap(a, b) == pytest.approx(2 * stats.norm.cdf(-0.5), abs=0.03)
    assert overlap(a, b + 50) < 0.01


def test_prior_draws_follow_the_prior_and_vague_noise_is_refused():
    own, *_ = linear()
    u = prior_draws(own, 4000, seed=1)
    assert stats.kstest(u[:, 0], stats.norm.cdf).pvalue > 0.001
    vague = made(lambda u: (u[:, :1], np.ones((len(u), 1, 1))), np.array([0.3]), noise={"viability": Noise("normal")})
    with pytest.raises(InputError, match="prior of every noise level"):
        prior_draws(vague, 10)


def test_a_linear_model_is_calibrated_and_a_wrong_one_is_not(tmp_path):
    own, *_ = linear(n=1, wells=4)
    settings = SbcSettings(plates=160, ranked=19, thin=2, warmup=100, bins=10)
    found = calibrate(problem(own, tmp_path), settings)
    assert found.p_value(0) > 0.01
    assert found.table()["verdict"][0] == "calibrated"
    narrow = Calibration(found.names, np.where(found.ranks > 9, 19, 0), 0, 0.0, settings)
    assert narrow.table()["verdict"][0] == "posteriors are too narrow"
    low = Calibration(found.names, np.full_like(found.ranks, 18), 0, 0.0, settings)
    assert low.table()["verdict"][0] == "posteriors lie too low"
