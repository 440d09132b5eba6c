"""Reading TOML settings: every message, and nothing but messages."""

import pytest

from her2pkpd.errors import InputError, Problems
from her2pkpd.settings import Section, nearest, read_settings


@pytest.fixture
def write(tmp_path):
    def one(text):
        path = tmp_path / "s.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return one


def section(**table):
    return Section(table, "method", Problems("fit.toml"))


def only(s):
    (problem,) = s.problems.found
    return problem


# --- files ---------------------------------------------------------------------------------------------------


def test_a_file_is_read_with_or_without_byte_order_mark(write):
    assert read_settings(write("a = 1\n")).table == {"a": 1}
    assert read_settings(write(b"\xef\xbb\xbfa = 1\r\n")).table == {"a": 1}


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"a = \xff\xfe", "the file is not UTF-8 text"),
        ("a = ", "not valid TOML: Invalid value"),
        ("a = 1\na = 2", "not valid TOML: Cannot overwrite a value"),
        ("a = 1,5", "not valid TOML: Expected newline or end of document after a statement (at line 1, column 6"),
        ("[a", "not valid TOML"),
        (f"a = {'9' * 5000}", "not valid TOML"),
        (f"a = {'[' * 100_000}", "not valid TOML"),
        ("a = 1979-13-45", "not valid TOML"),
        (b"a = '\x00'", "not valid TOML"),
    ],
)
def test_files_that_cannot_be_read(write, content, rule):
    path = write(content)
    with pytest.raises(InputError) as refused:
        read_settings(path)
    (problem,) = refused.value.problems
    assert problem.rule.startswith(rule)
    assert problem.file == str(path)
    assert problem.remedy


def test_missing_files_and_folders_are_named(tmp_path):
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(InputError, match="the file cannot be read") as refused:
            read_settings(path)
        assert refused.value.problems[0].file == str(path)


# --- keys ----------------------------------------------------------------------------------------------------


def test_values_of_the_right_type_pass():
    s = section(a="x", b=3, c=True, d=2.5, e="10 uM", f=["x"], g={"h": 1})
    assert (s.text("a"), s.integer("b"), s.flag("c"), s.number("d")) == ("x", 3, True, 2.5)
    assert s.number("b") == 3.0
    assert s.quantity("e", "nM") == pytest.approx(1e4)
    assert s.get("f", list) == ["x"]
    assert s.section("g").integer("h") == 1
    s.finish()
    assert not s.problems


def test_defaults_stand_in_for_what_is_missing():
    s = section()
    assert (s.text("a", "x"), s.integer("b", 3), s.flag("c", False), s.number("d", None)) == ("x", 3, False, None)
    assert s.quantity("e", "nM", 5.0) == 5.0
    assert s.section("f").table == {}
    assert s.sections("g") == []
    s.finish()
    assert not s.problems


@pytest.mark.parametrize(
    ("table", "ask", "rule", "remedy"),
    [
        ({}, lambda s: s.text("a"), "is missing", "Add a = text in quotes."),
        ({}, lambda s: s.integer("a"), "is missing", "Add a = a whole number."),
        ({}, lambda s: s.quantity("a", "nM"), "is missing", 'Add a = "... nM".'),
        ({}, lambda s: s.text("a", choices=("x", "y")), "is missing", 'Add a = one of "x", "y".'),
        ({"a": 1}, lambda s: s.text("a"), "must be text in quotes", "Correct its type."),
        ({"a": "one"}, lambda s: s.integer("a"), "must be a whole number", "Correct its type."),
        ({"a": 1.5}, lambda s: s.integer("a"), "must be a whole number", "Correct its type."),
        ({"a": True}, lambda s: s.integer("a"), "must be a whole number", "Correct its type."),
        ({"a": True}, lambda s: s.number("a"), "must be a number", "Correct its type."),
        ({"a": 1}, lambda s: s.flag("a"), "must be true or false", "Correct its type."),
        ({"a": 0}, lambda s: s.integer("a", low=1, high=9), "must be between 1 and 9", "in that range."),
        ({"a": "c"}, lambda s: s.text("a", choices=("cell", "x")), 'must be one of "cell", "x"', "Known: cell, x."),
        ({"a": "cel"}, lambda s: s.text("a", choices=("cell", "x")), 'must be one of "cell", "x"', "mean 'cell'?"),
        ({"a": "5 h"}, lambda s: s.quantity("a", "nM"), "unit 'h' cannot be converted to 'nM'", "same kind as 'nM'"),
        ({"a": "-5 nM"}, lambda s: s.quantity("a", "nM", low=0.0), "must be at least 0 nM", "Correct the number."),
        ({"a": 5}, lambda s: s.quantity("a", "nM"), "the unit is missing", '"5.0 nM"'),
        ({"a": []}, lambda s: s.quantity("a", "nM"), "a quantity in 'nM' must be text with a unit", '"1 nM"'),
        ({"a": "x"}, lambda s: s.section("a"), "must be a table [method.a]", "Correct its type."),
        ({"a": {}}, lambda s: s.sections("a"), "must be tables written [[method.a]]", "Correct its type."),
        ({"a": [1]}, lambda s: s.sections("a"), "must be tables written [[method.a]]", "Use double brackets."),
        ({"a": "xy"}, lambda s: s.get("a", list, words="a list of drugs"), "must be a list of drugs", "its type."),
        ({"a": float("nan")}, lambda s: s.number("a"), "must be a finite number", "Give an ordinary number."),
        ({"a": float("inf")}, lambda s: s.number("a"), "must be a finite number", "Give an ordinary number."),
        ({"a": 10**400}, lambda s: s.number("a"), "must be a finite number", "Give an ordinary number."),
        ({"a": [1, "b"]}, lambda s: s.texts("a"), "must be a list of texts in quotes", "Correct its type."),
        ({"a": "b"}, lambda s: s.texts("a"), "must be a list of texts in quotes", "Correct its type."),
    ],
)  # fmt: skip
def test_every_message(table, ask, rule, remedy):
    s = section(**table)
    ask(s)
    problem = only(s)
    assert problem.file == "fit.toml"
    assert problem.column == "method.a"
    assert problem.rule == rule
    assert remedy in problem.remedy
    assert problem.value == table.get("a") or problem.value != problem.value


def test_after_a_complaint_reading_goes_on_with_the_default_or_nothing():
    s = section(a="x", b="x")
    assert s.integer("a", 7) == 7
    assert s.integer("b") is None
    assert len(s.problems.found) == 2


def test_keys_nobody_asked_for_are_reported_at_every_depth_with_the_nearest_known():
    s = Section({"startz": 1, "noise": {"viabilty": 2}, "data": [{"fil": "x"}]}, "", Problems("fit.toml"))
    s.integer("starts", 1)
    s.section("noise").number("viability", 0.1)
    for d in s.sections("data"):
        d.text("file", "")
    s.finish()
    assert [(p.column, p.rule, p.remedy) for p in s.problems.found] == [
        ("startz", "is not a known key", "Did you mean 'starts'?"),
        ("noise.viabilty", "is not a known key", "Did you mean 'viability'?"),
        ("data[1].fil", "is not a known key", "Did you mean 'file'?"),
    ]


def test_nearest_names_one_or_lists_them():
    assert nearest("lapatinb", ["lapatinib", "neratinib"]) == "Did you mean 'lapatinib'?"
    assert nearest("zzz", ["b", "a"]) == "Known: a, b."
    assert nearest("zzz", map(str, range(100))).endswith(" and 70 more.")
    assert nearest("", []) == "Known: none."


def test_a_number_too_long_to_show_is_still_reported(write):
    top = read_settings(write(f"a = 0x{'f' * 9000}"))
    top.integer("a")
    assert "too many digits" in str(only(top))
