"""Run by test_resume: samples a known posterior, keeping a checkpoint after every round."""

import sys
import time
from pathlib import Path

import numpy as np

from her2pkpd.posterior import run
from tests.posterior.exact import linear, problem


def main(folder: str, slow: str, out: str) -> None:
    run.SAVE_EVERY = 0.0
    own, _, _ = linear()
    fitted = run.fit(problem(own, Path(folder), sample="nuts", draws=60, warmup=60, chains=2))

    def progress(*_):
        time.sleep(float(slow))

    found = run.sample(fitted, keep=Path(folder) / "state.npz", progress=progress)
    np.save(Path(folder) / out, found.u)


if __name__ == "__main__":
    main(*sys.argv[1:])
