"""HER2 assays: immunohistochemistry, in situ hybridisation, bulk copy number and sampling.

The rules of the guideline's editions, exact; and models of what each assay sees of a tumour. Nothing here decides
about a patient.

Example:
    >>> from fractions import Fraction
    >>> score_ihc(staining("weak-moderate", "complete", 40)).call
    'equivocal'
    >>> dual_probe(Signals(copies=Fraction("6.5"), ratio=Fraction("1.5")), ihc="2+").call
    'needs recount'
"""

from her2pkpd.assays.copy_number import Bulk as Bulk
from her2pkpd.assays.copy_number import observed as observed
from her2pkpd.assays.copy_number import solve as solve
from her2pkpd.assays.counts import Nuclei as Nuclei
from her2pkpd.assays.counts import nuclei as nuclei
from her2pkpd.assays.ihc import score_ihc as score_ihc
from her2pkpd.assays.ihc import staining as staining
from her2pkpd.assays.ish import Signals as Signals
from her2pkpd.assays.ish import dual_probe as dual_probe
from her2pkpd.assays.ish import ish_group as ish_group
from her2pkpd.assays.ish import single_probe as single_probe
from her2pkpd.assays.origin import overexpression_origin as overexpression_origin
from her2pkpd.assays.read_out import Handling as Handling
from her2pkpd.assays.sampling import Biopsy as Biopsy
from her2pkpd.assays.sampling import missed as missed
from her2pkpd.assays.tumour import Clone as Clone
from her2pkpd.assays.tumour import Tumour as Tumour
from her2pkpd.assays.tumour import typical as typical
