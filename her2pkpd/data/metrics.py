"""Tables of published potency metrics, in which a limit is a limit and not a number.

A published ``>8`` says that the true value lies above 8. It is read as value 8, censored to the right, and a
likelihood uses the probability of lying beyond it; nothing in this package treats it as a measurement of 8.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from her2pkpd.data.cells import each, flag
from her2pkpd.data.limits import LEFT, NONE, RIGHT, split_limit
from her2pkpd.data.names import resolve, suggestion
from her2pkpd.data.plate_rules import positive, unit_factors
from her2pkpd.data.table import Columns, Source, Table, read_table
from her2pkpd.errors import InputError
from her2pkpd.units import convert

METRIC_COLUMNS = Columns(
    required=("cell_line", "drug", "metric", "value", "unit", "time", "time_unit", "source"),
    optional=("certainty", "assay", "top_concentration", "top_unit"),
    hints={"compound": "drug", "agent": "drug", "duration": "time", "duration_h": "time", "citation": "source"},
)
"""The columns of a table of published metrics."""


@dataclass(frozen=True)
class Metric:
    """What a metric measures.

    Attributes:
        name: as it is written.
        potency: whether it is a concentration (canonical unit nM); otherwise it has none.
        low: smallest value that can be meant.
        high: largest value that can be meant.
    """

    name: str
    potency: bool
    low: float = -np.inf
    high: float = np.inf


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        *(
            Metric(name, potency=True, low=0.0)
            for name in ("GR50", "GEC50", "IC50", "GI50", "EC50", "TGI", "LC50", "KD", "Ki")
        ),
        Metric("GRmax", potency=False, low=-1.0, high=1.5),
        Metric("GRinf", potency=False, low=-1.0, high=1.5),
        Metric("Emax", potency=False, low=-1.5, high=1.5),
        Metric("Einf", potency=False, low=-1.5, high=1.5),
        Metric("GR_AOC", potency=False, low=-1.0, high=2.0),
        Metric("AOC", potency=False),
        Metric("AUC", potency=False),
        Metric("h", potency=False, low=0.0),
    )
}
"""Metrics known by name. `Emax` and `Einf` are the response left at the highest and at infinite dose, as a fraction of
the untreated one; `AOC` and `AUC` are areas as their source defines them."""

_NEVER = frozenset({"not reached", "not_reached", "nr", "inf", "+inf", "infinity", "no effect"})


def read_metrics(
    path: Source,
    *,
    known_drugs: Collection[str] | None = None,
    molar_masses: Mapping[str, float] | None = None,
    known_cell_lines: Collection[str] | None = None,
) -> pd.DataFrame:
    """Read a table of published metrics.

    Columns: ``cell_line, drug, metric, value, unit, time, time_unit, source[, certainty, assay, top_concentration,
    top_unit]``; others are carried along. `value` is a number, a limit (``>8``, ``>=16.7``, ``<0.001``), or ``not
    reached`` (``inf``), which means above ``top_concentration``, the highest dose tested. The assay's time may be
    blank where it was not published.

    Args:
        path: the CSV file, or a data frame.
        known_drugs: as in `her2pkpd.data.plate.read_plate`.
        molar_masses: g/mol by drug, for potencies given as mass per volume.
        known_cell_lines: as in `her2pkpd.data.plate.read_plate`.

    Returns:
        ``row, cell_line, drug, metric, value, censoring, unit, time`` (h, NaN if unknown), ``source, certainty,
        assay, top_concentration`` (nM, NaN if unknown), ``top_unit`` ("nM"), then the other columns as text. Potencies
        are in nM, other metrics without unit ("-"; percentages become fractions). `censoring` is "none", "left" (the
        truth lies below `value`) or "right" (above). Where nothing but "not reached" is known, `value` is NaN and
        `censoring` "right".

    Raises:
        InputError: listing every problem.
    """
    table = read_table(path, METRIC_COLUMNS)
    lines = resolve(table, "cell_line", known_cell_lines)
    drugs = resolve(table, "drug", known_drugs)
    for column, names in (("cell_line", lines), ("drug", drugs), ("source", table.text("source"))):
        rule = f"the {column.replace('_', ' ')} is missing"
        table.flag(names == "", column, rule, "Fill it in; a number without a source is hearsay.")
    metrics = _metrics(table)
    factors, potency = _factors(table, metrics, drugs, molar_masses or {})
    values, censoring, never = _values(table, potency)
    top = _top_concentrations(table, drugs, molar_masses or {})
    values = np.where(never & (censoring == RIGHT), top, values * factors)
    _check_ranges(table, metrics, values)
    frame = pd.DataFrame(
        {
            "row": table.rows,
            "cell_line": lines,
            "drug": drugs,
            "metric": metrics,
            "value": values,
            "censoring": pd.Categorical(censoring, categories=[NONE, LEFT, RIGHT]),
            "unit": np.where(potency, "nM", "-"),
            "time": _times(table),
            "source": table.text("source"),
            "certainty": table.text("certainty"),
            "assay": table.text("assay"),
            "top_concentration": top,
            "top_unit": "nM",
        }
        | {name: table.text(name) for name in table.own}
    )
    keys = [column for column in frame.columns if column not in ("row", "certainty")]
    rule = "the same metric is given twice from one source"
    table.flag(frame.duplicated(keys).to_numpy(), "value", rule, "Delete the copy, or tell the two apart in 'assay'.")
    table.raise_any()
    return frame


def _metrics(table: Table) -> np.ndarray:
    codes, names = table.categories("metric")
    by_lower = {name.lower(): name for name in METRICS}
    found = [by_lower.get(name.lower().replace(" ", "_"), "") for name in names]
    for where, name in each(codes, [k for k, name in enumerate(found) if not name], names):
        rule = "unknown metric" if name else "the metric is missing"
        table.flag(where, "metric", rule, suggestion(name, METRICS) if name else f"Use one of {', '.join(METRICS)}.")
    return np.array(found, dtype=object)[codes]


def _factors(
    table: Table, metrics: np.ndarray, drugs: np.ndarray, molar_masses: Mapping[str, float]
) -> tuple[np.ndarray, np.ndarray]:
    """(n,) factor to the canonical unit, NaN where there is none; (n,) whether the metric is a potency."""
    potency = np.array([bool(name) and METRICS[name].potency for name in metrics], dtype=bool)
    keys = pd.DataFrame({"unit": table.text("unit"), "drug": drugs, "potency": potency})
    codes = keys.groupby(["unit", "drug", "potency"], sort=False).ngroup().to_numpy()
    distinct = keys.drop_duplicates()
    factors = np.full(len(distinct), np.nan)
    for k, (unit, drug, is_potency) in enumerate(distinct.itertuples(index=False)):
        try:
            factors[k] = convert(1.0, unit, "nM" if is_potency else "1", molar_mass=molar_masses.get(drug))
        except InputError as error:
            problem = error.problems[0]
            where = (codes == k) & (metrics != "")
            if unit or not is_potency:
                table.flag(where, "unit", problem.rule, problem.remedy)
            else:
                table.flag(where, "unit", "the unit is missing", "Give the concentration's unit, for example nM.")
    return factors[codes], potency


def _values(table: Table, potency: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Numbers in the unit given, NaN where never reached; their censoring; whether never reached."""
    codes, texts = table.categories("value")
    numbers = np.array(texts, dtype=object)
    censoring = np.full(len(texts), NONE, dtype=object)
    never = np.zeros(len(texts), dtype=bool)
    for k, text in enumerate(texts):
        numbers[k], censoring[k] = split_limit(text)
        if censoring[k] != NONE:
            continue
        if text.lower() in _NEVER:
            numbers[k], censoring[k], never[k] = "", RIGHT, True
        elif text.lower() in ("-inf", "-infinity"):
            numbers[k], censoring[k], never[k] = "", LEFT, True
    reached = ~never[codes]
    values = np.full(len(table), np.nan)
    where = np.flatnonzero(reached)
    if len(where):
        values[where] = Table(
            table.name, {"value": numbers[codes][where]}, table.rows[where], (), table.problems
        ).numbers("value")
    flag(
        ~reached & ~potency,
        table.rows,
        table.problems,
        column="value",
        rule="only a potency can be not reached",
        remedy="Give the number, or a limit such as '>0.9'.",
        value=lambda i: texts[codes[i]],
    )
    return values, censoring[codes], ~reached


def _top_concentrations(table: Table, drugs: np.ndarray, molar_masses: Mapping[str, float]) -> np.ndarray:
    """Highest doses tested in nM, NaN where not given."""
    tops = positive(table, "top_concentration", blank=True)
    where = np.flatnonzero(np.isfinite(tops))
    if not len(where):
        return tops
    cells = {"unit": table.text("top_unit")[where]}
    part = Table(table.name, cells, table.rows[where], (), table.problems)
    factors, _ = _factors(part, np.full(len(where), "IC50", dtype=object), drugs[where], molar_masses)
    tops[where] *= factors
    return tops


def _check_ranges(table: Table, metrics: np.ndarray, values: np.ndarray) -> None:
    for name in dict.fromkeys(metrics):
        if not name:
            continue
        metric = METRICS[name]
        where = metrics == name
        if metric.low == 0.0:
            table.flag(where & (values <= 0), "value", f"{name} must be positive", "Give it on a linear scale.")
            continue
        outside = where & ((values < metric.low) | (values > metric.high))
        rule = f"{name} must lie between {metric.low:g} and {metric.high:g}"
        table.flag(outside, "value", rule, "Give a fraction, or unit % for a percentage.")


def _times(table: Table) -> np.ndarray:
    """Assay durations in h; a blank time needs no unit."""
    times = positive(table, "time", blank=True)
    known = np.isfinite(times)
    if not known.any():
        return times
    part = Table(table.name, {"time_unit": table.cells["time_unit"][known]}, table.rows[known], (), table.problems)
    times[known] *= unit_factors(part, "time_unit", "h")
    return times
