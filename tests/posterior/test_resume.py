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
from her2pkpd.posterior.smc import Smc
from tests.posterior import killed
from tests.posterior.exact import linear

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = NutsSettings(chains=2, draws=40, warmup=60, seed=3)


def nuts():
    own, mean, _ = linear()
    density = Density(own)
    return Nuts(density, laplace(density, mean), SETTINGS)


def test_a_run_continued_from_any_round_makes_the_same_draws(tmp_path):
    # Before, between and after the coordinates are made anew, and among the draws kept.
    stops = (2, 4, 8)

    def keep(arrays):
        if int(arrays["round"]) in stops:
            checkpoint.save(tmp_path / f"{int(arrays['round'])}.npz", "mine", arrays)

    whole = nuts().run(keep=keep)
    for stop in stops:
        again = nuts()
        again.restore(checkpoint.load(tmp_path / f"{stop}.npz", "mine"))
        assert again.round == stop
        rest = again.run()
        np.testing.assert_array_equal(rest.v, whole.v)
        np.testing.assert_array_equal(rest.energy, whole.energy)
        np.testing.assert_array_equal(rest.leapfrogs, whole.leapfrogs)


def test_ctrl_c_keeps_what_is_drawn():
    def stop(done, planned, words):
        if done == 80:
            raise KeyboardInterrupt

    found = nuts().run(progress=stop)
    assert found.v.shape == (2, 20, 3)


def killed_while_sampling(folder, method):
    """Start sampling in another process and kill it some rounds after its first checkpoint."""
    command = [sys.executable, "-m", "tests.posterior.killed", str(folder), method]
    # The same arithmetic as here: optimised code rounds differently.
    like_here = {"PYTHONPATH": str(ROOT), "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ | like_here)
    try:
        patience = time.monotonic() + 240
        while not (folder / "state.npz").exists() and process.poll() is None and time.monotonic() < patience:
            time.sleep(0.05)
        time.sleep(0.7)
    finally:
        process.kill()
        code = process.wait(timeout=60)
    return code


@pytest.mark.parametrize("method", ["nuts", "smc"])
def test_a_killed_process_leaves_a_state_that_leads_to_the_same_draws(tmp_path, method):
    assert killed_while_sampling(tmp_path, method) == -signal.SIGKILL
    kept = np.load(tmp_path / "state.npz")
    assert 0 < int(kept["round"]) < 12 if method == "nuts" else len(kept["ended"]) < 2
    rest = killed.sample(tmp_path, method)
    alone = tmp_path / "alone"
    alone.mkdir()
    np.testing.assert_array_equal(rest, killed.sample(alone, method))


def test_tempering_continued_from_any_stage_makes_the_same_draws(tmp_path):
    kept = []

    def keep(arrays):
        checkpoint.save(tmp_path / "state.npz", "mine", arrays)
        kept.append(checkpoint.load(tmp_path / "state.npz", "mine"))

    def smc():
        return Smc(Density(linear()[0]), NutsSettings(chains=2, draws=50, seed=3))

    whole = smc().run(keep=keep)
    first = next(i for i, arrays in enumerate(kept) if len(arrays["ended"]))
    # Within the first run, between the two, and within the second.
    for arrays in (kept[1], kept[first], kept[first + 2]):
        again = smc()
        again.restore(arrays)
        np.testing.assert_array_equal(again.run().v, whole.v)
        assert again.finished


def test_a_state_of_other_inputs_or_half_a_state_is_not_used(tmp_path):
    file = tmp_path / "state.npz"
    checkpoint.save(file, "mine", {"x": np.arange(3)})
    assert checkpoint.load(file, "another's") is None
    assert checkpoint.load(tmp_path / "none.npz", "mine") is None
    np.testing.assert_array_equal(checkpoint.load(file, "mine")["x"], [0, 1, 2])
    for damage in (b"", b"PK", file.read_bytes()[:40]):
        file.write_bytes(damage)
        assert checkpoint.load(file, "mine") is None
