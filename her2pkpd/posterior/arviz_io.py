"""The way out to ArviZ: an InferenceData on ArviZ 0.x, a DataTree on 1.x, with the same groups, names and units."""

import os
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from her2pkpd.errors import InputError, Problem
from her2pkpd.fit.objective import Observation
from her2pkpd.fit.problem import FitProblem
from her2pkpd.posterior._stats import has_inference_data
from her2pkpd.posterior.result import Posterior

_SAMPLE = ("chain", "draw")


def to_arviz(posterior: Posterior) -> Any:
    """A posterior as ArviZ reads it.

    Groups: ``posterior`` (natural values; a parameter with one copy per cell line or screen is one variable with that
    dimension), ``prior``, ``sample_stats`` of NUTS, ``posterior_predictive``, ``log_likelihood`` and
    ``observed_data``, the last three with one variable per read-out whose wells carry cell line, time and every drug's
    concentration as coordinates. Units are in the attribute ``units`` of every variable.

    Args:
        posterior: the draws.

    Returns:
        `arviz.InferenceData` or `xarray.DataTree`, as the installed ArviZ uses.
    """
    groups = _groups(posterior)
    if not has_inference_data():
        return _tree(groups)
    import arviz as az

    return az.InferenceData(**dict[str, Any](groups))


def _tree(groups: Mapping[str, xr.Dataset]) -> xr.DataTree:
    return xr.DataTree.from_dict({f"/{name}": dataset for name, dataset in groups.items()})


def save(posterior: Posterior, path: str | Path) -> None:
    """Write what `to_arviz` gives to a NetCDF file (``.nc``) or a Zarr store (``.zarr``).

    A NetCDF file appears under its name only when it is complete.

    Raises:
        InputError: for a Zarr store, where zarr is not installed.
    """
    path = Path(path)
    if path.suffix == ".zarr" and find_spec("zarr") is None:
        raise InputError(Problem("a Zarr store needs zarr, which is not installed", "pip install 'her2pkpd[zarr]'"))
    data = to_arviz(posterior)
    if path.suffix == ".zarr":
        # Format 2 is the one whose consolidated metadata every reader knows.
        _tree(_groups(posterior)).to_zarr(str(path), zarr_format=2)
        return
    partial = path.with_name(path.name + ".partial")
    data.to_netcdf(str(partial), engine="h5netcdf")
    os.replace(partial, path)  # noqa: PTH105 - Path.replace would do the same


def _groups(posterior: Posterior) -> dict[str, xr.Dataset]:
    problem, shape = posterior.problem, posterior.u.shape[:2]
    attributes = {
        "title": problem.settings.title, "inference_library": "her2pkpd", "method": posterior.method,
        "model_hash": problem.model.hash, "seed": problem.settings.method.seed,
    }  # fmt: skip
    groups = {"posterior": _parameters(problem, posterior.values, attributes)}
    n, objective, before = problem.objective.n_free, problem.objective, posterior.prior
    natural = np.concatenate([objective.free.values(before[:, :n]), np.exp(before[:, n:])], axis=1)
    groups["prior"] = _parameters(problem, natural[None], attributes)
    draws = posterior.draws
    statistics = {
        "energy": draws.energy, "lp": -draws.potential, "diverging": draws.diverging, "n_steps": draws.leapfrogs,
        "acceptance_rate": draws.acceptance,
    }  # fmt: skip
    if posterior.method == "nuts":
        groups["sample_stats"] = xr.Dataset({k: (_SAMPLE, v) for k, v in statistics.items()}, _counts(shape))
    found = posterior.predictive
    wells = len(problem.observations)
    for name, values in (("posterior_predictive", found.replicated), ("log_likelihood", found.log_likelihood)):
        groups[name] = _readouts(problem, values[:, :wells].reshape(*shape, wells), units=name != "log_likelihood")
    if problem.metrics:
        published = {"published": ((*_SAMPLE, "metric"), found.log_likelihood[:, wells:].reshape(*shape, -1))}
        labels = [f"{m.cell_line} {m.drug} {m.metric}" for m in problem.metrics]
        groups["log_likelihood"] = groups["log_likelihood"].assign(published).assign_coords(metric=labels)
    measured = np.array([o.value for o in problem.observations])
    groups["observed_data"] = _readouts(problem, measured)
    return groups


def _counts(shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    return {name: np.arange(n) for name, n in zip(_SAMPLE, shape, strict=True)}


def _parameters(problem: FitProblem, values: np.ndarray, attributes: dict[str, Any]) -> xr.Dataset:
    """Natural values (chains, draws, n_unknowns) as named variables."""
    free = problem.objective.free
    variables: dict[str, xr.DataArray] = {}
    dimensions: dict[str, list[str]] = {}
    for entry in dict.fromkeys(f.estimate for f in free.free):
        own = [i for i, f in enumerate(free.free) if f.estimate == entry]
        copies = [i for i in own if free.free[i].role in ("copy", "deviation")]
        name = entry.name.removeprefix("cells.")
        if entry.per:
            labels = [free.names[i].removesuffix(f".{name}") for i in copies]
            wanted = entry.per[0] if len(entry.per) == 1 else f"{name}.copy"
            dimension = wanted if dimensions.setdefault(wanted, labels) == labels else f"{name}.{wanted}"
            array = xr.DataArray(values[..., copies], dims=(*_SAMPLE, dimension), coords={dimension: labels})
        else:
            array = xr.DataArray(values[..., copies[0]], dims=_SAMPLE)
        variables[name] = array.assign_attrs(units=entry.unit)
        for i in set(own) - set(copies):
            variables[free.names[i]] = xr.DataArray(values[..., i], dims=_SAMPLE, attrs={"units": free.free[i].unit})
    for k, name in enumerate(problem.objective.estimated):
        array = xr.DataArray(values[..., len(free) + k], dims=_SAMPLE)
        variables[name] = array.assign_attrs(units="1", long_name=f"noise of {name.partition('.')[2]}")
    return xr.Dataset(variables, attrs=attributes).assign_coords(_counts(values.shape[:2]))


def _readouts(problem: FitProblem, values: np.ndarray, *, units: bool = True) -> xr.Dataset:
    """Values (..., n_observations) as one variable per read-out, wells with their coordinates."""
    leading = _SAMPLE[: values.ndim - 1]
    dataset = xr.Dataset()
    for block in problem.objective.blocks:
        dimension = f"{block.readout}.well"
        own = [problem.observations[i] for i in block.wells]
        array = xr.DataArray(values[..., block.wells], dims=(*leading, dimension), coords=_wells(own, dimension))
        unit = "cells" if block.readout == "cell_count" else "1"
        dataset[block.readout] = array.assign_attrs(units=unit) if units else array
    return dataset.assign_coords(_counts(values.shape[:-1])) if leading else dataset


def _wells(own: Sequence[Observation], dimension: str) -> dict[str, Any]:
    prefix = dimension.removesuffix("well")
    treatments = [o.signal.treatment for o in own]
    coordinates: dict[str, Any] = {
        dimension: np.arange(len(own)),
        f"{prefix}cell_line": (dimension, [t.cell_line for t in treatments]),
        f"{prefix}assay": (dimension, [t.assay for t in treatments]),
        f"{prefix}drug": (dimension, [" + ".join(d for d, _ in t.doses) for t in treatments]),
        f"{prefix}time": (dimension, [o.signal.time for o in own], {"units": "h"}),
        f"{prefix}censoring": (dimension, [o.censoring for o in own]),
    }
    for drug in dict.fromkeys(d for t in treatments for d, _ in t.doses):
        doses = [dict(t.doses).get(drug, 0.0) for t in treatments]
        coordinates[f"{prefix}concentration.{drug}"] = (dimension, doses, {"units": "nM"})
    return coordinates
