"""Published models, read from SBML into the model layer."""

from her2pkpd.sbml.read import read_sbml as read_sbml
