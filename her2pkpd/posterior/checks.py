"""Posterior predictive checks: does the fit, noise included, look like the plates it was made from?"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from her2pkpd.posterior.result import Posterior

FINE = "as predicted"

EXTREME = 0.01
"""Tail probability of a plate's mean or scatter below which it counts as not explained."""

CENTRAL = 0.95
"""Central part of the predictive distribution within which a published metric counts as explained."""


def predictive_checks(posterior: Posterior) -> pd.DataFrame:
    """Measured against replicated wells, per read-out, plate, cell line and time.

    Args:
        posterior: draws of a fit.

    Returns:
        One row per group: ``readout, plate, cell_line, time, wells``; ``inside_50`` and ``inside_95``, the parts of its
        wells within the central predictive intervals of that size; ``p_mean`` and ``p_scatter``, two-sided
        probabilities of a replicated group whose mean residual, or whose root mean square residual, is as extreme;
        ``limits``, the wells known by a limit only, which count in none of these, and ``within_limits``, the mean
        probability that a replicate of theirs keeps to its limit; and ``verdict``.
    """
    observations = posterior.problem.observations
    found = posterior.predictive
    exact = np.array([o.censoring == "none" for o in observations])
    keys = [(o.signal.readout, o.group("plate"), o.signal.treatment.cell_line, o.signal.time) for o in observations]
    rows = []
    for key in dict.fromkeys(keys):
        own = np.array([k == key for k in keys])
        wells, limited = np.flatnonzero(own & exact), np.flatnonzero(own & ~exact)
        within = _within(found.replicated[:, limited], [observations[i].ends for i in limited])
        if not len(wells):
            rows.append((*key, 0, *[np.nan] * 4, len(limited), within, _limits_verdict(within)))
            continue
        value = np.array([observations[i].value for i in wells])
        replicated, centre = found.replicated[:, wells], np.median(found.prediction[:, wells], axis=0)
        rank = (replicated < value).mean(axis=0)
        off, noise = value - centre, replicated - centre
        p_mean = _two_sided(noise.mean(axis=1), off.mean())
        p_scatter = _two_sided(np.sqrt((noise**2).mean(axis=1)), float(np.sqrt((off**2).mean())))
        inside = [float(((rank >= 0.5 - x / 2) & (rank <= 0.5 + x / 2)).mean()) for x in (0.5, 0.95)]
        verdict = _verdict(p_mean, p_scatter, off)
        verdict = _limits_verdict(within) if verdict == FINE else verdict
        rows.append((*key, len(wells), *inside, p_mean, p_scatter, len(limited), within, verdict))
    columns = ["readout", "plate", "cell_line", "time", "wells", "inside_50", "inside_95", "p_mean", "p_scatter"]
    return pd.DataFrame(rows, columns=[*columns, "limits", "within_limits", "verdict"])


def _within(replicated: np.ndarray, ends: Sequence[tuple[float, float]]) -> float:
    """Mean probability that replicates (S, k) lie between their limits; NaN without any."""
    if not ends:
        return np.nan
    low, high = np.array(ends).T
    return float(((replicated >= low) & (replicated <= high)).mean())


def _limits_verdict(within: float) -> str:
    return "the model does not keep to the limits here" if within < EXTREME else FINE


def metric_checks(posterior: Posterior, *, seed: int = 0) -> pd.DataFrame:
    """Published metrics against those of another laboratory, as the posterior predicts them.

    Args:
        posterior: draws of a fit.
        seed: of the scatter between laboratories.

    Returns:
        One row per metric: ``cell_line, drug, metric, assay, published, censoring, unit``; ``median, lower, upper`` of
        the central 95 % predictive interval, scatter included; ``tail``, the two-sided probability of a value as
        extreme as the published one (of a limit: that a value lies beyond it); and ``verdict``.
    """
    noise, found = posterior.problem.objective.metric_noise, posterior.predictive.metrics
    rng = np.random.default_rng(seed)
    rows = []
    for i, m in enumerate(posterior.problem.metrics):
        draws = found[:, i] + (noise.potency if m.is_potency else noise.efficacy) * rng.standard_normal(len(found))
        low, middle, high = np.quantile(draws[np.isfinite(draws)], [0.025, 0.5, 0.975])
        value = np.log10(m.value) if m.is_potency else m.value
        above = float((draws >= value).mean())
        tail = {"none": _two_sided(draws, value), "right": above, "left": 1 - above}[m.censoring]
        verdict = "as predicted" if tail >= 1 - CENTRAL else f"the model lies too {'low' if above < 0.5 else 'high'}"
        ends = [10**x if m.is_potency else x for x in (middle, low, high)]
        unit = "nM" if m.is_potency else "1"
        rows.append((m.cell_line, m.drug, m.metric, m.assay, m.value, m.censoring, unit, *ends, tail, verdict))
    columns = "cell_line drug metric assay published censoring unit median lower upper tail verdict".split()
    return pd.DataFrame(rows, columns=columns)


def _two_sided(replicated: np.ndarray, observed: float) -> float:
    above = float((replicated >= observed).mean())
    return min(1.0, 2 * min(above, 1 - above) + 1 / len(replicated))


def _verdict(p_mean: float, p_scatter: float, off: np.ndarray) -> str:
    if p_mean < EXTREME:
        return f"the model lies too {'low' if off.mean() > 0 else 'high'} here"
    if p_scatter < EXTREME:
        return "wells scatter differently than the noise model says"
    return FINE
