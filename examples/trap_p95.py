"""p95HER2: gene amplified, and nothing for some antibodies to see or bind.

    python examples/trap_p95.py

Truncated HER2 lacks the extracellular domain. An antibody to that domain (SP3) misses it; antibodies to the
intracellular domain (4B5, HercepTest, CB11) do not, and call positive a tumour trastuzumab cannot bind.
"""

import numpy as np

from her2pkpd.assays.ish import dual_probe
from her2pkpd.assays.read_out import hybridise, ihc
from her2pkpd.assays.tumour import Clone, Tumour

if __name__ == "__main__":
    print(f"{'p95':>5s}{'SP3':>6s}{'4B5':>6s}{'ISH':>10s}{'HER2 with ectodomain':>24s}")
    for p95 in (0.0, 0.5, 0.9, 0.98):
        tumour = Tumour((Clone(1.0, 20.0, receptors=1.5e6, p95=p95),))
        called = dual_probe(hybridise(tumour, 20, np.random.default_rng(1)).signals).call
        bound = tumour.populations(1)["HER2"].iloc[0]
        scores = [ihc(tumour, antibody=antibody).score for antibody in ("SP3", "4B5")]
        print(f"{p95:5.2f}{scores[0]:>6s}{scores[1]:>6s}{called:>10s}{bound:20.2g}/cell")
