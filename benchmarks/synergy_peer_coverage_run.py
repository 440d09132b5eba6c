"""Bootstrap intervals of the `synergy` package, run in its own interpreter by synergy_peer_coverage.py."""

import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np

warnings.simplefilter("ignore")


def main(path: str) -> None:
    """Read simulated surfaces as JSON, print the package's intervals and seconds as JSON."""
    from synergy.combination import BRAID, MuSyC, Zimmer

    make = {
        "musyc": lambda: MuSyC(fit_gamma=False), "musyc_gamma": MuSyC, "braid": lambda: BRAID(mode="kappa"),
        "zimmer": Zimmer,
    }  # fmt: skip
    request = json.loads(Path(path).read_text(encoding="utf-8"))
    d1, d2 = np.array(request["grid"]).T
    found, began = {}, time.process_time()
    for key, case in request["cases"].items():
        found[key] = []
        for i, effect in enumerate(case["effects"]):
            np.random.seed(i)  # noqa: NPY002 - the package draws from the global generator
            try:
                model = make[case["model"]]()
                model.fit(d1, d2, np.array(effect), bootstrap_iterations=request["draws"])
                ends = model.get_confidence_intervals(95)
                found[key].append({name: [float(x) for x in pair] for name, pair in ends.items()})
            except Exception as error:  # noqa: BLE001
                print(key, i, repr(error), file=sys.stderr)
                found[key].append(None)
        print(key, f"{time.process_time() - began:.0f} s", file=sys.stderr, flush=True)
    print(json.dumps({"cases": found, "seconds": time.process_time() - began}))


if __name__ == "__main__":
    main(sys.argv[1])
