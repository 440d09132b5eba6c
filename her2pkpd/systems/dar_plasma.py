"""T-DM1 in cynomolgus plasma by payload number: every number distributes and is cleared alike, and loses payload.

    dA_n/dt = k_(n+1)*A_(n+1) - k_n*A_n - CL*C_n - exchange with two tissues,   n = 7 ... 0

Payload is lost in the central compartment. Naked antibody (n = 0) is cleared like the rest, so that the clearance of
total antibody does not depend on how much payload it carries.

Source: Bender 2014 AAPS J 16:994 (mechanistic model; there is no human parameter set).
"""

import numpy as np

from her2pkpd.dosing import Add
from her2pkpd.library import load_parameters
from her2pkpd.mechanisms.disposition import AMOUNTS, Structure, central, disposition
from her2pkpd.model import Builder, Model
from her2pkpd.systems.sourced import sourced

LOT = (0.02, 0.13, 0.23, 0.26, 0.19, 0.10, 0.05, 0.02)
"""Fraction of the toxicology lot's antibodies with 0, 1 ... 7 payloads (Bender 2014; mean 3.1, add up to 1)."""

STEPS = ("k_one", "k_two", "k_many")


def conjugate(payloads: int) -> str:
    """Name of the antibodies that carry so many payloads."""
    return f"T-DM1.DAR{payloads}"


def dar_plasma_model(name: str = "T-DM1 by payload number") -> Model:
    """The model; doses go to ``central.T-DM1.DAR0`` ... ``central.T-DM1.DAR7``, in nmol.

    Its quantities ``total antibody`` and ``conjugated payload`` (nM of plasma), and their ratio ``mean DAR``.
    """
    build, table = Builder(name), load_parameters()
    structure = Structure(peripherals=2)
    numbers = range(len(LOT))
    for step in STEPS:
        sourced(build, step, table[f"T-DM1.cyno.{step}"])
    for n in numbers:
        for key in structure.parameters:
            sourced(build, f"{conjugate(n)}.{key}", table[f"T-DM1.cyno.{key}"])
        disposition(build, conjugate(n), structure)
    for n in numbers[1:]:
        step = STEPS[min(n, 3) - 1]
        build.reaction(
            f"{conjugate(n)} loses a payload",
            {central(conjugate(n)): -1, central(conjugate(n - 1)): 1},
            lambda s, p, n=n, step=step: p[step] * s[central(conjugate(n))],
            at=AMOUNTS,
            equation=f"{step}*A{n}",
        )
    whole = f"{conjugate(0)}.Vc"
    build.quantity("total antibody", lambda s, p: sum(s[central(conjugate(n))] for n in numbers) / p[whole], "nM")
    build.quantity(
        "conjugated payload", lambda s, p: sum(n * s[central(conjugate(n))] for n in numbers) / p[whole], "nM"
    )
    build.quantity("mean DAR", lambda s, p: s["conjugated payload"] / s["total antibody"], "1", "payloads per antibody")
    return build.model()


def dar_doses(nmol: float) -> list[Add]:
    """A bolus of the lot: so many nmol of antibody in all."""
    shares = np.array(LOT) / sum(LOT)
    return [Add(0.0, central(conjugate(n)), float(nmol * x)) for n, x in enumerate(shares)]
