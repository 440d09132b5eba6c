"""Exact numbers: a guideline's threshold divides, so the numbers compared with it are never rounded.

Rule of this package: a value is compared as it is written, to the last digit. A ratio of 1.995 is below 2.0 even
where a report prints it as 2.0; whoever has only the printed 2.0 can only be told that it meets 2.0. Signal counts
are better than either: their ratio is an exact fraction. Floats are read as the shortest decimal that prints them,
so 2.2 means 2.2 and not the binary number next to it.
"""

import math
from decimal import ROUND_DOWN, Context, Decimal, InvalidOperation
from fractions import Fraction
from numbers import Integral, Real

Number = int | float | str | Decimal | Fraction
"""What `exact` reads; NumPy scalars are taken as well."""

_SHOWN_DECIMALS = 4
_LONGEST = 60
"""Characters of a number; longer ones, and exponents beyond, are no measurement."""


def exact(value: object) -> Fraction:
    """The number as a fraction, without rounding.

    Args:
        value: a `Number`, or a NumPy scalar; text is read as a decimal ("1.995", "2e1").

    Returns:
        The exact value; floats as their shortest decimal.

    Raises:
        ValueError: if it is no finite number, or too long to be one.

    Example:
        >>> exact("1.995") < 2 <= exact(2.0)
        True
        >>> exact(4.2) / exact(2.1) == 2
        True
    """
    if isinstance(value, Fraction):
        return value
    if isinstance(value, Integral) and not isinstance(value, bool):
        return Fraction(int(value))
    text = repr(float(value)) if isinstance(value, Real) and not isinstance(value, bool) else str(value).strip()
    try:
        decimal = Decimal(text) if len(text) <= _LONGEST else Decimal("NaN")
    except InvalidOperation:
        raise ValueError(f"{value!r} is no number") from None
    if not decimal.is_finite() or abs(decimal.adjusted()) > 300:
        raise ValueError(f"{value!r} is no finite number")
    return Fraction(decimal)


def shown(value: Fraction) -> str:
    """A number for a reader, cut after four decimals and never rounded, so that 1.99999 cannot appear as 2.0.

    Example:
        >>> shown(exact("2")), shown(exact("1.995")), shown(Fraction(199999, 100000)), shown(Fraction(2, 3))
        ('2.0', '1.995', '1.9999...', '0.6666...')
    """
    context = Context(prec=50, rounding=ROUND_DOWN)
    decimal = context.divide(Decimal(value.numerator), Decimal(value.denominator))
    cut = decimal.quantize(Decimal(1).scaleb(-_SHOWN_DECIMALS), context=context)
    text = f"{cut:f}".rstrip("0")
    text += "0" if text.endswith(".") else ""
    return text if Fraction(cut) == value else text + "..."


def plain(value: Fraction) -> float:
    """The nearest float, without a negative zero."""
    return float(value) if value else 0.0


def as_written(value: float) -> str:
    """A computed number for a table: 12 significant digits, no trailing zeros, blank for NaN."""
    return "" if math.isnan(value) else f"{value:.12g}"
