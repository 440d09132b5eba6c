import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from her2pkpd.engine import Batch, Segments
from her2pkpd.errors import InputError
from her2pkpd.export import to_sbml, write_sbml
from her2pkpd.export._formula import Formulas
from her2pkpd.export._identifiers import identifier
from her2pkpd.model import Builder
from her2pkpd.model.tape import evaluate
from her2pkpd.model.trace import trace
from tests.engine.systems.hard import HARD
from tests.engine.systems.linear import LINEAR
from tests.engine.systems.measure import tolerances_off
from tests.engine.systems.roadrunner import Simulator
from tests.engine.systems.runs import EXACT, USUAL, closed_form, exact_batch
from tests.systems.wells import well

libsbml = pytest.importorskip("libsbml", reason="python-libsbml is not installed")
pytest.importorskip("roadrunner", reason="libRoadRunner is not installed")


def everything():
    """Every operation a rate may use, two kinds of volume, a coefficient that is a parameter, awkward names."""
    build = Builder("every operation")
    for name, value in (("k", 0.4), ("DAR", 3.5), ("time", 2.0), ("V.out", 0.7), ("koff 1/h", 0.2)):
        build.parameter(name, value, "1/h")
    build.compartment("medium", lambda s, p: 2 * p["V.out"])
    build.species("N", None, "cells", initial=lambda p: 100 * p["k"])
    build.compartment("cell.inside", lambda s, p: s["N"] * 3e-3, count="N")
    build.species("A", "medium", initial=lambda p: jnp.exp(-p["k"]))
    build.species("B", "cell.inside", initial=0.5)
    build.species("C", "cell.inside")
    build.species("pi", None, "1", initial=0.25)
    build.quantity("signal", lambda s, p: s["A"] ** 1.7 / (p["k"] ** 1.7 + s["A"] ** 1.7), "1")
    build.quantity("half-signal", lambda s, p: s["signal"] / 2, "1")
    build.quantity("A again", lambda s, p: s["A"], "nM")
    build.quantity("one", lambda s, p: 1.0, "1")
    build.reaction("uptake", {"A": -1, "B": 1}, lambda s, p: p["k"] * s["A"] - p["koff 1/h"] * s["B"], at="cell.inside")
    build.reaction("release", {"B": -1, "C": "DAR", "A": "DAR"}, lambda s, p: jnp.tanh(s["B"]), at="cell.inside")
    build.reaction("fraction", {"pi": 1, "A": -1}, lambda s, p: 1e-2 * s["half-signal"], at="medium")
    build.reaction("no home", {"pi": -1}, lambda s, p: jnp.log1p(s["pi"]) - jnp.expm1(-s["A"]))
    build.reaction("switch", {"C": -1}, lambda s, p: jnp.where(s["C"] > p["time"], s["C"] ** 2, jnp.sin(s["C"])))
    build.reaction("limits", {"C": 1}, lambda s, p: jnp.maximum(s["C"], 0.1) * jnp.minimum(s["B"], 2.0))
    build.reaction("shapes", {"B": 1}, lambda s, p: jnp.abs(s["B"] - 1) + jnp.sign(s["C"] - 1) + jnp.cos(s["A"]))
    build.reaction("more", {"B": 1}, lambda s, p: jax.nn.sigmoid(s["A"]) * jnp.sqrt(s["A"]) + jnp.floor(3 * s["B"]))
    build.reaction(
        "logic", {"C": 1}, lambda s, p: jnp.where((s["A"] > 1) & ~(s["B"] <= 1) | (s["C"] == 0), 1.0, jnp.log(3.0))
    )
    build.growth("N", lambda s, p: 0.03 * s["signal"])
    build.death("N", lambda s, p: 0.01 * s["C"])
    return build.model()


MODELS = {"everything": everything(), **{n: s.model for n, s in {**EXACT, **HARD}.items()}}


@pytest.mark.parametrize("name", MODELS)
def test_exported_equations_are_the_models(name):
    model = MODELS[name]
    rng = np.random.default_rng(3)
    p = model.default_parameters() * rng.uniform(0.5, 2.0, model.n_parameters)
    simulator = Simulator(to_sbml(model, parameters=p), model)
    for y in rng.uniform(0.2, 3.0, (8, model.n_species)):
        expected = np.array(evaluate(model.flux_tape, [*y, *p]))
        np.testing.assert_allclose(simulator.slopes(y), expected, rtol=1e-12, atol=1e-13 * np.abs(expected).max())


def test_a_whole_well_is_exported_exactly():
    """Two antibodies, a kinase inhibitor and a growth factor on dividing cells in medium."""
    model = well("trastuzumab", "pertuzumab", "lapatinib", ligands=("NRG1",))
    p = model.default_parameters()
    simulator = Simulator(to_sbml(model), model)
    usual = np.array([max(s.scale, v) for s, v in zip(model.species, model.initial(p), strict=True)])
    for factor in np.random.default_rng(5).uniform(0.2, 2.0, (3, model.n_species)):
        y = factor * usual
        expected = np.array(evaluate(model.flux_tape, [*y, *p]))
        np.testing.assert_allclose(simulator.slopes(y), expected, rtol=1e-9, atol=1e-12 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["everything", "chain", "uptake"])
def test_exported_initial_values_are_the_models(name):
    model = MODELS[name]
    p = 1.3 * model.default_parameters()
    simulator = Simulator(to_sbml(model, parameters=p), model)
    found = [simulator.runner.getValue(n) for n in simulator.names]
    np.testing.assert_allclose(found, model.initial(p), rtol=1e-14)
    simulator = Simulator(to_sbml(model, initial=np.arange(1.0, model.n_species + 1)), model)
    np.testing.assert_allclose(
        [simulator.runner.getValue(n) for n in simulator.names], np.arange(1.0, model.n_species + 1)
    )


def test_quantities_are_exported_under_their_names():
    model = MODELS["everything"]
    simulator = Simulator(to_sbml(model), model)
    y = np.random.default_rng(4).uniform(0.2, 3.0, model.n_species)
    simulator.set_state(y)
    names = [q.name for q in model.quantities]
    found = [simulator.runner.getValue(simulator.ids["quantity"][n]) for n in names]
    np.testing.assert_allclose(found, model.outputs(names, y, model.default_parameters()), rtol=1e-13)


def test_names_people_gave_are_kept():
    document = libsbml.readSBMLFromString(to_sbml(MODELS["everything"]))
    model = document.getModel()
    assert {s.getName() for s in model.getListOfSpecies()} == {"N", "A", "B", "C", "pi"}
    assert {"V.out", "koff 1/h", "time"} <= {x.getName() for x in model.getListOfParameters()}
    assert {"uptake (part 1)", "uptake (part 2)", "switch"} <= {r.getName() for r in model.getListOfReactions()}
    assert model.getTimeUnits() == "hour"


EVENTS = ["repeated bolus", "infusion", "overlapping infusions", "wash-out", "half the medium replaced", "reset"]


def test_dosing_events_agree_with_the_closed_form():
    from tests.engine.systems import DOSING_CASES

    name = "two compartments"
    batch, cases = exact_batch(name), list(DOSING_CASES)
    for lane in [*(cases.index(c) for c in EVENTS), cases.index("zero-length segments")]:
        text = to_sbml(batch.model, segments=batch.segments, lane=lane)
        simulator = Simulator(text, batch.model)
        simulator.tolerances(1e-11, 1e-14)
        # At the very moment of an event the order of event and output is the simulator's choice.
        off = ~np.isin(batch.times[lane], batch.segments.boundaries[lane])
        times = [0.0, *map(float, batch.times[lane][off])]
        found = np.asarray(simulator.runner.simulate(times=times))[1:]
        assert tolerances_off(found, closed_form(name)[lane][off], USUAL, batch.model) < 10


def test_writes_a_file(tmp_path):
    write_sbml(MODELS["chain"], tmp_path / "chain.xml")
    assert (tmp_path / "chain.xml").read_text(encoding="utf-8") == to_sbml(MODELS["chain"])


def test_without_libsbml_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "libsbml", None)
    with pytest.raises(InputError, match=r'pip install "her2pkpd\[sbml\]"'):
        to_sbml(MODELS["chain"])


def test_shared_expressions_are_written_once():
    """Twenty nested squarings would be a million terms written out."""

    def deep(x):
        for _ in range(20):
            x = x * x + x
        return [x]

    formulas = Formulas(trace(deep, 1), ["x"], taken=set())
    assert sum(len(text) for _, text in formulas.rules) + len(formulas.output(0)) < 5000


def test_identifiers_are_valid_and_unique():
    taken: set[str] = set()
    made = [identifier(n, taken) for n in ("SK-BR-3", "SK.BR.3", "3T3", "time", "\u03b1", "", "Time", "HER2")]
    assert made == ["SK_BR_3", "SK_BR_3_2", "_3T3", "_time", "_", "__2", "_Time", "HER2"]


def test_a_batch_of_one_case_needs_no_dosing():
    model = LINEAR["chain"].model
    batch = Batch(model, model.default_parameters(), Segments([[0.0, 10.0]]), [10.0])
    simulator = Simulator(to_sbml(model), model)
    simulator.tolerances(1e-10, 1e-13)
    found = np.asarray(simulator.runner.simulate(times=[0.0, 10.0]))[-1]
    np.testing.assert_allclose(found, LINEAR["chain"].of_batch(batch)[0, 0], rtol=1e-7)
