"""Tables of hybridisation: one row a case, or one row a nucleus."""

from fractions import Fraction

import numpy as np
import pandas as pd

from her2pkpd.assays.counts import too_few
from her2pkpd.assays.editions import MINIMUM_NUCLEI, Edition
from her2pkpd.assays.exact import shown
from her2pkpd.assays.ish import IshCall, Signals, dual_probe, ish_group, single_probe
from her2pkpd.data.assay.cells import (
    at_threshold,
    check_cases,
    editions,
    exact_column,
    flag_one,
    results,
    whole_column,
    word_column,
)
from her2pkpd.data.assay.ish_columns import IHC, SUMMARY
from her2pkpd.data.assay.nuclei import read_nuclei
from her2pkpd.data.table import Source, Table, read_table

_GROUPS = {str(k): str(k) for k in range(1, 6)}


def read_ish(source: Source, edition: str | None = None) -> pd.DataFrame:
    """Call a table of hybridisations.

    Args:
        source: CSV or data frame. One row a case: ``case, ratio, her2_copies, ihc[, recount_ratio,
            recount_her2_copies]``, with ``cep17_copies`` in place of the ratio, or sums of signals in ``nuclei,
            her2_signals, cep17_signals``; without a ratio it is a single-probe case with an optional
            ``dual_probe_group``. One row a nucleus: ``case, nucleus, her2_signals, cep17_signals[, count, ihc,
            population_percent]``.
        edition: edition for rows that name none.

    Returns:
        The input columns, ``group, call, reason, caution``; for nuclei also means, intervals and the probability
        that a recount changes the group.

    Raises:
        InputError: listing every bad cell and every contradiction by row.
    """
    table = read_table(source, SUMMARY)
    if "nucleus" in {name.lower() for name in table.cells}:
        return read_nuclei(source, edition)
    check_cases(table)
    rules = editions(table, edition)
    ihc = word_column(table, "ihc", IHC)
    groups = [int(g) if g else None for g in word_column(table, "dual_probe_group", _GROUPS)]
    first, second = _signals(table, rules), _recounts(table)
    for i in range(len(table)):
        _refuse_contradictions(table, i, first[i], groups[i], rules[i])
    table.raise_any()
    calls = [_call(*row) for row in zip(first, second, ihc, groups, rules, strict=True)]
    cautions = ["; ".join(filter(None, (call.caution, *_edges(table, i, rules[i])))) for i, call in enumerate(calls)]
    added = {
        "group": ["" if call.group is None else str(call.group) for call in calls],
        "call": [call.call for call in calls],
        "reason": [call.reason for call in calls],
        "caution": cautions,
    }
    return results(table, added)


def _call(first: Signals, second: Signals | None, ihc: str, group: int | None, rules: Edition) -> IshCall:
    if first.ratio is not None:
        return dual_probe(first, ihc=ihc, recount=second, rules=rules)
    assert first.copies is not None
    return single_probe(first.copies, ihc=ihc, dual_group=group, rules=rules)


def _edges(table: Table, i: int, rules: Edition) -> list[str]:
    limits = rules.ish
    ratios = [t for t in (limits.ratio_positive, limits.ratio_equivocal) if t]
    copies = [limits.copies_positive, limits.copies_equivocal]
    found = []
    for column, thresholds in (("ratio", ratios), ("her2_copies", copies)):
        text = str(table.text(column)[i])
        if text:
            found.append(at_threshold(column, text, Fraction(text), thresholds))
    return found


def _signals(table: Table, rules: list[Edition]) -> list[Signals]:
    """Copies and ratio of the first count, from whichever columns hold them."""
    ratio = exact_column(table, "ratio")
    her2 = exact_column(table, "her2_copies")
    cep17 = exact_column(table, "cep17_copies", positive=True)
    counts = {name: whole_column(table, name) for name in ("nuclei", "her2_signals", "cep17_signals")}
    found = []
    for i in range(len(table)):
        n, h, c = (counts[name][i] for name in counts)
        if n is not None and n < MINIMUM_NUCLEI:
            table.problems.found.append(too_few(n, table.name, row=int(table.rows[i])))
        sums = _sums(table, i, n, h, c)
        given = _means(table, i, ratio[i], her2[i], cep17[i])
        if sums and (given.copies is not None or given.ratio is not None):
            _compare(table, i, given, sums)
        found.append(sums or given)
        if not sums and given.copies is None and not table.text("her2_copies")[i] and h is None:
            _refuse_without_copies(table, i, given, rules[i])
    return found


def _sums(table: Table, i: int, n: int | None, h: int | None, c: int | None) -> Signals | None:
    if c == 0:
        rule = "no CEP17 signal was counted, so there is no ratio"
        flag_one(table, i, "cep17_signals", rule, "Repeat the hybridisation, or leave the cell blank (single probe).")
        return None
    if h is None:
        if c is not None:
            flag_one(table, i, "her2_signals", "HER2 signals are missing", "Give the sum of HER2 signals.")
        return None
    if n is None:
        if not table.text("nuclei")[i]:
            rule = "the number of nuclei is missing"
            flag_one(table, i, "nuclei", rule, "Give how many nuclei the signals were counted in.")
        return None
    return Signals(Fraction(h, n), None if c is None else Fraction(h, c)) if n else None


def _means(table: Table, i: int, ratio: Fraction | None, her2: Fraction | None, cep17: Fraction | None) -> Signals:
    if cep17 is not None and cep17 > 0 and her2 is not None:
        made = her2 / cep17
        if ratio is None and not table.text("ratio")[i]:
            return Signals(her2, made)
        if ratio is not None and abs(made - ratio) > _slack(table, i, her2, cep17):
            flag_one(
                table,
                i,
                "ratio",
                f"the ratio contradicts her2_copies/cep17_copies = {shown(made)}",
                "Correct one of the three, or leave one out.",
            )
    return Signals(her2, ratio)


def _slack(table: Table, i: int, her2: Fraction, cep17: Fraction) -> Fraction:
    """How far a ratio may be from the quotient of two means by the rounding of all three."""
    half = {}
    for column in ("ratio", "her2_copies", "cep17_copies"):
        text = str(table.text(column)[i])
        digits = len(text.split(".")[1]) if "." in text and "e" not in text.lower() else 0
        half[column] = Fraction(1, 2 * 10 ** min(max(digits, 1), 9))
    return half["ratio"] + half["her2_copies"] / cep17 + half["cep17_copies"] * her2 / cep17**2 * 2


def _compare(table: Table, i: int, given: Signals, sums: Signals) -> None:
    for column, mine, made in (("her2_copies", given.copies, sums.copies), ("ratio", given.ratio, sums.ratio)):
        if mine is not None and made is not None and abs(mine - made) > Fraction(1, 10):
            rule = f"the value contradicts the signals, which give {shown(made)}"
            flag_one(table, i, column, rule, "Correct one of them, or leave one out.")


def _refuse_without_copies(table: Table, i: int, given: Signals, rules: Edition) -> None:
    only_ratio = given.ratio is not None
    if only_ratio and rules.ish.ratio_equivocal is not None:
        return
    rule = "the HER2 copies per cell are missing"
    remedy = "Give her2_copies, or nuclei and her2_signals" + (
        "; a ratio alone decides in the edition of 2007 only." if only_ratio else "."
    )
    flag_one(table, i, "her2_copies", rule, remedy)


def _recounts(table: Table) -> list[Signals | None]:
    ratio, copies = exact_column(table, "recount_ratio"), exact_column(table, "recount_her2_copies")
    nuclei = whole_column(table, "recount_nuclei")
    found: list[Signals | None] = []
    for i in range(len(table)):
        n = nuclei[i]
        if n is not None and n < MINIMUM_NUCLEI:
            table.problems.found.append(too_few(n, table.name, row=int(table.rows[i]), column="recount_nuclei"))
        blank = {c: not table.text(c)[i] for c in ("recount_ratio", "recount_her2_copies")}
        if any(blank.values()) and not all(blank.values()):
            column = next(c for c, missing in blank.items() if missing)
            rule, remedy = "a recount needs its ratio and its copies", f"Give {column}, or leave both blank."
            flag_one(table, i, column, rule, remedy)
        both = ratio[i] is not None and copies[i] is not None
        found.append(Signals(copies[i], ratio[i]) if both else None)
    return found


def _refuse_contradictions(table: Table, i: int, first: Signals, group: int | None, rules: Edition) -> None:
    if group is not None and first.ratio is not None and first.copies is not None:
        own = ish_group(first.ratio, first.copies, rules)
        if own != group:
            rule = f"dual_probe_group contradicts ratio and copies, which are group {own}"
            flag_one(table, i, "dual_probe_group", rule, "Leave dual_probe_group blank where a ratio is given.")
    if first.ratio is None and table.text("recount_ratio")[i]:
        rule = "a recount of a single-probe case has no meaning"
        flag_one(table, i, "recount_ratio", rule, "Give the first count's ratio, or leave the recount blank.")
    if first.copies == 0 and np.isfinite(float(first.ratio or 0)) and (first.ratio or 0) > 0:
        rule = "no HER2 copies but a ratio above zero contradict each other"
        flag_one(table, i, "ratio", rule, "Correct one of them.")
