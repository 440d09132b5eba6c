"""Which permeability should an ADC's payload have? A map over DAR and the share of HER2-positive cells.

    python examples/adc_design.py [map.png]

Starts from T-DXd in a mouse, 3 mg/kg once, and prints the log10 of tumour cells lost after 21 days; with a file name
it also draws the maps.
"""

import sys

import numpy as np

from her2pkpd import load_drug
from her2pkpd.design import gradient, sweep

PERMEABILITY = np.geomspace(1e-5, 10.0, 13)
DAR = (2.0, 4.0, 8.0)
POSITIVE = (0.1, 0.5, 0.9)

if __name__ == "__main__":
    adc = load_drug("T-DXd")
    found = sweep(adc, {"positive_share": POSITIVE, "DAR": DAR, "permeability": PERMEABILITY})
    table = found.loc[found.groupby(["positive_share", "DAR"])["tumour"].idxmax()]
    print("the best permeability, relative to that of DXd, and what it kills")
    print(table.round(4).to_string(index=False))
    print("\nper cent of surviving cells per per cent of each knob, in a half positive tumour")
    print(gradient(adc).round(3).to_string())
    if len(sys.argv) > 1:
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(1, len(POSITIVE), figsize=(12, 3.6), sharey=True, layout="constrained")
        for axis, share in zip(axes, POSITIVE, strict=True):
            block = found[found["positive_share"] == share].pivot(index="DAR", columns="permeability", values="tumour")
            image = axis.pcolormesh(PERMEABILITY, DAR, block.to_numpy(), vmin=0.0, vmax=3.0, shading="nearest")
            axis.set(xscale="log", xlabel="permeability / that of DXd", title=f"{100 * share:.0f} % HER2-positive")
        axes[0].set(ylabel="DAR", yticks=DAR)
        figure.colorbar(image, ax=axes, label="log10 of tumour cells lost, 21 d")
        figure.savefig(sys.argv[1], dpi=120)
