"""What does pertuzumab add to trastuzumab, and when? Only where the cells are fed by NRG1.

    python examples/dual_blockade.py

Prints viability of SK-BR-3 after 72 h under trastuzumab, pertuzumab and both, without and with NRG1 in the medium.
"""

import numpy as np

from her2pkpd import load_cell_line, load_drug
from her2pkpd.dosing import Add
from her2pkpd.simulate import WellScenario, simulate

ARMS = {"trastuzumab": ("trastuzumab",), "pertuzumab": ("pertuzumab",), "both": ("trastuzumab", "pertuzumab")}


def viability(drugs: tuple[str, ...], nrg1: float) -> float:
    """Viability at 72 h of SK-BR-3 under 100 nM of each drug, with `nrg1` nM of ligand from the start."""
    scenario = WellScenario(
        cell_lines={"SK-BR-3": 5000.0},
        volume=1e-4,
        times=np.array([72.0]),
        variables=("viability.SK-BR-3",),
        ligand={"NRG1": nrg1},
        events=tuple(Add(0.0, drug, 100.0) for drug in drugs),
        drugs={drug: load_drug(drug) for drug in drugs},
        lines={"SK-BR-3": load_cell_line("SK-BR-3")},
    )
    return float(simulate(scenario).table["value"].iloc[0])


if __name__ == "__main__":
    print(f"{'':14s}{'no NRG1':>10s}{'7.5 nM':>10s}")
    for arm, drugs in ARMS.items():
        print(f"{arm:14s}{viability(drugs, 0.0):10.2f}{viability(drugs, 7.5):10.2f}")
