"""The units door: every number enters in the unit it was published or measured in, and leaves here canonical.

Canonical units inside the package are nM, h, L, nmol and cells; proteins convert between mass and amount
through their molar mass. Conversion happens once, at load; no unit object travels further.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from her2pkpd.errors import InputError, Problem

AVOGADRO = 6.02214076e23
"""Molecules per mole (exact, SI 2019)."""

_PREFIX = {"p": 1e-12, "n": 1e-9, "u": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3}


@dataclass(frozen=True)
class Unit:
    """A unit as `factor` times the canonical unit of its `kind`.

    Attributes:
        kind: "amount" (nmol), "mass" (ug), "volume" (L), "time" (h), "count", "none", "weight" (kg) ...
            or a combination of powers of these for compound units, as a sorted tuple.
        factor: canonical units per one of this unit.
    """

    dimension: tuple[tuple[str, int], ...]
    factor: float


def _build_atoms() -> dict[str, tuple[str, float]]:
    atoms: dict[str, tuple[str, float]] = {}
    for prefix, scale in _PREFIX.items():
        atoms[prefix + "mol"] = ("amount", scale * 1e9)
        atoms[prefix + "g"] = ("mass", scale * 1e6)
        atoms[prefix + "L"] = ("volume", scale)
    atoms |= {"s": ("time", 1 / 3600), "sec": ("time", 1 / 3600), "min": ("time", 1 / 60), "h": ("time", 1.0)}
    atoms |= {"hr": ("time", 1.0), "hour": ("time", 1.0), "hours": ("time", 1.0), "day": ("time", 24.0)}
    atoms |= {"d": ("time", 24.0), "days": ("time", 24.0), "week": ("time", 168.0), "weeks": ("time", 168.0)}
    atoms["dL"] = ("volume", 0.1)
    atoms |= {"wk": ("time", 168.0), "mm3": ("volume", 1e-6), "cm3": ("volume", 1e-3), "um3": ("volume", 1e-15)}
    atoms |= {"m2": ("area", 1.0), "cm2": ("area", 1e-4), "mm2": ("area", 1e-6), "um2": ("area", 1e-12)}
    atoms |= {"um": ("length", 1e-6), "mm": ("length", 1e-3), "cm": ("length", 1e-2), "m": ("length", 1.0)}
    atoms |= {"cell": ("cells", 1.0), "cells": ("cells", 1.0), "well": ("none", 1.0)}
    atoms |= {"copies": ("copies", 1.0), "receptors": ("copies", 1.0), "molecules": ("copies", 1.0)}
    atoms |= {"IU": ("activity", 1.0), "U": ("activity", 1.0), "%": ("none", 0.01), "percent": ("none", 0.01)}
    atoms |= {"fraction": ("none", 1.0), "1": ("none", 1.0), "-": ("none", 1.0), "": ("none", 1.0)}
    atoms |= {"ratio": ("none", 1.0), "relative": ("none", 1.0), "year": ("time", 8766.0), "years": ("time", 8766.0)}
    return atoms


_ATOMS = _build_atoms()
_MOLAR = {p + "M": s * 1e9 for p, s in _PREFIX.items()}
"""Molar concentrations in nM (nmol/L)."""

_CANONICAL_TEXT = "nM, uM, pM, ng/mL, ug/mL, nmol, mg, mg/kg, min, h, d, uL, mL, L, cells, copies/cell, 1/h, 1/nM/h"


def parse_unit(text: str) -> Unit:
    """Read a unit such as ``"nM"``, ``"ug/mL"``, ``"1/nM/h"`` or ``"mg/kg"``.

    Args:
        text: atoms joined by ``/`` (divide) or ``*`` (multiply), read left to right. Greek mu is taken as u.

    Returns:
        The `Unit`.

    Raises:
        InputError: if any atom is unknown.
    """
    clean = text.strip().replace("µ", "u").replace("μ", "u").replace("²", "2").replace("³", "3")
    clean = clean.replace("litre", "L").replace("liter", "L").replace(" per ", "/").replace(" ", "")
    dimension: dict[str, int] = {}
    factor = 1.0
    for sign, name in re.findall(r"([/*]?)([^/*]*)", clean):
        if not name and not sign and clean:
            continue
        power = -1 if sign == "/" else 1
        for kind, scale, exponent in _atom(name, text):
            factor *= scale**power
            dimension[kind] = dimension.get(kind, 0) + power * exponent
        if not clean:
            break
    dimension.pop("none", None)
    return Unit(tuple(sorted((k, v) for k, v in dimension.items() if v)), factor)


def _atom(name: str, text: str) -> list[tuple[str, float, int]]:
    if name in _MOLAR:
        return [("amount", _MOLAR[name], 1), ("volume", 1.0, -1)]
    if name in _ATOMS and (name or not text.strip()):  # nothing may follow a stroke: "nM/" is no unit
        return [(*_ATOMS[name], 1)]
    if name.endswith("l") and name[:-1] + "L" in _ATOMS:
        return [(*_ATOMS[name[:-1] + "L"], 1)]
    raise InputError(
        Problem(f"unknown unit '{text}'", f"Use one of: {_CANONICAL_TEXT}, or a product or quotient of them.")
    )


def parse_quantity(text: str) -> tuple[float, str]:
    """Split ``"10 nM"`` into ``(10.0, "nM")``.

    Raises:
        InputError: if there is no finite number in front, or the unit is unknown.
    """
    match = re.fullmatch(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(.*?)\s*", text)
    if match is None:
        raise InputError(
            Problem("a quantity must be a number followed by a unit", 'Write, for example, "10 nM".', value=text)
        )
    value, unit = float(match.group(1)), match.group(2)
    if re.match(r",\s*\d", unit):
        raise InputError(
            Problem("a quantity must be written with a decimal point", 'Write "1.5 nM", not "1,5 nM".', value=text)
        )
    if not math.isfinite(value):
        raise InputError(Problem("a quantity must be finite", "Give an ordinary number.", value=text))
    parse_unit(unit)
    return value, unit


def convert(value: float, unit: str, to: str, *, molar_mass: float | None = None) -> float:
    """Convert `value` from `unit` to `to`.

    Args:
        value: the number.
        unit: its unit.
        to: the unit wanted.
        molar_mass: g/mol; needed only between mass and amount (``"ug/mL"`` to ``"nM"``).

    Returns:
        The number in `to`.

    Raises:
        InputError: if the units measure different things, or a molar mass is needed and missing.

    Example:
        >>> round(convert(1.0, "ug/mL", "nM", molar_mass=145_532), 3)
        6.871
    """
    source, target = parse_unit(unit), parse_unit(to)
    have, want = dict(source.dimension), dict(target.dimension)
    factor = source.factor / target.factor
    moved = want.get("amount", 0) - have.get("amount", 0)
    if moved and moved == have.get("mass", 0) - want.get("mass", 0):
        if molar_mass is None or not molar_mass > 0:
            raise InputError(
                Problem(
                    f"converting '{unit}' to '{to}' needs a molar mass",
                    "Give the drug a molar_mass in its library file, or use a molar unit.",
                    value=value,
                )
            )
        # Canonical mass is ug and canonical amount nmol: 1 ug = 1000 / (g/mol) nmol.
        factor *= (1000.0 / molar_mass) ** moved
        have["mass"] = have.get("mass", 0) - moved
        have["amount"] = have.get("amount", 0) + moved
    if {k: v for k, v in have.items() if v} != {k: v for k, v in want.items() if v}:
        raise InputError(
            Problem(
                f"unit '{unit}' cannot be converted to '{to}'", f"Give a unit of the same kind as '{to}'.", value=value
            )
        )
    return value * factor


def quantity(text: str | float, to: str, *, molar_mass: float | None = None) -> float:
    """Read ``"10 nM"`` and return it in `to`; a bare number is refused unless `to` is dimensionless.

    Raises:
        InputError: as `parse_quantity` and `convert`, or if a unit is missing.
    """
    if isinstance(text, (int, float)) and not isinstance(text, bool):
        # A whole number of TOML has no upper limit; past the largest float it reads as infinite, and is refused.
        text = repr(float(text)) if isinstance(text, float) or abs(text) < 10**300 else "1e999"
    if not isinstance(text, str):
        raise InputError(
            Problem(f"a quantity in '{to}' must be text with a unit", f'Write, for example, "1 {to}".', value=text)
        )
    value, unit = parse_quantity(text)
    if not unit and parse_unit(to).dimension:
        raise InputError(Problem("the unit is missing", f'Write, for example, "{text.strip()} {to}".', value=text))
    result = convert(value, unit, to, molar_mass=molar_mass)
    if not math.isfinite(result):
        raise InputError(Problem("a quantity must be finite", "Give an ordinary number.", value=text))
    return result


def receptors_to_nM(copies: float, cell_volume: float) -> float:
    """Copies per cell to nM of cell volume; the answer scales with 1/`cell_volume`, so report both together.

    Args:
        copies: receptors per cell.
        cell_volume: Vc in L.
    """
    return copies / (AVOGADRO * cell_volume) * 1e9


def same_kind(unit: str, to: str, molar_masses: Mapping[str, float] | None = None) -> bool:
    """Whether `unit` can become `to`, allowing mass and amount to be exchanged."""
    try:
        convert(1.0, unit, to, molar_mass=next(iter((molar_masses or {}).values()), 1.0))
    except InputError:
        return False
    return True
