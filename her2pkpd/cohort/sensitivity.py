"""Which inputs make an endpoint differ: tornado, and Sobol indices over 10^5 to 10^6 patients.

First-order index: the share of the endpoint's variance that goes if the input becomes known. Total index: the share
that stays if everything but the input becomes known. Estimators of Saltelli 2010 (Comput Phys Commun 181:259) and
Jansen 1999 from two samples A, B and A with the input's columns from B,

    S_i = mean(f_B*(f_ABi - f_A))/V,     T_i = mean((f_A - f_ABi)^2)/(2V),

f centred on its mean. Patients are drawn in blocks, each a freshly scrambled Sobol sequence; a block adds its sums and
is forgotten, so that memory does not grow with their number. Intervals are jackknife intervals over blocks.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
from scipy.stats import qmc, t

from her2pkpd.errors import ComputationError, InputError, Problem

Inputs = Mapping[str, np.ndarray]
Evaluate = Callable[[Inputs], np.ndarray]
"""Endpoint of every patient, (n,), from (n,) arrays of inputs by name; NaN for a patient who failed."""


class Distribution(Protocol):
    """What a frozen SciPy distribution offers."""

    def ppf(self, q: Any, /) -> Any:
        """Values at probabilities."""


@dataclass(frozen=True)
class Group:
    """Inputs that vary together, such as correlated random effects, and count as one.

    Attributes:
        names: of the inputs.
        draw: from (n, len(names)) independent uniform numbers to (n, len(names)) values.
    """

    names: tuple[str, ...]
    draw: Callable[[np.ndarray], np.ndarray]


def correlated_normal(names: Sequence[str], covariance: np.ndarray, mean: Sequence[float] | float = 0.0) -> Group:
    """Jointly normal inputs as one group.

    Args:
        names: (k,).
        covariance: (k, k), positive semidefinite.
        mean: (k,) or one number.
    """
    from scipy.special import ndtri

    values, vectors = np.linalg.eigh(np.asarray(covariance, dtype=float))
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    return Group(tuple(names), lambda u: ndtri(u) @ root.T + np.asarray(mean, dtype=float))


@dataclass(frozen=True)
class SobolResult:
    """Sobol indices.

    Attributes:
        indices: per input ``input, first, first_lower, first_upper, total, total_lower, total_upper``.
        mean, variance: of the endpoint.
        patients: evaluated, over all samples.
        failed: left out, with the others of their row.
        level: of the intervals.
    """

    indices: pd.DataFrame
    mean: float
    variance: float
    patients: int
    failed: int
    level: float


def sobol(
    evaluate: Evaluate,
    inputs: Mapping[str, Distribution | Group],
    *,
    patients: int = 100_000,
    blocks: int = 32,
    level: float = 0.95,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> SobolResult:
    """Sobol indices of an endpoint.

    Args:
        evaluate: the endpoint by inputs.
        inputs: independent inputs by name: a frozen SciPy distribution, or a `Group` of dependent ones.
        patients: how many may be evaluated in all; the base sample is what two and one per input leave of it, rounded
            down to a power of two per block.
        blocks: independent parts the patients are drawn in, at least 4.
        level: of the intervals.
        seed: of the scrambling.
        progress: called with the patients done and planned.

    Returns:
        The `SobolResult`.

    Raises:
        InputError: if `patients` leaves fewer than two per block, or `blocks` is below 4.
        ComputationError: if an endpoint does not vary, or fewer than half of the patients succeed.
    """
    size = _block_size(len(inputs), patients, blocks)
    sums = np.zeros((blocks, 3 + 3 * len(inputs)))
    failed, shift = 0, None
    for block in range(blocks):
        values = _evaluate_block(evaluate, inputs, size, np.random.default_rng([seed, block]))
        fine = np.isfinite(values).all(axis=0)
        failed += int(np.sum(~fine))
        kept = values[:, fine]
        if shift is None and fine.any():
            shift = float(kept[0].mean())  # sums of squares lose no digits
        sums[block] = _sums(kept - (shift or 0.0))
        if progress:
            progress((block + 1) * size * (len(inputs) + 2), blocks * size * (len(inputs) + 2))
    if failed > 0.5 * size * blocks:
        raise ComputationError(f"{failed} of {size * blocks} rows of patients failed; narrow the inputs.")
    return _result(sums, list(inputs), shift or 0.0, size * blocks * (len(inputs) + 2), failed, level)


def _block_size(inputs: int, patients: int, blocks: int) -> int:
    if blocks < 4:
        raise InputError(Problem("intervals need at least 4 blocks", "Choose more.", column="blocks", value=blocks))
    per_block = patients // (blocks * (inputs + 2))
    if per_block < 2:
        rule = f"{inputs} inputs in {blocks} blocks need at least {2 * blocks * (inputs + 2)} patients"
        raise InputError(Problem(rule, "Ask for more, or fewer blocks.", column="patients", value=patients))
    return 1 << (per_block.bit_length() - 1)


def _evaluate_block(
    evaluate: Evaluate, inputs: Mapping[str, Distribution | Group], size: int, rng: np.random.Generator
) -> np.ndarray:
    """(2 + inputs, size): the endpoint on A, on B, and on A with each input from B, asked for all at once."""
    widths = [len(x.names) if isinstance(x, Group) else 1 for x in inputs.values()]
    uniform = qmc.Sobol(2 * sum(widths), rng=rng).random(size)
    uniform = np.clip(uniform, 0.5**53, 1.0 - 0.5**53)
    halves = np.split(uniform, 2, axis=1)
    ends = np.cumsum(widths)[:-1]
    a, b = (
        [_drawn(n, x, u) for (n, x), u in zip(inputs.items(), np.split(h, ends, axis=1), strict=True)] for h in halves
    )
    samples = [a, b, *([*a[:i], b[i], *a[i + 1 :]] for i in range(len(a)))]
    tables = [{k: v for part in s for k, v in part.items()} for s in samples]
    together = {k: np.concatenate([t[k] for t in tables]) for k in tables[0]}
    return _endpoint(evaluate, together, len(samples) * size).reshape(len(samples), size)


def _drawn(name: str, given: Distribution | Group, uniform: np.ndarray) -> dict[str, np.ndarray]:
    if isinstance(given, Group):
        values = np.asarray(given.draw(uniform), dtype=float)
        return {n: values[:, k] for k, n in enumerate(given.names)}
    return {name: np.asarray(given.ppf(uniform[:, 0]), dtype=float)}


def _endpoint(evaluate: Evaluate, inputs: dict[str, np.ndarray], size: int) -> np.ndarray:
    found = np.asarray(evaluate(inputs), dtype=float)
    if found.shape != (size,):
        rule = f"an endpoint must have one value for each of the {size} patients"
        raise InputError(Problem(rule, "Return an array of that length.", column="evaluate", value=found.shape))
    return found


def _sums(values: np.ndarray) -> np.ndarray:
    """Rows; sums of f and f^2 over A and B together; per input those of f_B*(f_AB - f_A), f_AB - f_A and its square."""
    a, b, mixed = values[0], values[1], values[2:]
    change = mixed - a
    return np.concatenate([
        [a.size, a.sum() + b.sum(), a @ a + b @ b], change @ b, change.sum(axis=1), np.sum(change * change, axis=1)
    ])  # fmt: skip


def _indices(sums: np.ndarray) -> tuple[float, float, np.ndarray, np.ndarray]:
    n, total, squares = sums[:3]
    with_b, change, jansen = np.split(sums[3:], 3)
    centre = total / (2 * n)
    variance = squares / (2 * n) - centre**2
    with np.errstate(divide="ignore", invalid="ignore"):
        return centre, variance, (with_b - centre * change) / n / variance, jansen / (2 * n) / variance


def _result(sums: np.ndarray, names: list[str], shift: float, patients: int, failed: int, level: float) -> SobolResult:
    everything = sums.sum(axis=0)
    centre, variance, first, total = _indices(everything)
    if not variance > 1e-28 * (centre + shift) ** 2:
        raise ComputationError("the endpoint does not vary over these inputs, so that nothing explains its variance.")
    without = [_indices(everything - s) for s in sums if s[0] > 0]
    quantile = float(t.ppf(0.5 * (1.0 + level), len(without) - 1))
    columns: dict[str, Any] = {"input": names}
    for k, (label, value) in enumerate((("first", first), ("total", total)), start=2):
        spread = np.stack([w[k] for w in without])
        half = quantile * np.sqrt((len(without) - 1) * spread.var(axis=0))
        columns |= {label: value, f"{label}_lower": value - half, f"{label}_upper": value + half}
    return SobolResult(pd.DataFrame(columns), centre + shift, variance, patients, failed, level)


def tornado(
    evaluate: Evaluate, inputs: Mapping[str, Distribution], *, ends: tuple[float, float] = (0.05, 0.95)
) -> pd.DataFrame:
    """Endpoint with one input at a time at its low and high end, the others at their median.

    Args:
        evaluate: the endpoint by inputs.
        inputs: distributions by name.
        ends: probabilities of the low and the high end.

    Returns:
        One row per input, the widest swing first: ``input, low, high`` (values of the input), ``at_low, at_high``
        (endpoint), ``base`` (endpoint with all at their median), ``swing``.

    Raises:
        ComputationError: if the endpoint could not be computed.
    """
    names = list(inputs)
    middle = {name: float(d.ppf(0.5)) for name, d in inputs.items()}
    table = {name: np.full(2 * len(names) + 1, middle[name]) for name in names}
    for i, (name, d) in enumerate(inputs.items()):
        table[name][2 * i + 1 : 2 * i + 3] = [float(d.ppf(p)) for p in ends]
    found = _endpoint(evaluate, table, 2 * len(names) + 1)
    if not np.isfinite(found).all():
        bad = [names[(i - 1) // 2] if i else "the base" for i in np.flatnonzero(~np.isfinite(found))]
        raise ComputationError(f"the endpoint could not be computed at the ends of: {', '.join(dict.fromkeys(bad))}.")
    rows = []
    for i, name in enumerate(names):
        low, high = found[2 * i + 1], found[2 * i + 2]
        own = table[name][2 * i + 1 : 2 * i + 3]
        rows.append((name, own[0], own[1], low, high, found[0], abs(high - low)))
    columns = ["input", "low", "high", "at_low", "at_high", "base", "swing"]
    return pd.DataFrame(rows, columns=columns).sort_values("swing", ascending=False, ignore_index=True)
