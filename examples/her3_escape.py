"""How does a cell escape lapatinib through HER3, and what prevents it?"""

import sys

import numpy as np
from matplotlib.figure import Figure

from her2pkpd import load_cell_line, load_drug
from her2pkpd.systems.cell import CellOptions, cell_model, network_parameters
from her2pkpd.systems.respond import cell_responses

LINE = "SK-BR-3"
drugs = [load_drug("lapatinib"), load_drug("trastuzumab")]
model = cell_model(LINE, network_parameters(load_cell_line(LINE)), drugs=drugs, options=CellOptions(growth=False))
hours = np.array([0.0, 1, 2, 4, 8, 16, 24, 36, 48])
names = ["pAKT", "HER3.membrane"]
lapatinib = {"lapatinib": 3000.0}
both = cell_responses(model, LINE, [lapatinib, {**lapatinib, "trastuzumab": 100.0}], hours, names)
cut = cell_responses(model, LINE, [lapatinib], hours, names, {"net.f_FOXO": 0.0})
found = dict(zip(("lapatinib", "with trastuzumab", "without FOXO -> HER3"), [*both, *cut], strict=True))
for label, x in found.items():
    print(f"{label:22} pAKT {x[2, 0]:.2f} at 2 h, {x[-1, 0]:.2f} at 48 h; HER3 x{x[-1, 1] / x[0, 1]:.1f}")

if len(sys.argv) > 1:  # a file name asks for the figure
    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.add_subplot()
    for label, x in found.items():
        axes.plot(hours, x[:, 0], label=label)
    axes.set_xlabel("h")
    axes.set_ylabel("pAKT, untreated = 1")
    axes.set_ylim(0, 1.05)
    axes.legend()
    figure.savefig(sys.argv[1], dpi=130)
