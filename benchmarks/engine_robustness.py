"""A million random parameter sets through the well and the patient: does every lane end, and say how?

Every parameter is drawn log-uniformly over two decades either side of its library value, whatever it means: fractions
come out above one and Hill coefficients above two hundred. Writes ``results/engine_robustness.json``: how many lanes
ended how, the steps they took, the parameters that tell failed lanes from the rest, how many failures fall to the
causes in `CAUSES`, whether failed lanes hold NaN from the moment of failure and finite numbers before,
and whether lanes poisoned on purpose (NaN, infinity, a negative rate, a volume of zero) leave their neighbours' numbers
as they were, bit for bit.
"""

import argparse
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from engine_models import patients, wells

from her2pkpd.engine import Batch, Options, Solution
from her2pkpd.engine.compile import host
from her2pkpd.engine.cpu import solve

RESULT = Path(__file__).parent / "results" / "engine_robustness.json"
DECADES = 2.0
CHUNK = 20_000
CAUSES: dict[str, dict[str, Callable[[Mapping[str, np.ndarray]], np.ndarray]]] = {
    "well": {
        "w, the share of growth that needs HER2, is above one: growth without signal is negative": (
            lambda p: p["SK-BR-3.w"] > 1
        ),
        "the Hill coefficient of the signal is above twenty: a switch of almost infinite slope": lambda p: (
            p["n_S"] > 20
        ),
    },
    "stand-in patient": {
        "the Hill coefficient is above 100: x^hill overflows": lambda p: p["hill"] > 100,
        "saturated enzymes (Kmp below 3 nM, substrates of 100 nM and more): a zero-order switch": lambda p: (
            p["Kmp"] < 3
        ),
    },
}
"""Per model, causes and the lanes they hold for; a lane is counted under the first that does."""
OPTIONS = Options(1e-4, 1e-6, 20_000)


def random_batch(base: Batch, lanes: int, rng: np.random.Generator) -> Batch:
    """`lanes` copies of the base batch's lanes with random parameters."""
    model, seg = base.model, base.segments
    value = model.default_parameters()
    p = value * 10.0 ** rng.uniform(-DECADES, DECADES, (lanes, len(value)))
    p = np.clip(p, [x.lower for x in model.parameters], [x.upper for x in model.parameters])
    pick = np.arange(lanes) % seg.n_lanes
    parts = (seg.jump[pick], seg.keep[pick], seg.infusion[pick], seg.reset[pick])
    return Batch(model, p, type(seg)(seg.boundaries[pick], seg.inputs, *parts), base.times[pick])


def honest(found: Solution) -> bool:
    """Whether lanes that finished are finite, and the others finite up to some time and NaN after it."""
    finite = np.isfinite(found.y).all(axis=2)
    falls = np.all(finite[:, :-1] >= finite[:, 1:], axis=1)
    whole = np.where(finite, True, np.isnan(found.y).all(axis=2)).all(axis=1)
    return bool(np.all(finite[found.ok]) and np.all(falls & whole) and not np.any(finite[~found.ok].all(axis=1)))


def poison(batch: Batch, rng: np.random.Generator) -> tuple[Batch, np.ndarray]:
    """The batch with bad numbers in one lane of twenty, and which lanes those are."""
    p = batch.parameters.copy()
    bad = np.arange(0, len(p), 20)
    p[bad, rng.integers(p.shape[1], size=len(bad))] = rng.choice([np.nan, np.inf, -np.inf, -1.0, 0.0], len(bad))
    return Batch(batch.model, p, batch.segments, batch.times), bad


def unmoved(batch: Batch, rng: np.random.Generator) -> bool:
    """Whether the neighbours of poisoned lanes keep their numbers bit for bit."""
    with np.errstate(all="ignore"):
        other, bad = poison(batch, rng)
    one, two = solve(batch, OPTIONS), solve(other, OPTIONS)
    rest = np.setdiff1d(np.arange(len(one.y)), bad)
    return bool(
        np.array_equal(one.y[rest], two.y[rest], equal_nan=True) and np.array_equal(one.steps[rest], two.steps[rest])
    )


def telling(names: list[str], parameters: np.ndarray, failed: np.ndarray) -> dict[str, float]:
    """The parameters whose mean log10 differs most between failed lanes and the rest, in decades."""
    if not failed.any() or failed.all():
        return {}
    logs = np.log10(np.maximum(parameters, 1e-300))
    shift = logs[failed].mean(axis=0) - logs[~failed].mean(axis=0)
    most = np.argsort(-np.abs(shift))[:5]
    return {names[k]: round(float(shift[k]), 2) for k in most}


def explained(model: str, names: list[str], parameters: np.ndarray, failed: np.ndarray) -> dict[str, int]:
    """How many failed lanes fall to each cause, and how many to none."""
    p = dict(zip(names, parameters[failed].T, strict=True))
    left = np.ones(int(failed.sum()), dtype=bool)
    found = {}
    for cause, holds in CAUSES[model].items():
        these = left & holds(p)
        found[cause] = int(these.sum())
        left &= ~these
    return found | {"none of these": int(left.sum())}


def run(base: Batch, lanes: int, seed: int) -> dict:
    """All lanes of one model, a chunk at a time."""
    rng = np.random.default_rng(seed)
    counts: dict[str, int] = {}
    steps, sound, kept, marks = [], True, [], []
    start = time.perf_counter()
    for done in range(0, lanes, CHUNK):
        batch = random_batch(base, min(CHUNK, lanes - done), rng)
        found = solve(batch, OPTIONS)
        for name, n in found.status_counts().items():
            counts[name] = counts.get(name, 0) + n
        sound = sound and honest(found)
        steps.append(found.steps + found.rejected)
        some = np.concatenate([np.flatnonzero(~found.ok), np.flatnonzero(found.ok)[:500]])
        kept.append(batch.parameters[some])
        marks.append(~found.ok[some])
        if done == 0:
            neighbours = unmoved(batch, rng)
        print(f"  {done + len(found.y)} lanes, {counts}, {time.perf_counter() - start:.0f} s", flush=True)
    all_steps = np.concatenate(steps)
    names = [x.name for x in base.model.parameters]
    return {
        "model": base.model.name, "species": base.model.n_species, "lanes": len(all_steps),
        "seconds": round(time.perf_counter() - start, 1), "status": counts,
        "steps": {f"p{q}": int(np.percentile(all_steps, q)) for q in (1, 50, 99)} | {"max": int(all_steps.max())},
        "failed_lanes_are_nan_from_the_failure_on_and_nothing_else_is": sound,
        "neighbours_of_poisoned_lanes_unchanged_bit_for_bit": neighbours,
        "failed_lanes_by_cause": explained(base.model.name, names, np.concatenate(kept), np.concatenate(marks)),
        "mean_log10_shift_in_failed_lanes": telling(names, np.concatenate(kept), np.concatenate(marks)),
    }  # fmt: skip


def main() -> None:
    """Run both models and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lanes", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    bases = {"well": wells(1000, spread=0.0), "patient": patients(1, cycles=1, saves=21, spread=0.0)}
    result: dict = {
        "cpu": host().cpu,
        "width": host().width,
        "decades_either_side": DECADES,
        "max_steps": OPTIONS.max_steps,
    }
    for name, base in bases.items():
        print(name, flush=True)
        result[name] = run(base, args.lanes, args.seed)
        args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
