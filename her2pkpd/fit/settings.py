"""``fit.toml``: what is fitted to what, read and checked as one typed object."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from her2pkpd.errors import InputError, Problems
from her2pkpd.fit.noise import Noise
from her2pkpd.fit.objective import MetricNoise
from her2pkpd.fit.readouts import RELATION
from her2pkpd.library import CellLine, Drug, Library, read_library
from her2pkpd.settings import Section, nearest, read_settings

NOISE_KINDS = ("normal", "log-normal", "student-t", "proportional", "combined")
SAMPLERS = ("none", "nuts", "laplace", "smc")
PER = ("cell_line", "assay", "plate", "replicate")
"""Columns an estimate may have a copy per value of."""

GROUPS = ("plate", "replicate", "block", "cell_line", "assay")
"""Columns whose groups may share an unknown scale or offset."""

SCALES = ("log", "logit", "linear")
TOLERANCES = (1e-12, 1e-2)


@dataclass(frozen=True)
class DataSource:
    """One ``[[data]]`` entry.

    Attributes:
        file: path, resolved against the fit file.
        kind: "plate", "metrics" or "ccle".
        drugs: keep only these drugs; empty keeps all.
        assay: name of the screen, for estimates made per assay.
        seeded: cells per well where the file does not say.
    """

    file: Path
    kind: str
    drugs: tuple[str, ...] = ()
    assay: str = ""
    seeded: float = 5000.0


@dataclass(frozen=True)
class EstimateSettings:
    """One ``[estimate."..."]`` entry as written; `her2pkpd.fit.problem` resolves it against the model."""

    name: str
    target: str
    per: tuple[str, ...] | None
    scale: str | None
    lower: str | float | None
    upper: str | float | None
    start: str | float | None
    prior: tuple[str | float, float] | None
    pooled: float | None
    where: tuple[tuple[str, tuple[str, ...]], ...]
    hierarchy: bool = False
    library_prior: bool = False


@dataclass(frozen=True)
class MethodSettings:
    """``[method]``: how hard to look, how intervals are made, and how the posterior is sampled."""

    starts: int = 8
    seed: int = 1
    max_evaluations: int = 100
    rtol: float = 1e-7
    engine: str = "auto"
    intervals: str = "profile"
    sample: str = "none"
    draws: int = 1000
    chains: int = 4
    warmup: int = 200
    target: float = 0.9
    init: str = "laplace"


@dataclass(frozen=True)
class FitSettings:
    """Everything in ``fit.toml``."""

    path: Path
    title: str
    data: tuple[DataSource, ...]
    volume: float
    overrides: Mapping[str, Any]
    estimates: tuple[EstimateSettings, ...]
    noise: Mapping[str, Noise]
    metric_noise: MetricNoise
    method: MethodSettings
    library: Library

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file the fit depends on."""
        return (self.path, *self.library.files, *(d.file for d in self.data))


def read_fit_settings(path: str | Path) -> FitSettings:
    """Read and check ``fit.toml``.

    Raises:
        InputError: listing everything wrong with it.
    """
    path = Path(path)
    top = read_settings(path)
    title = top.text("title", path.parent.name)
    model = top.section("model")
    model.text("system", "well", choices=("well",))
    library = read_library(model, path)
    data = _data(top, path, library)
    volume = model.quantity("volume", "L", 1e-4, low=1e-9)
    overrides = top.get("parameters", dict, {}, words="a table [parameters]") or {}
    estimates = _estimates(top, library)
    noise, metric_noise = _noise(top.section("noise"), library)
    method = _method(top.section("method"))
    top.has("design")  # read by `her2pkpd.design`, where there is one
    top.finish()
    top.problems.raise_any()
    return FitSettings(path, title, data, volume, overrides, estimates, noise, metric_noise, method, library)


def _data(top: Section, path: Path, library: Library) -> tuple[DataSource, ...]:
    sections = top.sections("data")
    if not sections and not top.has("design"):
        top.problems.add("needs at least one [[data]] table", 'Write [[data]] with file = "plate.csv".', column="data")
    sources = []
    for section in sections:
        file = section.text("file")
        kind = section.text("kind", "plate", choices=("plate", "metrics", "ccle"))
        drugs = _names(section, "drugs", library.drug)
        assay = section.text("assay", "")
        seeded = section.quantity("seeded_cells", "cells", 5000.0, low=1.0)
        if file is not None and kind is not None:
            sources.append(DataSource((path.parent / file), kind, drugs, assay or "", seeded or 5000.0))
    return tuple(sources)


def _names(section: Section, key: str, find: Callable[[str], Drug | CellLine]) -> tuple[str, ...]:
    """A list of drugs or cell lines, under the library's names."""
    names = []
    for name in section.texts(key, (), words="a list of names in quotes") or ():
        try:
            names.append(find(name).name)
        except InputError as error:
            for p in error.problems:
                section.problems.add(p.rule, p.remedy, column=section.name(key), value=name)
    return tuple(names)


def _estimates(top: Section, library: Library) -> tuple[EstimateSettings, ...]:
    parent = top.section("estimate")
    if not parent.table:
        top.problems.add("nothing is estimated", 'Add at least one table [estimate."<parameter>"].', column="estimate")
    return tuple(e for name in parent.table if (e := _estimate(parent.section(name), name, library)) is not None)


def _estimate(section: Section, name: str, library: Library) -> EstimateSettings | None:
    shared = section.flag("shared", None)
    per = section.get("per", (str, list), None, words="one of " + ", ".join(PER) + ", or a list of them")
    columns = (per,) if isinstance(per, str) else tuple(per) if per is not None else None
    if columns is not None and not all(c in PER for c in columns):
        section.complain("per", f"must name some of {', '.join(PER)}", "Correct the list.")
        columns = None
    if shared is not None:
        if shared and columns:
            section.complain("shared", "contradicts per", "Give one of the two.")
        columns = () if shared else columns or ("cell_line",)
    where = section.section("where")
    lines = ("cell_line", _names(where, "cell_line", library.cell_line)) if where.has("cell_line") else None
    assays = ("assay", where.texts("assay", ()) or ()) if where.has("assay") else None
    limits = tuple(limit for limit in (lines, assays) if limit is not None)
    hierarchy = section.table.get("pooled") == "estimate"
    pooled = None if hierarchy and section.has("pooled") else section.number("pooled", None)
    if pooled is not None and pooled <= 0:
        section.complain(
            "pooled", "must be positive", "On a log scale give the fold of one standard deviation, such as 2."
        )
    plain = {
        k: section.get(k, (str, int, float), None, words='a quantity such as "10 nM"')
        for k in ("lower", "upper", "start")
    }
    return EstimateSettings(
        name, section.text("parameter", name) or name, columns, section.text("scale", None, choices=SCALES),
        plain["lower"], plain["upper"], plain["start"], _prior(section), pooled, limits, hierarchy,
        section.table.get("prior") == "library",
    )  # fmt: skip


def _prior(section: Section) -> tuple[str | float, float] | None:
    if section.table.get("prior") == "library":
        section.has("prior")
        return None
    prior = section.section("prior")
    if not prior.table:
        return None
    median = prior.get("median", (str, int, float), words='a quantity such as "10 nM"')
    spread = prior.number("spread")
    if spread is not None and spread <= 0:
        prior.complain(
            "spread", "must be positive", "On a log scale give the fold of one standard deviation, such as 2."
        )
    return None if median is None or spread is None else (median, spread)


def _noise(section: Section, library: Library) -> tuple[dict[str, Noise], MetricNoise]:
    noise = {}
    plain = {"potency": 0.3, "efficacy": 0.12}
    for name in section.table:
        if name in plain:
            plain[name] = _positive(section, name, plain[name], "Give how far laboratories scatter.")
            continue
        if name not in RELATION and not name.startswith("occupancy."):
            known = [*RELATION, "occupancy.<drug>", *plain]
            section.problems.add("is not a read-out", nearest(name, known), column=section.name(name))
        noise[library.spelt(name)] = _read_out_noise(section.section(name))
    return noise, MetricNoise(plain["potency"], plain["efficacy"])


def _read_out_noise(own: Section) -> Noise:
    kind = own.text("kind", "normal", choices=NOISE_KINDS) or "normal"
    sd = _positive(own, "sd", None, "Leave it out to estimate it.")
    df = _positive(own, "df", 4.0, "4 is a common choice.")
    cv = _positive(own, "cv", None, "Leave it out to estimate it.")
    scale, offset = (own.text(key, "", choices=GROUPS) for key in ("scale", "offset"))
    spread = _positive(own, "scale_spread", None, "Leave it out where nothing is known of the scales.")
    shift = _positive(own, "offset_sd", None, "Leave it out where nothing is known of the offsets.")
    priors = tuple((level, prior) for level in ("sd", "cv") if (prior := _level_prior(own, level)) is not None)
    noise = Noise(kind, sd, df or 4.0, bool(own.flag("file_sd", True)), cv, scale, offset, spread, shift, priors)
    _check_noise(own, noise)
    return noise


def _level_prior(own: Section, level: str) -> tuple[float, float] | None:
    prior = own.section(f"{level}_prior")
    if not prior.table:
        return None
    median, spread = (_positive(prior, key, None, "Give a number.") for key in ("median", "spread"))
    if median is None or spread is None or spread <= 1:
        prior.complain(
            "spread", "a prior needs a median and a spread above 1", "Write { median = 0.05, spread = 1.5 }."
        )
        return None
    return median, spread


def _check_noise(own: Section, noise: Noise) -> None:
    if own.has("cv") and not noise.follows:
        own.complain("cv", f"means nothing for {noise.kind} noise", 'Use kind = "proportional" or "combined".')
    if noise.grouped and noise.kind not in ("normal", "log-normal"):
        remedy = 'Use kind = "normal" or "log-normal".'
        own.complain("scale" if noise.scale else "offset", f"is not solved for {noise.kind} noise", remedy)
    if noise.offset and noise.kind == "log-normal":
        own.complain("offset", "log-normal noise knows no offset", 'Use kind = "normal".')
    if noise.scale and noise.offset and noise.scale != noise.offset:
        own.complain("offset", "must name the same column as scale", "Use one grouping for both.")
    if noise.scale and noise.kind == "log-normal" and noise.scale_spread is not None and noise.scale_spread <= 1:
        own.complain("scale_spread", "must be above 1", "Give the fold that one standard deviation spans, such as 1.2.")


def _positive(section: Section, key: str, default: float | None, remedy: str) -> Any:
    value = section.number(key, default)
    if value is not None and value <= 0:
        section.complain(key, "must be positive", remedy)
    return value


def _method(section: Section) -> MethodSettings:
    default = MethodSettings()
    return MethodSettings(
        section.integer("starts", default.starts, low=1, high=10_000),
        section.integer("seed", default.seed),
        section.integer("max_evaluations", default.max_evaluations, low=1, high=100_000),
        _tolerance(section, default.rtol),
        section.text("engine", default.engine, choices=("auto", "kernel", "reference")),
        section.text("intervals", default.intervals, choices=("profile", "laplace")),
        section.text("sample", default.sample, choices=SAMPLERS),
        section.integer("draws", default.draws, low=10, high=1_000_000),
        section.integer("chains", default.chains, low=2, high=256),
        section.integer("warmup", default.warmup, low=50, high=1_000_000),
        _acceptance(section, default.target),
        section.text("init", default.init, choices=("laplace", "pathfinder")),
    )


def _acceptance(section: Section, default: float) -> float:
    value = section.number("target", default)
    if not 0.5 <= value <= 0.999:
        section.complain("target", "must lie between 0.5 and 0.999", f"Leave it out to use {default:g}.")
        return default
    return value


def _tolerance(section: Section, default: float) -> float:
    value = section.number("rtol", default)
    if not TOLERANCES[0] <= value <= TOLERANCES[1]:
        low, high = TOLERANCES
        section.complain("rtol", f"must lie between {low:g} and {high:g}", f"Leave it out to use {default:g}.")
    return value


def file_problems(error: InputError, path: Path) -> InputError:
    """The same problems, each naming the settings file where none is named."""
    problems = Problems(str(path))
    for p in error.problems:
        problems.add(p.rule, p.remedy, row=p.row, column=p.column, value=p.value, file=p.file)
    return InputError(problems.found)
