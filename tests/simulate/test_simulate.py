"""Scenarios that can be simulated: the table, and that it is the model's own numbers."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2pkpd import cli
from her2pkpd.dosing import Add, Wash
from her2pkpd.errors import InputError
from her2pkpd.simulate import read_scenario, simulate
from tests.systems.wells import outputs, run, well

LINE = "SK-BR-3"
SCENARIO = """
[system]
kind = "well"
cell_lines = { "SK-BR-3" = 5000 }
volume = "100 uL"
ligand = { NRG1 = "0 nM" }

[[dose]]
drug = "trastuzumab"
concentration = "10 nM"
time = "0 h"

[[dose]]
action = "wash"
time = "24 h"

[[dose]]
drug = "Tykerb"
concentration = "58.1 ng/mL"
time = "30 h"

[parameters]
"trastuzumab.KD" = "0.3 nM"

[output]
times = { start = "0 h", stop = "72 h", step = "6 h" }
variables = ["viability.SK-BR-3", "occupancy.trastuzumab.SK-BR-3", "pAKT.SK-BR-3", "HER2.surface.SK-BR-3", "lapatinib"]
"""


@pytest.fixture
def write(tmp_path):
    def one(text, name="scenario.toml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return one


def test_names_are_taken_under_any_spelling(write):
    other = SCENARIO.replace('"SK-BR-3" =', "skbr3 =").replace('"trastuzumab.KD"', '"Herceptin.KD"')
    other = other.replace('drug = "trastuzumab"', 'drug = "Herceptin"').replace(
        "occupancy.trastuzumab.", "occupancy.Herceptin."
    )
    other = other.replace(".SK-BR-3", ".SKBR3").replace('"lapatinib"]', '"GW572016"]')
    table, same = simulate(write(other)).table, simulate(write(SCENARIO)).table
    np.testing.assert_array_equal(table["value"], same["value"])
    # What was asked for is answered under the name it was asked by.
    assert list(table["variable"].unique()) == [
        "viability.SKBR3", "occupancy.Herceptin.SKBR3", "pAKT.SKBR3", "HER2.surface.SKBR3", "GW572016"
    ]  # fmt: skip


def test_a_line_of_ones_own(write, tmp_path):
    own = (
        '["Our line"]\nHER2 = { value = 5e5, unit = "copies/cell", citation = "our count", certainty = "published" }\n'
    )
    (tmp_path / "own.toml").write_text(own, encoding="utf-8")
    text = SCENARIO.replace("SK-BR-3", "Our line").replace("[system]", '[system]\nlibrary = "own.toml"')
    assert set(simulate(write(text)).table["status"]) == {"ok"}
    with pytest.raises(InputError, match="unknown cell line"):
        simulate(write(text.replace('library = "own.toml"', "")))


def test_the_table_holds_the_model_s_own_numbers(write):
    table = simulate(write(SCENARIO)).table
    assert list(table.columns) == ["time", "time_unit", "variable", "value", "unit", "id", "status"]
    assert set(table["status"]) == {"ok"}
    assert set(table["time_unit"]) == {"h"}

    model = well("trastuzumab", "lapatinib", ligands=("NRG1",))
    times, changes = np.arange(0.0, 73.0, 6.0), {"trastuzumab.KD": 0.3}
    treated = [
        Add(0.0, "trastuzumab", 10.0),
        Wash(24.0, ("trastuzumab", "lapatinib", "NRG1")),
        Add(30.0, "lapatinib", 58.1 / 581.06 * 1e3),
    ]
    solution = run(model, [treated, []], times, changes)
    names = [f"N.{LINE}", *(f"{x}.{LINE}" for x in ("occupancy.trastuzumab", "pAKT", "HER2.surface")), "lapatinib"]
    expected = outputs(model, solution, names, changes)
    expected[0, :, 0] /= expected[1, :, 0]
    wide = table.pivot_table(index="time", columns="variable", values="value", sort=False)
    np.testing.assert_array_equal(wide.index, times)
    np.testing.assert_allclose(wide.to_numpy(), expected[0], rtol=1e-4, atol=1e-6)
    units = dict(zip(table["variable"], table["unit"], strict=True))
    assert units[f"viability.{LINE}"] == "fraction of untreated"
    assert units["lapatinib"] == "nM"


def test_without_variables_everything_is_reported(write):
    text = SCENARIO.split("variables", maxsplit=1)[0]
    found = set(simulate(write(text)).table["variable"])
    assert {f"viability.{LINE}", f"N.{LINE}", "trastuzumab", f"mu.{LINE}", f"HER2:trastuzumab.{LINE}"} <= found


def test_a_co_culture_shares_its_medium(write):
    text = SCENARIO.replace('"SK-BR-3" = 5000', '"SK-BR-3" = 5000, "MCF-7" = 2e4')
    text = text.split("variables")[0] + 'variables = ["viability.SK-BR-3", "viability.MCF-7", "crowding"]\n'
    table = simulate(write(text)).table
    first = table[table["time"] == 0].set_index("variable")["value"]
    assert first["viability.SK-BR-3"] == first["viability.MCF-7"] == 1.0
    assert first["crowding"] == pytest.approx(1 - 25_000 / 2e5)


def test_the_ligand_stays_in_the_untreated_well(write):
    # Viability compares with the same well without drug, ligand included.
    text = SCENARIO.replace('NRG1 = "0 nM"', 'NRG1 = "5 nM"').split("[[dose]]")[0]
    text += '[output]\ntimes = ["72 h"]\nvariables = ["viability.SK-BR-3", "NRG1"]\n'
    values = simulate(write(text)).table.set_index("variable")["value"]
    assert values[f"viability.{LINE}"] == 1.0
    assert values["NRG1"] == pytest.approx(5.0)


def test_washing_names_drugs_as_the_library_knows_them(write):
    text = SCENARIO.replace('action = "wash"', 'action = "wash"\ndrugs = ["Herceptin"]\nkept = 0.1')
    (wash,) = [e for e in read_scenario(write(text)).events if isinstance(e, Wash)]
    assert wash == Wash(24.0, ("trastuzumab",), 0.1)


@pytest.mark.parametrize(
    "times", ['["72 h", "0 h", "1 d", "24 h"]', '["0 h", "1 d", "3 d"]', '{ stop = "3 d", step = "1440 min" }']
)
def test_times_are_a_set_in_any_unit(write, times):
    text = SCENARIO.split("[output]", maxsplit=1)[0] + f"[output]\ntimes = {times}\n"
    found = read_scenario(write(text)).times
    np.testing.assert_allclose(found, [0.0, 24.0, 72.0] if times.startswith("[") else [0.0, 24.0, 48.0, 72.0])


def test_a_step_that_does_not_divide_stops_before_the_end(write):
    text = (
        SCENARIO.split("[output]", maxsplit=1)[0]
        + "[output]\ntimes = { start = '1 h', stop = '2 h', step = '0.3 h' }\n"
    )
    np.testing.assert_allclose(read_scenario(write(text)).times, [1.0, 1.3, 1.6, 1.9])


def test_doses_after_the_last_output_time_are_harmless(write):
    late = SCENARIO.replace('time = "30 h"', 'time = "300 h"')
    table = simulate(write(late)).table
    assert table["time"].max() == 72
    assert (table[table["variable"] == "lapatinib"]["value"] == 0).all()


def test_the_command_line_writes_the_table_and_force_overwrites(write, tmp_path):
    out = tmp_path / "deep" / "out.csv"
    path = write(SCENARIO)
    assert cli.main(["simulate", str(path), "--out", str(out)]) == 0
    table = pd.read_csv(out)
    assert len(table) == 13 * 5
    assert [p.name for p in out.parent.iterdir()] == ["out.csv"]
    out.write_text("old")
    assert cli.main(["simulate", str(path), "--out", str(out), "--force"]) == 0
    pd.testing.assert_frame_equal(pd.read_csv(out), table)


def test_a_well_that_cannot_be_computed_is_marked_and_empty(write, tmp_path, capsys):
    # A medium of no volume is a division by zero in every rate of depletion.
    text = SCENARIO.replace("[parameters]", '[parameters]\nV = "0 L"')
    out = tmp_path / "out.csv"
    assert cli.main(["simulate", str(write(text)), "--out", str(out)]) == 3
    said = capsys.readouterr().err
    assert "wells failed" in said
    assert "not_finite" not in said
    table = pd.read_csv(out)
    later = table[table["time"] > 0]
    assert later["value"].isna().all()
    assert "ok" not in set(later["status"])


def test_a_simulation_prints_a_line_of_itself(write):
    text = repr(simulate(write(SCENARIO)))
    assert "viability.SK-BR-3" in text
    assert "13 times" in text
    assert "'ok': 2" in text


quantities = st.one_of(
    st.floats(0, 1e6).map(lambda v: f'"{v!r} 1/h"'),
    st.sampled_from(
        ['"1e308 1/h"', '"0 1/h"', '"-1 1/h"', "1", "nan", '"5 nM"', "[]", "{}", "true", '"1e-300 L"', '"1e6 cells"']
    ),
)
keys = st.sampled_from(["kint", "omega", "V", "Nmax", "SK-BR-3.k_apo", "SK-BR-3.seeded", "SK-BR-3.HER2", "n_S", "x"])


@settings(max_examples=25, deadline=None)
@given(st.dictionaries(keys, quantities, max_size=4))
def test_any_parameters_are_simulated_or_refused(tmp_path_factory, table):
    path = tmp_path_factory.getbasetemp() / "parameters.toml"
    own = "".join(f'"{k}" = {v}\n' for k, v in table.items())
    path.write_text(SCENARIO.replace("[parameters]\n", f"[parameters]\n{own}"), encoding="utf-8")
    problems, found = (), None
    try:
        found = simulate(path).table
    except InputError as error:
        problems = error.problems
    assert all(p.file == str(path) and (p.column or "").startswith("parameters.") for p in problems)
    assert (found is None) == bool(problems)
    if found is not None:
        assert np.isfinite(found.loc[found["status"] == "ok", "value"]).all()
