"""Treatments as PEtab experiments: a condition for the cells, one for the drugs, both applied at time zero."""

from dataclasses import dataclass, field

import numpy as np

from her2pkpd.export._formula import Formulas, number
from her2pkpd.export._identifiers import identifier
from her2pkpd.fit.design import Treatment
from her2pkpd.model.trace import trace
from her2pkpd.petab.names import Names


@dataclass
class Experiments:
    """Experiments and conditions, made as they are asked for.

    Attributes:
        names: identifiers of the problem.
        conditions: rows ``conditionId, targetId, targetValue``.
        experiments: rows ``experimentId, time, conditionId``.
    """

    names: Names
    conditions: list[tuple[str, str, str]] = field(default_factory=list)
    experiments: list[tuple[str, float, str]] = field(default_factory=list)
    _known: dict[object, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        model = self.names.model
        self._start = trace(lambda *p: [1.0 * v for v in model.initial_scalars(p)], model.n_parameters)

    def of(self, treatment: Treatment) -> str:
        """Identifier of the experiment of a treatment."""
        if treatment not in self._known:
            doses = "".join(f" {drug} {nM:g}" for drug, nM in treatment.doses)
            name = f"{treatment.cell_line}{' ' + treatment.assay if treatment.assay else ''}{doses}"
            self._known[treatment] = identifier(name, self.names.taken)
            for condition in (self._cells(treatment), self._drugs(treatment)):
                if condition:
                    self.experiments.append((self._known[treatment], 0.0, condition))
        return self._known[treatment]

    def _cells(self, treatment: Treatment) -> str:
        """What is a line's own: parameters, and initial values that follow from them."""
        untreated = treatment.untreated
        key = ("cells", untreated)
        if key not in self._known:
            design = self.names.objective.design
            lane = design.lane_of[untreated]
            name = identifier(f"cells {untreated.cell_line} {untreated.assay}".strip(), self.names.taken)
            base = design.parameters[lane]
            changes = [
                (self.names.ids["parameter"][n], self.names.value(n, lane, float(base[i])))
                for i, n in self.names.touched()
            ]
            changes += self._initial(lane, base)
            self.conditions += [(name, target, value) for target, value in changes]
            self._known[key] = name if changes else ""
        return self._known[key]

    def _initial(self, lane: int, base: np.ndarray) -> list[tuple[str, str]]:
        """Initial values that depend on anything a line has of its own, or on an unknown.

        They are written out, so that nothing hangs on when a tool evaluates the model's own initial assignments.
        """
        names = self.names
        own = {i for i, _ in names.touched()}
        unknown = {i for i, p in enumerate(names.model.parameters) if p.name in names.objective.free.targets}
        inputs = [f"({names.value(p.name, lane, float(base[i]))})" for i, p in enumerate(names.model.parameters)]
        formulas, numbers = Formulas(self._start, inputs), names.model.initial(base)
        changes = []
        for i, (species, needs) in enumerate(zip(names.model.species, self._start.dependencies(), strict=True)):
            if needs & (own | unknown):
                value = formulas.output(i) if needs & unknown else number(float(numbers[i]))
                changes.append((names.ids["species"][species.name], value))
        return changes

    def _drugs(self, treatment: Treatment) -> str:
        if not treatment.doses:
            return ""
        key = ("drugs", treatment.doses)
        if key not in self._known:
            text = " ".join(f"{drug} {nM:g}" for drug, nM in treatment.doses)
            name = self._known[key] = identifier(f"drugs {text}", self.names.taken)
            self.conditions += [
                (name, self.names.ids["species"][drug], number(float(nM))) for drug, nM in treatment.doses
            ]
        return self._known[key]
