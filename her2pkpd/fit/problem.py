"""From settings to an objective: data read, lanes laid out, every estimated name resolved against the model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from her2pkpd.engine import Options
from her2pkpd.engine.select import EngineName
from her2pkpd.errors import InputError, Problems
from her2pkpd.fit.design import POPULATION, Design, make_design
from her2pkpd.fit.library_priors import known_quantities
from her2pkpd.fit.metrics import Metric, curve_signals, unique_curves
from her2pkpd.fit.objective import Objective, Observation
from her2pkpd.fit.parameters import Estimate, FreeParameters, Prior
from her2pkpd.fit.settings import EstimateSettings, FitSettings, read_fit_settings
from her2pkpd.fit.transform import Scale
from her2pkpd.fit.wells import read_source, treatments_of
from her2pkpd.library import Library, Quantity
from her2pkpd.model import Model
from her2pkpd.settings import nearest
from her2pkpd.units import quantity

SCALE_TARGET = "scale"
"""Estimate of this name multiplies every read-out of a lane (the error of a plate's normalisation)."""


@dataclass
class FitProblem:
    """Everything a fit needs.

    Attributes:
        settings: what the user wrote.
        objective: residuals and their Jacobian.
        observations: measured wells.
        metrics: published metrics.
    """

    settings: FitSettings
    objective: Objective
    observations: list[Observation]
    metrics: list[Metric]

    @property
    def model(self) -> Model:
        """The well all lanes share."""
        return self.objective.design.model


def load_problem(path: str | Path) -> FitProblem:
    """Read a ``fit.toml`` and everything it names.

    Raises:
        InputError: listing everything wrong with the settings, or with a data file.
    """
    settings = read_fit_settings(path)
    observations: list[Observation] = []
    metrics: list[Metric] = []
    split = {column for e in settings.estimates for column in e.per or ()} & {"plate", "replicate"}
    for source in settings.data:
        wells, published = read_source(source, settings.library, split=split)
        observations += wells
        metrics += published
    return make_problem(settings, observations, metrics)


def make_problem(settings: FitSettings, observations: Sequence[Observation], metrics: Sequence[Metric]) -> FitProblem:
    """Lay out lanes and unknowns for given data; see `load_problem`."""
    drugs, lines = treatments_of(observations, metrics)
    problems = Problems(str(settings.path))
    if not drugs:
        problems.add("the data hold no treated well", "Check the files and the drugs chosen in [[data]].")
        problems.raise_any()
    signals = [o.signal for o in observations] + [s for m in unique_curves(metrics) for s in curve_signals(m)]
    library = settings.library
    cell_lines = {name: library.cell_line(name) for name in lines}
    design = make_design(signals, [library.drug(d) for d in drugs], cell_lines, volume=settings.volume)
    _fix(design, settings, problems)
    _check_noise(settings, observations, problems)
    published = known_quantities([library.drug(d) for d in drugs])
    estimates = [_resolve(e, design, library, published, problems) for e in settings.estimates]
    problems.raise_any()
    free = FreeParameters([e for e in estimates if e is not None], design.rows)
    _check_reach(free, settings, problems)
    problems.raise_any()
    options = Options(rtol=settings.method.rtol, atol=settings.method.rtol * 1e-2)
    objective = Objective(
        design, free, observations, metrics, dict(settings.noise), settings.metric_noise, options,
        cast(EngineName, settings.method.engine),
    )  # fmt: skip
    return FitProblem(settings, objective, list(observations), list(metrics))


def _fix(design: Design, settings: FitSettings, problems: Problems) -> None:
    """Give the parameters of ``[parameters]`` their values, one line's own after those meant for all lines."""
    values: dict[str, float] = {}
    for name, text in settings.overrides.items():
        key = f"parameters.{name}"
        name = settings.library.spelt(name)  # noqa: PLW2901 - the library's spelling
        found = design.column(name)
        if found is None:
            _unknown(name, design, key, problems)
            continue
        parameter = design.model.parameters[found[0]]
        value = _value(text, parameter.unit, key, problems)
        if value is None:
            continue
        if not parameter.lower <= value <= parameter.upper:
            rule = f"must lie between {parameter.lower:g} and {parameter.upper:g}"
            problems.add(rule, "Correct the number.", column=key, value=text)
            continue
        values[name] = value
    for name in sorted(values, key=lambda n: (design.column(n) or (0, None))[1] is not None):
        design.fix(name, values[name])


def _unknown(name: str, design: Design, key: str, problems: Problems) -> None:
    own = [p.name.removeprefix(f"{POPULATION}.") for p in design.model.parameters]
    known = [n for n in own if n != "seeded"]
    problems.add("is not a parameter of this well", nearest(name, [*known, SCALE_TARGET]), column=key)


def _check_noise(settings: FitSettings, observations: Sequence[Observation], problems: Problems) -> None:
    """Log-normal noise knows no zero and no negative value, so neither may be measured or predicted.

    A limit has no closed form beside an unknown factor of its plate.
    """
    grouped = {name: noise.scale or noise.offset for name, noise in settings.noise.items() if noise.grouped}
    for o in observations:
        if o.signal.readout in grouped and o.censoring != "none":
            rule = f"a limit, as in row {dict(o.label).get('row', '?')} of the data, needs a known scale and offset"
            column = grouped[o.signal.readout]
            remedy = f'Use [estimate.scale] with per = "{column}" instead, or leave the well out.'
            problems.add(rule, remedy, column=f"noise.{o.signal.readout}", value=o.value)
    skewed = {name for name, noise in settings.noise.items() if noise.kind == "log-normal"}
    if "gr" in skewed:
        rule = "log-normal noise needs positive values, and GR values may be negative"
        problems.add(rule, 'Use kind = "normal" or "student-t".', column="noise.gr.kind", value="log-normal")
    for o in observations:
        known = o.upper if o.censoring == "interval" else o.value
        if o.signal.readout in skewed and known <= 0:
            rule = (
                f"log-normal noise needs positive values, which row {dict(o.label).get('row', '?')} of the data is not"
            )
            remedy = 'Use kind = "normal" or "student-t", or leave the well out.'
            problems.add(rule, remedy, column=f"noise.{o.signal.readout}.kind", value=o.value)


def _resolve(
    e: EstimateSettings, design: Design, library: Library, published: Mapping[str, Quantity], problems: Problems
) -> Estimate | None:
    key = f"estimate.{e.name}"
    target, where = SCALE_TARGET, e.where
    if e.target != SCALE_TARGET:
        found = design.column(library.spelt(e.target))
        if found is None:
            _unknown(e.target, design, key, problems)
            return None
        index, line = found
        target, where = design.model.parameters[index].name, (*where, ("cell_line", (line,))) if line else where
    own = target == SCALE_TARGET or target.startswith(f"{POPULATION}.")
    per = e.per if e.per is not None else (("cell_line",) if own and where == e.where else ())
    unit, default, limits = _parameter(target, design.model)
    values = {k: _value(getattr(e, k), unit, f"{key}.{k}", problems) for k in ("lower", "upper", "start")}
    lower = values["lower"] if values["lower"] is not None else limits[0]
    upper = values["upper"] if values["upper"] is not None else limits[1]
    scale = cast(Scale, e.scale or ("logit" if unit == "1" and (lower, upper) == (0.0, 1.0) else "log"))
    start = (
        values["start"]
        if values["start"] is not None
        else (_value(e.prior[0], unit, key, problems) if e.prior else default)
    )
    prior = _published_prior(target, published, scale, f"{key}.prior", problems) if e.library_prior else None
    if prior is not None and values["start"] is None:
        start = prior.median
    if e.prior and (median := _value(e.prior[0], unit, f"{key}.prior.median", problems)) is not None:
        prior = Prior(median, e.prior[1])
    estimate = Estimate(
        target, e.name, per, scale, lower, upper, float(start or 0.0), prior, _pool(e, scale), unit, where, e.hierarchy
    )
    return estimate if _sensible(estimate, key, problems) else None


def _pool(e: EstimateSettings, scale: Scale) -> float | None:
    """Spread of pooled copies; where it is estimated, the scale of its prior: a factor of two, or one unit."""
    return (2.0 if scale == "log" else 1.0) if e.hierarchy else e.pooled


def _published_prior(
    target: str, published: Mapping[str, Quantity], scale: Scale, key: str, problems: Problems
) -> Prior | None:
    """The library's value and spread as a prior."""
    found = published.get(target)
    remedy = "Write prior = { median = ..., spread = ... } instead."
    if found is None:
        problems.add("the library holds no common value of this parameter", remedy, column=key, value="library")
    elif not found.log_sd or found.canonical <= 0:
        problems.add("the library gives no spread for this parameter", remedy, column=key, value="library")
    elif scale != "log":
        problems.add("a prior from the library needs a log scale", 'Add scale = "log".', column=key, value="library")
    else:
        return Prior(found.canonical, float(np.exp(found.log_sd)))
    return None


def _parameter(target: str, model: Model) -> tuple[str, float, tuple[float, float]]:
    """Unit, default, and default bounds: three decades around the default, or 0 to 1 for fractions."""
    if target == SCALE_TARGET:
        return "1", 1.0, (0.3, 3.0)
    parameter = model.parameters[model.parameter_index[target]]
    if target.removeprefix(f"{POPULATION}.") in ("w", "a_li", "a_egfr"):
        return parameter.unit, parameter.value, (0.0, 1.0)
    return parameter.unit, parameter.value, (parameter.value * 1e-3, parameter.value * 1e3)


def _value(text: str | float | None, unit: str, key: str, problems: Problems) -> float | None:
    if text is None:
        return None
    try:
        return quantity(text, unit)
    except InputError as error:
        for p in error.problems:
            problems.add(p.rule, p.remedy, column=key, value=text)
        return None


def _sensible(e: Estimate, key: str, problems: Problems) -> bool:
    before = len(problems.found)
    if not e.lower < e.upper:
        problems.add("lower must be below upper", "Widen the bounds.", column=key, value=(e.lower, e.upper))
    if e.scale == "log" and e.lower <= 0:
        problems.add(
            "a log scale needs a positive lower bound",
            'Raise lower, or use scale = "linear".',
            column=key,
            value=e.lower,
        )
    for column, spread in (("prior.spread", e.prior and e.prior.spread), ("pooled", e.pooled)):
        if e.scale == "log" and spread is not None and spread <= 1:
            remedy = "Give the fold that one standard deviation spans, such as 2."
            problems.add("must be above 1 on a log scale", remedy, column=f"{key}.{column}", value=spread)
    if not e.lower <= e.start <= e.upper:
        problems.add("the start must lie within the bounds", "Move start or the bounds.", column=key, value=e.start)
    if e.prior and not e.lower <= e.prior.median <= e.upper:
        problems.add(
            "the prior median must lie within the bounds", "Move it or the bounds.", column=key, value=e.prior.median
        )
    return len(problems.found) == before


def _check_reach(free: FreeParameters, settings: FitSettings, problems: Problems) -> None:
    for estimate, index in zip(free.estimates, free.index, strict=True):
        if not np.any(index >= 0):
            problems.add(
                "reaches no well of the data",
                "Check [estimate] where, or remove the entry.",
                column=f"estimate.{estimate.name}",
            )
