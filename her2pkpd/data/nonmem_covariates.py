"""Covariates that change within an individual, as parameters that change in steps.

Two conventions say what holds between two rows. "nocb" (next observation carried backward): the later row's value,
which is NONMEM's rule, since it advances from one record to the next with the parameters of the next. "locf" (last
observation carried forward): the earlier row's value. Blank cells take the neighbour's value in the same direction.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from her2pkpd.data.nonmem import Subject
from her2pkpd.dosing.records import Hold
from her2pkpd.errors import InputError, Problem

Carry = Literal["nocb", "locf"]
"""Which row's covariates hold between two rows: the next one's, or the last one's."""

_ASIDE = 1e-10
"""How far from a row, relative to its time (or h), a step lies: far enough for a solver to take it, and no further."""

Covariates = Mapping[str, Any]
Rule = Callable[[Covariates], Mapping[str, float]]
"""Parameters, by name in the model, from covariates."""


def steps(subject: Subject, names: Sequence[str], carry: Carry) -> list[tuple[float, dict[str, Any]]]:
    """Covariates as steps in time.

    Args:
        subject: the individual.
        names: columns that matter.
        carry: what holds between two rows.

    Returns:
        Times and the covariates from there on; the first is the time of the first row. A step lies just after the
        row it follows ("nocb") or just before the row it comes from ("locf"), so that a dose, a steady state or an
        observation of a row always meets the row's own covariates.

    Raises:
        InputError: for columns that are not there, and for a covariate without a single value.
    """
    _check(subject, names, carry)
    if not names:
        return []
    times = subject.covariates[names[0]][0]
    values = {name: _filled(subject.covariates[name][1], carry) for name in names}
    found: list[tuple[float, dict[str, Any]]] = []
    for i, time in enumerate(times):
        held = {name: column[i] for name, column in values.items()}
        if carry == "nocb" and i and time == times[i - 1]:
            continue  # no time passes between the two rows, so nothing is integrated with the second one's
        row = time if carry == "locf" else times[max(i - 1, 0)]
        aside = _ASIDE * max(1.0, abs(row))
        start = time if i == 0 else row - aside if carry == "locf" else row + aside
        if found and found[-1][1] == held:
            continue
        if found and found[-1][0] == start:
            found.pop()
        found.append((float(start), held))
    return found


def time_varying(
    subject: Subject, names: Sequence[str], rule: Rule, carry: Carry
) -> tuple[dict[str, float], list[Hold]]:
    """Parameters at the first row, and the records that change them later.

    Args:
        subject: the individual; times in h.
        names: covariates the rule reads.
        rule: parameters of the model from covariates. Those that change must have been given to `Builder.held`.
        carry: what holds between two rows.

    Returns:
        The parameters at the start, and a `Hold` for each later step with those that change there.

    Raises:
        InputError: as `steps`.
    """
    changes = [(time, dict(rule(held))) for time, held in steps(subject, names, carry)]
    if not changes:
        return dict(rule({})), []
    first = changes[0][1]
    current, holds = dict(first), list[Hold]()
    for time, values in changes[1:]:
        new = {name: value for name, value in values.items() if current[name] != value}
        if new:
            holds.append(Hold(time, new))
            current |= new
    return first, holds


def filled(subject: Subject, names: Sequence[str], carry: Carry) -> Subject:
    """The subject with the blanks of its covariates filled as `carry` says.

    Raises:
        InputError: as `steps`.
    """
    _check(subject, names, carry)
    own = {
        name: (times, np.array(_filled(values, carry)))
        for name, (times, values) in subject.covariates.items()
        if name in names
    }
    return replace(subject, covariates={**subject.covariates, **own})


def changing(subject: Subject, names: Sequence[str]) -> bool:
    """Whether any of the covariates takes two values within the individual."""
    return any(len({x for x in subject.covariates[name][1] if given(x)}) > 1 for name in names)


def _check(subject: Subject, names: Sequence[str], carry: Carry) -> None:
    if carry not in ("nocb", "locf"):
        raise InputError(Problem('the rule for covariates is "nocb" or "locf"', "Choose one.", value=carry))
    known = ", ".join(subject.covariates) or "none"
    missing = [n for n in names if n not in subject.covariates]
    if missing:
        raise InputError([Problem(f"there is no covariate '{n}'", f"Columns: {known}.", column=n) for n in missing])
    empty = [n for n in names if not any(given(x) for x in subject.covariates[n][1])]
    if empty:
        rule, row = f"individual {subject.id} has no value of this covariate", int(subject.rows[0])
        raise InputError([Problem(rule, "Give it in at least one row.", row=row, column=n) for n in empty])


def given(value: Any) -> bool:
    """Whether a cell holds anything."""
    return value not in ("", ".") if isinstance(value, str) else bool(np.isfinite(value))


def _filled(values: np.ndarray, carry: Carry) -> list[Any]:
    """Blanks filled from the next value ("nocb") or the last one ("locf"), and from the other side at the ends."""
    known = np.flatnonzero([given(x) for x in values])
    found = []
    for i in range(len(values)):
        position = int(np.searchsorted(known, i, side="left" if carry == "nocb" else "right"))
        position = position if carry == "nocb" else position - 1
        found.append(values[known[min(max(position, 0), known.size - 1)]])
    return found
