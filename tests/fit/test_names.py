"""A drug and a cell line are the same under any of their names, in every file a fit reads."""

import numpy as np
import pytest

from her2pkpd import cli
from her2pkpd.fit.problem import load_problem

HEAD = "cell_line,drug,concentration,unit,drug_2,concentration_2,unit_2,time,time_unit,readout,value\n"
ROWS = "".join(f"{{line}},{{t}},{c},ug/mL,{{l}},{d},nM,72,h,viability,0.7\n" for c in (0, 1, 10) for d in (0, 30, 300))
METRICS = """cell_line,drug,metric,value,unit,time,time_unit,source,top_concentration,top_unit
{line},{l},IC50,30,nM,72,h,somebody,10,uM
"""
SETTINGS = """
[[data]]
file = "plate.csv"
drugs = ["{t}", "{l}"]
[[data]]
file = "metrics.csv"
kind = "metrics"
[parameters]
"{t}.kon" = "0.2 1/nM/h"
"{line}.S50" = 0.4
[estimate.Ki]
parameter = "{l}.HER2.Ki"
[estimate.w]
start = 0.5
where = {{ cell_line = ["{line}"] }}
[estimate.k_apo]
parameter = "{line}.k_apo"
[noise."occupancy.{t}"]
sd = 0.1
"""
LIBRARY = {"line": "SK-BR-3", "t": "trastuzumab", "l": "lapatinib"}
OTHER = {"line": "skbr3", "t": "Herceptin", "l": "GW-572016"}


def folder(path, names, settings=SETTINGS):
    path.mkdir()
    (path / "plate.csv").write_text(HEAD + ROWS.format(**names), encoding="utf-8")
    (path / "metrics.csv").write_text(METRICS.format(**names), encoding="utf-8")
    (path / "fit.toml").write_text(settings.format(**names), encoding="utf-8")
    return path / "fit.toml"


def test_a_fit_is_the_same_under_other_names(tmp_path):
    one, other = (load_problem(folder(tmp_path / k, n)) for k, n in (("a", LIBRARY), ("b", OTHER)))
    assert one.observations == other.observations
    assert one.metrics == other.metrics
    assert one.objective.names == other.objective.names
    assert one.settings.noise == other.settings.noise
    np.testing.assert_array_equal(one.objective.design.parameters, other.objective.design.parameters)
    assert one.model.hash == other.model.hash


def test_wells_under_two_names_are_one_line(tmp_path):
    path = folder(tmp_path / "a", LIBRARY)
    plate = path.parent / "plate.csv"
    mixed = plate.read_text().replace("SK-BR-3", "SKBR3", 5).replace("trastuzumab", "herceptin", 3)
    plate.write_text(mixed, encoding="utf-8")
    assert load_problem(path).objective.design.cell_lines == ["SK-BR-3"]


def test_one_drug_twice_in_a_well_is_seen_under_two_names(tmp_path, capsys):
    path = folder(tmp_path / "a", LIBRARY | {"l": "Herceptin"}, SETTINGS.replace("{l}.HER2.Ki", "kint"))
    assert cli.main(["fit", str(path), "--out", str(tmp_path / "out"), "--quiet"]) == 2
    assert "only once in a well" in capsys.readouterr().err


@pytest.mark.parametrize(("key", "name"), [("where", "SKBR33"), ("drugs", "herzeptin")])
def test_unknown_names_are_refused_with_the_nearest(key, name, tmp_path, capsys):
    text = SETTINGS.replace('["{line}"]', f'["{name}"]') if key == "where" else SETTINGS.replace('["{t}"', f'["{name}"')
    path = folder(tmp_path / "a", LIBRARY, text)
    assert cli.main(["fit", str(path), "--out", str(tmp_path / "out"), "--quiet"]) == 2
    said = capsys.readouterr().err
    assert name in said
    assert "Did you mean" in said


OWN = """
["Our line"]
synonyms = ["OL-1"]
HER2 = { value = 5e5, unit = "copies/cell", citation = "our count", certainty = "published" }
"""


def test_a_line_of_ones_own(tmp_path, capsys):
    text = '[model]\nlibrary = "own.toml"\n' + SETTINGS
    path = folder(tmp_path / "a", LIBRARY | {"line": "ol1"}, text)
    assert cli.main(["fit", str(path), "--out", str(tmp_path / "out"), "--quiet"]) == 2
    assert "own.toml" in capsys.readouterr().err
    (path.parent / "own.toml").write_text(OWN, encoding="utf-8")
    problem = load_problem(path)
    assert problem.objective.design.cell_lines == ["Our line"]
    column = problem.model.parameter_index["cells.HER2"]
    assert set(problem.objective.design.parameters[:, column]) == {5e5}
    assert path.parent / "own.toml" in problem.settings.files
