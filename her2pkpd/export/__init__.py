"""Models in the formats other tools read."""

from her2pkpd.export.sbml import to_sbml as to_sbml
from her2pkpd.export.sbml import write_sbml as write_sbml
