"""What does shedding leave behind, and which antibody stops it?"""

import sys

import numpy as np
from matplotlib.figure import Figure

from her2pkpd import load_cell_line, load_drug
from her2pkpd.systems.cell import CellOptions, cell_model, network_parameters
from her2pkpd.systems.respond import cell_responses

LINE = "SK-BR-3"
drugs = [load_drug("trastuzumab"), load_drug("pertuzumab")]
model = cell_model(LINE, network_parameters(load_cell_line(LINE)), drugs=drugs, options=CellOptions(growth=False))
hours = np.linspace(0, 72, 25)
treatments = {"none": {}, "trastuzumab": {"trastuzumab": 100.0}, "pertuzumab": {"pertuzumab": 200.0}}
found = cell_responses(model, LINE, list(treatments.values()), hours, ["p95HER2", "HER2.membrane"])
for label, x in zip(treatments, found, strict=True):
    print(f"{label:12} p95HER2 {x[-1, 0]:7.0f} copies/cell after 72 h, full-length HER2 {x[-1, 1]:9.0f}")

if len(sys.argv) > 1:  # a file name asks for the figure
    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.add_subplot()
    for label, x in zip(treatments, found, strict=True):
        axes.plot(hours, x[:, 0], label=label)
    axes.set_xlabel("h")
    axes.set_ylabel("p95HER2, copies/cell")
    axes.legend()
    figure.savefig(sys.argv[1], dpi=130)
