"""The drug response of the Cancer Cell Line Encyclopedia as released in 2012 (Barretina et al. 2012, Nature 483:603).

Activity is the change of the median luminescence against vehicle in percent: 0 is untreated, -100 no signal.
It is not clipped, so viability = 1 + activity / 100 may lie a little below 0 or above 1. The release reports an
IC50 of 8 uM, the highest dose, where 50 % was not reached, and the lowest dose where the first was already beyond it;
both are limits. The duration of the assay is not in the files.
"""

from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd

from her2pkpd.data.limits import LEFT, NONE, RIGHT
from her2pkpd.data.plate import Plate
from her2pkpd.data.table import Columns, Source, Table, read_table
from her2pkpd.errors import InputError, Problem

DURATION_H = 72.0
"""Assay duration assumed; 72 to 84 h are reported for CCLE's luminescent viability assay."""
NOTE = "time 72 h is assumed: the CCLE 2012 release does not state the assay's duration (72 to 84 h)"

_WIDE_NAMES = {
    "CCLE Cell Line Name": "ccle_name",
    "Primary Cell Line Name": "cell_line",
    "Compound": "drug",
    "Doses (uM)": "doses",
    "Activity Data (median)": "activity",
    "Activity SD": "activity_sd",
    "EC50 (uM)": "ec50",
    "IC50 (uM)": "ic50",
    "Amax": "amax",
    "ActArea": "actarea",
}
_LONG_NAMES = {
    "cell_line": "ccle_name",
    "primary_name": "cell_line",
    "compound": "drug",
    "dose_uM": "doses",
    "activity_median_pct": "activity",
    "activity_sd_pct": "activity_sd",
    "ec50_uM_pub": "ec50",
    "ic50_uM_pub": "ic50",
    "amax_pub": "amax",
    "actarea_pub": "actarea",
}


def read_ccle(
    path: Source,
    *,
    drugs: Collection[str] | None = None,
    cell_lines: Collection[str] | None = None,
    drug_names: Mapping[str, str] | None = None,
    cell_line_names: Mapping[str, str] | None = None,
) -> Plate:
    """Read CCLE 2012 dose-response data, in the original wide layout (one curve a row) or long (one dose a row).

    Args:
        path: the CSV file, or a data frame.
        drugs: compounds to keep, as the file or `drug_names` writes them; None keeps all.
        cell_lines: cell lines to keep, by primary name (as the file or `cell_line_names` writes it); None keeps all.
        drug_names: names to use for the file's compounds.
        cell_line_names: names to use for the file's primary cell line names.

    Returns:
        A plate with readout viability, its standard deviation over replicates, doses in nM, time 72 h (assumed; see
        the plate's notes), and the own column ``ccle_name``. The file has no untreated wells.

    Raises:
        InputError: if the file is in neither layout, lists of one curve differ in length, cells are no numbers, or
            the selection leaves nothing.
    """
    curves = _read(path)
    wells = _renamed(curves.doses, drugs, cell_lines, drug_names, cell_line_names)
    if wells.empty:
        curves.table.problems.add(
            "no row is left by the selection of drugs and cell lines",
            f"The file has {', '.join(curves.doses['drug'].unique()[:30])} in "
            f"{', '.join(curves.doses['cell_line'].unique()[:30])}.",
        )
    curves.table.raise_any()
    frame = pd.DataFrame(
        {
            "cell_line": wells["cell_line"],
            "drug": wells["drug"],
            "concentration": wells["dose"],
            "unit": "uM",
            "time": DURATION_H,
            "time_unit": "h",
            "readout": "viability",
            "value": 1.0 + wells["activity"] / 100.0,
            "sd": wells["activity_sd"] / 100.0,
            "ccle_name": wells["ccle_name"],
        }
    )
    return Plate.from_frame(frame, name=curves.table.name, notes=(NOTE,))


def read_ccle_metrics(
    path: Source,
    *,
    drug_names: Mapping[str, str] | None = None,
    cell_line_names: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """The metrics CCLE published with the curves, in the form of `her2pkpd.data.metrics.read_metrics`.

    Args:
        path: either layout.
        drug_names: as in `read_ccle`.
        cell_line_names: as in `read_ccle`.

    Returns:
        One metric a row: IC50 (nM; right-censored at the highest dose, left-censored at the lowest), EC50 (nM; may
        exceed the IC50, as the fitted Amax extrapolates), Emax (1 + Amax/100, the viability left at the plateau), and
        activity area ("AOC", 0 to 8, over the doses tested).

    Raises:
        InputError: as `read_ccle`.
    """
    curves = _read(path)
    curves.table.raise_any()
    ends = curves.doses.groupby("curve", sort=False)["dose"].agg(["min", "max"])
    published = curves.published.join(ends, on="curve")
    names = _renamed(published, None, None, drug_names, cell_line_names)
    tables = []
    for metric, column, scale, offset in (
        ("IC50", "ic50", 1e3, 0.0),
        ("EC50", "ec50", 1e3, 0.0),
        ("Emax", "amax", 0.01, 1.0),
        ("AOC", "actarea", 1.0, 0.0),
    ):
        value = names[column]
        censoring = np.full(len(names), NONE, dtype=object)
        if metric == "IC50":
            censoring[(value >= names["max"]).to_numpy()] = RIGHT
            censoring[(value <= names["min"]).to_numpy()] = LEFT
        table = pd.DataFrame(
            {
                "row": names["row"],
                "cell_line": names["cell_line"],
                "drug": names["drug"],
                "metric": metric,
                "value": offset + scale * value,
                "censoring": censoring,
                "unit": "nM" if scale == 1e3 else "-",
                "time": DURATION_H,
                "source": "CCLE 2012 (Barretina et al. 2012, Nature 483:603)",
                "certainty": "published",
                "assay": "luminescent viability; duration assumed",
            }
        )
        tables.append(table[value.notna()])
    frame = pd.concat(tables, ignore_index=True)
    frame["censoring"] = pd.Categorical(frame["censoring"], categories=[NONE, LEFT, RIGHT])
    return frame


class _Curves:
    """A CCLE file: `doses`, one dose a row, and `published`, one curve a row."""

    def __init__(self, table: Table, doses: pd.DataFrame, published: pd.DataFrame) -> None:
        self.table = table
        self.doses = doses
        self.published = published


def _read(source: Source) -> _Curves:
    reasons: list[InputError] = []
    for names, build in ((_WIDE_NAMES, _wide), (_LONG_NAMES, _long)):
        try:
            table = read_table(source, Columns(tuple(names.values()), aliases=_aliases(names)))
        except InputError as error:
            if not any("missing" in problem.rule for problem in error.problems):
                raise
            reasons.append(error)
        else:
            return build(table)
    raise InputError(
        Problem(
            "the file is in neither layout of the CCLE 2012 drug response",
            f"Give the release's own columns ({', '.join(_WIDE_NAMES)}) or the long ones ({', '.join(_LONG_NAMES)}).",
            reasons[0].problems[0].file,
            row=1,
        )
    )


def _aliases(names: Mapping[str, str]) -> dict[str, str]:
    return {written.lower().replace(" ", "_"): name for written, name in names.items()}


def _numbers(table: Table, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Columns in which blank and "NA" mean that the release gives no number."""
    columns = {}
    for name in names:
        text = table.text(name)
        text[np.isin(text, ["NA", "nan", "NaN"])] = ""
        part = Table(table.name, {name: text}, table.rows, (), table.problems)
        columns[name] = part.numbers(name, blank=True)
    return columns


_PUBLISHED = ("ec50", "ic50", "amax", "actarea")


def _wide(table: Table) -> _Curves:
    lists = {name: [text.split(",") for text in table.text(name)] for name in ("doses", "activity", "activity_sd")}
    lengths = np.array([len(doses) for doses in lists["doses"]])
    for name in ("activity", "activity_sd"):
        differ = np.array([len(values) for values in lists[name]]) != lengths
        table.flag(
            differ,
            name,
            "a curve must have one value for each dose",
            "Give as many values as doses, separated by commas.",
        )
    table.raise_any()
    curve = np.repeat(np.arange(len(table)), lengths)
    flat = {name: np.array([x.strip() for values in lists[name] for x in values], dtype=object) for name in lists}
    part = Table(table.name, flat, table.rows[curve], (), table.problems)
    names = {name: table.text(name) for name in ("cell_line", "ccle_name", "drug")}
    doses = pd.DataFrame({name: values[curve] for name, values in names.items()} | {"curve": curve})
    doses = doses.assign(
        dose=part.numbers("doses"), activity=part.numbers("activity"), activity_sd=part.numbers("activity_sd")
    )
    published = pd.DataFrame(names | _numbers(table, _PUBLISHED)).assign(row=table.rows, curve=np.arange(len(table)))
    return _Curves(table, doses, published)


def _long(table: Table) -> _Curves:
    names = {name: table.text(name) for name in ("cell_line", "ccle_name", "drug")}
    doses = pd.DataFrame(names).assign(
        dose=table.numbers("doses"), activity=table.numbers("activity"), activity_sd=table.numbers("activity_sd")
    )
    doses["curve"] = doses.groupby(["ccle_name", "drug"], sort=False).ngroup()
    published = doses[["cell_line", "ccle_name", "drug", "curve"]].assign(row=table.rows, **_numbers(table, _PUBLISHED))
    return _Curves(table, doses, published.drop_duplicates("curve", ignore_index=True))


def _renamed(
    frame: pd.DataFrame,
    drugs: Collection[str] | None,
    cell_lines: Collection[str] | None,
    drug_names: Mapping[str, str] | None,
    cell_line_names: Mapping[str, str] | None,
) -> pd.DataFrame:
    frame = frame.copy()
    for column, names, keep in (("drug", drug_names, drugs), ("cell_line", cell_line_names, cell_lines)):
        if names is not None:
            frame[column] = [names.get(name, name) for name in frame[column]]
        if keep is not None:
            frame = frame.loc[frame[column].isin(list(keep))]
    return frame.reset_index(drop=True)
