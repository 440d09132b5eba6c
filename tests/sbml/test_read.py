"""The SBML reader: what it gives back, what it refuses, and that our own export comes home."""

import numpy as np
import pytest

from her2pkpd import InputError
from her2pkpd.dosing import Add, compile_segments
from her2pkpd.engine import Batch, Options, Segments, solve
from her2pkpd.export import to_sbml
from her2pkpd.model import Builder
from her2pkpd.sbml import read_sbml
from tests.systems.wells import well

libsbml = pytest.importorskip("libsbml")

DECAY = """<?xml version="1.0" encoding="UTF-8"?>
<sbml xmlns="http://www.sbml.org/sbml/level3/version1/core" level="3" version="1">
  <model id="decay" timeUnits="{time}" substanceUnits="mole" extentUnits="mole">
    <listOfUnitDefinitions>
      <unitDefinition id="minute"><listOfUnits>
        <unit kind="second" exponent="1" scale="0" multiplier="60"/></listOfUnits></unitDefinition>
    </listOfUnitDefinitions>
    <listOfCompartments>
      <compartment id="c" size="2" spatialDimensions="3" constant="true"/>
      <compartment id="d" size="5" spatialDimensions="3" constant="true"/></listOfCompartments>
    <listOfSpecies>
      <species id="A" compartment="c" initialConcentration="3" hasOnlySubstanceUnits="false"
        boundaryCondition="false" constant="false"/>
      <species id="B" compartment="d" initialAmount="1" hasOnlySubstanceUnits="true"
        boundaryCondition="false" constant="false"/></listOfSpecies>
    <listOfParameters><parameter id="k" value="0.1" constant="true"/>{parameters}</listOfParameters>
    {extra}
    <listOfReactions>
      <reaction id="r" reversible="false" fast="{fast}">
        <listOfReactants><speciesReference species="A" stoichiometry="1" constant="true"/></listOfReactants>
        <listOfProducts><speciesReference species="B" stoichiometry="2" constant="true"/></listOfProducts>
        <kineticLaw><math xmlns="http://www.w3.org/1998/Math/MathML">{law}</math></kineticLaw>
      </reaction></listOfReactions>
    {events}
  </model>
</sbml>
"""
LAW = "<apply><times/><ci>k</ci><ci>c</ci><ci>A</ci></apply>"
LESS = "<apply><lt/><ci>k</ci><cn>1</cn></apply>"
MATH = '<math xmlns="http://www.w3.org/1998/Math/MathML">{}</math>'
TIME = '<csymbol encoding="text" definitionURL="http://www.sbml.org/sbml/symbols/time">t</csymbol>'


def written(tmp_path, **parts):
    given = {"time": "second", "parameters": "", "extra": "", "fast": "false", "law": LAW, "events": "", **parts}
    path = tmp_path / "model.xml"
    path.write_text(DECAY.format(**given), encoding="utf-8")
    return path


def final(model, hours, names, changes=()):
    p = model.parameter_vector(dict(changes))[None]
    solution = solve(Batch(model, p, Segments(np.array([[0.0, hours]])), np.array([hours])), Options(1e-10, 1e-12))
    assert solution.ok.all()
    return model.outputs(names, solution.y[0, 0], p[0])


@pytest.mark.parametrize(("unit", "seconds"), [("second", 1.0), ("minute", 60.0)])
def test_amounts_concentrations_and_the_unit_of_time(tmp_path, unit, seconds):
    model = read_sbml(written(tmp_path, time=unit))
    hours = 5.0 * seconds / 3600.0
    a = 3.0 * np.exp(-0.1 * 5.0)
    # One A of compartment c (2 L) makes two B, an amount.
    np.testing.assert_allclose(final(model, hours, ["A", "B"]), [a, 1.0 + 2 * 2.0 * (3.0 - a)], rtol=1e-8)
    assert model.parameter_index.keys() >= {"k", "c", "A.initial", "B.initial"}


def test_initial_values_are_parameters(tmp_path):
    model = read_sbml(written(tmp_path))
    assert final(model, 1e-9, ["A"], {"A.initial": 7.0})[0] == pytest.approx(7.0)


def test_time_in_a_formula_is_a_clock(tmp_path):
    rule = f"<listOfRules><assignmentRule variable='x'>{MATH.format(TIME)}</assignmentRule></listOfRules>"
    parameters = '<parameter id="x" constant="false"/>'
    model = read_sbml(written(tmp_path, time="minute", parameters=parameters, extra=rule))
    assert final(model, 2.0, ["x"])[0] == pytest.approx(120.0)


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        (f"<piecewise><piece><cn>1</cn>{LESS}</piece><otherwise><cn>2</cn></otherwise></piecewise>", 1.0),
        ("<apply><power/><ci>k</ci><cn>2.5</cn></apply>", 0.1**2.5),
        ("<apply><power/><apply><minus/><ci>k</ci></apply><cn type='integer'>3</cn></apply>", -(0.1**3)),
        ("<apply><root/><degree><cn>3</cn></degree><ci>k</ci></apply>", 0.1 ** (1 / 3)),
        ("<apply><log/><logbase><cn>2</cn></logbase><ci>k</ci></apply>", np.log2(0.1)),
        ("<apply><max/><ci>k</ci><cn>4</cn><pi/></apply>", 4.0),
        ("<apply><ceiling/><ci>k</ci></apply>", 1.0),
    ],
)  # fmt: skip
def test_formulas(tmp_path, formula, value):
    rule = f"<listOfRules><assignmentRule variable='x'>{MATH.format(formula)}</assignmentRule></listOfRules>"
    path = written(tmp_path, parameters='<parameter id="x" constant="false"/>', extra=rule)
    # max and min came with Level 3 Version 2.
    text = path.read_text("utf-8").replace("version1/core", "version2/core").replace(' fast="false"', "")
    text = text.replace('level="3" version="1"', 'level="3" version="2"')
    path.write_text(text, encoding="utf-8")
    assert final(read_sbml(path), 0.1, ["x"])[0] == pytest.approx(value, rel=1e-12)


EVENT = (
    '<listOfEvents><event id="dose" useValuesFromTriggerTime="true">'
    '<trigger initialValue="true" persistent="true">'
    + MATH.format(f"<apply><gt/>{TIME}<cn>1</cn></apply>")
    + '</trigger><listOfEventAssignments><eventAssignment variable="A">'
    + MATH.format("<cn>1</cn>")
    + "</eventAssignment></listOfEventAssignments></event></listOfEvents>"
)
DELAY = (
    '<apply><csymbol encoding="text" definitionURL="http://www.sbml.org/sbml/symbols/delay">delay</csymbol>'
    "<ci>A</ci><cn>1</cn></apply>"
)


@pytest.mark.parametrize(
    ("parts", "name", "words"),
    [
        ({"events": EVENT}, "dose", "an event"),
        ({"fast": "true"}, "r", "a fast reaction"),
        ({"law": DELAY}, "r", "delay"),
        ({"law": "<apply><factorial/><ci>A</ci></apply>"}, "r", "factorial"),
        ({"parameters": '<parameter id="q" constant="true"/>'}, "q", "a parameter without a value"),
        ({"extra": f"<listOfRules><algebraicRule>{MATH.format('<ci>A</ci>')}</algebraicRule></listOfRules>"},
         "rule 1", "an algebraic rule"),
        ({"extra": f"<listOfConstraints><constraint>{MATH.format('<true/>')}</constraint></listOfConstraints>"},
         "constraint 1", "a constraint"),
    ],
)  # fmt: skip
def test_refusals_name_what_they_refuse(tmp_path, parts, name, words):
    with pytest.raises(InputError) as caught:
        read_sbml(written(tmp_path, **parts))
    problem = caught.value.problems[0]
    assert problem.column == name
    assert words in problem.rule
    assert "model.xml" in str(problem)


def test_all_refusals_at_once(tmp_path):
    with pytest.raises(InputError) as caught:
        read_sbml(written(tmp_path, events=EVENT, fast="true", parameters='<parameter id="q" constant="true"/>'))
    assert {p.column for p in caught.value.problems} == {"dose", "r", "q"}


@pytest.mark.parametrize("text", ["", "not xml", "<sbml/>"])
def test_what_is_no_sbml(tmp_path, text):
    path = tmp_path / "x.xml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"x\.xml"):
        read_sbml(path)
    with pytest.raises(InputError, match="no such file"):
        read_sbml(tmp_path / "absent.xml")


def test_an_exported_model_comes_home(tmp_path):
    build = Builder("two rooms")
    build.parameter("k", 0.3, "1/h")
    build.parameter("V1", 2.0, "L")
    build.compartment("first", lambda s, p: p["V1"])
    build.compartment("second", lambda s, p: 3.0 * p["V1"])
    build.species("a", "first", initial=5.0)
    build.species("b", "second", initial=lambda p: p["k"])
    build.reaction("leaves", {"a": -1, "b": 1}, lambda s, p: p["k"] * s["a"] ** 1.5, at="first")
    model = build.model()
    path = tmp_path / "own.xml"
    path.write_text(to_sbml(model), encoding="utf-8")
    home = read_sbml(path)
    np.testing.assert_allclose(final(home, 4.0, ["a", "b"]), final(model, 4.0, ["a", "b"]), rtol=1e-8)


def test_an_exported_well_comes_home(tmp_path):
    model = well("trastuzumab", "lapatinib")
    path = tmp_path / "well.xml"
    path.write_text(to_sbml(model), encoding="utf-8")
    home = read_sbml(path)
    assert home.n_species == model.n_species
    times = np.array([0.0, 6.0, 48.0])
    found = []
    for one, drug in ((model, "trastuzumab"), (home, "trastuzumab")):
        segments = compile_segments(one, [[Add(0.0, drug, 10.0)]], start=0.0, stop=48.0)
        solution = solve(Batch(one, one.default_parameters()[None], segments, times), Options(1e-9, 1e-12))
        assert solution.ok.all()
        found.append(solution.y[0])
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6, atol=1e-9)
