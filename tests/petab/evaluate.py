"""A PEtab problem evaluated by the book: libRoadRunner for the model, SymPy for every formula, nothing of ours."""

import math

import numpy as np
import roadrunner
from petab import v2


def number(formula, known) -> float:
    """Value of a formula in named numbers."""
    return float(formula.subs({s: known[str(s)] for s in formula.free_symbols}))


class Evaluator:
    """Simulates the experiments of a PEtab problem at its nominal values, or others.

    Args:
        file: its ``problem.yaml``.
    """

    def __init__(self, file) -> None:
        self.problem = v2.Problem.from_yaml(file)
        self.runner = roadrunner.RoadRunner(str(file.parent / "model.xml"))
        self.model = self.problem.model.sbml_model
        self.nominal = {p.id: p.nominal_value for p in self.problem.parameters}

    def negative_log_likelihood(self, values=None) -> float:
        values = self.nominal | (values or {})
        total = 0.0
        for experiment in self.problem.experiments:
            rows = [m for m in self.problem.measurements if m.experiment_id == experiment.id]
            times = sorted({m.time for m in rows})
            found = self.simulate(experiment, times, values, rows)
            total += sum(self.row(m, found[m.time], values) for m in rows)
        return total

    def simulate(self, experiment, times, values, rows):
        (period,) = experiment.sorted_periods
        conditions = {c.id: c for c in self.problem.conditions}
        changes = [x for c in period.condition_ids for x in conditions[c].changes]
        self.runner.resetAll()
        self.runner.integrator.relative_tolerance = 1e-11
        self.runner.integrator.absolute_tolerance = 1e-24
        self.runner.integrator.maximum_num_steps = 1_000_000
        for name, value in values.items():
            if self.model.getParameter(name) is not None:
                self.runner.setValue(name, value)
        assigned = [(x.target_id, number(x.target_value, values)) for x in changes]
        for species in (False, True):
            for target, value in assigned:
                if (self.model.getSpecies(target) is not None) is species:
                    self.set(target, value)
        wanted = sorted({str(s) for m in rows for s in self.observable(m).formula.free_symbols} - set(values))
        result = {}
        now = 0.0
        for time in times:
            if time > now:
                self.runner.simulate(now, time, 2)
                now = time
            result[time] = {name: self.get(name) for name in wanted}
        return result

    def set(self, target, value):
        species = self.model.getSpecies(target)
        concentration = species is not None and not species.getHasOnlySubstanceUnits()
        self.runner.setValue(f"[{target}]" if concentration else target, value)

    def get(self, name):
        species = self.model.getSpecies(name)
        concentration = species is not None and not species.getHasOnlySubstanceUnits()
        return self.runner.getValue(f"[{name}]" if concentration else name)

    def observable(self, m):
        return next(o for o in self.problem.observables if o.id == m.observable_id)

    def row(self, m, state, values):
        o = self.observable(m)
        known = {**values, **state}
        prediction = number(o.formula, known)
        places = zip(o.noise_placeholders, m.noise_parameters, strict=True)
        sd = number(o.noise_formula, {**known, **{str(k): number(v, values) for k, v in places}})
        if o.noise_distribution == v2.C.LOG_NORMAL:
            error, extra = math.log(m.measurement / prediction), math.log(m.measurement)
        else:
            error, extra = m.measurement - prediction, 0.0
        return 0.5 * (error / sd) ** 2 + math.log(sd) + 0.5 * math.log(2 * np.pi) + extra
