"""``[design]`` of a ``fit.toml``: what wells there may be, how many, and what they are for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from her2pkpd.errors import InputError
from her2pkpd.fit.readouts import RELATION
from her2pkpd.fit.settings import FitSettings
from her2pkpd.settings import Section, nearest, read_settings

PER_DECADE = 4
MOST_CANDIDATES = 20_000


@dataclass(frozen=True)
class DesignSettings:
    """What a plate may be made of, and what for.

    Attributes:
        wells: treated wells to place.
        target: unknowns whose intervals are to be narrow, as ``parameters.csv`` names them; empty means all together.
        doses: concentrations by drug, nM, ascending.
        combinations: pairs of drugs that may share a well.
        cell_lines: lines to choose from; empty means those of the data.
        times: h; empty means those of the data.
        readouts: empty means those of the data.
        live: whether one well is read at all times, instead of at one.
        most: replicates of one kind of well.
        controls: untreated wells per cell line on each plate.
        sd: standard deviation by read-out, where the fit does not give it.
        draws: parameter draws the criterion is averaged over; 0 means the estimate alone.
        seed: of draws and of the plate's layout.
        plate: wells of a plate, 96 or 384.
        edge: whether outer wells are used.
        fit: folder of a finished fit to start from; None makes the fit first.
    """

    wells: int
    target: tuple[str, ...]
    doses: Mapping[str, tuple[float, ...]]
    combinations: tuple[tuple[str, str], ...]
    cell_lines: tuple[str, ...]
    times: tuple[float, ...]
    readouts: tuple[str, ...]
    live: bool
    most: int
    controls: int
    sd: Mapping[str, float]
    draws: int
    seed: int
    plate: int
    edge: bool
    fit: Path | None


def read_design_settings(settings: FitSettings) -> DesignSettings:
    """Read and check ``[design]`` of a fit's settings file.

    Raises:
        InputError: listing everything wrong with it.
    """
    top = read_settings(settings.path)
    section = top.section("design")
    if not top.table.get("design"):
        remedy = "Add [design] with wells = 60 to say how many wells there are to place."
        section.problems.add("is missing", remedy, column="design")
    doses = _drugs(section, settings)
    folder = section.text("fit", None)
    found = DesignSettings(
        wells=section.integer("wells", low=1, high=5000) or 1,
        target=_names(section, "target"),
        doses=doses,
        combinations=_combinations(section, doses, settings),
        cell_lines=_cell_lines(section, settings),
        times=_times(section),
        readouts=_readouts(section),
        live=section.text("reading", "endpoint", choices=("endpoint", "live")) == "live",
        most=section.integer("replicates_most", 6, low=1, high=5000),
        controls=section.integer("controls", 6, low=1, high=1000),
        sd=_sd(section),
        draws=section.integer("draws", 16, low=0, high=1000),
        seed=section.integer("seed", 1),
        plate=int(section.text("plate", "96", choices=("96", "384")) or 96),
        edge=bool(section.flag("edge", False)),
        fit=None if folder is None else settings.path.parent / folder,
    )
    section.finish()
    section.problems.raise_any()
    return found


def _names(section: Section, key: str) -> tuple[str, ...]:
    value = section.get(key, (str, list), (), words="a name, or a list of names, in quotes")
    if isinstance(value, str):
        return (value,)
    if not all(isinstance(v, str) for v in value or ()):
        section.complain(key, "must be a name, or a list of names, in quotes", "Correct its type.")
        return ()
    return tuple(value or ())


def _drugs(section: Section, settings: FitSettings) -> dict[str, tuple[float, ...]]:
    doses: dict[str, tuple[float, ...]] = {}
    for own in section.sections("drug"):
        name = own.text("name")
        if name is None:
            continue
        try:
            drug = settings.library.drug(name)
        except InputError as error:
            for p in error.problems:
                own.problems.add(p.rule, p.remedy, column=own.name("name"), value=name)
            continue
        doses[drug.name] = _doses(own, drug.molar_mass.canonical)
    return doses


def _doses(own: Section, molar_mass: float) -> tuple[float, ...]:
    if own.has("concentrations"):
        texts = own.texts("concentrations", words='a list of doses such as ["1 nM", "10 nM"]') or ()
        values = [Section({"x": t}, own.name("concentrations"), own.problems).quantity("x", "nM", molar_mass=molar_mass)
                  for t in texts]  # fmt: skip
        if any(v is not None and v <= 0 for v in values):
            own.complain("concentrations", "must be above zero", "Untreated wells are added by themselves.")
        return tuple(sorted(v for v in values if v is not None and v > 0))
    low, high = (own.quantity(k, "nM", molar_mass=molar_mass) for k in ("lowest", "highest"))
    per_decade = own.integer("per_decade", PER_DECADE, low=1, high=20)
    if low is None or high is None:
        return ()
    if not 0 < low < high:
        own.complain("lowest", "must be above zero and below highest", "Correct the range.")
        return ()
    return dose_series(low, high, per_decade)


def dose_series(low: float, high: float, per_decade: int = PER_DECADE) -> tuple[float, ...]:
    """Doses from `high` down to `low` in equal steps on a log scale, in three digits, ascending."""
    steps = int(np.log10(high / low) * per_decade + 1e-9)
    return tuple(float(f"{high * 10 ** (-k / per_decade):.3g}") for k in range(steps, -1, -1))


def _combinations(
    section: Section, doses: Mapping[str, Sequence[float]], settings: FitSettings
) -> tuple[tuple[str, str], ...]:
    pairs = []
    for pair in section.get("combinations", list, [], words='pairs such as [["trastuzumab", "lapatinib"]]') or []:
        if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(p, str) for p in pair)):
            section.complain("combinations", "must be pairs of drugs", 'Write [["trastuzumab", "lapatinib"]].')
            continue
        own = [settings.library.spelt(p) for p in pair]
        for name in own:
            if doses and name not in doses:
                rule = f"'{name}' has no [[design.drug]]"
                section.complain("combinations", rule, nearest(name, doses))
        pairs.append((own[0], own[1]))
    return tuple(pairs)


def _cell_lines(section: Section, settings: FitSettings) -> tuple[str, ...]:
    names = []
    for name in section.texts("cell_lines", ()) or ():
        try:
            names.append(settings.library.cell_line(name).name)
        except InputError as error:
            for p in error.problems:
                section.problems.add(p.rule, p.remedy, column=section.name("cell_lines"), value=name)
    return tuple(names)


def _times(section: Section) -> tuple[float, ...]:
    texts = section.texts("times", (), words='a list such as ["24 h", "72 h"]') or ()
    own = Section({str(i): t for i, t in enumerate(texts)}, section.name("times"), section.problems)
    values = [own.quantity(str(i), "h") for i in range(len(texts))]
    if any(v is not None and v <= 0 for v in values):
        section.complain("times", "must be after the drugs are added", "Give times above zero.")
    return tuple(sorted({v for v in values if v is not None and v > 0}))


def _readouts(section: Section) -> tuple[str, ...]:
    names = section.texts("readouts", ()) or ()
    for name in names:
        if name not in RELATION and not name.startswith("occupancy."):
            remedy = nearest(name, [*RELATION, "occupancy.<drug>"])
            section.problems.add("is not a read-out", remedy, column=section.name("readouts"), value=name)
    return tuple(names)


def _sd(section: Section) -> dict[str, float]:
    own, found = section.section("sd"), {}
    for name in own.table:
        value = own.number(name)
        if value is not None and value <= 0:
            own.complain(name, "must be positive", "Give the standard deviation of one well.")
        elif value is not None:
            found[name] = value
    return found
