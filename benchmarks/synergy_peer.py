"""Our scores and surface fits beside those of the `synergy` package, on published and simulated data.

    python benchmarks/synergy_peer.py PYTHON_WITH_SYNERGY

The package (GPL) is run, never read or copied: its outputs are compared. Writes results/synergy_peer.json.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import mpmath as mp
import numpy as np
import pandas as pd
from scipy.optimize import least_squares

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
        request[name] = {"d1": doses[:, 0].tolist(), "d2": doses[:, 1].tolist(), "E": effect.tolist()}
        if block.has_curves:
            scored = score_block(block, draws=0)
            ours[name] = scored.table
            unique = np.unique(doses, axis=0)
            request[name] |= {
                "curves": scored.curves.tolist(), "mean_d1": unique[:, 0].tolist(), "mean_d2": unique[:, 1].tolist(),
                "mean_E": wells.mean.tolist(), "additive": _additive(scored.table, unique, wells.mean),
            }  # fmt: skip
    theirs = _run(peer, request)
    scores = _scores(request, ours, theirs)
    result = {"scores": scores, "loewe": _loewe(request, ours, theirs), "zip": _zip(request, ours, theirs)}
    result["fits"] = _fits(sets, theirs)
    result["seconds"] = "of one core, processor time"
    (HERE / "results" / "synergy_peer.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


def _run(peer: str, request: dict) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "request.json"
        path.write_text(json.dumps(request), encoding="utf-8")
        run = subprocess.run(
            [peer, str(HERE / "synergy_peer_run.py"), str(path)], capture_output=True, text=True, check=True
        )
    return json.loads(run.stdout.splitlines()[-1])


def _additive(table: pd.DataFrame, doses: np.ndarray, mean: np.ndarray) -> list[float | None]:
    """The response our Loewe excess takes as additive, at every dose combination; None where undefined."""
    both = (doses > 0).all(axis=1)
    excess = table.loc[table["score"] == OURS["loewe_excess"], "value"].to_numpy(dtype=float)
    expected = np.full(len(doses), np.nan)
    expected[both] = excess + mean[both]
    return [float(x) if np.isfinite(x) else None for x in expected]


def _loewe(request: dict, ours: dict, theirs: dict) -> dict:
    """Both against the root of the combination index at the same curves, found in 40 digits."""
    error, peer_error, index = [], [], []
    for name, table in ours.items():
        doses = np.column_stack([request[name]["mean_d1"], request[name]["mean_d2"]])
        both = (doses > 0).all(axis=1)
        exact = np.array([exact_loewe(request[name]["curves"], d) for d in doses[both]])
        exact = exact - np.array(request[name]["mean_E"])[both]
        mine = table.loc[table["score"] == OURS["loewe_excess"], "value"].to_numpy(dtype=float)
        peer = np.array(theirs[name]["scores"]["loewe_excess"], dtype=float)[both]
        error.append(float(np.nanmax(np.abs(mine - exact))))
        peer_error.append(float(np.nanmax(np.abs(peer - exact))))
        index.append(float(np.nanmax(np.abs(np.array(theirs[name]["ci_at_additive"], dtype=float) - 1.0))))
    return {
        "our_largest_error": max(error), "our_data_sets_within_1e-6": int(np.sum(np.array(error) < 1e-6)),
        "peer_largest_error": max(peer_error), "peer_smallest_of_the_largest_errors": min(peer_error),
        "peer_index_at_our_additive_response_off_1": max(index),
        "peer_index_within_1e-6": int(np.sum(np.array(index) < 1e-6)),
    }  # fmt: skip


def exact_loewe(curves: list[float], dose: np.ndarray) -> float:
    """The additive response of two Hill curves to 40 digits; NaN where one dose exceeds the weaker plateau."""
    e0, e1, f1, h1, g1, c1, c2 = (mp.mpf(x) for x in curves)

    def index(e: mp.mpf) -> mp.mpf:
        alone = (c * ((e0 - e) / (e - p)) ** (1 / h) for p, h, c in ((e1, h1, c1), (f1, g1, c2)))
        return mp.fsum(mp.mpf(d) / a for d, a in zip(dose, alone, strict=True)) - 1

    with mp.workdps(40):
        weakest, edge = max(e1, f1), mp.mpf(10) ** -30
        if weakest >= e0 or index(weakest + edge) > 0:
            return float("nan")
        return float(mp.findroot(index, (weakest + edge, e0 - edge), solver="anderson", tol=1e-60, verify=False))


def _zip(request: dict, ours: dict, theirs: dict) -> dict:
    """Where the two differ: the largest sum of squares of a slice over the smallest there is."""
    found = {}
    for name, table in ours.items():
        d = np.column_stack([request[name]["mean_d1"], request[name]["mean_d2"]])
        both, mean = (d > 0).all(axis=1), np.array(request[name]["mean_E"])
        mine = table.loc[table["score"] == OURS["zip"], "value"].to_numpy(dtype=float)
        peer = np.array(theirs[name]["scores"]["zip"], dtype=float)[both]
        exact, ratio = _best_slices(request[name]["curves"], d, mean, theirs[name]["zip_slices"])
        gap, own = np.nanmax(np.abs(mine - peer)), np.nanmax(np.abs(mine - exact[both]))
        found[name] = {
            "ours_from_best": float(own), "peer_from_best": float(np.nanmax(np.abs(peer - exact[both]))),
            "apart": float(gap), "peer_worst_slice_rss_ratio": float(ratio),
        }  # fmt: skip
    apart = {n: v for n, v in found.items() if v["apart"] > 1e-6}
    return {"ours_from_best_of_20_starts": max(v["ours_from_best"] for v in found.values()), "apart": apart}


def _best_slices(curves: list[float], d: np.ndarray, mean: np.ndarray, slices: dict) -> tuple[np.ndarray, float]:
    """ZIP delta with every slice fitted by SciPy from 20 starts, and the peer's worst ratio of a slice's RSS to it."""
    e0, fitted, worst = curves[0], np.zeros((2, len(d))), 1.0
    single = [hill(d[:, k], e0, *(curves[1 + 2 * j + k] for j in range(3))) for k in (0, 1)]
    for k in (0, 1):
        for dose in np.unique(d[:, 1 - k]):
            at = np.flatnonzero(d[:, 1 - k] == dose)
            base = float(single[1 - k][at[0]])
            best = _best_slice(d[at, k], mean[at], base)
            fitted[k, at] = hill(d[at, k], base, *best)
            peer = [slices["21" if k == 0 else "12"][name][at[0]] for name in ("Emax", "h", "C")]
            rss = [float(np.sum((hill(d[at, k], base, *v) - mean[at]) ** 2)) for v in (peer, best)]
            if dose > 0:
                worst = max(worst, rss[0] / max(rss[1], 1e-20))
    return single[0] * single[1] - fitted.mean(axis=0), worst


def _best_slice(dose: np.ndarray, mean: np.ndarray, base: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    middle = float(np.log(dose[dose > 0]).mean())
    fits = [
        least_squares(
            lambda v: hill(dose, base, v[0], np.exp(v[1]), np.exp(v[2])) - mean,
            [rng.uniform(0, 1), rng.normal(0, 0.5), middle + rng.normal(0, 1.5)],
            bounds=([0, np.log(0.1), middle - 12], [4, np.log(20), middle + 12]), xtol=1e-15, ftol=1e-15, gtol=1e-15,
        )
        for _ in range(20)
    ]  # fmt: skip
    best = min(fits, key=lambda f: f.cost).x
    return np.array([best[0], np.exp(best[1]), np.exp(best[2])])


def hill(dose: np.ndarray, e0: float, e1: float, h: float, c: float) -> np.ndarray:
    """A Hill curve."""
    with np.errstate(divide="ignore", over="ignore"):
        return e0 + (e1 - e0) / (1.0 + (c / dose) ** h)


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
        peer = {n: theirs[n]["fits"][label] for n in sets if "rss" in theirs[n]["fits"][label]}
        fits, alone = [], []
        for data in sets.values():
            began = time.process_time()
            fits.append(fit_surfaces(surface, [gather(*data)], intervals=False)[0])
            alone.append(time.process_time() - began)
        batch = _seconds(lambda s=surface: fit_surfaces(s, [gather(*x) for x in sets.values()], intervals=False))
        batch /= len(wells)
        seconds = np.array([p["seconds"] for p in peer.values()])
        own = np.array([a for a, n in zip(alone, sets, strict=True) if n in peer])
        ratio = {n: f.rss / max(peer[n]["rss"], 1e-12) for n, f in zip(sets, fits, strict=True) if n in peer}
        out[label] = {
            "worst_rss_ratio": max(ratio.values()), "rss_ratio": ratio, "peer_fits": len(peer),
            "seconds_ours_one_by_one": float(np.mean(alone)), "seconds_ours_in_batch": batch,
            "seconds_peer_mean": float(seconds.mean()), "seconds_peer_median": float(np.median(seconds)),
            "times_faster_in_batch": {
                "mean": float(seconds.mean() / batch), "median": float(np.median(seconds) / batch),
                "least": float(seconds.min() / batch),
            },
            "times_faster_one_by_one": {"mean": float(seconds.mean() / own.mean()),
                                        "median": float(np.median(seconds / own))},
        }  # fmt: skip
    return out


def _seconds(run: Callable[[], object], repeats: int = 5) -> float:
    """The shortest of some runs."""
    taken = []
    for _ in range(repeats):
        began = time.process_time()
        run()
        taken.append(time.process_time() - began)
    return min(taken)


if __name__ == "__main__":
    main(sys.argv[1])
