"""Where a fit may go and where it starts."""

from functools import lru_cache

import numpy as np
from scipy.stats import qmc

from her2pkpd.synergy.surfaces import (
    COOPERATION_BOUNDS,
    EFFECT_BOUNDS,
    INTERACTION_BOUNDS,
    SLOPE_BOUNDS,
    Parameter,
    Surface,
)
from her2pkpd.synergy.wells import Wells

POTENCY_MARGIN = np.log(1e3)
"""A potency may lie this far (log) beyond the doses tested."""

BOUNDS = {
    "effect": EFFECT_BOUNDS, "plateau": (0.0, EFFECT_BOUNDS[1]), "slope": SLOPE_BOUNDS,
    "interaction": INTERACTION_BOUNDS, "cooperation": COOPERATION_BOUNDS, "fraction": (1e-9, 1.0),
    "kappa": (-1.999, 1e3), "shift": (-0.9999, 1e4),
}  # fmt: skip
"""By kind of parameter; a potency's follow from the doses."""

SPREAD = {
    "effect": 0.1, "plateau": 0.1, "slope": 0.7, "interaction": 1.5, "cooperation": 0.3, "fraction": 0.2,
    "kappa": 1.5, "shift": 0.7,
}  # fmt: skip
"""How far starts lie from the first guess, by kind of parameter; a potency's follows from the doses."""

FIRST_FRACTION = 0.8


def bounds(surface: Surface, wells: Wells) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of the coordinates, two arrays (p,)."""
    rows = np.array([_bounds(p, wells) for p in surface.parameters])
    return rows[:, 0], rows[:, 1]


def _bounds(parameter: Parameter, wells: Wells) -> tuple[float, float]:
    if parameter.kind != "potency":
        return BOUNDS[parameter.kind]
    low, _, high = wells.ranges[_drug_of(parameter)]
    return low - POTENCY_MARGIN, high + POTENCY_MARGIN


def _drug_of(parameter: Parameter) -> int:
    return int(parameter.name.lstrip("C")) - 1


def starts(surface: Surface, wells: Wells, number: int, seed: int) -> np.ndarray:
    """Starting coordinates (number, p): a guess from the corners of the block, then Sobol points around it.

    They may lie outside the bounds.
    """
    rows = np.array([_guess(p, surface.n_drugs, wells) for p in surface.parameters])
    return rows[:, 0] + _cloud(len(rows), number, seed) * rows[:, 1]


@lru_cache(maxsize=64)
def _cloud(p: int, number: int, seed: int) -> np.ndarray:
    """Points (number, p) of a cube around 0, the first its centre."""
    cloud = 2.0 * qmc.Sobol(p, rng=np.random.default_rng(seed)).random_base2(int(np.ceil(np.log2(number)))) - 1
    cloud[0] = 0.0
    return cloud[:number]


def _guess(parameter: Parameter, k: int, wells: Wells) -> tuple[float, float]:
    """First value of a coordinate, and how far other starts lie from it."""
    if parameter.kind == "potency":
        low, middle, high = wells.ranges[_drug_of(parameter)]
        return middle, max(0.35 * (high - low), 0.5)
    value = parameter.start
    if parameter.kind in ("effect", "plateau"):
        digits = "12" if parameter.name == "E3" and k == 2 else parameter.name[1:].replace("0", "")
        value = wells.corner(tuple(str(i + 1) in digits for i in range(k)))
    elif parameter.kind == "fraction":
        value = FIRST_FRACTION
    return value, SPREAD[parameter.kind]
