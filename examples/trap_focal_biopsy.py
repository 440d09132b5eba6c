"""A focus of amplified cells: how many cores does it take to find it?

    python examples/trap_focal_biopsy.py

A fifth of the tumour is amplified: mixed in, in patches, or in one focus. Needle cores are taken of a simulated
section, and the formula (1 - f)^k for a fully focal tumour stands beside.
"""

import numpy as np

from her2pkpd.assays.spatial import Core, core_icc, disc, missed_by_cores, patches

if __name__ == "__main__":
    rng = np.random.default_rng(1)
    core = Core(length=60, width=4)
    maps = {
        "mosaic": patches(300, 0.2, 0.0, rng),
        "small patches": patches(300, 0.2, 4.0, rng),
        "large patches": patches(300, 0.2, 20.0, rng),
        "one focus": disc(300, 0.2),
    }
    print(f"no core with more than 10 % amplified cells, {core.cells} cells a core")
    print(f"{'':14s}{'icc':>6s}" + "".join(f"{k:>6d} cores" for k in (1, 2, 4, 6)))
    for name, tumour in maps.items():
        misses = [missed_by_cores(tumour, core, k, rng, needed=0.1) for k in (1, 2, 4, 6)]
        print(f"{name:14s}{core_icc(tumour, core, rng):6.2f}" + "".join(f"{p:12.2f}" for p in misses))
    print(f"{'(1 - f)^k':20s}" + "".join(f"{0.8**k:12.2f}" for k in (1, 2, 4, 6)))
