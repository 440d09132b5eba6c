"""Addiction as a number: what survival loses when part of a kinase is blocked.

A cell is addicted to a kinase if a modest block costs it far more survival than its share. Three numbers say how much:
the survival left with half blocked (0.5 would be proportional), the local sensitivity d ln S/d ln A of survival S to
the active fraction A at rest, and the effective Hill coefficient ln 81/ln(A90/A10) of the whole response, A90 and A10
the active fractions that leave 90 % and 10 %.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from her2pkpd.library import Drug, load_parameters
from her2pkpd.model import Model
from her2pkpd.systems.respond import cell_responses

FRACTIONS = (0.0, 0.02, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
"""Fractions of a kinase blocked by default; 0.02 is for the local sensitivity."""


@dataclass(frozen=True)
class Dependence:
    """Survival against the fraction of one kinase that is blocked.

    Attributes:
        blocked: (n,) fractions, the first zero.
        survival: (n,) relative to nothing blocked.
    """

    blocked: np.ndarray
    survival: np.ndarray

    def _needed(self, left: float) -> float:
        lowest = np.minimum.accumulate(self.survival)
        return float(np.interp(-left, -lowest, self.blocked)) if lowest[-1] <= left else float("nan")

    @property
    def at_half(self) -> float:
        """Survival with half blocked."""
        return float(np.interp(0.5, self.blocked, self.survival))

    @property
    def local(self) -> float:
        """Local sensitivity d ln survival/d ln active fraction at rest."""
        return float(np.log(self.survival[1]) / np.log1p(-self.blocked[1]))

    @property
    def hill(self) -> float:
        """Effective Hill coefficient; NaN where survival never falls to 10 %."""
        return float(np.log(81.0) / np.log((1.0 - self._needed(0.9)) / (1.0 - self._needed(0.1))))

    @property
    def to_half(self) -> float:
        """Fraction blocked that halves survival; NaN where it never does."""
        return self._needed(0.5)


def blocking_dose(drug: Drug, kinase: str, fraction: float) -> float:
    """Concentration (nM) of a reversible inhibitor that holds a fraction of a kinase for as long as it is there.

    It is a little above Ki*f/(1 - f), because new kinase keeps arriving: Ki*(1 + kturn/koff)*f/(1 - f).
    """
    constants = drug.kinases[kinase].constants
    renewal = load_parameters()[f"kturn.{kinase}"].canonical / constants["koff"].canonical
    return constants["Ki"].canonical * (1.0 + renewal) * fraction / (1.0 - fraction)


def dependence(
    model: Model,
    name: str,
    treatments: Sequence[Mapping[str, float]],
    blocked: Sequence[float] = FRACTIONS,
    *,
    hours: float = 48.0,
    changes: Mapping[str, float] | None = None,
) -> Dependence:
    """Survival of a resting cell after treatments that block rising fractions of one kinase.

    Args:
        model: a `her2pkpd.systems.cell.cell_model`.
        name: name of its population.
        treatments: nM by drug, one for each fraction; the first is none.
        blocked: the fractions, ascending from zero.
        hours: when survival is read.
        changes: parameters by name.

    Raises:
        ComputationError: if a lane fails.
    """
    found = cell_responses(model, name, treatments, [hours], ["survival"], changes)[:, 0, 0]
    return Dependence(np.asarray(blocked, dtype=float), found / found[0])
