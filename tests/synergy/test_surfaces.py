"""Surfaces against published synthetic data with known truth, limit cases and finite differences."""

import numpy as np
import pytest

from her2pkpd.synergy import fit_surface
from her2pkpd.synergy.surface_fit import fit_surfaces
from her2pkpd.synergy.surfaces import braid, musyc, single_agents, zimmer
from her2pkpd.synergy.wells import gather, log_doses
from tests.synergy.data import GRID, hill, needs_data, published

MUSYC = {
    "E0": 1,
    "E1": 0.5,
    "E2": 0.3,
    "E3": 0.05,
    "h1": 0.8,
    "h2": 1.4,
    "C1": 1,
    "C2": 2,
    "alpha12": 0.5,
    "alpha21": 2,
}
TRUTH = {
    "musyc": MUSYC,
    "musyc_gamma": MUSYC | {"gamma12": 0.6, "gamma21": 1.5},
    "braid": {"E0": 1, "E3": 0.1, "f1": 0.6, "f2": 0.9, "h1": 0.8, "h2": 1.4, "C1": 1, "C2": 2, "kappa": 1.0},
    "zimmer": {"h1": 0.8, "h2": 1.4, "C1": 1, "C2": 2, "a12": -0.3, "a21": 0.5},
}
REFERENCE = {"E1": 0.5, "E2": 0, "E3": 0, "h1": 1.2, "h2": 0.8, "C1": 1, "C2": 1, "alpha12": 1, "alpha21": 1}
POTENCY = {"E1": 0.5, "E2": 0.3, "E3": 0, "h1": 0.8, "h2": 1.4, "alpha12": 0.5, "alpha21": 2}
EFFICACY = {"E1": 0.5, "E2": 0.3, "E3": 0, "alpha12": 1, "alpha21": 1, "beta": 0.429}
SURFACES = [musyc(cooperativity=False), musyc(), braid(), zimmer()]


def coordinates(surface):
    return surface.coordinates(np.array([float(TRUTH[surface.name][n]) for n in surface.names]))


@pytest.mark.parametrize("surface", [*SURFACES, musyc(3), single_agents(2)], ids=lambda s: s.name)
def test_gradient_against_finite_differences(surface):
    rng = np.random.default_rng(0)
    u = np.full(len(surface.parameters), 0.3) + 0.1 * rng.normal(size=len(surface.parameters))
    x = log_doses(rng.choice([0.0, 0.1, 1.0, 7.0], size=(20, surface.n_drugs)))
    value, gradient = surface.with_gradient(x, u)
    assert np.all(np.isfinite(gradient))
    for k in range(len(u)):
        up, down = (surface(x, u + s * 1e-6 * np.eye(len(u))[k]) for s in (1, -1))
        assert np.allclose(gradient[:, k], (up - down) / 2e-6, atol=1e-7)
    assert np.allclose(value, surface(x, u))


def test_musyc_reduces_to_bliss_and_to_single_hills():
    surface = musyc()
    v = {**TRUTH["musyc_gamma"], "alpha12": 1.0, "alpha21": 1.0, "gamma12": 1.0, "gamma21": 1.0, "E3": 0.5 * 0.3}
    u = surface.coordinates(np.array([v[n] for n in surface.names]))
    expected = hill(GRID[:, 0], 0.5, 0.8, 1.0) * hill(GRID[:, 1], 0.3, 1.4, 2.0)
    assert np.allclose(surface(log_doses(GRID), u), expected, atol=1e-12)


def test_musyc_of_three_drugs_contains_that_of_two():
    two, three = musyc(2), musyc(3)
    v = dict.fromkeys(three.names, 1.0) | {n: TRUTH["musyc_gamma"][n] for n in two.names} | {"E12": 0.05}
    doses = np.column_stack([GRID, np.zeros(len(GRID))])
    u3 = three.coordinates(np.array([v[n] for n in three.names]))
    assert np.allclose(three(log_doses(doses), u3), two(log_doses(GRID), coordinates(two)), atol=1e-12)


def test_braid_of_a_drug_with_itself_is_additive():
    surface = braid()
    v = {"E0": 1, "E3": 0.1, "f1": 1.0, "f2": 1.0, "h1": 1.3, "h2": 1.3, "C1": 2, "C2": 2, "kappa": 0.0}
    u = surface.coordinates(np.array([float(v[n]) for n in surface.names]))
    assert np.allclose(surface(log_doses(GRID), u), hill(GRID.sum(axis=1), 0.1, 1.3, 2.0), atol=1e-12)


def test_zimmer_solves_its_own_equations():
    surface, v = zimmer(), TRUTH["zimmer"]
    d1, d2 = GRID.T
    x, y = d1.copy(), d2.copy()
    for _ in range(500):
        x, y = d1 / (1 + v["a12"] * y / (y + 2)), d2 / (1 + v["a21"] * x / (x + 1))
    expected = hill(x, 0.0, 0.8, 1.0) * hill(y, 0.0, 1.4, 2.0)
    assert np.allclose(surface(log_doses(GRID), coordinates(surface)), expected, atol=1e-9)


@pytest.mark.parametrize("surface", SURFACES, ids=lambda s: s.name)
def test_exact_data_give_the_parameters_back(surface):
    u = coordinates(surface)
    fit = fit_surface(surface, GRID, surface(log_doses(GRID), u), intervals=False)
    assert fit.converged
    assert fit.rss < 1e-10
    assert np.allclose(fit.u, u, atol=2e-3)


@pytest.mark.parametrize("surface", [musyc(cooperativity=False), zimmer()], ids=lambda s: s.name)
def test_intervals_hold_the_truth_at_their_rate(surface):
    u, rng = coordinates(surface), np.random.default_rng(1)
    doses = np.tile(GRID, (2, 1))
    clean = surface(log_doses(doses), u)
    fits = fit_surfaces(surface, [gather(doses, clean + rng.normal(0, 0.02, len(doses))) for _ in range(25)])
    truth = {**TRUTH[surface.name], "beta": (0.3 - 0.05) / 0.7}
    held = [t["lower"] <= truth[t["parameter"]] <= t["upper"] for f in fits for t in f.table.to_dict("records")]
    assert 0.9 < np.mean(held) < 0.99


def spread(surface, u, noise, doses):
    """Standard deviation of every reported quantity, and of its logarithm where it has one, over fresh surfaces."""
    rng, clean = np.random.default_rng(2), surface(log_doses(doses), u)
    fresh = [gather(doses, clean + rng.normal(0, noise, len(doses))) for _ in range(40)]
    return np.stack([surface.quantities(f.u[None])[0][0] for f in fit_surfaces(surface, fresh, intervals=False)]).std(0)


# Drug 2 alone leaves nothing alive in the reference file, and with it no response to show where drug 1 acts in its
# presence: fresh surfaces spread the logarithm of alpha21 by 0.14, searches from three seeds end at 1.28, and the sum
# of squares there is below that of the truth. So there alone the 25 % do not apply.
UNDETERMINED = {("reference", "alpha21")}


@needs_data
def test_published_truths():
    surface, held = musyc(cooperativity=False), []
    for kind, truth in (("reference", REFERENCE), ("potency", POTENCY), ("efficacy", EFFICACY)):
        doses, response = published(f"synthetic_musyc_{kind}_1.csv")
        fit = fit_surface(surface, doses, response)
        table = fit.table.set_index("parameter")
        held += [table.loc[n, "lower"] <= v <= table.loc[n, "upper"] for n, v in truth.items()]
        sd = dict(zip(surface.reported, spread(surface, fit.u, fit.noise, doses), strict=True))
        for name, value in truth.items():
            estimate = table.loc[name, "estimate"]
            if (kind, name) not in UNDETERMINED:
                assert estimate == pytest.approx(value, rel=0.25, abs=0.02), name
            error = np.log(estimate / value) if surface.is_logarithmic(name) else estimate - value
            assert abs(error) < 3.5 * sd[name], (kind, name)
    assert np.mean(held) > 0.85  # three noisy files; the rate itself is tested on simulated ones


@needs_data
def test_the_published_effective_dose_file_has_no_interaction():
    fit = fit_surface(zimmer(), *published("synthetic_EDM_reference_1.csv"), intervals=False)
    assert [fit["a12"], fit["a21"]] == pytest.approx([0, 0], abs=1e-2)
