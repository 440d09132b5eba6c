"""The signalling network in scenario.toml."""

import numpy as np
import pandas as pd
import pytest

from her2pkpd import cli, load_cell_line, load_drug
from her2pkpd.errors import InputError
from her2pkpd.simulate import read_scenario, simulate
from her2pkpd.systems.cell import CellOptions, cell_model, network_parameters
from her2pkpd.systems.respond import cell_responses

LINE = "SK-BR-3"
SCENARIO = """
[system]
kind = "well"
network = true
cell_lines = { "SK-BR-3" = 4000 }
downstream = { trametinib = "MEK" }

[[dose]]
drug = "trametinib"
concentration = "100 nM"

[[dose]]
drug = "Tykerb"
concentration = "50 nM"

[parameters]
"trametinib.Ki" = "1 nM"

[output]
times = ["0 h", "10 min", "24 h", "72 h"]
variables = ["pERK.SK-BR-3", "pAKT.SK-BR-3", "AKT_activity.SK-BR-3", "viability.SK-BR-3", "N.SK-BR-3"]
"""


@pytest.fixture
def write(tmp_path):
    def one(text):
        path = tmp_path / "scenario.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return one


def test_network_species_are_those_of_the_cell_model(write):
    found = simulate(write(SCENARIO)).table.pivot_table(index="time", columns="variable", values="value")
    model = cell_model(
        LINE, network_parameters(load_cell_line(LINE)) | {"seeded": 4000.0}, drugs=[load_drug("lapatinib")],
        options=CellOptions(downstream={"trametinib": "MEK"}),
    )  # fmt: skip
    names, times = ["pERK", "pAKT", "AKT_activity", "N"], found.index.to_numpy()
    doses = [{"trametinib": 100.0, "lapatinib": 50.0}, {}]
    treated, untreated = cell_responses(model, LINE, doses, times, names, {"trametinib.Ki": 1.0})
    np.testing.assert_allclose(found[[f"{n}.{LINE}" for n in names]], treated, rtol=1e-6)
    np.testing.assert_allclose(found[f"viability.{LINE}"], treated[:, 3] / untreated[:, 3], rtol=1e-6)
    assert found[f"pERK.{LINE}"].iloc[0] == pytest.approx(1.0)
    assert found[f"pERK.{LINE}"].iloc[1] < 0.5


def test_command_line_writes_it(write, tmp_path):
    out = tmp_path / "out.csv"
    assert cli.main(["simulate", str(write(SCENARIO)), "--out", str(out)]) == 0
    table = pd.read_csv(out)
    assert set(table["status"]) == {"ok"}
    assert table["value"].notna().all()


def test_a_resting_cell_of_any_size_of_well_stays_at_rest(write):
    doses = SCENARIO[SCENARIO.index("[[dose]]") : SCENARIO.index("[output]")]
    text = SCENARIO.replace(doses, "").replace('kind = "well"', 'kind = "well"\nvolume = "1 mL"')
    text = text.replace('downstream = { trametinib = "MEK" }', 'ligand = { NRG1 = "0 nM" }')
    table = simulate(write(text)).table
    # Division thins p95HER2, so dividing cells settle a little lower than resting ones.
    for name in ("pERK", "pAKT"):
        np.testing.assert_allclose(table.loc[table["variable"] == f"{name}.{LINE}", "value"], 1.0, rtol=0.05)


BAD = {
    "two lines": ("= 4000 }", '= 4000, "MCF-7" = 1000 }', "system.network", "takes one cell line"),
    "an ADC": ('"Tykerb"', '"T-DM1"', "system.network", "antibodies and kinase inhibitors, not T-DM1"),
    "unknown target": ('"MEK"', '"MEKK"', "system.downstream.trametinib", "must be one of"),
    "a library drug": ("trametinib =", "lapatinib =", "system.downstream.lapatinib", "is a drug of the library"),
    "no network": ("network = true", "network = false", "system.downstream", "needs the signalling network"),
    "no flag": ("network = true", 'network = "yes"', "system.network", "must be true or false"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_refusals(write, case):
    old, new, column, rule = BAD[case]
    with pytest.raises(InputError) as error:
        read_scenario(write(SCENARIO.replace(old, new)))
    assert any(column == p.column and rule in p.rule for p in error.value.problems), error.value.problems
