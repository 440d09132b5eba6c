"""A specimen that waited, or stayed in formalin too long: the protein fades, the gene does not.

    python examples/trap_overfixed.py

The same amplified tumour after different handling. The loss rates are assumptions (no rate was measured); the order
of the results is not.
"""

import numpy as np

from her2pkpd.assays.ish import dual_probe
from her2pkpd.assays.read_out import Handling, hybridise, ihc
from her2pkpd.assays.tumour import typical

HANDLING = {
    "as recommended": Handling(0.5, fixation=24.0),
    "96 h in formalin": Handling(0.5, fixation=96.0),
    "two weeks in formalin": Handling(0.5, fixation=336.0),
    "12 h at room temperature": Handling(12.0),
    "12 h refrigerated": Handling(12.0, refrigerated=True),
}

if __name__ == "__main__":
    tumour = typical("3+", amplified=True)
    print(f"{'':26s}{'epitopes':>9s}{'IHC':>5s}  ISH")
    for name, handling in HANDLING.items():
        score = ihc(tumour, handling=handling).score
        called = dual_probe(hybridise(tumour, 20, np.random.default_rng(1)).signals, ihc=score)
        print(f"{name:26s}{handling.epitopes_left:9.2f}{score:>5s}  {called.call}")
