"""Disposition: one to three compartments, linear and saturable elimination, and how a dose gets there.

dA1/dt = input - CL*C - Vmax*C/(Km + C) - sum_i Q_i*(C - A_i/Vp_i),   C = A1/Vc
dA_i/dt = Q_i*(C - A_i/Vp_i)
dAd/dt = -ka*Ad (depot), preceded by any number of transit steps at ktr

States are amounts. They live in a compartment of one litre, so that the number of nmol is also a concentration in
nM and whatever exchanges with another compartment (a tumour) is scaled by that compartment's volume alone. A dose
therefore never depends on a volume. Lag times, bioavailability, and zero-order input of modelled rate or duration
act on the dose, not on the rates; they belong to `her2pkpd.dosing`.

Source: textbook mammillary models (Gibaldi & Perrier 1982); parallel linear and Michaelis-Menten elimination of
antibodies as in Quartino 2019; transit absorption as in Savic 2007, with the same rate for every step.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from her2pkpd.model import Builder, Scope

AMOUNTS = "amounts"
"""Compartment of one litre in which amounts are kept."""


@dataclass(frozen=True)
class Structure:
    """Which compartments and processes a drug's disposition has.

    Attributes:
        peripherals: peripheral compartments, 0 to 2.
        linear: whether clearance has a linear part.
        saturable: whether it has a Michaelis-Menten part.
        absorption: whether there is a depot with first-order absorption.
        transits: steps before absorption.
    """

    peripherals: int = 1
    linear: bool = True
    saturable: bool = False
    absorption: bool = False
    transits: int = 0

    @property
    def parameters(self) -> dict[str, str]:
        """Names of the rate parameters it needs, without the drug's, and their canonical units."""
        units = {"Vc": "L"}
        units |= {"CL": "L/h"} if self.linear else {}
        units |= {"Vmax": "nmol/h", "Km": "nM"} if self.saturable else {}
        for suffix in ("", "2")[: self.peripherals]:
            units |= {f"Q{suffix}": "L/h", f"Vp{suffix}": "L"}
        units |= {"ka": "1/h"} if self.absorption else {}
        return units | ({"ktr": "1/h"} if self.transits else {})


def central(drug: str) -> str:
    """Name of the amount in the central compartment."""
    return f"central.{drug}"


def peripheral(drug: str, number: int = 1) -> str:
    """Name of the amount in a peripheral compartment; the first has no number."""
    return f"peripheral{'' if number == 1 else number}.{drug}"


def depot(drug: str) -> str:
    """Name of the amount at the site of absorption: gut or subcutis."""
    return f"depot.{drug}"


def transit(drug: str, number: int) -> str:
    """Name of the amount in a transit step."""
    return f"transit{number}.{drug}"


def plasma(drug: str) -> str:
    """Name of the quantity "concentration in plasma"."""
    return f"plasma.{drug}"


def amounts(build: Builder) -> None:
    """The compartment amounts are kept in; adding it again is harmless."""
    if not build.has_compartment(AMOUNTS):
        build.compartment(AMOUNTS, lambda s, p: 1.0)


def disposition(
    build: Builder,
    drug: str,
    structure: Structure | None = None,
    *,
    unit: str = "nmol",
    concentration_unit: str = "nM",
    concentration: Callable[[Scope, Scope], Any] | None = None,
) -> None:
    """Absorption, distribution and elimination of one drug.

    Args:
        build: the model; must hold ``<drug>.<name>`` for every name of `Structure.parameters`.
        drug: its name. Doses go to ``central.<drug>`` or ``depot.<drug>``; the output is ``plasma.<drug>``.
        structure: what there is; by default two compartments with linear clearance.
        unit: unit of the amounts.
        concentration_unit: unit of the amount per litre.
        concentration: what of the central amount is free to be eliminated and exchanged, per litre; by default all.
    """
    structure = structure or Structure()
    amounts(build)
    build.species(central(drug), AMOUNTS, unit, scale=1.0)
    whole = concentration or (lambda s, p: s[central(drug)] / p[f"{drug}.Vc"])
    build.quantity(plasma(drug), whole, concentration_unit, f"{drug} in plasma")
    if structure.linear:
        build.reaction(
            f"clearance of {drug}",
            {central(drug): -1},
            lambda s, p: p[f"{drug}.CL"] * s[plasma(drug)],
            equation=f"CL*[{plasma(drug)}]",
        )
    if structure.saturable:
        build.reaction(
            f"saturable elimination of {drug}",
            {central(drug): -1},
            lambda s, p: p[f"{drug}.Vmax"] * s[plasma(drug)] / (p[f"{drug}.Km"] + s[plasma(drug)]),
            equation=f"Vmax*[{plasma(drug)}]/(Km + [{plasma(drug)}])",
        )
    for number in range(1, structure.peripherals + 1):
        _exchange(build, drug, number, unit)
    if structure.absorption:
        first_order_absorption(build, drug, transits=structure.transits, unit=unit)


def _exchange(build: Builder, drug: str, number: int, unit: str) -> None:
    suffix = "" if number == 1 else str(number)
    tissue = peripheral(drug, number)
    build.species(tissue, AMOUNTS, unit, scale=1.0)

    def flow(s: Scope, p: Scope) -> Any:
        return p[f"{drug}.Q{suffix}"] * (s[plasma(drug)] - s[tissue] / p[f"{drug}.Vp{suffix}"])

    build.reaction(
        f"{drug} between plasma and tissue{suffix and ' ' + suffix}",
        {central(drug): -1, tissue: 1},
        flow,
        equation=f"Q{suffix}*([{plasma(drug)}] - [{tissue}]/Vp{suffix})",
    )


def first_order_absorption(build: Builder, drug: str, *, transits: int = 0, unit: str = "nmol") -> None:
    """A depot that empties into the central compartment at rate ka, after `transits` steps at rate ktr.

    Args:
        build: the model; must hold ``<drug>.ka`` (1/h), with `transits` also ``<drug>.ktr`` (1/h).
        drug: its name; doses go to ``depot.<drug>``, which is the first of the chain.
        transits: steps between the depot and the absorption site. With n of them the mean transit time is
            (n + 1)/ktr: the depot itself empties at ktr, the last step at ka.
        unit: unit of the amounts.
    """
    amounts(build)
    chain = [depot(drug), *(transit(drug, i) for i in range(1, transits + 1))]
    for name in chain:
        build.species(name, AMOUNTS, unit, scale=1.0)
    for here, there in zip(chain, [*chain[1:], central(drug)], strict=True):
        rate = "ka" if there == central(drug) else "ktr"
        build.reaction(
            f"{here} to {there}",
            {here: -1, there: 1},
            lambda s, p, here=here, rate=rate: p[f"{drug}.{rate}"] * s[here],
            equation=f"{rate}*[{here}]",
        )
