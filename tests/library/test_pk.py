"""The pharmacokinetic part of the library against published numbers and closed forms."""

import math

import numpy as np
import pytest

from her2pkpd.errors import Problems
from her2pkpd.library import drug_names, load_drug
from her2pkpd.library.pk import Effect, read_pk
from her2pkpd.library.populations import load_population, population_names

MODELS = [(name, key) for name in drug_names() for key in load_drug(name).pk]


@pytest.mark.parametrize(("drug", "name"), MODELS)
def test_covariances_can_be_drawn_from(drug, name):
    _, matrix = load_drug(drug).pk[name].covariance()
    assert np.linalg.eigvalsh(matrix).min() > 0


@pytest.mark.parametrize(("drug", "name"), MODELS)
def test_every_number_has_a_source(drug, name):
    model = load_drug(drug).pk[name]
    for quantity in (*model.parameters.values(), *model.released.values()):
        assert quantity.source.citation
    assert model.description


@pytest.mark.parametrize(("drug", "name"), MODELS)
def test_references_do_nothing(drug, name):
    model = load_drug(drug).pk[name]
    reference = {e.covariate: e.reference for e in model.effects if e.form != "factor"}
    assert model.individual(reference) == pytest.approx(model.individual({}))


@pytest.mark.parametrize(
    ("drug", "model", "days"),
    [("pertuzumab", "Garg 2014", 17.99), ("T-DM1", "Lu 2014", 3.94), ("trastuzumab", "Bruno 2005", 28.5)],
)
def test_half_lives(drug, model, days):
    p = load_drug(drug).pk[model].individual({})
    k, k12, k21 = p["CL"] / p["Vc"], p["Q"] / p["Vc"], p["Q"] / p["Vp"]
    slow = min(np.abs(np.linalg.eigvals([[-(k + k12), k21], [k12, -k21]])))
    assert math.log(2) / slow / 24 == pytest.approx(days, rel=0.005)


def test_conventions_of_omega():
    # Quartino prints CV = sqrt(exp(omega^2) - 1), Yin CV = sqrt(omega^2).
    assert load_drug("trastuzumab").pk["Quartino 2019"].variances["Km"] == pytest.approx(1.075719, rel=1e-5)
    assert load_drug("T-DXd").pk["Yin 2021"].variances["CL"] == pytest.approx(0.0630, rel=1e-3)
    _, matrix = load_drug("tucatinib").pk["Zhang 2024"].covariance()
    assert matrix[0, 1] == pytest.approx(0.47 * math.sqrt(matrix[0, 0] * matrix[1, 1]))


def test_gastric_cancer_has_its_own_clearance():
    model = load_drug("trastuzumab").pk["Quartino 2019"]
    own = model.individual({"tumour_type": "gastric"})
    assert own["CL"] * 24 == pytest.approx(0.176)
    assert own["Vc"] == pytest.approx(3.63)


def test_models_in_rate_constants():
    """Bruno's tissue follows the central volume and has variability of its own; Reijers' clearance follows both."""
    bruno = load_drug("trastuzumab").pk["Bruno 2005"]
    assert set(bruno.variances) == {"CL", "Vc", "K12", "K21"}
    typical, heavy = bruno.individual({}), bruno.individual({"weight": 140.0})
    assert typical["Q"] * 24 == pytest.approx(0.164 * 2.95)
    assert typical["Vp"] == pytest.approx(0.164 * 2.95 / 0.101)
    for name in ("Vc", "Q", "Vp"):
        assert heavy[name] / typical[name] == pytest.approx(2**0.556)
    assert bruno.individual({}, {"K21": 0.3})["Vp"] == pytest.approx(typical["Vp"] * math.exp(-0.3))
    assert bruno.moved_by(["weight"]) == {"Vc", "Q", "Vp"}
    reijers = load_drug("trastuzumab").pk["Reijers 2016"]
    assert reijers.individual({})["CL"] * 24 == pytest.approx(0.173, rel=2e-3)
    assert reijers.individual({"lbw": 122.0, "bmi": 46.0})["CL"] * 24 == pytest.approx(4 * 0.0528 * 3.28)
    assert reijers.moved_by(["bmi"]) == {"CL"}


def test_effects():
    assert Effect("CL", "weight", "power", 0.5, 70.0).multiplier(140.0) == pytest.approx(math.sqrt(2))
    assert Effect("CL", "ecd", "power", 1.0, 10.0, cap=200.0).multiplier(900.0) == pytest.approx(20.0)
    assert Effect("CL", "x", "exponential", 0.152).multiplier(True) == pytest.approx(math.exp(0.152))
    assert Effect("CL", "sex", "factor", 1.174, equals="male").multiplier("female") == 1.0


@pytest.mark.parametrize("name", population_names())
def test_populations_have_the_published_medians(name):
    population = load_population(name)
    drawn = population.draw(4000, np.random.default_rng(3))
    for covariate in population.covariates:
        values = np.array([d[covariate.name] for d in drawn], dtype=float)
        if covariate.distribution == "yes-no":
            assert values.mean() == pytest.approx(covariate.centre, abs=0.03)
        else:
            assert np.median(values) == pytest.approx(covariate.centre, rel=0.06)
    weight, lean = (np.log([d[k] for d in drawn]) for k in ("weight", "lbw"))
    assert np.corrcoef(weight, lean)[0, 1] == pytest.approx(0.8, abs=0.03)


_RATE, _CL, _VC = ({"value": 1.0, "unit": unit} for unit in ("1/d", "L/d", "L"))


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"parameters": {"CL": {"value": 1.0, "unit": "L/d"}}}, "is missing"),
        ({"parameters": {"CL": {"value": 1.0, "unit": "L"}, "Vc": {"value": 1.0, "unit": "L"}}}, "must convert to"),
        ({"parameters": {"ke": _RATE, "CL": _CL, "Vc": _VC}}, "which says the same"),
        ({"parameters": {"K12": _RATE, "CL": _CL, "Vc": _VC}}, "is missing"),
        ({"parameters": {"CLL": {"value": 1.0, "unit": "L/d"}}}, "not a known key"),
        ({"cv_convention": "omega"}, "cv_convention must be"),
        ({"covariance": {"CL Km": 0.1}}, "must join two parameters"),
        ({"covariate": [{"parameter": "CL", "covariate": "weight", "form": "cubic", "coefficient": 1}]}, "a form"),
        ({"certainty": "sure"}, "certainty"),
    ],
)
def test_bad_models_are_refused(change, rule):
    good = {"CL": {"value": 1.0, "unit": "L/d", "cv": 0.3}, "Vc": {"value": 3.0, "unit": "L"}}
    table = {"citation": "us", "certainty": "published", "routes": ["iv"], "parameters": good, **change}
    problems = Problems("drug.toml")
    read_pk({"own": table}, 150e3, problems)
    assert any(rule in p.rule for p in problems.found), problems.found
