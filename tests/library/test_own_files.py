"""A user's own files: laid over the library, and every mistake in them named."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2pkpd.errors import InputError
from her2pkpd.library import cell_line_names, drug_names, load_cell_line, load_drug, load_parameters

SOURCED = 'citation = "own data", certainty = "assumed"'

MARGETUXIMAB = f"""
[identity]
name = "margetuximab"
kind = "antibody"
synonyms = ["Margenza"]
molar_mass = {{ value = 149, unit = "kg/mol", {SOURCED} }}

[binding]
epitope = "domain IV"
kon = {{ value = 1e5, unit = "1/M/s", {SOURCED} }}
KD = {{ value = 300, unit = "pM", cv = 0.5, {SOURCED} }}
internalisation_ratio = {{ value = 1, unit = "1", {SOURCED} }}
"""


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_new_drug_joins_the_library(tmp_path):
    path = write(tmp_path / "mine.toml", MARGETUXIMAB)
    assert set(drug_names(path)) == {*drug_names(), "margetuximab"}
    drug = load_drug("margenza", path)
    assert drug.molar_mass.canonical == pytest.approx(149_000)
    assert drug.binding["kon"].canonical == pytest.approx(0.36)
    assert drug.binding["KD"].canonical == pytest.approx(0.3)
    # The 95 % interval of a log-normal with CV 0.5 has a ratio of exp(2 * 1.96 * sqrt(ln 1.25)) between its ends.
    spread = drug.binding["KD"].spread
    assert spread.high / spread.low == pytest.approx(6.371, rel=1e-3)
    assert (spread.high * spread.low) ** 0.5 == pytest.approx(0.3)
    with pytest.raises(InputError, match="unknown drug"):
        load_drug("margetuximab")


def test_an_override_replaces_only_what_it_gives(tmp_path):
    text = f'[identity]\nname = "Lapatinib"\n[kinase.HER2]\nKi = {{ value = 12, unit = "nM", {SOURCED} }}\n'
    drug = load_drug("lapatinib", write(tmp_path / "mine.toml", text))
    library = load_drug("lapatinib")
    assert drug.name == "lapatinib"
    assert drug.kinases["HER2"].constants["Ki"].canonical == 12
    assert drug.kinases["HER2"].constants["Ki"].spread is None
    assert drug.kinases["HER2"].constants["koff"] == library.kinases["HER2"].constants["koff"]
    assert drug.kinases["EGFR"] == library.kinases["EGFR"]
    assert library.kinases["HER2"].constants["Ki"].canonical != 12


def test_another_mode_replaces_the_whole_kinase(tmp_path):
    text = (
        '[identity]\nname = "lapatinib"\n[kinase.HER2]\nmode = "covalent"\n'
        f'KI = {{ value = 12, unit = "nM", {SOURCED} }}\nkinact = {{ value = 1, unit = "1/h", {SOURCED} }}\n'
    )
    held = load_drug("lapatinib", write(tmp_path / "mine.toml", text)).kinases["HER2"]
    assert (held.mode, set(held.constants)) == ("covalent", {"KI", "kinact"})


def test_a_folder_is_laid_out_like_the_library(tmp_path):
    write(tmp_path / "drugs" / "margetuximab.toml", MARGETUXIMAB)
    line = f"""
    [sources.flow]
    citation = "our flow cytometry"
    certainty = "published"
    ["SKBR3"]
    HER2 = {{ value = 2e6, unit = "copies/cell", source = "flow" }}
    w = {{ value = 80, unit = "%", {SOURCED} }}
    ["Our line"]
    HER2 = {{ value = 5e5, unit = "receptors/cell", source = "niepel" }}
    """
    write(tmp_path / "cell_lines.toml", line)
    write(tmp_path / "parameters.toml", f'kint = {{ value = 2.0, unit = "1/d", {SOURCED} }}\n')
    assert load_drug("margetuximab", tmp_path).name == "margetuximab"
    skbr3 = load_cell_line("SK-BR-3", tmp_path)
    assert skbr3.HER2.canonical == 2e6
    assert skbr3.HER2.source.citation == "our flow cytometry"
    assert skbr3["w"].canonical == pytest.approx(0.8)
    assert skbr3.HER3 == load_cell_line("SK-BR-3").HER3
    assert load_cell_line("our LINE", tmp_path).doubling_time.source.certainty == "assumed"
    assert len(cell_line_names(tmp_path)) == len(cell_line_names()) + 1
    assert load_parameters(tmp_path)["kint"].canonical == pytest.approx(2 / 24)
    assert load_parameters(tmp_path)["omega"] == load_parameters()["omega"]


def test_a_single_file_is_known_by_what_it_holds(tmp_path):
    parameters = write(tmp_path / "p.toml", f'kint = {{ value = 0.2, unit = "1/h", {SOURCED} }}\n')
    drug = write(tmp_path / "d.toml", MARGETUXIMAB)
    lines = write(tmp_path / "c.toml", f'[X1]\nHER2 = {{ value = 1, unit = "copies/cell", {SOURCED} }}\n')
    for path in (parameters, drug, lines):
        load_parameters(path)
        assert len(drug_names(path)) == len(drug_names()) + (path is drug)
        assert len(cell_line_names(path)) == len(cell_line_names()) + (path is lines)


DRUG_MISTAKES = [
    ("kon =", "k_on =", "binding.k_on", "Did you mean 'kon'"),
    ('"pM"', '"parsec"', "binding.KD.unit", "unknown unit 'parsec'"),
    ('"pM"', '"h"', "binding.KD.unit", "must convert to nM"),
    ("value = 300", 'value = "300"', "binding.KD.value", "must be a finite number"),
    ("value = 300", "value = -300", "binding.KD.value", "must not be negative"),
    ("value = 300", "value = nan", "binding.KD.value", "must be a finite number"),
    ("value = 300", "value = true", "binding.KD.value", "must be a finite number"),
    ("cv = 0.5", "cv = 0.5, fold = 2", "binding.KD", "must have one spread"),
    ("cv = 0.5", "fold = 0.5", "binding.KD.fold", "must be 1 or more"),
    ("cv = 0.5", "range = [400, 500]", "binding.KD.range", "must contain the value"),
    ("cv = 0.5", "range = [400]", "binding.KD.range", "must be two numbers"),
    ("cv = 0.5", 'cv = "large"', "binding.KD.cv", "must be a finite number"),
    ('"domain IV"', '"domain I"', "binding.epitope", 'must be "domain IV" or "domain II"'),
    ('kind = "antibody"', 'kind = "vaccine"', "identity.kind", 'must be "antibody" or "tki"'),
    ('kind = "antibody"', 'kind = "tki"', "kinase", "must inhibit a kinase"),
    ('["Margenza"]', '"Margenza"', "identity.synonyms", "must be a list of names"),
    ('name = "margetuximab"', "", "identity.name", "must have a name"),
    ("[binding]", "[bindings]", "bindings", "Did you mean 'binding'"),
    ("value = 1e5, unit", "value = 1e5, units", "binding.kon.units", "Did you mean 'unit'"),
    ('value = 1, unit = "1",', 'value = 1, unit = "1", source = "x",', "internalisation_ratio.source", "[sources.x]"),
]


@pytest.mark.parametrize(("good", "bad", "key", "message"), DRUG_MISTAKES)
def test_every_mistake_names_the_key_and_the_remedy(tmp_path, good, bad, key, message):
    path = write(tmp_path / "mine.toml", MARGETUXIMAB.replace(good, bad))
    with pytest.raises(InputError) as error:
        load_drug("margetuximab", path)
    assert str(path) in str(error.value)
    assert key in str(error.value)
    assert message in str(error.value)


def test_all_mistakes_are_reported_at_once(tmp_path):
    text = MARGETUXIMAB.replace("300", "-300").replace("149", '"heavy"').replace("own data", " ", 1)
    with pytest.raises(InputError) as error:
        load_drug("margetuximab", write(tmp_path / "mine.toml", text))
    assert len(error.value.problems) >= 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[X1]\nHER2 = 5", "must be a table with value, unit and source"),
        ('[X1]\nHER2 = { value = 1, unit = "nM", citation = "c", certainty = "assumed" }', "must convert to copies"),
        ('[X1]\nHER2 = { value = 1, unit = "copies/cell", certainty = "assumed" }', "must have a citation"),
        ('[X1]\nHER2 = { value = 1, unit = "copies/cell", citation = "c" }', "certainty must be a known word"),
        ("[X1]\nHER_2 = 5", "Did you mean 'HER2'"),
        ("[X1]\ntissue = 5", "must be text"),
        ("[X1]\nreported = 5", "must be a list of quantities"),
        ("[X1]\nreported = [{ quantity = 'size' }]", "must be"),
        ("X1 = 5", "a cell line must be a table"),
        ("[sources]\nx = 5", "must be a table"),
        ("default = 5", "must be a table"),
        ("[X1", "not valid TOML"),
    ],
)
def test_mistakes_in_cell_lines(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        load_cell_line("X1", write(tmp_path / "mine.toml", text))


def test_unreadable_files(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        load_drug("trastuzumab", tmp_path / "missing.toml")
    (tmp_path / "latin.toml").write_bytes('[identity]\nname = "caf\xe9"'.encode("latin-1"))
    with pytest.raises(InputError, match="not UTF-8"):
        load_drug("trastuzumab", tmp_path / "latin.toml")


def test_a_byte_order_mark_does_not_matter(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xef\xbb\xbf" + MARGETUXIMAB.encode())
    assert load_drug("margetuximab", path).name == "margetuximab"


TOML = st.recursive(
    st.one_of(st.integers(-5, 5), st.booleans(), st.sampled_from(["nM", "1", "tki", "antibody", "reversible", ""])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                "identity binding kinase HER2 mode value unit name kind sources default reported Ki cv".split()
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)


def as_toml(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k} = {as_toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(as_toml(v) for v in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


@settings(max_examples=60, deadline=None)
@given(table=st.dictionaries(st.sampled_from(["identity", "kinase", "sources", "default", "X1", "kint"]), TOML))
def test_no_file_makes_anything_but_an_input_error(tmp_path_factory, table):
    path = tmp_path_factory.mktemp("any") / "mine.toml"
    path.write_text("\n".join(f"{k} = {as_toml(v)}" for k, v in table.items()), encoding="utf-8")
    for load in (drug_names, cell_line_names, load_parameters):
        with contextlib.suppress(InputError):
            load(path)
