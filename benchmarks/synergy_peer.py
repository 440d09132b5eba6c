"""Our scores and surface fits beside those of the `synergy` package, on published and simulated data.

    python benchmarks/synergy_peer.py PYTHON_WITH_SYNERGY

The package (GPL) is run, never read or copied: its outputs are compared. Writes results/synergy_peer.json.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from her2pkpd.synergy import make_block, score_block
from her2pkpd.synergy.surface_fit import fit_surfaces
from her2pkpd.synergy.surfaces import braid, musyc
from her2pkpd.synergy.wells import gather, log_doses

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / "shared" / "data" / "synergy_python_pkg"
DOSES = np.array([0.0, 0.05, 0.2236, 1.0, 4.472, 20.0])
OURS = {
    "bliss": "bliss_excess_gt0_is_synergy", "hsa": "hsa_excess_gt0_is_synergy", "zip": "zip_delta_gt0_is_synergy",
    "loewe_ci": "loewe_ci_lt1_is_synergy", "loewe_excess": "loewe_excess_gt0_is_synergy",
    "chou_talalay": "chou_talalay_ci_lt1_is_synergy",
}  # fmt: skip


def data_sets() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The published files, and twelve simulated MuSyC surfaces with 2 % noise."""
    found = {}
    for path in sorted(DATA.glob("*.csv")):
        table = pd.read_csv(path).to_numpy()
        if table.shape[1] == 3:
            found[path.stem] = (table[:, :2], table[:, 2])
    grid = np.array([(a, b) for a in DOSES for b in DOSES] * 3)
    surface, rng = musyc(), np.random.default_rng(0)
    for i in range(12):
        v = [1, rng.uniform(0.1, 0.6), rng.uniform(0.1, 0.6), rng.uniform(0, 0.1), *rng.uniform(0.7, 1.8, 2),
             *np.exp(rng.normal(0, 0.5, 2)), *np.exp(rng.normal(0, 0.7, 2)), 1, 1]  # fmt: skip
        clean = surface(log_doses(grid), surface.coordinates(np.array(v)))
        found[f"simulated_{i:02d}"] = (grid, clean + rng.normal(0, 0.02, len(grid)))
    return found


def main(peer: str) -> None:
    """Run both and write what they agree on."""
    sets = data_sets()
    request, ours = {}, {}
    for name, (doses, effect) in sets.items():
        block, wells = make_block(doses, effect, kind="viability"), gather(doses, effect)
        unique = np.unique(doses, axis=0)
        request[name] = {"d1": doses[:, 0].tolist(), "d2": doses[:, 1].tolist(), "E": effect.tolist()}
        if block.has_curves:
            scored = score_block(block, draws=0)
            ours[name] = scored.table
            request[name] |= {
                "curves": scored.curves.tolist(), "mean_d1": unique[:, 0].tolist(), "mean_d2": unique[:, 1].tolist(),
                "mean_E": wells.mean.tolist(),
            }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "request.json"
        path.write_text(json.dumps(request), encoding="utf-8")
        run = subprocess.run(
            [peer, str(HERE / "synergy_peer_run.py"), str(path)], capture_output=True, text=True, check=True
        )
    theirs = json.loads(run.stdout.splitlines()[-1])
    result = {"scores": _scores(request, ours, theirs), "fits": _fits(sets, theirs)}
    (HERE / "results" / "synergy_peer.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


def _scores(request: dict, ours: dict, theirs: dict) -> dict:
    out = {}
    for label, name in OURS.items():
        largest, compared = [], 0
        for data, table in ours.items():
            other = theirs[data]["scores"].get(label)
            if not isinstance(other, list):
                continue
            d = np.column_stack([request[data]["mean_d1"], request[data]["mean_d2"]])
            mine = table.loc[table["score"] == name, "value"].to_numpy(dtype=float)
            peer = np.array(other, dtype=float)[(d > 0).all(axis=1)]
            both = np.isfinite(mine) & np.isfinite(peer)
            compared += 1
            largest.append(float(np.max(np.abs(mine - peer)[both] / np.maximum(1, np.abs(peer[both])), initial=0.0)))
        out[label] = {
            "data_sets": compared,
            "within_1e-6": int(np.sum(np.array(largest) < 1e-6)),
            "largest": max(largest),
        }
    return out


def _fits(sets: dict, theirs: dict) -> dict:
    out = {}
    for surface in (musyc(), braid()):
        label, wells = surface.name, [gather(*s) for s in sets.values()]
        fit_surfaces(surface, wells[:1], intervals=False)
        ratio, alone, peer = {}, [], []
        for (name, _), w in zip(sets.items(), wells, strict=True):
            began = time.perf_counter()
            fit = fit_surfaces(surface, [w], intervals=False)[0]
            alone.append(time.perf_counter() - began)
            other = theirs[name]["fits"][label]
            if "rss" in other:
                ratio[name] = fit.rss / max(other["rss"], 1e-12)
                peer.append(other["seconds"])
        began = time.perf_counter()
        fit_surfaces(surface, wells, intervals=False)
        batch = (time.perf_counter() - began) / len(wells)
        out[label] = {
            "worst_rss_ratio": max(ratio.values()), "rss_ratio": ratio, "peer_fits": len(peer),
            "seconds_ours_one_by_one": float(np.mean(alone)), "seconds_ours_in_batch": batch,
            "seconds_peer_mean": float(np.mean(peer)), "seconds_peer_median": float(np.median(peer)),
        }  # fmt: skip
    return out


if __name__ == "__main__":
    main(sys.argv[1])
