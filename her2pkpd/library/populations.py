"""Virtual patients: covariates drawn jointly from ``populations.toml``."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from her2pkpd import portable
from her2pkpd.errors import InputError, Problem
from her2pkpd.settings import nearest, read_settings
from her2pkpd.sources import Source

_LOWEST_ALBUMIN = 15.0
"""g/L; a normal distribution has no floor, patients do."""


@dataclass(frozen=True)
class Covariate:
    """One covariate of a population.

    Attributes:
        name: its name.
        distribution: "lognormal", "normal" or "yes-no".
        centre: median, mean or probability.
        sd: of the logarithm, or of the value; 0 for "yes-no".
        unit: its unit.
        source: where it comes from.
    """

    name: str
    distribution: str
    centre: float
    sd: float
    unit: str
    source: Source

    def value(self, deviate: np.ndarray) -> np.ndarray:
        """Values at standard normal deviates."""
        if self.distribution == "lognormal":
            return self.centre * portable.exp(self.sd * deviate)
        if self.distribution == "normal":
            values = self.centre + self.sd * deviate
            return np.maximum(values, _LOWEST_ALBUMIN) if self.name == "albumin" else values
        return deviate > -portable.normal_quantile(np.array([self.centre]))[0]


@dataclass(frozen=True)
class Population:
    """A population of virtual patients.

    Attributes:
        name: its name.
        covariates: in file order.
        correlation: (k, k) of the normal deviates behind them.
    """

    name: str
    covariates: tuple[Covariate, ...]
    correlation: np.ndarray

    def typical(self) -> dict[str, float | bool]:
        """The patient at every centre; yes-no covariates are no."""
        found: dict[str, float | bool] = {}
        for c in self.covariates:
            found[c.name] = False if c.distribution == "yes-no" else c.centre
        return with_derived(found)

    def draw(self, n: int, rng: np.random.Generator) -> list[dict[str, float | bool]]:
        """`n` patients."""
        deviates = rng.standard_normal((n, len(self.covariates))) @ np.linalg.cholesky(self.correlation).T
        columns = [c.value(deviates[:, i]).tolist() for i, c in enumerate(self.covariates)]
        names = [c.name for c in self.covariates]
        return [with_derived(dict(zip(names, row, strict=True))) for row in zip(*columns, strict=True)]


def with_derived(covariates: Mapping[str, Any], *, height: float = 160.0) -> dict[str, Any]:
    """Adds body surface area (Mosteller) and body mass index; values may be arrays.

    Args:
        covariates: by name.
        height: cm, for the surface area where no height is given; a body mass index is not made from it.
    """
    found = dict(covariates)
    if "bsa" not in found and "weight" in found:
        bsa = np.sqrt(found["weight"] * found.get("height", height) / 3600.0)
        found["bsa"] = bsa if np.ndim(bsa) else float(bsa)
    if "bmi" not in found and "weight" in found and "height" in found:
        found["bmi"] = found["weight"] / (found["height"] / 100.0) ** 2
    return found


def load_population(name: str) -> Population:
    """A population by name.

    Raises:
        InputError: if there is none of that name.
    """
    populations = _populations()
    if name not in populations:
        raise InputError(Problem("unknown population", nearest(name, populations), value=name))
    return populations[name]


def population_names() -> list[str]:
    """Names of all populations."""
    return list(_populations())


@cache
def _populations() -> Mapping[str, Population]:
    table = read_settings(Path(__file__).with_name("populations.toml")).table
    return {name: _population(name, entry) for name, entry in table.items()}


def _population(name: str, table: Mapping[str, Any]) -> Population:
    covariates = tuple(
        Covariate(
            key,
            entry["distribution"],
            entry.get("median", entry.get("mean", entry.get("probability"))),
            entry.get("sd", 0.0),
            entry.get("unit", "1"),
            Source(entry["citation"], entry["certainty"]),
        )
        for key, entry in table.items()
        if key not in ("description", "correlation")
    )
    matrix = np.eye(len(covariates))
    index = {c.name: i for i, c in enumerate(covariates)}
    for pair, value in table.get("correlation", {}).items():
        a, _, b = pair.partition(" ")
        matrix[index[a], index[b]] = matrix[index[b], index[a]] = value
    return Population(name, covariates, matrix)
