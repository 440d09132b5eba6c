"""Tables of biopsies: how likely each misses an amplified clone."""

from fractions import Fraction

import pandas as pd

from her2pkpd.assays.copy_number import NORMAL
from her2pkpd.assays.editions import MINIMUM_NUCLEI
from her2pkpd.assays.exact import as_written
from her2pkpd.assays.sampling import (
    Biopsy,
    cells_needed,
    cores_needed,
    missed,
    no_amplified_cell,
    positive_core,
    standard_error,
)
from her2pkpd.data.assay.cells import check_cases, exact_column, flag_one, results, whole_column, word_column
from her2pkpd.data.table import Columns, Source, Table, read_table

COLUMNS = Columns(
    required=("pattern", "fraction_amplified"),
    optional=("case", "icc", "nuclei", "cores", "cn_amplified", "cn_unamplified"),
    hints={"fraction": "fraction_amplified", "rho": "icc"},
)
"""The contract of the sampling table."""


def read_sampling(source: Source) -> pd.DataFrame:
    """Judge a table of biopsies.

    Args:
        source: CSV or data frame with ``pattern`` (mosaic, focal), ``fraction_amplified``, and optionally ``icc``
            (blank: 0 for mosaic, 1 for focal), ``nuclei`` counted in each core, ``cores`` (blank: 1),
            ``cn_amplified`` and ``cn_unamplified`` (blank: 2).

    Returns:
        The input columns, ``cells_needed`` (amplified cells for a mean of 6 copies), ``probability_positive``
        (a core reaches that), ``probability_no_amplified`` (no amplified cell is counted at all),
        ``probability_missed`` (no core is positive), ``standard_error`` (of the amplified fraction),
        ``cores_for_5_percent`` (cores that miss at most 5 %), ``call`` (the likelier result) and ``reason``.

    Raises:
        InputError: listing every bad cell and every contradiction by row.
    """
    table = read_table(source, COLUMNS)
    if "case" in table:
        check_cases(table)
    pattern = word_column(table, "pattern", {"mosaic": "mosaic", "focal": "focal"})
    fraction = exact_column(table, "fraction_amplified", high=1)
    icc = exact_column(table, "icc", high=1)
    nuclei, cores = whole_column(table, "nuclei"), whole_column(table, "cores")
    amplified, unamplified = exact_column(table, "cn_amplified"), exact_column(table, "cn_unamplified")
    for i in range(len(table)):
        _check(table, i, pattern[i], icc[i], nuclei[i], cores[i])
        _check_copies(table, i, amplified[i], unamplified[i])
    table.raise_any()
    rows = []
    for i in range(len(table)):
        focal = pattern[i] == "focal"
        given = icc[i]
        clustering = float(focal) if given is None else float(given)
        u = unamplified[i]
        biopsy = Biopsy(
            fraction[i] or Fraction(0),
            clustering,
            nuclei[i] if nuclei[i] is not None or focal else MINIMUM_NUCLEI,
            cores[i] or 1,
            amplified[i],
            NORMAL if u is None else u,
        )
        rows.append(_row(biopsy))
    return results(table, {name: [row[name] for row in rows] for name in rows[0]})


def _check(table: Table, i: int, pattern: str, icc: Fraction | None, nuclei: int | None, cores: int | None) -> None:
    for column in ("pattern", "fraction_amplified"):
        if not table.text(column)[i]:
            flag_one(table, i, column, f"the {column.replace('_', ' ')} is missing", "Fill it in.")
    if pattern == "mosaic" and icc is not None and icc > 0:
        rule = "a mosaic has independent cells, so its icc is 0"
        flag_one(table, i, "icc", rule, "Leave icc blank, or call the pattern focal.")
    if pattern == "focal" and icc is not None and icc < 1 and nuclei is None:
        rule = "with an icc below 1 the number of nuclei in a core matters"
        flag_one(table, i, "nuclei", rule, "Give the nuclei counted in each core.")
    if nuclei is not None and nuclei < 1:
        flag_one(table, i, "nuclei", "at least one nucleus must be counted", "Correct the number.")
    if cores is not None and cores < 1:
        flag_one(table, i, "cores", "at least one core must be taken", "Correct the number.")


def _check_copies(table: Table, i: int, amplified: Fraction | None, unamplified: Fraction | None) -> None:
    if amplified is not None and amplified <= (NORMAL if unamplified is None else unamplified):
        rule = "amplified cells must carry more copies than the others"
        flag_one(table, i, "cn_amplified", rule, "Correct cn_amplified or cn_unamplified.")


def _row(biopsy: Biopsy) -> dict[str, object]:
    positive, none, miss = positive_core(biopsy), no_amplified_cell(biopsy), missed(biopsy)
    needed = None
    if biopsy.amplified is not None and biopsy.nuclei is not None:
        needed = cells_needed(biopsy.nuclei, biopsy.amplified, biopsy.unamplified)
    enough = cores_needed(biopsy)
    return {
        "cells_needed": "" if needed is None else needed,
        "probability_positive": "" if positive is None else as_written(positive),
        "probability_no_amplified": as_written(none),
        "probability_missed": as_written(miss),
        "standard_error": as_written(standard_error(biopsy)),
        "cores_for_5_percent": "" if enough is None else enough,
        "call": "negative" if miss > 0.5 else "positive",
        "reason": _reason(biopsy, needed, none, miss),
    }


def _reason(biopsy: Biopsy, needed: int | None, none: float, miss: float) -> str:
    cores = f"{biopsy.cores} core{'s' if biopsy.cores > 1 else ''}"
    text = f"{cores} miss{'' if biopsy.cores > 1 else 'es'} the amplified clone with probability {miss:.3g}"
    if needed is not None:
        text += f" (a mean of 6 copies needs {needed} amplified among {biopsy.nuclei} nuclei)"
    elif biopsy.amplified is not None and biopsy.nuclei is not None:
        text += " (the clone's own copies do not reach a mean of 6)"
    if none < miss - 1e-9:
        text += f"; they hold no amplified cell at all with probability {none:.3g}"
    if miss > 0.05 and (enough := cores_needed(biopsy)) is not None:
        text += f"; {enough} cores would miss it in at most 5 %"
    return text
