"""Why are 40 times more receptors 1,600 times more dimers, and when not?"""

import sys

import numpy as np
from matplotlib.figure import Figure

from her2pkpd import load_cell_line
from her2pkpd.systems.cell import CellOptions, cell_model, network_parameters
from her2pkpd.systems.respond import cell_responses

LINE = "SK-BR-3"
own = network_parameters(load_cell_line(LINE))
model = cell_model(LINE, own, options=CellOptions(growth=False, shedding=False))
copies = np.geomspace(10, 4e6, 30)
pairs = np.array([
    cell_responses(model, LINE, [{}], [0.0], ["HER2|HER2"], {f"{LINE}.HER2": c, f"{LINE}.HER3": 0.0})[0, 0, 0]
    for c in copies
])  # fmt: skip
square = pairs[0] * (copies / copies[0]) ** 2
for r in (25.0, 1e3, 2.5e4):
    few, many = np.exp(np.interp(np.log([r, 40 * r]), np.log(copies), np.log(pairs)))
    print(f"{r:8.0f} -> {40 * r:9.0f} copies: {many / few:6.0f} times the homodimers")

if len(sys.argv) > 1:  # a file name asks for the figure
    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.add_subplot()
    axes.loglog(copies, pairs, label="homodimers")
    axes.loglog(copies, square, ":", label="square law")
    axes.set_xlabel("HER2, copies/cell")
    axes.set_ylabel("HER2:HER2, copies/cell")
    axes.legend()
    figure.savefig(sys.argv[1], dpi=130)
