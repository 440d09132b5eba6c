"""The units door."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from her2pkpd.errors import InputError
from her2pkpd.units import (
    AVOGADRO,
    convert,
    parse_quantity,
    parse_unit,
    quantity,
    receptors_to_nM,
    same_kind,
)

KINDS = [
    ("nM", "uM", "pM", "mM", "M", "nmol/L", "mol/L", "umol/mL", "pmol/uL"),
    ("ng/mL", "ug/mL", "mg/L", "g/L", "ug/L", "pg/uL"),
    ("s", "min", "h", "hr", "d", "day", "days", "week", "wk", "hours", "year"),
    ("uL", "mL", "L", "ml", "mm3", "cm3", "nL"),
    ("1/h", "1/d", "1/min", "1/s"),
    ("1/nM/h", "1/uM/s", "L/nmol/h", "1/M/s"),
    ("1", "%", "percent", "fraction", ""),
    ("mg/kg", "g/kg", "ug/g", "ng/mg"),
    ("copies/cell", "receptors/cell", "molecules/cell"),
    ("cells/mL", "cells/uL", "cell/L"),
    ("cm2", "mm2", "m2", "um2"),
]
same = st.sampled_from(KINDS).flatmap(lambda k: st.tuples(st.sampled_from(k), st.sampled_from(k)))
values = st.floats(1e-12, 1e12)
masses = st.floats(100.0, 2e5)


@given(same, values)
def test_there_and_back_again(units, value):
    a, b = units
    assert convert(convert(value, a, b), b, a) == pytest.approx(value, rel=1e-12)


@given(st.sampled_from(["ng/mL", "ug/mL", "g/L", "mg"]), st.sampled_from(["nM", "uM", "pM", "nmol"]), values, masses)
def test_mass_to_amount_and_back(mass, amount, value, molar_mass):
    assume(("/" in mass) == amount.endswith("M"))
    there = convert(value, mass, amount, molar_mass=molar_mass)
    assert convert(there, amount, mass, molar_mass=molar_mass) == pytest.approx(value, rel=1e-12)


@given(same, values, values)
def test_conversion_is_linear(units, x, y):
    a, b = units
    assert convert(x + y, a, b) == pytest.approx(convert(x, a, b) + convert(y, a, b), rel=1e-12)


@given(values, st.sampled_from([u for k in KINDS for u in k if u]), st.sampled_from(["", " ", "   "]))
def test_a_written_quantity_is_read_as_written(value, unit, gap):
    assume(gap or unit[0] not in "1%eE")
    assert parse_quantity(f"{value!r}{gap}{unit}") == (value, unit)


@pytest.mark.parametrize(
    ("value", "unit", "to", "molar_mass", "expected"),
    [
        (1.0, "ug/mL", "nM", 145_532.0, 1e6 / 145_532.0),  # 1 ug/mL = 1e-3 g/L
        (10.0, "nM", "ng/mL", 581.06, 5.8106),
        (1.0, "mg", "nmol", 1000.0, 1000.0),
        (2.0, "d", "h", None, 48.0),
        (90.0, "min", "h", None, 1.5),
        (1.0, "week", "h", None, 168.0),
        (100.0, "uL", "L", None, 1e-4),
        (1.0, "1/nM/s", "1/nM/h", None, 3600.0),
        (1.0, "1/uM/h", "1/nM/h", None, 1e-3),
        (50.0, "%", "1", None, 0.5),
        (5.4, "mg/kg", "ug/g", None, 5.4),
        (1.0, "pmol/mL", "nM", None, 1.0),
        (0.022, "cm2/d", "mm2/d", None, 2.2),
        (1.0, "µM", "nM", None, 1000.0),
        (1.0, "μg/mL", "ng/mL", None, 1000.0),
        (3.0, "mg per L", "ug/mL", None, 3.0),
    ],
)
def test_numbers_worked_out_by_hand(value, unit, to, molar_mass, expected):
    assert convert(value, unit, to, molar_mass=molar_mass) == pytest.approx(expected, rel=1e-12)


def test_receptors_per_cell():
    # 1e6 receptors in 1 pL are 1.66 uM.
    assert receptors_to_nM(1e6, 1e-12) == pytest.approx(1e6 / AVOGADRO / 1e-12 * 1e9)
    assert receptors_to_nM(1e6, 1e-12) == pytest.approx(1660.54, rel=1e-5)


@pytest.mark.parametrize(
    ("text", "to", "rule", "remedy"),
    [
        ("10", "nM", "the unit is missing", '"10 nM"'),
        (10, "nM", "the unit is missing", '"10.0 nM"'),
        ("ten nM", "nM", "a quantity must be a number followed by a unit", '"10 nM"'),
        ("", "nM", "a quantity must be a number followed by a unit", '"10 nM"'),
        ("1,5 nM", "nM", "a quantity must be written with a decimal point", "1.5"),
        ("1e308 M", "pM", "a quantity must be finite", "ordinary number"),
        ("10 nm", "nM", "unknown unit 'nm'", "Use one of"),
        ("10 furlong", "nM", "unknown unit 'furlong'", "Use one of"),
        ("nan nM", "nM", "a quantity must be a number followed by a unit", ""),
        ("inf nM", "nM", "a quantity must be a number followed by a unit", ""),
        ("1e999 nM", "nM", "a quantity must be finite", "ordinary number"),
        ("10 h", "nM", "unit 'h' cannot be converted to 'nM'", "same kind as 'nM'"),
        ("10 nM", "h", "unit 'nM' cannot be converted to 'h'", "same kind as 'h'"),
        ("10 ug/mL", "nM", "converting 'ug/mL' to 'nM' needs a molar mass", "molar_mass"),
        (True, "nM", "a quantity in 'nM' must be text with a unit", '"1 nM"'),
        (None, "nM", "a quantity in 'nM' must be text with a unit", '"1 nM"'),
        ([1], "nM", "a quantity in 'nM' must be text with a unit", '"1 nM"'),
        (float("nan"), "1", "a quantity must be a number followed by a unit", ""),
        (float("inf"), "1", "a quantity must be a number followed by a unit", ""),
        (10**400, "1", "a quantity must be finite", "ordinary number"),
        ("1 nM/", "nM", "unknown unit", "Use one of"),
        ("1 /h", "nM", "cannot be converted", "same kind"),
        ("1 nM//h", "nM/h", "unknown unit", "Use one of"),
    ],
)
def test_refusals_say_what_is_wrong_and_what_to_do(text, to, rule, remedy):
    with pytest.raises(InputError) as refused:
        quantity(text, to)
    (problem,) = refused.value.problems
    assert rule in problem.rule
    assert remedy in problem.remedy


def test_a_bare_number_is_read_where_no_unit_is_needed():
    assert quantity(0.5, "1") == quantity("0.5", "1") == quantity("50 %", "1") == 0.5


@given(st.text(max_size=20))
def test_any_text_is_a_quantity_or_a_refusal(text):
    try:
        value = quantity(text, "nM")
    except InputError:
        return
    assert math.isfinite(value)


@given(st.text(max_size=12))
def test_any_text_is_a_unit_or_a_refusal(text):
    try:
        unit = parse_unit(text)
    except InputError:
        return
    assert unit.factor > 0
    assert math.isfinite(unit.factor)


def test_units_of_one_kind():
    assert same_kind("ug/mL", "nM")
    assert same_kind("d", "h")
    assert not same_kind("d", "nM")
