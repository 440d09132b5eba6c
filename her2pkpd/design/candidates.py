"""Every well a plate may hold, as lanes of one batch: their sensitivities at every draw, computed once."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from her2pkpd.design.criteria import Pool
from her2pkpd.design.settings import MOST_CANDIDATES, DesignSettings, dose_series
from her2pkpd.errors import ComputationError, Problems
from her2pkpd.fit.design import Signal, Treatment
from her2pkpd.fit.metrics import Metric
from her2pkpd.fit.noise import Noise, Spread, expected_information
from her2pkpd.fit.objective import Observation
from her2pkpd.fit.problem import FitProblem, make_problem
from her2pkpd.fit.settings import FitSettings

USUAL_DOSES = 8
USUAL_STEP = 10**0.5
"""What most laboratories run: eight doses in half-log steps."""

USUAL_TIME = 72.0
"""When most laboratories read viability, h."""

HELD = 0.25
"""Draws of what nothing is known about spread by this part of its bounds, either way."""


@dataclass(frozen=True)
class Well:
    """A kind of well: one treatment, read at one time, or at several where the reading leaves the cells alive."""

    treatment: Treatment
    times: tuple[float, ...]
    readout: str


@dataclass(frozen=True)
class Candidates:
    """All kinds of wells with what they tell.

    Attributes:
        wells: the kinds.
        free: (n_wells,) whether a plate may be made of it; the others belong to the usual series alone.
        series: the usual series, each the positions of its wells, by where it is placed.
        common: the one that most would run: half of its doses above the IC50, at the time nearest to three days.
        pool: sensitivities of all wells, (n_draws, n_wells, n_readings, n_unknowns), and the information there is.
        names: of the unknowns.
        widths: of the unknowns' bounds.
        u: (n_unknowns,) the estimate the draws surround.
        lost: candidates that could not be computed and are left out.
    """

    wells: list[Well]
    free: np.ndarray
    series: dict[str, np.ndarray]
    common: str
    pool: Pool
    names: list[str]
    widths: np.ndarray
    u: np.ndarray
    lost: int


def list_wells(design: DesignSettings, lines: Sequence[str], drugs: Sequence[str]) -> list[Well]:
    """Every line with every dose of every drug and pair, at every time, by every read-out."""
    treatments = [((drug, dose),) for drug in drugs for dose in design.doses[drug]]
    treatments += [
        tuple(sorted(((a, x), (b, y))))
        for a, b in design.combinations
        for x in design.doses[a]
        for y in design.doses[b]
    ]  # fmt: skip
    times = [design.times] if design.live else [(t,) for t in design.times]
    return [
        Well(Treatment(line, doses=doses), time, readout)
        for line in lines for readout in design.readouts for time in times for doses in treatments
    ]  # fmt: skip


def usual_series(design: DesignSettings, lines: Sequence[str]) -> dict[str, list[Well]]:
    """The usual series of every drug in every line at one time by the first read-out, by where it is placed.

    Its highest dose is the highest a plate may have, or any quarter-decade below it as long as the lowest dose stays
    in range; a range of less than eight half-log steps has the one series from its highest dose down.
    """
    spare = min(
        max(np.log10(d[-1] / d[0]) - (USUAL_DOSES - 1) * np.log10(USUAL_STEP), 0.0) for d in design.doses.values()
    )
    found = {}
    times = [design.times] if design.live else [(t,) for t in design.times]
    for shift, at in itertools.product(range(int(4 * spare + 1e-9) + 1), times):
        down = 10 ** (-shift / 4)
        found[f"at {'all times' if design.live else f'{at[0]:g} h'}, highest dose x {down:.2g}"] = [
            Well(Treatment(line, doses=((drug, dose),)), at, readout)
            for readout in design.readouts[:1] for line in lines for drug, doses in design.doses.items()
            for dose in dose_series(doses[-1] * down / (1.0001 * USUAL_STEP ** (USUAL_DOSES - 1)), doses[-1] * down, 2)
        ]  # fmt: skip
    return found


def usual_counts(series: np.ndarray, size: int, wells: int) -> np.ndarray:
    """(size,) a series with `wells` wells: equal replicates, what is left over one by one from the start."""
    counts = np.zeros(size, dtype=int)
    each, left = divmod(wells, len(series))
    counts[series] += each
    # Left-over wells are spread over the series rather than put on its first doses.
    counts[series[np.linspace(0, len(series) - 1, left).round().astype(int)]] += 1
    return counts


def candidates(
    settings: FitSettings,
    design: DesignSettings,
    observations: Sequence[Observation],
    metrics: Sequence[Metric],
    fitted: Mapping[str, float],
    earlier: FitProblem | None,
    draws: pd.DataFrame | None = None,
) -> Candidates:
    """Compute what every candidate tells at every draw of the parameters.

    Args:
        settings: the fit.
        design: the plate, with doses, lines, times and read-outs filled in.
        observations: the wells there are already.
        metrics: likewise.
        fitted: coordinates of the fit's unknowns by name; others start where the settings say.
        earlier: the problem of the data there are, or None.
        draws: coordinates of unknowns, a column each, instead of draws around the estimate.

    Raises:
        InputError: if there are too many candidates.
        ComputationError: if a draw's lanes fail altogether.
    """
    lines = list(design.cell_lines)
    listed = list_wells(design, lines, list(design.doses))
    usual = usual_series(design, lines)
    wells = list(dict.fromkeys([*listed, *(w for own in usual.values() for w in own)]))
    _check_size(len(wells), settings)
    signals = [Signal(w.treatment, t, w.readout) for w in wells for t in w.times]
    # Their values are never compared with anything.
    unread = [Observation(s, 1.0) for s in signals]
    plan = make_problem(settings, [*observations, *unread], metrics)
    objective = plan.objective
    names = objective.free.names
    # Where nothing is known a fraction starts in the middle, not on the bound it may have as a default.
    start = np.clip(objective.free.start(), *objective.free.start_box())
    u = np.array([fitted.get(n, x) for n, x in zip(names, start, strict=True)])
    low, high = objective.free.bounds()
    points = _draws(design, u, _known(plan, earlier, fitted, u), (low, high))
    if draws is not None:
        points = [u.copy() for _ in range(len(draws))]
        for i, name in enumerate(names):
            for point, value in zip(points, draws[name] if name in draws else [u[i]] * len(draws), strict=True):
                point[i] = value
    points = points or [u]
    stack = np.array([_rows(plan, design, x, len(observations), signals, fitted) for x in points])
    shaped = stack.reshape(len(points), len(wells), len(wells[0].times), len(names))
    usable = np.asarray(np.isfinite(shaped).all(axis=(0, 2, 3)))
    if not usable.any():
        raise ComputationError("no candidate well could be computed; check bounds, doses and times in the settings")
    place = {w: i for i, w in enumerate(wells)}
    series = {k: np.array([place[w] for w in own]) for k, own in usual.items()}
    free = usable & np.isin(np.arange(len(wells)), [place[w] for w in listed])
    informed = np.array([_known(plan, earlier, fitted, x) for x in points])
    pool = Pool(np.where(usable[None, :, None, None], shaped, 0.0), informed + np.diag((high - low) ** -2.0))
    lost, common = int(np.sum(~usable)), _common(wells, series, plan.objective.predictor(u).value[len(observations) :])
    return Candidates(wells, free, series, common, pool, names, high - low, u, lost)


def _common(wells: Sequence[Well], series: Mapping[str, np.ndarray], value: np.ndarray) -> str:
    """Which of the usual series most would run: around the IC50s at the estimate, at the time nearest to three days."""
    last = value.reshape(len(wells), -1)[:, -1]
    times = np.array([w.times[-1] for w in wells])
    usual_time = times[np.argmin(np.abs(times - USUAL_TIME))]
    distance = {}
    for name, at in series.items():
        if times[at[0]] == usual_time:
            curves: dict[tuple[str, str], list[int]] = {}
            for i in at:
                curves.setdefault((wells[i].treatment.cell_line, wells[i].treatment.doses[0][0]), []).append(int(i))
            distance[name] = sum(abs(_off_centre(np.array(own), last)) for own in curves.values())
    return min(distance, key=lambda n: distance[n])


def _off_centre(at: np.ndarray, value: np.ndarray) -> float:
    """How unevenly the responses of a series lie about the middle of what they span between untreated and lowest."""
    response = value[at]
    middle = 0.5 * (1.0 + float(response.min()))
    return float(np.sum(response > middle)) - float(np.sum(response <= middle))


def _check_size(n: int, settings: FitSettings) -> None:
    if n > MOST_CANDIDATES:
        problems = Problems(str(settings.path))
        remedy = "Give fewer concentrations per decade, combinations or times."
        problems.add(f"there are {n} candidate wells, more than {MOST_CANDIDATES}", remedy, column="design")
        problems.raise_any()


def _rows(
    plan: FitProblem, design: DesignSettings, u: np.ndarray, first: int, signals: Sequence[Signal],
    fitted: Mapping[str, float],
) -> np.ndarray:  # fmt: skip
    """(n_signals, n_unknowns) sensitivities of the candidates in standard deviations; NaN where a lane failed."""
    predicted = plan.objective.predictor(u)
    here = slice(first, first + len(signals))
    value, slopes = predicted.value[here], predicted.jacobian
    assert slopes is not None
    weight = np.ones(len(signals))
    for readout in dict.fromkeys(s.readout for s in signals):
        at = np.array([s.readout == readout for s in signals])
        noise = plan.settings.noise.get(readout, Noise())
        weight[at] = _weights(noise, noise_levels(readout, design, plan.settings, fitted), value[at])
    return slopes[here] * weight[:, None]


def _weights(noise: Noise, levels: Mapping[str, float | None], value: np.ndarray) -> np.ndarray:
    """Square root of the information of one reading about its prediction, noise levels being known."""
    sd, cv = (np.full(len(value), levels.get(name) or 0.0) for name in ("sd", "cv"))
    if not noise.follows:
        return np.sqrt(expected_information(noise, value, sd)[0])
    spread = Spread.of(value, sd, cv)
    about, about_sd = expected_information(noise, value, spread.sigma)
    return np.sqrt(about + about_sd * spread.by_prediction**2)


def noise_levels(
    readout: str, design: DesignSettings, settings: FitSettings, fitted: Mapping[str, float]
) -> dict[str, float | None]:  # fmt: skip
    """Noise levels of one reading: as the plate's settings say, the noise says, or the fit found; else None."""
    levels = dict(settings.noise.get(readout, Noise()).levels)
    for name, given in levels.items():
        found = fitted.get(f"{name}.{readout}")
        levels[name] = given if given is not None else None if found is None else float(np.exp(found))
    if readout in design.sd:
        levels["sd"] = design.sd[readout]
    return levels


def _known(plan: FitProblem, earlier: FitProblem | None, fitted: Mapping[str, float], u: np.ndarray) -> np.ndarray:
    """Information of priors and of the data there are, about the plate's unknowns at `u`."""
    free = plan.objective.free
    slopes = free.prior_residuals(u)[1]
    known = slopes.T @ slopes
    if earlier is not None:
        own = earlier.objective
        place = np.array([free.names.index(n) for n in own.free.names])
        at = np.array([*u[place], *(fitted[n] for n in own.names[len(own.free) :])])
        prior = own.free.prior_residuals(at[: len(own.free)])[1]
        told = own.information(at)[: len(own.free), : len(own.free)] - prior.T @ prior
        known[np.ix_(place, place)] += np.nan_to_num(told)
    return known


def _draws(
    design: DesignSettings, u: np.ndarray, known: np.ndarray, bounds: tuple[np.ndarray, np.ndarray]
) -> list[np.ndarray]:
    """Draws from the normal approximation of what is known, within the bounds."""
    low, high = bounds
    held = known + np.diag((HELD * (high - low)) ** -2.0)
    factor = np.linalg.cholesky(np.linalg.inv(held))
    rng = np.random.default_rng(design.seed)
    return [np.clip(u + factor @ rng.standard_normal(len(u)), low, high) for _ in range(design.draws)]
