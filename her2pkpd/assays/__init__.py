"""HER2 assays: immunohistochemistry, in situ hybridisation, bulk copy number and sampling.

The rules of the guideline's editions, exact; and models of what each assay sees of a tumour. Nothing here decides
about a patient.
"""
