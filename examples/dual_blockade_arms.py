"""What does each antibody do to each arm of the signal, and why do two do more?"""

import sys

import numpy as np
from matplotlib.figure import Figure

from her2pkpd import load_cell_line, load_drug
from her2pkpd.systems.cell import CellOptions, cell_model, network_parameters
from her2pkpd.systems.respond import cell_responses

LINE = "SK-BR-3"
drugs = [load_drug("trastuzumab"), load_drug("pertuzumab")]
options = CellOptions(growth=False)
model = cell_model(LINE, network_parameters(load_cell_line(LINE)), drugs=drugs, ligands=("NRG1",), options=options)
t, p, n = {"trastuzumab": 100.0}, {"pertuzumab": 400.0}, {"NRG1": 5.0}
treatments = {
    "none": {},
    "T": t,
    "P": p,
    "T+P": {**t, **p},
    "N": n,
    "N+T": {**n, **t},
    "N+P": {**n, **p},
    "N+T+P": {**n, **t, **p},
}
names = ["HER2.membrane", "pHER2", "pHER3", "survival"]
found = cell_responses(model, LINE, list(treatments.values()), [48.0], names)[:, 0]
for label, x in zip(treatments, found / found[0], strict=True):
    print(f"{label:6}", ", ".join(f"{name} {v:.2f}" for name, v in zip(names, x, strict=True)))

if len(sys.argv) > 1:  # a file name asks for the figure
    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.add_subplot()
    place = np.arange(len(treatments))
    for i, name in enumerate(names):
        axes.bar(place + 0.2 * i, found[:, i] / found[0, i], width=0.2, label=name)
    axes.set_xticks(place + 0.3, list(treatments))
    axes.set_ylabel("untreated = 1")
    figure.legend(loc="outside upper center", ncols=4, fontsize=7)
    figure.savefig(sys.argv[1], dpi=130)
