"""Why does a MEK inhibitor raise pAKT?"""

import sys

import numpy as np
from matplotlib.figure import Figure

from her2pkpd import load_cell_line
from her2pkpd.systems.cell import CellOptions, cell_model, network_parameters
from her2pkpd.systems.respond import cell_responses

LINE = "SK-BR-3"
options = CellOptions(growth=False, downstream={"MEK inhibitor": "MEK"})
model = cell_model(LINE, network_parameters(load_cell_line(LINE)), options=options)
hours = np.array([0.0, 0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 24])
names = ["pERK", "pHER2", "pAKT"]
found = {}
for label, edges in {
    "all feedbacks": {},
    "without ERK -| receptor": {"net.K_T677": 1e9},
    "without either": {"net.K_T677": 1e9, "net.f_GAB1": 0.0},
}.items():
    x = cell_responses(model, LINE, [{"MEK inhibitor": 190.0}], hours, names, edges)[0]
    found[label] = x / x[0]
    print(f"{label:24}", ", ".join(f"{n} x{v:.2f}" for n, v in zip(names, found[label][-1], strict=True)))

if len(sys.argv) > 1:  # a file name asks for the figure
    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.add_subplot()
    for label, x in found.items():
        axes.plot(hours, x[:, 2], label=label)
    axes.set_xlabel("h of 95 % MEK inhibition")
    axes.set_ylabel("pAKT, untreated = 1")
    axes.legend()
    figure.savefig(sys.argv[1], dpi=130)
