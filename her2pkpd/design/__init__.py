"""Design of conjugates: what DAR, linker, permeability and potency do to pure and mixed tumours."""

from her2pkpd.design.adc import KNOBS as KNOBS
from her2pkpd.design.adc import Setting as Setting
from her2pkpd.design.adc import best as best
from her2pkpd.design.adc import gradient as gradient
from her2pkpd.design.adc import sweep as sweep
