"""Elementary functions on vectors of lanes, as LLVM functions.

Each is branch-free, so a NaN in one lane cannot steer another. Arguments are reduced exactly (Cody and Waite,
Software Manual for the Elementary Functions, 1980) and series are economised to below rounding. The error is at
most 2 units in the last place for exp, log, log1p, expm1, tanh, logistic and pow over their whole range, for power
where it lies between 1e-15 and 1e15 (6 units beyond), and for sin and cos for arguments up to 1e5; the tests
measure it.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.polynomial import Chebyshev, Polynomial

from her2pkpd.engine.emit.asm import Asm, function

_ROUND = 6755399441055744.0
"""2^52 + 2^51: adding it leaves an integer in the low bits of the mantissa."""
_LN2_HI = float.fromhex("0x1.62e42fefa3800p-1")
_LN2_LO = float.fromhex("0x1.ef35793c76730p-45")
_LOG2E = 1.4426950408889634
_SQRT_HALF_BITS = 0x3FE6A09E667F3BCD
_THIRD_LO = 1.850371707708594e-17
"""1/3 minus its nearest double."""
_HALF_PI = (1.5707963267948966, 6.123233995736766e-17, -1.4973849048591833e-33)


def economised(series: Sequence[float], low: float, high: float, terms: int) -> list[float]:
    """The power series on [low, high] with fewer terms, from the constant upwards.

    Chebyshev's expansion is cut instead of Taylor's: the same accuracy at the ends of the interval for a fifth fewer
    terms.
    """
    expansion = Polynomial(series).convert(kind=Chebyshev, domain=[low, high])
    short = expansion.truncate(terms).convert(kind=Polynomial, domain=[-1, 1], window=[-1, 1])
    return [float(c) for c in np.pad(short.coef, (0, terms - len(short.coef)))]


_HALF_LN2 = 0.3466
_LARGEST_S2 = 0.02944
"""(sqrt 2 - 1)^2 / (sqrt 2 + 1)^2, the largest s^2 in the series of the logarithm."""
_EXP_SERIES = economised([1.0 / math.factorial(k) for k in range(2, 20)], -_HALF_LN2, _HALF_LN2, 10)
"""(e^r - 1 - r) / r^2."""
_LOG_SERIES = economised([2.0 / (2 * j + 1) for j in range(1, 20)], 0.0, _LARGEST_S2, 8)
"""(log((1 + s) / (1 - s)) - 2 s) / s^3 in powers of s^2."""


def polynomial(a: Asm, x: str, coefficients: Sequence[float]) -> str:
    """Polynomial with `coefficients` from the constant upwards, by Estrin's scheme: few operations in a row."""
    terms = [a.const(c) for c in coefficients]
    power = x
    while len(terms) > 1:
        pairs = [a.fma(terms[k + 1], power, terms[k]) for k in range(0, len(terms) - 1, 2)]
        terms = pairs + terms[len(pairs) * 2 :]
        if len(terms) > 1:
            power = a.mul(power, power)
    return terms[0]


def _power_of_two(a: Asm, n: str) -> str:
    """2^n for integral n (a double) within the normal range."""
    shifted = a.bits(a.add(n, a.const(_ROUND + 1023)))
    return a.from_bits(a.int("shl", shifted, a.const_i(52)))


def _exp_reduced(a: Asm, x: str, low: str | None = None) -> tuple[str, str]:
    """(p, n) with e^(x + low) = 2^n (1 + p); x must be within [-750, 711] or NaN."""
    magic = a.const(_ROUND)
    n = a.sub(a.fma(x, a.const(_LOG2E), magic), magic)
    r = a.fnma(n, a.const(_LN2_HI), x)
    r = a.fnma(n, a.const(_LN2_LO), r)
    if low is not None:
        r = a.add(r, low)
    q = polynomial(a, r, _EXP_SERIES)
    return a.fma(a.mul(r, r), q, r), n


def _scale(a: Asm, value: str, n: str) -> str:
    """value * 2^n; where there is no instruction for it, in two factors, so that it may be subnormal or overflow."""
    if "scalef" in a.special:
        return a.scale(value, n)
    magic = a.const(_ROUND)
    half = a.sub(a.fma(n, a.const(0.5), magic), magic)
    return a.mul(a.mul(value, _power_of_two(a, half)), _power_of_two(a, a.sub(n, half)))


def _clamp(a: Asm, x: str, low: float, high: float) -> str:
    """x limited to [low, high]; NaN stays."""
    x = a.select(a.compare("olt", x, a.const(low)), a.const(low), x)
    return a.select(a.compare("ogt", x, a.const(high)), a.const(high), x)


def _exp(a: Asm, x: str) -> str:
    p, n = _exp_reduced(a, _clamp(a, x, -750.0, 711.0))
    return _scale(a, a.add(p, a.const(1.0)), n)


def _expm1(a: Asm, x: str) -> str:
    p, n = _exp_reduced(a, _clamp(a, x, -60.0, 711.0))
    shift = _scale(a, a.const(1.0), a.neg(n))
    return _scale(a, a.add(p, a.sub(a.const(1.0), shift)), n)


def _split(a: Asm, x: str) -> tuple[str, str]:
    """(k, f) with x = 2^k (1 + f) and 1 + f in [sqrt(1/2), sqrt 2), for x positive and finite."""
    small = a.compare("olt", x, a.const(2.0**-1022))
    x = a.select(small, a.mul(x, a.const(2.0**54)), x)
    bits = a.bits(x)
    offset = a.int("sub", bits, a.const_i(_SQRT_HALF_BITS))
    raised = a.int("add", offset, a.const_i(1024 << 52))
    as_double = a.from_bits(a.int("or", a.int("lshr", raised, a.const_i(52)), a.const_i(0x4330000000000000)))
    bias = a.select(small, a.const(2.0**52 + 1024 + 54), a.const(2.0**52 + 1024))
    mantissa = a.int("sub", bits, a.int("and", offset, a.const_i(-(1 << 52))))
    return a.sub(as_double, bias), a.sub(a.from_bits(mantissa), a.const(1.0))


def _log_specials(a: Asm, x: str, result: str) -> str:
    """What log gives at 0, below it, at infinity and NaN."""
    result = a.select(a.compare("oeq", x, a.const(math.inf)), x, result)
    result = a.select(a.compare("oeq", x, a.const(0.0)), a.const(-math.inf), result)
    return a.select(a.compare("ult", x, a.const(0.0)), a.const(math.nan), result)


def _log(a: Asm, x: str) -> str:
    k, f = _split(a, x)
    s = a.div(f, a.add(a.const(2.0), f))
    z = a.mul(s, s)
    series = a.mul(z, polynomial(a, z, _LOG_SERIES))
    half_square = a.mul(a.mul(a.const(0.5), f), f)
    tail = a.fma(s, a.add(half_square, series), a.mul(k, a.const(_LN2_LO)))
    result = a.fma(k, a.const(_LN2_HI), a.sub(f, a.sub(half_square, tail)))
    return _log_specials(a, x, result)


def _log1p(a: Asm, x: str) -> str:
    one = a.const(1.0)
    u = a.add(one, x)
    lost = a.div(a.sub(x, a.sub(u, one)), u)
    lost = a.select(a.compare("olt", a.intrinsic("fabs", lost), a.const(1.0)), lost, a.const(0.0))
    result = a.add(_log(a, u), lost)
    return a.select(a.compare("olt", a.intrinsic("fabs", x), a.const(1e-17)), x, result)


def _exact_product(a: Asm, x: str, y: str) -> tuple[str, str]:
    high = a.mul(x, y)
    low = a.op(f"call {a.F} @llvm.fma.{a.suffix}({a.F} {x}, {a.F} {y}, {a.F} {a.neg(high)})")
    return high, low


def _fast_two_sum(a: Asm, x: str, y: str) -> tuple[str, str]:
    total = a.add(x, y)
    return total, a.add(a.sub(x, total), y)


def _log_double(a: Asm, x: str) -> tuple[str, str]:
    """log x as an unevaluated sum of two doubles, good to some 2^-65 relatively; x positive and finite."""
    k, f = _split(a, x)
    t, t_low = _fast_two_sum(a, a.const(2.0), f)
    inverse = a.quotient(a.const(1.0), t)  # what it lacks is made up for below
    s = a.mul(f, inverse)
    s_low = a.mul(a.fnma(s, t_low, a.fnma(s, t, f)), inverse)
    z, z_low = _exact_product(a, s, s)
    z_low = a.fma(a.add(s, s), s_low, z_low)
    tail = a.mul(a.mul(z, z), polynomial(a, z, [1.0 / (2 * j + 1) for j in range(2, 12)]))
    third, third_low = _exact_product(a, z, a.const(1.0 / 3.0))
    third_low = a.add(third_low, a.fma(z, a.const(_THIRD_LO), a.mul(z_low, a.const(1.0 / 3.0))))
    w, w_low = _fast_two_sum(a, third, tail)
    w_low = a.add(w_low, third_low)
    twice, twice_low = a.add(s, s), a.add(s_low, s_low)
    product, product_low = _exact_product(a, twice, w)
    product_low = a.add(product_low, a.fma(twice, w_low, a.fma(twice_low, w, twice_low)))
    high, low = _fast_two_sum(a, twice, product)
    low = a.add(low, product_low)
    total, total_low = _fast_two_sum(a, a.mul(k, a.const(_LN2_HI)), high)
    return total, a.add(total_low, a.fma(k, a.const(_LN2_LO), low))


def _log_pair(a: Asm, x: str) -> tuple[str, str]:
    """log x as a normalised sum of two doubles, good to some 2^-58 relatively; x positive and finite."""
    k, f = _split(a, x)
    t, t_low = _fast_two_sum(a, a.const(2.0), f)
    inverse = a.quotient(a.const(1.0), t)
    s = a.mul(f, inverse)
    s_low = a.mul(a.fnma(s, t_low, a.fnma(s, t, f)), inverse)
    z = a.mul(s, s)
    tail = a.mul(a.mul(s, z), polynomial(a, z, _LOG_SERIES))
    high, low = _fast_two_sum(a, a.mul(k, a.const(_LN2_HI)), a.add(s, s))
    rest = a.fma(k, a.const(_LN2_LO), a.fma(s_low, a.const(2.0), tail))
    return _fast_two_sum(a, high, a.add(low, rest))


def _power(a: Asm, x: str, y: str) -> str:
    """x^y for x that is not negative and y finite."""
    zero, inf = a.const(0.0), a.const(math.inf)
    log_high, log_low = _log_pair(a, x)
    log_high = a.select(a.compare("olt", x, inf), log_high, x)
    log_high = a.select(a.compare("oeq", x, zero), a.const(-math.inf), log_high)
    high, low = _exact_product(a, y, log_high)
    low = a.fma(y, log_low, low)
    low = a.select(a.compare("olt", a.intrinsic("fabs", high), a.const(1000.0)), low, zero)
    p, n = _exp_reduced(a, _clamp(a, high, -750.0, 711.0), low)
    one = a.const(1.0)
    return a.select(a.compare("oeq", y, zero), one, _scale(a, a.add(p, one), n))


def _pow(a: Asm, x: str, y: str) -> str:
    zero, one, inf = a.const(0.0), a.const(1.0), a.const(math.inf)
    base = a.intrinsic("fabs", x)
    log_high, log_low = _log_double(a, base)
    log_high = a.select(a.compare("oeq", base, inf), inf, log_high)
    log_high = a.select(a.compare("oeq", base, zero), a.const(-math.inf), log_high)
    high, low = _exact_product(a, y, log_high)
    low = a.fma(y, log_low, low)
    bounded = a.compare("olt", a.intrinsic("fabs", high), a.const(1000.0))
    low = a.select(bounded, low, zero)
    p, n = _exp_reduced(a, _clamp(a, high, -750.0, 711.0), low)
    result = _scale(a, a.add(p, one), n)
    return _pow_specials(a, x, y, result)


def _pow_specials(a: Asm, x: str, y: str, result: str) -> str:
    zero, one = a.const(0.0), a.const(1.0)
    whole = a.compare("oeq", a.intrinsic("floor", y), y)
    half = a.mul(y, a.const(0.5))
    odd = a.logic("and", whole, a.compare("one", a.intrinsic("floor", half), half))
    signed = a.select(odd, a.neg(result), result)
    finite = a.compare("olt", a.intrinsic("fabs", x), a.const(math.inf))
    negative = a.select(a.logic("or", whole, a.not_(finite)), signed, a.const(math.nan))
    result = a.select(a.compare("olt", x, zero), negative, result)
    unit = a.logic(
        "and", a.compare("oeq", x, a.const(-1.0)), a.compare("oeq", a.intrinsic("fabs", y), a.const(math.inf))
    )
    result = a.select(unit, one, result)
    result = a.select(a.compare("uno", x, y), a.const(math.nan), result)
    trivial = a.logic("or", a.compare("oeq", y, zero), a.compare("oeq", x, one))
    return a.select(trivial, one, result)


def _tanh(a: Asm, x: str) -> str:
    size = a.intrinsic("fabs", x)
    size = a.select(a.compare("ogt", size, a.const(25.0)), a.const(25.0), size)
    twice = a.add(size, size)
    # A small argument is not reduced: the reduction would cost it half a unit.
    near = a.select(a.compare("olt", twice, a.const(0.7)), twice, a.const(0.0))
    square = a.mul(near, near)
    series = a.fma(square, polynomial(a, near, [1.0 / math.factorial(k) for k in range(2, 19)]), near)
    grown = a.select(a.compare("olt", twice, a.const(0.7)), series, _expm1(a, twice))
    result = a.div(grown, a.add(grown, a.const(2.0)))
    return a.intrinsic("copysign", result, x)


def _logistic(a: Asm, x: str) -> str:
    """1 / (1 + e^-x) from one exponential that cannot overflow; the quotient is corrected for what 1 + e lost."""
    one = a.const(1.0)
    small = _exp(a, a.neg(a.intrinsic("fabs", x)))
    top = a.select(a.compare("olt", x, a.const(0.0)), small, one)
    bottom, lost = _fast_two_sum(a, one, small)
    inverse = a.div(one, bottom)
    result = a.mul(top, inverse)
    return a.fma(a.fnma(result, lost, a.fnma(result, bottom, top)), inverse, result)


def _quadrant(a: Asm, x: str) -> tuple[str, str, str]:
    """(sin r, cos r, quadrant as integer) with x = r + quadrant * pi / 2 and |r| at most pi / 4."""
    magic = a.const(_ROUND)
    shifted = a.fma(x, a.const(2.0 / math.pi), magic)
    n = a.sub(shifted, magic)
    r = x
    for part in _HALF_PI:
        r = a.fnma(n, a.const(part), r)
    z = a.mul(r, r)
    sine = [(-1.0) ** k / math.factorial(2 * k + 1) for k in range(1, 9)]
    cosine = [(-1.0) ** k / math.factorial(2 * k) for k in range(2, 10)]
    sin = a.fma(a.mul(z, r), polynomial(a, z, sine), r)
    # 1 - z/2 first, with what that rounding loses added back.
    half = a.mul(z, a.const(0.5))
    near = a.sub(a.const(1.0), half)
    lost = a.sub(a.sub(a.const(1.0), near), half)
    cos = a.add(near, a.fma(a.mul(z, z), polynomial(a, z, cosine), lost))
    return sin, cos, a.bits(shifted)


def _circular(a: Asm, x: str, shift: int) -> str:
    sin, cos, quadrant = _quadrant(a, x)
    quadrant = a.int("add", quadrant, a.const_i(shift))
    odd = a.op(f"icmp ne {a.I} {a.int('and', quadrant, a.const_i(1))}, {a.const_i(0)}")
    value = a.select(odd, cos, sin)
    flip = a.int("shl", a.int("and", quadrant, a.const_i(2)), a.const_i(62))
    return a.from_bits(a.int("xor", a.bits(value), flip))


def rough_log2(a: Asm, x: str) -> str:
    """log2 x for normal positive x, to about 4e-6: for the step size controller."""
    k, f = _split(a, x)
    return a.fma(f, polynomial(a, f, _ROUGH_LOG2), k)


def rough_exp2(a: Asm, y: str) -> str:
    """2^y for y in [-1000, 1000], to about 1e-7."""
    magic = a.const(_ROUND)
    n = a.sub(a.add(y, magic), magic)
    return a.mul(polynomial(a, a.sub(y, n), _ROUGH_EXP2), _power_of_two(a, n))


_ROUGH_LOG2 = [1.442702, -0.7212085, 0.4797939, -0.3664133, 0.3184071, -0.2068581]
_ROUGH_EXP2 = [1.0, 0.69314718, 0.24022651, 0.05550411, 0.0096181, 0.0013333558]

FUNCTIONS: dict[str, tuple[int, Callable[..., str]]] = {
    "exp": (1, _exp),
    "log": (1, _log),
    "log1p": (1, _log1p),
    "expm1": (1, _expm1),
    "pow": (2, _pow),
    "power": (2, _power),
    "tanh": (1, _tanh),
    "logistic": (1, _logistic),
    "sin": (1, lambda a, x: _circular(a, x, 0)),
    "cos": (1, lambda a, x: _circular(a, x, 1)),
}
"""Name -> number of arguments and the writer of its body."""


def vector_function(name: str, width: int, fma: bool, special: tuple[str, ...] = ()) -> str:
    """LLVM text of ``@lane_<name>``."""
    count, write = FUNCTIONS[name]
    asm = Asm(width, fma, special)
    names = ["%x", "%y"][:count]
    result = write(asm, *names)
    asm.emit(f"ret {asm.F} {result}")
    return function(f"lane_{name}", [f"{asm.F} {n}" for n in names], asm, f"internal {asm.F}", "noinline #0")
