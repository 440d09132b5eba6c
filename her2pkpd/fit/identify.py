"""Can these data determine this parameter? One answer per unknown, from Fisher information, profiles and draws.

Three methods that fail in different ways are asked the same question. The Fisher information is local: curvature at
the estimate. The profile looks as far as the interval reaches. Posterior draws know the prior and every bend in
between. All three are turned into a standard deviation and the ends of an interval on the unknown's own scale, and
judged by one rule (`her2pkpd.fit.intervals.Curvature.verdict`). Beside them stands the rank of the sensitivities,
which says whether more data of the same kind could help (practical) or not (structural).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from her2pkpd.fit.combinations import Combination, determined_combinations, directions, pairs
from her2pkpd.fit.intervals import Curvature, Interval, curvature, laplace
from her2pkpd.fit.objective import Objective
from her2pkpd.fit.profile_curve import ProfileCurve
from her2pkpd.fit.structure import Structure, structure

DETERMINED = "determined"
COMBINATION = "only a combination is"
UNDETERMINED = "not by these data"

COLUMNS = (
    "parameter unit estimate verdict cause combination combination_interval_fold fisher profile profile_shape "
    "posterior methods_agree"
).split()


@dataclass(frozen=True)
class Identifiability:
    """What can be said of every unknown.

    Attributes:
        table: one row per unknown of the model, columns `COLUMNS`; `cause` is "structural" or "practical" for what is
            not determined, `combination` the determined product of powers an undetermined unknown takes part in,
            with the fold its 95 % interval spans. Methods that were not run leave blanks.
        eigenvectors: directions of the data's Fisher information, best known first: ``direction, combination,
            information, interval_fold, verdict``.
        combinations: determined products of powers of undetermined unknowns.
        structure: directions without any effect.
        without_effect: these directions in words.
        curves: profiles, where they were made.
    """

    table: pd.DataFrame
    eigenvectors: pd.DataFrame
    combinations: list[Combination]
    structure: Structure
    without_effect: list[str]
    curves: list[ProfileCurve]

    def __repr__(self) -> str:
        counts = self.table["verdict"].value_counts()
        lines = ["Identifiability: " + ", ".join(f"{n} {v}" for v, n in counts.items())]
        lines += [f"  determined all the same: {c.text} (interval spans {c.fold:.3g}-fold)" for c in self.combinations]
        lines += [f"  without any effect: {text}" for text in self.no_effect()]
        return "\n".join(lines)

    def no_effect(self) -> list[str]:
        """Unknowns without any effect by themselves in one line, and a line for each other direction without one."""
        alone = [str(name) for name, idle in zip(self.table["parameter"], self.structure.idle, strict=True) if idle]
        lines = [", ".join(alone) + (", each by itself" if len(alone) > 1 else "")] if alone else []
        return lines + [text for text in self.without_effect if ", " in text]


def identify(
    objective: Objective,
    u: np.ndarray,
    *,
    intervals: Sequence[Interval] = (),
    curves: Sequence[ProfileCurve] = (),
    draws: np.ndarray | None = None,
) -> Identifiability:
    """Judge every unknown at an estimate.

    Args:
        objective: the objective.
        u: coordinates of the estimate, (n_unknowns,).
        intervals: profile intervals, as `her2pkpd.fit.profile.profile` makes them; others are ignored.
        curves: the profiles themselves.
        draws: (n_draws, n_unknowns or n_free) coordinates from the posterior, or None.

    Returns:
        The `Identifiability`. Cost: three evaluations of the objective with its Jacobian, and one of five points at
        tight tolerances.
    """
    n = len(objective.free)
    curved = curvature(objective, u)
    local = [_word(x.verdict) for x in laplace(objective, u)[0][:n]]
    profiled = {x.name: _word(x.verdict) for x in intervals if x.kind.startswith("profile")}
    sampled = _posterior(curved, draws) if draws is not None else [""] * n
    found = structure(objective, u)
    known = _data_covariance(curved)
    verdicts = [profiled.get(f.name, word) for f, word in zip(objective.free.free, local, strict=True)]
    undetermined = np.array([v in (COMBINATION, UNDETERMINED) for v in verdicts]) | found.involved
    partners = _partners(known, undetermined) & curved.inside[:n]
    combined = determined_combinations(objective.free.free, known, undetermined & curved.inside[:n], partners)
    values = objective.free.values(u[:n])
    shapes = {c.name: c.shape for c in curves}
    rows = []
    for i, free in enumerate(objective.free.free):
        methods = [local[i], profiled.get(free.name, ""), sampled[i]]
        verdict, cause = _overall(i, verdicts[i], found, combined)
        best = _of(i, combined) if verdict == COMBINATION else None
        rows.append(
            (
                free.name, free.unit, values[i], verdict, cause,
                best.text if best else "", best.fold if best else np.nan, methods[0], methods[1],
                shapes.get(free.name, ""), methods[2], len({m for m in methods if m}) == 1,
            )
        )  # fmt: skip
    table = pd.DataFrame(rows, columns=COLUMNS)
    eigenvectors = _eigenvectors(objective, curved)
    return Identifiability(
        table, eigenvectors, combined, found, pairs(objective.free.free, found.null), list(curves)
    )  # fmt: skip


def _partners(covariance: np.ndarray, undetermined: np.ndarray) -> np.ndarray:
    """(n_free,) unknowns, though determined, that an undetermined one trades against most, where no other does more."""
    sd = np.sqrt(np.maximum(np.diag(covariance), 1e-300))
    correlation = np.abs(covariance / np.outer(sd, sd)) - np.eye(len(sd))
    strongest = np.argmax(correlation, axis=1)
    found = np.zeros(len(sd), dtype=bool)
    found[[j for i, j in enumerate(strongest) if undetermined[i] and correlation[i, j] > 0.3]] = True
    return found


def _word(verdict: str) -> str:
    """A verdict without what stands in brackets."""
    return verdict.split(" (", maxsplit=1)[0]


def _overall(i: int, verdict: str, found: Structure, combined: Sequence[Combination]) -> tuple[str, str]:
    """Verdict and cause; a prior may determine what the data leave open, and does not count."""
    if found.involved[i]:
        return (COMBINATION if _of(i, combined) else UNDETERMINED), "structural"
    return verdict, "practical" if verdict in (COMBINATION, UNDETERMINED) else ""


def _of(i: int, combined: Sequence[Combination]) -> Combination | None:
    """The combination an unknown plays the largest part in, the shorter one of equals."""
    taking_part = [c for c in combined if c.powers[i]]
    return max(taking_part, key=lambda c: (abs(c.powers[i]), -np.count_nonzero(c.powers)), default=None)


def data_information(curved: Curvature) -> np.ndarray:
    """(n_free, n_free) what the data alone tell, the noise level counted as known."""
    n = len(curved.objective.free)
    prior = curved.objective.free.prior_residuals(curved.u[:n])[1]
    return (curved.objective.information(curved.u)[:n, :n] - prior.T @ prior) / curved.inflation


def _data_covariance(curved: Curvature) -> np.ndarray:
    """Covariance of the coordinates by the data alone, each held within its bounds by a normal as wide as they are."""
    n = len(curved.objective.free)
    low, high = curved.objective.bounds()
    held = data_information(curved) + np.diag((high - low)[:n] ** -2.0)
    scale = 1 / np.sqrt(np.diag(held))
    return np.linalg.pinv(held * np.outer(scale, scale), hermitian=True) * np.outer(scale, scale)


def _eigenvectors(objective: Objective, curved: Curvature) -> pd.DataFrame:
    found = directions(objective.free.free, data_information(curved))
    rows = [
        (k, c.text, c.sd**-2 if np.isfinite(c.sd) else 0.0, c.fold, DETERMINED if c.determined else UNDETERMINED)
        for k, c in enumerate(found, start=1)
    ]
    return pd.DataFrame(rows, columns="direction combination information interval_fold verdict".split())


def _posterior(curved: Curvature, draws: np.ndarray) -> list[str]:
    """Verdicts by draws: the same rule, with their spread for the curvature's and their quantiles for the ends."""
    n = len(curved.objective.free)
    draws = curved.objective.free.coordinates(np.asarray(draws, dtype=float)[:, :n])
    covariance = np.zeros_like(curved.covariance)
    covariance[:n, :n] = np.atleast_2d(np.cov(draws, rowvar=False))
    inside = curved.inside.copy()
    prior_sd = curved.prior_sd.copy()
    low, high = curved.objective.free.coordinate_bounds()
    # Without a prior of its own an unknown is uniform between its bounds, for a sampler.
    prior_sd[:n] = np.minimum(prior_sd[:n], (high - low) / np.sqrt(12.0))
    conditional = curved.conditional.copy()
    conditional[:n] = 1 / np.sqrt(np.maximum(_conditional_information(covariance[:n, :n], prior_sd[:n]), 1e-300))
    known = replace(
        curved, covariance=covariance, conditional=conditional, prior_sd=prior_sd, at=_middle(curved, draws)
    )
    ends = np.quantile(draws, [0.025, 0.975], axis=0).T
    return [_word(known.verdict(i, (float(a), float(b)))) if inside[i] else "" for i, (a, b) in enumerate(ends)]


def _middle(curved: Curvature, draws: np.ndarray) -> np.ndarray:
    at = curved.at.copy()
    at[: draws.shape[1]] = draws.mean(axis=0)
    return at


def _conditional_information(covariance: np.ndarray, prior_sd: np.ndarray) -> np.ndarray:
    """What the data tell of each unknown if the others were known, from the posterior's covariance less the prior."""
    scale = 1 / np.sqrt(np.maximum(np.diag(covariance), 1e-300))
    inverse = np.linalg.pinv(covariance * np.outer(scale, scale), hermitian=True) * np.outer(scale, scale)
    return np.diag(inverse) - prior_sd**-2.0
