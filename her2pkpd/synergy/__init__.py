"""Synergy: null models with intervals, parametric surfaces, screens, and synergy of the fitted mechanism.

The package can be called: ``her2pkpd.synergy("plate.csv")`` is `her2pkpd.synergy.run.synergy`.
"""

from her2pkpd.callable_package import make_callable
from her2pkpd.synergy.blocks import Block as Block
from her2pkpd.synergy.blocks import make_block as make_block
from her2pkpd.synergy.blocks import read_blocks as read_blocks
from her2pkpd.synergy.run import SynergyResult as SynergyResult
from her2pkpd.synergy.run import synergy as synergy
from her2pkpd.synergy.scores import score_block as score_block
from her2pkpd.synergy.surface_fit import fit_surface as fit_surface

make_callable(__name__, synergy)
