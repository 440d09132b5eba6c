"""Write the calibrated drive of each cell line, as this fit found it, in the form of a library file.

python fits/her2-inhibitors/to_library.py out/her2-inhibitors > her2pkpd/library/cell_lines_drive.toml
"""

import sys
from pathlib import Path

import pandas as pd

OWN = ("a_li", "S50", "w", "k_apo", "tolerance")

HEAD = """# How strongly each line depends on the HER2 signal: one joint fit of published GR metrics of trastuzumab,
# lapatinib and neratinib (fits/her2-inhibitors), made by fits/her2-inhibitors/to_library.py. Calibrated with the other
# constants of the library and meaningful only together with them; many of these numbers are determined in
# combination only, as the fit's own report says line by line.

[sources.fit]
citation = "joint fit of published GR metrics, fits/her2-inhibitors"
certainty = "calibrated"
"""


def main(folder: str) -> None:
    """Print the library file for the results in `folder`."""
    table = pd.read_csv(Path(folder) / "parameters.csv")
    lines: dict[str, list[str]] = {}
    for row in table.itertuples():
        line, _, name = str(row.parameter).rpartition(".")
        if name not in OWN or not line:
            continue
        value = max(float(row.estimate), 1e-4) if name == "w" else float(row.estimate)
        unit = "1/h" if name == "k_apo" else "1"
        lines.setdefault(line, []).append(f'{name} = {{ value = {value:.3g}, unit = "{unit}", source = "fit" }}')
    print(HEAD)
    for line, entries in lines.items():
        print(f'["{line}"]')
        print("\n".join(entries) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
