"""A simulated population of tumours, and the tumours behind an assay state.

Five kinds of tumour make up a series; their shares decide how often each ISH group is seen. Copies vary within a
kind; receptors follow from copies with the scatter of `reference.toml`.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from her2pkpd.assays.counts import Nuclei
from her2pkpd.assays.ihc import IhcCall
from her2pkpd.assays.ish import IshCall, dual_probe
from her2pkpd.assays.read_out import hybridise, ihc
from her2pkpd.assays.reference import reference
from her2pkpd.assays.tumour import Clone, Tumour, median_receptors
from her2pkpd.errors import ComputationError

KINDS = ("amplified", "monosomic", "co-gained", "gained", "diploid")
"""Kinds of tumour, in the order of the ISH group each is made for."""

SCREENED = {"amplified": 0.4107, "monosomic": 0.0084, "co-gained": 0.0029, "gained": 0.0415, "diploid": 0.5365}
"""Shares of kinds calibrated so that a screened series shows the groups of Press 2016 (BCIRG trials)."""


@dataclass(frozen=True)
class Read:
    """Everything read off one tumour.

    Attributes:
        tumour: the truth.
        ihc: its score.
        counted: nuclei of the first count.
        ish: the call, with a recount where the guideline asks for one.
    """

    tumour: Tumour
    ihc: IhcCall
    counted: Nuclei
    ish: IshCall


def draw_tumour(kind: str, rng: np.random.Generator) -> Tumour:
    """One tumour of a kind."""
    her2, cep17 = _copies(kind, rng)
    scatter = math.exp(reference("receptor_scatter") * rng.standard_normal())
    receptors = float(median_receptors(her2)) * scatter
    return Tumour((Clone(1.0, her2, cep17, receptors),), purity=float(rng.beta(6, 4)))


def _copies(kind: str, rng: np.random.Generator) -> tuple[float, float]:
    if kind == "amplified":
        cep17 = float(np.clip(rng.normal(2.3, 0.5), 1.5, 4))
        return max(float(np.exp(rng.normal(math.log(15), 0.45))), 2.6 * cep17, 6.0), cep17
    if kind == "monosomic":
        return float(rng.uniform(2.9, 3.8)), float(rng.uniform(1.05, 1.3))
    if kind == "co-gained":
        her2 = float(7.8 + rng.exponential(2.5))
        return her2, her2 / float(rng.uniform(1.2, 1.75))
    if kind == "gained":
        her2 = float(rng.uniform(5.0, 6.0))
        return her2, her2 / float(rng.uniform(1.2, 1.6))
    her2 = float(np.clip(rng.normal(2.2, 0.45), 1.4, 4.0))
    return her2, her2 / float(np.clip(rng.normal(1.05, 0.08), 0.8, 1.4))


def read(tumour: Tumour, rng: np.random.Generator, *, nuclei: int = 20) -> Read:
    """Stain and hybridise a tumour, with a recount where group and score ask for it."""
    score = ihc(tumour)
    counted = hybridise(tumour, nuclei, rng)
    call = dual_probe(counted.signals, ihc=score.score)
    if call.call == "needs recount":
        call = dual_probe(counted.signals, ihc=score.score, recount=hybridise(tumour, nuclei, rng).signals)
    return Read(tumour, score, counted, call)


def simulate_series(
    n: int, *, seed: int, shares: Mapping[str, float] | None = None, nuclei: int = 20
) -> tuple[list[Read], pd.DataFrame]:
    """A series of cases.

    Args:
        n: cases.
        seed: of the random numbers.
        shares: of each kind, adding up to 1; `SCREENED` by default.
        nuclei: of each count.

    Returns:
        The cases, and a table with ``kind, HER2`` (median copies/cell), ``her2_copies, cep17_copies, purity,
        cn_observed, score, group, call``.
    """
    rng = np.random.default_rng(seed)
    part = shares or SCREENED
    kinds = rng.choice(list(part), size=n, p=np.array(list(part.values())))
    cases = [read(draw_tumour(str(kind), rng), rng, nuclei=nuclei) for kind in kinds]
    rows = [(str(k), *_row(case)) for k, case in zip(kinds, cases, strict=True)]
    columns = "kind HER2 her2_copies cep17_copies purity cn_observed score group call".split()
    return cases, pd.DataFrame(rows, columns=columns)


def _row(case: Read) -> tuple[object, ...]:
    clone = case.tumour.clones[0]
    bulk = case.tumour.bulk_copies
    purity = case.tumour.purity
    found = (clone.receptors, clone.her2_copies, clone.cep17_copies, purity, bulk)
    return (*found, case.ihc.score, case.ish.group, case.ish.call)


def tumours_like(
    wanted: Callable[[Read], bool],
    n: int,
    *,
    seed: int,
    shares: Mapping[str, float] | None = None,
    tries: int = 100_000,
) -> list[Tumour]:
    """Tumours whose own assays come out as wanted: the receptor distribution a report stands for.

    Args:
        wanted: which read-outs to keep, ``lambda case: case.ihc.score == "2+" and case.ish.group == 5``.
        n: tumours.
        seed: of the random numbers.
        shares: of each kind, as in `simulate_series`.
        tries: tumours drawn at most.

    Raises:
        ComputationError: if fewer than `n` came out as wanted.
    """
    rng = np.random.default_rng(seed)
    part = shares or SCREENED
    names, weights = list(part), np.array(list(part.values()))
    found: list[Tumour] = []
    for _ in range(tries):
        case = read(draw_tumour(str(rng.choice(names, p=weights)), rng), rng)
        if wanted(case):
            found.append(case.tumour)
            if len(found) == n:
                return found
    raise ComputationError(f"of {tries} simulated tumours only {len(found)} have these read-outs, {n} were wanted")
