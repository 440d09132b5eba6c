"""Tables of HER2 assays: a CSV of cases in, the same with call and reason out."""
