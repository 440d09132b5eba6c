"""How much of HER2, or of AKT, must be blocked before an addicted cell lets go of survival?"""

import sys

import numpy as np
from matplotlib.figure import Figure

from her2pkpd import load_cell_line, load_drug
from her2pkpd.systems.cell import CellOptions, cell_model, network_parameters
from her2pkpd.systems.respond import cell_responses

LINE = "SK-BR-3"
options = CellOptions(growth=False, downstream={"AKT inhibitor": "AKT:ATP"})
model = cell_model(LINE, network_parameters(load_cell_line(LINE)), drugs=[load_drug("lapatinib")], options=options)
blocked = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98])
load = blocked / (1 - blocked)
ki = load_drug("lapatinib").kinases["HER2"].constants["Ki"].canonical
# New kinase keeps arriving, so equilibrium needs a little more drug than its Ki says.
more = 1 + model.default_parameters()[model.parameter_index["kturn.HER2"]] / 0.14
doses = [{"lapatinib": x * ki * more} for x in load] + [{"AKT inhibitor": 10.0 * x} for x in load]
survival = cell_responses(model, LINE, doses, [48.0], ["survival"])[:, 0, 0].reshape(2, -1)
for target, s in zip(("HER2", "AKT"), survival, strict=True):
    relative = s / s[0]
    half, most = (np.interp(x, blocked, relative) for x in (0.5, 0.9))
    slope = np.log(relative[1]) / np.log(0.9)
    gone = [np.interp(-x, -relative, blocked) for x in (0.9, 0.1)]
    hill = np.log(81) / np.log((1 - gone[0]) / (1 - gone[1])) if relative.min() < 0.1 else float("nan")
    print(
        f"{target}: survival {half:.2f} of untreated with half blocked, {most:.2f} with 90 %;",
        f"local sensitivity {slope:.2f}, effective Hill {hill:.1f}",
    )


if len(sys.argv) > 1:  # a file name asks for the figure
    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.add_subplot()
    for target, s in zip(("HER2", "AKT"), survival, strict=True):
        axes.plot(blocked, s / s[0], "o-", label=f"{target} kinase blocked")
    axes.plot(blocked, 1 - blocked, ":", color="grey", label="proportional")
    axes.set_xlabel("fraction of the kinase blocked")
    axes.set_ylabel("survival output, untreated = 1")
    axes.legend()
    figure.savefig(sys.argv[1], dpi=130)
