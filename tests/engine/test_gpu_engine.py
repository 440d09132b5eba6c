"""The GPU engine around its program, on a card that is imitated; and what is said where there is none."""

import numpy as np
import pytest

from her2pkpd.engine import _gpu_order as ordering
from her2pkpd.engine import cuda, gpu, select, solve
from her2pkpd.errors import InputError
from tests.engine.systems.card import imitated
from tests.engine.systems.hard import HARD
from tests.engine.systems.measure import relative, tolerances_off
from tests.engine.systems.retargeted import same
from tests.engine.systems.runs import (
    EXACT,
    USUAL,
    all_parameters,
    dosing_directions,
    exact_batch,
    hard_batch,
    hard_options,
    hard_run,
    run,
)
from tests.engine.test_kernel_lanes import lanes


@pytest.fixture
def card(monkeypatch):
    return imitated(monkeypatch)


@pytest.mark.parametrize("name", ["absorption", "binding"])
def test_numpy_in_and_out_in_one_block_or_many(name, card):
    expected = run(name, "kernel")
    batch = exact_batch(name)
    found = solve(batch, USUAL, engine="gpu")
    assert found.engine == "gpu"
    assert card.launches == [(-(-len(batch.times) // gpu.THREADS), gpu.THREADS)]
    card.free = 0
    gpu_threads, gpu.THREADS = gpu.THREADS, 2
    try:
        pieces = solve(batch, USUAL, engine="gpu")
    finally:
        gpu.THREADS = gpu_threads
    assert len(card.launches) == 1 + -(-len(batch.times) // 2)
    for some in (found, pieces):
        for what in ("y", "status", "steps", "rejected"):
            same(getattr(some, what), getattr(expected, what))


def test_lanes_are_taken_by_cost_and_come_back_in_place(card, monkeypatch):
    batch = lanes(9)
    monkeypatch.setattr(ordering, "SORT_FROM", 2)
    monkeypatch.setattr(ordering, "SAMPLE", 3)
    found, expected = solve(batch, USUAL, engine="gpu"), solve(batch, USUAL, engine="kernel")
    assert len(card.launches) == 2
    same(found.y, expected.y)
    same(found.steps, expected.steps)


def test_the_order_by_cost_is_learnt_from_a_sample():
    rng = np.random.default_rng(0)
    parameters = np.concatenate([rng.lognormal(0, 0.3, (4000, 3)), np.full((4000, 1), 2.0)], axis=1)
    steps = 100 * parameters[:, 0] / np.sqrt(parameters[:, 2])
    some = ordering.sample(4000)
    order = ordering.by_cost(parameters, some, steps[some])
    np.testing.assert_array_equal(np.sort(order), np.arange(4000))
    warps = steps[order[: 32 * 125]].reshape(-1, 32)
    assert warps.max(axis=1).mean() < 1.2 * steps.mean()
    assert steps.reshape(-1, 32).max(axis=1).mean() > 1.8 * steps.mean()


def test_derivatives(card):
    batch = exact_batch("absorption")
    found = solve(batch, USUAL, all_parameters(batch.model), engine="gpu")
    same(found.dy, run("absorption", "kernel", USUAL, True).dy)


def test_arrays_on_the_card_stay_there(card):
    batch = exact_batch("absorption")
    p, y0 = (card.to_device(np.ascontiguousarray(x)) for x in (batch.parameters, batch.initial))
    found = gpu.solve_on_device(batch.model, p, y0, batch.segments, batch.times, USUAL)
    assert isinstance(found.y, cuda.DeviceArray)
    interface = found.y.__cuda_array_interface__
    assert interface["shape"] == run("absorption", "kernel").y.shape
    assert interface["typestr"] == "<f8"
    same(np.asarray(found.y), run("absorption", "kernel").y)


def test_arrays_of_the_wrong_shape_or_type_are_refused(card):
    batch = exact_batch("absorption")
    single = card.to_device(np.asarray(batch.parameters, dtype=np.float32))
    with pytest.raises(InputError, match="float64"):
        gpu.solve_on_device(batch.model, single, batch.initial, batch.segments, batch.times)
    with pytest.raises(InputError, match="must have shape"):
        gpu.solve_on_device(batch.model, batch.parameters[:1], batch.initial, batch.segments, batch.times)


def test_endpoints_are_reduced_block_by_block(card):
    batch = exact_batch("absorption")
    expected = run("absorption", "kernel")
    rows, found = gpu.endpoints(batch, lambda y: np.asarray(y)[:, -1].sum(axis=1), USUAL)
    same(rows, expected.y[:, -1].sum(axis=1))
    same(found.steps, expected.steps)
    assert found.y.shape[1] == 0


def test_auto_takes_a_card_for_large_batches_only(card, monkeypatch):
    batch = exact_batch("binding")
    monkeypatch.setattr(cuda, "likely", lambda: True)
    assert solve(batch, USUAL).engine == "kernel"
    monkeypatch.setattr(select, "WORTH_A_GPU", 1)
    assert solve(batch, USUAL).engine == "gpu"
    assert solve(batch, USUAL, all_parameters(batch.model)).engine == "kernel"


def test_without_cuda_core_one_message_says_what_to_do(monkeypatch):
    monkeypatch.setattr(cuda, "likely", lambda: False)
    cuda.card.cache_clear()
    with pytest.raises(InputError, match=r"needs cuda-core.*her2pkpd\[cuda\].*kernel"):
        solve(exact_batch("absorption"), USUAL, engine="gpu")


def test_without_a_driver_one_message_says_so(monkeypatch):
    def missing(name):
        raise RuntimeError("libcuda.so.1 was not found\nand more")

    monkeypatch.setattr(cuda, "likely", lambda: True)
    monkeypatch.setattr(cuda.importlib, "import_module", missing)
    cuda.card.cache_clear()
    with pytest.raises(InputError, match=r"no NVIDIA GPU can be used here \(libcuda.so.1 was not found\).*nvidia-smi"):
        cuda.card()
    assert cuda.obstacle() is not None


needs_card = pytest.mark.skipif(
    not cuda.likely() or cuda.obstacle() is not None,
    reason="no GPU: cuda-core, the driver or a card is missing",
)


@needs_card
@pytest.mark.parametrize("name", EXACT)
def test_a_real_card_agrees_with_the_kernel(name):
    batch = exact_batch(name)
    found, expected = solve(batch, USUAL, engine="gpu"), run(name, "kernel")
    np.testing.assert_array_equal(found.status, expected.status)
    np.testing.assert_allclose(found.y, expected.y, rtol=10 * USUAL.rtol, atol=10 * USUAL.atol)


@needs_card
@pytest.mark.parametrize("name", HARD)
@pytest.mark.parametrize("rtol", [1e-4, 1e-6, 1e-8])
def test_a_real_card_solves_stiff_classics(name, rtol):
    options = hard_options(name, rtol)
    found = solve(hard_batch(name), options, engine="gpu")
    assert found.ok.all()
    assert tolerances_off(found.y, hard_run(name, "kernel", rtol).y, options, HARD[name].model) < 1


@needs_card
@pytest.mark.parametrize("name", ["absorption", "uptake"])
def test_a_real_card_has_the_derivatives_of_the_kernel(name):
    batch = exact_batch(name)
    for directions in (all_parameters(batch.model), dosing_directions(name)):
        found, expected = (solve(batch, USUAL, directions, engine=engine) for engine in ("gpu", "kernel"))
        assert relative(found.dy, expected.dy) < 1e-6


@needs_card
def test_a_real_card_takes_arrays_of_jax_and_gives_them_back():
    jax = pytest.importorskip("jax")
    if jax.default_backend() != "gpu":
        pytest.skip("JAX sees no GPU")
    batch = exact_batch("absorption")
    with jax.enable_x64(True):
        p, y0 = (jax.numpy.asarray(np.ascontiguousarray(x)) for x in (batch.parameters, batch.initial))
        found = gpu.solve_on_device(batch.model, p, y0, batch.segments, batch.times, USUAL)
        y = np.asarray(jax.numpy.asarray(found.y))
    np.testing.assert_allclose(y, run("absorption", "kernel").y, rtol=1e-6, atol=1e-9)
