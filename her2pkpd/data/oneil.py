"""The combination screen of O'Neil 2016 (Mol Cancer Ther 15:1155) as a plate.

Its long table has a row per dose pair: ``drug1id, drug2id, drug1dose, drug2dose`` (uM), ``cellid, batchid`` and four
replicates ``viability1`` ... ``viability4`` (fraction of untreated; blank where there are fewer). Rows with one drug
leave the other's id or dose blank, or name the same drug twice.
"""

from typing import Any

import numpy as np
import pandas as pd

from her2pkpd.data.table import Columns, Source, read_table

HOURS = 48.0
"""Duration of the assay (from the publication's methods, not in the table)."""

_COLUMNS = Columns(
    required=("drug1id", "drug1dose", "cellid", "viability1"),
    optional=(
        "drug2id",
        "drug2dose",
        "batchid",
        "combination_name",
        "viability2",
        "viability3",
        "viability4",
        "viability5",
        "viability6",
    ),
    aliases={"drug_name": "drug1id", "drug_concentration_um": "drug1dose", "cell_line": "cellid"},
)


def read_oneil(source: Source, single_agents: Source | None = None, *, hours: float = HOURS) -> pd.DataFrame:
    """Read the screen.

    Args:
        source: the long table of combinations, or a data frame with its columns.
        single_agents: the table of single drugs, where it is a file of its own.
        hours: when the plates were read.

    Returns:
        A frame with the columns of the plate CSV (one row a well), for `her2pkpd.synergy` or `Plate.from_frame`.

    Raises:
        InputError: if columns are missing or cells are no numbers.
    """
    parts = [_wells(s, hours) for s in (source, single_agents) if s is not None]
    wells = pd.concat(parts, ignore_index=True)
    keys = ["cell_line", "drug", "concentration", "drug_2", "concentration_2"]
    wells["replicate"] = wells.groupby(keys, sort=False).cumcount() + 1
    return wells


def _wells(source: Source, hours: float) -> pd.DataFrame:
    table = read_table(source, _COLUMNS)
    first, second = table.text("drug1id"), table.text("drug2id")
    dose1 = table.numbers("drug1dose")
    dose2 = np.nan_to_num(table.numbers("drug2dose", blank=True))
    alone = (dose2 == 0) | (second == "") | (second == first)
    viability = [table.numbers(f"viability{k}", blank=True) for k in range(1, 7)]
    table.raise_any()
    wells = pd.DataFrame({
        "cell_line": table.text("cellid"), "drug": first, "concentration": dose1, "unit": "uM",
        "drug_2": np.where(alone, "", second), "concentration_2": np.where(alone, 0.0, dose2),
        "unit_2": np.where(alone, "", "uM"), "time": hours, "time_unit": "h", "readout": "viability",
    })  # fmt: skip
    copies = [wells.assign(value=v) for v in viability]
    stacked: Any = pd.concat(copies).sort_index(kind="stable")
    return stacked[stacked["value"].notna()].reset_index(drop=True)
