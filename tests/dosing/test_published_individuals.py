"""Most probable parameters of single individuals against NONMEM and nlmixr: covariates that change, two endpoints.

Sources: the test suite of posologyr. test_map_nm.R has POSTHOC estimates of NONMEM, weight and sex changing at every
record; test_multi_outputs.R has posthoc estimates of nlmixr for the first warfarin subject.
"""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import least_squares, minimize

from her2pkpd.data.nonmem import Compartment, read_nonmem, records
from her2pkpd.data.nonmem_covariates import time_varying
from her2pkpd.dosing.schedule import compile_schedule
from her2pkpd.engine import Batch, Options, solve
from her2pkpd.mechanisms.disposition import Structure, disposition
from her2pkpd.model import Builder
from tests.dosing.nmtest import DATA

OPTIONS = Options(rtol=1e-8, atol=1e-10)


def infused():
    """The individual of test_map_nm.R: one infusion observed, nine more to come, other covariates in every row."""
    later = [72.0, 96.0, 120.0, 144.0, 168.0, 192.0, 216.0]
    doses = [10000.0, *[0.0] * 4, *[10000.0] * 7]
    return pd.DataFrame(
        {
            "ID": 1,
            "TIME": [0.0, 1.5, 4.4, 7.1, 24.6, *later],
            "EVID": [1, *[0] * 4, *[1] * 7],
            "AMT": doses,
            "RATE": doses,
            "CMT": 2,
            "DV": [None, 107.267, 100.995, 54.0546, 5.97081, *[None] * 7],
            "BW": [77, 113, 92, 132, 126, 128, 41, 56, 68, 45, 93, 126],
            "SEX": [0, 0, 1, 0, 1, 1, 1, 1, 0, 0, 1, 1],
        }
    )


def disposition_model():
    build = Builder("infusion")
    build.parameter("d.CL", 4.0, "L/h")
    build.parameter("d.Vc", 70.0, "L")
    build.parameter("d.ka", 1.0, "1/h")
    disposition(build, "d", Structure(0, absorption=True), unit="mg", concentration_unit="mg/L")
    build.held("d.CL")
    return build.model()


@pytest.mark.parametrize(("carry", "agrees"), [("nocb", True), ("locf", False)])
def test_nonmem_with_covariates_that_change(carry, agrees):
    """CL = 4*(BW/75)^1.5*0.75^SEX*exp(eta), Vc = 70*exp(eta), omega^2 0.2, proportional variance 0.05."""
    (subject,) = read_nonmem(infused())
    model = disposition_model()
    doses = records(subject, {1: Compartment("depot.d"), 2: Compartment("central.d")})

    def misfit(eta):
        rule = lambda c: {"d.CL": 4.0 * (c["BW"] / 75) ** 1.5 * 0.75 ** c["SEX"] * np.exp(eta[0])}  # noqa: E731
        first, holds = time_varying(subject, ["BW", "SEX"], rule, carry)
        p = model.parameter_vector({**first, "d.Vc": 70.0 * np.exp(eta[1])})
        segments = compile_schedule(model, [[*doses, *holds]], p, stop=25.0).segments
        y = solve(Batch(model, p, segments, subject.time), OPTIONS).y
        f = model.outputs(["plasma.d"], y, p)[0, :, 0]
        return np.sum((subject.value - f) ** 2 / (0.05 * f * f) + np.log(f * f)) + np.sum(eta**2) / 0.2

    found = minimize(misfit, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-8}).x
    off = np.abs(found - [0.398845969, 0.0762201167]).max()
    assert (off < 5e-4) == agrees
    assert off < 5e-4 or off > 0.01


TYPICAL = {"ktr": 0.106, "ka": -0.087, "CL": -2.03, "Vc": 2.07, "Emax": 3.4, "EC50": 0.00724, "kout": -2.9, "E0": 4.57}
VARIANCE = {"ktr": 1.024695, "ka": 0.9518403, "CL": 0.5300943, "Emax": 0.7134424, "EC50": 0.7204165}
POSTHOC = {"ktr": 0.6392321, "ka": 0.5294417, "CL": 0.2852736, "Vc": 7.924823, "Emax": 0.9304377, "EC50": 0.7909184}
UNITS = {"ktr": "1/h", "ka": "1/h", "CL": "L/h", "Vc": "L", "Emax": "1", "EC50": "mg/L", "kout": "1/h", "E0": "%"}


def warfarin_model():
    """Warfarin through one transit step; prothrombin complex activity is made less, and lost, at kout."""
    build = Builder("warfarin")
    for name, unit in UNITS.items():
        build.parameter(f"d.{name}", 0.5, unit)
    disposition(build, "d", Structure(0, absorption=True, transits=1), unit="mg", concentration_unit="mg/L")
    build.species("PCA", None, "%", initial=lambda p: p["d.E0"], scale=100.0)

    def made(s, p):
        return p["d.E0"] * p["d.kout"] * (1 - p["d.Emax"] * s["plasma.d"] / (p["d.EC50"] + s["plasma.d"]))

    build.reaction("synthesis", {"PCA": 1}, made)
    build.reaction("loss", {"PCA": -1}, lambda s, p: p["d.kout"] * s["PCA"])
    return build.model()


@pytest.mark.skipif(not DATA.exists(), reason="the shared data are not here")
def test_nlmixr_with_two_endpoints():
    """The first subject of the warfarin data under published population values: concentrations and response at once."""
    subject = read_nonmem(DATA / "warfarin.csv")[0]
    model, names = warfarin_model(), list(VARIANCE)
    segments = compile_schedule(
        model, [records(subject, {1: Compartment("depot.d")})], model.default_parameters(), stop=150.0
    ).segments
    seen = subject.kind == "cp"

    def individual(eta):
        logs = TYPICAL | {n: TYPICAL[n] + e for n, e in zip(names, eta, strict=True)}
        return {n: 1 / (1 + np.exp(-x)) if n == "Emax" else np.exp(x) for n, x in logs.items()}

    def misfit(eta):
        p = model.parameter_vector({f"d.{n}": v for n, v in individual(eta).items()})
        y = solve(Batch(model, p, segments, subject.time), OPTIONS).y[0]
        f = np.where(seen, *model.outputs(["plasma.d", "PCA"], y, p).T)
        r = np.where(seen, 0.144**2 + (0.15 * f) ** 2, 3.91**2)
        # log r as a square, so that the whole is a sum of squares.
        return np.concatenate(
            [(subject.value - f) / np.sqrt(r), np.sqrt(np.log(r) + 10), eta / np.sqrt([*VARIANCE.values()])]
        )

    found = individual(least_squares(misfit, np.zeros(len(names)), xtol=1e-10).x)
    for name, value in POSTHOC.items():
        assert found[name] == pytest.approx(value, rel=2e-3), name
