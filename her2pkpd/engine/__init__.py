"""Engines: one meaning (`problem`), several ways to compute it.

`solve` is the door. "kernel" is the fused CPU kernel, "gpu" the same program on a GPU, "reference" is Diffrax.
"""

from her2pkpd.engine.problem import Batch as Batch
from her2pkpd.engine.problem import Directions as Directions
from her2pkpd.engine.problem import Options as Options
from her2pkpd.engine.problem import Segments as Segments
from her2pkpd.engine.problem import Solution as Solution
from her2pkpd.engine.problem import Status as Status
from her2pkpd.engine.select import solve as solve
