"""The objective: everything measured, predicted and compared, as one vector of residuals with its Jacobian.

The sum of squares of the vector is -2 log posterior up to a constant (see `her2pkpd.fit.noise`). Lanes that
fail make their residuals NaN, never small; optimisers shrink the step, and the report counts them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from her2pkpd.engine import Options
from her2pkpd.engine.select import EngineName
from her2pkpd.fit.censor import censored_residual
from her2pkpd.fit.design import Design, Signal
from her2pkpd.fit.likelihood import Block
from her2pkpd.fit.metrics import Metric, curve_signals, read_off
from her2pkpd.fit.noise import Noise
from her2pkpd.fit.nuisance import Group, make_group
from her2pkpd.fit.parameters import FreeParameters
from her2pkpd.fit.predict import Predicted, Predictor


@dataclass(frozen=True)
class Observation:
    """One measured well.

    Attributes:
        signal: what it measures.
        value: the measured value, in the read-out's own unit; of a censored well the limit.
        sd: its standard deviation if known, else None.
        label: (cell line, drug, replicate ...) for tables, any mapping.
        censoring: "none", "right" (the value is above), "left" (below) or "interval" (between `value` and `upper`).
        upper: upper limit of an interval.
    """

    signal: Signal
    value: float
    sd: float | None = None
    label: tuple[tuple[str, object], ...] = ()
    censoring: Literal["none", "left", "right", "interval"] = "none"
    upper: float = np.nan

    @property
    def ends(self) -> tuple[float, float]:
        """Where the truth lies but for noise: value and value, or between what limits."""
        low = -np.inf if self.censoring == "left" else self.value
        high = {"right": np.inf, "interval": self.upper}.get(self.censoring, self.value)
        return low, high

    def off(self, prediction: float) -> float:
        """Measured minus predicted, or distance from the prediction to the nearest limit: zero where it keeps to it."""
        low, high = self.ends
        return float(np.clip(prediction, low, high)) - prediction

    def group(self, column: str) -> str:
        """What a column of the data says about the well ("plate", "replicate", "cell_line" ...)."""
        return str((self.signal.treatment.row | dict(self.label)).get(column, ""))


@dataclass(frozen=True)
class MetricNoise:
    """Scatter of published metrics between laboratories.

    Attributes:
        potency: standard deviation of log10 concentration (0.3 is a factor of two).
        efficacy: standard deviation of GRmax.
    """

    potency: float = 0.3
    efficacy: float = 0.12


@dataclass
class Evaluation:
    """One evaluation of the objective, or with a leading axis C on every array, several at once.

    Attributes:
        residuals: (n_residuals,).
        jacobian: (n_residuals, n_unknowns).
        predictions: (n_observations,) of the wells.
        metrics: (n_metrics,) read-off metrics, log10 nM for potencies.
        reached: (n_metrics,) whether the predicted curve reaches the metric's level.
        status: (L,) lane statuses.
        engine: which engine ran.
    """

    residuals: np.ndarray
    jacobian: np.ndarray
    predictions: np.ndarray
    metrics: np.ndarray
    reached: np.ndarray
    status: np.ndarray
    engine: str

    @property
    def costs(self) -> np.ndarray:
        """-2 log posterior up to a constant, (...,); infinite where anything failed."""
        total = np.sum(self.residuals**2, axis=-1)
        return np.where(np.isfinite(total), total, np.inf)

    @property
    def cost(self) -> float:
        """`costs` of a single evaluation."""
        return float(self.costs)

    @property
    def gradients(self) -> np.ndarray:
        """d cost / d unknowns, (..., n_unknowns)."""
        return 2 * np.einsum("...r,...rn->...n", self.residuals, self.jacobian)

    def at(self, c: int) -> "Evaluation":
        """One of several."""
        return Evaluation(
            self.residuals[c], self.jacobian[c], self.predictions[c], self.metrics[c], self.reached[c], self.status[c],
            self.engine,
        )  # fmt: skip


@dataclass
class Objective:
    """Residuals of a fit.

    The unknowns are those of `free`, followed by the log of every noise level that is estimated.

    Attributes:
        design: the lanes.
        free: the unknown model parameters.
        observations: measured wells.
        metrics: published metrics.
        noise: noise model per read-out.
        metric_noise: scatter of published metrics.
        options: tolerances of the engine.
        engine: which engine runs.
    """

    design: Design
    free: FreeParameters
    observations: Sequence[Observation] = ()
    metrics: Sequence[Metric] = ()
    noise: dict[str, Noise] = field(default_factory=dict)
    metric_noise: MetricNoise = field(default_factory=MetricNoise)
    options: Options | None = None
    engine: EngineName = "auto"

    def __post_init__(self) -> None:
        self._spans: dict[tuple[object, ...], slice] = {}
        signals = [o.signal for o in self.observations]
        for metric in self.metrics:
            key = (*metric.curve, metric.readout)
            if key not in self._spans:
                curve = curve_signals(metric)
                self._spans[key] = slice(len(signals), len(signals) + len(curve))
                signals += curve
        self.predictor = Predictor(self.design, self.free, signals, options=self.options, engine=self.engine)
        self.n_free = len(self.free)
        self.blocks = make_blocks(self.observations, self.noise, self.n_free)
        self.estimated = tuple(f"{level}.{b.readout}" for b in self.blocks for level in b.columns)
        self.level_priors = {
            f"{level}.{b.readout}": (float(np.log(median)), float(np.log(fold)))
            for b in self.blocks
            for level, (median, fold) in b.noise.priors
            if level in b.columns
        }

    @property
    def names(self) -> list[str]:
        """Names of all unknowns."""
        return [*self.free.names, *self.estimated]

    @property
    def n_data(self) -> int:
        """Number of measured values and published metrics."""
        return len(self.observations) + len(self.metrics)

    def start(self) -> np.ndarray:
        """Starting point, (n_unknowns,)."""
        return np.concatenate([self.free.start(), np.log(0.1 * self._sizes)])

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Bounds of all unknowns."""
        low, high = self.free.bounds()
        return np.concatenate([low, np.log(1e-4 * self._sizes)]), np.concatenate([high, np.log(1e3 * self._sizes)])

    def start_box(self) -> tuple[np.ndarray, np.ndarray]:
        """Box for multi-start."""
        low, high = self.free.start_box()
        return np.concatenate([low, np.log(0.05 * self._sizes)]), np.concatenate([high, np.log(0.3 * self._sizes)])

    @property
    def _sizes(self) -> np.ndarray:
        """What estimated noise levels are measured by: 1, or for the standard deviation of counts a typical count."""
        return np.array([b.size if level == "sd" else 1.0 for b in self.blocks for level in b.columns])

    def __call__(self, u: np.ndarray) -> Evaluation:
        """Evaluate at unknowns `u` (n_unknowns,)."""
        return self.many(u[None]).at(0)

    def many(self, u: np.ndarray, *, options: Options | None = None, derivatives: bool = True) -> Evaluation:
        """Evaluate at C points in one solve.

        Args:
            u: unknowns (C, n_unknowns).
            options: tolerances, where they are not to be the objective's own.
            derivatives: whether the Jacobian is wanted; without it the solve costs a tenth and the Jacobian is wrong.

        Returns:
            An `Evaluation` whose arrays have a leading axis of length C.
        """
        predicted = self.predictor.many(u[:, : self.n_free], options=options, derivatives=derivatives)
        if not derivatives:
            nothing = np.zeros((*predicted.value.shape, self.n_free))
            predicted = replace(predicted, jacobian=nothing)
        by_all = self._widened(predicted.jacobian, u.shape[-1])
        parts = [b.rows(u, predicted.value[:, b.wells], by_all[:, b.wells]) for b in self.blocks]
        read, by_read, values, reached = self._metrics(predicted)
        prior, by_prior = self.free.prior_residuals(u[:, : self.n_free])
        parts += [(read, self._widened(by_read, u.shape[-1])), (prior, self._widened(by_prior, u.shape[-1]))]
        parts.append(self._level_rows(u))
        residuals, jacobian = (np.concatenate(x, axis=1) for x in zip(*parts, strict=True))
        n = len(self.observations)
        predictions = predicted.value[:, :n]
        return Evaluation(residuals, jacobian, predictions, values, reached, predicted.status, predicted.engine)

    def prior_cost(self, u: np.ndarray) -> np.ndarray:
        """(C,) -2 log prior at unknowns (C, n_unknowns), up to a constant."""
        rows = np.concatenate([self.free.prior_residuals(u[:, : self.n_free])[0], self._level_rows(u)[0]], axis=1)
        return np.sum(rows**2, axis=1)

    def _level_rows(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Residuals of the priors of noise levels."""
        columns = [self.n_free + self.estimated.index(name) for name in self.level_priors]
        mean, sd = (np.array([p[k] for p in self.level_priors.values()]) for k in (0, 1))
        jacobian = np.zeros((len(u), len(columns), u.shape[-1]))
        jacobian[:, np.arange(len(columns)), columns] = 1 / sd
        return (u[:, columns] - mean) / sd, jacobian

    @staticmethod
    def _widened(jacobian: np.ndarray | None, n: int) -> np.ndarray:
        """Derivatives by the mechanism's unknowns as derivatives by all, those of the noise being zero."""
        if jacobian is None:
            raise TypeError("predictions without derivatives")
        return np.pad(jacobian, ((0, 0), (0, 0), (0, n - jacobian.shape[-1])))

    def information(self, u: np.ndarray) -> np.ndarray:
        """Expected information of data and priors about all unknowns at `u`, (n_unknowns, n_unknowns).

        For published metrics, and for priors, it is the product of their residuals' Jacobian with itself.
        """
        points = u[None]
        predicted = self.predictor.many(points[:, : self.n_free])
        by_all = self._widened(predicted.jacobian, len(u))
        total = np.zeros((len(u), len(u)))
        for b in self.blocks:
            total += b.information(points, predicted.value[:, b.wells], by_all[:, b.wells])
        n = self.n_free
        for rows in (self._metrics(predicted)[1][0], self.free.prior_residuals(u[:n])[1]):
            total[:n, :n] += rows.T @ rows
        levels = self._level_rows(points)[1][0]
        return total + levels.T @ levels

    def _metrics(self, predicted: Predicted) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        points, n = len(predicted.value), len(self.metrics)
        residuals, jacobian = np.zeros((points, n)), np.zeros((points, n, self.n_free))
        values, reached = np.zeros((points, n)), np.ones((points, n), dtype=bool)
        for c in range(points):
            for i, metric in enumerate(self.metrics):
                span = self._spans[(*metric.curve, metric.readout)]
                slopes = None if predicted.jacobian is None else predicted.jacobian[c, span]
                values[c, i], slope, reached[c, i] = read_off(metric, predicted.value[c, span], slopes)
                residuals[c, i], outer = self._metric_residual(metric, values[c, i])
                jacobian[c, i] = 0.0 if slope is None else outer * slope
        return residuals, jacobian, values, reached

    def metric_log_likelihood(self, values: np.ndarray) -> np.ndarray:
        """Log density of published metrics (log10 for potencies), or log probability of censored ones.

        Args:
            values: (C, n_metrics) read-off metrics.
        """
        result = np.zeros(values.shape)
        for i, metric in enumerate(self.metrics):
            r = np.array([self._metric_residual(metric, v)[0] for v in values[:, i]])
            sd = self.metric_noise.potency if metric.is_potency else self.metric_noise.efficacy
            exact = metric.censoring == "none"
            result[:, i] = -0.5 * r**2 - (np.log(sd) + 0.5 * np.log(2 * np.pi) if exact else 0.0)
        return result

    def _metric_residual(self, metric: Metric, predicted: float) -> tuple[float, float]:
        sd = self.metric_noise.potency if metric.is_potency else self.metric_noise.efficacy
        target = np.log10(metric.value) if metric.is_potency else metric.value
        if metric.censoring == "none":
            return (predicted - target) / sd, 1 / sd
        z = np.array([(target - predicted) / sd])
        lower, upper = (z, np.array([np.inf])) if metric.censoring == "right" else (np.array([-np.inf]), z)
        r, by_lower, by_upper = censored_residual(lower, upper)
        return float(r[0]), -float(by_lower[0] + by_upper[0]) / sd


SIDES = {"none": 0, "right": 1, "left": -1, "interval": 2}


def make_blocks(observations: Sequence[Observation], noise: Mapping[str, Noise], n_free: int) -> list[Block]:
    """Sort observations by read-out; levels of noise to be estimated get the columns from `n_free` on."""
    readouts = np.array([o.signal.readout for o in observations])
    blocks, column = [], n_free
    for readout in dict.fromkeys(readouts.tolist()):
        wells = np.flatnonzero(readouts == readout)
        own, model = [o for o in observations if o.signal.readout == readout], noise.get(readout, Noise())
        value = np.array([o.value for o in own], dtype=float)
        known = np.array([o.sd if o.sd is not None and model.file_sd else np.nan for o in own], dtype=float)
        side = np.array([SIDES[o.censoring] for o in own])
        free = [level for level, given in model.levels.items() if given is None and np.isnan(known).any()]
        columns = {level: column + k for k, level in enumerate(free)}
        column += len(free)
        size = 1.0 if model.kind == "log-normal" else max(1.0, float(np.median(np.abs(value))))
        upper, groups = np.array([o.upper for o in own]), _groups(own, model, value, side)
        blocks.append(Block(readout, model, wells, value, upper, side, known, groups, columns, size))
    return blocks


def _groups(own: Sequence[Observation], noise: Noise, value: np.ndarray, side: np.ndarray) -> list[Group]:
    if not noise.grouped:
        return []
    keys = [o.group(noise.scale or noise.offset) for o in own]
    groups = []
    for key in dict.fromkeys(keys):
        wells = np.flatnonzero((np.array(keys) == key) & (side == 0))
        if wells.size:
            groups.append(
                make_group(
                    wells, value[wells], log=noise.kind == "log-normal", scale=bool(noise.scale),
                    offset=bool(noise.offset), scale_spread=noise.scale_spread, offset_sd=noise.offset_sd,
                )
            )  # fmt: skip
    return groups
