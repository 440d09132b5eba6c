"""Models whose solutions are known: closed forms, and stiff classics with published end points.

A system's exact solution is written here a second time, by hand; nothing in it comes from the model layer.
"""

from tests.engine.systems.dosing import CASES as DOSING_CASES
from tests.engine.systems.dosing import dosing_batch as dosing_batch
from tests.engine.systems.hard import HARD as HARD
from tests.engine.systems.linear import LINEAR as LINEAR
from tests.engine.systems.nonlinear import NONLINEAR as NONLINEAR
from tests.engine.systems.system import Exact as Exact
from tests.engine.systems.system import Hard as Hard

EXACT = {**LINEAR, **NONLINEAR}

__all__ = ["DOSING_CASES", "EXACT", "HARD", "LINEAR", "NONLINEAR", "Exact", "Hard", "dosing_batch"]
