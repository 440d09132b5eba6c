"""What a read-out is, in terms of the model: which output it needs and how treated and untreated well relate."""

from collections.abc import Callable

import numpy as np

Triple = tuple[np.ndarray, np.ndarray, np.ndarray]
Relation = Callable[[np.ndarray, np.ndarray, np.ndarray], Triple]
"""(treated, control, seeded) to (value, d value/d treated, d value/d control)."""


def _ratio(treated: np.ndarray, control: np.ndarray, seeded: np.ndarray) -> Triple:
    return treated / control, 1 / control, -treated / control**2


def _plain(treated: np.ndarray, control: np.ndarray, seeded: np.ndarray) -> Triple:
    return treated, np.ones_like(treated), np.zeros_like(control)


def growth_rate_inhibition(treated: np.ndarray, control: np.ndarray, seeded: np.ndarray) -> Triple:
    """GR = 2^(log2(N/N0)/log2(Nc/N0)) - 1 with its derivatives (Hafner 2016)."""
    a, b = np.log(treated / seeded), np.log(control / seeded)
    gr = np.exp2(a / b) - 1
    grow = (gr + 1) * np.log(2.0)
    return gr, grow / (b * treated), -grow * a / (b * b * control)


RELATION: dict[str, Relation] = {
    "viability": _ratio,
    "gr": growth_rate_inhibition,
    "cell_count": _plain,
    "pAKT": _ratio,
    "pERK": _ratio,
    "signal": _ratio,
    "HER2": _ratio,
}
"""Read-outs that can be predicted, on the canonical scale of `her2pkpd.data.readouts`; signals and receptor levels
are relative to the untreated well. ``occupancy.<drug>`` is added on demand."""

_MODEL_OUTPUT = {"pAKT": "pAKT", "pERK": "pERK", "signal": "signal", "HER2": "HER2.surface"}


def relation(readout: str) -> Relation:
    """How a read-out follows from treated and untreated well; ``occupancy.<drug>`` is the treated well's own."""
    return _plain if readout.startswith("occupancy.") else RELATION[readout]


def is_relative(readout: str) -> bool:
    """Whether a read-out needs the untreated well."""
    return relation(readout) is not _plain


def output_of(readout: str, population: str) -> str:
    """Model output a read-out is made from."""
    own = readout if readout.startswith("occupancy.") else _MODEL_OUTPUT.get(readout, "N")
    return f"{own}.{population}"
