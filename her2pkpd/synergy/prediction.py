"""A combination predicted from single drugs, and the prediction's score on wells it has not seen.

Only untreated wells and wells of one drug are used; the combination's own wells serve for nothing but the score.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from her2pkpd.errors import InputError, Problem
from her2pkpd.synergy import null_models as null
from her2pkpd.synergy.blocks import Block
from her2pkpd.synergy.mechanism import Combination, parameter_draws, predicted_survival
from her2pkpd.synergy.profile import LEVEL
from her2pkpd.synergy.scores import single_curves
from her2pkpd.synergy.wells import Wells, distinct, gather

DRAWS = 200
MODELS = ("independence", "strongest_alone", "loewe")
"""What curves of single drugs can predict with: Bliss (the same as ZIP's expectation), HSA and Loewe."""


def predict_from_singles(block: Block, *, draws: int = DRAWS, seed: int = 0) -> pd.DataFrame:
    """Predict every combination of a block from its single drugs' Hill curves.

    Args:
        block: wells; those of combinations are only measured against.
        draws: bootstrap draws of the single drugs' wells, for the band.
        seed: of the draws.

    Returns:
        One row per combination and model of `MODELS`: ``concentration, concentration_2 ..., model, predicted, lower,
        upper, measured, wells``; survival (1 no effect), measured is the mean of so many wells, and lower to upper the
        95 % interval in which that mean is expected. NaN where Loewe's model is undefined.

    Raises:
        InputError: if a drug alone has fewer than three doses, or no well holds the combination.
    """
    if not block.has_curves or not block.combined.any():
        rule = "a prediction needs each drug alone at three doses or more, and wells of the combination to be predicted"
        raise InputError(Problem(rule, "Add the wells; the scores say what a block lacks.", block.name))
    single = (block.doses > 0).sum(axis=1) <= 1
    wells, doses = gather(block.doses[single], block.survival[single]), distinct(block.doses[single])[0]
    observed = single_curves(wells, doses, wells.mean[None])
    fitted = observed[0, 0] * _relative(doses, observed).prod(axis=-1)[0]
    squares = np.sum(wells.count * (fitted - wells.mean) ** 2 + wells.within)
    noise = float(np.sqrt(squares / max(wells.n - observed.shape[1], 1)))
    rng = np.random.default_rng(seed)
    fresh = wells.mean + noise / np.sqrt(wells.count) * rng.normal(size=(draws, len(wells.mean)))
    curves = single_curves(wells, doses, np.concatenate([wells.mean[None], fresh]))
    measured, asked = _combined(block)
    relative, e0 = _relative(asked, curves), curves[:, :1]
    found = {
        "independence": e0 * relative.prod(axis=-1),
        "strongest_alone": e0 * relative.min(axis=-1),
        "loewe": null.loewe_expected(asked[None], e0, *_parts(curves, asked.shape[1])),
    }
    return _table(asked, found, noise, measured, rng)


def predict_by_mechanism(
    combination: Combination, draws: Mapping[str, np.ndarray], block: Block, noise: float, *, seed: int = 0
) -> pd.DataFrame:
    """Predict every combination of a block by the mechanism, with the band of the draws.

    Args:
        combination: cells, drugs, ligands and time; its doses are replaced by the block's.
        draws: (n,) values by model parameter, from a fit to single drugs for instance.
        block: the wells to be predicted, its drugs in the order of the combination's, doses in nM.
        noise: standard deviation of a well.
        seed: of the wells' noise in the band.

    Returns:
        As `predict_from_singles`, the model being "mechanism".
    """
    measured, asked = _combined(block)
    case = combination.at(asked)
    model = case.model()
    values = parameter_draws(model, draws)
    middle = np.median(values, axis=0, keepdims=True)
    survival = predicted_survival(case, model, np.concatenate([middle, values]))[:, :, 0]
    return _table(asked, {"mechanism": survival}, noise, measured, np.random.default_rng(seed))


def prediction_score(table: pd.DataFrame) -> pd.DataFrame:
    """How good predictions were.

    Args:
        table: of this module; several may be joined.

    Returns:
        Per model: ``model, combinations, undefined, rmse, bias`` (predicted minus measured), ``r2`` (of the measured
        values' variance) and ``coverage`` of the 95 % band.
    """
    names = ["model", "combinations", "undefined", "rmse", "bias", "r2", "coverage"]
    rows = []
    for model, part in table.groupby("model", sort=False):
        known = part.dropna(subset=["predicted"])
        if not len(known):
            rows.append((model, 0, len(part), *[np.nan] * 4))
            continue
        measured, predicted = (known[c].to_numpy(dtype=float) for c in ("measured", "predicted"))
        off, variance = predicted - measured, float(np.sum((measured - measured.mean()) ** 2))
        held = (known["lower"].to_numpy() <= measured) & (measured <= known["upper"].to_numpy())
        r2 = 1 - float(np.sum(off**2)) / variance if variance > 0 else np.nan
        size = float(np.sqrt(np.mean(off**2)))
        rows.append((model, len(known), len(part) - len(known), size, off.mean(), r2, held.mean()))
    return pd.DataFrame(rows, columns=names)


def _combined(block: Block) -> tuple[Wells, np.ndarray]:
    """The wells of the combination and their distinct doses."""
    doses = block.doses[block.combined]
    return gather(doses, block.survival[block.combined]), distinct(doses)[0]


def _parts(curves: np.ndarray, k: int) -> list[np.ndarray]:
    """Plateaus, slopes and potencies (b, 1, k) of curves (b, 1 + 3k)."""
    return [curves[:, None, 1 + j * k : 1 + (j + 1) * k] for j in range(3)]


def _relative(doses: np.ndarray, curves: np.ndarray) -> np.ndarray:
    """Survival (b, m, k) under each drug alone, relative to none."""
    e0 = curves[:, :1, None]
    return null.hill_effect(doses[None], e0, *_parts(curves, doses.shape[1])) / e0


def _table(
    doses: np.ndarray, found: Mapping[str, np.ndarray], noise: float, wells: Wells, rng: np.random.Generator
) -> pd.DataFrame:
    """Rows of predictions; the first row of every (1 + draws, m) is the prediction, the others make the band."""
    named = {f"concentration{'' if i == 0 else f'_{i + 1}'}": d for i, d in enumerate(doses.T)}
    parts = []
    for model, survival in found.items():
        fresh = survival[1:] + noise / np.sqrt(wells.count) * rng.normal(size=survival[1:].shape)
        low, high = _quantiles(fresh)
        columns = {"model": model, "predicted": survival[0], "lower": low, "upper": high}
        parts.append(pd.DataFrame({**named, **columns, "measured": wells.mean, "wells": wells.count.astype(int)}))
    return pd.concat(parts, ignore_index=True)


def _quantiles(draws: np.ndarray) -> np.ndarray:
    """Ends (2, m) of the band over the draws in which there is a value; NaN where there is none in half of them."""
    enough = np.isfinite(draws).mean(axis=0) >= 0.5
    ends = np.full((2, draws.shape[1]), np.nan)
    if enough.any():
        ends[:, enough] = np.nanquantile(draws[:, enough], [0.5 - LEVEL / 2, 0.5 + LEVEL / 2], axis=0)
    return ends
