import ctypes
import functools

import numpy as np
import pytest
from scipy.special import expit

from her2pkpd.engine.compile import Loaded, host, object_code
from her2pkpd.engine.emit.asm import Asm, function
from her2pkpd.engine.emit.declarations import declarations
from her2pkpd.engine.emit.vector_math import FUNCTIONS, vector_function

extended = pytest.mark.skipif(np.finfo(np.longdouble).eps > 1e-18, reason="this platform has no extended precision")
PLATFORM = host()


@functools.cache
def compiled(name, width):
    """A vector function as a NumPy function; the kernel's three pointers are x, y and the result."""
    asm = Asm(width, PLATFORM.fma, ("rcp14",) if name == "quotient" else PLATFORM.special)
    vectors = asm.op("load i64, ptr %n")
    x, y, out = (asm.op(f"load ptr, ptr {asm.at('%p', k, 'ptr')}") for k in range(3))
    with asm.loop(vectors) as k:
        if name == "quotient":
            asm.store(asm.quotient(asm.load(x, k), asm.load(y, k)), out, k)
        else:
            values = [asm.load(pointer, k) for pointer in (x, y)[: FUNCTIONS[name][0]]]
            arguments = ", ".join(f"{asm.F} {v}" for v in values)
            asm.store(asm.op(f"call {asm.F} @lane_{name}({arguments})"), out, k)
    asm.emit("ret void")
    text = function("kernel", ["ptr %p", "ptr %n", "ptr %z"], asm)
    if name != "quotient":
        text = vector_function(name, width, PLATFORM.fma, PLATFORM.special) + text
    loaded = Loaded(object_code(text + declarations(text), PLATFORM), PLATFORM)

    def run(*inputs):
        shape = np.broadcast_shapes(*(np.shape(v) for v in inputs))
        size = int(np.prod(shape))
        padded = -(-size // width) * width
        buffers = [aligned(padded) for _ in range(3)]
        for buffer, values in zip(buffers, inputs, strict=False):
            buffer[:size] = np.broadcast_to(values, shape).ravel()
        pointers = np.array([b.ctypes.data for b in buffers], dtype=np.int64)
        count = np.array([padded // width], dtype=np.int64)
        loaded.kernel(ctypes.c_void_p(pointers.ctypes.data), ctypes.c_void_p(count.ctypes.data), None)
        return buffers[2][:size].reshape(shape)

    return run


def aligned(size):
    raw = np.ones(size + 8)
    skip = (-raw.ctypes.data % 64) // 8
    return raw[skip : skip + size]


def ulps(found, exact):
    """Largest error in units in the last place of the exact result."""
    with np.errstate(all="ignore"):
        spacing = np.maximum(np.spacing(np.abs(exact.astype(float))), 5e-324).astype(np.longdouble)
        return float(np.max(np.abs(found.astype(np.longdouble) - exact) / spacing))


def spread(low, high, n=200_000):
    """Numbers spread evenly, and evenly in their logarithms, over a range."""
    rng = np.random.default_rng(1)
    even = rng.uniform(low, high, n)
    size = np.exp(rng.uniform(np.log(1e-300), np.log(max(abs(low), abs(high))), n))
    signed = np.concatenate([size, -size])
    return np.concatenate([even, signed[(signed >= low) & (signed <= high)]])


RANGES = {
    "exp": (-745.0, 709.7),
    "log": (0.0, 1e308),
    "log1p": (-1 + 1e-15, 1e300),
    "expm1": (-100.0, 709.7),
    "tanh": (-30.0, 30.0),
    "logistic": (-745.0, 800.0),
    "sin": (-1e5, 1e5),
    "cos": (-1e5, 1e5),
}
EXACT = {"logistic": lambda x: 1 / (1 + np.exp(-x))}


@extended
@pytest.mark.parametrize("name", RANGES)
def test_within_two_units_in_the_last_place(name):
    x = spread(*RANGES[name])
    exact = EXACT.get(name, getattr(np, name, None))(x.astype(np.longdouble))
    assert ulps(compiled(name, PLATFORM.width)(x), exact) <= 2.0


@extended
def test_powers_within_two_units_in_the_last_place():
    rng = np.random.default_rng(2)
    x = np.exp(rng.uniform(-60, 60, 400_000))
    y = rng.uniform(-8, 8, 400_000)
    near = 1 + rng.uniform(-1e-3, 1e-3, 100_000)
    x, y = np.append(x, near), np.append(y, rng.uniform(-5e5, 5e5, near.size))
    with np.errstate(all="ignore"):
        exact = np.power(x.astype(np.longdouble), y.astype(np.longdouble))
    usual = (exact > 1e-307) & (exact < 1e308)
    assert ulps(compiled("pow", PLATFORM.width)(x, y)[usual], exact[usual]) <= 2.0


@extended
def test_powers_of_what_is_not_negative():
    rng = np.random.default_rng(2)
    x = np.exp(rng.uniform(-60, 60, 400_000))
    y = rng.uniform(-11, 11, x.size)
    with np.errstate(all="ignore"):
        exact = np.power(x.astype(np.longdouble), y.astype(np.longdouble))
    found = compiled("power", PLATFORM.width)(x, y)
    near, far = ((exact > 10.0**-k) & (exact < 10.0**k) for k in (15, 307))
    assert ulps(found[near], exact[near]) <= 2.0
    assert ulps(found[far], exact[far]) <= 6.0


def test_special_powers_of_what_is_not_negative_follow_numpy():
    base = np.array([0.0, 5e-324, 1e-310, 0.5, 1.0, 2.0, 1e308, np.inf, np.nan])
    x, y = (v.ravel() for v in np.meshgrid(base, [0.0, -0.0, 1.0, 2.0, 0.3, -0.3, -2.0, 300.0, -300.0, 1e308]))
    with np.errstate(all="ignore"):
        exact = np.power(x, y)
    np.testing.assert_allclose(compiled("power", PLATFORM.width)(x, y), exact, rtol=1e-15, atol=0)


SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, 0.5, np.inf, -np.inf, np.nan, 5e-324, -5e-324, 1e-310, 1e308, -1e308, 800.0])


@pytest.mark.parametrize("name", [n for n in RANGES if n not in ("sin", "cos")])
def test_special_values_follow_numpy(name):
    with np.errstate(all="ignore"):
        exact = {"logistic": expit}.get(name, getattr(np, name, None))(SPECIAL)
    np.testing.assert_allclose(compiled(name, PLATFORM.width)(SPECIAL), exact, rtol=1e-15, atol=0)


def test_circular_functions_of_special_values():
    for name in ("sin", "cos"):
        found = compiled(name, PLATFORM.width)(np.array([0.0, 5e-324, np.inf, -np.inf, np.nan]))
        np.testing.assert_array_equal(found[:2], getattr(np, name)(np.array([0.0, 5e-324])))
        assert np.isnan(found[2:]).all()


def test_special_powers_follow_numpy():
    exponents = np.append(SPECIAL, [2.0, 3.0, -2.0, -3.0, 0.3, -0.3, 1e300])
    x, y = (v.ravel() for v in np.meshgrid(np.append(SPECIAL, [2.0, -2.0]), exponents))
    # Zero to a negative odd power keeps no sign here: states and rate constants have none at zero.
    keep = ~((x == 0) & np.signbit(x))
    with np.errstate(all="ignore"):
        exact = np.power(x, y)
    np.testing.assert_allclose(compiled("pow", PLATFORM.width)(x, y)[keep], exact[keep], rtol=1e-15, atol=0)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_lane_does_not_see_its_neighbours(name):
    """Scalar and vector code agree bit for bit, with NaN and infinity next door."""
    rng = np.random.default_rng(3)
    x = rng.uniform(0.1, 5.0, 64)
    y = rng.uniform(-2.0, 2.0, 64)
    alone = compiled(name, 1)(*(x, y)[: FUNCTIONS[name][0]])
    for poison in (np.nan, np.inf, -np.inf, 0.0):
        z = x.copy()
        z[1::2] = poison
        found = compiled(name, PLATFORM.width)(*(z, y)[: FUNCTIONS[name][0]])
        np.testing.assert_array_equal(found[::2], alone[::2])


@pytest.mark.skipif("+avx512vl" not in PLATFORM.features, reason="this processor has no AVX-512")
@pytest.mark.parametrize("width", [1, 2, 4, 8])
def test_refined_reciprocals_divide(width):
    divide = compiled("quotient", width)
    a, b = spread(-1e3, 1e3), spread(1e-200, 1e200)[::-1]
    b = b * np.where(np.arange(len(b)) % 2, 1.0, -1.0)
    a = a[: len(b)]
    b = b[: len(a)]
    assert ulps(divide(a, b), a.astype(np.longdouble) / b.astype(np.longdouble)) < 2
    tops, bottoms = (
        x.ravel()
        for x in np.meshgrid([-np.inf, -2.0, 0.0, 3.0, np.inf, np.nan], [-np.inf, -0.0, 0.0, 4.0, np.inf, np.nan])
    )
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(divide(tops, bottoms), tops / bottoms)
