"""Scores and fits of the `synergy` package on a folder of data sets, run in its own interpreter by synergy_peer.py."""

import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np

warnings.simplefilter("ignore")


def main(path: str) -> None:
    """Read data sets and our Hill curves as JSON, print the package's scores, fits and seconds as JSON."""
    from synergy.combination import BRAID, HSA, ZIP, Bliss, CombinationIndex, Loewe, MuSyC
    from synergy.single import Hill

    sets = json.loads(Path(path).read_text(encoding="utf-8"))
    out = {}
    for name, data in sets.items():
        d1, d2, e = (np.array(data[k]) for k in ("d1", "d2", "E"))
        fits = {}
        for label, make in (("musyc_gamma", MuSyC), ("braid", BRAID)):
            began = time.process_time()
            try:
                model = make()
                model.fit(d1, d2, e)
                fits[label] = {"rss": float(model.sum_of_squares_residuals), "seconds": time.process_time() - began}
            except Exception as error:  # noqa: BLE001
                fits[label] = {"error": repr(error)}
        out[name] = {"fits": fits, "scores": {}}
        if "curves" not in data:
            continue
        e0, e1, f1, h1, g1, c1, c2 = data["curves"]
        hills = {"drug1_model": Hill(E0=e0, Emax=e1, h=h1, C=c1), "drug2_model": Hill(E0=e0, Emax=f1, h=g1, C=c2)}
        m1, m2 = np.array(data["mean_d1"]), np.array(data["mean_d2"])
        mean = np.array(data["mean_E"])
        additive = np.array([np.nan if x is None else x for x in data["additive"]])
        zip_model = ZIP(**hills)
        for label, model in (
            ("bliss", Bliss()), ("hsa", HSA()), ("loewe_ci", Loewe(**hills)),
            ("loewe_excess", Loewe("delta_nan", **hills)),
            ("zip", zip_model), ("chou_talalay", CombinationIndex()),
        ):  # fmt: skip
            try:
                out[name]["scores"][label] = np.asarray(model.fit(m1, m2, mean)).tolist()
            except Exception as error:  # noqa: BLE001
                out[name]["scores"][label] = repr(error)
        known = np.isfinite(additive)
        index = Loewe(**hills).fit(m1[known], m2[known], additive[known])
        out[name]["ci_at_additive"] = np.asarray(index).tolist()
        out[name]["zip_slices"] = {
            side: {k: np.asarray(getattr(zip_model, f"_{k}_{side}")).tolist() for k in ("Emax", "h", "C")}
            for side in ("12", "21")
        }
    print(json.dumps(out))


if __name__ == "__main__":
    main(sys.argv[1])
