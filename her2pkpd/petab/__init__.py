"""Fit problems as PEtab version 2, so that other tools can check them."""

from her2pkpd.petab.write import petab_file as petab_file
from her2pkpd.petab.write import write_petab as write_petab
