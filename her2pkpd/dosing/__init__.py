"""Dosing: what is given when, compiled to one table of segments."""

from her2pkpd.dosing.segments import Add as Add
from her2pkpd.dosing.segments import Event as Event
from her2pkpd.dosing.segments import Infuse as Infuse
from her2pkpd.dosing.segments import Wash as Wash
from her2pkpd.dosing.segments import compile_segments as compile_segments
