"""Doses outside what was studied: said in one place, by everything that gives doses to patients."""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from her2pkpd.dosing.regimen import Amount
from her2pkpd.errors import ValidityWarning
from her2pkpd.library import Drug
from her2pkpd.library.pk import PharmacokineticModel, Validity
from her2pkpd.library.studied import Studied
from her2pkpd.simulate.patient_scenario import PatientDose
from her2pkpd.units import quantity

ROUNDING = 1e-6
"""Relative slack at the ends of a range."""

SHORT = 0.02
"""Share by which an interval may be short of the shortest one studied."""


@dataclass(frozen=True)
class Given:
    """A dose as patients get it.

    Attributes:
        drug, model, route: what, by which pharmacokinetics, and how.
        mass: (L,) ug, of the patients.
        weight: (L,) kg, or None where nobody knows it; amounts per kg are then not looked at.
        interval: h to the next administration; 0 for a single dose.
    """

    drug: Drug
    model: PharmacokineticModel
    route: str
    mass: np.ndarray
    weight: np.ndarray | None
    interval: float = 0.0

    def size(self, unit: str) -> np.ndarray | None:
        """(L,) the dose in a unit such as mg or mg/kg; None where the weight is needed and not known."""
        head, _, per = unit.partition("/")
        mass = self.mass / quantity(f"1 {head}", "ug")
        if not per:
            return mass
        return None if self.weight is None else mass / self.weight


def planned(dose: PatientDose, weight: np.ndarray, bsa: np.ndarray, more: Sequence[Amount] = ()) -> list[Given]:
    """Every amount of a ``[[dose]]``: its own, the loading dose, planned reductions.

    Args:
        dose: the dose.
        weight: (L,) kg.
        bsa: (L,) m2.
        more: further `Amount`s that may be given, those a rule reduces to for instance.
    """
    amounts = [dose.regimen.amount, dose.regimen.loading, *dose.reduced.values(), *more]
    masses = [np.broadcast_to(x.micrograms(weight, bsa), weight.shape) for x in amounts if x is not None]
    return [Given(dose.drug, dose.model, dose.route, m, weight, dose.regimen.interval) for m in masses]


def cautions(doses: Iterable[Given]) -> list[str]:
    """What has to be said about doses, each thing once."""
    found = []
    for given in doses:
        found += [_outside_model(given, valid) for valid in given.model.validity if valid.quantity == "dose"]
        found.append(_not_studied(given))
    return list(dict.fromkeys(x for x in found if x))


def warn(doses: Iterable[Given], *, stacklevel: int = 2) -> list[str]:
    """`cautions`, as warnings.

    Warns:
        ValidityWarning: for each.
    """
    found = cautions(doses)
    for text in found:
        warnings.warn(text, ValidityWarning, stacklevel=stacklevel + 1)
    return found


def _beyond(sizes: np.ndarray, low: float, high: float) -> np.ndarray:
    return (sizes < low * (1.0 - ROUNDING)) | (sizes > high * (1.0 + ROUNDING))


def _extent(sizes: np.ndarray) -> str:
    low, high = float(np.min(sizes)), float(np.max(sizes))
    return f"{low:.3g}" if high <= low * 1.001 else f"{low:.3g} to {high:.3g}"


def _outside_model(given: Given, valid: Validity) -> str:
    sizes = given.size(valid.unit)
    if sizes is None or not (out := _beyond(sizes, valid.low, valid.high)).any():
        return ""
    return (
        f"{given.drug.name} at {_extent(sizes[out])} {valid.unit} is outside {valid.low:g} to {valid.high:g} "
        f"{valid.unit}, where {given.model.name} holds: {valid.reason}."
    )


def _not_studied(given: Given) -> str:
    ranges = [x for x in given.drug.studied if x.route == given.route]
    if not ranges:
        return ""
    left = np.ones(len(given.mass), dtype=bool)
    for one in ranges:
        left &= ~_within(given, one)
    if not left.any():
        return ""
    unit = ranges[0].unit if given.size(ranges[0].unit) is not None else "mg"
    sizes = given.size(unit)
    assert sizes is not None
    often = f" every {given.interval / 24.0:.3g} d" if given.interval else ""
    some = f" (in {np.mean(left):.0%} of patients)" if not left.all() else ""
    return (
        f"{given.drug.name} {given.route} at {_extent(sizes[left])} {unit}{often}{some} is outside the doses studied "
        f"in people: {'; '.join(x.text for x in ranges)}."
    )


def _within(given: Given, one: Studied) -> np.ndarray:
    """(L,) which patients get a dose inside a range; a dose that cannot be compared counts as inside."""
    sizes = given.size(one.unit)
    if sizes is None:
        return np.ones(len(given.mass), dtype=bool)
    too_often = 0.0 < given.interval < one.every * (1.0 - SHORT)
    return ~_beyond(sizes, one.low, one.high) & (not too_often)
