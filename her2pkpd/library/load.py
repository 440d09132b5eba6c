"""Read the library: TOML in, checked and converted entries out.

A user's own files extend the library or override parts of it. `path` is one TOML file, or a folder laid out like
the library itself (``drugs/*.toml``, ``cell_lines.toml``, ``parameters.toml``). An entry with the name of a
library entry is laid over it: what it gives replaces, what it leaves out stays.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from her2pkpd.errors import InputError, Problem, Problems
from her2pkpd.library.adc import completed, is_conjugate, names_of, with_molecule
from her2pkpd.library.entries import CellLine, Drug
from her2pkpd.library.numbers import Quantity
from her2pkpd.library.quantity import read_quantity, read_source
from her2pkpd.library.schema import read_cell_line, read_drug, section
from her2pkpd.settings import read_settings
from her2pkpd.sources import Source

_HERE = Path(__file__).parent


def load_drug(name: str, path: str | Path | None = None) -> Drug:
    """A drug by name or synonym; case, spaces and punctuation do not matter.

    Args:
        name: "trastuzumab", "Herceptin", "HKI-272" ...
        path: the user's own file or folder, laid over the library.

    Returns:
        The `Drug`, numbers in canonical units.

    Raises:
        InputError: if no drug has that name (with the nearest), or a file breaks the schema.

    Example:
        >>> load_drug("herceptin").binding["KD"].canonical
        0.314
    """
    return find("drug", name, all_drugs(path))


def load_cell_line(name: str, path: str | Path | None = None) -> CellLine:
    """A cell line by name or synonym; "skbr3" finds "SK-BR-3".

    Args:
        name: the name.
        path: the user's own file or folder, laid over the library.

    Returns:
        The `CellLine`, numbers in canonical units.

    Raises:
        InputError: if no cell line has that name (with the nearest), or a file breaks the schema.

    Example:
        >>> load_cell_line("skbr3").HER2.canonical
        1200000.0
    """
    return find("cell line", name, all_cell_lines(path))


def load_parameters(path: str | Path | None = None) -> dict[str, Quantity]:
    """Parameters of the mechanisms, those that belong to no single drug or cell line, by name.

    Args:
        path: the user's own file or folder, laid over the library.

    Raises:
        InputError: if a file breaks the schema.
    """
    return dict(_parameters(path) if path else _library_parameters())


def drug_names(path: str | Path | None = None) -> list[str]:
    """Names of all drugs, in alphabetical order."""
    return sorted(d.name for d in all_drugs(path))


def cell_line_names(path: str | Path | None = None) -> list[str]:
    """Names of all cell lines, in alphabetical order."""
    return sorted((x.name for x in all_cell_lines(path)), key=str.casefold)


def all_drugs(path: str | Path | None = None) -> tuple[Drug, ...]:
    """Every drug, as the files order them."""
    return _drugs(path) if path else _library_drugs()


def all_cell_lines(path: str | Path | None = None) -> tuple[CellLine, ...]:
    """Every cell line, as the files order them."""
    return _cell_lines(path) if path else _library_cell_lines()


def plain(name: str) -> str:
    """A name without case, spaces and punctuation, by which entries are found."""
    return re.sub(r"[^0-9a-z]", "", name.casefold())


_Entry = TypeVar("_Entry", Drug, CellLine)


def find(kind: str, name: str, entries: Iterable[_Entry]) -> _Entry:
    """The entry with a name or synonym; case, spaces and punctuation do not matter.

    Raises:
        InputError: if there is none, naming the `kind` of thing and the nearest entries.
    """
    entries = list(entries)
    names = {plain(word): e for e in entries for word in e.synonyms} | {plain(e.name): e for e in entries}
    if plain(name) in names:
        return names[plain(name)]
    near = difflib.get_close_matches(plain(name), names, n=3, cutoff=0.5)
    guesses = ", ".join(dict.fromkeys(names[n].name for n in near))
    hint = f"Did you mean {guesses}?" if guesses else f"The library has: {', '.join(e.name for e in entries)}."
    raise InputError(Problem(f"unknown {kind}", f"{hint} Your own can be added in a TOML file.", value=name))


_PATTERNS = {"drug": "drugs/*.toml", "cell lines": "cell_lines*.toml", "parameters": "parameters*.toml"}


def own_files(path: str | Path, *patterns: str) -> tuple[Path, ...]:
    """A user's library files: the one file, or those of a folder that match the patterns (by default any)."""
    path = Path(path)
    if not path.is_dir():
        return (path,)
    return tuple(file for pattern in patterns or _PATTERNS.values() for file in sorted(path.glob(pattern)))


def _tables(path: str | Path | None, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """File label and contents of the library's files of one kind, then of the user's."""
    pattern = _PATTERNS[kind]
    for file in [*sorted(_HERE.glob(pattern)), *(own_files(path, pattern) if path is not None else ())]:
        table = read_settings(file).table
        if file.match(pattern) or _kind(table) == kind:
            yield f"library/{file.name}" if _HERE in file.parents else str(file), table


def _kind(table: Mapping[str, Any]) -> str:
    """What a file given by itself holds."""
    if "identity" in table:
        return "drug"
    return "parameters" if any("value" in x for x in table.values() if isinstance(x, Mapping)) else "cell lines"


def _overlay(base: Any, top: Any) -> Any:
    """`top` over `base`, table by table.

    A quantity is replaced whole, so that no source outlives its number, and so are the constants of a kinase
    whose mode is given.
    """
    if not isinstance(base, Mapping) or not isinstance(top, Mapping) or "value" in top or "mode" in top:
        return top
    return {**base, **{k: _overlay(base.get(k), v) for k, v in top.items()}}


def _laid_over(tables: Iterable[tuple[str, str, Any]]) -> dict[str, tuple[str, str, Any]]:
    """Entries by plain name, later ones over earlier ones, each with its file."""
    merged: dict[str, tuple[str, str, Any]] = {}
    for name, file, table in tables:
        earlier = merged.get(plain(name))
        merged[plain(name)] = (earlier[0], file, _overlay(earlier[2], table)) if earlier else (name, file, table)
    return merged


def _drugs(path: str | Path | None) -> tuple[Drug, ...]:
    problems, tables = Problems(), []
    for file, table in _tables(path, "drug"):
        identity = table.get("identity")
        tables.append((str(identity.get("name", "")) if isinstance(identity, Mapping) else "", file, table))
    entries = []
    for name, file, table in _laid_over(tables).values():
        if isinstance(table["identity"], Mapping):
            table = {**table, "identity": {**table["identity"], "name": name}}  # noqa: PLW2901 - the library's spelling
        entries.append((file, table))
    shelf = {plain(word): table for _, table in entries for word in names_of(table)}
    drugs: dict[str, Drug] = {}
    for file, table in sorted(entries, key=lambda entry: is_conjugate(entry[1])):
        problems.file = file
        drug = read_drug(table := completed(table, shelf, plain), problems)
        drug = with_molecule(
            drug, table, {plain(w): d for d in drugs.values() for w in (d.name, *d.synonyms)}, problems
        )
        if drug:
            drugs[drug.name] = drug
    problems.raise_any()
    return tuple(drugs.values())


def _cell_lines(path: str | Path | None) -> tuple[CellLine, ...]:
    problems, sources, default, tables = Problems(), {}, {}, []
    own = {k.removeprefix("cell."): q.canonical_unit for k, q in load_parameters(path).items() if k.startswith("cell.")}
    for file, table in _tables(path, "cell lines"):
        problems.file = file
        sources |= _sources(section(table, "sources", problems), problems)
        default = _overlay(default, section(table, "default", problems))
        tables += [(name, file, entry) for name, entry in table.items() if name not in ("sources", "default")]
    lines = []
    for name, file, table in _laid_over(tables).values():
        problems.file = file
        if isinstance(table, Mapping):
            lines.append(read_cell_line(name, table, problems, default=default, sources=sources, own=own))
        else:
            problems.add("a cell line must be a table", f'Write ["{name}"].', column=name, value=table)
    problems.raise_any()
    return tuple(lines)


def _sources(table: Mapping[str, Any], problems: Problems) -> dict[str, Source]:
    read = {name: read_source(section(table, name, problems), f"sources.{name}", problems) for name in table}
    return {name: source for name, source in read.items() if source}


def _parameters(path: str | Path | None) -> Mapping[str, Quantity]:
    problems = Problems()
    found: dict[str, Quantity | None] = {}
    for file, table in _tables(path, "parameters"):
        problems.file = file
        found |= {name: read_quantity(entry, name, problems) for name, entry in table.items()}
    problems.raise_any()
    return {name: quantity for name, quantity in found.items() if quantity}


# Only the library itself is remembered: a user's file may change between two calls.
@cache
def _library_drugs() -> tuple[Drug, ...]:
    return _drugs(None)


@cache
def _library_cell_lines() -> tuple[CellLine, ...]:
    return _cell_lines(None)


@cache
def _library_parameters() -> Mapping[str, Quantity]:
    return _parameters(None)
