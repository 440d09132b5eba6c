"""Scenarios that cannot be simulated: what is said, and that nothing is written."""

# One case a line reads better than one case a paragraph.
# ruff: noqa: E501

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2pkpd import cli
from her2pkpd.errors import InputError
from her2pkpd.simulate import WellScenario, read_scenario

SYSTEM = 'kind = "well"\ncell_lines = { "SK-BR-3" = 5000 }\n'
DOSE = '[[dose]]\ndrug = "lapatinib"\nconcentration = "100 nM"\n'
OUTPUT = 'times = ["0 h", "24 h"]\n'


def toml(system=SYSTEM, dose=DOSE, parameters="", output=OUTPUT, rest=""):
    return f"{rest}\n[system]\n{system}\n{dose}\n[parameters]\n{parameters}\n[output]\n{output}"


# What is written, the key that is named, the rule, the remedy.
BAD = {
    "no system": ("[output]\ntimes = ['0 h']", "system.kind", "is missing", 'Add kind = one of "well", "co-culture", "xenograft", "patient".'),
    "unknown kind": (toml(SYSTEM.replace("well", "wel")), "system.kind", 'must be one of "well"', "Did you mean 'well'?"),
    "no cell lines": (toml('kind = "well"'), "system.cell_lines", "is missing", 'Add cell_lines = a table such as'),
    "empty cell lines": (toml('kind = "well"\ncell_lines = {}'), "system.cell_lines", "must name at least one", "SK-BR-3"),
    "cell lines as a list": (toml('kind = "well"\ncell_lines = ["SK-BR-3"]'), "system.cell_lines", "must be a table", ""),
    "unknown cell line": (toml(SYSTEM.replace("SK-BR-3", "SK-BR-33")), "system.cell_lines.SK-BR-33", "unknown cell line", "SK-BR-3"),
    "one line twice": (toml(SYSTEM.replace("}", ', "skbr3" = 100 }')), "system.cell_lines.skbr3", "twice", "one"),
    "no cells": (toml(SYSTEM.replace("5000", "0")), "system.cell_lines.SK-BR-3", "cells seeded must be a positive number", ""),
    "negative cells": (toml(SYSTEM.replace("5000", "-5")), "system.cell_lines.SK-BR-3", "cells seeded must be a positive", ""),
    "endless cells": (toml(SYSTEM.replace("5000", "inf")), "system.cell_lines.SK-BR-3", "cells seeded must be a positive", ""),
    "too many cells": (toml(SYSTEM.replace("5000", "9" * 400)), "system.cell_lines.SK-BR-3", "cells seeded must be", ""),
    "cells as text": (toml(SYSTEM.replace("5000", '"5000"')), "system.cell_lines.SK-BR-3", "cells seeded must be a positive", ""),
    "volume without unit": (toml(SYSTEM + "volume = 100"), "system.volume", "the unit is missing", '"100.0 L"'),
    "volume in hours": (toml(SYSTEM + 'volume = "100 h"'), "system.volume", "unit 'h' cannot be converted to 'L'", "same kind"),
    "no volume": (toml(SYSTEM + 'volume = "0 uL"'), "system.volume", "must be at least", "Correct the number."),
    "unknown ligand": (toml(SYSTEM + 'ligand = { NRG2 = "1 nM" }'), "system.ligand.NRG2", "is not a known key", "'NRG1'"),
    "ligand by mass": (toml(SYSTEM + 'ligand = { EGF = "1 ng/mL" }'), "system.ligand.EGF", "needs a molar mass", "molar unit"),
    "misspelt key": (toml(SYSTEM + 'volum = "1 uL"'), "system.volum", "is not a known key", "'volume'"),
    "misspelt table": (toml(rest="[sytem]"), "sytem", "is not a known key", "'system'"),
    "unknown drug": (toml(dose=DOSE.replace("lapatinib", "lapatinb")), "dose[1].drug", "unknown drug 'lapatinb'", "'lapatinib'"),
    "dose without drug": (toml(dose='[[dose]]\nconcentration = "1 nM"'), "dose[1].drug", "is missing", "Add drug"),
    "dose without concentration": (toml(dose='[[dose]]\ndrug = "lapatinib"'), "dose[1].concentration", "is missing", "Add"),
    "negative dose": (toml(dose=DOSE.replace("100 nM", "-100 nM")), "dose[1].concentration", "must be at least 0 nM", ""),
    "log dose": (toml(dose=DOSE.replace('"100 nM"', "-7.0")), "dose[1].concentration", "the unit is missing", ""),
    "dose that is no number": (toml(dose=DOSE.replace('"100 nM"', "nan")), "dose[1].concentration", "a quantity must be", ""),
    "dose with decimal comma": (toml(dose=DOSE.replace("100 nM", "0,5 nM")), "dose[1].concentration", "decimal point", "1.5 nM"),
    "dose in an unknown unit": (toml(dose=DOSE.replace("nM", "nm")), "dose[1].concentration", "unknown unit 'nm'", "Use one of"),
    "dose per weight": (toml(dose=DOSE.replace("nM", "mg/kg")), "dose[1].concentration", "cannot be converted to 'nM'", ""),
    "dose before the start": (toml(dose=DOSE + 'time = "-1 h"'), "dose[1].time", "must be at least 0 h", ""),
    "dose as one table": (toml(dose=DOSE.replace("[[dose]]", "[dose]")), "dose", "must be tables written [[dose]]", ""),
    "unknown action": (toml(dose=DOSE + 'action = "rinse"'), "dose[1].action", 'must be one of "add", "wash"', ""),
    "wash of nothing known": (toml(dose=DOSE + '[[dose]]\naction = "wash"\ndrugs = ["x"]'), "dose[2].drugs", "cannot wash", ""),
    "wash of a number": (toml(dose='[[dose]]\naction = "wash"\ndrugs = [1]'), "dose[1].drugs", "must be a list of", ""),
    "wash of no drug": (toml(dose='[[dose]]\naction = "wash"\ndrugs = []'), "dose[1].drugs", "must name at least one", "Leave"),
    "washing in more": (toml(dose='[[dose]]\naction = "wash"\nkept = 1.5'), "dose[1].kept", "must be between 0 and 1", ""),
    "wash with a concentration": (toml(dose=DOSE + 'action = "wash"'), "dose[1].drug", "is not a known key", "'drugs'"),
    "unknown parameter": (toml(parameters='"lapatinib.KD" = "1 nM"'), "parameters.lapatinib.KD", "is not a parameter", ""),
    "parameter of an absent drug": (toml(parameters='"trastuzumab.KD" = "1 nM"'), "parameters.trastuzumab.KD", "is not a", ""),
    "parameter without unit": (toml(parameters="kint = 0.1"), "parameters.kint", "the unit is missing", '"0.1 1/h"'),
    "parameter of another kind": (toml(parameters='kint = "1 nM"'), "parameters.kint", "cannot be converted to '1/h'", ""),
    "negative parameter": (toml(parameters='kint = "-1 1/h"'), "parameters.kint", "must lie between 0 and", ""),
    "parameter as a list": (toml(parameters="kint = [1]"), "parameters.kint", "must be text with a unit", ""),
    "no output": (toml().replace(OUTPUT, ""), "output.times", "is missing", "Add times"),
    "no times": (toml(output="times = []"), "output.times", "must hold at least one time", ""),
    "times without unit": (toml(output="times = [0, 24]"), "output.times.1", "the unit is missing", ""),
    "times as one text": (toml(output='times = "0 h"'), "output.times", "must be a list", ""),
    "negative time": (toml(output='times = ["-1 h"]'), "output.times.1", "must be at least 0 h", ""),
    "times backwards": (toml(output='times = { start = "5 h", stop = "1 h", step = "1 h" }'), "output.times", "start <= stop", ""),
    "no step": (toml(output='times = { stop = "1 h", step = "0 h" }'), "output.times", "a positive step", ""),
    "too many times": (toml(output='times = { stop = "1 d", step = "1e-9 h" }'), "output.times", "a million points", ""),
    "no stop": (toml(output='times = { step = "1 h" }'), "output.times.stop", "is missing", ""),
    "unknown variable": (toml(output=OUTPUT + 'variables = ["viabilty.SK-BR-3"]'), "output.variables", "unknown variable", "viability"),
    "variable of an absent line": (toml(output=OUTPUT + 'variables = ["N.BT-474"]'), "output.variables", "unknown variable", ""),
    "variables as numbers": (toml(output=OUTPUT + "variables = [1]"), "output.variables", "must be a list of", ""),
    "variables as text": (toml(output=OUTPUT + 'variables = "N"'), "output.variables", "must be a list of", ""),
}  # fmt: skip


def simulate(tmp_path, content):
    path = tmp_path / "scenario.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path, cli.main(["simulate", str(path), "--out", str(tmp_path / "results" / "out.csv")])


@pytest.mark.parametrize("case", list(BAD))
def test_bad_scenarios_are_refused_with_key_rule_and_remedy(case, tmp_path, capsys):
    content, key, rule, remedy = BAD[case]
    path, code = simulate(tmp_path, content)
    assert code == 2
    assert list(tmp_path.iterdir()) == [path]
    said = capsys.readouterr().err
    lines = [x for x in said.splitlines() if f"column '{key}'" in x]
    assert lines, said
    assert str(path) in lines[0]
    assert rule in lines[0]
    assert remedy in lines[0].split(rule)[1]


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        ("", "system.kind"),
        (b"\xff\xfe\x00", "not UTF-8"),
        ("kind = ", "not valid TOML"),
        ("a,b\n1,2", "not valid TOML"),
    ],
)
def test_files_that_are_no_scenario(content, rule, tmp_path, capsys):
    path, code = simulate(tmp_path, content)
    assert code == 2
    assert list(tmp_path.iterdir()) == [path]
    assert rule in capsys.readouterr().err


def test_everything_wrong_is_said_at_once(tmp_path, capsys):
    content = toml(
        SYSTEM + 'volume = "1 h"',
        DOSE.replace("100 nM", "-1 nM"),
        'kint = 1\n"nonsense" = 2',
        OUTPUT + 'variables = ["x"]',
    )
    _, code = simulate(tmp_path, content)
    assert code == 2
    said = capsys.readouterr().err
    for key in ("system.volume", "dose[1].concentration"):
        assert f"column '{key}'" in said


def test_an_existing_file_is_not_overwritten(tmp_path, capsys):
    (tmp_path / "results").mkdir()
    out = tmp_path / "results" / "out.csv"
    out.write_text("mine")
    assert simulate(tmp_path, toml())[1] == 2
    assert out.read_text() == "mine"
    assert "the output file exists" in capsys.readouterr().err


# --- nothing but refusals ------------------------------------------------------------------------------------

scalars = st.one_of(
    st.none().map(lambda _: "nan"),
    st.sampled_from(["inf", "true", "0", "-1", "1e400", "9" * 320, "0x" + "f" * 400, "1979-05-27", "07:32:00"]),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(
        [
            "well",
            "SK-BR-3",
            "lapatinib",
            "trastuzumab",
            "NRG1",
            "10 nM",
            "24 h",
            "-5 h",
            "100 uL",
            "wash",
            "add",
            "x",
            "",
            "1e308 d",
        ]
    ).map(lambda t: f'"{t}"'),
)
words = st.sampled_from(
    "kind cell_lines volume ligand NRG1 EGF drug drugs concentration time action kept times start stop step variables "
    "SK-BR-3 MCF-7 kint omega lapatinib.HER2.Ki x".split()
).map(lambda k: f'"{k}"')
things = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda x: f"[{', '.join(x)}]"),
        st.dictionaries(words, inner, max_size=3).map(
            lambda d: "{ " + ", ".join(f"{k} = {v}" for k, v in d.items()) + " }"
        ),
    ),
    max_leaves=5,
)
lines = st.dictionaries(words, things, max_size=5).map(lambda d: "".join(f"{k} = {v}\n" for k, v in d.items()))
headers = st.sampled_from(["[system]", "[[dose]]", "[parameters]", "[output]", "[dose]", "[[system]]"])
files = st.lists(st.tuples(headers, lines), max_size=6).map(lambda parts: "\n".join(f"{h}\n{b}" for h, b in parts))


def read_or_refuse(path):
    problems, scenario = (), None
    try:
        scenario = read_scenario(path)
    except InputError as error:
        problems = error.problems
        str(error)
    assert all(p.rule and p.remedy for p in problems)
    assert isinstance(scenario, WellScenario) != bool(problems)


@settings(max_examples=80, deadline=None)
@given(files)
def test_any_toml_is_a_scenario_or_a_refusal(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_text(content, encoding="utf-8")
    read_or_refuse(path)


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(["system", "dose", "parameters", "output"]), lines)
def test_a_good_scenario_with_one_table_spoilt_is_a_scenario_or_a_refusal(tmp_path_factory, spoilt, content):
    parts = {"system": SYSTEM, "dose": DOSE, "parameters": "", "output": OUTPUT}
    head = "[[dose]]\n" if spoilt == "dose" else ""
    path = tmp_path_factory.getbasetemp() / "spoilt.toml"
    path.write_text(toml(**{**parts, spoilt: head + content}), encoding="utf-8")
    read_or_refuse(path)


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_scenario_or_a_refusal(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "bytes.toml"
    path.write_bytes(content)
    read_or_refuse(path)
