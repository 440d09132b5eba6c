"""What all commands share: how one is described, where its results go, how it shows something."""

import argparse
import shutil
import textwrap
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType

Add = Callable[..., argparse.ArgumentParser]
Run = Callable[[argparse.Namespace], None]


def command(
    add: Add,
    name: str,
    run: Run,
    summary: str,
    text: str,
) -> argparse.ArgumentParser:
    """A subcommand with its one-line summary and its longer text, wrapped to the terminal."""
    width = min(shutil.get_terminal_size().columns, 100) - 2
    paragraphs = [textwrap.fill(p, width) for p in textwrap.dedent(text).strip().split("\n\n")]
    parser = add(
        name,
        help=summary,
        description="\n\n".join(paragraphs),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def add_output(parser: argparse.ArgumentParser, metavar: str, what: str) -> None:
    """Where the results go, and whether over something else."""
    parser.add_argument("--out", required=True, metavar=metavar, help=what)
    parser.add_argument("--force", action="store_true", help="write even over something else's results")


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> "RenderableType":
    """A table for the terminal."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in columns:
        grid.add_column(name, overflow="fold")
    for row in rows:
        grid.add_row(*(Text(cell) for cell in row))
    return grid


def show(*parts: "RenderableType") -> None:
    """Print to the terminal, wrapped."""
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    for part in parts:
        console.print(part)
