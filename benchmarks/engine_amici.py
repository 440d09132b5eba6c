"""AMICI (CVODES, generated C++) as a peer: solutions, and forward sensitivities.

It needs a C++ compiler, BLAS and SWIG at import; where it is not installed the benchmark runs without it.
"""

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from engine_peers import Solver, started

from her2pkpd.engine import Batch
from her2pkpd.export import to_sbml
from her2pkpd.export._identifiers import identifiers


class Amici:
    """A batch's model compiled by AMICI; every lane sets its own parameters and initial state.

    Args:
        batch: infusions are shared by its lanes and become events of the model.
        lanes: how many lanes to solve.
        moved: names of the parameters to differentiate by.
    """

    def __init__(self, batch: Batch, lanes: int, moved: Sequence[str] = ()) -> None:
        # AMICI and the model must be wrapped by the same SWIG: the one installed beside AMICI.
        os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        import amici

        self.batch, self.lanes = started(batch), lanes
        infused = batch.segments if batch.segments.infusion.any() else None
        text = to_sbml(batch.model, parameters=batch.parameters[0], segments=infused)
        self.folder = tempfile.TemporaryDirectory()
        place = Path(self.folder.name)
        (place / "model.xml").write_text(text, encoding="utf-8")
        importer = amici.SbmlImporter(place / "model.xml")
        importer.sbml2amici("peer", place / "peer", generate_sensitivity_code=bool(moved), simplify=None)
        self.model = amici.import_model_module("peer", place / "peer").get_model()
        ids = identifiers(batch.model)
        parameter_ids = list(ids["parameter"].values())
        known = list(self.model.get_free_parameter_ids())
        self.settable = [(k, i) for k, i in enumerate(parameter_ids) if i in known]
        states = list(self.model.get_state_ids())
        self.order = [states.index(i) for i in ids["species"].values()]
        self.solver = self.model.create_solver()
        self.solver.set_max_steps(1_000_000)
        if moved:
            import amici.sim.sundials as sim

            where = [parameter_ids[batch.model.parameter_index[name]] for name in moved]
            self.model.set_parameter_list([known.index(x) for x in where])
            self.solver.set_sensitivity_order(sim.SensitivityOrder.first)
            self.solver.set_sensitivity_method(sim.SensitivityMethod.forward)

    def run(self, rtol: float, atol: float) -> tuple[np.ndarray, list[np.ndarray]]:
        """States (L, M, n) and, when asked for, derivatives (M, K, n) of every lane."""
        import amici.sim.sundials as sim

        self.solver.set_relative_tolerance(rtol)
        self.solver.set_absolute_tolerance(atol)
        y, dy = [], []
        for lane in range(self.lanes):
            for k, name in self.settable:
                self.model.set_free_parameter_by_id(name, float(self.batch.parameters[lane, k]))
            start = np.array(self.model.get_initial_state())
            start[self.order] = self.batch.initial[lane]
            self.model.set_initial_state(start)
            self.model.set_timepoints(self.batch.times[lane])
            found = sim.run_simulation(self.model, self.solver)
            if found.status:
                raise RuntimeError(f"AMICI ended with status {found.status}")
            y.append(np.array(found.x)[:, self.order])
            if found.sx is not None:
                dy.append(np.array(found.sx)[:, :, self.order])
        return np.stack(y), dy


def amici_solver(batch: Batch, lanes: int) -> Solver:
    """States of the first lanes."""
    peer = Amici(batch, lanes)
    return lambda rtol, atol: peer.run(rtol, atol)[0]
