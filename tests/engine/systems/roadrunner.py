"""libRoadRunner as an engine: an independent reader of the exported model, with CVODE as its integrator.

Dosing is done between runs, by setting concentrations and infusion rates, so that it does not depend on how a
simulator orders events and outputs at the same time.
"""

import numpy as np

from her2pkpd.engine import Batch, Options, Segments
from her2pkpd.export import to_sbml
from her2pkpd.export._identifiers import identifiers


class Simulator:
    """libRoadRunner holding a model.

    Args:
        text: the SBML document.
        model: the model it was written from.
    """

    def __init__(self, text: str, model) -> None:
        import roadrunner

        self.runner = roadrunner.RoadRunner(text)
        self.ids = identifiers(model)
        self.species = list(self.ids["species"].values())
        self.names = [f"[{i}]" for i in self.species]
        self.runner.timeCourseSelections = self.names

    def tolerances(self, rtol: float, atol: float) -> None:
        """Tolerances of concentrations; CVODE itself counts amounts."""
        self.runner.integrator.relative_tolerance = rtol
        self.runner.integrator.absolute_tolerance = atol * min([1.0, *self.runner.model.getCompartmentVolumes()])
        self.runner.integrator.maximum_num_steps = 200_000

    def set_state(self, y) -> None:
        for name, value in zip(self.names, y, strict=True):
            self.runner.setValue(name, float(value))

    def slopes(self, y) -> np.ndarray:
        """dy/dt at a state."""
        self.set_state(y)
        volumes = [self.runner.getValue(f"{i}") / self.runner.getValue(f"[{i}]") for i in self.species]
        return np.array([self.runner.getValue(f"{i}'") for i in self.species]) / volumes

    def run(self, y, start: float, stop: float, wanted) -> tuple[np.ndarray, list[np.ndarray]]:
        """State at the end, and at the wanted times, of an interval."""
        if stop <= start:
            return y, [y.copy() for _ in wanted]
        self.set_state(y)
        grid = np.unique([start, *wanted, stop])
        self.runner.integrator.initial_time_step = 0.0
        self.runner.setValue("time", float(start))
        found = np.asarray(self.runner.simulate(times=list(map(float, grid))))
        return found[-1].copy(), [found[np.searchsorted(grid, t)].copy() for t in wanted]


def solve_roadrunner(batch: Batch, options: Options) -> np.ndarray:
    """States (L, M, n) of lanes that share their parameters; segments mean what they mean in `engine.problem`."""
    none = Segments([[0.0, 0.0]], batch.segments.inputs)
    simulator = Simulator(to_sbml(batch.model, parameters=batch.parameters[0], segments=none), batch.model)
    least = min(s.scale for s in batch.model.species)
    # CVODE's error at the end is tens to hundreds of times its tolerance.
    simulator.tolerances(1e-3 * options.rtol, 1e-3 * options.atol * least)
    return np.stack([_lane(simulator, batch, lane) for lane in range(len(batch.times))])


def _lane(simulator: Simulator, batch: Batch, lane: int) -> np.ndarray:
    seg, y, rows = batch.segments, np.array(batch.initial[lane]), []
    where = np.searchsorted(seg.boundaries[lane, :-1], batch.times[lane], side="right") - 1
    for k in range(seg.n_segments):
        y = np.array(batch.initial[lane]) if seg.reset[lane, k] else y.copy()
        for j, index in enumerate(seg.inputs):
            y[index] = seg.keep[lane, k, j] * y[index] + seg.jump[lane, k, j]
            simulator.runner.setValue(f"infusion_{simulator.species[index]}", float(seg.infusion[lane, k, j]))
        y, saved = simulator.run(y, *seg.boundaries[lane, k : k + 2], batch.times[lane, where == k])
        rows.extend(saved)
    return np.array(rows)
