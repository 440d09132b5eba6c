"""The builder: dilution and volume ratios it adds by itself, and the mistakes it refuses."""

import numpy as np
import pytest

from her2pkpd.engine import Batch, Options, Segments, solve
from her2pkpd.model import Builder, ModelError

V, VC, GROWTH = 1e-4, 2e-12, 0.03


def uptake(*, growing=True, dying=False):
    """A drug that cells take up at a rate per litre of cell, held inside cells that divide."""
    build = Builder("uptake")
    build.parameter("k", 0.4, "1/h")
    build.compartment("medium", lambda s, p: V)
    build.species("N", None, "cells", initial=1e6)
    build.compartment("cell", lambda s, p: s["N"] * VC, count="N")
    build.species("D", "medium", initial=10.0)
    build.species("C", "cell")
    build.reaction("uptake", {"D": -1, "C": 1}, lambda s, p: p["k"] * s["D"], at="cell")
    if growing:
        build.growth("N", lambda s, p: GROWTH)
    if dying:
        build.death("N", lambda s, p: 0.05)
    return build.model()


def solved(model, stop=10.0):
    times = np.linspace(0.0, stop, 6)
    batch = Batch(model, model.default_parameters(), Segments(np.array([[0.0, stop]])), times)
    return times, solve(batch, Options(rtol=1e-11, atol=1e-14), engine="kernel").y[0].T


def test_the_medium_pays_by_the_ratio_of_volumes():
    # Cells that stand still: dD/dt = -phi k D and dC/dt = k D with phi = N Vc / V.
    times, (cells, drug, inside) = solved(uptake(growing=False))
    phi = 1e6 * VC / V
    np.testing.assert_allclose(drug, 10.0 * np.exp(-phi * 0.4 * times), rtol=1e-9)
    np.testing.assert_allclose(inside, 10.0 / phi * (1 - np.exp(-phi * 0.4 * times)), rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(cells, 1e6, rtol=1e-14)


def test_growth_dilutes_what_cells_hold_and_loses_none_of_it():
    times, (cells, drug, inside) = solved(uptake())
    np.testing.assert_allclose(cells, 1e6 * np.exp(GROWTH * times), rtol=1e-9)
    np.testing.assert_allclose(drug * V + inside * cells * VC, 10.0 * V, rtol=1e-9)


def test_dilution_is_a_reaction_of_its_own_for_every_species_inside():
    dilutions = [r for r in uptake().reactions if r.kind == "dilution"]
    assert [list(r.stoichiometry) for r in dilutions] == [["C"]]
    assert not [r for r in uptake(growing=False, dying=True).reactions if r.kind == "dilution"]


def test_death_leaves_the_concentration_inside_alone():
    build = Builder("dying")
    build.species("N", None, "cells", initial=1e6)
    build.compartment("cell", lambda s, p: s["N"] * VC, count="N")
    build.species("C", "cell", initial=3.0)
    build.death("N", lambda s, p: 0.05)
    times, (cells, inside) = solved(build.model())
    np.testing.assert_allclose(cells, 1e6 * np.exp(-0.05 * times), rtol=1e-9)
    np.testing.assert_allclose(inside, 3.0, rtol=1e-12)


def test_coefficients_may_be_parameters():
    build = Builder("payload")
    build.parameter("DAR", 3.5, "1")
    build.compartment("well", lambda s, p: 1.0)
    build.species("A", "well", initial=2.0)
    build.species("P", "well")
    build.reaction("release", {"A": -1, "P": "DAR"}, lambda s, p: 0.3 * s["A"])
    build.reaction("loss", {"P": "-DAR"}, lambda s, p: 0.0 * s["P"])
    times, (antibody, payload) = solved(build.model())
    np.testing.assert_allclose(payload, 3.5 * (2.0 - antibody), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(antibody, 2.0 * np.exp(-0.3 * times), rtol=1e-9)


def test_quantities_are_worked_out_once_and_may_build_on_each_other():
    seen = []
    build = Builder("quantities")
    build.species("x", None, "1", initial=2.0)
    build.quantity("square", lambda s, p: seen.append(1) or s["x"] ** 2, "1")
    build.quantity("fourth", lambda s, p: s["square"] ** 2 + 0.0 * s["square"], "1")
    build.reaction("decay", {"x": -1}, lambda s, p: s["fourth"] + s["square"])
    model = build.model()
    assert float(model.flux_scalars([2.0], [])[0]) == -20.0
    assert len(seen) == 1


# --- refusals ------------------------------------------------------------------------------------------------


@pytest.fixture
def build():
    b = Builder("wrong")
    b.compartment("well", lambda s, p: 1.0)
    b.compartment("other", lambda s, p: 2.0)
    b.species("A", "well")
    b.species("B", "other")
    return b


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (lambda b: b.species("A", "well"), "'A' is defined twice"),
        (lambda b: b.quantity("A", lambda s, p: 1.0, "1"), "'A' is defined twice"),
        (lambda b: b.compartment("well", lambda s, p: 1.0), "'well' is defined twice"),
        (lambda b: (b.parameter("k", 1.0, "1/h"), b.parameter("k", 2.0, "1/h")), "'k' is given twice"),
        (lambda b: b.reaction("moves", {"A": -1, "B": 1}, lambda s, p: 1.0), "say which compartment"),
        (lambda b: b.species("C", "nowhere"), "lives in the unknown compartment 'nowhere'"),
        (lambda b: b.compartment("cells", lambda s, p: 1.0, count="N"), "counts the unknown species 'N'"),
        (lambda b: b.reaction("eats", {"Z": 1}, lambda s, p: 1.0, at="well"), "changes the unknown species 'Z'"),
        (lambda b: b.reaction("eats", {"A": "n"}, lambda s, p: 1.0), "uses the unknown coefficient 'n'"),
        (lambda b: b.reaction("eats", {"A": 1}, lambda s, p: 1.0, at="moon"), "at the unknown compartment 'moon'"),
        (lambda b: b.growth("Z", lambda s, p: 1.0), "changes the unknown species 'Z'"),
    ],
)  # fmt: skip
def test_mistakes_of_a_mechanism_are_named(build, mistake, message):
    def whole():
        mistake(build)
        return build.model()

    with pytest.raises(ModelError, match=message):
        whole()


def test_the_same_parameter_twice_is_harmless(build):
    build.parameter("k", 1.0, "1/h")
    build.parameter("k", 1.0, "1/h")
    assert build.model().n_parameters == 1


@pytest.mark.parametrize(("name", "message"), [("Z", "neither a species nor a quantity"), ("A", "the parameter 'A'")])
def test_rates_that_ask_for_what_is_not_there(build, name, message):
    rate = (lambda s, p: s[name]) if name == "Z" else (lambda s, p: p[name])
    build.reaction("eats", {"A": -1}, rate)
    with pytest.raises(KeyError, match=message):
        _ = build.model().flux_tape
