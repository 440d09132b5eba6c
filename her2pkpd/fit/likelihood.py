"""The wells of one read-out against their predictions: residuals, their Jacobian, densities and replicates.

One `Block` per read-out holds its noise model, its censored wells and its groups of unknown scale. Everything takes
predictions at C points at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from her2pkpd.fit.censor import censored_residual, log_probability
from her2pkpd.fit.noise import SD_FLOOR, Noise, Spread, draw, expected_information, log_density, residual, sd_residual
from her2pkpd.fit.nuisance import Effects, Group


@dataclass(frozen=True)
class Block:
    """The measured wells of one read-out.

    Attributes:
        readout: its name.
        noise: its noise model.
        wells: (m,) positions among all observations.
        value: (m,) measured values, or (C, m) if every point has data of its own; of a censored well its limit, of one
            between two limits the lower.
        upper: (m,) upper limits of wells known to lie between two, NaN elsewhere.
        side: (m,) 0 for a value, +1 for one known to lie above `value`, -1 below it, 2 between `value` and `upper`.
        known_sd: (m,) standard deviations given with the wells, NaN where not.
        groups: wells that share an unknown scale or offset.
        columns: column of every estimated level among all unknowns, by name.
        size: what its standard deviations are measured by: 1, or for counts a typical count.
    """

    readout: str
    noise: Noise
    wells: np.ndarray
    value: np.ndarray
    upper: np.ndarray
    side: np.ndarray
    known_sd: np.ndarray
    groups: Sequence[Group] = ()
    columns: dict[str, int] = field(default_factory=dict)
    size: float = 1.0

    @cached_property
    def exact(self) -> np.ndarray:
        """(m,) which wells have a value and no group."""
        grouped = np.zeros(len(self.side), dtype=bool)
        for group in self.groups:
            grouped[group.wells] = True
        return (self.side == 0) & ~grouped

    @cached_property
    def unknown(self) -> np.ndarray:
        """(m,) which wells have no standard deviation of their own."""
        return np.isnan(self.known_sd)

    def spread(self, u: np.ndarray, prediction: np.ndarray) -> Spread:
        """Standard deviations at unknowns `u` (C, n_unknowns) and predictions (C, m)."""
        sd = np.where(self.unknown, self._level(u, "sd", SD_FLOOR), self.known_sd)
        cv = np.where(self.unknown, self._level(u, "cv", 0.0), 0.0)
        return Spread.of(prediction, sd, cv) if self.noise.follows else _constant(prediction, sd)

    def _level(self, u: np.ndarray, name: str, absent: float) -> np.ndarray:
        """(C, 1) value of a noise level."""
        if name in self.columns:
            return np.exp(u[:, self.columns[name], None])
        return np.full((len(u), 1), self.noise.levels.get(name) or absent)

    def _by_level(self, spread: Spread, n: int) -> np.ndarray:
        """(C, m, n) derivatives of log sigma by the unknowns, through the noise levels only."""
        result = np.zeros((*spread.sigma.shape, n))
        for name, column in self.columns.items():
            result[..., column] = np.where(self.unknown, spread.by_level[name], 0.0)
        return result

    def rows(self, u: np.ndarray, prediction: np.ndarray, jacobian: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Residuals whose squares add up to -2 log likelihood (up to a constant), and their derivatives.

        Args:
            u: unknowns (C, n).
            prediction: (C, m).
            jacobian: (C, m, n) of the predictions.

        Returns:
            Residuals (C, R) and Jacobian (C, R, n).
        """
        spread = self.spread(u, prediction)
        by_level = self._by_level(spread, u.shape[-1])
        parts = [self._exact_rows(prediction, jacobian, spread, by_level)]
        if np.any(self.side != 0):
            parts.append(self._censored_rows(prediction, jacobian, spread, by_level))
        parts += [self._group_rows(g, prediction, jacobian, spread, by_level) for g in self.groups]
        if self.noise.follows:
            parts.append(self._log_sigma_rows(jacobian, spread, by_level))
        elif "sd" in self.columns:
            parts.append(self._sd_row(u))
        residuals, slopes = zip(*parts, strict=True)
        return np.concatenate(residuals, axis=1), np.concatenate(slopes, axis=1)

    def _exact_rows(
        self, prediction: np.ndarray, jacobian: np.ndarray, spread: Spread, by_level: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        at = self.exact
        sigma = spread.sigma[:, at]
        r, by_prediction, by_log_sigma = residual(self.noise, self.value[..., at], prediction[:, at], sigma)
        by_prediction = by_prediction + by_log_sigma * spread.by_prediction[:, at]
        slope = by_prediction[..., None] * jacobian[:, at] + by_log_sigma[..., None] * by_level[:, at]
        return r, slope

    def limits(self, prediction: np.ndarray, spread: Spread) -> tuple[np.ndarray, np.ndarray]:
        """Limits of the censored wells, in standard deviations from the prediction: (C, k) lower and upper."""
        at = self.side != 0
        side, first, second = self.side[at], self.value[..., at], self.upper[at]
        low = np.where(side == -1, -np.inf, first)
        high = np.where(side == -1, first, np.where(side == 2, second, np.inf))
        sigma, centre = spread.sigma[:, at], prediction[:, at]
        with np.errstate(all="ignore"):
            if self.noise.kind == "log-normal":
                low, high = (np.where(np.isneginf(x), x, np.log(np.maximum(x, 1e-300))) for x in (low, high))
                centre = np.log(centre)
            return (low - centre) / sigma, (high - centre) / sigma

    @property
    def df(self) -> float | None:
        """Degrees of freedom, None for normal errors."""
        return self.noise.df if self.noise.kind == "student-t" else None

    def _censored_rows(
        self, prediction: np.ndarray, jacobian: np.ndarray, spread: Spread, by_level: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        at = self.side != 0
        lower, upper = self.limits(prediction, spread)
        failed = ~np.isfinite(prediction[:, at])
        r, by_lower, by_upper = censored_residual(np.where(failed, 0.0, lower), np.where(failed, 1.0, upper), self.df)
        r = np.where(failed, np.nan, r)
        scale = prediction[:, at] if self.noise.kind == "log-normal" else 1.0
        by_centre = -(by_lower + by_upper) / (spread.sigma[:, at] * scale)
        low, high = (np.where(np.isfinite(z), z, 0.0) for z in (lower, upper))
        by_log_sigma = -(by_lower * low + by_upper * high)
        by_centre = by_centre + by_log_sigma * spread.by_prediction[:, at]
        return r, by_centre[..., None] * jacobian[:, at] + by_log_sigma[..., None] * by_level[:, at]

    def _effects(self, group: Group, prediction: np.ndarray, spread: Spread) -> Effects:
        at = group.wells
        return group.effects(self.value[..., at], prediction[:, at], spread.sigma[:, at])

    def _group_rows(
        self, group: Group, prediction: np.ndarray, jacobian: np.ndarray, spread: Spread, by_level: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        effects = self._effects(group, prediction, spread)
        return effects.rows(jacobian[:, group.wells], by_level[:, group.wells])

    def _log_sigma_rows(
        self, jacobian: np.ndarray, spread: Spread, by_level: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        at = self.side == 0
        r, slope = spread.log_residual()
        moves = spread.by_prediction[..., None] * jacobian + by_level
        return r[:, at], (slope[..., None] * moves)[:, at]

    def information(self, u: np.ndarray, prediction: np.ndarray, jacobian: np.ndarray) -> np.ndarray:
        """Expected information about all unknowns at one point: (1, n), (1, m) and (1, m, n) in, (n, n) out.

        Where it is not known in closed form (censored wells, groups) it is the product of the residuals' Jacobian
        with itself.
        """
        spread = self.spread(u, prediction)
        by_level = self._by_level(spread, u.shape[-1])
        at = self.exact
        about, about_sd = expected_information(self.noise, prediction[0, at], spread.sigma[0, at])
        moves = jacobian[0, at]
        scaled = spread.by_prediction[0, at, None] * moves + by_level[0, at]
        total = moves.T @ (moves * about[:, None]) + about_sd * scaled.T @ scaled
        rest = [self._group_rows(g, prediction, jacobian, spread, by_level)[1][0] for g in self.groups]
        if np.any(self.side != 0):
            rest.append(self._censored_rows(prediction, jacobian, spread, by_level)[1][0])
        if "sd" in self.columns:  # the rows hold one half of what m wells of a group say about their log sd, 2 m
            grouped = self.unknown & (self.side == 0) & ~at
            total[self.columns["sd"], self.columns["sd"]] += float(grouped.sum())
        return total + sum((rows.T @ rows for rows in rest), np.zeros_like(total))

    def log_likelihood(self, u: np.ndarray, prediction: np.ndarray) -> np.ndarray:
        """(C, m) log density of every value given all other wells of its group, or log probability if censored."""
        spread = self.spread(u, prediction)
        result = log_density(self.noise, self.value, prediction, spread.sigma)
        if np.any(self.side != 0):
            result[:, self.side != 0] = log_probability(*self.limits(prediction, spread), self.df)[0]
        for group in self.groups:
            error, log_weight = self._effects(group, prediction, spread).each_given_the_others()
            at = group.wells
            log_value = np.log(self.value[..., at]) if group.log else 0.0
            constant = log_weight - np.log(spread.sigma[:, at]) - log_value - 0.5 * np.log(2 * np.pi)
            result[:, at] = constant - 0.5 * error**2
        return result

    def replicate(self, u: np.ndarray, prediction: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(C, m) new measurements of the same wells, on the same plates or blots."""
        spread = self.spread(u, prediction)
        centre = prediction.copy()
        for group in self.groups:
            at = group.wells
            sigma, effects = spread.sigma[:, at], self._effects(group, prediction, spread)
            moved = effects.draw(rng) * sigma
            with np.errstate(all="ignore"):
                known = group.centre * prediction[:, at] if group.scale is not None else prediction[:, at]
                centre[:, at] = prediction[:, at] * np.exp(moved) if group.log else known + moved
        return draw(self.noise, centre, spread.sigma, rng)

    def _sd_row(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        column = self.columns["sd"]
        r, slope = sd_residual(u[:, column], int((self.unknown & (self.side == 0)).sum()))
        jacobian = np.zeros((len(u), 1, u.shape[-1]))
        jacobian[:, 0, column] = slope
        return r[:, None], jacobian


def _constant(prediction: np.ndarray, sd: np.ndarray) -> Spread:
    """Standard deviations that do not follow the prediction."""
    ones = np.ones_like(prediction)
    return Spread(sd * ones, 0.0 * ones, {"sd": ones, "cv": 0.0 * ones})
