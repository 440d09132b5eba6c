"""A model on paper: its equations as a table, its reactions as a diagram."""

import pandas as pd

from her2pkpd.model.model import Model
from her2pkpd.model.spec import Reaction


def equation_table(model: Model) -> pd.DataFrame:
    """One row per reaction: what turns into what, where, and at which rate.

    Returns:
        Columns ``reaction, equation, rate, compartment, kind``.
    """
    rows = [(r.name, _arrow(r), r.equation or "(see the mechanism)", r.at or "-", r.kind) for r in model.reactions]
    return pd.DataFrame(rows, columns=["reaction", "equation", "rate", "compartment", "kind"])


def parameter_table(model: Model) -> pd.DataFrame:
    """One row per parameter with value, unit and source.

    Returns:
        Columns ``parameter, value, unit, certainty, source``.
    """
    rows = [(p.name, p.value, p.unit, p.source.certainty, p.source.citation) for p in model.parameters]
    return pd.DataFrame(rows, columns=["parameter", "value", "unit", "certainty", "source"])


def _arrow(reaction: Reaction) -> str:
    left, right = [], []
    for name, coefficient in reaction.stoichiometry.items():
        negative = str(coefficient).startswith("-")
        size = str(coefficient).lstrip("-")
        term = name if size in ("1", "1.0") else f"{size} {name}"
        (left if negative else right).append(term)
    return f"{' + '.join(left) or 'nothing'} -> {' + '.join(right) or 'nothing'}"


def diagram(model: Model) -> str:
    """The reaction network as Mermaid text, species grouped by compartment; dilution is left out."""
    ident = {s.name: f"s{i}" for i, s in enumerate(model.species)}
    lines = ["flowchart LR"]
    for number, home in enumerate([*(c.name for c in model.compartments), None]):
        members = [s for s in model.species if s.compartment == home]
        if not members:
            continue
        lines.append(f'  subgraph c{number}["{home or "cells and fractions"}"]')
        lines += [f'    {ident[s.name]}["{s.name}"]' for s in members]
        lines.append("  end")
    for i, r in enumerate(x for x in model.reactions if x.kind != "dilution"):
        lines.append(f'  r{i}(("{r.name}"))')
        for name, coefficient in r.stoichiometry.items():
            inward = str(coefficient).startswith("-")
            lines.append(f"  {ident[name]} --> r{i}" if inward else f"  r{i} --> {ident[name]}")
    return "\n".join(lines) + "\n"
