"""The plate's quasi-steady signal, derived from the network.

What reaches RAS and PI3K from a cell at rest is a sum over dimers. Where pairing is far from depleting receptors and
phosphorylation far from saturated, HER2:HER2 goes with HER2 squared and kinase activity, HER2:HER3 without ligand with
the HER2 whose domain IV is free, and ligand-driven HER2:HER3 with the HER2 whose domain II is free: the three arms of
`her2pkpd.mechanisms.signalling`. Their weights follow from the network, and so do the two constants by which
alterations of PTEN and PIK3CA act on AKT.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from her2pkpd.dosing import Add, compile_segments
from her2pkpd.engine import Batch, Options, Segments, solve
from her2pkpd.mechanisms.network import TAILS, tail
from her2pkpd.model import Model
from her2pkpd.systems.cell import baseline

_SATURATING = 1e4
_SETTLED = 0.5
"""Hours in which dimers and phosphorylation settle and receptors hardly move."""
_ADAPTED = 72.0
"""Hours in which the cell has come to terms with a constant input from its receptors."""


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


def akt_curves(
    model: Model, parameters: np.ndarray, name: str, genotypes: Sequence[Mapping[str, float]], inputs: Sequence[float]
) -> np.ndarray:
    """AKT of cells that differ downstream of the receptors, against what reaches it from these.

    Args:
        model: a `cell_model` without drugs or ligands.
        parameters: (n_parameters,) of the wild type.
        name: name of the population.
        genotypes: changed parameters of each, such as ``{"PTEN": 0.2}``, names without the population's.
        inputs: (K,) factors on what receptors send; 1 is the untreated cell, 0 a cell without receptors.

    Returns:
        (K, 1 + G) for the wild type and the G genotypes, on a scale where the wild type without receptors has 0 and
        the untreated one 1: the wild type's column is the abscissa u of `her2pkpd.mechanisms.signalling`.
    """
    at = model.parameter_index
    cells = np.tile(parameters, (1 + len(genotypes), 1))
    for row, changes in zip(cells[1:], genotypes, strict=True):
        for key, value in changes.items():
            row[at[f"{name}.{key}"]] = value
    p, y = baseline(model, cells, name)
    sent = [at[f"net.{way}_{r}"] for way in "UG" for r in TAILS]
    found = []
    for factor in inputs:
        less = p.copy()
        less[:, sent] *= factor
        segments = Segments(np.tile([0.0, _ADAPTED], (len(less), 1)))
        state = solve(Batch(model, less, segments, np.array([_ADAPTED]), y), Options(1e-7, 1e-10)).y[:, 0]
        found.append(state[:, model.species_index[f"AKT.{name}"]])
    curves = np.array(found)
    none, full = curves[np.argmin(inputs), 0], curves[np.argmax(inputs), 0]
    return (curves - none) / (full - none)


def altered_akt(model: Model, parameters: np.ndarray, name: str, genotype: Mapping[str, float]) -> dict[str, float]:
    """The two constants of an alteration downstream of the receptors.

    Args:
        model: a `cell_model` without drugs or ligands.
        parameters: (n_parameters,) of the wild type.
        name: name of the population.
        genotype: changed parameters, as `akt_curves` takes them.

    Returns:
        ``AKT_gain`` (AKT of the untreated cell, relative to the wild type) and ``AKT_free`` (share of it that is left
        without receptors), as `her2pkpd.mechanisms.signalling` has them.
    """
    curves = akt_curves(model, parameters, name, [genotype], [0.0, 1.0])
    return {"AKT_gain": float(curves[1, 1]), "AKT_free": float(curves[0, 1] / curves[1, 1])}
