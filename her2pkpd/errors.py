"""Errors a user can act on.

Two kinds leave this package. `InputError` means the input is wrong: it lists *every* problem found,
each with the file, row, column, value, the rule that was broken and the remedy; the command line exits
with code 2 and writes nothing. `ComputationError` means the input was fine but a computation failed; the
command line exits with code 3 and keeps, and marks, what did finish.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

EXIT_OK = 0
EXIT_INPUT = 2
EXIT_COMPUTATION = 3

_SHOWN = 20
"""Problems printed in full; the rest are counted, so that a million bad rows stay readable."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong with the input.

    Args:
        rule: what must hold, as a sentence ("concentration must be zero or positive").
        remedy: what to do about it, as an instruction.
        file: the file, or a short name of the object when there is none.
        row: row number as a person counts it in the file (the header is row 1), or None.
        column: column or TOML key, or None.
        value: the offending value as it stands in the file, or None.
    """

    rule: str
    remedy: str
    file: str | None = None
    row: int | None = None
    column: str | None = None
    value: object = None

    def __str__(self) -> str:
        where = [str(self.file)] if self.file else []
        if self.row is not None:
            where.append(f"row {self.row}")
        if self.column is not None:
            where.append(f"column '{self.column}'")
        if self.value is not None:
            where.append(f"value {_short(self.value)}")
        place = ", ".join(where)
        return f"{place}: {self.rule}. {self.remedy}" if place else f"{self.rule}. {self.remedy}"


def _short(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:  # Python refuses to write out integers of more than some thousand digits
        text = "of too many digits to show"
    return text if len(text) <= 60 else text[:57] + "..."


class Her2Error(Exception):
    """Base class of every error this package raises on purpose."""

    exit_code = EXIT_COMPUTATION


class InputError(Her2Error, ValueError):
    """The input breaks one or more rules; all of them are listed.

    Attributes:
        problems: every `Problem`, in file order.
    """

    exit_code = EXIT_INPUT

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__(_summary(self.problems))


class ComputationError(Her2Error, RuntimeError):
    """The input was fine, a computation was not (a solver or an optimiser gave up)."""

    exit_code = EXIT_COMPUTATION


def _summary(problems: Sequence[Problem]) -> str:
    lines = [str(p) for p in problems[:_SHOWN]]
    if len(problems) > _SHOWN:
        lines.append(f"... and {len(problems) - _SHOWN} more problems of this kind or others")
    return lines[0] if len(problems) == 1 else f"{len(problems)} problems:\n  " + "\n  ".join(lines)


class Problems:
    """Collects problems while checking goes on, then raises them together.

    Example:
        >>> problems = Problems("plate.csv")
        >>> problems.add("time must be positive", "Give hours after dosing.", row=3, column="time", value=-1)
        >>> bool(problems)
        True
    """

    def __init__(self, file: str | None = None) -> None:
        self.file = file
        self.found: list[Problem] = []

    def add(
        self,
        rule: str,
        remedy: str,
        *,
        row: int | None = None,
        column: str | None = None,
        value: object = None,
        file: str | None = None,
    ) -> None:
        """Record one problem; arguments as in `Problem`."""
        self.found.append(Problem(rule, remedy, file or self.file, row, column, value))

    def extend(self, error: InputError) -> None:
        """Take over the problems of an error raised by a nested check."""
        self.found.extend(error.problems)

    def raise_any(self) -> None:
        """Raise one `InputError` with everything found; return quietly when there is nothing.

        Raises:
            InputError: if any problem was recorded.
        """
        if self.found:
            raise InputError(self.found)

    def __bool__(self) -> bool:
        return bool(self.found)


class ValidityWarning(UserWarning):
    """A model is used outside what it was estimated from, or outside the doses that people have been given."""
