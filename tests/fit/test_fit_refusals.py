"""Fits that cannot be run: what is said, and that nothing is written."""

# One case a line reads better than one case a paragraph.
# ruff: noqa: E501

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2pkpd import cli
from her2pkpd.errors import InputError
from her2pkpd.fit.problem import load_problem
from her2pkpd.fit.settings import FitSettings, read_fit_settings

PLATE = """cell_line,drug,concentration,unit,time,time_unit,readout,value
SK-BR-3,lapatinib,0,nM,72,h,viability,1
SK-BR-3,lapatinib,10,nM,72,h,viability,0.9
SK-BR-3,lapatinib,100,nM,72,h,viability,0.6
BT-474,lapatinib,0,nM,72,h,viability,1
BT-474,lapatinib,100,nM,72,h,viability,0.7
"""
DATA = '[[data]]\nfile = "plate.csv"\n'
MODEL = '[model]\nsystem = "well"\nvolume = "100 uL"\n'
KI = '[estimate."lapatinib.HER2.Ki"]\n'
NOISE = "[noise.viability]\nsd = 0.1\n"
METHOD = "[method]\nstarts = 1\n"


def toml(data=DATA, model=MODEL, parameters="", estimate=KI, noise=NOISE, method=METHOD):
    return f"{data}\n{model}\n[parameters]\n{parameters}\n{estimate}\n{noise}\n{method}"


def ki(text):
    return toml(estimate=KI + text)


# What is written, the key that is named, the rule, the remedy.
BAD = {
    "no data": (toml(data=""), "data", "needs at least one [[data]] table", "plate.csv"),
    "data as one table": (toml(data=DATA.replace("[[data]]", "[data]")), "data", "must be tables written [[data]]", ""),
    "no file": (toml(data="[[data]]"), "data[1].file", "is missing", "Add file"),
    "unknown kind of data": (toml(data=DATA + 'kind = "plates"'), "data[1].kind", 'must be one of "plate"', "'plate'"),
    "drugs as text": (toml(data=DATA + 'drugs = "lapatinib"'), "data[1].drugs", "must be a list of names", ""),
    "drugs as numbers": (toml(data=DATA + "drugs = [1]"), "data[1].drugs", "must be a list of names", ""),
    "an unknown drug": (toml(data=DATA + 'drugs = ["lapatinb"]'), "data[1].drugs", "unknown drug", "lapatinib"),
    "cells in hours": (toml(data=DATA + 'seeded_cells = "5 h"'), "data[1].seeded_cells", "cannot be converted to 'cells'", ""),
    "no cells": (toml(data=DATA + 'seeded_cells = "0 cells"'), "data[1].seeded_cells", "must be at least 1 cells", ""),
    "unknown system": (toml(model='[model]\nsystem = "wel"'), "model.system", 'must be one of "well"', "'well'"),
    "volume without unit": (toml(model="[model]\nvolume = 100"), "model.volume", "the unit is missing", ""),
    "nothing estimated": (toml(estimate=""), "estimate", "nothing is estimated", "[estimate."),
    "estimate that is no table": (toml(estimate="[estimate]\nw = 1"), "estimate.w", "must be a table [estimate.w]", ""),
    "unknown parameter": (toml(estimate='[estimate."lapatinib.HER2.Kd"]'), "estimate.lapatinib.HER2.Kd", "is not a parameter of this well", "'lapatinib.HER2.Ki'"),
    "parameter of an absent drug": (toml(estimate='[estimate."trastuzumab.KD"]'), "estimate.trastuzumab.KD", "is not a parameter", ""),
    "per a well": (ki('per = "well"'), "estimate.lapatinib.HER2.Ki.per", "must name some of cell_line, assay, plate, replicate", ""),
    "per a list of lists": (ki('per = [["assay"]]'), "estimate.lapatinib.HER2.Ki.per", "must name some of cell_line, assay, plate, replicate", ""),
    "shared per line": (ki('shared = true\nper = "cell_line"'), "estimate.lapatinib.HER2.Ki.shared", "contradicts per", ""),
    "shared as text": (ki('shared = "yes"'), "estimate.lapatinib.HER2.Ki.shared", "must be true or false", ""),
    "unknown scale": (ki('scale = "ln"'), "estimate.lapatinib.HER2.Ki.scale", 'must be one of "log", "logit", "linear"', ""),
    "bounds without unit": (ki("lower = 1"), "estimate.lapatinib.HER2.Ki.lower", "the unit is missing", '"1.0 nM"'),
    "bounds crossed": (ki('lower = "10 nM"\nupper = "1 nM"\nstart = "5 nM"'), "estimate.lapatinib.HER2.Ki", "lower must be below upper", ""),
    "log of nothing": (ki('lower = "0 nM"'), "estimate.lapatinib.HER2.Ki", "a log scale needs a positive lower bound", "linear"),
    "start outside": (ki('start = "1 M"'), "estimate.lapatinib.HER2.Ki", "the start must lie within the bounds", ""),
    "prior outside": (ki('prior = { median = "1 M", spread = 2 }\nstart = "20 nM"'), "estimate.lapatinib.HER2.Ki", "the prior median must lie within the bounds", ""),
    "prior without spread": (ki('prior = { median = "20 nM" }'), "estimate.lapatinib.HER2.Ki.prior.spread", "is missing", ""),
    "prior without median": (ki("prior = { spread = 2 }"), "estimate.lapatinib.HER2.Ki.prior.median", "is missing", ""),
    "prior in another unit": (ki('prior = { median = "2 h", spread = 2 }'), "estimate.lapatinib.HER2.Ki.prior.median", "cannot be converted to 'nM'", ""),
    "spread of no fold": (ki('prior = { median = "20 nM", spread = 1 }'), "estimate.lapatinib.HER2.Ki.prior.spread", "must be above 1 on a log scale", "fold"),
    "negative spread": (ki('prior = { median = "20 nM", spread = -2 }'), "estimate.lapatinib.HER2.Ki.prior.spread", "must be positive", ""),
    "pool of no fold": (ki("pooled = 0.5"), "estimate.lapatinib.HER2.Ki.pooled", "must be above 1 on a log scale", "fold"),
    "endless pool": (ki("pooled = inf"), "estimate.lapatinib.HER2.Ki.pooled", "must be a finite number", ""),
    "where of numbers": (ki("where = { cell_line = [1] }"), "estimate.lapatinib.HER2.Ki.where.cell_line", "must be a list of", ""),
    "where nobody is": (ki('where = { cell_line = ["MCF-7"] }'), "estimate.lapatinib.HER2.Ki", "reaches no well of the data", ""),
    "misspelt key": (ki('uper = "1 uM"'), "estimate.lapatinib.HER2.Ki.uper", "is not a known key", "'upper'"),
    "misspelt table": (toml() + "[metod]\n", "metod", "is not a known key", "'method'"),
    "unknown fixed parameter": (toml(parameters='kintt = "0.1 1/h"'), "parameters.kintt", "is not a parameter of this well", "'kint'"),
    "fixed parameter of an absent line": (toml(parameters='"MCF-7.w" = 0.5'), "parameters.MCF-7.w", "is not a parameter of this well", ""),
    "fixed without unit": (toml(parameters="kint = 0.1"), "parameters.kint", "the unit is missing", ""),
    "fixed below zero": (toml(parameters='kint = "-0.1 1/h"'), "parameters.kint", "must lie between 0 and", ""),
    "noise of an unknown read-out": (toml(noise="[noise.viabilty]\nsd = 0.1"), "noise.viabilty", "is not a read-out", "'viability'"),
    "noise that is no table": (toml(noise="[noise]\nviability = 0.1"), "noise.viability", "must be a table [noise.viability]", ""),
    "unknown kind of noise": (toml(noise='[noise.viability]\nkind = "gauss"'), "noise.viability.kind", "must be one of", "normal"),
    "no noise": (toml(noise="[noise.viability]\nsd = 0.0"), "noise.viability.sd", "must be positive", "estimate it"),
    "noise that is no number": (toml(noise="[noise.viability]\nsd = nan"), "noise.viability.sd", "must be a finite number", ""),
    "no degrees of freedom": (toml(noise='[noise.viability]\nkind = "student-t"\ndf = -1'), "noise.viability.df", "must be positive", ""),
    "no metric noise": (toml(noise="[noise]\npotency = 0"), "noise.potency", "must be positive", ""),
    "no starts": (toml(method="[method]\nstarts = 0"), "method.starts", "must be between 1 and", ""),
    "half a start": (toml(method="[method]\nstarts = 1.5"), "method.starts", "must be a whole number", ""),
    "tolerance of all": (toml(method="[method]\nrtol = 1.0"), "method.rtol", "must lie between", "1e-07"),
    "tolerance of nothing": (toml(method="[method]\nrtol = 0"), "method.rtol", "must lie between", ""),
    "unknown engine": (toml(method='[method]\nengine = "fast"'), "method.engine", "must be one of", ""),
}  # fmt: skip

# What stands in the data file, and what is said about it.
BAD_DATA = {
    "log-normal noise on a dead well": (PLATE.replace("0.6", "0"), 'kind = "log-normal"', "log-normal noise needs positive values"),
    "only untreated wells": (PLATE.splitlines()[0] + "\n" + PLATE.splitlines()[1] + "\n", "", "no treated well"),
    "a read-out no well predicts": (PLATE.replace("72,h,viability", "72,h,gr50"), "", "readout"),
    "an empty file": ("", "", "empty"),
    "a line nobody knows": (PLATE.replace("BT-474", "BT-4747"), "", "BT-4747"),
}  # fmt: skip


def run(tmp_path, content, plate=PLATE):
    path = tmp_path / "fit.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    (tmp_path / "plate.csv").write_text(plate, encoding="utf-8")
    return path, cli.main(["fit", str(path), "--out", str(tmp_path / "results"), "--quiet"])


@pytest.mark.parametrize("case", list(BAD))
def test_bad_settings_are_refused_with_key_rule_and_remedy(case, tmp_path, capsys):
    content, key, rule, remedy = BAD[case]
    path, code = run(tmp_path, content)
    said = capsys.readouterr().err
    assert code == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fit.toml", "plate.csv"]
    lines = [x for x in said.splitlines() if f"column '{key}'" in x]
    assert lines, said
    assert str(path) in lines[0]
    assert rule in lines[0]
    assert remedy in lines[0].split(rule)[1]


@pytest.mark.parametrize("case", list(BAD_DATA))
def test_bad_data_are_refused_with_the_file(case, tmp_path, capsys):
    plate, noise, said = BAD_DATA[case]
    _, code = run(tmp_path, toml(noise=f"[noise.viability]\n{noise}"), plate)
    error = capsys.readouterr().err
    assert code == 2
    assert said in error
    assert str(tmp_path) in error
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        ("", "data"),
        (b"\xff\xfe\x00", "not UTF-8"),
        ("title = ", "not valid TOML"),
        ("cell_line,drug\n1,2", "not valid TOML"),
    ],
)
def test_files_that_are_no_fit(content, rule, tmp_path, capsys):
    _, code = run(tmp_path, content)
    assert code == 2
    assert rule in capsys.readouterr().err
    assert not (tmp_path / "results").exists()


def test_a_missing_data_file_is_named(tmp_path, capsys):
    _, code = run(tmp_path, toml(data='[[data]]\nfile = "none.csv"\n'))
    assert code == 2
    assert "none.csv" in capsys.readouterr().err


def test_everything_wrong_is_said_at_once(tmp_path, capsys):
    content = toml(model="[model]\nvolume = 1", estimate=KI + "pooled = -1\n", method="[method]\nstarts = 0")
    assert run(tmp_path, content)[1] == 2
    said = capsys.readouterr().err
    for key in ("model.volume", "estimate.lapatinib.HER2.Ki.pooled", "method.starts"):
        assert f"column '{key}'" in said


def test_what_only_the_model_knows_is_said_at_once_too(tmp_path, capsys):
    content = toml(
        parameters='kintt = 1\nkint = "1 h"', estimate='[estimate.x]\n[estimate."lapatinib.HER2.Ki"]\nlower = "1 h"\n'
    )
    assert run(tmp_path, content)[1] == 2
    said = capsys.readouterr().err
    for key in ("parameters.kintt", "parameters.kint", "estimate.x", "estimate.lapatinib.HER2.Ki.lower"):
        assert f"column '{key}'" in said


def test_the_settings_these_cases_are_made_from_are_fine(tmp_path):
    (tmp_path / "fit.toml").write_text(
        toml(parameters='kint = "0.05 1/h"\n"BT-474.w" = 0.9\nw = 0.8\n"lapatinib.HER2.koff" = "0.2 1/h"'),
        encoding="utf-8",
    )
    (tmp_path / "plate.csv").write_text(PLATE, encoding="utf-8")
    problem = load_problem(tmp_path / "fit.toml")
    design = problem.objective.design
    column = problem.model.parameter_index
    by_line = {t.cell_line: design.parameters[i] for i, t in enumerate(design.lanes)}
    assert by_line["BT-474"][column["cells.w"]] == 0.9
    assert by_line["SK-BR-3"][column["cells.w"]] == 0.8
    assert by_line["SK-BR-3"][column["kint"]] == 0.05
    assert by_line["SK-BR-3"][column["lapatinib.HER2.koff"]] == 0.2


# --- nothing but refusals ------------------------------------------------------------------------------------

values = st.sampled_from(
    ['"x"', '""', '"10 nM"', '"1e308 1/h"', "1", "0", "-3", "2.5", "nan", "inf", "9" * 330, "true", "[]", '["cell_line"]', '["lapatinib", 1]',
     "{}", "{ median = 1 }", '{ median = "20 nM", spread = 2 }', '{ cell_line = ["BT-474"] }', "[[1]]", "1979-05-27", '"cell_line"', '"log"', '"plate"']
)  # fmt: skip
words = st.sampled_from(
    "file kind drugs assay seeded_cells system volume shared per scale lower upper start prior pooled where parameter sd df "
    "kind file_sd potency efficacy starts seed max_evaluations rtol engine viability w x".split()
)
lines = st.dictionaries(words, values, max_size=5).map(lambda d: "".join(f"{k} = {v}\n" for k, v in d.items()))
headers = st.sampled_from(
    [
        "[[data]]",
        "[data]",
        "[model]",
        "[parameters]",
        "[estimate.w]",
        "[estimate.scale]",
        "[estimate]",
        "[noise]",
        "[noise.gr]",
        "[method]",
    ]
)
files = st.lists(st.tuples(headers, lines), max_size=6).map(lambda parts: "\n".join(f"{h}\n{b}" for h, b in parts))


def read_or_refuse(read, path, kind):
    problems, found = (), None
    try:
        found = read(path)
    except InputError as error:
        problems = error.problems
        str(error)
    assert all(p.rule and p.remedy for p in problems)
    assert isinstance(found, kind) != bool(problems)


@settings(max_examples=80, deadline=None)
@given(files)
def test_any_toml_is_settings_or_a_refusal(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_text(content, encoding="utf-8")
    read_or_refuse(read_fit_settings, path, FitSettings)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["data", "model", "parameters", "estimate", "noise", "method"]), lines)
def test_good_settings_with_one_table_spoilt_are_a_problem_or_a_refusal(tmp_path_factory, spoilt, content):
    from her2pkpd.fit.problem import FitProblem

    heads = {
        "data": DATA,
        "model": "[model]\n",
        "parameters": "",
        "estimate": KI,
        "noise": "[noise.viability]\n",
        "method": "[method]\n",
    }
    folder = tmp_path_factory.getbasetemp()
    (folder / "plate.csv").write_text(PLATE, encoding="utf-8")
    path = folder / "spoilt.toml"
    path.write_text(toml(**{spoilt: heads[spoilt] + content}), encoding="utf-8")
    read_or_refuse(load_problem, path, FitProblem)
