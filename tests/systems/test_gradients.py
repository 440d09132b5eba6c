"""Derivatives by every parameter of a well against differences of tight solutions."""

from dataclasses import dataclass

import numpy as np
import pytest

from her2pkpd.dosing import Add, Wash, compile_segments
from her2pkpd.engine import Batch, Directions, Options, solve
from her2pkpd.model import Model
from tests.systems.wells import CELLS, well

TIMES = np.array([0.0, 0.5, 4.0, 24.0, 72.0])
CASES = {
    "no drug": ([], {}),
    "some drug": ([Add(0.0, "trastuzumab", 2.0), Add(6.0, "lapatinib", 60.0)], {}),
    "saturating drug": ([Add(0.0, "trastuzumab", 1e4), Add(0.0, "lapatinib", 1e5)], {}),
    "washed": ([Add(0.0, "trastuzumab", 20.0), Wash(24.0, ("trastuzumab",), 0.05)], {}),
    "no receptor": ([Add(0.0, "trastuzumab", 5.0), Add(0.0, "lapatinib", 300.0)], {f"{CELLS}.HER2": 0.0}),
}
FEW = ("kint", "trastuzumab.KD", f"{CELLS}.HER2", f"{CELLS}.doubling_time", f"{CELLS}.S50")
ENGINES = {
    "kernel": (Options(rtol=1e-8, atol=1e-11), ("trastuzumab", "lapatinib"), None),
    "reference": (Options(rtol=1e-9, atol=1e-12), ("trastuzumab",), FEW),
}
"""Tolerances, drugs, and parameters differentiated by (None: all): the reference engine takes long to compile."""
EXACT = Options(rtol=1e-12, atol=1e-15)
STEPS = (-2.0, -1.0, 1.0, 2.0)


@dataclass(frozen=True)
class Setup:
    """A well with every case as a lane, its parameters (L, P) and the size of every parameter (L, P)."""

    engine: str
    model: Model
    parameters: np.ndarray
    size: np.ndarray

    def batch(self, parameters, repeat=1):
        lanes = [
            [e for e in events if set(touched(e)) <= set(self.model.species_index)] for events, _ in CASES.values()
        ]
        segments = compile_segments(self.model, lanes * repeat, start=0.0, stop=float(TIMES[-1]))
        return Batch(self.model, parameters, segments, TIMES)


def touched(event):
    return event.species if isinstance(event, Wash) else (event.species,)


@pytest.fixture(scope="module", params=list(ENGINES))
def setup(request):
    model = well(*ENGINES[request.param][1])
    parameters = np.array([model.parameter_vector(changes) for _, changes in CASES.values()])
    default = model.default_parameters()
    # A parameter that is zero by default has no size of its own.
    size = np.tile(np.where(default == 0, 0.1, np.abs(default)), (len(CASES), 1))
    # The first receptor counts: about zero, HER2 is measured in single copies.
    size[list(CASES).index("no receptor"), model.parameter_index[f"{CELLS}.HER2"]] = 1.0
    return Setup(request.param, model, parameters, size)


@pytest.fixture(scope="module")
def differences(setup):
    """Central differences with one Richardson step, (L, M, n_species, P), and the states."""
    lanes, n = setup.parameters.shape
    moved = np.tile(setup.parameters, (n * len(STEPS), 1)).reshape(n, len(STEPS), lanes, n)
    width = 2e-3 * setup.size
    for k in range(n):
        for j, step in enumerate(STEPS):
            moved[k, j, :, k] += step * width[:, k]
    found = solve(setup.batch(moved.reshape(-1, n), n * len(STEPS)), EXACT, engine="kernel")
    assert found.ok.all()
    y = found.y.reshape(n, len(STEPS), lanes, *found.y.shape[1:])
    near, far = y[:, 2] - y[:, 1], y[:, 3] - y[:, 0]
    slope = (8 * near - far) / (12 * width.T[:, :, None, None])
    return np.moveaxis(slope, 0, -1), y.mean(axis=(0, 1))


@pytest.fixture(scope="module")
def gradient(setup):
    options, _, names = ENGINES[setup.engine]
    index = setup.model.parameter_index
    columns = [index[n] for n in names or index]
    found = solve(setup.batch(setup.parameters), options, Directions(tuple(columns)), engine=setup.engine)
    assert found.ok.all()
    return columns, found.dy


@pytest.mark.parametrize("case", list(CASES))
def test_every_derivative_agrees_with_differences(case, gradient, differences, setup):
    lane, (columns, found) = list(CASES).index(case), gradient
    slope, states = differences[0][lane][..., columns], differences[1][lane]
    # In units of relative change: what matters is the effect of a parameter on the size of a species.
    error = np.abs(found[lane] - slope).max(axis=0) * setup.size[lane, columns]
    effect = np.abs(slope).max(axis=0) * setup.size[lane, columns]
    size = np.abs(states).max(axis=0)[:, None]
    bad = np.argwhere(error > 1e-5 * effect + 1e-8 * size)
    names = [(setup.model.species[i].name, setup.model.parameters[columns[k]].name) for i, k in bad]
    assert not names, (names, error[tuple(bad.T)], effect[tuple(bad.T)])


@pytest.mark.parametrize("rtol", [1e-6, 1e-8])
def test_a_parameter_at_zero_that_moves_nothing_at_first_costs_no_more_steps(rtol):
    # The two arms a_egfr shifts cancel until lapatinib tells them apart: pure rounding error for six hours.
    model = well("trastuzumab", "lapatinib", a_egfr=0.0)
    column = model.parameter_index[f"{CELLS}.a_egfr"]
    parameters = np.tile(model.default_parameters(), (2, 1))
    parameters[1, column] = 1e-9
    segments = compile_segments(model, [CASES["some drug"][0]] * 2, start=0.0, stop=float(TIMES[-1]))
    options = Options(rtol=rtol, atol=rtol * 1e-3)
    found = solve(Batch(model, parameters, segments, TIMES), options, Directions((column,)), engine="kernel")
    assert found.ok.all()
    assert found.steps[0] < 2 * found.steps[1]
    np.testing.assert_allclose(found.dy[0], found.dy[1], rtol=1e-4, atol=1e-7 * np.abs(found.y).max())
    assert np.abs(found.dy).max() > 1.0


def test_the_parameters_that_matter_are_seen_to_matter(differences, setup):
    slope, states = differences
    lane = list(CASES).index("some drug")
    effect = np.abs(slope[lane]).max(axis=0) * setup.size[lane] / np.abs(states[lane]).max(axis=0)[:, None]
    cells = effect[setup.model.species_index[f"N.{CELLS}"]]
    for name in ("trastuzumab.KD", f"{CELLS}.doubling_time", f"{CELLS}.S50", f"{CELLS}.w"):
        assert cells[setup.model.parameter_index[name]] > 1e-3, name
