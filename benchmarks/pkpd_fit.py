"""Population fit of warfarin's concentrations and response together: writes benchmarks/results/pkpd_fit.json.

Warfarin (O'Reilly 1963 and 1968, 32 subjects, as nlmixr2data ships them): two absorption steps, one compartment, and a
turnover of prothrombin complex activity whose synthesis the drug inhibits. First-order conditional estimation with
interaction, as in `pk_fits.py`, with all eight parameters varying between subjects; concentrations, response and their
derivatives come from the kernel. The population estimates are found by Fisher scoring with the subjects' own scores.
ktr and ka can be exchanged, and only the sum of their mean times is determined; Emax goes to 1.
Run: python benchmarks/pkpd_fit.py (some ten minutes)
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from her2pkpd.data.nonmem import Compartment, read_nonmem, records
from her2pkpd.dosing.schedule import compile_schedule
from her2pkpd.engine import Batch, Directions, Options, Segments, solve
from her2pkpd.mechanisms.disposition import Structure, disposition
from her2pkpd.model import Builder, Model, Scope

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data" / "pk_nlmixr2data"
RESULT = Path(__file__).parent / "results" / "pkpd_fit.json"
ALONE = RESULT.with_name("pk_fits.json")
UNITS = {"ktr": "1/h", "ka": "1/h", "CL": "L/h", "Vc": "L", "Emax": "1", "EC50": "mg/L", "kout": "1/h", "E0": "%"}
NAMES = tuple(UNITS)
EMAX = NAMES.index("Emax")
OPTIONS = Options(rtol=1e-7, atol=1e-9)
STEP, LONGEST, ENOUGH = 1e-4, 0.5, 0.02

NONMEM = {"ktr": 0.0, "ka": 0.0, "CL": -2.004, "Vc": 2.052}
"""Logarithms of typical values, h and L: NONMEM 7.4.3's FOCEI fit of the same model to these data, documentation of
babelmixr2. It stopped on rounding errors, with ktr and ka where they started."""

SAEM = {"ktr": 0.106, "ka": -0.087, "CL": -2.03, "Vc": 2.07}
"""The same by nlmixr2's SAEM: its article "Working with multiple endpoints", also in the documentation of posologyr."""

ERROR = {"ktr": 0.162, "ka": 0.134, "CL": 0.0503, "Vc": 0.0413}
"""Standard errors of the SAEM fit; NONMEM's were not to be had."""


def start() -> np.ndarray:
    """Where the search begins: the fit of concentrations alone (`pk_fits.py`), and the article's guesses for the rest.

    Typical values (the logit of Emax), log variances, and logarithms of the additive and proportional error of the
    concentration and of the additive error of the response.
    """
    alone = np.array(json.loads(ALONE.read_text("utf-8"))["warfarin"]["vector"])
    typical = [*alone[:4], np.log(4.0), *np.log([0.5, 0.05, 100.0])]
    return np.concatenate([typical, alone[4:8], np.log([0.3, 0.3, 0.1, 0.01]), alone[8:], [np.log(5.0)]])


def warfarin_model() -> Model:
    """Concentration (mg/L) and prothrombin complex activity (%)."""
    build = Builder("warfarin")
    for name, unit in UNITS.items():
        build.parameter(f"d.{name}", 0.5, unit)
    disposition(build, "d", Structure(0, absorption=True, transits=1), unit="mg", concentration_unit="mg/L")
    build.species("PCA", None, "%", initial=lambda p: p["d.E0"], scale=100.0)

    def made(s: Scope, p: Scope) -> Any:
        return p["d.E0"] * p["d.kout"] * (1 - p["d.Emax"] * s["plasma.d"] / (p["d.EC50"] + s["plasma.d"]))

    build.reaction("synthesis", {"PCA": 1}, made)
    build.reaction("loss", {"PCA": -1}, lambda s, p: p["d.kout"] * s["PCA"])
    return build.model()


@dataclass
class JointFit:
    """The data, and the objective of population values as `start` has them.

    Attributes:
        segments: doses, one lane per subject.
        times, observed: (N, M), padded by the last.
        seen, drug: (N, M) whether there is an observation, and whether it is a concentration.
        eta: (N, 8) the latest individual deviations.
    """

    model: Model
    segments: Segments
    times: np.ndarray
    observed: np.ndarray
    seen: np.ndarray
    drug: np.ndarray
    eta: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.eta = np.zeros((len(self.times), len(NAMES)))

    @classmethod
    def read(cls) -> "JointFit":
        """The warfarin data."""
        model, subjects = warfarin_model(), read_nonmem(DATA / "warfarin.csv")
        doses = [records(s, {1: Compartment("depot.d")}) for s in subjects]
        segments = compile_schedule(model, doses, model.default_parameters(), stop=200.0).segments
        width = max(s.time.size for s in subjects)

        def padded(values: list[np.ndarray]) -> np.ndarray:
            return np.array([np.pad(x, (0, width - x.size), mode="edge") for x in values])

        seen = np.array([np.arange(width) < s.time.size for s in subjects])
        drug = padded([s.kind == "cp" for s in subjects])
        return cls(model, segments, padded([s.time for s in subjects]), padded([s.value for s in subjects]), seen, drug)

    def predicted(self, logs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What is observed, (S, N, M), and its derivatives (S, N, M, 8), at `logs` (S, N, 8)."""
        sets, n, m = logs.shape
        index = [self.model.parameter_index[f"d.{name}"] for name in NAMES]
        values = np.exp(logs)
        slope = values.copy()
        values[..., EMAX] = 1.0 / (1.0 + np.exp(-logs[..., EMAX]))
        slope[..., EMAX] = values[..., EMAX] * (1.0 - values[..., EMAX])
        p = np.empty((sets * n, m))
        p[:, index] = values.reshape(-1, m)
        s = self.segments
        dosing = (np.tile(x, (sets, *[1] * (x.ndim - 1))) for x in (s.boundaries, s.jump, s.keep, s.infusion, s.reset))
        boundaries, *rest = dosing
        batch = Batch(self.model, p, Segments(boundaries, s.inputs, *rest), np.tile(self.times, (sets, 1)))
        found = solve(batch, OPTIONS, Directions(tuple(index)))
        assert found.ok.all()
        assert found.dy is not None
        central, response = (self.model.species_index[x] for x in ("central.d", "PCA"))
        d, chain = found.dy, slope.reshape(-1, 1, m)
        v = p[:, index[NAMES.index("Vc")], None]
        c, dc = found.y[..., central] / v, d[:, :, central] * chain / v[..., None]
        dc[..., NAMES.index("Vc")] -= c
        on = np.tile(self.drug, (sets, 1))
        value = np.where(on, c, found.y[..., response])
        slopes = np.where(on[..., None], dc, d[:, :, response] * chain)
        return value.reshape(sets, n, -1), slopes.reshape(sets, n, -1, m)

    def objective(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Each subject's -2 log likelihood without n log(2 pi), (S, N), and deviations (S, N, 8), of `x` (S, 19)."""
        m = len(NAMES)
        typical, precision, errors = x[:, None, :m], np.exp(-x[:, None, m : 2 * m]), np.exp(2 * x[:, 2 * m :])
        eta = np.tile(self.eta, (len(x), 1, 1))
        value, gradient, hessian = self._individual(typical, eta, precision, errors)
        scale = np.ones_like(value)
        for _ in range(60):
            step = -0.5 * np.linalg.solve(hessian, gradient[..., None])[..., 0]
            if np.abs(step * scale[..., None]).max() < 1e-6:
                break
            tried = eta + scale[..., None] * np.clip(step, -2.0, 2.0)
            new = self._individual(typical, tried, precision, errors)
            better = new[0] <= value + 1e-9
            value = np.where(better, new[0], value)
            eta = np.where(better[..., None], tried, eta)
            gradient = np.where(better[..., None], new[1], gradient)
            hessian = np.where(better[..., None, None], new[2], hessian)
            scale = np.where(better, np.minimum(1.0, 2.0 * scale), 0.5 * scale)
        return value + np.linalg.slogdet(hessian)[1] - np.sum(np.log(precision), axis=2), eta

    def _individual(
        self, typical: np.ndarray, eta: np.ndarray, precision: np.ndarray, errors: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Each subject's joint -2 log density, its gradient, and half its expected curvature."""
        f, a = self.predicted(typical + eta)
        additive, proportional, response = errors.T[:, :, None, None]
        r = np.where(self.drug, additive + proportional * f * f, response)
        relative = np.where(self.drug, 2 * proportional * f / r, 0.0)[..., None] * a
        miss, on = self.observed - f, self.seen[None]
        value = np.sum(np.where(on, miss**2 / r + np.log(r), 0.0), axis=2) + np.sum(precision * eta**2, axis=2)
        pull = -2 * (miss / r)[..., None] * a + (1 - miss**2 / r)[..., None] * relative
        gradient = np.sum(np.where(on[..., None], pull, 0.0), axis=2) + 2 * precision * eta
        a, relative = (np.where(on[..., None], d, 0.0) for d in (a / np.sqrt(r)[..., None], relative))
        hessian = np.einsum("snti,sntj->snij", a, a) + 0.5 * np.einsum("snti,sntj->snij", relative, relative)
        return value, gradient, hessian + precision[..., None] * np.eye(len(NAMES))

    def scores(self, x: np.ndarray) -> np.ndarray:
        """(19, N) derivatives of each subject's objective."""
        moves = STEP * np.eye(x.size)
        values, _ = self.objective(np.vstack([x + moves, x - moves]))
        return (values[: x.size] - values[x.size :]) / (2 * STEP)

    def fit(self, first: np.ndarray) -> tuple[np.ndarray, float]:
        """Population values at which a step gains less than `ENOUGH`, and the objective there."""
        values, eta = self.objective(first[None])
        x, best, self.eta, damping = first, float(values[0].sum()), eta[0], 1e-2
        for _ in range(60):
            scores = self.scores(x)
            information, gain = scores @ scores.T, 0.0
            while damping < 1e6:
                step = -2 * np.linalg.solve(information + damping * np.diag(np.diag(information)), scores.sum(axis=1))
                tried = x + np.clip(step, -LONGEST, LONGEST)
                values, eta = self.objective(tried[None])
                gain = best - float(values[0].sum())
                if gain > 0:
                    x, best, self.eta = tried, best - gain, eta[0]
                    damping = max(damping / 10, 1e-6)
                    break
                damping *= 4
            print(f"objective {best:.4f}, gained {gain:.4f}, damping {damping:.2g}", flush=True)
            if gain < ENOUGH and damping < 1.0:
                break
        return x, best


def errors_away(x: np.ndarray, published: Mapping[str, float]) -> dict[str, float]:
    """How far typical values lie from published ones, in published standard errors."""
    return {n: abs(float(x[NAMES.index(n)]) - value) / ERROR[n] for n, value in published.items()}


def summary(x: np.ndarray, objective: float, eta: np.ndarray) -> dict[str, Any]:
    """The fit and the comparison, as numbers to write."""
    cv = 100 * np.sqrt(np.expm1(np.exp(x[len(NAMES) : 2 * len(NAMES)])))
    rows = []
    for i, name in enumerate(NAMES):
        row: dict[str, Any] = {"name": name, "typical": round(float(x[i]), 4), "CV %": round(float(cv[i]), 2)}
        for label, published in (("NONMEM", NONMEM), ("SAEM", SAEM)):
            if name in published:
                row |= {label: published[name], f"errors from {label}": round(errors_away(x, published)[name], 3)}
        rows.append(row)
    return {
        "objective": objective,
        "parameters": rows,
        "residual": [round(float(v), 4) for v in np.exp(x[2 * len(NAMES) :])],
        "vector": [round(float(v), 6) for v in x],
        "deviations": eta.round(6).tolist(),
    }


def main() -> None:
    """Fit and write the result."""
    data = JointFit.read()
    x, objective = data.fit(start())
    found = summary(x, objective, data.eta)
    RESULT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found["parameters"], indent=1))


if __name__ == "__main__":
    main()
