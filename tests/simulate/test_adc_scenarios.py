"""Scenarios of kinds "co-culture" and "xenograft": file in, table out, and what is refused."""

# One case a line reads better than one case a paragraph.
# ruff: noqa: E501

import numpy as np
import pandas as pd
import pytest

from her2pkpd import cli
from her2pkpd.library import load_drug

CO_CULTURE = """
[system]
kind = "co-culture"
cell_lines = { "KPL-4" = 1000, "MDA-MB-468" = 3000 }

[[dose]]
drug = "T-DXd"
concentration = "10 nM"

[output]
times = ["0 h", "120 h"]
variables = ["viability.KPL-4", "viability.MDA-MB-468", "DXd"]
"""
XENOGRAFT = """
[system]
kind = "xenograft"
cell_lines = { "NCI-N87" = 0.5, "MDA-MB-468" = 0.5 }

[[dose]]
drug = "T-DXd"
amount = "3 mg/kg"
every = "7 d"
doses = 2

[output]
times = ["0 d", "21 d"]
variables = ["tumour.volume", "tumour.relative_volume", "plasma.T-DXd", "plasma.DXd"]
"""


def simulate(tmp_path, text):
    tmp_path.mkdir(exist_ok=True)
    path = tmp_path / "scenario.toml"
    path.write_text(text, encoding="utf-8")
    out = tmp_path / "out.csv"
    code = cli.main(["simulate", str(path), "--out", str(out)])
    return code, pd.read_csv(out).set_index(["variable", "time"])["value"] if code == 0 else None


def test_a_co_culture_is_simulated(tmp_path):
    code, found = simulate(tmp_path, CO_CULTURE)
    assert code == 0
    assert found["viability.KPL-4", 0] == found["viability.MDA-MB-468", 0] == 1.0
    assert found["viability.KPL-4", 120] < 0.1
    assert found["viability.KPL-4", 120] < found["viability.MDA-MB-468", 120] < 1.0
    assert found["DXd", 0] == 0.0
    assert found["DXd", 120] > 0.0


def test_a_mouse_is_simulated(tmp_path):
    code, found = simulate(tmp_path, XENOGRAFT)
    assert code == 0
    assert found["tumour.volume", 0] == pytest.approx(2e-4)
    assert found["tumour.relative_volume", 0] == pytest.approx(1.0)
    assert found["tumour.relative_volume", 504] < 0.5
    assert found["plasma.T-DXd", 0] > 100.0
    assert found["plasma.DXd", 504] > 0.0


def test_an_untreated_mouse_is_its_own_control(tmp_path):
    none = XENOGRAFT.replace('"3 mg/kg"', '"0 mg/kg"')
    code, found = simulate(tmp_path, none)
    assert code == 0
    # The treated mouse stops at its doses, the control does not: equal to the solver's tolerance.
    np.testing.assert_allclose(found["tumour.relative_volume"], 1.0, rtol=1e-7)


# The text, what is replaced, by what, the key that is named, the rule.
BAD = {
    "one line": (CO_CULTURE, ', "MDA-MB-468" = 3000', "", "system.cell_lines", "at least two cell lines"),
    "unknown line": (CO_CULTURE, '"KPL-4" = 1000', '"KPL-44" = 1000', "system.cell_lines.KPL-44", "unknown cell line"),
    "variable of no line": (CO_CULTURE, '"viability.KPL-4"', '"viability.BT-474"', "output.variables", "unknown variable"),
    "a body's dose": (CO_CULTURE, '"10 nM"', '"3 mg/kg"', "dose[1].concentration", "cannot be converted"),
    "shares below one": (XENOGRAFT, '"NCI-N87" = 0.5', '"NCI-N87" = 0.4', "system.cell_lines", "must add up to 1"),
    "share above one": (XENOGRAFT, '"NCI-N87" = 0.5', '"NCI-N87" = 5000', "system.cell_lines.NCI-N87", "a share above 0"),
    "share as text": (XENOGRAFT, '"NCI-N87" = 0.5', '"NCI-N87" = "half"', "system.cell_lines.NCI-N87", "a share above 0"),
    "unknown tumour": (XENOGRAFT, '"NCI-N87" = 0.5', '"NCI-N78" = 0.5', "system.cell_lines.NCI-N78", "unknown cell line"),
    "no cells": (XENOGRAFT, 'cell_lines = { "NCI-N87" = 0.5, "MDA-MB-468" = 0.5 }', "", "system.cell_lines", "is missing"),
    "shells": (XENOGRAFT, "[[dose]]", "shells = 40\n[[dose]]", "system.shells", ""),
    "no weight": (XENOGRAFT, "[[dose]]", 'weight = "0 kg"\n[[dose]]', "system.weight", "must be at least"),
    "unknown key": (XENOGRAFT, "[[dose]]", "shell = 2\n[[dose]]", "system.shell", "is not a known key"),
    "unknown drug": (XENOGRAFT, '"T-DXd"', '"T-DXD2"', "dose[1].drug", "unknown drug"),
    "tablet": (XENOGRAFT, '"T-DXd"\n', '"lapatinib"\n', "dose[1].drug", "no disposition"),
    "a well's dose": (XENOGRAFT, "3 mg/kg", "10 nM", "dose[1].amount", "cannot be converted"),
    "negative dose": (XENOGRAFT, "3 mg/kg", "-3 mg/kg", "dose[1].amount", "must be at least 0"),
    "half a dose": (XENOGRAFT, "doses = 2", "doses = 0.5", "dose[1].doses", ""),
    "unknown variable": (XENOGRAFT, '"tumour.volume"', '"tumor.volume"', "output.variables", "unknown variable"),
    "unknown parameter": (XENOGRAFT, "[output]", '[parameters]\nklim = "1 L/h"\n[output]', "parameters.klim", "is not a parameter"),
}  # fmt: skip


@pytest.mark.parametrize("case", list(BAD))
def test_what_cannot_be_simulated_is_refused(case, tmp_path, capsys):
    text, old, new, key, rule = BAD[case]
    assert old in text
    code, _ = simulate(tmp_path, text.replace(old, new, 1))
    assert code == 2
    assert not (tmp_path / "out.csv").exists()
    said = [x for x in capsys.readouterr().err.splitlines() if f"column '{key}'" in x]
    assert said
    assert rule in said[0]
    assert "scenario.toml" in said[0]


def test_all_that_is_wrong_with_a_mouse_is_said_at_once(tmp_path, capsys):
    text = (
        XENOGRAFT.replace('"NCI-N87" = 0.5', '"NCI-N87" = 2')
        .replace("3 mg/kg", "3 nM")
        .replace("[[dose]]", 'volume = "1 h"\n[[dose]]', 1)
    )
    assert simulate(tmp_path, text)[0] == 2
    said = capsys.readouterr().err
    for key in ("system.cell_lines.NCI-N87", "dose[1].amount", "system.volume"):
        assert f"column '{key}'" in said


def test_payload_numbers_may_each_have_a_species(tmp_path):
    """If every payload is lost at one rate, the chain and the mean DAR kill alike; washing takes all numbers away."""
    text = CO_CULTURE.replace('"T-DXd"', '"T-DM1"').replace('"DXd"]', '"T-DM1", "trastuzumab", "Lys-MCC-DM1"]')
    text = text.replace("[output]", '[[dose]]\naction = "wash"\nkept = 0.5\ntime = "24 h"\n[output]')
    chain = text.replace('kind = "co-culture"', 'kind = "co-culture"\nexplicit_dar = true')
    (_, mean), (code, found) = simulate(tmp_path / "a", text), simulate(tmp_path / "b", chain)
    assert code == 0
    for name in ("viability.KPL-4", "viability.MDA-MB-468", "Lys-MCC-DM1"):
        np.testing.assert_allclose(found[name], mean[name], rtol=1e-4)
    # What carries no payload from the start is naked antibody.
    assert found["trastuzumab", 0] == pytest.approx(10.0 * load_drug("T-DM1").conjugate.distribution[0])
    assert found["T-DM1", 0] + found["trastuzumab", 0] == pytest.approx(10.0)
    mean_dar = chain.replace('"trastuzumab", "Lys', '"DAR.T-DM1", "Lys')
    dar = simulate(tmp_path / "c", mean_dar)[1]["DAR.T-DM1"]
    assert dar.iloc[0] > 3.5
    assert dar.iloc[-1] < dar.iloc[0]
    # Washing the conjugate by name takes every number away, and leaves the antibody without payload.
    gone = chain.replace('action = "wash"\nkept = 0.5', 'action = "wash"\ndrugs = ["T-DM1"]').replace(
        '"24 h"', '"120 h"'
    )
    washed = simulate(tmp_path / "d", gone)[1]
    assert washed["T-DM1", 120] == 0.0
    assert washed["trastuzumab", 120] > 0.1


def test_a_mouse_with_payload_numbers(tmp_path):
    text = XENOGRAFT.replace('"T-DXd"', '"T-DM1"').replace("plasma.T-DXd", "plasma.T-DM1").replace("DXd", "Lys-MCC-DM1")
    chain = text.replace('kind = "xenograft"', 'kind = "xenograft"\nexplicit_dar = true')
    (_, mean), (code, found) = simulate(tmp_path / "a", text), simulate(tmp_path / "b", chain)
    assert code == 0
    for name in ("tumour.relative_volume", "plasma.Lys-MCC-DM1"):
        np.testing.assert_allclose(found[name], mean[name], rtol=1e-4)


def test_effector_cells_are_a_switch_of_a_well(tmp_path):
    text = CO_CULTURE.replace('"120 h"', '"24 h"').replace(', "DXd"]', "]")
    with_them = text.replace('kind = "co-culture"', 'kind = "co-culture"\neffectors = 20')
    silent = with_them + '\n[parameters]\n"T-DXd.Fc" = "0"\n"trastuzumab.Fc" = "0"\n'
    alone, killed, spared = (simulate(tmp_path / x, t)[1] for x, t in (("a", text), ("b", with_them), ("c", silent)))
    assert killed["viability.KPL-4", 24] < 0.6 * alone["viability.KPL-4", 24]
    assert spared["viability.KPL-4", 24] == pytest.approx(alone["viability.KPL-4", 24], rel=1e-6)


@pytest.mark.parametrize(
    ("written", "rule"),
    [
        ('effectors = "20:1"', "must be a number"),
        ("effectors = -1", "must be a number from 0"),
        ("effectors = 1e9", "must be a number from 0"),
        ('explicit_dar = "yes"', "must be true or false"),
    ],
)
def test_bad_switches_are_refused(written, rule, tmp_path, capsys):
    code, _ = simulate(tmp_path, CO_CULTURE.replace('kind = "co-culture"', f'kind = "co-culture"\n{written}'))
    assert code == 2
    assert rule in capsys.readouterr().err
