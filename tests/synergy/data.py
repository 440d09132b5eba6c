"""Plates and published files the synergy tests share."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
PACKAGE_DATA = SHARED / "synergy_python_pkg"
needs_data = pytest.mark.skipif(not PACKAGE_DATA.is_dir(), reason="../shared/data/synergy_python_pkg is absent")

DOSES = np.array([0.0, 0.05, 0.2236, 1.0, 4.472, 20.0])
GRID = np.array([(a, b) for a in DOSES for b in DOSES])


def published(name):
    """Doses (n, 2) and responses (n,) of one of the published synthetic files."""
    table = pd.read_csv(PACKAGE_DATA / name).to_numpy()
    return table[:, :2], table[:, 2]


def plate(doses, value, *, drugs=("A", "B"), unit="uM", readout="viability", **more):
    """A plate table."""
    frame = pd.DataFrame({
        "cell_line": "X", "drug": drugs[0], "concentration": doses[:, 0], "unit": unit, "drug_2": drugs[1],
        "concentration_2": doses[:, 1], "unit_2": unit, "time": 72, "time_unit": "h", "readout": readout,
        "value": value, **more,
    })  # fmt: skip
    same = frame.drop(columns="value").columns.tolist()
    return frame.assign(replicate=frame.groupby(same).cumcount() + 1)


def hill(dose, e1, h, c, e0=1.0):
    """A Hill curve written on its own."""
    return e0 + (e1 - e0) * dose**h / (c**h + dose**h)
