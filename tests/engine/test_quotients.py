"""Divisions saved: constants gathered, denominators shared, and what rests between doses computed once a step."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2pkpd.engine import Batch, Options, Segments, cpu
from her2pkpd.engine.program.quotients import gather_constants, share_reciprocals
from her2pkpd.engine.program.step import StepProgram
from her2pkpd.model import Builder
from her2pkpd.model.tape import TapeBuilder, evaluate
from her2pkpd.model.trace import trace


def divisions(tape):
    return sum(node.op == "div" for node in tape.nodes)


def varying_divisions(tape, n):
    """Divisions by what depends on the first n inputs."""
    depends = [node.op == "input" and node.value < n for node in tape.nodes]
    for k, node in enumerate(tape.nodes):
        depends[k] = depends[k] or any(depends[a] for a in node.args)
    return sum(node.op == "div" and depends[node.args[1]] for node in tape.nodes)


def test_one_reciprocal_serves_all_quotients_by_a_volume():
    def rates(x, y, v, k, c, d):
        volume = v / c
        return [k * x / (volume * d), -y / (c * volume), y * c / (x / d) * k / volume, (x / k) / d]

    tape = trace(rates, 6)
    found = gather_constants(tape, 3)
    assert varying_divisions(tape, 3) == 4
    shared = share_reciprocals(found)
    # 1 / v, and 1 / (x v) of the third rate
    assert varying_divisions(shared, 3) == 2
    point = [0.7, 1.9, 1.3, 0.4, 5.0, 0.2]
    np.testing.assert_allclose(evaluate(shared, point), evaluate(tape, point), rtol=1e-14)


def test_what_stands_above_and_below_cancels():
    tape = gather_constants(trace(lambda n, a, b: [(n * a) / (b * n)], 3), 1)
    assert varying_divisions(tape, 1) == 0
    assert evaluate(tape, [0.0, 3.0, 2.0]) == [1.5]


def test_a_saturable_rate_does_not_overflow():
    """A bounded quotient stays one factor, and a power of a parameter stays beside that of the species."""

    def rates(x, n, k, h, c):
        return [c * (x**h / (k**h + x**h)) * n, c * x**h / (k**h * (1.0 + (x / k) ** h)) * n]

    tape = gather_constants(trace(rates, 5), 2)
    np.testing.assert_allclose(evaluate(tape, [1e100, 1e10, 1e99, 3.0, 2.0]), [2e10 / 1.001] * 2, rtol=1e-12)


def test_a_product_others_use_is_computed_once():
    def rates(x, y, k):
        shared = x * y * k
        return [shared / y, shared * 2.0, jnp.exp(shared)]

    tape = trace(rates, 3)
    found = gather_constants(tape, 2)
    assert sum(node.op == "mul" for node in found.nodes) <= sum(node.op == "mul" for node in tape.nodes)
    np.testing.assert_allclose(evaluate(found, [0.3, 0.7, 2.0]), evaluate(tape, [0.3, 0.7, 2.0]), rtol=1e-14)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_gathering_changes_no_value(data):
    build = TapeBuilder(5)
    nodes = [*build.inputs, build.const(2.5)]
    for _ in range(data.draw(st.integers(3, 25))):
        op = data.draw(st.sampled_from(["mul", "div", "add", "neg", "mul", "div"]))
        args = [data.draw(st.sampled_from(nodes)) for _ in range(1 if op == "neg" else 2)]
        nodes.append(build.apply(op, *args))
    tape = build.finish(nodes[-4:])
    point = [data.draw(st.floats(0.5, 2.0)) for _ in range(5)]
    before, after = evaluate(tape, point), evaluate(gather_constants(tape, 2), point)
    fine = np.isfinite(before) & (np.abs(before) < 1e200) & (np.abs(before) > 1e-200)
    np.testing.assert_allclose(np.array(after)[fine], np.array(before)[fine], rtol=1e-12)


def counted():
    """Loss that falls with the number of doses given, as a power of it."""
    build = Builder("counted")
    for name, value in (("k", 0.2), ("gamma", 0.6)):
        build.parameter(name, value, "1/h")
    build.species("x", None, initial=1.0)
    build.species("count", None, initial=1.0)
    build.reaction("loss", {"x": -1}, lambda s, p: p["k"] * s["count"] ** -p["gamma"] * s["x"])
    return build.model()


def powers(flux, at_rest, routine):
    return sum(node.op == "pow" for node in StepProgram(flux, 2, at_rest).routines[routine].tape.nodes)


def test_the_power_of_a_counter_is_taken_once_a_step():
    model = counted()
    flux = model.flux_tape
    doses = Segments(np.array([[0.0, 5.0, 10.0]]), (1,), jump=np.array([[[0.0], [1.0]]]))
    assert cpu.resting(flux, doses) == (1,)
    assert [powers(flux, at_rest, "first") for at_rest in ((), (1,))] == [1, 1]
    assert [powers(flux, at_rest, "stage") for at_rest in ((), (1,))] == [1, 0]
    found = cpu.solve(Batch(model, model.default_parameters(), doses, np.array([[5.0, 10.0]])), Options(1e-10, 1e-13))
    exact = np.exp(-np.cumsum([0.2 * 5.0, 0.2 * 2.0**-0.6 * 5.0]))
    np.testing.assert_allclose(found.y[0, :, 0], exact, rtol=1e-8)


def test_a_species_that_is_infused_does_not_rest():
    model = counted()
    infusion = Segments(np.array([[0.0, 8.0]]), (1,), infusion=np.array([[[0.5]]]))
    assert cpu.resting(model.flux_tape, infusion) == ()
    found = cpu.solve(Batch(model, model.default_parameters(), infusion, np.array([[8.0]])), Options(1e-10, 1e-13))
    # integral of (1 + t / 2)^-0.6 from 0 to 8
    exact = np.exp(-0.2 * (5.0**0.4 - 1.0) / (0.4 * 0.5))
    assert found.y[0, 0, 0] == pytest.approx(exact, rel=1e-8)
