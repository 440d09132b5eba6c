"""Which wells tell most about the potency of T-DM1's payload?

The usual plate is eight doses in half-log steps at one time. The proposed one has as many treated wells, at the doses
and times where the interval of kc50 becomes narrowest. At the lowest doses the cells use up the conjugate, so that how
they die there tells how potent a given amount of payload is. A file name as argument asks for the figure.
"""

import sys
import tempfile
from pathlib import Path

from her2pkpd.design.plan import plan_plate
from her2pkpd.report.design import plate_figure

SETTINGS = """
title = "T-DM1 in SK-BR-3"

[estimate."Lys-MCC-DM1.kc50"]
prior = { median = "150 nM", spread = 2.0 }

[estimate."Lys-MCC-DM1.kmax"]
prior = { median = "0.03 1/h", spread = 1.5 }

[estimate.tau]
prior = { median = "20 h", spread = 1.5 }

[noise.viability]
sd = 0.04

[design]
wells = 48
target = "kc50"
cell_lines = ["SK-BR-3"]
times = ["24 h", "48 h", "72 h", "96 h", "120 h", "144 h"]
draws = 8

[[design.drug]]
name = "T-DM1"
lowest = "0.01 nM"
highest = "300 nM"
"""


def main() -> None:
    """Plan the plate and compare it with the usual series."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "fit.toml"
        settings.write_text(SETTINGS, encoding="utf-8")
        plan = plan_plate(settings)
    print(plan)
    print(plan.wells.to_string(index=False))
    print(f"The usual series is read {plan.candidates.common}; it would do best {plan.best_place}:")
    print(plan.gain.round(2).to_string(index=False))
    if len(sys.argv) > 1:
        plate_figure(plan).savefig(sys.argv[1], dpi=130)


if __name__ == "__main__":
    main()
