"""Target-mediated disposition against its limits, conservation and its closed-form steady state."""

import numpy as np
import pytest

from her2pkpd.dosing import Add, Infuse, compile_segments
from her2pkpd.engine import Batch, Options, solve
from her2pkpd.mechanisms.disposition import Structure, disposition
from her2pkpd.mechanisms.tmdd import target_mediated
from her2pkpd.model import Builder

TIGHT = Options(rtol=1e-9, atol=1e-11)
VALUES = {"d.CL": (0.01, "L/h"), "d.Vc": (3.0, "L"), "d.Q": (0.02, "L/h"), "d.Vp": (2.5, "L")}
BINDING = {
    "d.kon": (0.36, "1/nM/h"),
    "d.KD": (0.3, "nM"),
    "sHER2.R0": (5.0, "nM"),
    "sHER2.kdeg": (0.05, "1/h"),
    "sHER2.kint": (0.02, "1/h"),
}
TIMES = np.array([0.0, 24.0, 100.0, 300.0, 700.0])
NAMES = ["plasma.d", "plasma.sHER2", "plasma.d:sHER2"]


def built(approximation, peripherals=1):
    build = Builder(approximation)
    for name, (value, unit) in (VALUES | BINDING).items():
        if peripherals or name not in ("d.Q", "d.Vp"):
            build.parameter(name, value, unit)
    target_mediated(build, "d", Structure(peripherals), approximation=approximation)
    return build.model()


def run(model, events, times=TIMES, **changes):
    p = model.parameter_vector({k.replace("_", ".", 1): v for k, v in changes.items()})
    segments = compile_segments(model, [events], start=0.0, stop=float(times[-1]))
    found = solve(Batch(model, p[None], segments, times), TIGHT)
    assert found.ok.all()
    return found.y[0], model.outputs(NAMES, found.y, p[None])[0]


@pytest.fixture(scope="module")
def full():
    return built("full")


@pytest.fixture(scope="module")
def qss():
    return built("qss")


def test_fast_binding_turns_the_full_model_into_its_quasi_steady_state(full, qss):
    dose = [Add(0.0, "central.d", 40.0)]
    apart = []
    for kon in (1.0, 10.0, 100.0):
        # With Kss = KD + kint/kon held, only the speed of binding changes.
        changes = {"d_kon": kon, "d_KD": 0.4 - 0.02 / kon}
        a, b = (run(m, dose, **changes)[1][1:] for m in (full, qss))
        apart.append(np.abs(a / b - 1).max())
    assert apart[2] < 1e-3
    assert apart[1] / apart[2] == pytest.approx(10.0, rel=0.3)
    assert apart[0] > 3 * apart[1]


@pytest.mark.parametrize("approximation", ["full", "qss"])
def test_what_goes_in_is_inside_or_eliminated(approximation):
    build = Builder("balance")
    for name, (value, unit) in (VALUES | BINDING).items():
        build.parameter(name, value, unit)
    target_mediated(build, "d", approximation=approximation)
    build.species("gone", "amounts", "nmol")
    build.reaction(
        "counter",
        {"gone": 1},
        lambda s, p: p["d.CL"] * s["plasma.d"] + p["sHER2.kint"] * s["plasma.d:sHER2"] * p["d.Vc"],
    )
    model = build.model()
    y, seen = run(model, [Add(0.0, "central.d", 40.0), Infuse(30.0, "central.d", 2.0, 20.0)])
    column = model.species_index
    inside = y[:, column["central.d"]] + y[:, column["peripheral.d"]] + y[:, column["gone"]]
    inside += 3.0 * seen[:, 2] if approximation == "full" else 0.0
    np.testing.assert_allclose(inside, [40.0, 40.0, 80.0, 80.0, 80.0], rtol=1e-7)


@pytest.mark.parametrize("approximation", ["full", "qss"])
def test_without_target_the_drug_follows_linear_disposition(approximation, request):
    build = Builder("linear")
    for name, (value, unit) in VALUES.items():
        build.parameter(name, value, unit)
    disposition(build, "d")
    linear = build.model()
    segments = compile_segments(linear, [[Add(0.0, "central.d", 40.0)]], start=0.0, stop=700.0)
    expected = solve(Batch(linear, linear.default_parameters(), segments, TIMES)).y[0, :, 0] / 3.0
    model = request.getfixturevalue(approximation)
    _, seen = run(model, [Add(0.0, "central.d", 40.0)], sHER2_R0=0.0)
    np.testing.assert_allclose(seen[:, 0], expected, rtol=1e-6)


@pytest.mark.parametrize("rate", [0.05, 0.3, 2.0])
@pytest.mark.parametrize("approximation", ["full", "qss"])
def test_an_endless_infusion_reaches_the_equilibrium_of_gibiansky(approximation, rate, request):
    stop = np.array([0.0, 60000.0])
    _, seen = run(request.getfixturevalue(approximation), [Infuse(0.0, "central.d", rate, 60000.0)], stop)
    c, r, rc = seen[1]
    kss = 0.3 + 0.02 / 0.36
    target = 0.05 * 5.0 / (0.05 + 0.02 * c / kss)
    assert r == pytest.approx(target, rel=1e-6)
    assert rc == pytest.approx(target * c / kss, rel=1e-6)
    assert 0.01 * c + 0.02 * 3.0 * rc == pytest.approx(rate, rel=1e-6)


def test_without_drug_the_target_stays(full, qss):
    for model in (full, qss):
        _, seen = run(model, [])
        np.testing.assert_allclose(seen, np.tile([0.0, 5.0, 0.0], (5, 1)), rtol=1e-12)
