"""Read-outs of unknown scale or offset per plate or blot, solved in closed form inside a normal likelihood.

A densitometer's units differ from blot to blot: what is measured is y = b * f + a + noise, with a scale b, an offset
a, or both, for every group of wells. Under normal noise, and normal priors of b and a, they integrate out exactly:

    y / sd = m + X beta + e,   beta ~ N(0, 1):   -2 log p = |m' - X beta*|^2 + |beta*|^2 + log|1 + X'X|

with beta* the best effects for given parameters of the mechanism. Under log-normal noise the same holds for log y, on
which a scale is an offset. Nothing is added to the unknowns, and no sampler has to find its way along the ridge
between a scale and the mechanism's own parameters.
"""

from dataclasses import dataclass

import numpy as np

UNKNOWN_FOLD = 1e6
"""Fold of one standard deviation of a factor on a log-normal read-out of which nothing is known."""

UNKNOWN_SIZE = 10.0
"""Standard deviation of a scale or offset of which nothing is known, in largest values of its group."""


@dataclass(frozen=True)
class Effects:
    """The group effects of a block of wells at C points.

    Attributes:
        residual: (C, m) standardised distance of the wells from their centre (value minus centre).
        by_prediction: (C, m) its derivative by the prediction.
        design: (C, m, k) how the k effects move each well, in standard deviations.
        design_by_prediction: (C, m, k) its derivative by the well's own prediction.
    """

    residual: np.ndarray
    by_prediction: np.ndarray
    design: np.ndarray
    design_by_prediction: np.ndarray

    @property
    def gram(self) -> np.ndarray:
        """(C, k, k) 1 + X'X."""
        x = self.design
        return np.swapaxes(x, -1, -2) @ x + np.eye(x.shape[-1])

    def best(self) -> tuple[np.ndarray, np.ndarray]:
        """Best effects (C, k), and the residuals they leave (C, m)."""
        x = self.design
        beta = np.linalg.solve(self.gram, np.swapaxes(x, -1, -2) @ self.residual[..., None])
        return beta[..., 0], self.residual - (x @ beta)[..., 0]

    def rows(self, moves: np.ndarray, scaled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Residuals and their Jacobian.

        Args:
            moves: (C, m, n) derivatives of the predictions by the unknowns.
            scaled: (C, m, n) derivatives of every well's log standard deviation by the unknowns.

        Returns:
            Residuals (C, m + k + 1), whose squares add up to -2 log p, and derivatives (C, m + k + 1, n).
        """
        x, gram = self.design, self.gram
        x_t = np.swapaxes(x, -1, -2)
        inverse = np.linalg.inv(gram)
        beta, left = self.best()
        dr = self.by_prediction[..., None] * moves - self.residual[..., None] * scaled
        # (C, m, k, n): each well's row of X moves with its own prediction and its own standard deviation.
        dx = self.design_by_prediction[..., None] * moves[..., None, :] - x[..., None] * scaled[..., None, :]
        dx_beta = np.einsum("cmkn,ck->cmn", dx, beta)
        dx_left = np.einsum("cmkn,cm->ckn", dx, left)
        d_beta = inverse @ (dx_left + x_t @ (dr - dx_beta))
        d_left = dr - dx_beta - x @ d_beta
        log_det = np.linalg.slogdet(gram)[1]
        d_log_det = 2 * np.einsum("ckj,cmj,cmkn->cn", inverse, x, dx)
        last = np.sqrt(np.maximum(log_det, 1e-12))[:, None]
        residuals = np.concatenate([left, beta, last], axis=-1)
        return residuals, np.concatenate([d_left, d_beta, (d_log_det / (2 * last))[:, None, :]], axis=1)

    def each_given_the_others(self) -> tuple[np.ndarray, np.ndarray]:
        """Standardised error of each well given all others of its group, and the log of its inverse sd, (C, m) each.

        The conditional density of a well is exp(-e^2/2 + log w - log sd)/sqrt(2 pi): what leaving one out needs where
        wells of a group are correlated (Buerkner, Gabry & Vehtari 2021).
        """
        x = self.design
        precision = 1.0 - np.einsum("cmk,ckj,cmj->cm", x, np.linalg.inv(self.gram), x)
        _, left = self.best()
        weight = np.sqrt(np.maximum(precision, 1e-300))
        return left / weight, np.log(weight)

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Effects drawn from their distribution given the data, as moves of each well in standard deviations (C, m)."""
        beta, _ = self.best()
        factor = np.linalg.cholesky(np.linalg.inv(self.gram))
        beta = beta + (factor @ rng.standard_normal((*beta.shape, 1)))[..., 0]
        return (self.design @ beta[..., None])[..., 0]


@dataclass(frozen=True)
class Group:
    """Wells of one plate or blot that share a scale, an offset or both.

    Attributes:
        wells: positions within the block.
        log: whether noise, and so the effect of a scale, is on the log.
        scale: standard deviation of the scale (of its log), or None without one.
        centre: scale the prior is centred at, 0 or 1.
        offset: standard deviation of the offset, or None without one.
    """

    wells: np.ndarray
    log: bool
    scale: float | None
    centre: float
    offset: float | None

    def effects(self, value: np.ndarray, prediction: np.ndarray, sd: np.ndarray) -> Effects:
        """Lay out the effects at predictions (C, m) for values (m,) with standard deviations (C, m)."""
        if self.log:
            with np.errstate(all="ignore"):
                r, slope = (np.log(value) - np.log(prediction)) / sd, -1 / (sd * prediction)
            x = (self.scale or 0.0) / sd[..., None]
            return Effects(r, slope, x, np.zeros_like(x))
        columns, slopes = [], []
        if self.scale is not None:
            columns.append(self.scale * prediction / sd)
            slopes.append(self.scale / sd)
        if self.offset is not None:
            columns.append(self.offset / sd)
            slopes.append(np.zeros_like(sd))
        centre = self.centre if self.scale is not None else 1.0
        r = (value - centre * prediction) / sd
        return Effects(r, -centre / sd, np.stack(columns, axis=-1), np.stack(slopes, axis=-1))


def make_group(
    wells: np.ndarray,
    value: np.ndarray,
    *,
    log: bool,
    scale: bool,
    offset: bool,
    scale_spread: float | None,
    offset_sd: float | None,
) -> Group:
    """A `Group` from what is said of it; what is not said is taken to be unknown.

    Args:
        wells: positions within the block.
        value: (m,) their values.
        log: whether noise is on the log.
        scale: whether the group has a scale of its own.
        offset: whether it has an offset of its own.
        scale_spread: as in `her2pkpd.fit.noise.Noise`.
        offset_sd: likewise.
    """
    size = UNKNOWN_SIZE * max(float(np.abs(value).max()), 1e-12)
    if log:
        return Group(wells, True, float(np.log(scale_spread or UNKNOWN_FOLD)), 1.0, None)
    spread = (scale_spread if scale_spread is not None else size) if scale else None
    shift = (offset_sd if offset_sd is not None else size) if offset else None
    return Group(wells, False, spread, 0.0 if scale_spread is None else 1.0, shift)
