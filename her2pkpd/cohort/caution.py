"""Doses of a trial that lie outside what was studied in people, or outside what a model was estimated from."""

import numpy as np

from her2pkpd.cohort.people import draw_people
from her2pkpd.cohort.trial import Trial
from her2pkpd.simulate.caution import Given, planned

LOOKED_AT = 1000
"""Patients whose weights are looked at."""

WEIGHT, BSA = 70.0, 1.7
"""kg and m2, of patients of whom neither is known."""


def doses_given(trial: Trial) -> list[Given]:
    """Every amount that patients of the trial may be given, rules included; the first patients' weights stand for all.

    Args:
        trial: the cohort.
    """
    settings = trial.settings
    size = min(settings.population.size, LOOKED_AT)
    covariates = draw_people(settings, trial.defaults, range(size)).covariates
    weight, bsa = (
        np.broadcast_to(np.asarray(covariates.get(name, usual), dtype=float), (size,))
        for name, usual in (("weight", WEIGHT), ("bsa", BSA))
    )
    found: list[Given] = []
    for arm in settings.arms:
        for given in arm.doses:
            levels = [x for rule in arm.rules if rule.drug == given.dose.drug.name for x in rule.levels]
            found += planned(given.dose, weight, bsa, levels)
    return found
