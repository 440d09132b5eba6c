"""The closed form of linear systems against the kernel, and what it hands over."""

import numpy as np
import pytest

from her2pkpd.dosing.records import Dose, Reset
from her2pkpd.dosing.schedule import compile_schedule
from her2pkpd.engine import Batch, Directions, Options, Segments, Status, solve
from her2pkpd.errors import InputError
from her2pkpd.mechanisms.disposition import Structure, disposition
from her2pkpd.model import Builder

TIGHT = Options(rtol=1e-11, atol=1e-13)
VALUES = {
    "Vc": 3.0,
    "CL": 0.4,
    "Q": 0.9,
    "Vp": 5.0,
    "Q2": 0.1,
    "Vp2": 20.0,
    "ka": 0.7,
    "ktr": 1.1,
    "Vmax": 1.0,
    "Km": 2.0,
}


def model(structure):
    build = Builder("disposition")
    for name, unit in structure.parameters.items():
        build.parameter(f"d.{name}", VALUES[name], unit)
    disposition(build, "d", structure)
    return build.model()


def batch(built, structure, lanes=3):
    target = "depot.d" if structure.absorption else "central.d"
    doses = [
        Dose(1.0, target, 50.0, interval=12.0, additional=3),
        Dose(5.0, "central.d", 20.0, "rate", 4.0),
        Reset(30.0),
    ]
    doses.append(Dose(31.0, "central.d", 10.0, interval=6.0, steady_state=1))
    p = np.tile(built.default_parameters(), (lanes, 1)) * np.linspace(0.8, 1.2, lanes)[:, None]
    schedule = compile_schedule(built, [doses] * lanes, p, stop=60.0)
    return Batch(built, p, schedule.segments, np.linspace(0.0, 60.0, 25))


@pytest.mark.parametrize(
    "structure",
    [Structure(0), Structure(1), Structure(2), Structure(1, absorption=True), Structure(2, absorption=True)],
    ids=str,
)
def test_the_kernel_agrees(structure):
    built = model(structure)
    problem = batch(built, structure)
    directions = Directions(tuple(range(built.n_parameters)))
    exact, kernel = (solve(problem, TIGHT, directions, engine=e) for e in ("auto", "kernel"))
    assert (exact.engine, kernel.engine) == ("linear", "kernel")
    np.testing.assert_allclose(exact.y, kernel.y, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(exact.dy, kernel.dy, rtol=1e-7, atol=1e-7)


def test_equal_rates_are_handed_over():
    structure = Structure(0, absorption=True, transits=3)
    built = model(structure)
    found = solve(batch(built, structure), TIGHT)
    assert found.engine == "kernel"


def test_saturable_elimination_is_not_linear():
    structure = Structure(1, saturable=True)
    built = model(structure)
    problem = Batch(built, built.default_parameters(), Segments(np.array([[0.0, 1.0]])), np.array([0.0, 1.0]))
    assert solve(problem).engine == "kernel"
    with pytest.raises(InputError, match="not linear"):
        solve(problem, engine="linear")


def test_a_lane_that_is_not_finite_says_so():
    built = model(Structure(1))
    p = np.tile(built.default_parameters(), (2, 1))
    p[0, 0] = np.nan
    found = solve(Batch(built, p, Segments(np.tile([0.0, 1.0], (2, 1))), np.array([0.0, 1.0])))
    assert found.status.tolist() == [Status.NOT_FINITE, Status.OK]
    assert np.isnan(found.y[0, 1]).all()
    assert np.isfinite(found.y[1]).all()
