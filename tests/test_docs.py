"""What the README and the docs tell a newcomer to do works."""

import re
import shlex
from pathlib import Path

import pytest

from her2pkpd.cli import main

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def scenario(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scenario.toml").write_text(blocks("toml")[0], encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(("mark", "needs"), [("fit", "her2pkpd fit "), ("tests", "'.[test]'")])
def test_set_up_commands_are_one_line_each(mark, needs):
    found = re.search(rf"<!-- {mark} -->\n```bash\n(.*?)```", README, flags=re.DOTALL)
    assert found
    assert found[1].count("\n") == 1
    assert found[1].startswith("python3 -m venv ")
    assert needs in found[1]


def test_quick_start_commands(scenario, capsys):
    lines = [line for block in blocks("bash") for line in block.splitlines() if line.startswith("her2pkpd ")]
    assert len(lines) >= 4
    for line in lines:
        assert main(shlex.split(line, comments=True)[1:]) == 0, line
    assert (scenario / "out.csv").exists()
    assert "Scheuher 2023" in capsys.readouterr().out


def test_quick_start_python(scenario, capsys):
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), {})
    assert "0.314 nM (95 % interval 0.127 to 0.772)" in capsys.readouterr().out


def test_the_reader_s_own_cell_line_of_the_docs(tmp_path):
    from her2pkpd import load_cell_line

    text = (ROOT / "docs" / "library.md").read_text("utf-8")
    own = re.findall(r"^```toml\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)[-1]
    path = tmp_path / "mine.toml"
    path.write_text(own, encoding="utf-8")
    assert load_cell_line("SK-BR-3", path).HER2.canonical == 9.5e5


def test_the_fit_of_the_docs(tmp_path):
    text = (ROOT / "docs" / "fitting.md").read_text("utf-8")
    for language, name in (("csv", "plate.csv"), ("toml", "fit.toml")):
        (block,) = re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
        (tmp_path / name).write_text(block, encoding="utf-8")
    assert main(["fit", str(tmp_path / "fit.toml"), "--out", str(tmp_path / "out"), "--quiet"]) == 0
    told = (tmp_path / "out" / "parameters.csv").read_text("utf-8")
    assert "lapatinib.HER2.Ki,nM" in told
    assert "95 % profile" in told


def test_the_plate_of_the_docs(tmp_path):
    text = (ROOT / "docs" / "design.md").read_text("utf-8")
    (block,) = re.findall(r"^```toml\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    (tmp_path / "fit.toml").write_text(block, encoding="utf-8")
    assert main(["design", str(tmp_path / "fit.toml"), "--out", str(tmp_path / "out"), "--quiet"]) == 0
    assert (tmp_path / "out" / "plate.csv").read_text("utf-8").startswith("plate,well,cell_line,drug")


def test_links_lead_somewhere():
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text("utf-8")):
            assert "://" in target or (page.parent / target).exists(), f"{page.name}: {target}"
