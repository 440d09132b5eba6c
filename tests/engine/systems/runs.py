"""Runs that several test modules look at, made once in a session."""

from functools import cache

import numpy as np

from her2pkpd.engine import Batch, Directions, Options, Segments, Solution, solve
from tests.engine.systems.dosing import dosing_batch
from tests.engine.systems.hard import HARD
from tests.engine.systems.linear import LINEAR
from tests.engine.systems.nonlinear import NONLINEAR

EXACT = {**LINEAR, **NONLINEAR}
USUAL = Options(rtol=1e-6, atol=1e-9)
TIGHT = Options(rtol=1e-9, atol=1e-12)


def all_parameters(model) -> Directions:
    """Directions of every parameter, through the model's initial values too."""
    return Directions(tuple(range(model.n_parameters)))


@cache
def exact_batch(name: str) -> Batch:
    """The dosing cases of a system with a closed form."""
    return dosing_batch(EXACT[name])[0]


@cache
def closed_form(name: str):
    """Exact states (L, M, n) of `exact_batch`."""
    return EXACT[name].of_batch(exact_batch(name))


@cache
def run(name: str, engine: str, options: Options = USUAL, gradient: bool = False) -> Solution:
    """Solution of `exact_batch` by one engine."""
    batch = exact_batch(name)
    return solve(batch, options, all_parameters(batch.model) if gradient else None, engine=engine)


@cache
def exact_gradient(name: str):
    """Exact derivatives (L, M, n, P) of `exact_batch` by all parameters."""
    return EXACT[name].gradient(exact_batch(name))


def dosing_directions(name: str) -> Directions:
    """One direction for every initial value, jump, infusion rate (if any) and boundary of `exact_batch`."""
    batch = exact_batch(name)
    seg, n = batch.segments, batch.model.n_species
    lanes, k, m = seg.jump.shape
    sizes = [n, k * m, k * m if EXACT[name].infusions else 0, k + 1]
    count, start = sum(sizes), np.cumsum([0, *sizes])

    def unit(which: int, shape: tuple[int, ...]) -> np.ndarray:
        block = np.zeros((lanes, sizes[which], count))
        block[:, :, start[which] : start[which + 1]] = np.eye(sizes[which])
        return block.reshape(lanes, *shape, count)

    infusion = unit(2, (k, m)) if sizes[2] else None
    return Directions((), unit(0, (n,)), unit(1, (k, m)), infusion, unit(3, (k + 1,)))


def hard_batch(name: str) -> Batch:
    """One lane of a stiff classic."""
    system = HARD[name]
    return Batch(system.model, system.model.default_parameters(), Segments([[0.0, system.times[-1]]]), system.times)


@cache
def hard_run(name: str, engine: str, rtol: float) -> Solution:
    """Solution of `hard_batch`, atol in step with rtol."""
    return solve(hard_batch(name), hard_options(name, rtol), engine=engine)


def hard_options(name: str, rtol: float) -> Options:
    """The absolute tolerance a classic is meant to have beside `rtol`."""
    return Options(rtol, HARD[name].atol * rtol / 1e-6)


def lane(batch: Batch, i: int) -> Batch:
    """One lane of a batch as a batch of its own."""
    seg, one = batch.segments, slice(i, i + 1)
    dosing = (seg.jump[one], seg.keep[one], seg.infusion[one], seg.reset[one])
    segments = Segments(seg.boundaries[one], seg.inputs, *dosing)
    initial = None if batch.initial is None else batch.initial[one]
    return Batch(batch.model, batch.parameters[one], segments, batch.times[one], initial)
