"""Models of growing size, to see what a step costs: receptors in a chain of places, about four non-zeros a row."""

from typing import Any

import numpy as np

from her2pkpd.engine import Batch, Segments
from her2pkpd.model import Builder, Scope


def chain(species: int) -> Batch:
    """`species` states: pairs of ligand and complex that bind, leave and move to the next place; 64 lanes, 48 h."""
    places = species // 2
    build = Builder(f"chain of {places}")
    for name, value in {"kon": 0.3, "koff": 0.2, "kmove": 0.5, "kloss": 0.1, "R0": 10.0}.items():
        build.parameter(name, value, "1/h")
    for k in range(places):
        build.species(f"L{k}", None, initial=5.0 if k == 0 else 0.0, scale=1.0)
        build.species(f"C{k}", None, initial=0.0, scale=1.0)
    for k in range(places):
        build.reaction(f"bind {k}", {f"L{k}": -1, f"C{k}": 1}, _binding(k))
        build.reaction(f"lost {k}", {f"C{k}": -1}, lambda s, p, k=k: p["kloss"] * s[f"C{k}"])
        if k + 1 < places:
            build.reaction(
                f"move {k}", {f"L{k}": -1, f"L{k + 1}": 1}, lambda s, p, k=k: p["kmove"] * (s[f"L{k}"] - s[f"L{k + 1}"])
            )
    model = build.model()
    lanes = 64
    rng = np.random.default_rng(3)
    p = model.default_parameters() * np.exp(0.2 * rng.standard_normal((lanes, model.n_parameters)))
    return Batch(model, p, Segments(np.broadcast_to([0.0, 48.0], (lanes, 2))), np.array([48.0]))


def _binding(k: int) -> Any:
    def rate(s: Scope, p: Scope) -> Any:
        return p["kon"] * s[f"L{k}"] * (p["R0"] - s[f"C{k}"]) - p["koff"] * s[f"C{k}"]

    return rate
