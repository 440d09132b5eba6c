"""One library, opened once: the package's own, or that with a user's files laid over it.

Everything that reads names of drugs and cell lines resolves them here, so that a name found in one file is found,
and means the same, in every other.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from her2pkpd.errors import InputError, Problem
from her2pkpd.library.entries import CellLine, Drug
from her2pkpd.library.load import all_cell_lines, all_drugs, find, load_parameters, own_files, plain
from her2pkpd.settings import Section


@dataclass(frozen=True)
class Library:
    """Drugs and cell lines by name.

    Attributes:
        drugs: by the library's own name.
        cell_lines: likewise.
        files: the user's files laid over the package's, none for the package's own library.
    """

    drugs: Mapping[str, Drug]
    cell_lines: Mapping[str, CellLine]
    files: tuple[Path, ...] = ()

    def drug(self, name: str) -> Drug:
        """A drug by name or synonym.

        Raises:
            InputError: if there is none, with the nearest.
        """
        return find("drug", name, self.drugs.values())

    def cell_line(self, name: str) -> CellLine:
        """A cell line by name or synonym.

        Raises:
            InputError: if there is none, with the nearest.
        """
        return find("cell line", name, self.cell_lines.values())

    @cached_property
    def drug_spellings(self) -> dict[str, str]:
        """Every name and synonym of a drug, and the name it stands for."""
        return _spellings(self.drugs.values())

    @cached_property
    def cell_line_spellings(self) -> dict[str, str]:
        """Every name and synonym of a cell line, and the name it stands for."""
        return _spellings(self.cell_lines.values())

    @cached_property
    def molar_masses(self) -> dict[str, float]:
        """g/mol by drug."""
        return {name: drug.molar_mass.canonical for name, drug in self.drugs.items()}

    @cached_property
    def _by_plain(self) -> dict[str, str]:
        return {plain(word): name for word, name in (self.cell_line_spellings | self.drug_spellings).items()}

    def spelt(self, name: str) -> str:
        """A dotted name with its drugs and cell lines as the library writes them.

        Args:
            name: a parameter or a variable, "Herceptin.KD" or "viability.skbr3".

        Example:
            >>> open_library().spelt("occupancy.Herceptin.skbr3")
            'occupancy.trastuzumab.SK-BR-3'
        """
        parts, written = name.split("."), []
        while parts:
            for stop in range(len(parts), 0, -1):  # names of cell lines may hold dots themselves
                if own := self._by_plain.get(plain(".".join(parts[:stop]))):
                    break
            else:
                stop, own = 1, parts[0]
            written.append(own)
            parts = parts[stop:]
        return ".".join(written)


def open_library(path: str | Path | None = None) -> Library:
    """The library, with a user's file or folder laid over it if one is given.

    Args:
        path: one TOML file of drugs or cell lines, or a folder laid out like the library.

    Raises:
        InputError: if a file breaks the schema, the folder holds none, or the files change parameters of the
            mechanisms, which a scenario or a fit sets itself.
    """
    files = () if path is None else own_files(path)
    if path is not None and not files:
        remedy = "Name a TOML file, or a folder with drugs/*.toml or cell_lines.toml."
        raise InputError(Problem("the library holds no file", remedy, file=str(path)))
    if path is not None and load_parameters(path) != load_parameters():
        remedy = "Set them under [parameters] of the scenario or the fit."
        raise InputError(Problem("parameters of the mechanisms are not taken from a library", remedy, file=str(path)))
    drugs, lines = all_drugs(path), all_cell_lines(path)
    return Library({d.name: d for d in drugs}, {x.name: x for x in lines}, files)


def read_library(section: Section, file: str | Path) -> Library:
    """The library that the key `library` of a settings file names, relative to that file; without one the package's.

    Whatever is wrong with it goes to the problems of the settings.
    """
    name = section.text("library", None)
    if name is None:
        return open_library()
    try:
        return open_library(Path(file).parent / name)
    except InputError as error:
        for p in error.problems:
            section.problems.add(p.rule, p.remedy, row=p.row, column=p.column, value=p.value, file=p.file)
        return open_library()


def _spellings(entries: Iterable[Drug | CellLine]) -> dict[str, str]:
    """Names go before synonyms: nobody's second name hides another's first."""
    listed = list(entries)
    return {word: e.name for e in listed for word in e.synonyms} | {e.name: e.name for e in listed}
