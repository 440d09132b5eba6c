"""A cohort's patients as inputs of a sensitivity analysis: what they differ by, and the endpoint as its function.

Inputs are independent; what is correlated in the cohort (weight with height, clearance with volume) counts as one.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse.csgraph import connected_components
from scipy.special import ndtri

from her2pkpd.assays.reference import reference
from her2pkpd.cohort import engines
from her2pkpd.cohort.people import matches
from her2pkpd.cohort.run import Resources, cohort
from her2pkpd.cohort.sensitivity import Evaluate, Group, Inputs, correlated_normal
from her2pkpd.cohort.settings import CohortSettings
from her2pkpd.cohort.summary_source import OK, STATUS
from her2pkpd.cohort.trial import build_trial
from her2pkpd.cohort.tuning import tuned
from her2pkpd.errors import InputError, Problem, Problems
from her2pkpd.library.populations import Population, load_population, with_derived
from her2pkpd.settings import nearest
from her2pkpd.systems.patient import TUMOUR
from her2pkpd.systems.virtual_patient import NEGATIVE, POSITIVE

DEVIATE, FACTOR = "deviate of ", "factor on "
"""Beginnings of the names of random effects, and of varied parameters."""


def patient_inputs(settings: CohortSettings, *, arm: str | None = None) -> dict[str, Group]:
    """What the patients of a cohort differ by.

    Args:
        settings: the cohort.
        arm: only what matters to its drugs; None is the first.

    Returns:
        By name: covariates that the drugs' models, the doses or the tumour use, random effects of each drug, receptors
        and share of negative cells of the tumour, and every entry of ``[variability]``.

    Raises:
        InputError: for cohorts from a table of patients or a posterior, and with drawn mutations, which this cannot
            take apart.
    """
    settings = _with_arm(settings, arm)
    _check(settings)
    found = _covariates(settings)
    if settings.population.variability:
        for drug, dose in settings.drugs.items():
            names, matrix = dose.model.covariance()
            for part in _blocks(matrix):
                own = [names[i] for i in part]
                deviates = [f"{DEVIATE}{drug}.{n}" for n in own]
                found[f"{drug}: {', '.join(own)}"] = correlated_normal(deviates, matrix[np.ix_(part, part)])
    if settings.tumour.kind != "none":
        found |= _tumour(settings)
    for variation in settings.variations:
        name = f"{FACTOR}{variation.pattern}"
        found[variation.pattern] = Group((name,), lambda u, sd=variation.sd: np.exp(sd * ndtri(u)))
    return found


def patient_endpoint(
    settings: CohortSettings, endpoint: str, *, arm: str | None = None, resources: Resources | None = None
) -> Evaluate:
    """An endpoint as a function of the inputs of `patient_inputs`.

    Args:
        settings: the cohort.
        endpoint: a column of its endpoints that is a number.
        arm: of which arm; None is the first.
        resources: what to compute it on.

    Raises:
        InputError: for an arm or endpoint the cohort does not have.
    """
    asked = _only(_with_arm(settings, arm), endpoint)
    engine = engines.resolve(resources.engine if resources else "auto")
    trial = tuned(build_trial(asked), engines.solver(engine))  # one tolerance for all blocks
    own, defaults = replace(asked, solver=trial.settings.solver), trial.defaults

    def evaluate(inputs: Inputs) -> np.ndarray:
        table = _table(own, defaults, inputs)
        people = replace(own.population, table=table, size=len(table), variability=False, design="crossed")
        tumour = replace(own.tumour, ihc={}, HER2_sd=0.0, negative_sd=0.0)
        found = cohort(replace(own, population=people, tumour=tumour, variations=()), resources=resources).endpoints
        if endpoint not in found:
            rule = f"no endpoint '{endpoint}' in this cohort"
            raise InputError(Problem(rule, nearest(endpoint, list(found)), column="endpoint", value=endpoint))
        return np.where(found[STATUS] == OK, found[endpoint].to_numpy(dtype=float), np.nan)

    return evaluate


def _only(settings: CohortSettings, endpoint: str) -> CohortSettings:
    """Nothing kept beside the endpoint that costs time, or that other arms alone have."""
    asked = settings.endpoints
    kept = replace(
        asked,
        trough=tuple(v for v in asked.trough if v in endpoint) if asked.trough is not None else None,
        above={k: v for k, v in asked.above.items() if k in endpoint},
        below={k: v for k, v in asked.below.items() if k in endpoint},
    )
    return replace(settings, endpoints=kept, output=replace(settings.output, trajectories=0))


def _with_arm(settings: CohortSettings, arm: str | None) -> CohortSettings:
    chosen = [a for a in settings.arms if arm in (None, a.name)][:1]
    if not chosen:
        names = [a.name for a in settings.arms]
        raise InputError(Problem(f"no arm '{arm}' in this cohort", nearest(str(arm), names), column="arm", value=arm))
    return replace(settings, arms=tuple(chosen))


def _table(settings: CohortSettings, defaults: Any, inputs: Inputs) -> pd.DataFrame:
    known = load_population(settings.population.name)
    covariates = {c.name: inputs[c.name] for c in known.covariates if c.name in inputs}
    everything = with_derived({**covariates, **settings.population.covariates})
    parameters: dict[str, Any] = {}
    for drug, dose in settings.drugs.items():
        start = f"{DEVIATE}{drug}."
        deviates = {k.removeprefix(start): v for k, v in inputs.items() if k.startswith(start)}
        own = dose.model.individuals(everything, deviates)
        parameters |= {f"{drug}.{k}": v for k, v in own.items()}
    parameters |= {k: v for k, v in inputs.items() if k in defaults}
    if f"{NEGATIVE}.share" in parameters:
        parameters[f"{POSITIVE}.share"] = 1.0 - parameters[f"{NEGATIVE}.share"]
    for name, factor in inputs.items():
        if name.startswith(FACTOR):
            for one in matches(name.removeprefix(FACTOR), defaults):
                parameters[one] = parameters.get(one, defaults[one]) * factor
    size = len(next(iter(inputs.values())))
    columns = {k: np.broadcast_to(v, size) for k, v in {**covariates, **parameters}.items()}
    return pd.DataFrame(columns)


def _covariates(settings: CohortSettings) -> dict[str, Group]:
    population = load_population(settings.population.name)
    used = {"weight", *(name for dose in settings.drugs.values() for name in dose.model.covariates)}
    used |= {"height"} if "bsa" in used else set()
    used |= {"tumour_burden"} if settings.tumour.kind != "none" else set()
    names = [c.name for c in population.covariates]
    places = [i for i, n in enumerate(names) if n in used and n not in settings.population.covariates]
    matrix = population.correlation[np.ix_(places, places)]
    found = {}
    for part in _blocks(matrix):
        own = [places[i] for i in part]
        root = np.linalg.cholesky(matrix[np.ix_(part, part)])
        found[", ".join(names[i] for i in own)] = Group(tuple(names[i] for i in own), _drawn(population, own, root))
    return found


def _drawn(population: Population, places: Sequence[int], root: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    def draw(uniform: np.ndarray) -> np.ndarray:
        deviates = ndtri(uniform) @ root.T
        columns = [population.covariates[p].value(deviates[:, k]) for k, p in enumerate(places)]
        return np.stack([np.asarray(c, dtype=float) for c in columns], axis=1)

    return draw


def _tumour(settings: CohortSettings) -> dict[str, Group]:
    tumour, found = settings.tumour, {}
    cells = TUMOUR if tumour.kind == "signal" else POSITIVE
    if tumour.ihc or tumour.HER2_sd:
        found["HER2"] = Group((f"{cells}.HER2",), lambda u: _receptors(settings, u))
    if tumour.kind == "populations" and tumour.negative_sd and 0.0 < tumour.negative < 1.0:
        odds = tumour.negative / (1.0 - tumour.negative)

        def share(uniform: np.ndarray) -> np.ndarray:
            own = odds * np.exp(tumour.negative_sd * ndtri(uniform))
            return own / (1.0 + own)

        found["HER2-negative share"] = Group((f"{NEGATIVE}.share",), share)
    return found


def _receptors(settings: CohortSettings, uniform: np.ndarray) -> np.ndarray:
    """Score by the place of the uniform number, and the rest of it for the spread within the score."""
    tumour = settings.tumour
    share = np.array(list(tumour.ihc.values()) or [1.0])
    medians = np.array([reference(f"ihc_{s}") for s in tumour.ihc] or [tumour.HER2])
    ends = np.cumsum(share)
    score = np.minimum(np.searchsorted(ends, uniform, side="right"), len(share) - 1)
    rest = np.clip((uniform - (ends - share)[score]) / share[score], 0.5**53, 1.0 - 0.5**53)
    return medians[score] * np.exp(tumour.HER2_sd * ndtri(rest))


def _blocks(matrix: np.ndarray) -> list[list[int]]:
    """Places that are correlated with one another, directly or through others."""
    if not len(matrix):
        return []
    _, labels = connected_components(matrix != 0.0, directed=False)
    return [np.flatnonzero(labels == k).tolist() for k in range(labels.max() + 1)]


def _check(settings: CohortSettings) -> None:
    problems = Problems(settings.path or "cohort")
    for has, column in (
        (settings.population.table is not None, "population.table"),
        (settings.posterior is not None, "posterior"),
        (bool(settings.tumour.loss), "tumour"),
    ):
        if has:
            rule = "a table of patients, a posterior and drawn mutations are no independent inputs"
            problems.add(rule, "Leave it out of the sensitivity analysis.", column=column)
    problems.raise_any()
