"""In situ hybridisation: from copies and ratio to a call.

The numbers are means over at least 20 invasive tumour cells, so tumour purity has no part in them. Groups are those
of the 2018 edition; they name a place in the plane of ratio and copies and are given for every edition.
"""

from dataclasses import dataclass, replace
from fractions import Fraction

from her2pkpd.assays.editions import CURRENT, MINIMUM_NUCLEI, SECOND_POPULATION_PERCENT, Edition, edition
from her2pkpd.assays.exact import shown

PERFORM_IHC = "perform IHC"
"""Call of a group 2, 3 or 4 whose IHC is not known; the 2018 edition decides these by it."""
RECOUNT = "needs recount"
DUAL_PROBE = "perform dual-probe ISH"


@dataclass(frozen=True)
class Signals:
    """What an observer counted.

    Attributes:
        copies: mean HER2 signals per cell, exact; None where only a ratio is known (enough for 2007).
        ratio: HER2/CEP17, exact; None for a single probe.
    """

    copies: Fraction | None
    ratio: Fraction | None = None

    def __str__(self) -> str:
        ratio = f"ratio {shown(self.ratio)}" if self.ratio is not None else ""
        copies = f"{shown(self.copies)} HER2 copies/cell" if self.copies is not None else ""
        return " and ".join(filter(None, (ratio, copies)))


@dataclass(frozen=True)
class IshCall:
    """What the counts mean.

    Attributes:
        call: "positive", "negative", "negative with comment", "equivocal", "adjudicate", "needs recount",
            "perform dual-probe ISH" or "perform IHC".
        reason: why, in words.
        group: dual-probe group 1 to 5, or None for a single probe.
        caution: what the reader should know beside, or blank.
    """

    call: str
    reason: str
    group: int | None = None
    caution: str = ""


def ish_group(ratio: Fraction, copies: Fraction, rules: Edition | str = CURRENT) -> int:
    """The dual-probe group, 1 to 5.

    Args:
        ratio: HER2/CEP17.
        copies: mean HER2 copies per cell.
        rules: edition whose thresholds divide.

    Example:
        >>> [ish_group(Fraction(r), Fraction(c)) for r, c in (("2.0", 4), (2, "3.99"), ("1.995", 6), (1, 4), (1, 3))]
        [1, 2, 3, 4, 5]
    """
    limits = _rules(rules).ish
    amplified, gained = limits.ratio_positive.met(ratio), limits.copies_equivocal.met(copies)
    if amplified:
        return 1 if gained else 2
    if limits.copies_positive.met(copies):
        return 3
    return 4 if gained else 5


def dual_probe(
    counted: Signals, *, ihc: str = "", recount: Signals | None = None, rules: Edition | str = CURRENT
) -> IshCall:
    """Call a dual-probe case.

    Args:
        counted: copies and ratio of the first count; for 2007 the ratio alone suffices.
        ihc: score of the same tissue, "0", "1+", "0/1+", "2+", "3+" or blank.
        recount: copies and ratio of the blinded recount.
        rules: edition.

    Returns:
        Exactly one call.
    """
    rules = _rules(rules)
    ratio, copies = counted.ratio, counted.copies
    if ratio is None or (copies is None and rules.ish.ratio_equivocal is None):
        raise ValueError(f"a dual-probe case of {rules.name} needs its ratio and copies")
    group = None if copies is None else ish_group(ratio, copies, rules)
    if rules.ish.ratio_equivocal is not None:
        return IshCall(*_by_ratio(ratio, rules), group, _caution(group, ihc, recount, rules))
    assert copies is not None
    assert group is not None
    if not rules.ish.work_up:
        return IshCall(*_by_ratio_or_copies(ratio, copies, rules), group, _caution(group, ihc, recount, rules))
    where = _where(ratio, copies, group, rules)
    recounted = None
    if recount is not None and recount.ratio is not None and recount.copies is not None:
        recounted = ish_group(recount.ratio, recount.copies, rules)
    call, reason = call_of_group(group, ihc, recounted, rules)
    return IshCall(call, f"{where}: {reason}", group, _caution(group, ihc, recount, rules))


def call_of_group(
    group: int, ihc: str = "", recounted: int | None = None, rules: Edition | str = CURRENT
) -> tuple[str, str]:
    """Call and reason of a dual-probe group by the work-up of 2018.

    Args:
        group: 1 to 5.
        ihc: score of the same tissue, or blank.
        recounted: group of the blinded recount, or None.
        rules: an edition with a work-up.
    """
    if group in (1, 5):
        call = "positive" if group == 1 else "negative"
        return call, f"group {group} is {call}, whatever the IHC"
    table = _rules(rules).ish.work_up[group]
    if not ihc:
        return PERFORM_IHC, f"group {group} is decided by IHC of the same tissue, which is not given"
    if ihc != "2+":
        call = table["3+" if ihc == "3+" else "0/1+"]
        return call, f"group {group} with IHC {ihc} is {call}"
    if recounted is None:
        return RECOUNT, (
            f"group {group} with IHC 2+: a second observer, blinded to this count, counts at least {MINIMUM_NUCLEI} "
            "cells that include the area with 2+ staining"
        )
    if recounted != group:
        return "adjudicate", (
            f"group {group} with IHC 2+, but group {recounted} on recount: the result is settled by the laboratory's "
            "own procedure"
        )
    return table["confirmed"], f"group {group} with IHC 2+, confirmed by recount, is {table['confirmed']}"


def single_probe(
    copies: Fraction, *, ihc: str = "", dual_group: int | None = None, rules: Edition | str = CURRENT
) -> IshCall:
    """Call a single-probe case.

    Args:
        copies: mean HER2 copies per cell.
        ihc: score of the same tissue, or blank.
        dual_group: group of a dual-probe test of the same tissue, or None.
        rules: edition.

    Returns:
        Exactly one call.
    """
    rules = _rules(rules)
    limits = rules.ish
    seen = f"{shown(copies)} HER2 copies/cell"
    if limits.copies_positive.met(copies):
        return IshCall("positive", f"{seen}, {limits.copies_positive.text}", None, _single_caution(True, ihc))
    low = f"{seen}, {limits.copies_equivocal.compared(copies)}"
    if not limits.copies_equivocal.met(copies):
        return IshCall("negative", low, None, _single_caution(False, ihc))
    between = f"{low} and {limits.copies_positive.compared(copies)}"
    if not limits.work_up:
        return IshCall(*_older_single(between, dual_group))
    return IshCall(*_between(between, ihc, dual_group, rules))


def with_second_population(first: IshCall, second: IshCall, percent: Fraction) -> IshCall:
    """The call of a tumour with two populations, each counted by itself.

    Args:
        first: call of the main population.
        second: call of the other, from at least 20 of its own cells.
        percent: of tumour cells in the other; above 10 % it is reported by itself, and if it is positive so is the
            tumour.
    """
    share = f"second population of {shown(percent).removesuffix('.0')} % of cells"
    if percent <= SECOND_POPULATION_PERCENT:
        return replace(first, reason=f"{first.reason}; {share} is not above {SECOND_POPULATION_PERCENT} %")
    own = f"{share}, counted by itself, is {second.call} ({second.reason})"
    chosen = second if second.call == "positive" else first
    return replace(chosen, reason=f"main population: {first.reason}; {own}", caution="heterogeneous; report both")


def _between(between: str, ihc: str, dual_group: int | None, rules: Edition) -> tuple[str, str, None, str]:
    """4 to 6 copies by a single probe in 2018: IHC and the dual probe decide, and either suffices to be positive."""
    positive = [w for w, yes in ((f"IHC {ihc}", ihc == "3+"), ("dual-probe group 1", dual_group == 1)) if yes]
    negative = [
        w for w, yes in ((f"IHC {ihc}", ihc in ("0", "1+", "0/1+")), ("dual-probe group 5", dual_group == 5)) if yes
    ]
    if positive:
        caution = f"{' and '.join(negative)} disagrees; check both tests" if negative else ""
        return "positive", f"{between}, with {' and '.join(positive)}", None, caution
    if dual_group in (2, 3, 4):
        call, reason = call_of_group(dual_group, ihc, None, rules)
        return call, f"{between}; {reason}", None, ""
    if negative:
        return "negative", f"{between}, with {' and '.join(negative)}", None, ""
    given = f"IHC {ihc} does not settle it" if ihc else "neither IHC nor a dual-probe group is given"
    return DUAL_PROBE, f"{between}: {given}", None, ""


def _older_single(between: str, dual_group: int | None) -> tuple[str, str]:
    if dual_group is None or dual_group == 4:
        return "equivocal", between
    call = "negative" if dual_group == 5 else "positive"
    return call, f"{between}; dual-probe group {dual_group} is {call}"


def _by_ratio(ratio: Fraction, rules: Edition) -> tuple[str, str]:
    """2007: the ratio alone decides."""
    limits = rules.ish
    assert limits.ratio_equivocal is not None
    seen = f"ratio {shown(ratio)}"
    if limits.ratio_positive.met(ratio):
        return "positive", f"{seen}, {limits.ratio_positive.text}"
    low = f"{seen}, {limits.ratio_equivocal.compared(ratio)}"
    if limits.ratio_equivocal.met(ratio):
        return "equivocal", f"{low} and {limits.ratio_positive.compared(ratio)}"
    return "negative", low


def _by_ratio_or_copies(ratio: Fraction, copies: Fraction, rules: Edition) -> tuple[str, str]:
    """2013: a ratio or a copy number above its threshold is positive."""
    limits = rules.ish
    seen = f"ratio {shown(ratio)} {limits.ratio_positive.compared(ratio)}"
    if limits.ratio_positive.met(ratio):
        return "positive", f"{seen}, whatever the {shown(copies)} HER2 copies/cell"
    if limits.copies_positive.met(copies):
        return "positive", f"{seen}, but {shown(copies)} HER2 copies/cell {limits.copies_positive.text}"
    both = f"{seen} and {shown(copies)} HER2 copies/cell {limits.copies_equivocal.compared(copies)}"
    if limits.copies_equivocal.met(copies):
        return "equivocal", f"{both} and {limits.copies_positive.compared(copies)}"
    return "negative", both


def _where(ratio: Fraction, copies: Fraction, group: int, rules: Edition) -> str:
    limits = rules.ish
    text = f"ratio {shown(ratio)} {limits.ratio_positive.compared(ratio)}, {shown(copies)} HER2 copies/cell "
    if group == 3:
        return text + limits.copies_positive.text
    upper = f" and {limits.copies_positive.compared(copies)}" if group == 4 else ""
    return text + limits.copies_equivocal.compared(copies) + upper


def _caution(group: int | None, ihc: str, recount: Signals | None, rules: Edition) -> str:
    notes = []
    if recount is not None and (not rules.ish.work_up or group in (1, 5) or ihc != "2+"):
        notes.append("the recount was not needed and not used")
    if group == 5 and ihc == "3+":
        notes.append("IHC 3+ is positive by itself although ISH is negative: review both tests")
    if group == 1 and ihc in ("0", "1+", "0/1+"):
        notes.append(
            f"ISH positive with IHC {ihc}: consider lost epitopes (fixation, ischaemia), p95HER2 under an antibody to "
            "the extracellular domain, or a mix-up"
        )
    if group == 3:
        notes.append("copies are high while the ratio is low: the centromere may be gained together with HER2")
    return "; ".join(notes)


def _single_caution(positive: bool, ihc: str) -> str:
    if not positive and ihc == "3+":
        return "IHC 3+ is positive by itself although ISH is negative: review both tests"
    return f"ISH positive with IHC {ihc}: review both tests" if positive and ihc in ("0", "1+", "0/1+") else ""


def _rules(rules: Edition | str) -> Edition:
    return rules if isinstance(rules, Edition) else edition(rules)
