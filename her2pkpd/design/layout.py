"""Where each well lies: plates a person, or a robot, can pipette, in random order so that position has no meaning."""

import string
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from her2pkpd.design.settings import DesignSettings

_SHAPES = {96: (8, 12), 384: (16, 24)}


def positions(size: int, *, edge: bool) -> list[str]:
    """Names of a plate's wells, row by row; outer ones, which dry out first, only on request."""
    rows, columns = _SHAPES[size]
    skip = 0 if edge else 1
    return [
        f"{string.ascii_uppercase[r]}{c + 1:02d}" for r in range(skip, rows - skip) for c in range(skip, columns - skip)
    ]


def lay_out(wells: pd.DataFrame, design: DesignSettings) -> pd.DataFrame:
    """A plate file from kinds of wells: one row a well and reading, with untreated wells, in random positions.

    Args:
        wells: ``cell_line, drug, concentration, unit[, drug_2 ...], time, time_unit, readout, wells``.
        design: size and use of a plate; plates are for one time each, unless wells are read more than once.

    Returns:
        The columns of a plate file (see docs/fitting.md) with ``plate`` and ``well``; ``value`` is empty.
    """
    rng = np.random.default_rng(design.seed)
    places = positions(design.plate, edge=design.edge)
    parts, number = [], 0
    for _, own in wells.groupby("time" if not design.live else np.zeros(len(wells)), sort=True):
        physical = _physical(own, live=design.live)
        room = max(len(places) - design.controls * len(set(own["cell_line"])), 1)
        for first in range(0, len(physical), room):
            number += 1
            chosen = physical[first : first + room]
            parts.append(_plate(chosen, own, number, places, design, rng))
    plate = pd.concat(parts, ignore_index=True)
    doses = [c for c in wells.columns if c.startswith(("drug", "concentration", "unit"))]
    columns = ["plate", "well", "cell_line", *doses, "time", "time_unit", "readout", "replicate", "value"]
    return plate.reindex(columns=columns)


def _physical(own: pd.DataFrame, *, live: bool) -> list[list[dict[str, Any]]]:
    """The wells of one group of plates, each with its readings."""
    keys = [c for c in own.columns if c not in ("time", "time_unit", "wells", *([] if live else ["readout"]))]
    found = []
    for _, readings in own.groupby(keys, sort=False, dropna=False):
        rows = readings.to_dict("records")
        kinds = [rows] if live else [[r] for r in rows]
        for kind in kinds:
            found += [[{**r, "replicate": k + 1} for r in kind] for k in range(int(kind[0]["wells"]))]
    return found


def _plate(
    chosen: list[list[dict[str, Any]]], own: pd.DataFrame, number: int, places: list[str], design: DesignSettings,
    rng: np.random.Generator,
) -> pd.DataFrame:  # fmt: skip
    lines = sorted({w[0]["cell_line"] for w in chosen})
    untreated = [_untreated(own, line, k + 1) for line in lines for k in range(design.controls)]
    wells = [*chosen, *untreated]
    order = rng.permutation(len(places))[: len(wells)]
    rows = [
        {**reading, "plate": f"plate {number}", "well": places[place], "value": ""}
        for well, place in zip(wells, order, strict=True)
        for reading in well
    ]
    return pd.DataFrame(rows).sort_values(["well", "time"], ignore_index=True)


def _untreated(own: pd.DataFrame, line: str, replicate: int) -> list[dict[str, Any]]:
    readings = own.loc[own["cell_line"] == line, :].drop_duplicates(subset=["time", "readout"])
    return [_without_drugs(r) | {"replicate": replicate} for r in readings.to_dict("records")]


def _without_drugs(row: Mapping[Any, Any]) -> dict[str, Any]:
    emptied = {c: "" for c in row if str(c).startswith("drug")} | {c: 0.0 for c in row if "concentration" in str(c)}
    return {**row, **emptied, **{c: "nM" for c in row if str(c).startswith("unit")}}
