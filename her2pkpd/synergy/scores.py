"""Scores of a block against every null model, each with an interval.

Intervals come from a bootstrap of residuals: the scatter of replicates around their dose's mean where there are
replicates, else that around the best surface. All single-drug curves are refitted in every draw. The p-value of a
score is that of Student's t for its distance from no interaction in bootstrap standard deviations.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import t as student_t

from her2pkpd.engine.descent import observations
from her2pkpd.synergy import null_models as null
from her2pkpd.synergy.blocks import Block
from her2pkpd.synergy.lanes import descent
from her2pkpd.synergy.profile import LEVEL
from her2pkpd.synergy.starts import bounds, starts
from her2pkpd.synergy.surfaces import Surface, single_agents, slice_curve
from her2pkpd.synergy.wells import Wells, distinct, gather, log_doses

EXCESSES = (
    "bliss_excess_gt0_is_synergy",
    "hsa_excess_gt0_is_synergy",
    "loewe_excess_gt0_is_synergy",
    "zip_delta_gt0_is_synergy",
)
INDICES = ("loewe_ci_lt1_is_synergy", "chou_talalay_ci_lt1_is_synergy")
SCORES = (*EXCESSES, *INDICES)
"""Every score; the name says which side is synergy."""

OK = "ok"
NO_SINGLE = "no_single_agent_at_this_dose"
FEW_DOSES = "fewer_than_3_doses_alone"
UNDEFINED = {
    "loewe_excess_gt0_is_synergy": "beyond_the_weaker_drug",
    "loewe_ci_lt1_is_synergy": "effect_not_reached_by_both_drugs",
    "chou_talalay_ci_lt1_is_synergy": "effect_outside_0_to_1",
}
DRAWS = 400


@dataclass(frozen=True)
class BlockScores:
    """Scores of one block.

    Attributes:
        table: one row per combination dose and score: ``concentration, concentration_2 ..., score, value, lower,
            upper, p, status``; masked scores are blank and say why in ``status``.
        summary: one row per score: ``score, value, lower, upper, p, doses, masked``, the mean over the block's
            doses (geometric for indices).
        curves: (1 + 3k,) fitted single-drug curves as E0, E1 ..., h1 ..., C1 ...; NaN without curves.
    """

    table: pd.DataFrame
    summary: pd.DataFrame
    curves: np.ndarray


def score_block(
    block: Block, *, draws: int = DRAWS, seed: int = 0, noise: tuple[float, int] | None = None
) -> BlockScores:
    """Score one block.

    Args:
        block: the wells.
        draws: bootstrap draws; 0 leaves the intervals out.
        seed: of the draws.
        noise: standard deviation of a well and its degrees of freedom, for blocks without replicates (that of a
            fitted surface, say).

    Returns:
        The `BlockScores`.
    """
    wells = gather(block.doses, block.survival)
    doses, _ = distinct(block.doses)
    means, degrees = _draws(block, wells, draws, seed, noise)
    values, status, curves = _all_scores(block, wells, doses, means)
    return _report(block, doses[(doses > 0).all(axis=1)], values, status, degrees, curves)


def _draws(
    block: Block, wells: Wells, draws: int, seed: int, noise: tuple[float, int] | None
) -> tuple[np.ndarray, int]:
    """Mean responses (1 + draws, g), the observed ones first, and the degrees of freedom of their scatter."""
    _, where = distinct(block.doses)
    degrees = wells.n - len(wells.mean)
    rng = np.random.default_rng(seed)
    if degrees >= 3:
        residual = block.survival - wells.mean[where]
        repeated = wells.count[where] > 1
        pool = (residual / np.sqrt(1 - 1 / np.maximum(wells.count[where], 1.5)))[repeated]
        noisy = rng.choice(pool - pool.mean(), size=(draws, wells.n))
    elif noise is not None and np.isfinite(noise[0]):
        degrees = noise[1]
        noisy = rng.normal(0.0, noise[0], size=(draws, wells.n))
    else:
        return wells.mean[None], 0
    sums = np.zeros((draws, len(wells.mean)))
    for i, g in enumerate(where):
        sums[:, g] += noisy[:, i]
    return np.concatenate([wells.mean[None], wells.mean + sums / wells.count]), degrees


def _all_scores(
    block: Block, wells: Wells, doses: np.ndarray, means: np.ndarray
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], np.ndarray]:
    """Values (1 + draws, m) and status (m,) of every score at the m combination doses; curves (1 + 3k,)."""
    k = doses.shape[1]
    both = (doses > 0).all(axis=1)
    combined, observed = doses[both], means[:, both]
    unit = block.response.unit
    values = {name: np.full(observed.shape, np.nan) for name in SCORES if k == 2 or not name.startswith("zip")}
    status = {name: np.full(both.sum(), FEW_DOSES, dtype=object) for name in values}
    alone = np.stack([_alone(doses, means, combined, i) for i in range(k)], axis=-1)
    for name, expected in (("bliss", null.bliss_expected), ("hsa", null.hsa_expected)):
        score = f"{name}_excess_gt0_is_synergy"
        values[score] = unit * (expected(*np.moveaxis(alone, -1, 0)) - observed)
        status[score] = np.where(np.isnan(alone[0]).any(axis=-1), NO_SINGLE, OK).astype(object)
    if not block.has_curves:
        return values, status, np.full(1 + 3 * k, np.nan)
    curves = single_curves(wells, doses, means)
    e0, e1, h, c = curves[:, 0], *(curves[:, None, 1 + j * k : 1 + (j + 1) * k] for j in range(3))
    loewe = null.loewe_expected(combined[None], e0[:, None], e1, h, c)
    values["loewe_excess_gt0_is_synergy"] = unit * (loewe - observed)
    reach = null.hill_dose(observed[..., None], e0[:, None, None], e1, h, c)
    values["loewe_ci_lt1_is_synergy"] = null.loewe_ci(combined, reach)
    values["chou_talalay_ci_lt1_is_synergy"] = _chou_talalay(doses, means, combined, observed)
    if k == 2:
        values["zip_delta_gt0_is_synergy"] = unit * _zip(doses, means, curves)[:, both]
    for name, reason in UNDEFINED.items():
        status[name] = np.where(np.isnan(values[name][0]), reason, OK).astype(object)
    if k == 2:
        status["zip_delta_gt0_is_synergy"] = np.where(np.isnan(values["zip_delta_gt0_is_synergy"][0]), FEW_DOSES, OK)
    return values, status, curves[0]


def _alone(doses: np.ndarray, means: np.ndarray, combined: np.ndarray, drug: int) -> np.ndarray:
    """Measured survival (b, m) of one drug alone at the doses of the combinations; NaN where it was not given."""
    single = (doses[:, drug] > 0) & (np.delete(doses, drug, axis=1) == 0).all(axis=1)
    result = np.full((len(means), len(combined)), np.nan)
    for i, dose in enumerate(combined[:, drug]):
        at = np.flatnonzero(single & np.isclose(doses[:, drug], dose, rtol=1e-9, atol=0.0))
        if len(at):
            result[:, i] = means[:, at[0]]
    return result


def single_curves(wells: Wells, doses: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Hill curves of the single drugs, which share their untreated response, in every draw.

    Args:
        wells: a block's.
        doses: (g, k) of its distinct combinations.
        means: (b, g) responses: the observed ones, from which all searches start, then those of the draws.

    Returns:
        (b, 1 + 3k) natural values: E0, plateaus, slopes, potencies.
    """
    surface = single_agents(doses.shape[1])
    single = (doses > 0).sum(axis=1) <= 1
    part = Wells(wells.inputs[single], wells.mean[single], wells.count[single], np.zeros(single.sum()))
    return surface.natural(_fit_draws(surface, part, part.inputs[None], means[:, single], 16))


def _fit_draws(surface: Surface, part: Wells, inputs: np.ndarray, means: np.ndarray, number: int) -> np.ndarray:
    """Coordinates (b, p) for the observed means (row 0), from many starts, and for every draw, from the observed.

    Args:
        surface: the curve.
        part: the observed wells, for bounds and starts.
        inputs: (1 or b, g, inputs) of every draw.
        means: (b, g).
        number: starts.
    """
    limits = bounds(surface, part)
    data = observations(inputs, means, np.sqrt(part.count))

    def fit(u: np.ndarray, draws: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
        found = descent(surface).minimise(data[draws], u, limits, iterations=steps, tolerance=1e-13)
        return found.u, found.cost

    u, cost = fit(starts(surface, part, number, 0), np.zeros(number, dtype=int), 400)
    best = u[np.argmin(cost)]
    others, _ = fit(np.tile(best, (len(means) - 1, 1)), np.arange(1, len(means)), 60)
    return np.concatenate([best[None], others])


def _chou_talalay(doses: np.ndarray, means: np.ndarray, combined: np.ndarray, observed: np.ndarray) -> np.ndarray:
    reach = []
    for drug in range(doses.shape[1]):
        single = (doses[:, drug] > 0) & (np.delete(doses, drug, axis=1) == 0).all(axis=1)
        m, middle = null.median_effect(doses[single, drug], means[:, single])
        reach.append(null.median_effect_dose(observed, m[:, None], middle[:, None]))
    return null.loewe_ci(combined, np.stack(reach, axis=-1))


def _zip(doses: np.ndarray, means: np.ndarray, curves: np.ndarray) -> np.ndarray:
    """ZIP delta (b, g): expected from the single curves minus the mean of the two curves fitted through the dose."""
    e0 = curves[:, 0, None]
    single = [null.hill_effect(doses[:, i], e0, *(curves[:, 1 + 2 * j + i, None] for j in range(3))) for i in (0, 1)]
    fitted = []
    for drug in (0, 1):
        other = 1 - drug
        through = np.full(means.shape, np.nan)
        for dose in np.unique(doses[doses[:, other] > 0, other]):
            at = np.flatnonzero(doses[:, other] == dose)
            if np.sum(doses[at, drug] > 0) >= 3:
                through[:, at] = _slice(doses[at, drug], means[:, at], single[other][:, at[0]])
        fitted.append(through)
    return single[0] * single[1] - 0.5 * (fitted[0] + fitted[1])


def _slice(dose: np.ndarray, means: np.ndarray, baseline: np.ndarray) -> np.ndarray:
    surface = slice_curve()
    own = np.column_stack([log_doses(dose), np.zeros(len(dose))])
    part = Wells(own, means[0], np.ones(len(dose)), np.zeros(len(dose)))
    inputs = np.stack(
        [np.broadcast_to(own[:, 0], means.shape), np.broadcast_to(baseline[:, None], means.shape)], axis=-1
    )
    return surface(inputs, _fit_draws(surface, part, inputs, means, 8))


def _report(
    block: Block,
    combined: np.ndarray,
    values: dict[str, np.ndarray],
    status: dict[str, np.ndarray],
    degrees: int,
    curves: np.ndarray,
) -> BlockScores:
    tables, rows = [], []
    for name, draws in values.items():
        index = name in INDICES
        good = status[name] == OK
        scale = np.log if index else np.asarray
        with np.errstate(divide="ignore", invalid="ignore"):
            moved = scale(np.maximum(draws, 1e-12) if index else draws)
        moved = np.where(good, moved, np.nan)
        low, high, p = _interval(moved, degrees)
        back = np.exp if index else np.asarray
        columns = {f"concentration{'' if i == 0 else f'_{i + 1}'}": combined[:, i] for i in range(combined.shape[1])}
        tables.append(
            pd.DataFrame(
                {
                    **columns,
                    "score": name,
                    "value": np.where(good, draws[0], np.nan),
                    "lower": back(low),
                    "upper": back(high),
                    "p": p,
                    "status": status[name],
                }
            )
        )
        if good.any():
            mean = _row_mean(moved[:, good])
            a, b, q = (x[0] for x in _interval(mean[:, None], degrees))
            rows.append(
                (
                    name,
                    float(back(mean[0])),
                    float(back(a)),
                    float(back(b)),
                    float(q),
                    int(good.sum()),
                    int((~good).sum()),
                )
            )
        else:
            rows.append((name, np.nan, np.nan, np.nan, np.nan, 0, len(good)))
    summary = pd.DataFrame(rows, columns=["score", "value", "lower", "upper", "p", "doses", "masked"])
    return BlockScores(pd.concat(tables, ignore_index=True), summary, curves)


def _row_mean(draws: np.ndarray) -> np.ndarray:
    """Mean of every row over the doses defined in it."""
    known = np.isfinite(draws)
    return np.where(known, draws, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)


def _interval(draws: np.ndarray, degrees: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ends and p-value (m,) of scores (1 + draws, m) on a scale on which 0 is no interaction."""
    centre, rest = draws[0], draws[1:]
    if not len(rest) or degrees < 1:
        nothing = np.full(len(centre), np.nan)
        return nothing, nothing, nothing
    known = np.isfinite(rest)
    n = known.sum(axis=0)
    mean = np.where(known, rest, 0.0).sum(axis=0) / np.maximum(n, 1)
    sd = np.sqrt((np.where(known, rest - mean, 0.0) ** 2).sum(axis=0) / np.maximum(n - 1, 1))
    sd = np.where((n >= 0.5 * len(rest)) & np.isfinite(centre), sd, np.nan)
    width = student_t.ppf(0.5 + LEVEL / 2, degrees) * sd
    with np.errstate(divide="ignore", invalid="ignore"):
        p = 2 * student_t.sf(np.abs(centre) / np.maximum(sd, 1e-15), degrees)
    return centre - width, centre + width, p
