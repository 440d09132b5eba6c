"""Commands that show the library: drugs, cell-lines."""

import argparse
from collections.abc import Iterable
from typing import TYPE_CHECKING

from her2pkpd.cli.common import Add, Run, command, show, table

if TYPE_CHECKING:
    from rich.console import RenderableType

    from her2pkpd.library import CellLine, Drug, Quantity


def add_drugs(add: Add) -> None:
    """``her2pkpd drugs``."""
    _add_library(add, "drugs", "drug", "trastuzumab", _drugs)


def add_cell_lines(add: Add) -> None:
    """``her2pkpd cell-lines``."""
    _add_library(add, "cell-lines", "cell line", "SK-BR-3", _cell_lines)


def _add_library(
    add: Add,
    name: str,
    kind: str,
    example: str,
    run: Run,
) -> None:
    parser = command(
        add,
        name,
        run,
        f"the {kind}s of the library, with units and sources",
        f"""
        Without a name: every {kind} the library knows. With one ({example}, say): each of its numbers with unit,
        spread, source and how sure we are of it. Case, spaces and dashes in names do not matter.

        Certainty is one of: published; secondary (read in a transcription); memory; derived (arithmetic on
        published numbers); calibrated (chosen so that the model meets a published behaviour); assumed.
        """,
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help=f"one {kind}")
    parser.add_argument("--library", metavar="PATH", help="your own TOML file or folder, laid over the library")


def _drugs(options: argparse.Namespace) -> None:
    from her2pkpd.library import drug_names, load_drug

    if options.name is None:
        drugs = [load_drug(name, options.library) for name in drug_names(options.library)]
        rows = [(d.name, d.kind, _target(d), ", ".join(d.synonyms)) for d in drugs]
        show(table(["drug", "kind", "target", "also known as"], rows))
        return
    drug = load_drug(options.name, options.library)
    also = f", also known as {', '.join(drug.synonyms)}" if drug.synonyms else ""
    show(f"{drug.name}: {drug.kind}, {_target(drug)}{also}", _quantities(drug.quantities().items()))
    if drug.studied:
        given = [f"  {x.route} {x.text}; {x.source.certainty}" for x in drug.studied]
        show("\n".join(["", "doses studied in people (others give a warning):", *given]))


def _target(drug: "Drug") -> str:
    if drug.epitope:
        return f"HER2 {drug.epitope}"
    return ", ".join(f"{kinase} kinase ({held.mode})" for kinase, held in drug.kinases.items())


def _cell_lines(options: argparse.Namespace) -> None:
    from her2pkpd.library import cell_line_names, load_cell_line

    if options.name is None:
        lines = [load_cell_line(name, options.library) for name in cell_line_names(options.library)]
        columns = ("HER2", "HER3", "EGFR", "doubling_time")
        rows = [(x.name, x.status, *(_brief(x.quantities.get(c)) for c in columns)) for x in lines]
        show(table(["cell line", "status", "HER2/cell", "HER3/cell", "EGFR/cell", "doubling time, h"], rows))
        return
    line = load_cell_line(options.name, options.library)
    show(_describe(line), _quantities(line.quantities.items()))
    found = [(name, quantity) for name, quantities in line.reported.items() for quantity in quantities]
    if found:
        show("Other values found:", _quantities(found))


def _describe(line: "CellLine") -> str:
    words = [w for w in (line.tissue, line.status, line.subtype) if w]
    also = [f"also known as {', '.join(line.synonyms)}"] if line.synonyms else []
    return f"{line.name}: {', '.join([*words, *also])}"


def _brief(quantity: "Quantity | None") -> str:
    return "" if quantity is None else f"{quantity.canonical:.3g}"


def _quantities(items: "Iterable[tuple[str, Quantity]]") -> "RenderableType":
    rows = []
    for name, q in items:
        source = f"{q.source.certainty}: {q.source.citation}"
        rows.append((name, "\n".join(filter(None, (str(q), q.description, source)))))
    return table(["quantity", "value, meaning, source"], rows)
