"""`synergy`: from a plate to scores, surfaces and a ranking of all its combinations."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control

from her2pkpd.data.plate import Plate
from her2pkpd.data.table import Source
from her2pkpd.synergy.blocks import Block, read_blocks
from her2pkpd.synergy.scores import DRAWS, SCORES, BlockScores, score_block
from her2pkpd.synergy.surface_fit import SurfaceFit, fit_surfaces
from her2pkpd.synergy.surfaces import Surface, braid, musyc, zimmer
from her2pkpd.synergy.wells import distinct, gather

PARAMETRIC_TRUST = 3
"""Wells a surface needs beyond its parameters."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class SynergyResult:
    """Scores and surfaces of every combination of a plate.

    Attributes:
        blocks: the combinations.
        scores: ``block, drug, concentration, unit, drug_2, concentration_2, unit_2, score, value, lower, upper, p, q,
            status``; q is the p-value corrected for all doses and blocks of that score (Benjamini-Hochberg).
        surfaces: ``block, model, parameter, estimate, lower, upper``.
        ranking: one row per block and score, strongest synergy first: the mean over the block with its interval, p,
            q over the blocks, and how many doses were scored and masked.
        fits: per block its fitted surfaces, best (AICc) first.
        details: per block its `BlockScores`.
        rules: per block what had to be left out or converted, each with the name of its rule.
    """

    blocks: list[Block]
    scores: pd.DataFrame
    surfaces: pd.DataFrame
    ranking: pd.DataFrame
    fits: dict[str, list[SurfaceFit]]
    details: dict[str, BlockScores]
    rules: dict[str, list[str]]

    def summary(self) -> dict[str, object]:
        """What `summary.json` holds."""
        blocks = []
        for block in self.blocks:
            own: Any = self.ranking[self.ranking["block"] == block.name]
            fits = self.fits[block.name]
            blocks.append({
                "block": block.name, "cell_line": block.cell_line, "drugs": list(block.drugs),
                "units": list(block.units), "time_h": block.time, "response": str(block.response),
                "wells": len(block.survival), "best_surface": fits[0].surface.name if fits else None,
                "scores": {
                    str(r["score"]): {c: r[c] for c in ("value", "lower", "upper", "p", "q", "doses", "masked")}
                    for r in own.to_dict("records")
                },
                "surfaces": {
                    f.surface.name: {"rss": f.rss, "aicc": f.aicc, "wells": f.n, "converged": f.converged}
                    for f in fits
                },
                "rules": self.rules[block.name],
            })  # fmt: skip
        return {
            "blocks": blocks,
            "sign_conventions": {s: "above 0 is synergy" if "_gt0_" in s else "below 1 is synergy" for s in SCORES},
            "interval": "95 %", "multiple_testing": "Benjamini-Hochberg within each score",
        }  # fmt: skip

    def __repr__(self) -> str:
        head = f"Synergy of {len(self.blocks)} combination{'s' * (len(self.blocks) != 1)}"
        shown = self.ranking.drop(columns=["p", "doses", "masked"]).head(12)
        return f"{head}\n{shown.to_string(index=False, float_format='%.3g')}"


def synergy(
    source: Plate | Source | Block | Sequence[Block],
    *,
    draws: int = DRAWS,
    seed: int = 0,
    progress: Progress | None = None,
) -> SynergyResult:
    """Score every combination of a plate.

    Args:
        source: a plate CSV, data frame or `Plate`; or blocks made with `make_block`.
        draws: bootstrap draws for the scores' intervals.
        seed: of the draws and of the surfaces' starts.
        progress: called with (blocks scored, blocks).

    Returns:
        The `SynergyResult`.

    Raises:
        InputError: as `read_blocks`.
    """
    blocks = [source] if isinstance(source, Block) else source
    if not (isinstance(blocks, (list, tuple)) and all(isinstance(b, Block) for b in blocks)):
        blocks = read_blocks(source)  # type: ignore[arg-type]
    blocks = list(blocks)
    rules = {b.name: [*b.notes, *_rules(b)] for b in blocks}
    fits = _surfaces(blocks, seed)
    details: dict[str, BlockScores] = {}
    for i, block in enumerate(blocks):
        details[block.name] = score_block(block, draws=draws, seed=seed, noise=_noise(fits[block.name]))
        if progress:
            progress(i + 1, len(blocks))
    scores = pd.concat([_named(b, details[b.name].table) for b in blocks], ignore_index=True)
    ranking = pd.concat([d.summary.assign(block=n) for n, d in details.items()], ignore_index=True)
    scores["q"], ranking["q"] = _corrected(scores), _corrected(ranking)
    return SynergyResult(blocks, _ordered(scores), _surface_table(fits), _ranked(ranking), fits, details, rules)


def _rules(block: Block) -> list[str]:
    """What a block cannot give, each with the name of the rule."""
    found = []
    if not block.has_singles:
        found.append(
            "single_agents_missing: a drug was not given alone, so no null model can be compared; surfaces only"
        )
    elif not block.has_curves:
        found.append("few_doses: a drug alone has fewer than 3 doses, so Bliss and HSA only")
    if not block.has_surface:
        found.append("no_surface: a drug has fewer than 3 doses, so no surface is fitted")
    if not (block.doses == 0).all(axis=1).any():
        found.append("untreated_missing: no untreated well in the block; the response without drug is extrapolated")
    if np.any(block.survival < 0) or np.any(block.survival > 1):
        found.append("outside_0_to_1: some responses lie outside 0 to 1; they are used as measured, not clipped")
    return found


def _candidates(block: Block) -> list[Surface]:
    """The surfaces a block's design can carry."""
    if not block.has_surface:
        return []
    k = len(block.drugs)
    found = [musyc(k, cooperativity=False), *([musyc(k)] if k == 2 else []), *([braid(), zimmer()] if k == 2 else [])]
    combinations = len(distinct(block.doses)[0])
    return [s for s in found if combinations >= len(s.parameters) + PARAMETRIC_TRUST]


def _surfaces(blocks: list[Block], seed: int) -> dict[str, list[SurfaceFit]]:
    wells = {b.name: gather(b.doses, b.survival) for b in blocks}
    fits: dict[str, list[SurfaceFit]] = {b.name: [] for b in blocks}
    by_surface: dict[Surface, list[Block]] = {}
    for block in blocks:
        for surface in _candidates(block):
            by_surface.setdefault(surface, []).append(block)
    for surface, own in by_surface.items():
        for block, fit in zip(own, fit_surfaces(surface, [wells[b.name] for b in own], seed=seed), strict=True):
            fits[block.name].append(fit)
    return {name: sorted(found, key=lambda f: f.aicc) for name, found in fits.items()}


def _noise(fits: list[SurfaceFit]) -> tuple[float, int] | None:
    return (fits[0].noise, max(fits[0].n - len(fits[0].u), 1)) if fits else None


def _named(block: Block, table: pd.DataFrame) -> pd.DataFrame:
    named = table.assign(block=block.name)
    for k, (drug, unit) in enumerate(zip(block.drugs, block.units, strict=True)):
        tail = f"_{k + 1}" if k else ""
        named[f"drug{tail}"], named[f"unit{tail}"] = drug, unit
    return named


def _ordered(scores: pd.DataFrame) -> Any:
    n = sum(c == "drug" or c.startswith("drug_") for c in scores.columns)
    tails = ["" if k == 0 else f"_{k + 1}" for k in range(n)]
    doses = [f"{stem}{tail}" for tail in tails for stem in ("drug", "concentration", "unit")]
    return scores[["block", *doses, "score", "value", "lower", "upper", "p", "q", "status"]]


def _corrected(table: Any) -> Any:
    """Benjamini-Hochberg within each score."""
    q = pd.Series(np.nan, index=table.index)
    for _, rows in table.groupby("score"):
        known = rows.index[rows["p"].notna()]
        if len(known):
            q[known] = false_discovery_control(table.loc[known, "p"].to_numpy(dtype=float))
    return q


def _surface_table(fits: dict[str, list[SurfaceFit]]) -> Any:
    columns = ["block", "model", "parameter", "estimate", "lower", "upper"]
    parts = [f.table.assign(block=name, model=f.surface.name) for name, found in fits.items() for f in found]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def _ranked(ranking: Any) -> Any:
    order = {score: i for i, score in enumerate(SCORES)}
    strength = np.where(ranking["score"].str.contains("_ci_"), ranking["value"], -ranking["value"])
    keyed = ranking.assign(_score=ranking["score"].map(order), _strength=strength)
    sorted_ = keyed.sort_values(["_score", "_strength"], kind="stable", na_position="last").drop(
        columns=["_score", "_strength"]
    )
    sorted_["rank"] = sorted_.groupby("score").cumcount() + 1
    return sorted_[["score", "rank", "block", "value", "lower", "upper", "p", "q", "doses", "masked"]].reset_index(
        drop=True
    )
