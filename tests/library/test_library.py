"""One library for all readers: every spelling leads to one name, and a user's files join in."""

import itertools

import pytest

from her2pkpd.errors import InputError
from her2pkpd.library import load_cell_line, load_drug, open_library
from her2pkpd.systems.well import LIGANDS, cell_parameters, well_model
from tests.library.test_own_files import MARGETUXIMAB, SOURCED, write

LIBRARY = open_library()


def test_every_spelling_leads_where_loading_leads():
    for spellings, load, find in (
        (LIBRARY.drug_spellings, load_drug, LIBRARY.drug),
        (LIBRARY.cell_line_spellings, load_cell_line, LIBRARY.cell_line),
    ):
        assert len(spellings) > len(set(spellings.values()))
        for word, name in spellings.items():
            assert load(word).name == find(word).name == name


@pytest.mark.parametrize(
    ("written", "spelt"),
    [
        ("Herceptin.KD", "trastuzumab.KD"),
        ("viability.skbr3", "viability.SK-BR-3"),
        ("occupancy.Perjeta.BT474", "occupancy.pertuzumab.BT-474"),
        ("hs 739t.w", "Hs 739.T.w"),
        ("Hs 739.T.w", "Hs 739.T.w"),
        ("HKI-272.HER2.KI", "neratinib.HER2.KI"),
        ("kint", "kint"),
        ("", ""),
        ("...", "..."),
    ],
)
def test_dotted_names(written, spelt):
    assert LIBRARY.spelt(written) == spelt


def test_no_name_of_a_model_is_taken_for_a_synonym():
    # A cell line or drug called like a species, a quantity or a parameter would rename it.
    lines = {x.name: {**cell_parameters(x), "seeded": 1.0} for x in itertools.islice(LIBRARY.cell_lines.values(), 3)}
    drugs = [d for d in LIBRARY.drugs.values() if d.kind in ("antibody", "tki")]
    model = well_model(drugs, lines, ligands=LIGANDS)
    names = [*model.parameter_index, *model.quantity_table, *model.species_index]
    assert {n for n in names if LIBRARY.spelt(n) != n} == set()
    assert LIBRARY.spelt("w") == "w"


def test_own_files_join(tmp_path):
    path = write(tmp_path / "drugs" / "mine.toml", MARGETUXIMAB)
    library = open_library(tmp_path)
    assert library.drug("Margenza").name == "margetuximab"
    assert library.molar_masses["margetuximab"] == pytest.approx(149_000)
    assert library.files == (path,)
    assert library.cell_lines.keys() == LIBRARY.cell_lines.keys()


def test_a_library_that_holds_nothing_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no file"):
        open_library(tmp_path)


def test_parameters_of_mechanisms_belong_elsewhere(tmp_path):
    path = write(tmp_path / "p.toml", f'kint = {{ value = 0.2, unit = "1/h", {SOURCED} }}\n')
    with pytest.raises(InputError, match=r"\[parameters\]"):
        open_library(path)
