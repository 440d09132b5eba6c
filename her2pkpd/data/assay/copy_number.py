"""Tables of bulk copy number: of five quantities the missing one is returned."""

from fractions import Fraction

import pandas as pd

from her2pkpd.assays.copy_number import (
    EQUIVOCAL,
    NORMAL,
    QUANTITIES,
    Bulk,
    UndeterminedError,
    call_bulk,
    log2_ratio,
    mean_copies,
    observed,
    solve,
    solve_interval,
)
from her2pkpd.assays.exact import as_written, shown
from her2pkpd.data.assay.cells import check_cases, exact_column, flag_one, results
from her2pkpd.data.table import Columns, Source, Table, read_table

COLUMNS = Columns(
    required=(),
    optional=("case", *QUANTITIES, *(f"{q}_sd" for q in QUANTITIES), "ploidy"),
    aliases={"cn_obs": "cn_observed", "cn_a": "cn_amplified", "cn_u": "cn_unamplified", "p": "purity"},
)
"""The contract of the copy-number table."""

_FRACTIONS = ("purity", "fraction_amplified")


def read_copy_number(source: Source) -> pd.DataFrame:
    """Complete and call a table of bulk copy numbers.

    Args:
        source: CSV or data frame with any four of ``purity, fraction_amplified, cn_amplified, cn_unamplified,
            cn_observed`` in each row (cn_unamplified is 2 where the table has no such column), optional standard
            deviations ``<name>_sd``, ``ploidy`` of the tumour cells, and ``case``.

    Returns:
        The input columns with the missing quantity filled in, ``solved, lower, upper`` (95 %, with standard
        deviations), ``cn_tumour`` (mean copies per tumour cell, what hybridisation counts), ``log2_ratio, call,
        reason``.

    Raises:
        InputError: listing every bad cell, every row in which not exactly one quantity is missing, and every row
            whose quantities contradict each other.
    """
    table = read_table(source, COLUMNS)
    if "case" in table:
        check_cases(table)
    found = {q: exact_column(table, q, high=1 if q in _FRACTIONS else None) for q in QUANTITIES}
    sds = {q: exact_column(table, f"{q}_sd") for q in QUANTITIES}
    ploidy = exact_column(table, "ploidy", positive=True)
    standard = NORMAL if "cn_unamplified" not in table else None
    rows: list[dict[str, object]] = []
    for i in range(len(table)):
        known = {q: found[q][i] for q in QUANTITIES}
        if known["cn_unamplified"] is None and standard is not None:
            known["cn_unamplified"] = standard
        sd = {q: float(value) for q in QUANTITIES if (value := sds[q][i]) is not None}
        if not table.problems:
            rows += _row(table, i, known, sd, float(ploidy[i] or NORMAL))
        else:
            _row(table, i, known, {}, 2.0)
    table.raise_any()
    frame = results(table, {name: [row[name] for row in rows] for name in rows[0] if name not in QUANTITIES})
    for q in QUANTITIES:
        frame[q] = [row[q] for row in rows]
    return frame


def _row(
    table: Table, i: int, known: dict[str, Fraction | None], sd: dict[str, float], ploidy: float
) -> list[dict[str, object]]:
    missing = [q for q in QUANTITIES if known[q] is None]
    written = [q for q in missing if table.text(q)[i]]
    if written:  # a bad cell, reported already
        return []
    try:
        name, bulk = _complete(known, missing)
        interval = solve_interval(Bulk(**known), sd) if sd and name else None
    except UndeterminedError as error:
        column = missing[0] if len(missing) == 1 else "cn_observed"
        remedy = "Leave blank what is asked for, and give the others." if len(missing) > 1 else "Check the others."
        flag_one(table, i, column, str(error), remedy)
        return []
    values = [getattr(bulk, q) for q in QUANTITIES]
    p, f, a, u, cn = values
    filled: dict[str, object] = {q: as_written(float(v)) for q, v in zip(QUANTITIES, values, strict=True)}
    return [
        filled
        | {
            "solved": name,
            "lower": "" if interval is None else as_written(interval[0]),
            "upper": "" if interval is None else as_written(interval[1]),
            "cn_tumour": as_written(float(mean_copies(f, a, u))),
            "log2_ratio": as_written(log2_ratio(float(cn), purity=float(p), ploidy=ploidy)),
            "call": call_bulk(cn),
            "reason": _reason(p, f, a, u, cn),
        }
    ]


def _complete(known: dict[str, Fraction | None], missing: list[str]) -> tuple[str, Bulk]:
    if missing:
        return solve(Bulk(**known))
    p, f, a, u, cn = (value for value in known.values() if value is not None)
    made = observed(p, f, a, u)
    if abs(made - cn) > Fraction(1, 200) * max(cn, Fraction(1)):
        raise UndeterminedError(
            f"the five quantities contradict each other: the first four give cn_observed {shown(made)}"
        )
    return "", Bulk(**known)


def _reason(p: Fraction, f: Fraction, a: Fraction, u: Fraction, cn: Fraction) -> str:
    text = f"{shown(cn)} bulk copies ({call_bulk(cn)}: 6 or more are positive, below 4 negative)"
    cells = mean_copies(f, a, u)
    if call_bulk(cn) != "positive" and a >= 6 and f > 0:
        text += f"; a clone with {shown(a)} copies in {shown(100 * f)} % of tumour cells is diluted"
        if cells >= 6:
            text += f", hybridisation would count {shown(cells)} per tumour cell"
        full = p * a + (1 - p) * NORMAL
        if full >= EQUIVOCAL and full > cn and f < 1:
            text += f"; macrodissection of the clone alone would give {shown(full)}"
    return text
