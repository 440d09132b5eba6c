"""What a well can report, on which scales, and which values cannot be meant.

The scale of a readout is never guessed: the file names it, and a file whose numbers contradict the name
(percent under `viability`, fractions under `percent_viability`) is refused.
"""

import difflib
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd

from her2pkpd.data.cells import each
from her2pkpd.data.table import Table


class Readout(StrEnum):
    """A measured quantity on its canonical scale.

    `VIABILITY` is the fraction of untreated wells at the same time (1 untreated, 0 nothing alive); `CELL_COUNT`
    is cells, or any signal proportional to them; `GR` runs from -1 (all dead) over 0 (no net growth) to 1;
    `OCCUPANCY` is a fraction; the others are signals in arbitrary linear units.
    """

    VIABILITY = "viability"
    CELL_COUNT = "cell_count"
    GR = "gr"
    OCCUPANCY = "occupancy"
    PAKT = "pAKT"
    PERK = "pERK"
    PHER2 = "pHER2"
    PHER3 = "pHER3"
    PEGFR = "pEGFR"
    PS6 = "pS6"
    HER2 = "HER2"
    HER3 = "HER3"
    EGFR = "EGFR"

    @property
    def is_growth(self) -> bool:
        """Whether it tells how many cells there are."""
        return self in (Readout.VIABILITY, Readout.CELL_COUNT, Readout.GR)


@dataclass(frozen=True)
class Scale:
    """A way of writing a readout: canonical value = offset + factor * written value.

    Attributes:
        readout: what is measured.
        factor: see above.
        offset: see above.
        low: smallest canonical value that can be meant.
        high: largest canonical value that can be meant.
        untreated: canonical value of an untreated well, None where it has none.
        other: the scale that was probably meant when the numbers do not fit.
    """

    readout: Readout
    factor: float = 1.0
    offset: float = 0.0
    low: float = 0.0
    high: float = 5.0
    untreated: float | None = None
    other: str = ""


_RELATIVE = {"low": -1.0, "high": 5.0, "untreated": 1.0}
SCALES: dict[str, Scale] = {
    "viability": Scale(Readout.VIABILITY, other="percent_viability", **_RELATIVE),
    "percent_viability": Scale(Readout.VIABILITY, 0.01, other="viability", **_RELATIVE),
    "inhibition": Scale(Readout.VIABILITY, -1.0, 1.0, other="percent_inhibition", **_RELATIVE),
    "percent_inhibition": Scale(Readout.VIABILITY, -0.01, 1.0, other="inhibition", **_RELATIVE),
    "gr": Scale(Readout.GR, low=-1.0, high=5.0, untreated=1.0),
    "occupancy": Scale(Readout.OCCUPANCY, low=-0.2, high=1.2, other="percent_occupancy"),
    "percent_occupancy": Scale(Readout.OCCUPANCY, 0.01, low=-0.2, high=1.2, other="occupancy"),
} | {
    readout.value: Scale(readout, high=1e15)
    for readout in Readout
    if readout.value not in ("viability", "gr", "occupancy")
}
"""By the name that stands in the file. `viability` may exceed 1 (noise, growth-promoting ligands) and fall a little
below 0 (background-corrected luminescence, as in CCLE)."""

_FRACTION_LIMIT = 1.5
"""Percentages that never pass this are fractions."""


def find_readouts(table: Table) -> tuple[np.ndarray, list[str]]:
    """Codes (n,) into scale names; "" for an unknown readout, which is recorded in the table's problems."""
    codes, values = table.categories("readout")
    by_lower = {name.lower(): name for name in SCALES}
    names = [by_lower.get(value.lower().replace(" ", "_").replace("-", "_"), "") for value in values]
    for where, value in each(codes, [k for k, name in enumerate(names) if not name], values):
        near = difflib.get_close_matches(value.lower(), list(by_lower), n=2, cutoff=0.6)
        choice = " or ".join(by_lower[n] for n in near) or ", ".join(SCALES)
        rule = "unknown readout" if value else "the readout is missing"
        table.flag(where, "readout", rule, f"Name what was measured: {choice}.")
    _refuse_mixed_scales(table, codes, names)
    return codes, names


def _refuse_mixed_scales(table: Table, codes: np.ndarray, names: list[str]) -> None:
    first: dict[Readout, str] = {}
    for k, name in enumerate(names):
        if not name:
            continue
        used = first.setdefault(SCALES[name].readout, name)
        if used != name:
            where = np.flatnonzero(codes == k)[:1]
            table.flag(
                where,
                "readout",
                f"one file must give {SCALES[name].readout} on one scale; both '{used}' and '{name}' occur",
                f"Convert all rows to '{used}', or use two files.",
            )


def to_canonical(
    table: Table, codes: np.ndarray, names: list[str], values: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values on the canonical scale.

    Args:
        table: the table; values outside the scale's range are recorded in its problems.
        codes: (n,) codes into `names`.
        names: scale names, "" where unknown.
        values: (n,) written values.

    Returns:
        canonical: (n,) values.
        readouts: (n,) readout names.
        factors: (n,) absolute factor from the written to the canonical scale, for standard deviations.
    """
    canonical = np.full(len(values), np.nan)
    factors = np.ones(len(values))
    for k, name in enumerate(names):
        if not name:
            continue
        where = codes == k
        scale = SCALES[name]
        canonical[where] = scale.offset + scale.factor * values[where]
        factors[where] = abs(scale.factor)
        _check_range(table, where, name, values, canonical)
    labels = np.array([SCALES[name].readout.value if name else "" for name in names], dtype=object)
    return canonical, labels[codes], factors


def _check_range(table: Table, where: np.ndarray, name: str, values: np.ndarray, canonical: np.ndarray) -> None:
    scale = SCALES[name]
    written = values[where & np.isfinite(values)]
    if not len(written):
        return
    first = np.flatnonzero(where)[:1]
    if name.startswith("percent_") and np.max(np.abs(written)) <= _FRACTION_LIMIT:
        table.flag(
            first,
            "value",
            f"'{name}' counts in percent, but no value of the file exceeds {_FRACTION_LIMIT}: these are fractions",
            f"Write readout '{scale.other}', or multiply the values by 100.",
        )
        return
    typical = np.median(np.abs(written))
    if scale.other and not name.startswith("percent_") and typical > scale.high:
        table.flag(
            first,
            "value",
            f"'{name}' is a fraction, but the values are typically {typical:.3g}: these are percentages",
            f"Write readout '{scale.other}', or divide the values by 100.",
        )
        return
    _check_span(table, where, name, canonical, "value")


def _check_span(table: Table, where: np.ndarray, name: str, canonical: np.ndarray, column: str) -> None:
    scale = SCALES[name]
    low, high = sorted((scale.low, scale.high))
    bad = where & ((canonical < low) | (canonical > high))
    ends = sorted(((low - scale.offset) / scale.factor, (high - scale.offset) / scale.factor))
    span = f"between {ends[0]:g} and {ends[1]:g}"
    remedy = "Check the row's readout and scale"
    remedy += f" (a percentage belongs under '{scale.other}')." if scale.other and scale.factor in (1, -1) else "."
    if scale.low == 0:
        remedy = "Give linear values; logarithms and changes from control must be turned back first."
    table.flag(bad, column, f"'{name}' must lie {span}", remedy)


def falling(codes: np.ndarray, names: list[str]) -> np.ndarray:
    """(n,) whether a scale falls while its read-out rises, as inhibition does."""
    return np.array([bool(name) and SCALES[name].factor < 0 for name in names], dtype=bool)[codes]


def canonical_limits(table: Table, codes: np.ndarray, names: list[str], limits: np.ndarray) -> np.ndarray:
    """Upper limits (n,) on the canonical scale, NaN where there is none; see `to_canonical`."""
    canonical = np.full(len(limits), np.nan)
    for k, name in enumerate(names):
        if name:
            where = codes == k
            canonical[where] = SCALES[name].offset + SCALES[name].factor * limits[where]
            _check_span(table, where, name, canonical, "upper_limit")
    return canonical


def check_untreated(
    table: Table,
    untreated: np.ndarray,
    groups: np.ndarray,
    codes: np.ndarray,
    names: list[str],
    canonical: np.ndarray,
) -> None:
    """Untreated wells must sit near the value their scale gives them by definition.

    Args:
        table: the table, for messages.
        untreated: (n,) mask of untreated wells after time zero.
        groups: (n,) codes of the sets of wells that share their controls.
        codes: (n,) codes into `names`.
        names: scale names, "" where unknown.
        canonical: (n,) canonical values.
    """
    by_name = [getattr(SCALES.get(name), "untreated", None) or np.nan for name in names]
    expected = np.array(by_name, dtype=float)[codes]
    where = np.flatnonzero(untreated & np.isfinite(canonical) & np.isfinite(expected))
    wells = pd.DataFrame({"group": groups[where], "value": canonical[where], "index": where})
    summary = wells.groupby("group", sort=False).agg(middle=("value", "median"), index=("index", "first"))
    for middle, i in zip(summary["middle"], summary["index"], strict=True):
        name = names[codes[i]]
        scale = SCALES[name]
        if abs(middle - expected[i]) <= 0.5 * expected[i]:
            continue
        wanted = (expected[i] - scale.offset) / scale.factor
        found = (middle - scale.offset) / scale.factor
        table.flag(
            np.array([i]),
            "value",
            f"untreated wells must have a {name} near {wanted:g}, but here their median is {found:.3g}",
            "Divide by the untreated wells of the same plate and time, or name the readout the values really have.",
        )
