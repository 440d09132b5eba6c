"""The page on cohorts: its example runs, and its tables name what comes back."""

import re
from pathlib import Path

from her2pkpd.cli import main
from her2pkpd.cohort import load
from her2pkpd.cohort.settings import Solver
from her2pkpd.cohort.tuning import CANDIDATES
from tests.cohort.cohorts import write

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "cohort.md").read_text(encoding="utf-8")


def test_the_example_runs_and_gives_what_the_page_says(tmp_path, capsys):
    text = re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)[1]
    out = tmp_path / "out"
    settings = write(
        tmp_path, text.replace("size = 1000", "size = 60").replace("trajectories = 50", "trajectories = 4")
    )
    assert main(["cohort", str(settings), "--out", str(out), "--engine", "kernel", "--no-report"]) == 0
    assert "60 patients in" in capsys.readouterr().out
    found = load(out)
    assert found.manifest["rtol"] in CANDIDATES
    assert found.manifest["rtol"] > CANDIDATES[-1]
    assert len(found.endpoints) == 120
    assert {"AUC.DXd.cycle3", "above.plasma.T-DXd", "reductions.T-DXd", "line"} <= set(found.endpoints)
    assert (found.endpoints["reductions.T-DXd"] > 0).any()
    patterns = ("AUC", "Cmax", "Cmin", "trough", "above", "doses", "intensity", "reductions", "delays")
    for name in (*found.endpoints, *found.patients, *found.trajectories):
        stem = name.split(".")[0]
        assert f"`{name}`" in PAGE or f"`{stem}." in PAGE or "." in name, name
    assert {n.split(".")[0] for n in found.endpoints if "." in n} <= {*patterns, "SLD"}
    assert all(f'"{key}"' in PAGE for key in found.manifest)


def test_the_usual_accuracy_is_the_one_on_the_page():
    assert f"`accuracy` ({Solver().accuracy:.0e})".replace("1e-03", "1e-3") in PAGE
