"""A centromere gained with the gene: the ratio says no, the copies say yes.

    python examples/trap_cogained_centromere.py

An amplicon that reaches the centromere raises CEP17 together with HER2. Each edition of the guideline is asked about
the same count, with the IHC scores the tissue may have.
"""

import numpy as np

from her2pkpd.assays.ish import dual_probe
from her2pkpd.assays.read_out import hybridise
from her2pkpd.assays.tumour import Clone, Tumour

TUMOUR = Tumour((Clone(1.0, her2_copies=12.0, cep17_copies=8.0),))

if __name__ == "__main__":
    rng = np.random.default_rng(1)
    first, second = (hybridise(TUMOUR, 40, rng).signals for _ in range(2))
    print(f"counted: {first}")
    for edition in ("2007", "2013", "2018"):
        for ihc in ("1+", "2+", "3+") if edition == "2018" else ("2+",):
            found = dual_probe(
                first, ihc=ihc, recount=second if ihc == "2+" and edition == "2018" else None, rules=edition
            )
            print(f"{edition}, IHC {ihc}: {found.call} ({found.reason})")
