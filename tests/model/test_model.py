"""The finished model: content hash, outputs and their derivatives, conserved moieties, model on paper."""

import re
import subprocess
import sys
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2pkpd.errors import InputError
from her2pkpd.model import Builder, Moiety, conserved_moieties, diagram, equation_table, parameter_table
from her2pkpd.model.conservation import _left_null_space
from tests.systems.wells import CELLS, well


def small(*, k=0.2, unit="nM", swap=False, source="", equation="", power=1.0, reverse=False):
    build = Builder("small")
    build.parameter("k", k, "1/h")
    build.parameter("V", 1e-4, "L")
    for name in ("well", "flask") if not reverse else ("flask", "well"):
        build.compartment(name, lambda s, p: p["V"])
    build.species("A", "well", unit, initial=lambda p: p["k"] * 3.0)
    build.species("B", "well", unit)
    change = {"B": 1, "A": -1} if swap else {"A": -1, "B": 1}
    rate = (lambda s, p: s["A"] * p["k"] * power) if swap else (lambda s, p: power * (p["k"] * s["A"]))
    build.reaction("conversion", change, rate, equation=equation)
    build.quantity("total", lambda s, p: s["B"] + s["A"] if swap else s["A"] + s["B"], "nM", source)
    return build.model()


def test_the_hash_does_not_depend_on_how_the_same_thing_is_written():
    reference = small().hash
    assert small().hash == reference
    assert small(swap=True).hash == reference
    assert small(reverse=True).hash == reference
    assert small(equation="k*A", source="a comment").hash == reference
    assert small(swap=True) == small()
    assert len({small(swap=True), small()}) == 1


@pytest.mark.parametrize("change", [{"k": 0.3}, {"unit": "uM"}, {"power": 2.0}])
def test_the_hash_depends_on_what_is_computed(change):
    assert small(**change).hash != small().hash


def test_the_hash_is_the_same_in_another_process():
    code = "from tests.systems.wells import well; print(well('trastuzumab', 'lapatinib').hash)"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={"PYTHONHASHSEED": "123", "PYTHONPATH": ":".join(sys.path), "PATH": ""},
    )  # fmt: skip
    assert found.stdout.strip() == well("trastuzumab", "lapatinib").hash


def test_a_well_hashes_by_its_drugs_and_values():
    hashes = {well("trastuzumab").hash, well("lapatinib").hash, well("trastuzumab", w=0.5).hash, well().hash}
    assert len(hashes) == 4


# --- outputs -------------------------------------------------------------------------------------------------

NAMES = [f"{x}.{CELLS}" for x in ("pAKT", "occupancy.trastuzumab", "death", "N")]


@pytest.fixture(scope="module")
def model():
    return well("trastuzumab", "pertuzumab", "lapatinib", "neratinib", ligands=("NRG1",))


@pytest.fixture(scope="module")
def state(model):
    return np.random.default_rng(3).uniform(0.05, 0.2, model.n_species) * [s.scale for s in model.species]


def test_the_vector_field_of_jax_and_that_of_the_tape_are_one(model, state):
    from her2pkpd.model.tape import evaluate

    p = model.default_parameters()
    found = evaluate(model.flux_tape, [*state, *p])
    np.testing.assert_allclose(found, model.vector_field(jnp.asarray(state), jnp.asarray(p)), rtol=1e-12, atol=1e-15)


def test_outputs_and_their_derivatives_are_those_of_jax(model, state):
    from her2pkpd.model.tape import evaluate

    p = model.default_parameters()
    chosen = [model.parameter_index[n] for n in ("omega", f"{CELLS}.S50", f"{CELLS}.a_li", "Nmax")]
    tape = model.output_gradient_tape(NAMES, chosen)
    found = np.array(evaluate(tape, [*state, *p]), dtype=float).reshape(len(NAMES), -1)

    @jax.jit
    def all_of_them(y, q):
        return jnp.stack([jnp.asarray(v) for v in model.output_scalars(NAMES, list(y), list(q))])

    at = jnp.asarray(state), jnp.asarray(p)
    by_state, by_parameter = jax.jit(jax.jacfwd(all_of_them, argnums=(0, 1)))(*at)
    expected = np.column_stack([all_of_them(*at), by_state, by_parameter[:, np.array(chosen)]])
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(model.outputs(NAMES, state, p), found[:, 0], rtol=1e-13)


def test_outputs_broadcast_over_lanes_and_times(model, state):
    p = model.default_parameters()
    y = np.tile(state, (3, 4, 1))
    assert model.outputs(NAMES, y, p).shape == (3, 4, len(NAMES))
    np.testing.assert_array_equal(model.outputs(NAMES, y, p)[2, 3], model.outputs(NAMES, state, p))


def test_initial_values_follow_the_parameters():
    model = small()
    np.testing.assert_allclose(model.initial(np.array([[0.2, 1e-4], [2.0, 1e-4]])), [[0.6, 0.0], [6.0, 0.0]])


def test_unknown_names_are_refused_with_those_there_are():
    model = small()
    with pytest.raises(InputError, match=r"unknown output 'C'.*total, A, B"):
        model.outputs(["A", "C"], np.zeros(2), model.default_parameters())
    with pytest.raises(InputError, match=r"unknown parameter 'K'.*k, V"):
        model.parameter_vector({"K": 1.0})


# --- moieties ------------------------------------------------------------------------------------------------


def test_moieties_of_a_well_in_exact_numbers():
    build = Builder("conjugate")
    build.parameter("DAR", 3.5, "1")
    build.compartment("well", lambda s, p: 2.0)
    for name in ("ADC", "R", "C", "payload"):
        build.species(name, "well")
    build.reaction("binding", {"ADC": -1, "R": -1, "C": 1}, lambda s, p: s["ADC"] * s["R"])
    build.reaction("release", {"C": -1, "R": 1, "payload": "DAR"}, lambda s, p: s["C"])
    model = build.model()
    moieties = conserved_moieties(model)
    assert len(moieties) == 2
    weights = {tuple(sorted(m.weights.items())) for m in moieties}
    # Receptors, and drug counted in payload (in either choice of basis).
    for w in map(dict, weights):
        binding = -w.get("ADC", 0) - w.get("R", 0) + w.get("C", 0)
        release = -w.get("C", 0) + w.get("R", 0) + 3.5 * w.get("payload", 0)
        assert binding == release == 0


def test_a_moiety_counts_amounts_and_prints_itself():
    moiety = Moiety({"A": 1.0, "B": 2.0})
    assert str(moiety) == "A + 2*B"
    model = small()
    total = moiety.total(model, np.array([[1.0, 2.0], [5.0, 0.0]]), model.default_parameters())
    np.testing.assert_allclose(total, [5e-4, 5e-4])


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5), st.integers(1, 5), st.data())
def test_the_null_space_is_complete_and_exact(rows, columns, data):
    matrix = data.draw(
        st.lists(st.lists(st.integers(-2, 2), min_size=columns, max_size=columns), min_size=rows, max_size=rows)
    )
    basis = _left_null_space([[Fraction(v) for v in row] for row in matrix])
    s = np.array(matrix, dtype=float)
    assert len(basis) == rows - np.linalg.matrix_rank(s)
    for vector in basis:
        assert all(
            sum(w * Fraction(v) for w, v in zip(vector, column, strict=True)) == 0
            for column in zip(*matrix, strict=True)
        )
    if basis:
        assert np.linalg.matrix_rank(np.array(basis, dtype=float)) == len(basis)


def test_a_model_without_reactions_conserves_everything():
    build = Builder("still")
    build.species("A", None, "1")
    build.species("B", None, "1")
    assert [m.weights for m in conserved_moieties(build.model())] == [{"A": 1.0}, {"B": 1.0}]


# --- on paper ------------------------------------------------------------------------------------------------


def test_every_reaction_of_the_well_has_an_equation(model):
    table = equation_table(model)
    assert len(table) == len(model.reactions)
    written = table[table["kind"] != "dilution"]
    assert not written["rate"].str.contains("see the mechanism").any()
    row = written.set_index("reaction").loc[f"trastuzumab binds HER2.{CELLS}"]
    assert row["equation"] == f"trastuzumab + HER2.{CELLS} -> HER2:trastuzumab.{CELLS}"
    assert row["rate"].startswith("kon*([trastuzumab]*")
    assert row["compartment"] == f"surface.{CELLS}"


def test_sources_and_sinks_are_nothing():
    build = Builder("coefficients")
    build.parameter("DAR", 3.5, "1")
    build.species("A", None, "1")
    build.reaction("made", {"A": 2}, lambda s, p: 1.0)
    build.reaction("lost", {"A": "-DAR"}, lambda s, p: s["A"])
    assert list(equation_table(build.model())["equation"]) == ["nothing -> 2 A", "DAR A -> nothing"]


def test_every_parameter_of_the_well_has_unit_and_certainty(model):
    table = parameter_table(model)
    assert list(table["parameter"]) == list(model.parameter_index)
    assert (table["unit"].str.len() > 0).all()
    kd = table.set_index("parameter").loc["trastuzumab.KD"]
    assert kd["value"] == 0.314
    assert "Scheuher" in kd["source"]


def test_the_diagram_shows_every_species_once_and_only_existing_nodes(model):
    text = diagram(model)
    assert text.startswith("flowchart LR\n")
    nodes = re.findall(r'^ +(s\d+)\["(.+)"\]$', text, re.MULTILINE)
    assert sorted(label for _, label in nodes) == sorted(s.name for s in model.species)
    known = {n for n, _ in nodes} | set(re.findall(r"^ +(r\d+)\(\(", text, re.MULTILINE))
    arrows = re.findall(r"^ +(\w+) --> (\w+)$", text, re.MULTILINE)
    assert {x for pair in arrows for x in pair} <= known
    drawn = [r for r in model.reactions if r.kind != "dilution"]
    assert len(arrows) == sum(len(r.stoichiometry) for r in drawn)
    assert "dilution" not in text
    assert text.count("subgraph") == text.count("\n  end")
