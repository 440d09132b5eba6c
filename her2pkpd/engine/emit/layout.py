"""Where a kernel keeps its working values, and the table of arguments it is called with."""

from collections.abc import Mapping

FIELDS = (
    "n_lanes",
    "n_times",
    "n_segments",
    "n_inputs",
    "max_steps",
    "rtol",
    "counter",
    "queue",
    "inputs",
    "tolerance",
    "depth",
    "parameters",
    "parameters_stride",
    "initial",
    "initial_stride",
    "boundaries",
    "boundaries_stride",
    "times",
    "times_stride",
    "jump",
    "jump_stride",
    "keep",
    "keep_stride",
    "infusion",
    "infusion_stride",
    "reset",
    "reset_stride",
    "y",
    "status",
    "steps",
    "rejected",
    "n_directions",
    "dy",
    "d_initial",
    "d_initial_stride",
    "d_jump",
    "d_jump_stride",
    "d_infusion",
    "d_infusion_stride",
    "d_boundaries",
    "d_boundaries_stride",
)
"""Fields of the argument table, eight bytes each: integers, addresses, and one double (rtol).

Addresses point at C-contiguous arrays; a stride is the number of elements from one lane to the next (0 where
all lanes share a row). ``counter`` is a shared integer from which lanes are taken; ``queue`` is their order.
``tolerance`` has one element per species, and ``depth`` one over how far below zero it may fall.
"""

FIELD = {name: k for k, name in enumerate(FIELDS)}

LANE_INTEGERS = ("lane", "segment", "save", "steps", "rejected", "fresh", "event")
"""Per-lane integers: lane number (-1 idle), segment, next save, counts, first step of a segment, pending event."""

LANE_SCALARS = ("t", "h", "end", "save_at", "dg", "suspect", "error")
"""Per-lane doubles: time, proposed step, end of the segment, next save time, 1/(gamma h), failed check, error."""


class Layout:
    """Offsets of the arrays in a kernel's scratch memory, in vectors.

    Args:
        lengths: array name -> number of scalars per lane.
    """

    def __init__(self, lengths: Mapping[str, int]) -> None:
        self.offset: dict[str, int] = {}
        self.length = dict(lengths) | dict.fromkeys(LANE_SCALARS, 1)
        total = 0
        for name, length in self.length.items():
            self.offset[name] = total
            total += length
        self.size = total
        self.integer = {name: k for k, name in enumerate(LANE_INTEGERS)}
