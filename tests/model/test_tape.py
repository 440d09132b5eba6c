"""Tapes: every operation, and random expressions, against JAX itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2pkpd.model.tape import OPERATIONS, Tape, TapeBuilder, evaluate
from her2pkpd.model.trace import UntraceableError, trace

RATES = {
    "arithmetic": lambda x, y, z: x * y - z / (1.0 + x) + 3.0,
    "exp, log": lambda x, y, z: jnp.exp(-x) * jnp.log(y) + jnp.log1p(z) - jnp.expm1(x),
    "roots and powers": lambda x, y, z: jnp.sqrt(x) + y**3 + z**-2 + x**0.5 + x**y + jnp.square(z),
    "rsqrt, exp2": lambda x, y, z: jax.lax.rsqrt(x) + jnp.exp2(y) + jax.lax.integer_pow(z, 5),
    "saturation": lambda x, y, z: jnp.tanh(x) + jax.nn.sigmoid(y - z) + jax.nn.softplus(z),
    "choice": lambda x, y, z: jnp.where(x > y, x, z) + jnp.maximum(y, z) - jnp.minimum(x, 2.0),
    "logic": lambda x, y, z: jnp.where((x < y) & ~(y <= z) | (z >= x), 1.0, x),
    "equality": lambda x, y, z: jnp.where(x == y, 1.0, 2.0) + jnp.where(x != z, 3.0, 4.0),
    "signs": lambda x, y, z: jnp.abs(x - y) + jnp.sign(y - z) - jnp.floor(3.7 * x),
    "waves": lambda x, y, z: jnp.sin(x) + jnp.cos(y * z),
    "clipping and ramps": lambda x, y, z: jnp.clip(x, 0.2, 0.8) + jax.nn.relu(y - z),
    "booleans as numbers": lambda x, y, z: (x > y) * z + jnp.asarray(y > z, float),
    "jitted": lambda x, y, z: jax.jit(lambda a, b: a * b + 1.0)(x, y) + z,
    "derivative": lambda x, y, z: jax.grad(lambda a: a**2 * y + jnp.tanh(a) * z)(x),
    "stopped": lambda x, y, z: jax.lax.stop_gradient(x) * y + z,
    "nothing of its inputs": lambda x, y, z: jnp.asarray(4.25),
}
POINTS = [(0.3, 1.7, 2.9), (1.7, 0.3, 0.9), (2.0, 2.0, 2.0), (0.01, 40.0, 0.5)]


@pytest.mark.parametrize("name", list(RATES))
def test_a_tape_computes_what_jax_computes(name):
    tape = trace(lambda *a: [RATES[name](*a)], 3)
    for point in POINTS:
        (found,) = evaluate(tape, point)
        np.testing.assert_allclose(found, RATES[name](*map(jnp.float64, point)), rtol=1e-14)


def test_tapes_take_arrays():
    tape = trace(lambda x, y: [x * y, jnp.where(x > y, x, y)], 2)
    x, y = np.linspace(0, 1, 5), np.linspace(1, 0, 5)[:, None]
    for found, expected in zip(evaluate(tape, [x, y]), (x * y, np.maximum(x, y)), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "rate",
    [
        lambda x: jnp.sum(jnp.stack([x, x])),
        lambda x: jax.lax.while_loop(lambda a: a < 10, lambda a: 2 * a, x),
        lambda x: jnp.interp(x, jnp.arange(3.0), jnp.arange(3.0)),
        jax.lax.erf_inv,
    ],
)
def test_what_has_no_scalar_form_is_refused_with_a_name(rate):
    with pytest.raises(UntraceableError, match=r"scalar|array"):
        trace(lambda x: [rate(x)], 1)


# --- random expressions --------------------------------------------------------------------------------------

ONE = {
    "tanh": jnp.tanh, "exp": lambda a: jnp.exp(jnp.tanh(a)), "log": lambda a: jnp.log(1.0 + a * a),
    "root": lambda a: jnp.sqrt(0.5 + a * a), "square": lambda a: a**2, "minus": lambda a: -a,
    "sigmoid": jax.nn.sigmoid, "abs": jnp.abs, "sin": jnp.sin,
}  # fmt: skip
TWO = {
    "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b,
    "div": lambda a, b: a / (1.0 + b * b), "max": jnp.maximum, "min": jnp.minimum,
    "where": lambda a, b: jnp.where(a > b, a, 2.0 * b),
}  # fmt: skip
leaves = st.one_of(st.integers(0, 2), st.sampled_from([0.0, 1.0, -1.0, 2.0, 0.25, -3.5]))
expressions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(list(ONE)), inner), st.tuples(st.sampled_from(list(TWO)), inner, inner)
    ),
    max_leaves=8,
)


def compute(expression, inputs):
    if isinstance(expression, int):
        return inputs[expression]
    if isinstance(expression, float):
        return jnp.float64(expression)
    name, *parts = expression
    values = [compute(p, inputs) for p in parts]
    return ONE[name](*values) if len(values) == 1 else TWO[name](*values)


points = st.tuples(*[st.floats(-3.0, 3.0)] * 3)


@settings(max_examples=60, deadline=None)
@given(expressions, points)
def test_random_expressions_agree_with_jax(expression, point):
    tape = trace(lambda *x: [compute(expression, x)], 3)
    (found,) = evaluate(tape, point)
    expected = compute(expression, [jnp.float64(p) for p in point])
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(expressions)
def test_dependencies_are_never_too_few(expression):
    (needed,) = trace(lambda *x: [compute(expression, x)], 3).dependencies()
    for i in {0, 1, 2} - needed:
        at = [1.1, -0.7, 2.3]
        before = compute(expression, [jnp.float64(p) for p in at])
        at[i] += 0.5
        assert float(compute(expression, [jnp.float64(p) for p in at])) == pytest.approx(float(before), rel=1e-12)


@settings(max_examples=25, deadline=None)
@given(expressions)
def test_the_digest_is_that_of_the_program(expression):
    a, b = (trace(lambda *x: [compute(expression, x)], 3) for _ in range(2))
    assert a == b
    assert a.digest() == b.digest()
    more = trace(lambda *x: [compute(expression, x) + 0.1234567], 3)
    assert more.digest() != a.digest()


# --- the builder ---------------------------------------------------------------------------------------------


def built(make, n=2) -> Tape:
    build = TapeBuilder(n)
    return build.finish([make(build, *build.inputs)])


@pytest.mark.parametrize(
    "make",
    [
        lambda b, x, y: b.apply("add", x, b.const(0.0)),
        lambda b, x, y: b.apply("mul", b.const(1.0), x),
        lambda b, x, y: b.apply("sub", x, b.const(0.0)),
        lambda b, x, y: b.apply("div", x, b.const(1.0)),
        lambda b, x, y: b.apply("neg", b.apply("neg", x)),
        lambda b, x, y: b.apply("pow", x, b.const(1.0)),
        lambda b, x, y: b.apply("add", x, b.apply("mul", y, b.const(0.0))),
        lambda b, x, y: b.apply("select", b.const(True), y, x),
        lambda b, x, y: b.apply("select", b.apply("lt", x, y), x, x),
        lambda b, x, y: b.integer_power(x, 1),
    ],
)
def test_structural_zeros_and_ones_vanish(make):
    tape = built(make)
    assert [n.op for n in tape.nodes] == ["input"]
    assert tape.dependencies() == [frozenset({0})]


def test_constants_are_folded_and_shared():
    tape = built(lambda b, x, y: b.apply("mul", x, b.apply("exp", b.const(2.0))))
    assert [n.op for n in tape.nodes] == ["input", "const", "mul"]
    assert tape.nodes[1].value == np.exp(2.0)


def test_identical_operations_exist_once_whatever_the_order_of_their_arguments():
    tape = built(
        lambda b, x, y: b.apply("sub", b.apply("add", x, y), b.apply("mul", b.apply("add", y, x), b.const(3.0)))
    )
    assert [n.op for n in tape.nodes].count("add") == 1


def test_zero_and_minus_zero_are_different_constants():
    build = TapeBuilder(0)
    assert build.const(0.0) != build.const(-0.0)
    assert build.const(True) != build.const(1.0)


@pytest.mark.parametrize("n", [-5, -1, 0, 1, 2, 3, 7, 8, 13])
def test_integer_powers(n):
    tape = built(lambda b, x, y: b.integer_power(x, n))
    assert evaluate(tape, [1.3, 0.0])[0] == pytest.approx(1.3**n, rel=1e-14)


def test_every_operation_has_a_meaning_in_numpy():
    for name, meaning in OPERATIONS.items():
        count = {"select": 3}.get(name, getattr(meaning, "nin", 1))
        assert np.isfinite(float(meaning(*[np.float64(1.0) if name != "not" else True] * count))), name
