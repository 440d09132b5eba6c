"""Whether draws can be trusted: convergence, effective sizes, divergences, energy; each with what to do about it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from her2pkpd.posterior._stats import ess, rhat

if TYPE_CHECKING:
    from her2pkpd.posterior.result import Posterior

RHAT = 1.01
"""Largest R-hat of chains that agree (Vehtari et al. 2021)."""

APART = 1.05
"""R-hat above which more draws alone are unlikely to help."""

HOPELESS = 20
"""How many times as many draws are no advice any more."""

ESS_PER_CHAIN = 100
"""Smallest effective number of draws per chain for quantiles and for R-hat itself to be trusted (ibid.)."""

BFMI = 0.3
"""Smallest Bayesian fraction of missing information (Betancourt 2016)."""

PARETO_K = 0.7
"""Largest shape of importance weights that still average well (Vehtari et al. 2024)."""

FAILED = 0.01
"""Part of all evaluations that may fail before it is worth a word."""


@dataclass(frozen=True)
class Finding:
    """One check.

    Attributes:
        check: its name.
        passed: whether all is well.
        words: what was found.
        advice: what to do; "" when all is well.
    """

    check: str
    passed: bool
    words: str
    advice: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """The state of a set of draws.

    Attributes:
        rhat, ess_bulk, ess_tail: (n_unknowns,) per unknown.
        findings: every check.
    """

    rhat: np.ndarray
    ess_bulk: np.ndarray
    ess_tail: np.ndarray
    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(f.passed for f in self.findings)

    def lines(self) -> list[str]:
        """One line per check; those that failed begin with WARNING and end with advice."""
        return [
            f"{f.check:<10} {f.words}" if f.passed else f"WARNING    {f.check}: {f.words}. {f.advice}"
            for f in self.findings
        ]


def diagnose(posterior: "Posterior") -> Diagnosis:
    """Check a posterior; see `docs/inference.md` for what each check means."""
    agreement, bulk, tail = convergence(posterior.values)
    findings = [_agreement(posterior.names, agreement), _sizes(posterior, bulk, tail)]
    if posterior.elsewhere:
        findings.append(_modes(posterior))
    if posterior.method == "nuts":
        findings += [_divergences(posterior), _trees(posterior), _energy(posterior)]
    if posterior.method == "laplace":
        findings.append(_importance(posterior))
    if posterior.draws.failed:
        findings.append(_failures(posterior))
    return Diagnosis(agreement, bulk, tail, tuple(findings))


def convergence(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """R-hat, bulk and tail effective sizes of draws (chains, draws, n); each (n,). NaN where draws do not vary."""
    rows = []
    for i in range(values.shape[-1]):
        x = np.ascontiguousarray(values[..., i])
        if np.ptp(x) == 0 or not np.isfinite(x).all():
            rows.append((np.nan, np.nan, np.nan))
            continue
        rows.append((rhat(x), ess(x, "bulk"), ess(x, "tail")))
    agreement, bulk, tail = np.array(rows).T
    return agreement, bulk, tail


def bfmi(energy: np.ndarray) -> np.ndarray:
    """(chains,) Bayesian fraction of missing information of energies (chains, draws)."""
    moved = np.diff(energy, axis=1) ** 2
    return moved.mean(axis=1) / np.var(energy, axis=1, ddof=1)


def _agreement(names: list[str], found: np.ndarray) -> Finding:
    worst = int(np.nanargmax(np.where(np.isnan(found), -1.0, found)))
    stuck = [n for n, r in zip(names, found, strict=True) if np.isnan(r)]
    words = f"R-hat at most {found[worst]:.3f} ({names[worst]})" + (
        f"; no movement in {', '.join(stuck)}" * bool(stuck)
    )
    if found[worst] <= RHAT and not stuck:
        return Finding("chains", True, words)
    if found[worst] <= APART and not stuck:
        return Finding("chains", False, words, "The chains nearly agree: raise [method] draws")
    advice = (
        "The chains do not agree: draw more (draws, warmup); if they sit in different places, the posterior has "
        'several modes: use sample = "smc"'
    )
    return Finding("chains", False, words, advice)


def _modes(posterior: "Posterior") -> Finding:
    nearest, count = min(posterior.elsewhere), len(posterior.elsewhere)
    words = f"{count} of the fit's starts ended {nearest:.1f} above the best optimum or more, where no chain has been"
    advice = 'Chains begin at the best, and cannot tell by R-hat that there is another mode: use sample = "smc"'
    return Finding("modes", False, words, advice)


def _sizes(posterior: "Posterior", bulk: np.ndarray, tail: np.ndarray) -> Finding:
    both, (chains, draws) = np.fmin(bulk, tail), posterior.u.shape[:2]
    worst = int(np.nanargmin(both))
    least, wanted = float(both[worst]), ESS_PER_CHAIN * chains
    words = (
        f"at least {least:.0f} effective draws of {chains * draws} "
        f"({posterior.names[worst]}: bulk {bulk[worst]:.0f}, tail {tail[worst]:.0f})"
    )
    if least >= wanted:
        return Finding("size", True, words)
    more = int(np.ceil(draws * wanted / max(least, 1.0) / 500) * 500)
    enough = f"raise [method] draws from {draws} to about {more}" if more <= HOPELESS * draws else "see the chains"
    advice = f"Ends of its interval are uncertain: {enough}"
    return Finding("size", False, words, advice)


def _divergences(posterior: "Posterior") -> Finding:
    count = int(posterior.draws.diverging.sum())
    if not count:
        return Finding("paths", True, "no divergent trajectory")
    share = count / posterior.draws.diverging.size
    advice = (
        "The sampler could not follow the posterior everywhere and may have missed a part: raise [method] target to "
        "0.95, give vague parameters a prior, or fix one of those the data cannot tell apart"
    )
    return Finding("paths", False, f"{count} divergent trajectories ({share:.1%})", advice)


def _trees(posterior: "Posterior") -> Finding:
    full = 2**posterior.max_tree_depth - 1
    share = float(np.mean(posterior.draws.leapfrogs >= full)) if posterior.max_tree_depth else 0.0
    words = f"{posterior.draws.leapfrogs.mean():.1f} leapfrogs a draw"
    if share < 0.01:
        return Finding("trees", True, words)
    advice = "Slow but not wrong: the posterior is long and thin; priors or fewer unknowns would make it rounder"
    return Finding("trees", False, f"{words}, {share:.1%} at the limit", advice)


def _energy(posterior: "Posterior") -> Finding:
    least = float(bfmi(posterior.draws.energy).min())
    if least >= BFMI:
        return Finding("energy", True, f"BFMI at least {least:.2f}")
    advice = "Heavy tails are explored slowly: give parameters without a prior one"
    return Finding("energy", False, f"BFMI {least:.2f}", advice)


def _importance(posterior: "Posterior") -> Finding:
    words = f"Pareto k {posterior.pareto_k:.2f} of the weights"
    if posterior.pareto_k <= PARETO_K:
        return Finding("shape", True, words)
    advice = 'The posterior is no normal distribution, so that these draws are rough: use sample = "nuts"'
    return Finding("shape", False, words, advice)


def _failures(posterior: "Posterior") -> Finding:
    share = posterior.draws.failed / max(posterior.draws.evaluations, 1)
    words = f"{posterior.draws.failed} of {posterior.draws.evaluations} evaluations failed, and were refused"
    if share < FAILED:
        return Finding("failures", True, words)
    return Finding("failures", False, words, "Draws may avoid a region for numerical reasons: narrow the bounds")
