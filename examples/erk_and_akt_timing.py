"""Why is ERK transient under EGF while AKT stays under NRG1?"""

import sys

import numpy as np
from matplotlib.figure import Figure

from her2pkpd import load_cell_line
from her2pkpd.systems.cell import CellOptions, cell_model, network_parameters
from her2pkpd.systems.respond import cell_responses

LINE = "MCF-7"
model = cell_model(
    LINE, network_parameters(load_cell_line(LINE)), ligands=("EGF", "NRG1"), options=CellOptions(growth=False)
)
minutes = np.linspace(0, 120, 121)
found = cell_responses(model, LINE, [{"EGF": 10.0}, {"NRG1": 10.0}], minutes / 60, ["ERK", "AKT"])
for ligand, course in zip(("EGF", "NRG1"), found, strict=True):
    for what, x in zip(("pERK", "pAKT"), course.T, strict=True):
        print(
            f"{ligand:5} {what}: peak at {minutes[np.argmax(x)]:3.0f} min, {x[60] / x.max():.2f} of it left at 60 min"
        )

if len(sys.argv) > 1:  # a file name asks for the figure
    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.add_subplot()
    for ligand, course in zip(("EGF", "NRG1"), found, strict=True):
        for what, x, style in zip(("pERK", "pAKT"), course.T, ("-", "--"), strict=True):
            axes.plot(minutes, x / x.max(), style, label=f"{what}, {ligand}")
    axes.set_xlabel("min")
    axes.set_ylabel("of its peak")
    axes.legend()
    figure.savefig(sys.argv[1], dpi=130)
