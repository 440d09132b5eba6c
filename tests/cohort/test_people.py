"""Patients belong to their number and seed, and are distributed as the library says."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from her2pkpd.cohort.people import draw_people, volume_of
from her2pkpd.cohort.randomness import normals, uniforms
from her2pkpd.cohort.read import read_cohort
from her2pkpd.cohort.response import sum_of_diameters
from her2pkpd.cohort.tables import read_patients, read_posterior
from her2pkpd.cohort.trial import build_trial
from her2pkpd.errors import InputError
from her2pkpd.library import load_drug, load_parameters
from her2pkpd.library.populations import load_population
from tests.cohort.cohorts import TDXD, TRASTUZUMAB, TUMOUR, plasma, write


@given(st.integers(0, 2**63), st.integers(0, 10**7), st.integers(1, 9), st.data())
def test_a_patients_numbers_do_not_depend_on_the_company(seed, first, width, data):
    whole = uniforms(seed, "any", range(first, first + 40), width)
    a = data.draw(st.integers(0, 39))
    b = data.draw(st.integers(a + 1, 40))
    np.testing.assert_array_equal(uniforms(seed, "any", range(first + a, first + b), width), whole[:, a:b])
    order = np.array(data.draw(st.permutations(range(40))))
    np.testing.assert_array_equal(uniforms(seed, "any", first + order, width), whole[:, order])


def test_streams_seeds_and_patients_are_independent():
    u = uniforms(1, "one", range(20_000), 3)
    assert ((u > 0) & (u < 1)).all()
    assert len(np.unique(u)) == u.size
    others = [uniforms(1, "two", range(20_000), 3), uniforms(2, "one", range(20_000), 3), np.roll(u, 1, axis=1)]
    for other in others:
        assert abs(np.corrcoef(u.ravel(), other.ravel())[0, 1]) < 0.015
    z = normals(1, "one", range(20_000), 3)
    assert np.abs(z.mean(axis=1)).max() < 0.03
    assert np.abs(z.std(axis=1) - 1).max() < 0.02


def test_numbers_are_those_of_every_machine():
    assert [u.hex() for u in uniforms(1, "covariates", range(1), 3)[:, 0].tolist()] == UNIFORMS


UNIFORMS = ["0x1.e5246e199c397p-1", "0x1.785645b536016p-2", "0x1.24406024ce764p-3"]


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    return build_trial(read_cohort(write(tmp_path_factory.mktemp("people"), TUMOUR)))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 249), st.integers(1, 250))
def test_a_patient_is_the_same_in_any_chunk(trial, first, length):
    whole = draw_people(trial.settings, trial.defaults, range(250)).columns()
    some = range(first, min(first + length, 250))
    for name, values in draw_people(trial.settings, trial.defaults, some).columns().items():
        np.testing.assert_array_equal(values, whole[name][first : some.stop], err_msg=name)


def test_covariates_are_distributed_jointly(tmp_path):
    trial = build_trial(plasma(tmp_path, TDXD, size=20_000))
    people = draw_people(trial.settings, trial.defaults, range(20_000))
    found, population = people.covariates, load_population("metastatic breast")
    for c in population.covariates:
        if c.distribution == "lognormal":
            assert np.median(found[c.name]) == pytest.approx(c.centre, rel=0.02)
            assert np.log(found[c.name]).std() == pytest.approx(c.sd, rel=0.02)
        elif c.distribution == "yes-no":
            assert found[c.name].mean() == pytest.approx(c.centre, abs=0.01)
    r = np.corrcoef(np.log(found["weight"]), np.log(found["lbw"]))[0, 1]
    assert r == pytest.approx(0.8, abs=0.01)
    assert found["bsa"] == pytest.approx(np.sqrt(found["weight"] * found["height"] / 3600))


def test_pharmacokinetics_vary_as_published_with_their_correlation(tmp_path):
    trial = build_trial(plasma(tmp_path, TDXD, size=20_000))
    people = draw_people(trial.settings, trial.defaults, range(20_000))
    model = load_drug("T-DXd").pk["Yin 2021"]
    typical = model.individuals(people.covariates)
    names, matrix = model.covariance()
    z = np.stack([np.log(people.parameters[f"T-DXd.{n}"] / typical[n]) for n in names])
    np.testing.assert_allclose(np.cov(z), matrix, atol=0.03 * matrix.max())
    still = replace(trial.settings, population=replace(trial.settings.population, variability=False))
    plain = draw_people(still, trial.defaults, range(50)).parameters
    np.testing.assert_allclose(plain["T-DXd.CL"], typical["CL"][:50], rtol=1e-15)


def test_one_patient_is_what_the_library_says_of_it(tmp_path):
    trial = build_trial(plasma(tmp_path, TRASTUZUMAB, population="variability = false"))
    people = draw_people(trial.settings, trial.defaults, range(8))
    for k in range(8):
        own = {n: v[k] if np.ndim(v) else v for n, v in people.covariates.items()}
        for name, value in load_drug("trastuzumab").pk["Quartino 2019"].individual(own).items():
            found = people.parameters[f"trastuzumab.{name}"]
            assert (found[k] if np.ndim(found) else found) == pytest.approx(value, rel=1e-14)


def test_tumours_follow_their_class_and_burden(trial):
    people = draw_people(trial.settings, trial.defaults, range(20_000))
    score, receptors = people.labels["ihc"], people.parameters["HER2+.HER2"]
    assert (score == "3+").mean() == pytest.approx(0.6, abs=0.015)
    for word, median in (("3+", 1e6), ("2+", 5e5)):
        own = receptors[score == word]
        assert np.median(own) == pytest.approx(median, rel=0.02)
        assert (np.abs(np.log2(own / median)) < 1).mean() == pytest.approx(0.95, abs=0.01)  # the default: two-fold
    share = people.parameters["HER2-.share"]
    assert np.median(share) == pytest.approx(0.2, rel=0.03)
    np.testing.assert_allclose(share + people.parameters["HER2+.share"], 1.0)
    burden, volume = people.covariates["tumour_burden"], people.parameters["tumour.initial_volume"]
    free = volume < 0.79 * trial.defaults["Vmax"]
    np.testing.assert_allclose(sum_of_diameters(volume, 3)[free], burden[free], rtol=1e-12)
    assert volume_of(np.array([30.0]), 3) == pytest.approx(3 * np.pi / 6 * 10.0**3 * 1e-6)
    # A pattern that stands for both populations moves them together.
    ratio = people.parameters["HER2+.DXd.kc50"] / people.parameters["HER2-.DXd.kc50"]
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-12)


def test_a_table_of_ones_own_patients(tmp_path):
    write(tmp_path, "id,weight [g],sex,T-DXd.CL\n1,68000,female,0.02\n2,90000,male,0.03\n", "own.csv")
    trial = build_trial(plasma(tmp_path, TDXD, size=50, population='table = "own.csv"'))
    people = draw_people(trial.settings, trial.defaults, range(50))
    assert set(people.covariates["weight"]) == {68.0, 90.0}
    heavy = people.covariates["weight"] == 90.0
    assert (people.covariates["sex"][heavy] == "male").all()
    np.testing.assert_array_equal(people.parameters["T-DXd.CL"], np.where(heavy, 0.03, 0.02))
    assert 10 < heavy.sum() < 40
    exact = build_trial(plasma(tmp_path, TDXD, size=2, population='table = "own.csv"'))
    assert draw_people(exact.settings, exact.defaults, range(2)).covariates["weight"].tolist() == [68.0, 90.0]


def test_draws_of_a_posterior_stay_joint(tmp_path):
    rng = np.random.default_rng(0)
    draws = np.exp(rng.multivariate_normal([0, 0], [[1, 0.9], [0.9, 1]], 200))
    rows = "\n".join(f"{k},{a:.17g},{b:.17g}" for k, (a, b) in enumerate(draws))
    write(tmp_path, f"draw,line.kc50,DXd.kin\n{rows}\n", "draws.csv")
    text = TUMOUR.replace("[[arm]]", '[posterior]\nfile = "draws.csv"\nparameters = { "HER2+.DXd.kc50" = "line.kc50", '
                          '"DXd.kin" = "DXd.kin" }\n\n[[arm]]', 1)  # fmt: skip
    text = text.replace('"*.DXd.kc50" = { cv = 100.0 }\n', "")
    trial = build_trial(read_cohort(write(tmp_path, text)))
    people = draw_people(trial.settings, trial.defaults, range(250))
    row = people.labels["draw"]
    np.testing.assert_array_equal(people.parameters["HER2+.DXd.kc50"], draws[row, 0])
    np.testing.assert_array_equal(people.parameters["DXd.kin"], draws[row, 1])
    assert len(np.unique(row)) > 100


@pytest.mark.parametrize(("kind", "cells"), [("signal", "tumour"), ("populations", "HER2+")])
def test_alterations_raise_akt_and_free_it_of_the_receptors(tmp_path, kind, cells):
    tumour = f'[tumour]\nkind = "{kind}"\nPTEN_loss = 0.3\nPIK3CA_mutation = 0.4\n'
    trial = build_trial(plasma(tmp_path, TRASTUZUMAB, size=4000, rest=tumour))
    people = draw_people(trial.settings, trial.defaults, range(4000))
    lost, mutated = people.labels["PTEN_loss"], people.labels["PIK3CA_mutation"]
    assert lost.mean() == pytest.approx(0.3, abs=0.03)
    assert mutated.mean() == pytest.approx(0.4, abs=0.03)
    table = load_parameters()
    for name in ("AKT_gain", "AKT_free"):
        keys = {(0, 0): "tumour", (1, 0): "tumour.PTEN_loss", (0, 1): "tumour.PIK3CA_mutation",
                (1, 1): "tumour.PTEN_loss.PIK3CA_mutation"}  # fmt: skip
        expected = [table[f"{keys[a, b]}.{name}"].canonical for a, b in zip(lost, mutated, strict=True)]
        np.testing.assert_array_equal(people.parameters[f"{cells}.{name}"], expected)


def test_parallel_arms_are_drawn_by_lot(tmp_path):
    text = TUMOUR.replace("seed = 11", 'seed = 11\ndesign = "parallel"')
    trial = build_trial(read_cohort(write(tmp_path, text)))
    people = draw_people(trial.settings, trial.defaults, range(4000))
    assert people.arm is not None
    assert people.arm.mean() == pytest.approx(0.5, abs=0.03)


def test_draws_of_a_fit_are_found_by_cell_line_and_in_their_units(tmp_path):
    rng = np.random.default_rng(1)
    lines, kint = rng.random((2, 5, 2)), rng.random((2, 5))
    posterior = xr.Dataset(
        {
            "DXd.kc50": (("chain", "draw", "cell_line"), lines, {"units": "uM"}),
            "kint": (("chain", "draw"), kint, {"units": "1/d"}),
            "curves": (("chain", "draw", "cell_line", "time"), np.zeros((2, 5, 2, 3))),
        },
        coords={"cell_line": ["NCI-N87", "SK-BR-3"]},
    )
    path = tmp_path / "posterior.nc"
    xr.DataTree.from_dict({"/posterior": posterior}).to_netcdf(path, engine="h5netcdf")
    found = read_posterior(path, {"HER2+.DXd.kc50": "SK-BR-3.DXd.kc50", "kint": "kint"})
    np.testing.assert_allclose(found["HER2+.DXd.kc50"], 1000.0 * lines[..., 1].ravel())
    np.testing.assert_allclose(found["kint"], kint.ravel() / 24.0)
    with pytest.raises(InputError, match=r"no 'kc50'.*NCI-N87.DXd.kc50, SK-BR-3.DXd.kc50, kint"):
        read_posterior(path, {"HER2+.DXd.kc50": "kc50"})


def test_parameters_of_a_table_may_have_another_unit(tmp_path):
    write(tmp_path, "weight [kg],T-DXd.CL [L/d],T-DXd.Vc\n68,0.48,3\n", "own.csv")
    found = read_patients(tmp_path / "own.csv")
    assert found["T-DXd.CL"].tolist() == pytest.approx([0.02])
    assert found["T-DXd.Vc"].tolist() == [3.0]
    write(tmp_path, "weight [kg],T-DXd.CL [blue/d]\n68,0.48\n", "own.csv")
    with pytest.raises(InputError, match=r"T-DXd.CL \[blue/d\].*unknown unit"):
        read_patients(tmp_path / "own.csv")
