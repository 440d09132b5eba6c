"""The command line: exit codes, messages and what is (not) written."""

import errno
import subprocess
import sys
from types import ModuleType, SimpleNamespace

import pytest

import her2pkpd
from her2pkpd import cli
from her2pkpd.errors import ComputationError, InputError, Problem

SCENARIO = """
[system]
kind = "well"
cell_lines = { "SK-BR-3" = 5000 }

[[dose]]
drug = "lapatinib"
concentration = "100 nM"

[output]
times = ["0 h", "24 h"]
variables = ["viability.SK-BR-3"]
"""


@pytest.fixture
def scenario(tmp_path):
    path = tmp_path / "scenario.toml"
    path.write_text(SCENARIO, encoding="utf-8")
    return path


def run(*arguments):
    return cli.main([str(a) for a in arguments])


def test_version_and_help(capsys):
    for arguments in (["--version"], ["--help"]):
        with pytest.raises(SystemExit) as stop:
            run(*arguments)
        assert stop.value.code == 0
    out = capsys.readouterr().out
    assert f"her2pkpd {her2pkpd.__version__}" in out
    assert all(command in out for command in ("fit", "simulate", "gr", "drugs", "cell-lines"))


@pytest.mark.parametrize("command", ["fit", "simulate", "gr", "assay", "drugs", "cell-lines"])
def test_every_command_explains_itself(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as stop:
        run(command, "--help")
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert len(out.split()) > 60
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["fit"], ["fit", "x.toml"], ["simulate", "--out", "x"]])
def test_wrong_usage_exits_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        run(*arguments)
    assert stop.value.code == 2
    assert "usage: her2pkpd" in capsys.readouterr().err


def test_the_list_of_drugs(capsys):
    assert run("drugs") == 0
    out = capsys.readouterr().out
    assert all(name in out for name in ("trastuzumab", "pertuzumab", "lapatinib", "neratinib", "tucatinib", "Perjeta"))


@pytest.mark.parametrize("width", [60, 80, 160])
def test_one_drug_with_units_and_sources_fits_the_terminal(width, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    assert run("drugs", "herceptin") == 0
    out = capsys.readouterr().out
    words = " ".join(out.split())
    assert "0.314 nM (95 % interval" in words
    assert "secondary: Scheuher" in words
    assert max(map(len, out.splitlines())) <= width


def test_one_cell_line_shows_every_value_found(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert run("cell-lines", "bt474") == 0
    out = capsys.readouterr().out
    assert "BT-474: breast, HER2amp, Luminal" in out
    for text in ("8e5 copies/cell (CV 70 %)", "499795 copies/cell", "1.94e6 copies/cell", "1.73 %", "Jarrett 2019"):
        assert text in out


def test_the_list_of_cell_lines(capsys):
    assert run("cell-lines") == 0
    out = capsys.readouterr().out
    assert "SK-BR-3" in out
    assert len(out.splitlines()) > 50


def test_the_reader_s_own_library(tmp_path, capsys):
    path = tmp_path / "mine.toml"
    path.write_text(
        '["My line"]\nHER2 = { value = 7e5, unit = "copies/cell", citation = "own", certainty = "published" }\n',
        encoding="utf-8",
    )
    assert run("cell-lines", "myline", "--library", path) == 0
    assert "7e5 copies/cell" in capsys.readouterr().out


def test_simulate_writes_the_table(scenario, tmp_path):
    out = tmp_path / "out.csv"
    assert run("simulate", scenario, "--out", out) == 0
    header, *rows = out.read_text().splitlines()
    assert header == "time,time_unit,variable,value,unit,id,status"
    assert len(rows) == 2


def test_an_existing_file_is_kept_unless_forced(scenario, tmp_path, capsys):
    out = tmp_path / "out.csv"
    out.write_text("precious")
    assert run("simulate", scenario, "--out", out) == 2
    assert out.read_text() == "precious"
    assert "--force" in capsys.readouterr().err
    assert run("simulate", scenario, "--out", out, "--force") == 0
    assert "precious" not in out.read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["drugs", "lapatinb"], "Did you mean lapatinib"),
        (["cell-lines", "SKBR"], "Did you mean SK-BR-3"),
        (["drugs", "lapatinib", "--library", "missing.toml"], "missing.toml: the file cannot be read"),
        (["simulate", "missing.toml", "--out", "out.csv"], "missing.toml: the file cannot be read"),
        (["fit", "missing.toml", "--out", "out"], "missing.toml"),
        (["gr", "missing.csv", "--out", "out"], "missing.csv"),
        (["assay", "ish", "missing.csv", "--out", "out.csv"], "missing.csv: the file does not exist"),
    ],
)
def test_bad_input_exits_with_2_one_message_and_no_output(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith(f"her2pkpd {arguments[0]}: ")
    assert message in shown.err
    assert "Traceback" not in shown.err
    assert shown.out == ""
    assert list(tmp_path.iterdir()) == []


def replace(monkeypatch, module, function, behaviour):
    """Put a stand-in where the handler imports the real function from."""
    stub = ModuleType(module)
    setattr(stub, function, behaviour)
    monkeypatch.setitem(sys.modules, module, stub)


def test_fit_and_gr_pass_on_what_was_asked(monkeypatch):
    calls = []
    done = SimpleNamespace(interrupted=False)
    replace(monkeypatch, "her2pkpd.report.fit", "fit_file", lambda *a, **k: calls.append((a, k)) or done)
    replace(monkeypatch, "her2pkpd.data.gr", "gr_file", lambda *a, **k: calls.append((a, k)))
    assert run("fit", "fit.toml", "--out", "there", "--quiet") == 0
    assert run("gr", "plate.csv", "--out", "there", "--force") == 0
    assert calls == [
        (("fit.toml", "there"), {"force": False, "progress": False, "resume": True}),
        (("plate.csv", "there"), {"force": True}),
    ]


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (InputError([Problem("no", "Fix it", row=2), Problem("nor this", "Mend it", row=3)]), 2, "2 problems:"),
        (ComputationError("3 of 8 wells failed"), 3, "3 of 8 wells failed"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_failures_become_exit_codes(monkeypatch, capsys, error, code, message):
    def fail(*_, **__):
        raise error

    replace(monkeypatch, "her2pkpd.report.fit", "fit_file", fail)
    assert run("fit", "fit.toml", "--out", "there") == code
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "module", "function", "words"),
    [
        ("fit", "her2pkpd.report.fit", "fit_file", "the same command goes on from here"),
        ("cohort", "her2pkpd.report.cohort", "read_targets", "--resume goes on from here"),
    ],
)
def test_what_can_be_gone_on_with_says_so_when_interrupted(monkeypatch, capsys, command, module, function, words):
    def stop(*_, **__):
        raise KeyboardInterrupt

    replace(monkeypatch, module, function, stop)
    for other in ("check_targets", "cohort_report"):
        setattr(sys.modules[module], other, stop)
    assert run(command, "settings.toml", "--out", "there") == 130
    assert words in capsys.readouterr().err


def test_a_full_disk_is_said_and_is_no_bug(monkeypatch, capsys):
    def fail(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    replace(monkeypatch, "her2pkpd.report.fit", "fit_file", fail)
    assert run("fit", "fit.toml", "--out", "there") == 3
    assert "No space left on device" in (said := capsys.readouterr().err)
    assert "make room, then the same command goes on from here" in said


def test_a_bug_is_not_disguised_as_bad_input(monkeypatch):
    def fail(*_, **__):
        raise ZeroDivisionError

    replace(monkeypatch, "her2pkpd.report.fit", "fit_file", fail)
    with pytest.raises(ZeroDivisionError):
        run("fit", "fit.toml", "--out", "there")


def test_a_reader_that_leaves_early_is_no_error():
    command = f"{sys.executable} -m her2pkpd.cli cell-lines | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stderr == ""
