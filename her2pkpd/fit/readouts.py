"""What a read-out is, in terms of the model: which output it needs and how treated and untreated well relate."""

from collections.abc import Callable

import numpy as np

Relation = Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]
"""(treated, control, seeded) to (value, d value/d treated, d value/d control)."""


def _ratio(treated: np.ndarray, control: np.ndarray, seeded: np.ndarray, size: float = 1.0):  # noqa: ANN202, ARG001
    return size * treated / control, size / control, -size * treated / control**2


def _loss(treated: np.ndarray, control: np.ndarray, seeded: np.ndarray, size: float = 1.0):  # noqa: ANN202
    value, by_treated, by_control = _ratio(treated, control, seeded, size)
    return size - value, -by_treated, -by_control


def _plain(treated: np.ndarray, control: np.ndarray, seeded: np.ndarray):  # noqa: ANN202, ARG001
    return treated, np.ones_like(treated), np.zeros_like(control)


def growth_rate_inhibition(treated: np.ndarray, control: np.ndarray, seeded: np.ndarray):  # noqa: ANN201
    """GR = 2^(log2(N/N0)/log2(Nc/N0)) - 1 with its derivatives (Hafner 2016)."""
    a, b = np.log(treated / seeded), np.log(control / seeded)
    gr = np.exp2(a / b) - 1
    grow = (gr + 1) * np.log(2.0)
    return gr, grow / (b * treated), -grow * a / (b * b * control)


RELATION: dict[str, Relation] = {
    "viability": _ratio,
    "percent_viability": lambda t, c, n: _ratio(t, c, n, 100.0),
    "inhibition": _loss,
    "percent_inhibition": lambda t, c, n: _loss(t, c, n, 100.0),
    "cell_count": _plain,
    "gr": growth_rate_inhibition,
    "pAKT": _ratio,
    "pERK": _ratio,
    "signal": _ratio,
    "HER2.surface": _ratio,
}
"""Every read-out a plate may hold; ``occupancy.<drug>`` is added on demand."""


def relation(readout: str) -> Relation:
    """How a read-out follows from treated and untreated well; ``occupancy.<drug>`` is the treated well's own."""
    return _plain if readout.startswith("occupancy.") else RELATION[readout]


def output_of(readout: str, population: str) -> str:
    """Model output a read-out is made from."""
    own = readout in ("pAKT", "pERK", "signal", "HER2.surface") or readout.startswith("occupancy.")
    return f"{readout if own else 'N'}.{population}"
