"""Tables with one row a nucleus: means and ratio are exact, with intervals and the chance of another group."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from her2pkpd.assays.counts import (
    Nuclei,
    copies_interval,
    group_probabilities,
    heterogeneity,
    ratio_interval,
    too_few,
)
from her2pkpd.assays.editions import MINIMUM_NUCLEI, SECOND_POPULATION_PERCENT, Edition
from her2pkpd.assays.exact import plain
from her2pkpd.assays.ish import IshCall, dual_probe, single_probe
from her2pkpd.data.assay.cells import check_cases, editions, exact_column, flag_one, results, whole_column, word_column
from her2pkpd.data.assay.ish_columns import COUNTS, IHC, NUCLEI
from her2pkpd.data.table import Source, Table, read_table


@dataclass(frozen=True)
class _Case:
    row: int
    first: Nuclei
    second: Nuclei | None
    ihc: str
    rules: Edition
    percent: float | None


def read_nuclei(source: Source, edition: str | None = None) -> pd.DataFrame:
    """Call the cases of a table of nuclei; arguments, result and errors as `her2pkpd.data.assay.ish.read_ish`."""
    table = read_table(source, NUCLEI)
    cases = check_cases(table, unique=False)
    rules = editions(table, edition)
    ihc = word_column(table, "ihc", IHC)
    count = [word or "first" for word in word_column(table, "count", COUNTS)]
    percent = exact_column(table, "population_percent", high=100)
    her2, cep17 = whole_column(table, "her2_signals"), whole_column(table, "cep17_signals")
    _refuse_blanks(table)
    table.raise_any()
    found = []
    for case in dict.fromkeys(cases):
        rows = np.array([i for i, name in enumerate(cases) if name == case])
        _refuse_changes(table, rows, case)
        sets = {which: rows[[count[i] == which for i in rows]] for which in ("first", "recount")}
        made = {which: _nuclei(table, case, which, where, her2, cep17) for which, where in sets.items()}
        i, first = int(rows[0]), made["first"]
        if first is not None:
            share = percent[i]
            found.append(_Case(i, first, made["recount"], ihc[i], rules[i], None if share is None else plain(share)))
    table.raise_any()
    return _frame(table, found)


def _refuse_blanks(table: Table) -> None:
    for column in ("her2_signals", "cep17_signals"):
        if column in table:
            blank = np.array([not text for text in table.text(column)], dtype=bool)
            table.flag(blank, column, "the count of this nucleus is missing", "Count it, or leave the row out.")


def _refuse_changes(table: Table, rows: np.ndarray, case: str) -> None:
    for column in ("ihc", "edition", "population_percent"):
        texts = table.text(column)[rows]
        other = rows[texts != texts[0]]
        if len(other):
            rule = f"the {column} of case '{case}' changes between its nuclei"
            flag_one(table, int(other[0]), column, rule, f"Give the same {column} in every row of a case.")


def _nuclei(
    table: Table, case: str, which: str, rows: np.ndarray, her2: list[int | None], cep17: list[int | None]
) -> Nuclei | None:
    if not len(rows):
        if which == "first":
            table.problems.add(f"case '{case}' has a recount but no first count", "Add it.", column="count")
        return None
    if len(rows) < MINIMUM_NUCLEI:
        problem = too_few(len(rows), table.name, row=int(table.rows[rows[0]]), column="nucleus")
        table.problems.add(
            f"{problem.rule}; case '{case}' has {len(rows)} in its {which} count"
            if which == "recount"
            else f"{problem.rule}; case '{case}' has {len(rows)}",
            problem.remedy,
            row=problem.row,
            column="nucleus",
        )
        return None
    counts = np.array([her2[i] for i in rows], dtype=np.int64)
    if "cep17_signals" not in table:
        return Nuclei(counts)
    centromeres = np.array([cep17[i] for i in rows], dtype=np.int64)
    if centromeres.sum() == 0:
        rule = f"no CEP17 signal was counted in case '{case}', so there is no ratio"
        flag_one(table, int(rows[0]), "cep17_signals", rule, "Repeat the hybridisation, or drop the column.")
        return None
    return Nuclei(counts, centromeres)


def _frame(table: Table, cases: list[_Case]) -> pd.DataFrame:
    columns = [_columns(case) for case in cases]
    added = {name: [row[name] for row in columns] for name in columns[0]}
    frame = results(table, added, [case.row for case in cases])
    return frame.drop(columns=[c for c in ("nucleus", "her2_signals", "cep17_signals", "count") if c in frame])


def _columns(case: _Case) -> dict[str, object]:
    signals = case.first.signals
    assert signals.copies is not None
    low, high = copies_interval(case.first)
    row: dict[str, object] = {
        "nuclei": len(case.first),
        "her2_copies": plain(signals.copies),
        "her2_copies_lower": low,
        "her2_copies_upper": high,
    }
    if signals.ratio is None:
        call = single_probe(signals.copies, ihc=case.ihc, rules=case.rules)
        return row | _call_columns(call, "")
    row["ratio"] = plain(signals.ratio)
    row["ratio_lower"], row["ratio_upper"] = ratio_interval(case.first)
    second = None if case.second is None else case.second.signals
    call = dual_probe(signals, ihc=case.ihc, recount=second, rules=case.rules)
    stays = group_probabilities(case.first, len(case.second or case.first), case.rules)
    assert call.group is not None
    row["probability_same_group"] = stays[call.group]
    notes = []
    if stays[call.group] < 0.9:
        other = max((g for g in stays if g != call.group), key=lambda g: stays[g])
        notes.append(f"another count would fall in group {other} with probability {stays[other]:.2f}")
    het = heterogeneity(case.first)
    row["fraction_nuclei_above_6"] = het.by_copies
    if het.copies_heterogeneous:
        notes.append(f"heterogeneous: {100 * het.by_copies:.0f} % of nuclei have more than 6 HER2 signals")
    if case.percent is not None:
        counted = case.percent > SECOND_POPULATION_PERCENT
        notes.append(
            f"population of {case.percent:g} % of cells: "
            + ("reported by itself" if counted else f"not above {SECOND_POPULATION_PERCENT} %, not reported by itself")
        )
    return row | _call_columns(call, "; ".join(notes))


def _call_columns(call: IshCall, notes: str) -> dict[str, object]:
    return {
        "group": "" if call.group is None else str(call.group),
        "call": call.call,
        "reason": call.reason,
        "caution": "; ".join(filter(None, (call.caution, notes))),
    }
