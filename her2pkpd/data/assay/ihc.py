"""Tables of immunohistochemistry: one row a case."""

from fractions import Fraction

import pandas as pd

from her2pkpd.assays.ihc import COMPLETENESSES, INTENSITIES, Staining, score_ihc, staining
from her2pkpd.data.assay.cells import at_threshold, check_cases, editions, exact_column, flag_one, results, word_column
from her2pkpd.data.table import Columns, Source, Table, read_table
from her2pkpd.errors import Problems

COLUMNS = Columns(
    required=("case", "intensity", "completeness", "percent_cells"),
    optional=("edition", "ish"),
    numbered=("intensity", "completeness", "percent_cells"),
    hints={"percent": "percent_cells", "percentage": "percent_cells", "cells": "percent_cells", "id": "case"},
)
"""The contract of the IHC table."""

_INTENSITY = {word: word for word in INTENSITIES} | {
    "strong": "intense",
    "barely perceptible": "faint",
    "weak to moderate": "weak-moderate",
    "weak/moderate": "weak-moderate",
    "negative": "none",
}
_COMPLETENESS = {word: word for word in COMPLETENESSES} | {"circumferential": "complete", "partial": "incomplete"}
_ISH = {"positive": "positive", "negative": "negative", "amplified": "positive", "not amplified": "negative"}


def read_ihc(source: Source, edition: str | None = None) -> pd.DataFrame:
    """Score a table of stainings.

    Args:
        source: CSV or data frame with ``case, intensity, completeness, percent_cells``; further patterns of the same
            specimen in ``intensity_2, completeness_2, percent_cells_2`` ...; optional ``ish`` (positive, negative)
            and ``edition``.
        edition: edition for rows that name none; by default the current one.

    Returns:
        The input columns, ``score, call, reason, category, caution``.

    Raises:
        InputError: listing every bad cell and every contradiction by row.
    """
    table = read_table(source, COLUMNS)
    check_cases(table)
    rules = editions(table, edition)
    ish = word_column(table, "ish", _ISH)
    patterns = _patterns(table)
    table.raise_any()
    calls = [
        score_ihc(seen, ish=found, edition_name=rule) for seen, found, rule in zip(patterns, ish, rules, strict=True)
    ]
    texts = table.text("percent_cells")
    cautions = []
    for i, call in enumerate(calls):
        edge = ""
        if len(patterns[i]) == 1:
            limits = list(rules[i].ihc.share.values()) if patterns[i][0].intensity != "none" else []
            edge = at_threshold("percent_cells", texts[i], patterns[i][0].percent, limits)
        cautions.append("; ".join(filter(None, (call.caution, edge))))
    added = {name: [getattr(call, name) for call in calls] for name in ("score", "call", "reason", "category")}
    return results(table, {**added, "caution": cautions})


def _patterns(table: Table) -> list[list[Staining]]:
    found: list[list[Staining]] = [[] for _ in range(len(table))]
    numbers = [n for n in ("", *(f"_{k}" for k in range(2, 100))) if not n or f"intensity{n}" in table]
    for n in numbers:
        intensity = word_column(table, f"intensity{n}", _INTENSITY)
        completeness = word_column(table, f"completeness{n}", _COMPLETENESS)
        percent = exact_column(table, f"percent_cells{n}", high=100)
        for i in range(len(table)):
            if intensity[i] == "none" and not table.text(f"completeness{n}")[i]:
                completeness[i] = "none"  # no staining has no completeness to state
            given = [bool(intensity[i]), bool(completeness[i]), percent[i] is not None]
            if n and not any(given):
                continue
            pattern = _pattern(table, i, n, intensity[i], completeness[i], percent[i])
            found[i] += [pattern] if pattern else []
    for i, patterns in enumerate(found):
        total = sum((p.percent for p in patterns if p.intensity != "none"), Fraction(0))
        if total > 100:
            rule, remedy = "the percentages of one specimen add up to more than 100", "Every cell has one pattern."
            flag_one(table, i, "percent_cells", rule, remedy)
    return found


def _pattern(
    table: Table, i: int, n: str, intensity: str, completeness: str, percent: Fraction | None
) -> Staining | None:
    for column, value in ((f"intensity{n}", intensity), (f"completeness{n}", completeness)):
        if not value and not table.text(column)[i] and intensity != "none":
            flag_one(table, i, column, f"the {column.replace('_', ' ')} is missing", "Describe the staining.")
    if percent is None and intensity != "none":
        if not table.text(f"percent_cells{n}")[i]:
            rule, remedy = "the percentage of cells is missing", "Give the percent of invasive tumour cells."
            flag_one(table, i, f"percent_cells{n}", rule, remedy)
        return None
    if not intensity or not completeness or (percent is not None and not 0 <= percent <= 100):
        return None
    mine = Problems(table.name)
    pattern = staining(intensity, completeness, percent, mine)
    for problem in mine.found:
        flag_one(table, i, f"{problem.column}{n}", problem.rule, problem.remedy)
    return pattern
