"""Samples a known posterior, keeping a checkpoint after every round; run by test_resume to be killed."""

import sys
import time
from pathlib import Path

import numpy as np

from her2pkpd.posterior import run
from tests.posterior.exact import linear, problem


def sample(folder: Path, method: str, pause: float = 0.0) -> np.ndarray:
    """Draws (chains, draws, n), continued from the checkpoint in the folder if there is one."""
    own, _, _ = linear()
    fitted = run.fit(problem(own, folder, sample=method, draws=60, warmup=60, chains=2))
    return run.sample(fitted, keep=folder / "state.npz", progress=lambda *_: time.sleep(pause)).u


if __name__ == "__main__":
    run.SAVE_EVERY = 0.0
    sample(Path(sys.argv[1]), sys.argv[2], pause=0.3)
