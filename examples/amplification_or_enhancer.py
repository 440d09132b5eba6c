"""Amplified gene or super-enhancer: which made the HER2?"""

import sys

import numpy as np
from matplotlib.figure import Figure

from her2pkpd import load_cell_line
from her2pkpd.systems.cell import CellOptions, cell_model, network_parameters
from her2pkpd.systems.respond import cell_responses

LINE = "MCF-10A"
options = CellOptions(growth=False, expression=True)
model = cell_model(LINE, network_parameters(load_cell_line(LINE)), options=options)
names = ["HER2.membrane", "mRNA.ERBB2", "mRNA.GRB7", "mRNA.STARD3"]
cases = {"normal": (2, 1), "amplified, 80 copies": (80, 1), "super-enhancer, k_tx x40": (2, 40)}
found = {}
for label, (n, k) in cases.items():
    changes = {f"{LINE}.gene_copies": float(n), f"{LINE}.k_tx": float(k)}
    found[label] = cell_responses(model, LINE, [{}], [0.0], names, changes)[0, 0]
    print(f"{label:26}", ", ".join(f"{x} {v:.3g}" for x, v in zip(names, found[label], strict=True)))

if len(sys.argv) > 1:  # a file name asks for the figure
    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.add_subplot()
    for i, (label, x) in enumerate(found.items()):
        axes.bar(np.arange(3) + 0.25 * i, x[1:], width=0.25, label=label)
    axes.set_xticks(np.arange(3) + 0.25, ["ERBB2", "GRB7", "STARD3"])
    axes.set_ylabel("mRNA, normal cell = 1")
    axes.set_yscale("log")
    axes.legend()
    figure.savefig(sys.argv[1], dpi=130)
