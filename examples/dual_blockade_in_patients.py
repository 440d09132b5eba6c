"""How long does dual blockade hold the signal down between doses, and in which tumours does pertuzumab add to it?

    python examples/dual_blockade_in_patients.py [figure.png]

The typical patient at label regimens, eighth three-week cycle. Prints the share of the cycle with pAKT inhibited by
more than 80 %, without and with NRG1 around the cells; with a file name it draws the courses and what pertuzumab adds.
"""

import sys

import numpy as np
from matplotlib.figure import Figure

from her2pkpd.synergy.exposure import benefit, dual_blockade, inhibition

LEVELS = (3e4, 3e5, 1e6, 2e6)
LIGAND = (0.0, 7.5)
STYLES = {
    ("trastuzumab", "pertuzumab"): {"color": "black", "linewidth": 2.5},
    ("trastuzumab",): {"color": "C0", "linestyle": "--"},
    ("pertuzumab",): {"color": "C1"},
    ("trastuzumab", "lapatinib"): {"color": "C2", "linewidth": 1.0},
}


def draw(path: str) -> None:
    """Courses over the cycle at 10^6 receptors, and pertuzumab's gain over receptor level and ligand."""
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    courses, none, gain = figure.subplots(1, 3)
    for axis, nrg1, title in ((none, 0.0, "no NRG1"), (courses, 7.5, "7.5 nM NRG1")):
        for drugs, style in STYLES.items():
            course = inhibition(drugs, HER2=1e6, NRG1=nrg1)
            axis.plot(course["time"] / 24, course["inhibition"], label=" + ".join(drugs), **style)
        axis.axhline(0.8, color="grey", linestyle=":")
        axis.set(xlabel="days after the dose", title=f"$10^6$ HER2 per cell, {title}", ylim=(-0.03, 1.03))
    courses.set_ylabel("pAKT inhibited")
    none.legend(fontsize=7, loc="center", bbox_to_anchor=(0.5, 0.22))
    levels, ligand = np.geomspace(3e4, 3e6, 9), np.array([0.0, 0.1, 0.3, 1.0, 3.0, 10.0])
    added = benefit(dual_blockade(levels, ligand, treatments=(("trastuzumab",), ("trastuzumab", "pertuzumab"))))
    grid = 100 * added.pivot(index="NRG1", columns="HER2", values="gain").to_numpy()
    image = gain.pcolormesh(levels, np.arange(len(ligand)), grid, vmin=0, vmax=100, shading="nearest")
    gain.set(xscale="log", xlabel="HER2 per cell", ylabel="NRG1, nM", title="pertuzumab's gain")
    gain.set_yticks(np.arange(len(ligand)), [f"{x:g}" for x in ligand])
    figure.colorbar(image, ax=gain, label="% of the cycle above 80 % inhibition")
    figure.savefig(path, dpi=130)


if __name__ == "__main__":
    table = dual_blockade(LEVELS, LIGAND)
    shown = (100 * table.set_index(["NRG1", "treatment", "HER2"])["time_above"]).unstack("HER2")
    print("share of the cycle above 80 % inhibition of pAKT, %, by HER2 per cell")
    print(shown.round(0).to_string())
    print("\nwhat pertuzumab adds to it, % of the cycle")
    gains = (100 * benefit(table).set_index(["NRG1", "to", "HER2"])["gain"]).unstack("HER2")
    print(gains.round(0).to_string())
    if len(sys.argv) > 1:
        draw(sys.argv[1])
