"""`cohort_report`: a cohort's folder in; its summary table, figures and one page out."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from her2pkpd.cohort.attainment import attainment
from her2pkpd.cohort.sensitivity_given import explained_variance
from her2pkpd.cohort.summary import bands, summarise
from her2pkpd.cohort.summary_exposure import CONFOUNDED, exposure_response
from her2pkpd.cohort.summary_response import shares, spider, waterfall
from her2pkpd.cohort.summary_source import STATUS, Join, Weights, batches, columns_of
from her2pkpd.cohort.survival import kaplan_meier, survival_table
from her2pkpd.errors import ComputationError, InputError, Problem, Problems
from her2pkpd.report.cohort_figures import attainment_figure, bands_figure, exposure_response_figure
from her2pkpd.report.cohort_outcome_figures import explained_figure, spider_plot, survival_figure, waterfall_plot
from her2pkpd.report.page import Page, png
from her2pkpd.runinfo import write_text
from her2pkpd.settings import nearest
from her2pkpd.simulate.patient_scenario import COVARIATE_FLAGS, COVARIATE_UNITS

NOT_ENDPOINTS = ("patient", "steps", "draw")
LANDMARKS = 5
"""Times at which survival is tabulated."""

OVERLAP = (
    "Share of the variance that each property of the patients explains by itself. Properties are correlated, so that "
    "shares overlap."
)

MANY = 8
"""More variables, or exposures, than this do not get a figure each."""


@dataclass(frozen=True)
class _Folder:
    """A cohort's tables, read as they are needed."""

    path: Path
    weights: Weights = None
    manifest: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def endpoints(self) -> Path:
        return self.path / "endpoints.parquet"

    @cached_property
    def both(self) -> Join:
        return Join(self.endpoints, self.path / "patients.parquet")

    @cached_property
    def trajectories(self) -> Path | None:
        folder = self.path / "trajectories.parquet"
        return folder if folder.is_dir() and any(folder.glob("*.parquet")) else None

    def unit(self, column: str) -> str:
        for table in self.manifest.get("columns", {}).values():
            if column in table:
                unit = str(table[column].get("unit", ""))
                return "" if unit == "1" else unit
        return ""

    def label(self, column: str) -> str:
        unit = self.unit(column)
        return f"{column}, {unit}" if unit else column

    @cached_property
    def numbers(self) -> list[str]:
        """Endpoints that are numbers and not all missing."""
        import pyarrow as pa
        import pyarrow.dataset as ds

        schema = ds.dataset(self.endpoints, format="parquet").schema
        kinds = (pa.types.is_floating, pa.types.is_integer)
        return [f.name for f in schema if f.name not in NOT_ENDPOINTS and any(k(f.type) for k in kinds)]


def cohort_report(
    folder: str | Path,
    *,
    title: str = "Cohort",
    targets: Mapping[str, Sequence[float]] | None = None,
    weights: Weights = None,
) -> list[Path]:
    """Summarise a cohort's folder: write ``summary.csv``, ``figures/`` and ``report.html`` into it.

    The Parquet tables are read column by column, so that a million patients take the memory of a few columns.

    Args:
        folder: what ``her2pkpd cohort`` wrote; ``docs/cohort.md`` says what is in it.
        title: of the page.
        targets: endpoints and the values that count as attained, such as ``{"Cmin.trastuzumab.last": [20]}``.
        weights: of the patients, as `her2pkpd.cohort.weights.tilt` makes them.

    Returns:
        The files written.

    Raises:
        InputError: if the folder holds no cohort, or a target is no endpoint.
        ComputationError: if the files cannot be written.
    """
    own = _open(Path(folder), weights)
    try:
        return _written(own, title, targets or {})
    except OSError as error:
        rule = f"{folder}: the report cannot be written ({error.strerror or error})"
        remedy = "Correct that; the same command with --resume then writes the report alone."
        raise ComputationError(f"{rule}; the cohort itself is complete. {remedy}") from error


def _written(own: _Folder, title: str, targets: Mapping[str, Sequence[float]]) -> list[Path]:
    for name in targets:
        if name not in own.numbers:
            rule = f"no endpoint '{name}' in this cohort"
            raise InputError(Problem(rule, nearest(name, own.numbers), file=str(own.path), column="targets"))
    table: Any = summarise(own.endpoints, own.numbers, weights=own.weights)
    table.insert(2, "unit", [own.unit(x) for x in table["endpoint"]])
    table = table[table["patients"] > 0].reset_index(drop=True)
    page = Page(title)
    _opening(page, own, table)
    written = [own.path / "summary.csv"]
    write_text(written[0], table.to_csv(index=False))
    (own.path / "figures").mkdir(exist_ok=True)
    for old in (own.path / "figures").glob("[0-9][0-9]_*.png"):
        old.unlink()
    for heading, parts in _sections(own, targets):
        page.heading(heading)
        for part in parts:
            if isinstance(part, Figure):
                name = f"{len(written):02d}_{_file_name(heading)}.png"
                written.append(own.path / "figures" / name)
                written[-1].write_bytes(picture := png(part))
                page.figures([(heading, picture)])
            elif isinstance(part, pd.DataFrame):
                page.table(part)
            else:
                page.text(part, kind="note")
    page.heading("Endpoints")
    page.table(table)
    written.append(own.path / "report.html")
    write_text(written[-1], page.html())
    return written


def read_targets(written: Sequence[str]) -> dict[str, list[float]]:
    """Targets written as "Cmin.trastuzumab.last=20", by endpoint.

    Raises:
        InputError: listing those that are not a name and a number.
    """
    found: dict[str, list[float]] = {}
    problems = Problems()
    for text in written:
        name, _, value = text.rpartition("=")
        try:
            found.setdefault(name.strip(), []).append(float(value))
        except ValueError:
            name = ""
        if not name.strip():
            problems.add(
                "a target is ENDPOINT=VALUE", 'Write "Cmin.trastuzumab.last=20".', column="--target", value=text
            )
    problems.raise_any()
    return found


def check_targets(settings: str | Path, targets: Mapping[str, Sequence[float]]) -> None:
    """Whether a cohort will have the endpoints of targets, asked before it is computed.

    Raises:
        InputError: for bad settings, and every endpoint it will not have.
    """
    if not targets:
        return
    from her2pkpd.cohort import engines
    from her2pkpd.cohort.blocks import template
    from her2pkpd.cohort.read import read_cohort
    from her2pkpd.cohort.trial import build_trial

    own = read_cohort(settings)
    trial = build_trial(replace(own, solver=replace(own.solver, rtol=0.01)))  # only names are looked at
    _, meanings = template(trial, engines.solver("kernel"))
    problems = Problems(str(settings))
    for name in targets:
        if name not in meanings["endpoints"]:
            problems.add(
                "is no endpoint of this cohort", nearest(name, meanings["endpoints"]), column="--target", value=name
            )
    problems.raise_any()


def _open(folder: Path, weights: Weights) -> _Folder:
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        rule = "the folder holds no cohort with a readable manifest"
        raise InputError(Problem(rule, "Give the --out of a cohort.", file=str(folder))) from error
    return _Folder(folder, weights, manifest)


def _opening(page: Page, own: _Folder, table: pd.DataFrame) -> None:
    status: dict[str, int] = {}
    import pyarrow.dataset as ds

    for batch in ds.dataset(own.endpoints, format="parquet").to_batches(columns=[STATUS]):
        for word, number in zip(*np.unique(batch.to_pandas()[STATUS].astype(str), return_counts=True), strict=True):
            status[word] = status.get(word, 0) + int(number)
    arms = ", ".join(str(a["name"]) for a in own.manifest.get("arms", []))
    size, seed = own.manifest.get("patients", "?"), own.manifest.get("seed", "?")
    page.text(f"{size:,} virtual patients, seed {seed}; arms: {arms or 'one'}.")
    failed = {k: v for k, v in status.items() if k != "ok"}
    if failed:
        listed = ", ".join(f"{v:,} {k}" for k, v in failed.items())
        page.text(
            f"{sum(failed.values()):,} of {sum(status.values()):,} courses failed and are left out: {listed}.",
            kind="bad",
        )
    for caution in own.manifest.get("cautions", []):
        page.text(caution, kind="bad")
    if own.weights is not None:
        worth = ", ".join(f"{x:,.0f}" for x in sorted(set(table["effective"].round())))
        page.text(
            f"Patients are weighted; every arm is worth about {worth} patients (effective sample size).", kind="note"
        )
    page.text(
        "Virtual patients differ by covariates, variability and whatever else the settings vary; intervals say how "
        "well a cohort of this size knows its own model, not how well the model knows patients.",
        kind="note",
    )


def _sections(own: _Folder, targets: Mapping[str, Sequence[float]]) -> Iterator[tuple[str, list[Any]]]:
    if own.trajectories is not None:
        known = [c for c in columns_of(own.trajectories) if c not in ("patient", "arm", "time")]
        yield "Courses", [_bands(own, name) for name in known[:MANY]]
    if targets:
        yield "Target attainment", [x for name, values in targets.items() for x in _attainment(own, name, values)]
    if "best_response" in columns_of(own.endpoints) and _any(own, "SLD.best_change"):
        yield from _response(own)
    yield from _explained(own)


def _any(own: _Folder, column: str) -> bool:
    return any(len(b.known(column)) for b in batches(own.endpoints, [column]))


def _bands(own: _Folder, name: str) -> Figure:
    assert own.trajectories is not None
    table: Any = bands(own.trajectories, name, weights=own.weights)
    middle = table["q50"].to_numpy(dtype=float)
    wide = bool(np.all(middle >= 0)) and name.startswith("plasma.")
    if wide:  # a logarithmic axis has no room for nothing at time zero
        table = table[table["q05"] > 1e-4 * np.nanmax(middle)]
    return bands_figure(table, own.label(name), log=wide)


def _attainment(own: _Folder, name: str, values: Sequence[float]) -> list[Any]:
    table: Any = attainment(own.endpoints, name, values, weights=own.weights)
    table = table[table["patients"] > 0]
    return [attainment_figure(table, by="arm", label="arm"), table]


def _response(own: _Folder) -> Iterator[tuple[str, list[Any]]]:
    yield (
        "Response",
        [waterfall_plot(waterfall(own.endpoints, weights=own.weights)), shares(own.endpoints, weights=own.weights)],
    )
    if own.trajectories is not None and "SLD" in columns_of(own.trajectories):
        yield "Tumours of single patients", [spider_plot(spider(own.trajectories))]
    curves = kaplan_meier(own.endpoints, weights=own.weights)
    end = max(float(c.time[-1]) for c in curves)
    landmarks = np.linspace(0.0, end, LANDMARKS + 1)[1:]
    yield (
        "Time to progression",
        [survival_figure(curves, "progression-free"), survival_table(curves, landmarks.tolist())],
    )
    exposures = [x for x in own.numbers if x.startswith("AUC.") and x.endswith(".first")][:MANY]
    known = columns_of(own.path / "patients.parquet")
    covariates = [x for x in (*COVARIATE_UNITS, *COVARIATE_FLAGS) if x in known]
    parts: list[Any] = [CONFOUNDED]
    for name in exposures:
        found = exposure_response(own.both, name, "best_response", covariates=covariates, weights=own.weights)
        if len(found.groups):
            parts.append(exposure_response_figure(found, own.label(name), "objective response rate"))
            strong = found.imbalance[found.imbalance["standardised"].abs() > 0.2]
            parts += (
                ["Covariates that differ between the lowest and the highest quartile:", strong] if len(strong) else []
            )
    if len(parts) > 1:
        yield "Exposure and response", parts


def _explained(own: _Folder) -> Iterator[tuple[str, list[Any]]]:
    inputs = [c for c in columns_of(own.path / "patients.parquet") if c not in (*NOT_ENDPOINTS, "arm")]
    wanted = [x for x in own.numbers if x.startswith("Cmin.") and x.endswith(".last")]
    wanted = [x for x in (*wanted, "SLD.best_change") if x in own.numbers and _any(own, x)][:MANY]
    if inputs and wanted:
        parts: list[Any] = [OVERLAP]
        for name in wanted:
            table = explained_variance(own.both, name, inputs, weights=own.weights).dropna(subset=["share"])
            if len(table):
                parts.append(explained_figure(table, own.label(name)))
        yield "What patients differ by", parts


def _file_name(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-." else "_" for c in name)
