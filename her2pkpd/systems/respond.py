"""Ask a cell a question: what it does under some treatments, from rest."""

from collections.abc import Mapping, Sequence

import numpy as np

from her2pkpd.dosing import Add, compile_segments
from her2pkpd.engine import Batch, solve
from her2pkpd.errors import ComputationError
from her2pkpd.model import Model
from her2pkpd.systems.cell import baseline


def cell_responses(
    model: Model,
    name: str,
    treatments: Sequence[Mapping[str, float]],
    hours: Sequence[float] | np.ndarray,
    outputs: Sequence[str],
    changes: Mapping[str, float] | None = None,
) -> np.ndarray:
    """Outputs of a resting cell under treatments added at time zero.

    Args:
        model: a `her2pkpd.systems.cell.cell_model`.
        name: name of its population.
        treatments: nM by drug or ligand.
        hours: (M,) times, ascending.
        outputs: names without the population's.
        changes: parameters by name.

    Returns:
        (treatments, M, outputs).

    Raises:
        ComputationError: if a lane fails.
    """
    p, y = baseline(model, model.parameter_vector(changes or {}), name)
    times, n = np.asarray(hours, dtype=float), len(treatments)
    lanes = [[Add(0.0, species, nM) for species, nM in t.items() if nM] for t in treatments]
    segments = compile_segments(model, lanes, start=0.0, stop=float(times[-1]))
    solution = solve(Batch(model, np.repeat(p, n, axis=0), segments, times, np.repeat(y, n, axis=0)))
    if not solution.ok.all():
        raise ComputationError(f"some treatments failed: {solution.status_counts()}")
    return model.outputs([f"{x}.{name}" for x in outputs], solution.y, p)
