"""Scenarios of kinds "co-culture" and "xenograft": file in, table out, and what is refused."""

# One case a line reads better than one case a paragraph.
# ruff: noqa: E501

import numpy as np
import pandas as pd
import pytest

from her2pkpd import cli

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
