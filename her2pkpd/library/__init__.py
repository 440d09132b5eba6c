"""The library: drugs, cell lines and mechanism parameters, every number with unit, spread and source."""

from her2pkpd.library.entries import CellLine as CellLine
from her2pkpd.library.entries import Conjugate as Conjugate
from her2pkpd.library.entries import Drug as Drug
from her2pkpd.library.entries import Kinase as Kinase
from her2pkpd.library.entries import Linker as Linker
from her2pkpd.library.entries import Payload as Payload
from her2pkpd.library.library import Library as Library
from her2pkpd.library.library import open_library as open_library
from her2pkpd.library.library import read_library as read_library
from her2pkpd.library.load import cell_line_names as cell_line_names
from her2pkpd.library.load import drug_names as drug_names
from her2pkpd.library.load import load_cell_line as load_cell_line
from her2pkpd.library.load import load_drug as load_drug
from her2pkpd.library.load import load_parameters as load_parameters
from her2pkpd.library.numbers import Quantity as Quantity
from her2pkpd.library.numbers import Spread as Spread
