"""Immunohistochemistry: from membrane staining to a score.

A pattern is an intensity and a completeness. Each pattern has a class, 1 to 3, by the words of the edition; the
score is the highest class found in enough of the invasive tumour cells, where a cell of a higher class counts for
every lower one. A class in too few cells scores one step lower.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, get_args

from her2pkpd.assays.editions import CURRENT, Edition, edition
from her2pkpd.assays.exact import exact, shown
from her2pkpd.errors import Problems

Intensity = Literal["none", "faint", "weak", "weak-moderate", "moderate", "intense"]
Completeness = Literal["none", "incomplete", "complete"]
Score = Literal["0", "1+", "2+", "3+"]

INTENSITIES: tuple[str, ...] = get_args(Intensity)
"""Every intensity, from least to most; "faint" is barely perceptible."""
COMPLETENESSES: tuple[str, ...] = get_args(Completeness)
"""Every completeness of the membrane's circumference."""
SCORES: tuple[str, ...] = get_args(Score)
"""Every score, from least to most."""

_CALLS = {"0": "negative", "1+": "negative", "2+": "equivocal", "3+": "positive"}
_WORDS = {
    1: "faint or weak incomplete staining",
    2: "weak to moderate complete staining",
    3: "intense complete staining",
}


@dataclass(frozen=True)
class Staining:
    """One membrane pattern of a specimen.

    Attributes:
        intensity: how dark.
        completeness: how much of the circumference.
        percent: of invasive tumour cells that show it, exact.
    """

    intensity: str
    completeness: str
    percent: Fraction

    @property
    def pattern(self) -> str:
        """``"<intensity> <completeness>"``."""
        return f"{self.intensity} {self.completeness}"


@dataclass(frozen=True)
class IhcCall:
    """What staining means.

    Attributes:
        score: "0", "1+", "2+" or "3+".
        call: "negative", "equivocal" or "positive".
        reason: why, in words.
        category: "HER2-positive", "HER2-low", "HER2-ultralow", "HER2-null" or "2+, ISH decides" (editions from 2018
            on; trial categories, no result of the guideline), else blank.
        caution: what the reader should know beside, or blank.
    """

    score: str
    call: str
    reason: str
    category: str = ""
    caution: str = ""


def staining(intensity: str, completeness: str, percent: object, problems: Problems | None = None) -> Staining | None:
    """A checked pattern.

    Args:
        intensity: one of `INTENSITIES`.
        completeness: one of `COMPLETENESSES`.
        percent: percent of tumour cells, 0 to 100; for "none" 0, 100 or None.
        problems: collects what is wrong; without it, it is raised.

    Returns:
        The pattern, or None after recording a problem.

    Raises:
        InputError: without `problems`, for an unknown word, a percentage outside 0 to 100, or fields that contradict
            each other.
    """
    found = problems if problems is not None else Problems("staining")
    before = len(found.found)
    for column, value, known in (
        ("intensity", intensity, INTENSITIES),
        ("completeness", completeness, COMPLETENESSES),
    ):
        if value not in known:
            rule = f"the {column} must be one of: {', '.join(known)}"
            found.add(rule, "Use one of these words.", column=column, value=value)
    cells = _percent(percent, intensity, found)
    if cells is not None and len(found.found) == before:
        _refuse_contradictions(intensity, completeness, cells, found)
    if problems is None:
        found.raise_any()
    return Staining(intensity, completeness, cells) if cells is not None and len(found.found) == before else None


def _percent(percent: object, intensity: str, problems: Problems) -> Fraction | None:
    if percent is None and intensity == "none":
        return Fraction(0)
    try:
        cells = exact(percent)
    except ValueError:
        rule, remedy = "the percentage of cells must be a number", "Give the percent of tumour cells, 0 to 100."
        problems.add(rule, remedy, column="percent_cells", value=percent)
        return None
    if not 0 <= cells <= 100:
        rule, remedy = "the percentage of cells must lie between 0 and 100", "Give percent of invasive tumour cells."
        problems.add(rule, remedy, column="percent_cells", value=percent)
        return None
    return cells


def _refuse_contradictions(intensity: str, completeness: str, cells: Fraction, problems: Problems) -> None:
    if (intensity == "none") != (completeness == "none"):
        problems.add(
            f"intensity '{intensity}' and completeness '{completeness}' contradict each other",
            "Staining has both, or neither: give 'none' in both columns, or in none of them.",
            column="completeness",
            value=completeness,
        )
    elif intensity == "none" and cells not in (0, 100):
        problems.add(
            "no staining cannot be a pattern of some cells only",
            "Describe the cells that do stain; for an unstained specimen give 0 or leave the percentage blank.",
            column="percent_cells",
            value=shown(cells),
        )
    elif intensity != "none" and cells == 0:
        problems.add(
            "a staining pattern must be seen in some cells",
            "Give its percentage, or 'none' for intensity and completeness.",
            column="percent_cells",
            value=shown(cells),
        )


def score_ihc(
    patterns: Staining | Sequence[Staining], *, ish: str = "", edition_name: str | Edition = CURRENT
) -> IhcCall:
    """Score a specimen.

    Args:
        patterns: what was seen, one or several patterns of different cells; their percentages add up to 100 at most,
            and what is missing is unstained.
        ish: "positive", "negative" or blank; settles the category of a 2+.
        edition_name: edition of the guideline.

    Returns:
        Exactly one call, with its reason.

    Raises:
        InputError: for an unknown edition.

    Example:
        >>> score_ihc(staining("intense", "complete", 10)).score
        '2+'
        >>> score_ihc(staining("intense", "complete", "10.1")).score
        '3+'
    """
    rules = edition_name if isinstance(edition_name, Edition) else edition(edition_name)
    seen = [patterns] if isinstance(patterns, Staining) else list(patterns)
    percent = {k: sum((s.percent for s in seen if _class(s, rules) >= k), Fraction(0)) for k in (1, 2, 3)}
    score, reason = _score(percent, rules)
    caution = _caution(seen, rules)
    return IhcCall(score, _CALLS[score], reason, _category(score, percent[1], ish, rules), caution)


def _class(pattern: Staining, rules: Edition) -> int:
    return rules.ihc.classes.get(pattern.pattern, 0)


def _score(percent: dict[int, Fraction], rules: Edition) -> tuple[str, str]:
    """The score of cumulated percentages: the highest class in enough cells, or one step below a class in too few."""
    for k in (3, 2, 1):
        cells, needed = percent[k], rules.ihc.share[k]
        seen = f"{_WORDS[k]}{' or stronger' if k < 3 else ''} in {shown(cells).removesuffix('.0')} % of cells"
        if needed.met(cells):
            return f"{k}+", f"{seen}, {needed.text} %"
        if cells > 0:
            below = str(k - 1) + ("+" if k > 1 else "")
            if k > 1 and rules.ihc.share[k - 1].met(percent[k - 1]) and percent[k - 1] > cells:
                continue
            return below, f"{seen} only, {needed.compared(cells)} %"
    return "0", "no membrane staining"


def _category(score: str, stained: Fraction, ish: str, rules: Edition) -> str:
    if not rules.ish.work_up:  # HER2-low and ultralow are defined on the scores of 2018
        return ""
    if score == "3+" or ish == "positive":
        return "HER2-positive"
    if score == "2+" and not ish:
        return "2+, ISH decides"
    if score in ("1+", "2+"):
        return "HER2-low"
    return "HER2-ultralow" if stained > 0 else "HER2-null"


def _caution(seen: Sequence[Staining], rules: Edition) -> str:
    notes = []
    unusual = [s.pattern for s in seen if s.pattern in rules.ihc.beyond_words]
    if unusual:
        notes.append(f"the {rules.name} edition has no words for {' and '.join(unusual)} staining; nearest class taken")
    complete = sum((s.percent for s in seen if _class(s, rules) >= 2), Fraction(0))
    step = [s.pattern for s in seen if _class(s, rules) == 2 and not rules.ihc.share[2].met(complete)]
    if step:
        notes.append(
            f"the {rules.name} edition has no words for {' and '.join(step)} staining in so few cells; one step below "
            "2+ taken"
        )
    return "; ".join(notes)
