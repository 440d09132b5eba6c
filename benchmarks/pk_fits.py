"""Population fits of two public oral data sets: writes benchmarks/results/pk_fits.json.

Theophylline (Boeckmann, Sheiner & Beal 1994, 12 subjects) and warfarin (O'Reilly 1963 and 1968, 32 subjects), both as
the R package nlmixr2data ships them, fitted by first-order conditional estimation with interaction: every evaluation
finds each subject's most probable parameters (MAP), and the marginal likelihood is Laplace's around them (Almquist,
Leander & Jirstrand 2015). Concentrations and their derivatives are the closed form's. The typical values are compared
with published ones in units of the published standard errors. Run: python benchmarks/pk_fits.py
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import minimize

from her2pkpd.data.nonmem import Compartment, read_nonmem, records
from her2pkpd.dosing.schedule import compile_schedule
from her2pkpd.engine import Batch, Directions, Segments, solve
from her2pkpd.mechanisms.disposition import Structure, disposition
from her2pkpd.model import Builder

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data" / "pk_nlmixr2data"
RESULT = Path(__file__).parent / "results" / "pk_fits.json"
STEP = 1e-5
STOP = 200.0
THEOPHYLLINE_START = np.array([0.45, 1.0, 3.45, *np.log([0.6, 0.3, 0.1, 0.7])])


@dataclass(frozen=True)
class Published:
    """Estimates as published: logarithms of typical values, and lognormal CVs between subjects.

    Attributes:
        names: parameters in the order of the arrays.
        typical: natural logarithms of the typical values (h and L).
        error: their standard errors.
        cv: between-subject CV, %.
        residual: additive SD (mg/L) and, where there is one, the proportional part.
        shrinkage: of the individual deviations, %.
        source: where it stands.
    """

    names: tuple[str, ...]
    typical: tuple[float, ...]
    error: tuple[float, ...]
    cv: tuple[float, ...]
    residual: tuple[float, ...]
    shrinkage: tuple[float, ...]
    source: str

    def vector(self) -> np.ndarray:
        """Typical values, log variances log(1 + CV^2), log residual parameters."""
        variances = np.log1p((np.array(self.cv) / 100) ** 2)
        return np.concatenate([self.typical, np.log(variances), np.log(self.residual)])


THEOPHYLLINE = Published(
    ("ka", "CL", "Vc"),
    (0.465, 1.01, 3.46),
    (0.198, 0.0755, 0.0429),
    (70.4, 26.7, 13.9),
    (0.694,),
    (1.80, 3.77, 10.4),
    "nlmixr2save documentation, reference page of saveFit: FOCEI fit of theo_sd by nlmixr2, objective 116.8037",
)
# NONMEM stopped on rounding errors, without standard errors, and with ktr and ka, which can be exchanged, at their
# initial values (1 per hour).
WARFARIN = Published(
    ("ktr", "ka", "CL", "Vc"),
    (0.0, 0.0, -2.004, 2.052),
    (0.162, 0.134, 0.0503, 0.0413),
    (86.45, 86.48, 28.59, 22.83),
    (0.5116, 0.09858),
    (59.84, 59.84, 1.341, 6.442),
    "estimates: babelmixr2 documentation, NONMEM 7.4.3 FOCEI fit of concentration and response; standard errors: "
    "nlmixr2 article 'Working with multiple endpoints', SAEM fit of the same model",
)


@dataclass
class PopulationFit:
    """One data set under one model, and the objective of population parameters given as `Published.vector`.

    Attributes:
        names: parameters that vary between subjects, all lognormal.
        segments: doses, one lane per subject.
        times: (N, M) sampling times, padded by the last.
        observed: (N, M) concentrations.
        seen: (N, M) whether there is one.
        eta: (N, m) the latest individual deviations.
    """

    names: tuple[str, ...]
    segments: Segments
    times: np.ndarray
    observed: np.ndarray
    seen: np.ndarray
    model: Any
    eta: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.eta = np.zeros((len(self.times), len(self.names)))

    @classmethod
    def read(cls, frame: pd.DataFrame, names: tuple[str, ...]) -> "PopulationFit":
        """Subjects of a NONMEM-style table; doses go to the depot."""
        build = Builder("oral")
        units = {"ktr": "1/h", "ka": "1/h", "CL": "L/h", "Vc": "L"}
        for name in names:
            build.parameter(f"d.{name}", 1.0, units[name])
        # With ktr the depot empties into one transit step, which empties into plasma at ka.
        structure = Structure(0, absorption=True, transits=int("ktr" in names))
        disposition(build, "d", structure, unit="mg", concentration_unit="mg/L")
        model, subjects = build.model(), read_nonmem(frame)
        doses = [records(s, {1: Compartment("depot.d")}) for s in subjects]
        segments = compile_schedule(model, doses, model.default_parameters(), stop=STOP).segments
        width = max(s.time.size for s in subjects)
        padded = [[np.pad(x, (0, width - x.size), mode="edge") for x in (s.time, s.value)] for s in subjects]
        seen = np.array([np.arange(width) < s.time.size for s in subjects])
        times, observed = np.moveaxis(np.array(padded), 1, 0)
        return cls(names, segments, times, observed, seen, model)

    def concentrations(self, logs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Plasma concentrations (S, N, M) and derivatives by the logarithms (S, N, M, m) of `logs` (S, N, m)."""
        sets, n, m = logs.shape
        index = [self.model.parameter_index[f"d.{name}"] for name in self.names]
        p = np.empty((sets * n, m))
        p[:, index] = np.exp(logs.reshape(-1, m))
        s = self.segments
        parts = (np.tile(x, (sets, *[1] * (x.ndim - 1))) for x in (s.boundaries, s.jump, s.keep, s.infusion, s.reset))
        boundaries, *rest = parts
        segments = Segments(boundaries, s.inputs, *rest)
        batch = Batch(self.model, p, segments, np.tile(self.times, (sets, 1)))
        found = solve(batch, None, Directions(tuple(index)))
        assert found.ok.all()
        assert found.dy is not None
        central = self.model.species_index["central.d"]
        volume = self.names.index("Vc")
        v = p[:, index[volume], None]
        c = found.y[..., central] / v
        slope = found.dy[:, :, central] * p[:, None, index] / v[..., None]
        slope[..., volume] -= c
        shape = (sets, n, self.times.shape[1])
        return c.reshape(shape), slope.reshape(*shape, m)

    def objective(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """-2 log likelihood without n log(2 pi), (S,), and the individual deviations (S, N, m), of S vectors `x`."""
        m = len(self.names)
        typical, precision, residual = x[:, None, :m], np.exp(-x[:, None, m : 2 * m]), np.exp(x[:, 2 * m :])
        variances = (residual[:, 0] ** 2)[:, None, None], np.sum(residual[:, 1:] ** 2, axis=1)[:, None, None]
        eta = np.tile(self.eta, (len(x), 1, 1))
        value, gradient, hessian = self._individual(typical, eta, precision, variances)
        scale = np.ones_like(value)
        for _ in range(100):
            step = -0.5 * np.linalg.solve(hessian, gradient[..., None])[..., 0]
            if np.abs(step).max() < 1e-7:
                break
            tried = eta + scale[..., None] * step
            new = self._individual(typical, tried, precision, variances)
            better = new[0] <= value + 1e-10
            value = np.where(better, new[0], value)
            eta = np.where(better[..., None], tried, eta)
            gradient = np.where(better[..., None], new[1], gradient)
            hessian = np.where(better[..., None, None], new[2], hessian)
            scale = np.where(better, np.minimum(1.0, 2.0 * scale), 0.5 * scale)
        laplace = value + np.linalg.slogdet(hessian)[1] - np.sum(np.log(precision), axis=2)
        return laplace.sum(axis=1), eta

    def _individual(
        self, typical: np.ndarray, eta: np.ndarray, precision: np.ndarray, variances: tuple[np.ndarray, np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Each subject's joint -2 log density, its gradient, and half its expected curvature."""
        c, a = self.concentrations(typical + eta)
        additive, proportional = variances
        r = additive + proportional * c * c
        relative = (2 * proportional * c / r)[..., None] * a
        miss = self.observed - c
        on = self.seen[None]
        value = np.sum(np.where(on, miss**2 / r + np.log(r), 0.0), axis=2) + np.sum(precision * eta**2, axis=2)
        pull = -2 * (miss / r)[..., None] * a + (1 - miss**2 / r)[..., None] * relative
        gradient = np.sum(np.where(on[..., None], pull, 0.0), axis=2) + 2 * precision * eta
        a, relative = (np.where(on[..., None], d, 0.0) for d in (a / np.sqrt(r)[..., None], relative))
        hessian = np.einsum("snti,sntj->snij", a, a) + 0.5 * np.einsum("snti,sntj->snij", relative, relative)
        return value, gradient, hessian + precision[..., None] * np.eye(len(self.names))

    def fit(self, start: np.ndarray) -> tuple[np.ndarray, float]:
        """Maximum of the marginal likelihood and the objective there."""

        def both(x: np.ndarray) -> tuple[float, np.ndarray]:
            moves = STEP * np.eye(x.size)
            values, eta = self.objective(np.vstack([x, x + moves, x - moves]))
            self.eta = eta[0]
            return values[0], (values[1 : 1 + x.size] - values[1 + x.size :]) / (2 * STEP)

        found = minimize(both, start, jac=True, method="BFGS", options={"gtol": 2e-3})
        return found.x, float(found.fun)

    def shrinkage(self, x: np.ndarray) -> np.ndarray:
        """How much less the latest individual deviations spread than the population, %, (m,)."""
        m = len(self.names)
        return 100 * (1 - self.eta.std(axis=0, ddof=1) / np.exp(0.5 * x[m : 2 * m]))


def theophylline() -> PopulationFit:
    """Single doses, with additive residual error."""
    return PopulationFit.read(pd.read_csv(DATA / "theo_sd.csv"), THEOPHYLLINE.names)


def warfarin() -> PopulationFit:
    """Concentrations only, with additive and proportional residual error."""
    frame = pd.read_csv(DATA / "warfarin.csv")
    return PopulationFit.read(frame.query("dvid == 'cp'"), WARFARIN.names)


def errors_away(published: Published, x: np.ndarray) -> np.ndarray:
    """How far typical values lie from the published ones, in published standard errors."""
    return np.abs(x[: len(published.names)] - published.typical) / published.error


def summary(data: PopulationFit, published: Published, start: np.ndarray) -> dict[str, Any]:
    """Fit and comparison, as numbers to write."""
    m = len(published.names)
    x, objective = data.fit(start)
    at_published = float(data.objective(published.vector()[None])[0][0])
    cv = 100 * np.sqrt(np.expm1(np.exp(x[m : 2 * m])))
    columns = zip(
        published.names,
        x[:m],
        published.typical,
        published.error,
        errors_away(published, x),
        cv,
        published.cv,
        data.shrinkage(x),
        published.shrinkage,
        strict=True,
    )
    keys = ("name", "typical", "published", "standard error", "errors away", "CV %", "published CV %")
    keys += ("shrinkage %", "published shrinkage %")
    return {
        "source": published.source,
        "objective": objective,
        "objective at the published estimates": at_published,
        "parameters": [
            dict(zip(keys, (k if isinstance(k, str) else round(float(k), 4) for k in row), strict=True))
            for row in columns
        ],
        "residual": [round(float(r), 4) for r in np.exp(x[2 * m :])],
        "published residual": list(published.residual),
        "vector": [round(float(v), 6) for v in x],
    }


def main() -> None:
    """Fit both and write the result."""
    starts = {
        "theophylline": THEOPHYLLINE_START,
        "warfarin": np.concatenate([np.log([1.0, 1.0, 0.1, 10.0]), np.log([0.3] * 4), np.log([0.5, 0.1])]),
    }
    found = {
        "theophylline": summary(theophylline(), THEOPHYLLINE, starts["theophylline"]),
        "warfarin": summary(warfarin(), WARFARIN, starts["warfarin"]),
    }
    RESULT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
