"""Sweeps and gradients of an ADC's design in a mouse with a tumour of antigen-positive and -negative cells.

Every point of a sweep is a lane of one batch: one model, other parameters. What is reported is the log10 of cells
lost against the untreated tumour at the same time, for positive cells, negative cells and the whole tumour; a design
is good if the tumour's is high, and a mixed tumour is only as good as its negative part.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from her2pkpd.dosing import Add, compile_segments
from her2pkpd.engine import Batch, Directions, Options, solve
from her2pkpd.errors import ComputationError, InputError, Problem
from her2pkpd.library import Conjugate, Drug, load_parameters
from her2pkpd.mechanisms.disposition import central
from her2pkpd.mechanisms.krogh import place
from her2pkpd.mechanisms.population import count
from her2pkpd.model import Model
from her2pkpd.systems.tumour import shells
from her2pkpd.systems.xenograft import MOUSE_WEIGHT, xenograft_model

POSITIVE, NEGATIVE = "positive", "negative"
READ = (POSITIVE, NEGATIVE, "tumour")

KNOBS = ("DAR", "cleavage", "deconjugation", "permeability", "kc50", "HER2", "positive_share", "dose")
"""What a sweep may vary. DAR, cleavage (1/h), deconjugation (1/h), HER2 (copies/cell of positive cells) and kc50 (nM)
are values; permeability is a factor on the payload's kin and kout; dose is in mg/kg."""

DIFFERENTIABLE = ("DAR", "cleavage", "deconjugation", "permeability", "kc50", "HER2")


@dataclass(frozen=True)
class Setting:
    """The mouse a design is judged in.

    Attributes:
        positive_share: share of antigen-positive cells.
        HER2: of a positive cell, copies/cell; negative cells have none.
        dose: mg/kg, once at time zero.
        days: when the tumour is judged.
        volume: of the tumour at the start, L.
        shells: number of shells; 0 for the two zones.
        equal_payload: keep the dose of payload instead of that of antibody when DAR changes.
        options: tolerances.
    """

    positive_share: float = 0.5
    HER2: float = 1e6
    dose: float = 3.0
    days: float = 21.0
    volume: float = 2e-4
    shells: int = 0
    equal_payload: bool = False
    options: Options = Options(rtol=1e-6, atol=1e-9)


def sweep(adc: Drug, grid: Mapping[str, Sequence[float]], setting: Setting | None = None) -> pd.DataFrame:
    """Every combination of a grid of design values.

    Args:
        adc: the conjugate to start from; what the grid does not name stays as it is.
        grid: values by knob, see `KNOBS`.
        setting: the mouse.

    Returns:
        One row per combination: the knobs, and the log10 loss of ``positive`` and ``negative`` cells and of the whole
        ``tumour`` against the untreated one.

    Raises:
        InputError: for a knob there is not, or a value an ADC cannot have.
        ComputationError: if a lane failed.
    """
    setting = setting or Setting()
    _check(adc, grid)
    points = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    model, batch = _batch(adc, points, setting)
    found = solve(batch, setting.options)
    if not found.ok.all():
        raise ComputationError(f"{int((~found.ok).sum())} of {len(points)} designs failed: {found.status_counts()}")
    cells = _cells(model, found.y[:, -1])
    lost = np.log10(cells[len(points) :] / cells[: len(points)])
    return pd.DataFrame(points).assign(**dict(zip(READ, lost.T, strict=True)))


def gradient(adc: Drug, knobs: Sequence[str] = DIFFERENTIABLE, setting: Setting | None = None) -> pd.DataFrame:
    """How the logarithm of surviving cells moves with the logarithm of each knob, at the ADC as it is.

    Args:
        adc: the conjugate.
        knobs: of `DIFFERENTIABLE`; those the ADC lacks (cleavage of a linker that is not) are left out.
        setting: the mouse.

    Returns:
        One row per knob, columns ``positive``, ``negative`` and ``tumour``: d log(cells)/d log(knob), exact derivatives
        of the engine. Negative: more of it kills more.
    """
    setting = setting or Setting()
    if unknown := [k for k in knobs if k not in DIFFERENTIABLE]:
        raise InputError(Problem("is not differentiable", f"Use: {', '.join(DIFFERENTIABLE)}.", value=unknown[0]))
    model, batch = _batch(adc, [{}], setting)
    targets = {k: [t for t in _targets(adc, k) if t in model.parameter_index] for k in knobs}
    targets = {k: t for k, t in targets.items() if t}
    columns = [model.parameter_index[t] for names in targets.values() for t in names]
    found = solve(batch, setting.options, Directions(tuple(columns)))
    assert found.dy is not None
    cells = _cells(model, found.y[:1, -1])[0]
    slopes = _cells(model, np.moveaxis(found.dy[0, -1], -1, 0))
    values = batch.parameters[0, columns]
    elastic = slopes * values[:, None] / cells
    rows, at = {}, 0
    for knob, names in targets.items():
        rows[knob] = elastic[at : at + len(names)].sum(axis=0)
        at += len(names)
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(READ)).rename_axis("knob")


def best(found: pd.DataFrame, by: str = "tumour") -> pd.Series:
    """The row of a sweep with the greatest loss of ``tumour``, ``positive`` or ``negative`` cells."""
    return found.loc[found[by].idxmax()]


def _molecule(adc: Drug) -> Conjugate:
    if adc.conjugate is None:
        raise InputError(Problem("is not an ADC", "Design starts from a drug of kind adc.", value=adc.name))
    return adc.conjugate


def _check(adc: Drug, grid: Mapping[str, Sequence[float]]) -> None:
    molecule, problems = _molecule(adc), []
    for knob, values in grid.items():
        if knob not in KNOBS:
            problems.append(Problem("is not a knob of an ADC", f"Use: {', '.join(KNOBS)}.", value=knob))
        elif knob == "cleavage" and not molecule.linker.cleavable:
            problems.append(Problem("the linker is not cleavable", "Start from one that is.", value=knob))
        elif knob == "DAR" and any(not 0 < v <= molecule.sites for v in values):
            rule = f"DAR must be above zero and at most the number of sites, {molecule.sites}"
            problems.append(Problem(rule, "An antibody cannot carry more payloads than it has sites.", column="DAR"))
        elif knob == "positive_share" and any(not 0 < v < 1 for v in values):
            problems.append(Problem("a share must lie between 0 and 1", "Correct the grid.", column=knob))
        elif any(v < 0 for v in values):
            problems.append(Problem("must not be negative", "Correct the grid.", column=knob))
    if problems:
        raise InputError(problems)


def _targets(adc: Drug, knob: str) -> list[str]:
    """Parameters a knob moves together."""
    payload = _molecule(adc).payload.name
    if knob == "permeability":
        return [f"{payload}.permeability"]
    if knob == "kc50":
        return [f"{x}.{payload}.kc50" for x in (POSITIVE, NEGATIVE)]
    if knob == "HER2":
        return [f"{POSITIVE}.HER2"]
    plasma = [f"{adc.name}.deconjugation_plasma"] if knob == "deconjugation" else []
    return [f"{adc.name}.{knob}", *plasma]


def _batch(adc: Drug, points: Sequence[Mapping[str, float]], setting: Setting) -> tuple[Model, Batch]:
    """Treated lanes, one per point, then their untreated twins."""
    molecule, table = _molecule(adc), load_parameters()
    payload = molecule.payload.name
    own = {"doubling_time": table["tumour.mouse.doubling_time"].canonical}
    if (key := f"tumour.mouse.{payload}.kmax") in table:
        own[f"{payload}.kmax"] = table[key].canonical
    share = setting.positive_share
    populations = {
        POSITIVE: {**own, "HER2": setting.HER2, "share": share},
        NEGATIVE: {**own, "HER2": 0.0, "share": 1.0 - share},
    }
    model = xenograft_model([adc], populations, shells(setting.shells), volume=setting.volume)
    p = np.array([_parameters(model, adc, point) for point in points])
    lanes = [[Add(0.0, central(adc.name), _nmol(adc, point, setting))] for point in points]
    segments = compile_segments(model, [*lanes, *[[]] * len(points)], start=0.0, stop=24.0 * setting.days)
    return model, Batch(model, np.vstack([p, p]), segments, np.array([24.0 * setting.days]))


def _parameters(model: Model, adc: Drug, point: Mapping[str, float]) -> np.ndarray:
    values: dict[str, float] = {}
    for knob, value in point.items():
        if knob == "positive_share":
            values |= {f"{POSITIVE}.share": value, f"{NEGATIVE}.share": 1.0 - value}
        elif knob != "dose":
            values |= dict.fromkeys(_targets(adc, knob), value)
    return model.parameter_vector(values)


def _nmol(adc: Drug, point: Mapping[str, float], setting: Setting) -> float:
    nmol = point.get("dose", setting.dose) * MOUSE_WEIGHT / adc.molar_mass.canonical * 1e6
    own = _molecule(adc).DAR.canonical
    return nmol * (own / point.get("DAR", own) if setting.equal_payload else 1.0)


def _cells(model: Model, y: np.ndarray) -> np.ndarray:
    """Cells (or their derivatives) of positive, negative and all populations; `y` (..., species)."""
    number = sum(n.startswith(count(POSITIVE)) for n in model.species_index)
    sums = [
        sum(y[..., model.species_index[count(f"{x}{place(i)}")]] for i in range(1, number + 1))
        for x in (POSITIVE, NEGATIVE)
    ]
    return np.stack([*sums, sums[0] + sums[1]], axis=-1)


def variant(adc: Drug, name: str, payload: Drug) -> Drug:
    """The conjugate with the exchange rates of another payload: what a charge would do to its permeability.

    Args:
        adc: the conjugate.
        name: name of the new drug.
        payload: the payload whose ``kin`` and ``kout`` it gets.
    """
    molecule = _molecule(adc)
    if payload.payload is None:
        raise InputError(Problem("is not a payload", "Use a drug of kind payload.", value=payload.name))
    swapped = {k: payload.payload.constants[k] for k in ("kin", "kout")}
    carried = replace(molecule.payload, constants={**molecule.payload.constants, **swapped})
    return replace(adc, name=name, conjugate=replace(molecule, payload=carried))
