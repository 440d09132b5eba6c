"""How a model is written: species, parameters and reactions in; vector field, moieties, tables and diagrams out."""

from her2pkpd.model.builder import Builder as Builder
from her2pkpd.model.builder import ModelError as ModelError
from her2pkpd.model.conservation import Moiety as Moiety
from her2pkpd.model.conservation import conserved_moieties as conserved_moieties
from her2pkpd.model.describe import diagram as diagram
from her2pkpd.model.describe import equation_table as equation_table
from her2pkpd.model.describe import parameter_table as parameter_table
from her2pkpd.model.model import Model as Model
from her2pkpd.model.spec import Coefficient as Coefficient
from her2pkpd.model.spec import Expression as Expression
from her2pkpd.model.spec import Scope as Scope
from her2pkpd.model.spec import Source as Source
