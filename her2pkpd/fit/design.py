"""From wells to lanes: every distinct treatment is one lane, every well one observation of a lane.

Wells that differ only in replicate or read-out share a lane; each treatment has the untreated lane of its own
cell line, seeding and assay as control. Lanes carry what parameters may depend on ("cell_line", "assay").
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from her2pkpd.dosing import Add, compile_segments
from her2pkpd.engine import Batch, Segments
from her2pkpd.library import CellLine, Drug, load_parameters
from her2pkpd.model import Model
from her2pkpd.systems.well import cell_parameters, well_model

POPULATION = "cells"
"""Name of the one population of a fitted well; every lane gives it its own cell line's values."""

_TABLES_KEPT = 32
"""Dosing tables kept, one per number of copies of the lanes."""


@dataclass(frozen=True)
class Treatment:
    """What was done to a well.

    Attributes:
        cell_line: name in the library.
        assay: screen or plate group it belongs to; "" when there is one.
        seeded: cells at time zero.
        doses: (drug, nM) pairs above zero, sorted by drug.
        plate: plate it stood on, where an estimate is made per plate, else "".
        replicate: likewise.
    """

    cell_line: str
    assay: str = ""
    seeded: float = 5000.0
    doses: tuple[tuple[str, float], ...] = ()
    plate: str = ""
    replicate: str = ""

    @property
    def untreated(self) -> "Treatment":
        """The control of this treatment."""
        return replace(self, doses=())

    @property
    def row(self) -> dict[str, str]:
        """What estimates may be made per."""
        return {
            "cell_line": self.cell_line, "assay": self.assay, "plate": self.plate, "replicate": self.replicate,
        }  # fmt: skip


@dataclass(frozen=True)
class Signal:
    """One predicted number: a read-out of a treatment at a time."""

    treatment: Treatment
    time: float
    readout: str


@dataclass
class Design:
    """All lanes of a fit.

    Attributes:
        model: the well, with one population named `POPULATION`.
        lanes: one treatment per lane.
        times: (M,) all times any read-out is taken at, h.
        parameters: (L, n_parameters) values before estimation.
        lane_of: position of each treatment among the lanes.
    """

    model: Model
    lanes: list[Treatment]
    times: np.ndarray
    parameters: np.ndarray
    lane_of: dict[Treatment, int] = field(default_factory=dict)
    _segments: dict[tuple[int, tuple[int, ...]], Segments] = field(default_factory=dict, repr=False)

    @property
    def rows(self) -> list[dict[str, str]]:
        """Per lane, what estimates may be made per."""
        return [t.row for t in self.lanes]

    @property
    def cell_lines(self) -> list[str]:
        """Cell lines among the lanes, in order of appearance."""
        return list(dict.fromkeys(t.cell_line for t in self.lanes))

    def column(self, name: str) -> tuple[int, str | None] | None:
        """What a user's name for a parameter means.

        Args:
            name: a model parameter, a cell line's own parameter (``w``), or that of one line (``SK-BR-3.w``).

        Returns:
            Index of the model parameter and the one cell line meant, None for all of them; None for a name the
            well does not have. The number of cells seeded belongs to the data and has no name.
        """
        line = next((x for x in self.cell_lines if name.startswith(f"{x}.")), None)
        own = f"{POPULATION}.{name.removeprefix(f'{line}.')}"
        for candidate in (own,) if line else (name, own):
            if candidate in self.model.parameter_index and candidate != f"{POPULATION}.seeded":
                return self.model.parameter_index[candidate], line
        return None

    def fix(self, name: str, value: float) -> None:
        """Give a parameter one value in all lanes, or in those of one cell line; see `column` for names.

        Raises:
            KeyError: if the well has no such parameter.
        """
        found = self.column(name)
        if found is None:
            raise KeyError(name)
        index, line = found
        reached = [line is None or t.cell_line == line for t in self.lanes]
        self.parameters[reached, index] = value

    def batch(self, parameters: np.ndarray, lanes: np.ndarray | None = None) -> Batch:
        """The solve of lanes: drugs added at time zero.

        Args:
            parameters: (C * L', n_parameters), C times the lanes.
            lanes: (L',) which lanes; None for all.
        """
        chosen = range(len(self.lanes)) if lanes is None else lanes.tolist()
        copies = len(parameters) // len(chosen)
        key = (copies, tuple(chosen))
        if key not in self._segments:
            if len(self._segments) > _TABLES_KEPT:
                self._segments.clear()
            self._segments[key] = self._dosing([self.lanes[i] for i in chosen], copies)
        return Batch(self.model, parameters, self._segments[key], self.times)

    def _dosing(self, lanes: Sequence[Treatment], copies: int) -> Segments:
        events = [[Add(0.0, drug, nM) for drug, nM in lane.doses] for lane in lanes]
        one = compile_segments(self.model, events, start=0.0, stop=float(self.times[-1]))
        tables = (np.tile(x, (copies, *[1] * (x.ndim - 1))) for x in (one.jump, one.keep, one.infusion, one.reset))
        return Segments(np.tile(one.boundaries, (copies, 1)), one.inputs, *tables)


def make_design(
    signals: Sequence[Signal],
    drugs: Sequence[Drug],
    cell_lines: Mapping[str, CellLine],
    *,
    volume: float = 1e-4,
) -> Design:
    """Collect the lanes that a list of signals needs.

    Args:
        signals: everything to be predicted.
        drugs: the drugs of the well.
        cell_lines: library entries by name.
        volume: medium, L.

    Returns:
        The `Design`; untreated lanes are included.
    """
    treatments = list(dict.fromkeys(t for s in signals for t in (s.treatment.untreated, s.treatment)))
    # Every lane has its own receptors and doubling time; the rest of a line it knows nothing of is the library's.
    anybody = {"HER2": load_parameters()["cell.HER2"].canonical, "doubling_time": 48.0}
    model = well_model(drugs, {POPULATION: anybody}, volume=volume)
    times = np.array(sorted({0.0, *(s.time for s in signals)}))
    parameters = np.tile(model.default_parameters(), (len(treatments), 1))
    for lane, treatment in enumerate(treatments):
        own = {**cell_parameters(cell_lines[treatment.cell_line]), "seeded": treatment.seeded}
        for name, value in own.items():
            if f"{POPULATION}.{name}" in model.parameter_index:  # a payload no drug of this fit carries has none
                parameters[lane, model.parameter_index[f"{POPULATION}.{name}"]] = value
    return Design(model, treatments, times, parameters, {t: i for i, t in enumerate(treatments)})
