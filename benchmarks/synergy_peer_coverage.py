"""Do our intervals hold the truth more often than the bootstrap intervals of the `synergy` package?

    python benchmarks/synergy_peer_coverage.py PYTHON_WITH_SYNERGY [SURFACES [DRAWS]]

Both see the same fresh surfaces, those of `synergy_coverage.py`: four models, three kinds of error. The package (GPL)
is run, never read or copied; its intervals are 95 % bootstrap intervals of DRAWS draws. Writes
results/synergy_peer_coverage.json. Twenty surfaces and 100 draws take the package about ten minutes.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy.stats import binomtest
from synergy_coverage import CASES, ERRORS, GRID, fresh

from her2pkpd.runinfo import versions
from her2pkpd.synergy.surface_fit import fit_surfaces
from her2pkpd.synergy.wells import gather

HERE = Path(__file__).resolve().parent


def main(peer: str, n: int, draws: int) -> None:
    """Simulate, run both, and write how often each held the truth."""
    rng = np.random.default_rng(21)
    request, ours, truths = {}, {}, {}
    seconds = 0.0
    for surface, truth in CASES:
        u = surface.coordinates(np.array([truth[name] for name in surface.names]))
        value = surface.quantities(u[None])[0][0]
        natural = [np.exp(v) if surface.is_logarithmic(k) else v for k, v in zip(surface.reported, value, strict=True)]
        for error in ERRORS:
            key = f"{surface.name}, {error}"
            effects = [fresh(surface, u, error, rng) for _ in range(n)]
            request[key] = {"model": surface.name, "effects": [e.tolist() for e in effects]}
            truths[key] = dict(zip(surface.reported, map(float, natural), strict=True))
            began = time.process_time()
            fits = fit_surfaces(surface, [gather(GRID, e) for e in effects])
            seconds += time.process_time() - began
            ours[key] = [f.table.set_index("parameter")[["lower", "upper"]].T.to_dict("list") for f in fits]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "request.json"
        path.write_text(json.dumps({"grid": GRID.tolist(), "draws": draws, "cases": request}), encoding="utf-8")
        script = str(HERE / "synergy_peer_coverage_run.py")
        run = subprocess.run([peer, script, str(path)], stdout=subprocess.PIPE, text=True, check=True)
    theirs = json.loads(run.stdout.splitlines()[-1])
    cases = {key: _case(truths[key], ours[key], theirs["cases"][key]) for key in request}
    whole = {side: float(np.mean([q[side] for c in cases.values() for q in c["quantities"].values()]))
             for side in ("ours", "peer")}  # fmt: skip
    off = {side: _off(cases, side, n) for side in ("ours", "peer")}
    summary = {
        "surfaces_per_case": n, "bootstrap_draws_of_the_peer": draws, "mean_rate": whole,
        "quantities": sum(len(c["quantities"]) for c in cases.values()),
        "quantities_whose_rate_differs_from_95_percent_at_1_percent": off,
        "seconds_per_surface": {"ours": seconds / (n * len(cases)), "peer": theirs["seconds"] / (n * len(cases))},
    }  # fmt: skip
    print(json.dumps(summary, indent=1))
    (HERE / "results" / "synergy_peer_coverage.json").write_text(
        json.dumps({"summary": summary, "cases": cases, "versions": versions()}, indent=1) + "\n", encoding="utf-8"
    )


def _case(truth: dict[str, float], ours: list[dict], theirs: list[dict | None]) -> dict:
    """Rates of the quantities both report, over the surfaces on which the peer gave intervals."""
    both = [(a, b) for a, b in zip(ours, theirs, strict=True) if b]
    names = [q for q in truth if both and q in both[0][1]]
    rates = {
        q: {
            "ours": float(np.mean([a[q][0] <= truth[q] <= a[q][1] for a, _ in both])),
            "peer": float(np.mean([b[q][0] <= truth[q] <= b[q][1] for _, b in both])),
            "width_ours_over_peer": float(np.median([np.diff(a[q]) / np.diff(b[q]) for a, b in both])),
        }
        for q in names
    }
    return {"surfaces": len(both), "quantities": rates}


def _off(cases: dict, side: str, n: int) -> list[str]:
    return [
        f"{key}, {q}: {v[side]:.3f}"
        for key, c in cases.items()
        for q, v in c["quantities"].items()
        if binomtest(round(v[side] * c["surfaces"]), c["surfaces"] or n, 0.95).pvalue < 0.01
    ]


if __name__ == "__main__":
    given = sys.argv[1:]
    main(given[0], int(given[1]) if len(given) > 1 else 20, int(given[2]) if len(given) > 2 else 100)
