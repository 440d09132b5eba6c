"""Synergy of the mechanism: the scores of the plate on the model's own predictions, and which arm they come from.

The well model predicts every drug alone and together, so the null models apply to it as they do to data, with no noise
and for every draw of the parameters. An *arm* is a part of the mechanism that can be switched off; synergy that
disappears with it came through it. Where several arms share it, Shapley's values divide it: the mean of what an arm
adds over all orders of switching arms on (Shapley 1953), which sum to the whole.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import factorial

import numpy as np
import pandas as pd

from her2pkpd.dosing import Add, compile_segments
from her2pkpd.engine import Batch, Options, solve
from her2pkpd.errors import ComputationError
from her2pkpd.fit.design import POPULATION
from her2pkpd.library import CellLine, Drug
from her2pkpd.mechanisms.population import count
from her2pkpd.model import Model
from her2pkpd.synergy.null_models import bliss_expected, hsa_expected
from her2pkpd.systems.well import cell_parameters, well_model

READ_OUTS = ("viability", "signal", "pAKT", "pERK")
EXCESS = {"bliss": bliss_expected, "hsa": hsa_expected}
NO_BINDING = 1e12
"""nM; an inhibitor of this constant inhibits nothing."""

_NEGLIGIBLE = 1e-3
"""Scores and shares below this are nothing anybody could measure."""


@dataclass(frozen=True)
class Arm:
    """A part of the mechanism.

    Attributes:
        name: as reported.
        off: parameters with the values that switch it off.
    """

    name: str
    off: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Combination:
    """A combination to be asked of the mechanism.

    Attributes:
        cell_line: library entry.
        drugs: library entries, two or more.
        doses: (m, k) nM, all above zero.
        ligand: nM by ligand.
        time: h.
        read_out: one of `READ_OUTS`; all are relative to the same well untreated.
        seeded: cells.
    """

    cell_line: CellLine
    drugs: tuple[Drug, ...]
    doses: np.ndarray
    ligand: Mapping[str, float]
    time: float = 72.0
    read_out: str = "viability"
    seeded: float = 5000.0

    def at(self, doses: np.ndarray) -> "Combination":
        """The same at other doses (m, k)."""
        return replace(self, doses=doses)

    def model(self) -> Model:
        """The well with these drugs and ligands."""
        own = {**cell_parameters(self.cell_line), "seeded": self.seeded}
        return well_model(list(self.drugs), {POPULATION: own}, ligands=tuple(self.ligand))


@dataclass(frozen=True, eq=False)
class MechanisticSynergy:
    """Synergy of the mechanism and where it comes from.

    Attributes:
        table: per dose pair and draw-free summary: ``concentration ..., survival, expected, excess, lower, upper``.
        arms: per arm ``arm, excess_without, lost, shapley, lower, upper, above_0, largest``: the mean excess over the
            doses with the arm off, what is lost by that, its Shapley value with the band of the draws, and the shares
            of draws in which that value is above zero, and in which it is the largest of all.
        excess: (n_draws,) mean excess over the doses.
    """

    table: pd.DataFrame
    arms: pd.DataFrame
    excess: np.ndarray

    @property
    def carried_by(self) -> str:
        """The arm with the largest Shapley value, "" where there is no synergy to divide."""
        if not len(self.arms) or abs(float(np.median(self.excess))) < _NEGLIGIBLE:
            return ""
        return str(self.arms.sort_values("shapley", ascending=False)["arm"].iloc[0])

    def __repr__(self) -> str:
        low, high = np.quantile(self.excess, [0.025, 0.975])
        head = f"mean excess {np.median(self.excess):.3f} ({low:.3f} to {high:.3f}); above 0 is synergy"
        return f"{head}\n{self.arms.to_string(index=False, float_format='%.3f')}"


def arms_of(model: Model, drugs: Sequence[Drug]) -> list[Arm]:
    """The arms a well with these drugs has."""
    found = [
        Arm("ligand-driven HER2:HER3", {"a_ld": 0.0}),
        Arm("ligand-independent HER2:HER3", {f"{POPULATION}.a_li": 0.0}),
        Arm("internalisation of single antibodies", {f"{d.name}.internalisation_ratio": 1.0 for d in drugs}),
        Arm("internalisation of antibody pairs", {"antibody_pair.internalisation_ratio": 1.0}),
        Arm(
            "kinase inhibition",
            {f"{d.name}.{k}.{c}": NO_BINDING for d in drugs for k in d.kinases for c in ("Ki", "KI")},
        ),
        Arm("toxicity off the HER2 family", {f"{d.name}.kmax_off": 0.0 for d in drugs}),
    ]
    pairs = {d.epitope for d in drugs if d.kind == "antibody"}
    kept = []
    for arm in found:
        off = {n: v for n, v in arm.off.items() if n in model.parameter_index}
        alone = arm.name == "internalisation of antibody pairs" and len(pairs) < 2
        if off and not alone:
            kept.append(Arm(arm.name, off))
    return kept


def mechanistic_synergy(
    combination: Combination,
    *,
    draws: Mapping[str, np.ndarray] | None = None,
    arms: Sequence[Arm] | None = None,
    null: str = "bliss",
    options: Options | None = None,
) -> MechanisticSynergy:
    """Excess over a null model on the mechanism's predictions, divided among its arms.

    Args:
        combination: what is combined.
        draws: (n,) values of model parameters by name, from `fit_draws` for instance; None uses the library's values.
        arms: what to switch off; by default all the well has.
        null: "bliss" or "hsa".
        options: tolerances of the engine.

    Returns:
        The `MechanisticSynergy`.

    Raises:
        ComputationError: if a lane of the engine fails.
    """
    model = combination.model()
    arms = arms_of(model, combination.drugs) if arms is None else list(arms)
    base = parameter_draws(model, draws)
    subsets = [frozenset(s) for n in range(len(arms) + 1) for s in combinations(range(len(arms)), n)]
    blocks = []
    for on in subsets:
        values = base.copy()
        for i, arm in enumerate(arms):
            if i not in on:
                for name, value in arm.off.items():
                    values[:, model.parameter_index[name]] = value
        blocks.append(values)
    survival = predicted_survival(combination, model, np.concatenate(blocks), options)
    combined, single = survival[:, :, 0], survival[:, :, 1:]
    expected = EXCESS[null](*np.moveaxis(single, -1, 0))
    excess = (expected - combined).reshape(len(subsets), len(base), -1)
    value = dict(zip(subsets, excess.mean(axis=2), strict=True))
    everything = frozenset(range(len(arms)))
    whole = slice((len(subsets) - 1) * len(base), None)
    table = _table(combination, combined[whole], expected[whole], excess[-1])
    return MechanisticSynergy(table, _arm_table(arms, value), value[everything])


def parameter_draws(model: Model, draws: Mapping[str, np.ndarray] | None) -> np.ndarray:
    """Parameters of a model (n, n_parameters): the draws (n,) of those it has, the others at their values.

    Args:
        model: the model.
        draws: by parameter name; names it does not have are passed over. None gives its own values once.
    """
    known = {n: np.asarray(v, dtype=float) for n, v in (draws or {}).items() if n in model.parameter_index}
    n = max((len(v) for v in known.values()), default=1)
    values = np.tile(model.default_parameters(), (n, 1))
    for name, column in known.items():
        values[:, model.parameter_index[name]] = column
    return values


def predicted_survival(
    combination: Combination, model: Model, parameters: np.ndarray, options: Options | None = None
) -> np.ndarray:
    """Predicted read-out relative to untreated.

    Args:
        combination: what is combined.
        model: its well.
        parameters: (n, n_parameters).
        options: tolerances of the engine.

    Returns:
        (n, m, 1 + k): together, then each drug alone, at every dose.

    Raises:
        ComputationError: if a lane fails.
    """
    treatments = _treatments(combination)
    distinct = list(dict.fromkeys([(0.0,) * len(combination.drugs), *treatments]))
    ligand = [Add(0.0, name, nM) for name, nM in combination.ligand.items() if nM]
    events = [
        [*ligand, *(Add(0.0, d.name, nM) for d, nM in zip(combination.drugs, dose, strict=True) if nM)]
        for dose in distinct
    ]
    n = len(parameters)
    segments = compile_segments(model, events * n, start=0.0, stop=combination.time)
    lanes = np.repeat(parameters, len(distinct), axis=0)
    times = np.array([combination.time])
    solution = solve(Batch(model, lanes, segments, times), options or Options(rtol=1e-6, atol=1e-9))
    if np.any(solution.status != 0):
        raise ComputationError(
            f"{int(np.sum(solution.status != 0))} wells of the mechanism failed: {solution.status_counts()}"
        )
    state = solution.y[:, -1]
    if combination.read_out == "viability":
        raw = state[:, model.species_index[count(POPULATION)]]
    else:
        raw = np.array(
            [
                model.outputs([f"{combination.read_out}.{POPULATION}"], s[None], p)[0, 0]
                for s, p in zip(state, lanes, strict=True)
            ]
        )
    raw = raw.reshape(n, len(distinct))
    relative = raw / raw[:, :1]
    index = [distinct.index(t) for t in treatments]
    return relative[:, index].reshape(n, len(combination.doses), 1 + len(combination.drugs))


def _treatments(combination: Combination) -> list[tuple[float, ...]]:
    rows: list[tuple[float, ...]] = []
    for dose in np.asarray(combination.doses, dtype=float):
        rows.append(tuple(float(d) for d in dose))
        rows += [tuple(float(d) if i == k else 0.0 for i, d in enumerate(dose)) for k in range(len(dose))]
    return rows


def _table(combination: Combination, combined: np.ndarray, expected: np.ndarray, excess: np.ndarray) -> pd.DataFrame:
    columns = {}
    for k, drug in enumerate(combination.drugs):
        tail = f"_{k + 1}" if k else ""
        columns |= {f"drug{tail}": drug.name, f"concentration{tail}": np.asarray(combination.doses)[:, k]}
    low, high = np.quantile(excess, [0.025, 0.975], axis=0)
    middle = {"survival": np.median(combined, 0), "expected": np.median(expected, 0), "excess": np.median(excess, 0)}
    return pd.DataFrame({**columns, **middle, "lower": low, "upper": high})


def _arm_table(arms: Sequence[Arm], value: Mapping[frozenset[int], np.ndarray]) -> pd.DataFrame:
    n, everything = len(arms), frozenset(range(len(arms)))
    names = ["arm", "excess_without", "lost", "shapley", "lower", "upper", "above_0", "largest"]
    if not n:
        return pd.DataFrame(columns=names)
    shares = np.stack([_shapley(i, n, value) for i in range(n)])
    first = np.where(shares.max(axis=0) > _NEGLIGIBLE, shares.argmax(axis=0), -1)
    rows = []
    for i, (arm, share) in enumerate(zip(arms, shares, strict=True)):
        without = value[everything - {i}]
        low, high = np.quantile(share, [0.025, 0.975])
        middle = [np.median(x) for x in (without, value[everything] - without, share)]
        rows.append((arm.name, *middle, low, high, np.mean(share > _NEGLIGIBLE), np.mean(first == i)))
    return pd.DataFrame(rows, columns=names)


def _shapley(arm: int, n: int, value: Mapping[frozenset[int], np.ndarray]) -> np.ndarray:
    """(draws,) what an arm adds, averaged over all orders of switching n arms on."""
    share = np.zeros_like(value[frozenset()])
    for subset, worth in value.items():
        if arm not in subset:
            weight = factorial(len(subset)) * factorial(n - len(subset) - 1) / factorial(n)
            share = share + weight * (value[subset | {arm}] - worth)
    return share
