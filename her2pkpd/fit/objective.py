"""The objective: everything measured, predicted and compared, as one vector of residuals with its Jacobian.

The sum of squares of the vector is -2 log posterior up to a constant (see `her2pkpd.fit.noise`). Lanes that
fail make their residuals NaN, never small; optimisers shrink the step, and the report counts them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from her2pkpd.engine import Options
from her2pkpd.engine.select import EngineName
from her2pkpd.fit.design import Design, Signal
from her2pkpd.fit.metrics import Metric, curve_signals, read_off
from her2pkpd.fit.noise import Noise, censored_residual, expected_information, residual, sd_residual
from her2pkpd.fit.parameters import FreeParameters
from her2pkpd.fit.predict import Predicted, Predictor


@dataclass(frozen=True)
class Observation:
    """One measured well.

    Attributes:
        signal: what it measures.
        value: the measured value, in the read-out's own unit.
        sd: its standard deviation if known, else None.
        label: (cell line, drug, replicate ...) for tables, any mapping.
    """

    signal: Signal
    value: float
    sd: float | None = None
    label: tuple[tuple[str, object], ...] = ()


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
    """One evaluation of the objective.

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
    def cost(self) -> float:
        """-2 log posterior up to a constant; infinite when anything failed."""
        total = float(np.sum(self.residuals**2))
        return total if np.isfinite(total) else np.inf


@dataclass
class Objective:
    """Residuals of a fit.

    The unknowns are the coordinates of `free`, followed by log sd of every read-out whose noise is estimated.

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
        self.readouts = np.array([o.signal.readout for o in self.observations])
        self.value = np.array([o.value for o in self.observations], dtype=float)
        self.known_sd = np.array([self._given_sd(o) for o in self.observations], dtype=float)
        self.estimated = tuple(
            r for r in dict.fromkeys(self.readouts.tolist()) if self._noise(r).sd is None and self._unknown(r).any()
        )
        self.size = np.array([self._size(r) for r in self.estimated])

    def _size(self, readout: str) -> float:
        """What standard deviations of a read-out are measured by: 1, or for counts a typical count."""
        if self._noise(readout).kind == "log-normal":
            return 1.0
        return max(1.0, float(np.median(np.abs(self.value[self.readouts == readout]))))

    def _given_sd(self, observation: Observation) -> float:
        use = observation.sd is not None and self._noise(observation.signal.readout).file_sd
        return float(observation.sd or np.nan) if use else np.nan

    def _noise(self, readout: str) -> Noise:
        return self.noise.get(readout, Noise())

    def _unknown(self, readout: str) -> np.ndarray:
        return (self.readouts == readout) & np.isnan(self.known_sd)

    @property
    def names(self) -> list[str]:
        """Names of all unknowns."""
        return [*self.free.names, *(f"sd.{r}" for r in self.estimated)]

    @property
    def n_data(self) -> int:
        """Number of measured values and published metrics."""
        return len(self.observations) + len(self.metrics)

    def start(self) -> np.ndarray:
        """Starting coordinates, (n_unknowns,)."""
        return np.concatenate([self.free.start(), np.log(0.1 * self.size)])

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Bounds of all coordinates."""
        low, high = self.free.bounds()
        return np.concatenate([low, np.log(1e-4 * self.size)]), np.concatenate([high, np.log(1e3 * self.size)])

    def start_box(self) -> tuple[np.ndarray, np.ndarray]:
        """Box for multi-start."""
        low, high = self.free.start_box()
        return np.concatenate([low, np.log(0.05 * self.size)]), np.concatenate([high, np.log(0.3 * self.size)])

    def __call__(self, u: np.ndarray) -> Evaluation:
        """Evaluate at coordinates `u` (n_unknowns,)."""
        n_free = len(self.free)
        predicted = self.predictor(u[:n_free])
        wells, by_wells = self._wells(u, predicted)
        read, by_read, values, reached = self._metrics(predicted)
        prior, by_prior = self.free.prior_residuals(u[:n_free])
        log_sd, by_sd = self._log_sd(u)
        residuals = np.concatenate([wells, read, prior, log_sd])
        jacobian = np.zeros((len(residuals), len(u)))
        jacobian[: len(wells)] = by_wells
        jacobian[len(wells) : len(wells) + len(read), :n_free] = by_read
        jacobian[len(wells) + len(read) : len(wells) + len(read) + len(prior), :n_free] = by_prior
        if len(log_sd):
            jacobian[-len(log_sd) :, n_free:] = by_sd
        n = len(self.observations)
        return Evaluation(residuals, jacobian, predicted.value[:n], values, reached, predicted.status, predicted.engine)

    def information(self, u: np.ndarray) -> np.ndarray:
        """Expected information of data and priors about all unknowns at `u`, (n_unknowns, n_unknowns).

        For published metrics, and for priors, it is the product of their residuals' Jacobian with itself.
        """
        n, n_free = len(self.observations), len(self.free)
        predicted = self.predictor(u[:n_free])
        total = np.zeros((len(u), len(u)))
        for readout in dict.fromkeys(self.readouts.tolist()):
            at = self.readouts == readout
            sd, column = self._sd(u, readout)
            about_prediction, about_sd = expected_information(self._noise(readout), predicted.value[:n][at], sd)
            if predicted.jacobian is not None:
                rows = predicted.jacobian[:n][at]
                total[:n_free, :n_free] += rows.T @ (rows * about_prediction[:, None])
            if column >= 0:
                total[column, column] += about_sd * int(self._unknown(readout).sum())
        for rows in (self._metrics(predicted)[1], self.free.prior_residuals(u[:n_free])[1]):
            total[:n_free, :n_free] += rows.T @ rows
        return total

    def _sd(self, u: np.ndarray, readout: str) -> tuple[np.ndarray, int]:
        """Standard deviation of every well of a read-out, and the column of its unknown, -1 if it is known."""
        column = len(self.free) + self.estimated.index(readout) if readout in self.estimated else -1
        sd = self.known_sd[self.readouts == readout].copy()
        sd[np.isnan(sd)] = np.exp(u[column]) if column >= 0 else self._noise(readout).sd or 1.0
        return sd, column

    def _wells(self, u: np.ndarray, predicted: Predicted) -> tuple[np.ndarray, np.ndarray]:
        n, n_free = len(self.observations), len(self.free)
        residuals, jacobian = np.zeros(n), np.zeros((n, len(u)))
        for readout in dict.fromkeys(self.readouts.tolist()):
            at = self.readouts == readout
            unknown = np.isnan(self.known_sd[at])
            sd, column = self._sd(u, readout)
            r, by_prediction, by_log_sd = residual(self._noise(readout), self.value[at], predicted.value[:n][at], sd)
            residuals[at] = r
            rows = np.flatnonzero(at)
            if predicted.jacobian is not None:
                jacobian[rows, :n_free] = predicted.jacobian[:n][at] * by_prediction[:, None]
            if column >= 0:
                jacobian[rows[unknown], column] = by_log_sd[unknown]
        return residuals, jacobian

    def _log_sd(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        k = len(self.estimated)
        pairs = [
            sd_residual(float(u[len(self.free) + i]), int(self._unknown(r).sum())) for i, r in enumerate(self.estimated)
        ]
        return np.array([r for r, _ in pairs]), np.diag([d for _, d in pairs]) if k else np.zeros((0, 0))

    def _metrics(self, predicted: Predicted) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        n = len(self.metrics)
        residuals, jacobian = np.zeros(n), np.zeros((n, len(self.free)))
        values, reached = np.zeros(n), np.ones(n, dtype=bool)
        for i, metric in enumerate(self.metrics):
            span = self._spans[(*metric.curve, metric.readout)]
            slopes = None if predicted.jacobian is None else predicted.jacobian[span]
            values[i], slope, reached[i] = read_off(metric, predicted.value[span], slopes)
            residuals[i], outer = self._metric_residual(metric, values[i])
            jacobian[i] = 0.0 if slope is None else outer * slope
        return residuals, jacobian, values, reached

    def _metric_residual(self, metric: Metric, predicted: float) -> tuple[float, float]:
        sd = self.metric_noise.potency if metric.is_potency else self.metric_noise.efficacy
        target = np.log10(metric.value) if metric.is_potency else metric.value
        if metric.censoring == "none":
            return (predicted - target) / sd, 1 / sd
        side = 1.0 if metric.censoring == "right" else -1.0
        r, slope = censored_residual(np.array([target]), np.array([predicted]), np.array([sd]), np.array([side]))
        return float(r[0]), float(slope[0])
