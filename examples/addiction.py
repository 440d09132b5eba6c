"""How much of HER2, or of AKT, must be blocked before an addicted cell lets go of survival?"""

import sys

from matplotlib.figure import Figure

from her2pkpd import load_cell_line, load_drug
from her2pkpd.systems.addiction import FRACTIONS, blocking_dose, dependence
from her2pkpd.systems.cell import CellOptions, cell_model, network_parameters

LINE = "SK-BR-3"
options = CellOptions(growth=False, downstream={"AKT inhibitor": "AKT:ATP"})
inhibitor = load_drug("lapatinib")
model = cell_model(LINE, network_parameters(load_cell_line(LINE)), drugs=[inhibitor], options=options)
doses = {
    "HER2": [{"lapatinib": blocking_dose(inhibitor, "HER2", f)} for f in FRACTIONS],
    "AKT": [{"AKT inhibitor": 10.0 * f / (1 - f)} for f in FRACTIONS],
}
curves = {kinase: dependence(model, LINE, given) for kinase, given in doses.items()}
for kinase, curve in curves.items():
    halved = f"halved by blocking {100 * curve.to_half:.0f} %" if curve.to_half > 0 else "never halved"
    steep = f", effective Hill coefficient {curve.hill:.1f}" if curve.hill > 0 else ""
    print(
        f"{kinase}: survival {curve.at_half:.2f} of untreated with half blocked, {curve.survival[-3]:.2f} with 90 %;",
        f"{halved}; local sensitivity {curve.local:.2f}{steep}",
    )

if len(sys.argv) > 1:  # a file name asks for the figure
    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.add_subplot()
    for kinase, curve in curves.items():
        axes.plot(curve.blocked, curve.survival, "o-", label=f"{kinase} kinase blocked")
    axes.plot([0, 1], [1, 0], ":", color="grey", label="proportional")
    axes.set_xlabel("fraction of the kinase blocked")
    axes.set_ylabel("survival after 48 h, untreated = 1")
    axes.legend()
    figure.savefig(sys.argv[1], dpi=130)
