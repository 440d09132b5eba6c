"""Data in: plates, published metrics, GR values and metrics, logistic fits, importers of public data sets."""
