"""ADCs in a user's own file: a dozen lines make one, and impossible ones are refused with the reason."""

import pytest

from her2pkpd.errors import InputError
from her2pkpd.library import load_drug
from her2pkpd.library.adc import PAYLOAD

SOURCED = 'citation = "own data", certainty = "assumed"'
OWN = f"""
[identity]
name = "T-mine"
kind = "adc"
molar_mass = {{ value = 150, unit = "kg/mol", {SOURCED} }}
[adc]
antibody = "Herceptin"
DAR = {{ value = 4, unit = "1", {SOURCED} }}
sites = 8
[linker]
cleavable = true
cleavage = {{ value = 1, unit = "1/h", {SOURCED} }}
deconjugation = {{ value = 1e-4, unit = "1/h", {SOURCED} }}
[payload]
name = "DXd"
"""


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_a_dozen_lines_make_an_adc(tmp_path):
    drug = load_drug("T-mine", write(tmp_path / "mine.toml", OWN))
    molecule = drug.conjugate
    assert len(OWN.split("\n")) <= 18
    assert molecule.antibody == load_drug("trastuzumab")
    assert drug.binding == load_drug("trastuzumab").binding
    assert drug.epitope == "domain IV"
    assert molecule.payload.constants == load_drug("DXd").payload.constants
    assert set(molecule.payload.constants) == set(PAYLOAD)
    assert sum(molecule.distribution) == pytest.approx(1.0)
    assert sum(n * x for n, x in enumerate(molecule.distribution)) == pytest.approx(4.0)


def test_its_own_constants_replace_those_of_antibody_and_payload(tmp_path):
    text = (
        OWN
        + f'kc50 = {{ value = 3, unit = "nM", {SOURCED} }}\n[binding]\nKD = {{ value = 2, unit = "nM", {SOURCED} }}\n'
    )
    drug = load_drug("T-mine", write(tmp_path / "mine.toml", text))
    assert drug.conjugate.payload.constants["kc50"].canonical == 3
    assert drug.binding["KD"].canonical == 2
    assert drug.binding["kon"] == load_drug("trastuzumab").binding["kon"]
    assert drug.conjugate.antibody.binding["KD"].canonical == 0.314


BAD = {
    "DAR above sites": ("value = 4", "value = 9", "at most the number of sites, 8"),
    "no DAR": ("value = 4", "value = 0", "above zero"),
    "negative rate": ("value = 1e-4", "value = -1e-4", "must not be negative"),
    "cleavable without a rate": ('cleavage = {', 'description = {', "must have a rate of cleavage"),
    "not cleavable with a rate": ("cleavable = true", "cleavable = false", "has no rate of cleavage"),
    "cleavage of zero": ("cleavage = { value = 1,", "cleavage = { value = 0,", "must be above zero"),
    "unknown payload": ('name = "DXd"', 'name = "XYZ"', "must have a target"),
    "no payload": ('name = "DXd"', "", "must have a name"),
    "unknown antibody": ("Herceptin", "nonsense", "must name the antibody"),
    "another ADC as antibody": ("Herceptin", "T-DM1", "must name the antibody"),
    "half a site": ("sites = 8", "sites = 7.5", "sites must be a whole number"),
    "fractions that do not add up": ("sites = 8", f"sites = 8\ndistribution = {{ fractions = [0.5, 0.4], {SOURCED} }}", "add up to 1"),
    "another mean": ("sites = 8", f"sites = 8\ndistribution = {{ fractions = [0.5, 0.5], {SOURCED} }}", "has a mean of 0.5"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_impossible_adcs_are_refused_with_the_reason(name, tmp_path):
    old, new, rule = BAD[name]
    assert old in OWN
    with pytest.raises(InputError, match=rule):
        load_drug("T-mine", write(tmp_path / "mine.toml", OWN.replace(old, new)))


def test_every_mistake_is_named_at_once(tmp_path):
    text = OWN.replace("value = 4", "value = 9").replace("value = 1e-4", "value = -1").replace("Herceptin", "?")
    with pytest.raises(InputError) as caught:
        load_drug("T-mine", write(tmp_path / "mine.toml", text))
    assert {p.column for p in caught.value.problems} >= {"adc.DAR", "adc.antibody", "linker.deconjugation.value"}


def test_only_an_adc_has_a_linker(tmp_path):
    text = f'[identity]\nname = "trastuzumab"\n[linker]\ncleavable = true\n'
    with pytest.raises(InputError, match="only an ADC has this table"):
        load_drug("trastuzumab", write(tmp_path / "mine.toml", text))
