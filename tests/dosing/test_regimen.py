"""Regimens as text."""

import pytest

from her2pkpd.dosing.regimen import Amount, read_amount, read_regimen
from her2pkpd.errors import InputError


@pytest.mark.parametrize(
    ("text", "amount", "per", "interval", "loading", "doses"),
    [
        ("420 mg every 3 weeks, loading 840 mg", 420e3, "", 504.0, 840e3, None),
        ("8 mg/kg", 8e3, "kg", 0.0, None, None),
        ("5.4 mg/kg every 21 d for 6 doses", 5.4e3, "kg", 504.0, None, 6),
        ("6 mg/kg q3w, loading dose of 8 mg/kg, 18 cycles", 6e3, "kg", 504.0, 8e3, 18),
        ("300 mg twice daily", 3e5, "", 12.0, None, None),
        ("1250 mg once daily", 1.25e6, "", 24.0, None, None),
        ("75 mg/m2 every week", 75e3, "m2", 168.0, None, None),
        ("2 mg/kg weekly", 2e3, "kg", 168.0, None, None),
    ],
)
def test_regimens(text, amount, per, interval, loading, doses):
    found = read_regimen(text)
    assert found.amount == Amount(pytest.approx(amount), per)
    assert found.interval == pytest.approx(interval)
    assert (found.loading.value if found.loading else None) == (pytest.approx(loading) if loading else None)
    assert found.doses == doses


@pytest.mark.parametrize(
    "text",
    [
        *("", "420", "420 mg sometimes", "mg every 3 weeks", "-8 mg/kg every 3 weeks", "0 mg", "8 mg/L every 3 weeks"),
        *("8 mL", "420 mg every 0 weeks", "420 mg every fortnight", "420 mg, loading 840 mg", "8 mg/kg for 0 doses"),
        *("1,5 mg/kg", "420 mg every 3 weeks loading lots", "420 mg/kg/d", "8 mg/dog"),
    ],
)
def test_what_is_not_understood_is_refused_with_an_example(text):
    with pytest.raises(InputError) as caught:
        read_regimen(text)
    assert caught.value.problems[0].remedy


def test_amounts_scale_with_the_patient():
    assert read_amount("8 mg/kg").micrograms(70.0, 1.7) == pytest.approx(560e3)
    assert read_amount("75 mg/m2").micrograms(70.0, 1.7) == pytest.approx(127.5e3)
    assert read_amount("600 mg").micrograms(70.0, 1.7) == pytest.approx(600e3)
