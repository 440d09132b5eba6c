"""Sourced numbers of the assay models, read from ``reference.toml``."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from her2pkpd.errors import InputError, Problem
from her2pkpd.sources import Source


@dataclass(frozen=True)
class Reference:
    """One number.

    Attributes:
        value: in `unit`.
        unit: "copies/cell", "h" or "1".
        source: where it comes from and how sure we are.
    """

    value: float
    unit: str
    source: Source


@cache
def _tables() -> Mapping[str, Any]:
    return tomllib.loads(files("her2pkpd.assays").joinpath("reference.toml").read_text(encoding="utf-8"))


@cache
def references() -> dict[str, Reference]:
    """Every number by name."""
    return {
        name: Reference(float(t["value"]), t["unit"], Source(t["citation"], t["certainty"]))
        for name, t in _tables().items()
        if name != "antibodies"
    }


def reference(name: str) -> float:
    """The value of one number."""
    return references()[name].value


def sees_p95(antibody: str) -> bool:
    """Whether a diagnostic antibody binds HER2 without its extracellular domain.

    Args:
        antibody: "4B5", "HercepTest", "CB11", "SP3"; or "intracellular", "extracellular".

    Raises:
        InputError: for any other.
    """
    domains = {name: table["domain"] for name, table in _tables()["antibodies"].items()}
    domains |= {word: word for word in ("intracellular", "extracellular")}
    if antibody not in domains:
        raise InputError(Problem("unknown antibody", f"Use one of: {', '.join(domains)}.", value=antibody))
    return domains[antibody] == "intracellular"
