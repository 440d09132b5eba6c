"""Write the published ADC viability curves as a plate the fit reads; the curves themselves are not in this repository.

python fits/adc-viability/prepare.py [path of adc_invitro_viability_from_scripts.csv]
"""

import sys
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[2]
CURVES = ROOT.parent / "shared" / "data" / "adc_yuezheli" / "adc_invitro_viability_from_scripts.csv"
PLATE = ROOT / "out" / "adc-viability.csv"

HOURS = {"T-DM1": 72, "T-DXd": 144, "SYD985": 144}
"""Duration of each assay, h; the table's own column is what a model of its curator simulated."""


def plate(curves: pd.DataFrame) -> pd.DataFrame:
    """The curves this fit uses, tidy: percent of untreated against ug/mL."""
    chosen = curves[curves["drug"].isin(HOURS) & (curves["response_scale"] == "percent")]
    return pd.DataFrame(
        {
            "cell_line": chosen["cell_line"],
            "drug": chosen["drug"],
            "concentration": chosen["conc_ug_per_mL"],
            "unit": "ug/mL",
            "time": chosen["drug"].map(HOURS),
            "time_unit": "h",
            "readout": "percent_viability",
            "value": chosen["response_raw"],
        }
    )


if __name__ == "__main__":
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else CURVES
    PLATE.parent.mkdir(parents=True, exist_ok=True)
    table = plate(pd.read_csv(source))
    table.to_csv(PLATE, index=False)
    print(f"{len(table)} wells of {table.groupby(['drug', 'cell_line']).ngroups} curves")
