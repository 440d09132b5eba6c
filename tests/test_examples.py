"""Every example runs, as a script, and says something."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_example_runs(path):
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_dual_blockade_needs_the_ligand():
    done = subprocess.run(
        [sys.executable, str(EXAMPLES[0].parent / "dual_blockade.py")],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    rows = {line.split()[0]: [float(x) for x in line.split()[1:]] for line in done.stdout.splitlines()[1:]}
    assert rows["pertuzumab"][0] == 1.0
    assert rows["both"][0] == rows["trastuzumab"][0]
    assert rows["both"][1] < rows["trastuzumab"][1]
    assert rows["both"][1] < rows["pertuzumab"][1]
