import jax
import jax.numpy as jnp
import numpy as np
import pytest

from her2pkpd.engine.methods import METHODS
from her2pkpd.engine.program.calculus import directional, jacobian, substitute, transplant
from her2pkpd.engine.program.order import eliminate
from her2pkpd.engine.program.step import StepProgram
from her2pkpd.engine.program.tangent import tangent_program, tangent_table
from her2pkpd.model import Builder
from her2pkpd.model.tape import TapeBuilder, evaluate
from her2pkpd.model.trace import trace
from tests.engine.systems import EXACT, HARD

EXPRESSIONS = {
    "arithmetic": lambda x, y, z: x * y - z / (x + y) + (-x) * z,
    "exponentials": lambda x, y, z: jnp.exp(x) * jnp.log(y) + jnp.log1p(z) - jnp.expm1(x * z),
    "powers": lambda x, y, z: jnp.power(x, y) + z**3 + jnp.sqrt(y) + 1 / z**2 + jnp.power(z, 2.5),
    "saturation": lambda x, y, z: jnp.tanh(x * y) + jax.nn.sigmoid(z - x),
    "circular": lambda x, y, z: jnp.sin(x * y) * jnp.cos(z),
    "choices": lambda x, y, z: jnp.where(x > y, x * z, y / z) + jnp.maximum(x, z) * jnp.minimum(y, z) + jnp.abs(x - z),
    "Hill": lambda x, y, z: x**y / (z**y + x**y),
    "nested": lambda x, y, z: jnp.exp(-jnp.power(x / (y + x), z)) / (1 + jnp.exp(-x * jnp.log(y))),
    "steps": lambda x, y, z: jnp.floor(x * 3) * y + jnp.sign(z) * x,
}
POINT = np.array([0.7, 1.9, 1.3])


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_derivatives_of_tapes_agree_with_jax(name):
    function = EXPRESSIONS[name]
    tape = trace(lambda *x: [function(*x), function(x[1], x[2], x[0])], 3)
    build = TapeBuilder(3)
    outputs = transplant(build, tape, build.inputs)
    entries = jacobian(build, outputs, build.inputs)
    tangents = {node: build.const(v) for node, v in zip(build.inputs, (0.3, -0.2, 0.9), strict=True)}
    along = directional(build, outputs, tangents)
    second = jacobian(build, along, build.inputs)

    def both(v):
        return jnp.stack([jnp.asarray(function(*v)), jnp.asarray(function(v[1], v[2], v[0]))])

    def dense(table):
        matrix = np.zeros((2, 3))
        for key, value in zip(table, evaluate(build.finish(list(table.values())), POINT), strict=True):
            matrix[key] = value
        return matrix

    direction = jnp.array([0.3, -0.2, 0.9])
    np.testing.assert_allclose(dense(entries), jax.jacfwd(both)(POINT), rtol=1e-12, atol=1e-14)
    forward = jax.jvp(both, (POINT,), (direction,))[1]
    np.testing.assert_allclose(evaluate(build.finish(along), POINT), forward, rtol=1e-12, atol=1e-14)
    exact = jax.jacfwd(lambda v: jax.jvp(both, (v,), (direction,))[1])(POINT)
    np.testing.assert_allclose(dense(second), exact, rtol=1e-10, atol=1e-12)


def test_a_hill_rate_has_finite_derivatives_at_zero():
    build = TapeBuilder(2)
    tape = trace(lambda x, h: [jnp.power(x, h) / (1 + jnp.power(x, h))], 2)
    outputs = transplant(build, tape, build.inputs)
    table = jacobian(build, outputs, build.inputs)
    first = build.finish(list(table.values()))
    second = build.finish(list(jacobian(build, [table[0, 0]], build.inputs).values()))
    for h, slope in ((2.5, 0.0), (1.0, 1.0), (4.0, 0.0)):
        by_x, by_h = evaluate(first, [0.0, h])
        assert by_x == slope
        assert by_h == 0.0
        assert np.isfinite(evaluate(second, [0.0, h])).all()


def test_a_masked_branch_leaks_no_nan_into_the_derivative():
    tape = trace(lambda x, y: [jnp.where(x > 0, jnp.sqrt(x) * y, 2 * y)], 2)
    build = TapeBuilder(2)
    table = jacobian(build, transplant(build, tape, build.inputs), build.inputs)
    assert evaluate(build.finish([table[0, 0], table[0, 1]]), [-1.0, 3.0]) == [0.0, 2.0]


def test_substitution_replaces_inputs_and_leaves_the_rest():
    build = TapeBuilder(3)
    x, y, z = build.inputs
    node = build.apply("add", build.apply("mul", x, y), z)
    (new,) = substitute(build, [node], {x: z})
    assert evaluate(build.finish([node, new]), [2.0, 3.0, 5.0]) == [11.0, 20.0]


def random_pattern(n, seed):
    rng = np.random.default_rng(seed)
    return {(int(i), int(j)) for i, j in rng.integers(0, n, (3 * n, 2))}


@pytest.mark.parametrize("seed", range(4))
def test_the_filled_pattern_holds_every_entry_of_the_factors(seed):
    n = 14
    entries = random_pattern(n, seed)
    found = eliminate(n, entries)
    order = found.order
    assert sorted(order) == list(range(n))
    rng = np.random.default_rng(seed)
    matrix = np.eye(n) * 20
    for i, j in entries:
        matrix[i, j] += rng.uniform(0.1, 1.0)
    a = matrix[np.ix_(order, order)].copy()
    for k in range(n):
        a[k + 1 :, k] /= a[k, k]
        a[k + 1 :, k + 1 :] -= np.outer(a[k + 1 :, k], a[k, k + 1 :])
    filled = {(order[i], order[j]) for i, j in np.argwhere(np.abs(a) > 1e-14)}
    assert filled <= found.pattern


def test_an_arrow_matrix_fills_nothing_when_its_head_goes_last():
    n = 30
    entries = {(0, k) for k in range(n)} | {(k, 0) for k in range(n)}
    assert len(eliminate(n, entries).pattern) == 3 * n - 2


def chain(n):
    """Saturable conversion along a chain, reversible: tridiagonal Jacobian."""
    build = Builder("chain")
    for name, value in (("k", 1.0), ("kb", 0.3), ("km", 2.0)):
        build.parameter(name, value, "1/h")
    for i in range(n):
        build.species(f"x{i}", None, initial=1.0)
    for i in range(n - 1):

        def rate(s, p, i=i):
            return p["k"] * s[f"x{i}"] / (p["km"] + s[f"x{i}"]) - p["kb"] * s[f"x{i + 1}"]

        build.reaction(f"r{i}", {f"x{i}": -1, f"x{i + 1}": 1}, rate)
    return build.model()


def test_the_cost_of_a_step_grows_with_the_non_zeros():
    cost = {}
    for n in (10, 50, 200):
        model = chain(n)
        step = StepProgram(model.flux_tape, n)
        tangents = tangent_program(step, (0, 1))
        routines = {**step.finish(), **tangents.routines}
        cost[n] = {name: routine.operations() for name, routine in routines.items() if name != "prologue"}
        assert step.factors.nonzeros == 3 * n - 2
    for name in cost[10]:
        per_state = [(cost[m][name] - cost[k][name]) / (m - k) for k, m in ((10, 50), (50, 200))]
        assert per_state[0] == pytest.approx(per_state[1], rel=0.02)


def diluted(n):
    """Species inside dividing cells: all their rates depend on all cell numbers, through one division rate each."""
    build = Builder("diluted")
    for name, value in (("g", 0.5), ("K", 6.0), ("k", 1.0), ("kin", 0.4)):
        build.parameter(name, value, "1/h")
    cells = ("A", "B", "C")
    for cell in cells:
        build.species(cell, None, initial=1.0)
    for cell in cells:

        def mu(s, p, cell=cell):
            return p["g"] * jnp.exp(-sum(s[c] for c in cells) / p["K"]) / (1.0 + s[f"{cell}0"])

        build.quantity(f"mu.{cell}", mu, "1/h", "division rate")
        for i in range(n):
            build.species(f"{cell}{i}", None, initial=1.0)
        build.reaction(f"division of {cell}", {cell: 1}, lambda s, p, c=cell: s[f"mu.{c}"] * s[c])
        for i in range(n):
            source = f"{cell}{(i or n) - 1}"
            build.reaction(f"made {cell}{i}", {f"{cell}{i}": 1}, lambda s, p, x=source: p["k"] * s[x] / (1 + s[x]))
            build.reaction(
                f"diluted {cell}{i}", {f"{cell}{i}": -1}, lambda s, p, c=cell, i=i: s[f"mu.{c}"] * s[f"{c}{i}"]
            )
    return build.model()


def test_what_dilutes_many_species_is_kept_as_an_unknown():
    model = diluted(8)
    n = model.n_species
    step = StepProgram(model.flux_tape, n)
    kept = len(step.factors.order) - n
    assert kept == 3
    dense = eliminate(n, jacobian_pattern(model))
    assert step.factors.nonzeros < 0.85 * len(dense.pattern)
    build = step.shop.build
    assert all(build.value(step.factors.inverse[k]) == 1.0 for k in range(n, n + kept))


def jacobian_pattern(model):
    rng = np.random.default_rng(0)
    slopes = jax.jacfwd(lambda z: model.vector_field(z, model.default_parameters()))(
        rng.uniform(0.5, 2, model.n_species)
    )
    return {(int(i), int(j)) for i, j in np.argwhere(np.asarray(slopes) != 0)}


def test_species_in_a_cycle_with_a_kept_quantity_wait_for_it():
    """1 and 2 depend on themselves through the kept quantity 3; 0 does not."""
    entries = {(0, 3), (1, 3), (2, 3), (3, 1), (3, 2)}
    order = eliminate(4, entries, kept=1).order
    assert order.index(3) < min(order.index(1), order.index(2))


class Memory(dict):
    """Arrays by name, as the routines see them."""

    def run(self, routine):
        values = evaluate(routine.tape, [self[s.array][s.index] for s in routine.inputs])
        for value, slot in zip(values, routine.outputs, strict=True):
            self.setdefault(slot.array, {})[slot.index] = value

    def vector(self, name, n):
        return np.array([self[name][k] for k in range(n)])


MODELS = (
    {name: EXACT[name].model for name in ("absorption", "binding", "uptake")}
    | {name: HARD[name].model for name in ("Oregonator", "Pollution")}
    | {"diluted": diluted(4)}
)


@pytest.mark.parametrize("name", MODELS)
def test_the_routines_of_a_step_compute_what_they_say(name):
    model = MODELS[name]
    n, p = model.n_species, model.default_parameters()
    step = StepProgram(model.flux_tape, n)
    moved = tuple(range(model.n_parameters))
    tangents = tangent_program(step, moved)
    routines = {**step.finish(), **tangents.routines}
    rng = np.random.default_rng(0)
    y, arg, u, s, d, add, rhs = rng.uniform(0.1, 2.0, (7, n))
    dg = 3.0
    memory = Memory(par=p, y=y, arg=arg, add=add, dg=[dg], rhs=rhs, s=s, dcol={})

    def f(z, q=p):
        return model.vector_field(z, q)

    slopes = jax.jacfwd(f)
    w = dg * np.eye(n) - np.asarray(slopes(y))
    memory.run(routines["prologue"])
    memory.run(routines["start"])
    np.testing.assert_allclose(memory.vector("f", n), f(y) + add, rtol=1e-12)
    np.testing.assert_allclose(memory.vector("jf", n), slopes(y) @ (f(y) + add), rtol=1e-9, atol=1e-9)
    for routine, at in (("first", y), ("stage", arg)):
        memory.run(routines[routine])
        right = np.asarray(f(at)) + add
        assert np.abs(w @ memory.vector("u", n) - right).max() <= 1e-11 * np.abs(w).max() * np.abs(right).max()
    memory["u"] = u
    memory.run(routines["base"])
    memory.run(routines["edges"])
    memory["dcol"] = {k: d[k] for k in tangents.columns}
    memory.run(routines["push"])
    bend = jax.jvp(lambda z: slopes(z) @ u, (y,), (s,))[1]
    right = np.asarray((slopes(arg) - slopes(y)) @ d + bend) + rhs
    lacking = np.abs(w @ memory.vector("v", n) - right)
    assert lacking.max() <= 1e-11 * np.abs(w).max() * np.abs(right).max()
    by_parameter = jax.jacfwd(lambda q: f(arg, q) + jax.jvp(lambda z: f(z, q), (y,), (u,))[1])(p)
    found = np.zeros((n, len(moved)))
    for entry, (direction, row) in enumerate(tangents.seeds):
        found[row, direction] = memory["seed"][entry]
    np.testing.assert_allclose(found, by_parameter, rtol=1e-9, atol=1e-9 * np.abs(by_parameter).max())


@pytest.mark.parametrize("name", METHODS)
def test_tangent_tables_differentiate_a_step_exactly(name):
    """On a scalar equation, against JAX through the step as the method's tables define it."""
    method, h = METHODS[name], 0.3
    table = tangent_table(method)

    def f(y):
        return jnp.sin(3 * y) - y * y

    slope, y0, s = jax.grad(f), 0.8, 1.7

    def step(y):
        w, u = 1 / (h * method.gamma) - slope(y), []
        for i in range(method.stages):
            argument = y + sum(method.a_matrix[i, j] * u[j] for j in range(i))
            u.append((f(argument) + sum(method.c_matrix[i, j] / h * u[j] for j in range(i))) / w)
        return argument + u[-1], (jnp.array(u), w)

    exact = jax.jvp(lambda y: step(y)[0], (y0,), (s,))[1]
    _, (u, w) = step(y0)
    dg, v = 1 / (h * method.gamma), []
    for i in range(method.stages):
        argument = y0 + sum(method.a_matrix[i, j] * u[j] for j in range(i))
        moved = table.p[i] * s + sum(table.q[i, j] * v[j] for j in range(i))
        right = dg * (table.f[i] * s + sum(table.e[i, j] * v[j] for j in range(i)))
        right += (slope(argument) - slope(y0)) * moved + jax.grad(slope)(y0) * u[i] * s
        v.append(right / w)
    assert float(v[-1]) == pytest.approx(float(exact), rel=1e-12)
