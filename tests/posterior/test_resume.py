"""Sampling killed at any moment and started again makes the same draws as sampling that was left alone."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from her2pkpd.posterior import checkpoint
from her2pkpd.posterior.density import Density, laplace
from her2pkpd.posterior.nuts import Nuts, NutsSettings
from tests.posterior.exact import linear

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = NutsSettings(chains=2, draws=40, warmup=60, seed=3)


def nuts():
    own, mean, _ = linear()
    density = Density(own)
    return Nuts(density, laplace(density, mean), SETTINGS)


@pytest.mark.parametrize("stop", [2, 4, 8])
def test_a_run_continued_from_any_round_makes_the_same_draws(tmp_path, stop):
    # Before, between and after the coordinates are made anew, and among the draws kept.
    whole = nuts().run()
    file = tmp_path / "state.npz"

    def keep(arrays):
        checkpoint.save(file, "mine", arrays)
        if int(arrays["round"]) == stop:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        nuts().run(keep=keep)
    second = nuts()
    second.restore(checkpoint.load(file, "mine"))
    rest = second.run()
    np.testing.assert_array_equal(rest.v, whole.v)
    np.testing.assert_array_equal(rest.energy, whole.energy)


def test_ctrl_c_keeps_what_is_drawn():
    def stop(done, planned, words):
        if done == 80:
            raise KeyboardInterrupt

    found = nuts().run(progress=stop)
    assert found.v.shape == (2, 20, 3)


def start(folder, slow, out):
    command = [sys.executable, "-m", "tests.posterior.killed", str(folder), str(slow), out]
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})


def test_a_killed_process_leaves_a_state_that_leads_to_the_same_draws(tmp_path):
    alone = tmp_path / "alone"
    alone.mkdir()
    whole = start(alone, 0, "whole.npy")
    process = start(tmp_path, 0.3, "never.npy")
    state = tmp_path / "state.npz"
    patience = time.monotonic() + 300
    while not state.exists() and process.poll() is None and time.monotonic() < patience:
        time.sleep(0.05)
    time.sleep(0.7)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert whole.wait() == 0
    assert state.exists()
    assert start(tmp_path, 0, "rest.npy").wait() == 0
    np.testing.assert_array_equal(np.load(tmp_path / "rest.npy"), np.load(alone / "whole.npy"))


def test_a_state_of_other_inputs_or_half_a_state_is_not_used(tmp_path):
    file = tmp_path / "state.npz"
    checkpoint.save(file, "mine", {"x": np.arange(3)})
    assert checkpoint.load(file, "another's") is None
    assert checkpoint.load(tmp_path / "none.npz", "mine") is None
    np.testing.assert_array_equal(checkpoint.load(file, "mine")["x"], [0, 1, 2])
    for damage in (b"", b"PK", file.read_bytes()[:40]):
        file.write_bytes(damage)
        assert checkpoint.load(file, "mine") is None
