"""IHC 2+ and ISH negative: no amplification, and still something to bind.

    python examples/trap_ihc2_ish_negative.py

What receptors does such a report stand for? Tumours are simulated until 50 have exactly these read-outs.
"""

import numpy as np

from her2pkpd.assays.ihc import score_ihc, staining
from her2pkpd.assays.population import tumours_like

if __name__ == "__main__":
    seen = staining("weak-moderate", "complete", 40)
    call = score_ihc(seen, ish="negative")
    print(f"IHC {call.score} ({call.reason}), ISH negative: {call.category}")
    tumours = tumours_like(lambda case: case.ihc.score == "2+" and case.ish.group == 5, 50, seed=1)
    receptors = np.array([tumour.clones[0].receptors for tumour in tumours])
    low, middle, high = np.quantile(receptors, [0.1, 0.5, 0.9])
    print(f"receptors per cell: median {middle:.2g}, 80 % of tumours between {low:.2g} and {high:.2g}")
    print("populations of one such tumour for a mechanistic model:")
    print(tumours[0].populations(3).round(3).to_string(index=False))
