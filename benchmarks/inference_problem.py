"""The well problem of the inference benchmarks: 64 wells of one line, 12 unknowns, simulated with 3 % of noise."""

import tempfile
from pathlib import Path

import numpy as np

from her2pkpd.fit.design import Signal, Treatment
from her2pkpd.fit.objective import Observation
from her2pkpd.fit.problem import FitProblem, make_problem
from her2pkpd.fit.settings import read_fit_settings

SETTINGS = """
[[data]]
file = "simulated.csv"

[estimate."lapatinib.HER2.Ki"]
prior = { median = "20 nM", spread = 3 }
[estimate."lapatinib.IC50_off"]
prior = { median = "10 uM", spread = 2 }
[estimate."lapatinib.kmax_off"]
prior = { median = "0.03 1/h", spread = 2 }
[estimate."trastuzumab.KD"]
prior = { median = "1 nM", spread = 3 }
[estimate."pertuzumab.KD"]
prior = { median = "1 nM", spread = 3 }
[estimate.a_li]
prior = { median = 0.6, spread = 1 }
[estimate.w]
prior = { median = 0.7, spread = 1 }
[estimate.S50]
prior = { median = 0.3, spread = 2 }
[estimate.k_apo]
prior = { median = "0.01 1/h", spread = 3 }
[estimate.tolerance]
prior = { median = 1, spread = 2 }
[estimate.doubling_time]
prior = { median = "40 h", spread = 1.3 }
[estimate.scale]
lower = 0.7
upper = 1.4
prior = { median = 1, spread = 1.1 }

[noise.viability]
sd = 0.03

[method]
starts = 20
rtol = 1e-6
"""
TRUTH = {
    "lapatinib.HER2.Ki": 25.0, "lapatinib.IC50_off": 8000.0, "lapatinib.kmax_off": 0.04, "trastuzumab.KD": 0.6,
    "pertuzumab.KD": 0.9, "a_li": 0.6, "w": 0.75, "S50": 0.25, "k_apo": 0.02, "tolerance": 1.0, "doubling_time": 42.0,
    "scale": 1.02,
}  # fmt: skip


def treatments() -> list[Treatment]:
    """16 doses of lapatinib, 12 of each antibody, and 24 combinations: 64 wells."""
    single = [(("lapatinib", float(d)),) for d in np.geomspace(1, 2e4, 16)]
    single += [((drug, float(d)),) for drug in ("trastuzumab", "pertuzumab") for d in np.geomspace(0.01, 300, 12)]
    pairs = [(("lapatinib", float(x)), ("trastuzumab", float(y))) for x in (30, 100, 300, 1000) for y in (0.3, 3, 30)]
    pairs += [(("pertuzumab", float(x)), ("trastuzumab", float(y))) for x in (0.3, 3, 30, 100) for y in (0.3, 3, 30)]
    return [Treatment("SK-BR-3", "", 5000.0, tuple(sorted(doses))) for doses in (*single, *pairs)]


def problem(seed: int = 1, sd: float = 0.03) -> FitProblem:
    """The problem, with data simulated from `TRUTH`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fit.toml"
        path.write_text(SETTINGS)
        settings = read_fit_settings(path)
    signals = [Signal(t, 72.0, "viability") for t in treatments()]
    blank = make_problem(settings, [Observation(s, 1.0) for s in signals], [])
    free = blank.objective.free
    names = [f.name.removeprefix("SK-BR-3.") for f in free.free]
    u = np.array([float(f.transform.forward(TRUTH[n])) for f, n in zip(free.free, names, strict=True)])
    clean = blank.objective.predictor(u, derivatives=False).value
    values = clean + sd * np.random.default_rng(seed).standard_normal(len(clean))
    return make_problem(settings, [Observation(s, float(v)) for s, v in zip(signals, values, strict=True)], [])
