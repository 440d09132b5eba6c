"""Draw virtual patients: covariates, their own pharmacokinetics, their tumours.

Every quantity has a stream of random numbers of its own (`her2pkpd.cohort.randomness`), and all arithmetic on the way
to a parameter is that of `her2pkpd.portable`: patient k of seed s is the same to the last bit, wherever and with
whomever it is drawn.
"""

import fnmatch
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from her2pkpd import portable
from her2pkpd.assays.reference import reference
from her2pkpd.cohort.randomness import normals, uniforms
from her2pkpd.cohort.settings import LOSSES, CohortSettings, Tumour
from her2pkpd.library import load_parameters
from her2pkpd.library.pk import PharmacokineticModel
from her2pkpd.library.populations import load_population, with_derived
from her2pkpd.simulate.patient_scenario import COVARIATE_FLAGS, COVARIATE_UNITS, COVARIATE_WORDS
from her2pkpd.systems.patient import TUMOUR
from her2pkpd.systems.tumour_signal import DOWNSTREAM
from her2pkpd.systems.virtual_patient import NEGATIVE, POSITIVE

ON_THE_DOSE = ("F", "tlag")
"""Parameters that act on the dose and not in the model."""

LITRE = 1e6
"""mm3."""

LARGEST_SHARE = 0.8
"""A tumour at the first dose has at most this share of the volume at which growth stops."""

LEAST_SHARE = 1e-9
"""Share of the cells a population has at least: concentrations in no cells are not defined."""


@dataclass
class People:
    """Patients.

    Attributes:
        numbers: who they are.
        covariates: by name; (L,), or one value for all.
        parameters: parameters of the models by name; likewise.
        labels: anything else that is known of them, (L,) each.
        arm: (L,) index of the arm each is allocated to, or None when all are treated in all.
    """

    numbers: range
    covariates: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    labels: dict[str, np.ndarray] = field(default_factory=dict)
    arm: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.numbers)

    def columns(self) -> dict[str, np.ndarray]:
        """What differs between patients: covariates, labels, parameters."""
        found = {**self.covariates, **self.labels, **self.parameters}
        return {name: value for name, value in found.items() if np.ndim(value)}

    def take(self, places: np.ndarray | slice) -> "People":
        """Some of them; `numbers` stays that of all."""
        some = lambda table: {k: v[places] if np.ndim(v) else v for k, v in table.items()}  # noqa: E731
        return People(self.numbers, some(self.covariates), some(self.parameters), some(self.labels))


def draw_people(settings: CohortSettings, defaults: Mapping[str, float], patients: range) -> People:
    """Draw patients.

    Args:
        settings: the cohort.
        defaults: parameters of the models of all arms, and their typical values.
        patients: which.

    Returns:
        The `People`.
    """
    people = People(patients)
    _covariates(people, settings)
    _pharmacokinetics(people, settings)
    _posterior(people, settings)
    _tumour(people, settings, defaults)
    _variations(people, settings, defaults)
    _own_parameters(people, settings, defaults)
    if settings.population.design == "parallel":
        lot = uniforms(settings.population.seed, "allocation", patients, 1)[0]
        people.arm = np.minimum((lot * len(settings.arms)).astype(np.int64), len(settings.arms) - 1)
    return people


def _rows(settings: CohortSettings, patients: range) -> np.ndarray:
    """Row of the user's table for every patient: in order while they last, then drawn with replacement."""
    table = settings.population.table
    assert table is not None
    rows = len(table)
    if settings.population.size <= rows:
        return np.arange(patients.start, patients.stop)
    lot = uniforms(settings.population.seed, "table", patients, 1)[0]
    return np.minimum((lot * rows).astype(np.int64), rows - 1)


def _covariates(people: People, settings: CohortSettings) -> None:
    own, found = settings.population, people.covariates
    if own.table is None:
        population = load_population(own.name)
        z = normals(own.seed, f"covariates {own.name}", people.numbers, len(population.covariates))
        mixed = portable.correlated(portable.cholesky(population.correlation), list(z))
        found |= {c.name: c.value(x) for c, x in zip(population.covariates, mixed, strict=True)}
    else:
        rows = _rows(settings, people.numbers)
        known = {*COVARIATE_UNITS, *COVARIATE_WORDS, *COVARIATE_FLAGS}
        found |= {name: own.table[name].to_numpy()[rows] for name in own.table if name in known}
    people.covariates = with_derived({**found, **own.covariates})


def _pharmacokinetics(people: People, settings: CohortSettings) -> None:
    for name, dose in settings.drugs.items():
        model = dose.model
        deviates = _deviates(model, name, people, settings) if settings.population.variability else {}
        for key, value in model.individuals(people.covariates, deviates).items():
            people.parameters[f"{name}.{key}"] = value
        for key, value in model.released_individuals(people.covariates).items():
            people.parameters[f"{model.payload}.{key}" if key in ("CL", "Vc") else f"{name}.{key}"] = value


def _deviates(
    model: PharmacokineticModel, drug: str, people: People, settings: CohortSettings
) -> dict[str, np.ndarray]:
    names, matrix = model.covariance()
    z = normals(settings.population.seed, f"pk {drug} {model.name}", people.numbers, len(names))
    return dict(zip(names, portable.correlated(portable.cholesky(matrix), list(z)) if names else [], strict=True))


def _posterior(people: People, settings: CohortSettings) -> None:
    if settings.posterior is None:
        return
    draws = settings.posterior.draws
    lot = uniforms(settings.population.seed, "posterior", people.numbers, 1)[0]
    row = np.minimum((lot * len(draws)).astype(np.int64), len(draws) - 1)
    people.labels["draw"] = row
    for name in draws:
        people.parameters[name] = draws[name].to_numpy(dtype=float)[row]


def _tumour(people: People, settings: CohortSettings, defaults: Mapping[str, float]) -> None:
    tumour, p = settings.tumour, people.parameters
    if tumour.kind == "none":
        return
    cells = [TUMOUR] if tumour.kind == "signal" else [POSITIVE, NEGATIVE]
    for key, value in tumour.values.items():
        for name in (*cells, TUMOUR):  # NRG1 is the tumour's, a doubling time its cells'
            if f"{name}.{key}" in defaults:
                p[f"{name}.{key}"] = value
    p[f"{cells[0]}.HER2"] = _receptors(people, settings)
    if "tumour_burden" in people.covariates:
        volume = volume_of(np.asarray(people.covariates["tumour_burden"]), tumour.lesions)
        largest = defaults.get("Vmax", np.inf)
        p["tumour.initial_volume"] = np.minimum(volume, LARGEST_SHARE * largest)
    if tumour.kind == "populations":
        negative = np.clip(_negative(people, settings), LEAST_SHARE, 1.0 - LEAST_SHARE)
        p[f"{POSITIVE}.share"], p[f"{NEGATIVE}.share"] = 1.0 - negative, negative
    _losses(people, settings, defaults)


def volume_of(diameters: np.ndarray, lesions: int) -> np.ndarray:
    """Volume in L of equal spheres whose diameters add up to `diameters`, mm."""
    one = diameters / lesions
    return lesions * (math.pi / 6.0) * one * one * one / LITRE


def _receptors(people: People, settings: CohortSettings) -> Any:
    tumour, seed = settings.tumour, settings.population.seed
    median: Any = tumour.HER2
    if tumour.ihc:
        scores = list(tumour.ihc)
        lot = uniforms(seed, "ihc", people.numbers, 1)[0]
        ends = np.cumsum([tumour.ihc[s] for s in scores])[:-1]
        index = np.sum(lot[None, :] > ends[:, None], axis=0) if len(scores) > 1 else np.zeros(len(people), dtype=int)
        people.labels["ihc"] = np.array(scores, dtype=object)[index]
        median = np.array([reference(f"ihc_{s}") for s in scores])[index]
    if tumour.HER2_sd:
        median = median * portable.exp(tumour.HER2_sd * normals(seed, "HER2", people.numbers, 1)[0])
    return median


def _negative(people: People, settings: CohortSettings) -> Any:
    tumour: Tumour = settings.tumour
    if tumour.negative in (0.0, 1.0) or not tumour.negative_sd:
        return tumour.negative
    odds = tumour.negative / (1.0 - tumour.negative)
    z = normals(settings.population.seed, "HER2-negative share", people.numbers, 1)[0]
    odds = odds * portable.exp(tumour.negative_sd * z)
    return odds / (1.0 + odds)


def _losses(people: People, settings: CohortSettings, defaults: Mapping[str, float]) -> None:
    """Alterations downstream of HER2 raise AKT and take a part of it away from the receptors."""
    if not settings.tumour.loss:
        return
    for name, probability in settings.tumour.loss.items():
        people.labels[name] = uniforms(settings.population.seed, name, people.numbers, 1)[0] < probability
    table, cells = load_parameters(), TUMOUR if settings.tumour.kind == "signal" else POSITIVE
    for key in DOWNSTREAM:
        value: Any = np.full(len(people), defaults[f"{cells}.{key}"])
        for genotype in _genotypes(list(settings.tumour.loss)):
            altered = np.logical_and.reduce([people.labels[g] for g in genotype])
            value = np.where(altered, table[f"tumour.{'.'.join(genotype)}.{key}"].canonical, value)
        people.parameters[f"{cells}.{key}"] = value


def _genotypes(losses: list[str]) -> list[tuple[str, ...]]:
    """Every combination of alterations that may be drawn, the larger ones last."""
    known = [name for name in LOSSES if name in losses]
    return [x for size in range(1, len(known) + 1) for x in itertools.combinations(known, size)]


def matches(pattern: str, names: Mapping[str, float]) -> list[str]:
    """Parameters a pattern of ``[variability]`` stands for."""
    if pattern in names:
        return [pattern]
    return [name for name in names if fnmatch.fnmatchcase(name, pattern.replace("[", "[[]"))]


def _variations(people: People, settings: CohortSettings, defaults: Mapping[str, float]) -> None:
    for variation in settings.variations:
        z = normals(settings.population.seed, f"variability {variation.pattern}", people.numbers, 1)[0]
        factor = portable.exp(variation.sd * z)
        for name in matches(variation.pattern, defaults):
            people.parameters[name] = people.parameters.get(name, defaults[name]) * factor


def _own_parameters(people: People, settings: CohortSettings, defaults: Mapping[str, float]) -> None:
    table = settings.population.table
    if table is not None:
        rows = _rows(settings, people.numbers)
        for name in table:
            if name in defaults:
                people.parameters[name] = table[name].to_numpy(dtype=float)[rows]
