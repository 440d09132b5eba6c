"""The plate's quasi-steady signal, derived from the network.

What reaches RAS and PI3K from a cell at rest is a sum over dimers. Where pairing is far from depleting receptors and
phosphorylation far from saturated, HER2:HER2 goes with HER2 squared and kinase activity, HER2:HER3 without ligand with
the HER2 whose domain IV is free, and ligand-driven HER2:HER3 with the HER2 whose domain II is free: the three arms of
`her2pkpd.mechanisms.signalling`. Their weights follow from the network.
"""

import numpy as np

from her2pkpd.dosing import Add, compile_segments
from her2pkpd.engine import Batch, Options, solve
from her2pkpd.mechanisms.network import TAILS, tail
from her2pkpd.model import Model
from her2pkpd.systems.cell import baseline

_SATURATING = 1e4
_SETTLED = 0.5
"""Hours in which dimers and phosphorylation settle and receptors hardly move."""


def input_signal(model: Model, parameters: np.ndarray, state: np.ndarray, name: str) -> dict[str, np.ndarray]:
    """What each receptor's tails send to RAS and PI3K together.

    Args:
        model: a `cell_model`.
        parameters: (L, n_parameters).
        state: (L, n_species).
        name: name of the population.

    Returns:
        Per receptor (L,), in the network's units.
    """
    at = model.parameter_index
    return {
        r: (parameters[:, at[f"net.U_{r}"]] + parameters[:, at[f"net.G_{r}"]])
        * state[:, model.species_index[tail(r, name)]]
        for r in TAILS
    }


def reduced_arms(model: Model, parameters: np.ndarray, name: str) -> dict[str, float]:
    """Weights of the quasi-steady signal's arms.

    Args:
        model: a `cell_model` with the ligand NRG1.
        parameters: (n_parameters,).
        name: name of the population.

    Returns:
        ``a_li`` and ``a_egfr`` (shares of the untreated signal from HER2:HER3 and from EGFR) and ``a_ld`` (half the
        signal that saturating NRG1 drives, relative to untreated).
    """
    p, y = baseline(model, parameters, name)
    rest = input_signal(model, p, y, name)
    total = sum(rest.values())
    segments = compile_segments(model, [[Add(0.0, "NRG1", _SATURATING)]], start=0.0, stop=_SETTLED)
    solution = solve(Batch(model, p, segments, np.array([_SETTLED]), y), Options(1e-8, 1e-11))
    driven = input_signal(model, p, solution.y[:, 0], name)
    return {
        "a_li": float((rest["HER3"] / total)[0]),
        "a_egfr": float((rest["EGFR"] / total)[0]),
        "a_ld": float(((driven["HER3"] + driven["HER4"]) / (2.0 * total))[0]),
    }
