"""Small tables the tests of `her2pkpd.data` start from."""

import csv
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
GR_REFERENCE = SHARED / "gr_metrics_reference"
CCLE = SHARED / "ccle2012"
needs_gr_reference = pytest.mark.skipif(
    not GR_REFERENCE.is_dir(), reason="../shared/data/gr_metrics_reference is absent"
)
needs_ccle = pytest.mark.skipif(not CCLE.is_dir(), reason="../shared/data/ccle2012 is absent")

DRUGS = ("trastuzumab", "pertuzumab", "lapatinib", "neratinib", "tucatinib")
LINES = ("SK-BR-3", "BT-474", "MCF-7")
HEADER = ["cell_line", "drug", "concentration", "unit", "time", "time_unit", "readout", "value"]


def plate_rows(readout="viability", top=1.0):
    """A header and eight rows (rows 2 to 9 of the file): one untreated well and seven doses."""
    rows = [HEADER]
    for dose in ("0", "1", "3", "10", "30", "100", "300", "1000"):
        value = top / (1 + float(dose) / 30)
        rows.append(["SK-BR-3", "lapatinib", dose, "nM", "72", "h", readout, f"{value:.4g}"])
    return rows


def to_csv(rows):
    """Rows as CSV text."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue()


def changed(column, value, row=3, rows=None):
    """CSV text of the good plate with one cell changed; `row` as a person counts it."""
    rows = [list(r) for r in (rows or plate_rows())]
    rows[row - 1][rows[0].index(column)] = value
    return to_csv(rows)


def with_column(name, values, rows=None):
    """CSV text of the good plate with a further column; one value for all rows, or a list of eight."""
    rows = [list(r) for r in (rows or plate_rows())]
    cells = values if isinstance(values, list) else [values] * (len(rows) - 1)
    return to_csv([[*rows[0], name], *([*r, cell] for r, cell in zip(rows[1:], cells, strict=True))])


def without_column(name):
    """CSV text of the good plate without a column."""
    at = HEADER.index(name)
    return to_csv([r[:at] + r[at + 1 :] for r in plate_rows()])


def counts(
    doses, kappa, *, x0=1000.0, hours=72.0, line="SK-BR-3", drug="lapatinib", unit="nM", growth=0.03, untreated=3
):
    """A plate of cell counts of exponential growth at the rate `growth` * `kappa` (relative rate, by dose)."""
    late = {"cell_line": line, "unit": unit, "time": hours, "time_unit": "h", "readout": "cell_count"}
    treated = pd.DataFrame(
        {"drug": drug, "concentration": doses, "value": x0 * np.exp(growth * np.asarray(kappa) * hours)}
    )
    control = pd.DataFrame({"drug": "", "concentration": 0.0, "value": [x0 * np.exp(growth * hours)] * untreated})
    control["replicate"] = [str(k) for k in range(untreated)]
    start = pd.DataFrame({"drug": [""], "concentration": 0.0, "value": x0, "time": 0.0})
    frame = pd.concat([treated.assign(**late), control.assign(**late), start.assign(**(late | {"time": 0.0}))])
    return frame.fillna({"replicate": ""}).reset_index(drop=True)
