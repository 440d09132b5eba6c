import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import optimistix
import pytest

from her2pkpd.engine import Options, Segments
from her2pkpd.engine.jax_op import SecondDerivativeError, solve_jax
from her2pkpd.errors import InputError
from tests.engine.systems.measure import relative
from tests.engine.systems.runs import EXACT, TIGHT, closed_form, exact_batch, exact_gradient

HAVE_KERNEL = importlib.util.find_spec("her2pkpd.engine.cpu") is not None
ENGINES = [pytest.param("kernel", marks=pytest.mark.skipif(not HAVE_KERNEL, reason="no CPU kernel")), "reference"]
NAME = "two compartments"


def states(p, engine="auto", name=NAME, **more):
    batch = exact_batch(name)
    return solve_jax(batch.model, p, batch.segments, batch.times, options=TIGHT, engine=engine, **more)


@pytest.mark.parametrize("engine", ENGINES)
def test_values_and_forward_derivatives_are_exact(engine):
    p = jnp.asarray(exact_batch(NAME).parameters[0])
    function = lambda p: states(p, engine)  # noqa: E731
    value, jacobian = jax.jit(lambda p: (function(p), jax.jacfwd(function)(p)))(p)
    np.testing.assert_allclose(value, closed_form(NAME), rtol=1e-7, atol=1e-9)
    assert relative(np.asarray(jacobian), exact_gradient(NAME)) < 1e-6


def test_reverse_derivatives_are_exact():
    p = jnp.asarray(exact_batch(NAME).parameters[0])
    weights = np.random.default_rng(2).normal(size=closed_form(NAME).shape)
    gradient = jax.grad(lambda p: jnp.vdot(weights, states(p)))(p)
    np.testing.assert_allclose(gradient, np.einsum("lmn,lmnp->p", weights, exact_gradient(NAME)), rtol=1e-6)


def test_vmap_fills_the_lanes():
    batch = exact_batch(NAME)
    p = batch.parameters[0] * np.array([1.0, 1.1, 0.9])[:, None]
    loss = lambda p: jnp.sum(jnp.square(states(p)))  # noqa: E731
    together = jax.jit(jax.vmap(jax.value_and_grad(loss)))(p)
    single = [jax.value_and_grad(loss)(row) for row in p]
    np.testing.assert_allclose(together[0], [v for v, _ in single], rtol=1e-9)
    np.testing.assert_allclose(together[1], [g for _, g in single], rtol=1e-9)


def test_vmap_inside_vmap():
    p = exact_batch(NAME).parameters[0]
    factors = np.array([[1.0, 1.1], [0.9, 1.2]])
    nested = jax.vmap(jax.vmap(lambda f: states(f * p)))(factors)
    flat = jax.vmap(lambda f: states(f * p))(factors.reshape(-1))
    np.testing.assert_array_equal(nested.reshape(flat.shape), flat)


def test_derivatives_by_dose_time_rate_and_initial_state():
    """Superposition says exactly what each of them does to a linear system."""
    system, model = EXACT["one compartment"], EXACT["one compartment"].model
    k = 0.5 / 3.0
    segments = Segments([[0.0, 2.0, 6.0, 24.0]], (0,))
    t = 12.0

    def end(initial, dose, lag, rate):
        boundaries = jnp.stack([jnp.zeros(()), lag, lag + 4.0, jnp.asarray(24.0)])[None]
        jump = jnp.zeros((1, 3, 1)).at[0, 1, 0].set(dose)
        infusion = jnp.zeros((1, 3, 1)).at[0, 1, 0].set(rate)
        given = {"boundaries": boundaries, "jump": jump, "infusion": infusion, "initial": initial}
        p = system.model.default_parameters()
        return solve_jax(model, p, segments, [t], options=TIGHT, **given)[0, 0, 0]

    found = jax.grad(end, argnums=(0, 1, 2, 3))(jnp.array([3.0]), 5.0, 2.0, 1.5)
    decay = np.exp(-k * (t - 2.0))
    per_rate = (np.exp(4.0 * k) - 1) / k * decay
    np.testing.assert_allclose(found[0][0], np.exp(-k * t), rtol=1e-6)
    np.testing.assert_allclose(found[1], decay, rtol=1e-6)
    np.testing.assert_allclose(found[2], k * (5.0 * decay + 1.5 * per_rate), rtol=1e-6)
    np.testing.assert_allclose(found[3], per_rate, rtol=1e-6)


def test_initial_values_that_depend_on_parameters_are_part_of_the_derivative():
    name = "binding"
    p = jnp.asarray(exact_batch(name).parameters[0])
    assert relative(np.asarray(jax.jacrev(lambda p: states(p, name=name))(p)), exact_gradient(name)) < 1e-6


def test_only_wanted_parameters_are_differentiated():
    p = jnp.asarray(exact_batch(NAME).parameters[0])
    found = jax.jacfwd(lambda p: states(p, wrt=["V2"]))(p)
    exact = exact_gradient(NAME).copy()
    exact[..., :3] = 0
    assert relative(np.asarray(found), exact) < 1e-6
    assert not np.asarray(found)[..., :3].any()
    with pytest.raises(InputError, match="the model has no parameter 'V9'"):
        states(p, wrt=["V9"])


def test_failed_lanes_are_nan_and_alone():
    batch = exact_batch(NAME)
    p = np.array(batch.parameters)
    p[1] = np.nan
    boundaries = np.array(batch.segments.boundaries)
    boundaries[3] = boundaries[3, ::-1]
    found, gradient = jax.value_and_grad(lambda p: jnp.nansum(y := states(p, boundaries=boundaries)) + 0 * y[0, 0, 0])(
        p
    )
    y = states(p, boundaries=boundaries)
    bad = [1, 3]
    assert np.isnan(y[jnp.array(bad)]).all()
    good = [i for i in range(len(p)) if i not in bad]
    np.testing.assert_allclose(y[jnp.array(good)], closed_form(NAME)[good], rtol=1e-7, atol=1e-9)
    assert np.isfinite(found)
    assert np.isfinite(gradient[jnp.array(good)]).all()


def test_second_derivatives_are_refused():
    p = jnp.asarray(exact_batch(NAME).parameters[0])
    with pytest.raises(SecondDerivativeError, match="first derivatives only"):
        jax.hessian(lambda p: jnp.sum(states(p)))(p)


def test_save_times_cannot_carry_derivatives():
    batch = exact_batch(NAME)
    with pytest.raises(InputError, match="save times cannot carry derivatives"):
        jax.jacfwd(lambda t: solve_jax(batch.model, batch.parameters, batch.segments, t))(jnp.asarray(batch.times))


def test_single_precision_is_refused_with_the_line_to_add():
    batch = exact_batch(NAME)
    with jax.enable_x64(False), pytest.raises(InputError, match=r'jax\.config\.update\("jax_enable_x64", True\)'):
        solve_jax(batch.model, batch.parameters, batch.segments, batch.times)


def one_compartment_data():
    """Concentrations after a bolus of 10, without noise, at clearance 0.8 and volume 4."""
    times = np.array([1.0, 3.0, 6.0, 12.0, 20.0])
    return Segments([[0.0, 24.0]], (0,), jump=[[[10.0]]]), times, 10.0 * np.exp(-0.8 / 4.0 * times)


def fitted(log_k):
    segments, times, _ = one_compartment_data()
    p = jnp.array([3.0, 3.0]).at[0].set(3.0 * jnp.exp(log_k))
    return solve_jax(EXACT["one compartment"].model, p, segments, times, wrt=["CL"], options=Options(1e-8, 1e-10))[
        0, :, 0
    ]


@pytest.mark.parametrize("solver", [optimistix.LevenbergMarquardt, optimistix.BFGS])
def test_optimistix_fits(solver):
    data = one_compartment_data()[2]
    if solver is optimistix.BFGS:
        residual = lambda x, _: jnp.sum(jnp.square(fitted(x) - data))  # noqa: E731
        found = optimistix.minimise(residual, solver(1e-8, 1e-8), jnp.zeros(()))
    else:
        found = optimistix.least_squares(lambda x, _: fitted(x) - data, solver(1e-8, 1e-8), jnp.zeros(()))
    assert found.value == pytest.approx(np.log(0.8 / 4.0), abs=1e-5)


@pytest.mark.skipif(importlib.util.find_spec("numpyro") is None, reason="numpyro is not installed")
def test_numpyro_samples():
    import numpyro
    from numpyro.infer import MCMC, NUTS

    def model():
        log_k = numpyro.sample("log_k", numpyro.distributions.Normal(-1.0, 1.0))
        numpyro.sample("data", numpyro.distributions.Normal(fitted(log_k), 0.1), obs=one_compartment_data()[2])

    sampler = MCMC(
        NUTS(model), num_warmup=30, num_samples=50, num_chains=2, chain_method="vectorized", progress_bar=False
    )
    sampler.run(jax.random.key(0))
    assert np.mean(sampler.get_samples()["log_k"]) == pytest.approx(np.log(0.2), abs=0.1)
