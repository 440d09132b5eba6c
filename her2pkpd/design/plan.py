"""`plan_plate`: from a fit and a budget of wells to the plate that tells most, and what it gains on the usual one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from her2pkpd.design.candidates import Candidates, candidates, noise_levels, usual_counts
from her2pkpd.design.criteria import Criterion, Pool, widths
from her2pkpd.design.exchange import Choice, choose
from her2pkpd.design.layout import lay_out
from her2pkpd.design.settings import DesignSettings, dose_series, read_design_settings
from her2pkpd.errors import Problems
from her2pkpd.fit.finished import read_estimate
from her2pkpd.fit.metrics import Metric
from her2pkpd.fit.objective import Observation
from her2pkpd.fit.optimise import multi_start
from her2pkpd.fit.problem import FitProblem, make_problem
from her2pkpd.fit.settings import FitSettings, read_fit_settings
from her2pkpd.fit.wells import read_source, treatments_of
from her2pkpd.settings import nearest


@dataclass(frozen=True)
class Plan:
    """A proposed plate.

    Attributes:
        settings: the fit it starts from.
        design: what the plate may be made of.
        candidates: every kind of well considered.
        choice: wells of each kind.
        usual: wells of each kind in the usual series: half of its doses above the IC50, read at three days.
        best_usual: the same at the highest dose and time that serve the criterion best.
        best_place: where that is.
    """

    settings: FitSettings
    design: DesignSettings
    candidates: Candidates
    choice: Choice
    usual: np.ndarray
    best_usual: np.ndarray
    best_place: str

    @property
    def wells(self) -> pd.DataFrame:
        """Kinds chosen: ``cell_line, drug, concentration, unit[, drug_2 ...], time, time_unit, readout, wells``."""
        return _kinds(self.candidates, self.choice.counts)

    @property
    def usual_wells(self) -> pd.DataFrame:
        """The same of the usual series."""
        return _kinds(self.candidates, self.usual)

    @property
    def plate(self) -> pd.DataFrame:
        """One row a well, where it lies on which plate, untreated wells included; `value` is to be filled in."""
        return lay_out(self.wells, self.design)

    @property
    def gain(self) -> pd.DataFrame:
        """Expected 95 % intervals: ``parameter, target, before, usual, best_usual, proposed, narrower``.

        Intervals are folds from end to end for what is estimated on a log scale, and widths of log odds, or plain
        ones, for the rest; `narrower` is the part of the width (of the logarithm, for folds) saved over the usual
        plate.
        """
        own = self.candidates
        counts = (np.zeros(own.pool.size, dtype=int), self.usual, self.best_usual, self.choice.counts)
        before, usual, best, proposed = (widths(own.pool.information(c), own.widths) for c in counts)
        rows = [
            (name, name in self.design.target, before[i], usual[i], best[i], proposed[i], 1 - proposed[i] / usual[i])
            for i, name in enumerate(own.names)
        ]
        return pd.DataFrame(rows, columns="parameter target before usual best_usual proposed narrower".split())

    def __repr__(self) -> str:
        gain = self.gain
        shown = gain.loc[gain["target"], :] if self.design.target else gain
        usual = "than by the usual series"
        lines = [
            f"Plate of {self.design.wells} treated wells, {int(np.sum(self.choice.counts > 0))} kinds"
            + (f", at least {self.choice.efficiency:.0%} efficient" if self.choice.efficiency > 0.5 else ""),
            *(
                f"  {name}: expected interval {abs(part):.0%} {'narrower' if part >= 0 else 'wider'} {usual}"
                for name, part in zip(shown["parameter"], shown["narrower"], strict=True)
            ),
        ]
        return "\n".join(lines)


def plan_plate(
    path: str | Path, *, progress: Callable[[int, int], None] | None = None, draws: pd.DataFrame | None = None
) -> Plan:
    """Plan the next plate of a fit.

    Args:
        path: a ``fit.toml`` with a table ``[design]``.
        progress: called after every start of the search with (done, planned).
        draws: coordinates of the unknowns from a posterior, one column each; without them the criterion is averaged
            over the normal approximation around the estimate.

    Returns:
        The `Plan`.

    Raises:
        InputError: listing everything wrong with settings or data.
        ComputationError: if no candidate could be computed.
    """
    settings = read_fit_settings(path)
    design = read_design_settings(settings)
    read = [read_source(source, settings.library) for source in settings.data]
    observations = [o for wells, _ in read for o in wells]
    metrics = [m for _, own in read for m in own]
    design = _filled(design, settings, observations, metrics)
    earlier = make_problem(settings, observations, metrics) if observations or metrics else None
    fitted = _estimate(earlier, design)
    _check_spread(design, settings, fitted)
    found = candidates(settings, design, observations, metrics, fitted, earlier, draws)
    targets = _targets(design, found, settings)
    return _choose(settings, replace(design, target=targets), found, progress)


def _filled(
    design: DesignSettings, settings: FitSettings, observations: Sequence[Observation], metrics: Sequence[Metric]
) -> DesignSettings:
    """What the settings leave out, taken from the data."""
    drugs, lines = treatments_of(observations, metrics)
    doses = dict(design.doses) or {d: own for d in drugs if (own := _usual_doses(d, observations, metrics))}
    times = design.times or tuple(sorted({o.signal.time for o in observations} | {m.time for m in metrics}))
    readouts = design.readouts or tuple(dict.fromkeys(o.signal.readout for o in observations)) or ("viability",)
    lines = list(design.cell_lines) or lines
    problems = Problems(str(settings.path))
    for what, found, example in (
        ("drug", doses, "[[design.drug]] with name, lowest and highest"),
        ("cell_lines", lines, 'cell_lines = ["SK-BR-3"]'),
        ("times", times, 'times = ["72 h"]'),
    ):
        if not found:
            rule = "is missing, and there are no data to take it from"
            problems.add(rule, f"Add {example}.", column=f"design.{what}")
    for pair in design.combinations:
        for name in pair:
            if doses and name not in doses:
                rule, remedy = f"'{name}' has no doses", "Add a [[design.drug]] of this name."
                problems.add(rule, remedy, column="design.combinations")
    problems.raise_any()
    return replace(design, doses=doses, times=times, readouts=readouts, cell_lines=tuple(lines))


def _usual_doses(drug: str, observations: Sequence[Observation], metrics: Sequence[Metric]) -> tuple[float, ...]:
    """The range of the data, a half-log step wider on each side, at least the usual series' 3.5 decades."""
    given = [nM for o in observations for d, nM in o.signal.treatment.doses if d == drug]
    given += [m.top for m in metrics if m.drug == drug]
    if not given:
        return ()
    high = max(given)
    return dose_series(min(min(given) / 10**0.5, high / 10**3.5), high, 4)


def _estimate(earlier: FitProblem | None, design: DesignSettings) -> dict[str, float]:
    """Coordinates of the fit's unknowns by name: of the finished fit named, or of one made now."""
    if design.fit is not None:
        return read_estimate(design.fit, "design.fit")
    if earlier is None:
        return {}
    method = earlier.settings.method
    best = multi_start(
        earlier.objective, starts=method.starts, seed=method.seed, max_evaluations=method.max_evaluations
    ).best
    return dict(zip(earlier.objective.names, map(float, best.u), strict=True))


def _check_spread(design: DesignSettings, settings: FitSettings, fitted: Mapping[str, float]) -> None:
    problems = Problems(str(settings.path))
    for readout in design.readouts:
        unknown = [k for k, v in noise_levels(readout, design, settings, fitted).items() if v is None]
        if unknown:
            rule = f"the scatter of {readout} ({' and '.join(unknown)}) is not known, and no data tell it"
            remedy = f"Give [noise.{readout}] {unknown[0]} = 0.05, or [design.sd] {readout} = 0.05."
            problems.add(rule, remedy, column="design.sd")
    problems.raise_any()


def _targets(design: DesignSettings, found: Candidates, settings: FitSettings) -> tuple[str, ...]:
    """Names of the unknowns meant; the name of an entry means all its copies."""
    problems, names = Problems(str(settings.path)), list[str]()
    for target in design.target:
        own = settings.library.spelt(target)
        matching = [n for n in found.names if own in (n, n.split(".", 1)[-1]) or n.endswith(f".{own}")]
        exact = [n for n in matching if n == own]
        if not matching:
            problems.add("is not estimated", nearest(target, found.names), column="design.target", value=target)
        names += exact or matching
    problems.raise_any()
    return tuple(dict.fromkeys(names))


def _choose(
    settings: FitSettings, design: DesignSettings, found: Candidates, progress: Callable[[int, int], None] | None
) -> Plan:
    criterion = Criterion(tuple(found.names.index(t) for t in design.target))
    usual = {k: usual_counts(at, found.pool.size, design.wells) for k, at in found.series.items()}
    place = max(usual, key=lambda k: criterion.value(found.pool.information(usual[k])))
    free = np.flatnonzero(found.free)
    own = choose(
        Pool(found.pool.rows[:, free], found.pool.known), design.wells, criterion, most=design.most, progress=progress
    )
    counts = np.zeros(found.pool.size, dtype=int)
    counts[free] = own.counts
    return Plan(settings, design, found, replace(own, counts=counts), usual[found.common], usual[place], place)


def _kinds(found: Candidates, counts: np.ndarray) -> pd.DataFrame:
    rows = []
    for well, n in zip(found.wells, counts, strict=True):
        if n:
            doses = {}
            for k, (drug, nM) in enumerate(well.treatment.doses, start=1):
                tail = "" if k == 1 else f"_{k}"
                doses |= {f"drug{tail}": drug, f"concentration{tail}": nM, f"unit{tail}": "nM"}
            rows += [
                {"cell_line": well.treatment.cell_line, **doses, "time": t, "time_unit": "h", "readout": well.readout,
                 "wells": int(n)}
                for t in well.times
            ]  # fmt: skip
    frame = pd.DataFrame(rows)
    order = [c for c in frame.columns if c.startswith(("drug", "concentration", "unit"))]
    texts = {c: "" for c in order if c.startswith("drug_")}
    frame = frame.reindex(columns=["cell_line", *order, "time", "time_unit", "readout", "wells"]).fillna(texts)
    sorting = ["cell_line", "readout", "time", *(c for c in order if not c.startswith("unit"))]
    return frame.sort_values(by=sorting, ignore_index=True)
