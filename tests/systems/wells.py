"""Wells for tests: any drugs and cells, any of the processes switched off, solved tightly."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from her2pkpd.dosing import Event, compile_segments
from her2pkpd.engine import Batch, Options, Solution, solve
from her2pkpd.library import Drug, load_cell_line, load_drug
from her2pkpd.library import Quantity as Sourced
from her2pkpd.model import Model
from her2pkpd.systems.well import cell_parameters, well_model
from her2pkpd.units import AVOGADRO

TIGHT = Options(rtol=1e-10, atol=1e-13)
CELLS = "SK-BR-3"

STILL = {f"{CELLS}.doubling_time": 1e30, f"{CELLS}.k_apo": 0.0}
"""Cells that neither divide nor die."""

NO_TRAFFIC = {"kint": 0.0}
"""Receptors that stay where they are."""

ONE_CELL_IN_A_POOL = {"V": 1e6, f"{CELLS}.seeded": 1.0}
"""So few receptors that binding does not deplete the medium."""


def well(*drugs: str | Drug, ligands: Sequence[str] = (), lines: Sequence[str] = (CELLS,), **own: float) -> Model:
    """A well with library cell lines; `own` changes their constants."""
    chosen = [load_drug(d) if isinstance(d, str) else d for d in drugs]
    cells = {line: {**cell_parameters(load_cell_line(line)), **own} for line in lines}
    return well_model(chosen, cells, ligands=ligands)


def renamed(drug: str, name: str, **binding: float) -> Drug:
    """The same drug under another name, perhaps with other binding constants."""
    original = load_drug(drug)
    constants = {**original.binding, **{k: _number(original.binding[k], v) for k, v in binding.items()}}
    return replace(original, name=name, binding=constants)


def twin(drug: str, name: str) -> Drug:
    """The same drug under another name."""
    return replace(load_drug(drug), name=name)


def _number(original: Sourced, value: float) -> Sourced:
    return replace(original, value=value, canonical=value)


def run(
    model: Model,
    lanes: Sequence[Sequence[Event]],
    times: Sequence[float] | np.ndarray,
    changes: Mapping[str, float] | Sequence[Mapping[str, float]] = (),
    *,
    options: Options = TIGHT,
    engine: str = "kernel",
) -> Solution:
    """Solve one lane per list of events; `changes` are parameters for all lanes, or one mapping per lane."""
    each = [changes] * len(lanes) if isinstance(changes, Mapping) else list(changes) or [{}] * len(lanes)
    p = np.array([model.parameter_vector(c) for c in each])
    segments = compile_segments(model, lanes, start=0.0, stop=float(times[-1]))
    solution = solve(Batch(model, p, segments, np.asarray(times, dtype=float)), options, engine=engine)
    assert solution.ok.all(), solution.status_counts()
    return solution


def outputs(model: Model, solution: Solution, names: Sequence[str], changes: Mapping[str, float] = {}) -> np.ndarray:
    """Named outputs of every lane, (L, M, n), at parameters all lanes share."""
    return model.outputs(list(names), solution.y, model.parameter_vector(changes))


def receptors_in_medium(cells: float, copies: float, volume: float) -> float:
    """Receptors of all cells as nM of medium."""
    return cells * copies / AVOGADRO * 1e9 / volume
