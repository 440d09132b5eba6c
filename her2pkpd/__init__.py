"""Pharmacokinetics and pharmacodynamics of HER2-targeted therapy.

The public names are loaded on first use, so that importing the package costs nothing. ``her2pkpd --help`` on the
command line, or ``help(her2pkpd)``, lists them.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from her2pkpd.cohort.run import cohort as cohort
    from her2pkpd.cohort.run import cohort_file as cohort_file
    from her2pkpd.data.assay.run import assay as assay
    from her2pkpd.data.assay.run import assay_file as assay_file
    from her2pkpd.data.gr import gr as gr
    from her2pkpd.data.gr import gr_file as gr_file
    from her2pkpd.data.nca import nca as nca
    from her2pkpd.data.nca import nca_file as nca_file
    from her2pkpd.errors import ComputationError as ComputationError
    from her2pkpd.errors import InputError as InputError
    from her2pkpd.fit.run import fit as fit
    from her2pkpd.library import cell_line_names as cell_line_names
    from her2pkpd.library import drug_names as drug_names
    from her2pkpd.library import load_cell_line as load_cell_line
    from her2pkpd.library import load_drug as load_drug
    from her2pkpd.model import Builder as Builder
    from her2pkpd.model import Model as Model
    from her2pkpd.report.fit import fit_file as fit_file
    from her2pkpd.report.synergy import synergy_file as synergy_file
    from her2pkpd.simulate.run import simulate as simulate
    from her2pkpd.simulate.run import simulate_file as simulate_file
    from her2pkpd.synergy.run import synergy as synergy

__version__ = "0.1.0"

__all__ = [
    "Builder",
    "ComputationError",
    "InputError",
    "Model",
    "__version__",
    "assay",
    "assay_file",
    "cell_line_names",
    "cohort",
    "cohort_file",
    "drug_names",
    "fit",
    "fit_file",
    "gr",
    "gr_file",
    "load_cell_line",
    "load_drug",
    "nca",
    "nca_file",
    "simulate",
    "simulate_file",
    "synergy",
    "synergy_file",
]

_HOME = {
    "Builder": "her2pkpd.model",
    "ComputationError": "her2pkpd.errors",
    "InputError": "her2pkpd.errors",
    "Model": "her2pkpd.model",
    "assay": "her2pkpd.data.assay.run",
    "assay_file": "her2pkpd.data.assay.run",
    "cell_line_names": "her2pkpd.library",
    "cohort": "her2pkpd.cohort.run",
    "cohort_file": "her2pkpd.cohort.run",
    "drug_names": "her2pkpd.library",
    "fit": "her2pkpd.fit.run",
    "fit_file": "her2pkpd.report.fit",
    "gr": "her2pkpd.data.gr",
    "gr_file": "her2pkpd.data.gr",
    "load_cell_line": "her2pkpd.library",
    "load_drug": "her2pkpd.library",
    "nca": "her2pkpd.data.nca",
    "nca_file": "her2pkpd.data.nca",
    "simulate": "her2pkpd.simulate.run",
    "simulate_file": "her2pkpd.simulate.run",
    "synergy": "her2pkpd.synergy.run",
    "synergy_file": "her2pkpd.report.synergy",
}
"""Where each public name lives."""

_PACKAGES = ("assays", "cohort", "fit", "simulate", "synergy")
"""Packages reached by their own name; those named after a verb can be called."""


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return importlib.import_module(f"her2pkpd.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'her2pkpd' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
