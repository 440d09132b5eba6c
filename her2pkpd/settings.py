"""Reading the TOML files users write: every key checked, every problem collected, unknown keys refused.

A settings file is read once into a tree of `Section`s. Each reader takes the keys it knows; what is left over
when reading ends was misspelt or is not supported, and is reported with the nearest known key.
"""

import difflib
import math
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from her2pkpd.errors import InputError, Problem, Problems
from her2pkpd.units import quantity

_MISSING = object()
_LISTED = 30


class Section:
    """One table of a settings file.

    Args:
        table: its contents.
        path: dotted name of the table, for messages.
        problems: where to report.
    """

    def __init__(self, table: dict[str, Any], path: str, problems: Problems) -> None:
        self.table, self.path, self.problems = table, path, problems
        self._asked: list[str] = []
        self._children: list[Section] = []

    def name(self, key: str) -> str:
        """Dotted name of a key."""
        return f"{self.path}.{key}" if self.path else key

    def has(self, key: str) -> bool:
        """Whether a key is present."""
        self._asked.append(key)
        return key in self.table

    def complain(self, key: str, rule: str, remedy: str) -> None:
        """Report a problem with a key."""
        self.problems.add(rule, remedy, column=self.name(key), value=self.table.get(key))

    def get(self, key: str, kind: type | tuple[type, ...], default: Any = _MISSING, *, words: str = "") -> Any:
        """Value of a key, checked for its type; reports and returns None when it is missing or of another type."""
        if not self.has(key):
            if default is _MISSING:
                self.problems.add("is missing", f"Add {key} = {words or '...'}.", column=self.name(key))
                return None
            return default
        value = self.table[key]
        numeric = isinstance(value, bool) and bool not in (kind if isinstance(kind, tuple) else (kind,))
        if not isinstance(value, kind) or numeric:
            self.complain(key, f"must be {words or getattr(kind, '__name__', 'something else')}", "Correct its type.")
            return None if default is _MISSING else default
        return value

    def text(self, key: str, default: Any = _MISSING, *, choices: Sequence[str] = ()) -> Any:
        """A string, optionally one of `choices`."""
        words = "one of " + ", ".join(f'"{c}"' for c in choices) if choices else "text in quotes"
        value = self.get(key, str, default, words=words)
        if choices and value is not None and value not in choices and value is not default:
            self.complain(key, f"must be {words}", nearest(str(value), choices))
        return value

    def integer(self, key: str, default: Any = _MISSING, *, low: int = 0, high: int = 10**12) -> Any:
        """A whole number between `low` and `high`."""
        value = self.get(key, int, default, words="a whole number")
        if isinstance(value, int) and not low <= value <= high:
            self.complain(key, f"must be between {low} and {high}", "Choose a number in that range.")
        return value

    def flag(self, key: str, default: Any = _MISSING) -> Any:
        """true or false."""
        return self.get(key, bool, default, words="true or false")

    def number(self, key: str, default: Any = _MISSING) -> Any:
        """A finite number without a unit."""
        value = self.get(key, (int, float), default, words="a number")
        if value is None or value is default:
            return value
        try:
            value = float(value)
        except OverflowError:
            value = math.inf
        if not math.isfinite(value):
            self.complain(key, "must be a finite number", "Give an ordinary number.")
            return None if default is _MISSING else default
        return value

    def texts(self, key: str, default: Any = _MISSING, *, words: str = "a list of texts in quotes") -> Any:
        """A list of strings, as a tuple."""
        value = self.get(key, list, default, words=words)
        if value is None or value is default:
            return value
        if not all(isinstance(item, str) for item in value):
            self.complain(key, f"must be {words}", "Correct its type.")
            return None if default is _MISSING else default
        return tuple(value)

    def quantity(
        self, key: str, unit: str, default: Any = _MISSING, *, molar_mass: float | None = None, low: float | None = None
    ) -> Any:
        """A number with its unit, returned in `unit`; `low` is the smallest value allowed."""
        if not self.has(key):
            if default is _MISSING:
                self.problems.add("is missing", f'Add {key} = "... {unit}".', column=self.name(key))
                return None
            return default
        try:
            value = quantity(self.table[key], unit, molar_mass=molar_mass)
        except InputError as error:
            for problem in error.problems:
                self.problems.add(problem.rule, problem.remedy, column=self.name(key), value=self.table[key])
            return None
        if low is not None and value < low:
            self.complain(key, f"must be at least {low:g} {unit}", "Correct the number.")
        return value

    def section(self, key: str) -> "Section":
        """A sub-table; empty when absent."""
        table = self.get(key, dict, {}, words=f"a table [{self.name(key)}]")
        child = Section(table or {}, self.name(key), self.problems)
        self._children.append(child)
        return child

    def sections(self, key: str) -> list["Section"]:
        """An array of tables; empty when absent."""
        tables = self.get(key, list, [], words=f"tables written [[{self.name(key)}]]") or []
        children = [
            Section(t, f"{self.name(key)}[{i + 1}]", self.problems) for i, t in enumerate(tables) if isinstance(t, dict)
        ]
        if len(children) != len(tables):
            self.complain(key, f"must be tables written [[{self.name(key)}]]", "Use double brackets.")
        self._children += children
        return children

    def finish(self) -> None:
        """Report every key nobody asked for, here and below."""
        for key in self.table:
            if key not in self._asked:
                self.problems.add("is not a known key", nearest(key, self._asked), column=self.name(key))
        for child in self._children:
            child.finish()


def nearest(word: str, known: Iterable[str]) -> str:
    """Advice naming the known word closest to `word`, and all of them when they are few."""
    known = sorted(set(known))
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    if close:
        return f"Did you mean '{close[0]}'?"
    more = f" and {len(known) - _LISTED} more" if len(known) > _LISTED else ""
    return f"Known: {', '.join(known[:_LISTED]) or 'none'}{more}."


def read_settings(path: str | Path) -> Section:
    """Read a TOML file into a `Section`.

    Raises:
        InputError: if the file cannot be read or is not TOML (with line and column).
    """
    path = Path(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = "the file is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else "the file cannot be read"
        raise InputError(Problem(reason, "Check the path and save it as plain UTF-8 TOML.", file=str(path))) from error
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # beside syntax: integers of thousands of digits, endless nesting
        raise InputError(Problem(f"not valid TOML: {error}", "Correct the line it names.", file=str(path))) from error
    return Section(table, "", Problems(str(path)))
