"""The well problem for AMICI and pyPESTO.

AMICI takes long to import the SBML that this package exports, whose formulas are written out. Here the well is written
as someone who knows AMICI would: every expression that is used twice is an assignment rule, Hill functions are powers,
parameters that are not estimated are constants, and a well that holds none of a drug holds it at zero.
"""

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from her2pkpd.fit.problem import FitProblem
from her2pkpd.model import Model
from her2pkpd.model.tape import CONST, INPUT, Tape
from her2pkpd.posterior.density import Density

_INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/"}


def formulas(tape: Tape, names: list[str]) -> tuple[dict[str, str], list[str]]:
    """A tape as formulas: assignment rules by name, and the outputs."""
    uses = np.zeros(len(tape.nodes), dtype=int)
    for node in tape.nodes:
        np.add.at(uses, list(node.args), 1)
    text: list[str] = []
    rules: dict[str, str] = {}
    for i, node in enumerate(tape.nodes):
        written = _formula(tape, i, text, names)
        if node.op not in (CONST, INPUT, "neg") and uses[i] > 1 and not written.startswith("@"):
            rules[f"x{i}"] = written
            written = f"x{i}"
        text.append(written)
    needed = _needed(rules, [text[o] for o in tape.outputs])
    return {k: v for k, v in rules.items() if k in needed}, [text[o] for o in tape.outputs]


def _formula(tape: Tape, i: int, text: list[str], names: list[str]) -> str:  # noqa: PLR0911
    node = tape.nodes[i]
    if node.op == INPUT:
        return names[int(node.value)]
    if node.op == CONST:
        return f"{float(node.value)!r}"
    if node.op in _INFIX:
        return f"({text[node.args[0]]} {_INFIX[node.op]} {text[node.args[1]]})"
    if node.op == "neg":
        return f"(-{text[node.args[0]]})"
    if node.op == "select" and tape.nodes[node.args[2]].op == "logistic":
        return _hill(tape, node.args[2], text)
    if node.op == "exp":
        return f"exp({text[node.args[0]]})"
    return "@" + node.op  # inside a Hill function, which is written as a whole


def _hill(tape: Tape, logistic: int, text: list[str]) -> str:
    """select(x > tiny, 0, logistic(n log x)) as x^n / (1 + x^n)."""
    n, log = tape.nodes[tape.nodes[logistic].args[0]].args
    guard = tape.nodes[tape.nodes[log].args[0]]
    power = f"({text[guard.args[2]]})^{text[n]}"
    return f"({power} / (1 + {power}))"


def _needed(rules: dict[str, str], roots: list[str]) -> set[str]:
    import re

    found: set[str] = set()
    open_ = list(roots)
    while open_:
        for name in re.findall(r"\bx\d+\b", open_.pop()):
            if name not in found:
                found.add(name)
                open_.append(rules[name])
    return found


def sbml(model: Model) -> tuple[str, list[str], list[str]]:
    """The model as SBML with rate rules; identifiers of species and parameters."""
    import libsbml

    species = [f"s{k}" for k in range(model.n_species)]
    parameters = [f"p{k}" for k in range(model.n_parameters)]
    rules, outputs = formulas(model.flux_tape, species + parameters)
    document = libsbml.SBMLDocument(3, 2)
    own = document.createModel()
    for name, constant in [*((p, True) for p in parameters), *((x, False) for x in (*species, *rules))]:
        made = own.createParameter()
        made.setId(name)
        made.setConstant(constant)
        made.setValue(1.0 if not constant else float(model.parameters[int(name[1:])].value))
    for name, formula in rules.items():
        _rule(own.createAssignmentRule(), name, formula)
    for name, formula in zip(species, outputs, strict=True):
        _rule(own.createRateRule(), name, formula)
    return libsbml.writeSBMLToString(document), species, parameters


def _rule(rule: Any, name: str, formula: str) -> None:
    import libsbml

    rule.setVariable(name)
    math = libsbml.parseL3Formula(formula)
    if math is None:
        raise ValueError(libsbml.getLastParseL3Error())
    rule.setMath(math)


class Wells:
    """The energy of a fit, its wells solved by AMICI with forward sensitivities by the unknowns the model knows.

    Args:
        given: the fit.
        rtol: relative tolerance.
    """

    def __init__(self, given: FitProblem, rtol: float) -> None:
        os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        import amici

        self.given, objective = given, given.objective
        text, self.species, parameters = sbml(objective.design.model)
        index = objective.design.model.parameter_index
        targets = [f.estimate.target for f in objective.free.free]
        self.own = [k for k, target in enumerate(targets) if target != "scale"]
        self.columns = [index[targets[k]] for k in self.own]
        self.ids = [parameters[k] for k in self.columns]
        began = time.monotonic()
        self.folder = tempfile.TemporaryDirectory()
        place = Path(self.folder.name)
        (place / "well.xml").write_text(text, encoding="utf-8")
        fixed = [p for p in parameters if p not in self.ids]
        amici.SbmlImporter(place / "well.xml").sbml2amici(
            "well", place / "well", fixed_parameters=fixed, simplify=None, verbose=30
        )
        self.import_seconds = time.monotonic() - began
        self.model = amici.import_model_module("well", place / "well").get_model()
        self._prepare(parameters, rtol)

    def _prepare(self, parameters: list[str], rtol: float) -> None:
        import amici.sim.sundials as sim

        self.solver = self.model.create_solver()
        self.solver.set_sensitivity_method(sim.SensitivityMethod.forward)
        self.solver.set_max_steps(100_000)
        self.accuracy(rtol)
        free = list(self.model.get_free_parameter_ids())
        self.model.set_parameter_list([free.index(x) for x in self.ids])
        design = self.given.objective.design
        batch = design.batch(design.parameters)
        self.model.set_timepoints([float(batch.times[0, -1])])
        states = list(self.model.get_state_ids())
        self.order = [states.index(s) for s in self.species]
        self.at = self.order[design.model.species_index["N.cells"]]
        held = [parameters.index(i) for i in self.model.get_fixed_parameter_ids()]
        self.fixed = design.parameters[:, held]
        y = np.array(batch.initial)
        y[:, list(batch.segments.inputs)] += batch.segments.jump[:, 0]
        self.start = np.empty_like(y)
        self.start[:, self.order] = y

    def accuracy(self, rtol: float) -> None:
        """Set the tolerances."""
        self.solver.set_relative_tolerance(rtol)
        self.solver.set_absolute_tolerance(rtol * 1e-2)

    def cells(self, p: np.ndarray, *, derivatives: bool) -> tuple[np.ndarray, np.ndarray]:
        """Cells at the end (L,) and their derivatives (L, K) by what is estimated, for values (K,) of that."""
        import amici.sim.sundials as sim

        self.solver.set_sensitivity_order(sim.SensitivityOrder.first if derivatives else sim.SensitivityOrder.none)
        for name, value in zip(self.ids, p, strict=True):
            self.model.set_free_parameter_by_id(name, float(value))
        value, slope = np.empty(len(self.start)), np.zeros((len(self.start), len(p)))
        nothing = np.zeros(self.start.shape[1] * len(p))
        for lane, (fixed, start) in enumerate(zip(self.fixed, self.start, strict=True)):
            self.model.set_fixed_parameters(fixed)
            self.model.set_initial_state(start)
            self.model.set_initial_state_sensitivities(nothing)
            found = sim.run_simulation(self.model, self.solver)
            if found.status:
                raise RuntimeError(f"AMICI ended with status {found.status}")
            value[lane] = found.x[0][self.at]
            if derivatives:
                slope[lane] = found.sx[0][:, self.at]
        return value, slope

    def energy(self, v: np.ndarray, *, derivatives: bool = True) -> tuple[float, np.ndarray]:
        """Our energy, in our coordinates (n,), and its gradient."""
        objective = self.given.objective
        moved = Density(objective).space.move(np.asarray(v)[None])
        u, free, predictor = moved.u[0], objective.free, objective.predictor
        natural = free.values(u)
        by_u = np.array([float(f.transform.slope(u[k])) for k, f in enumerate(free.free)])
        scaled = next(k for k in range(len(u)) if k not in self.own)
        value, slope = self.cells(natural[self.own], derivatives=derivatives)
        ratio = value[predictor.lane] / value[predictor.control]
        relative = slope / value[:, None]
        jacobian = np.zeros((len(ratio), len(u)))
        jacobian[:, self.own] = (ratio[:, None] * (relative[predictor.lane] - relative[predictor.control])) * (
            natural[scaled] * by_u[self.own]
        )
        jacobian[:, scaled] = ratio * by_u[scaled]
        block = objective.blocks[0]
        r = (natural[scaled] * ratio - block.value) / block.noise.sd
        prior, by_prior = free.prior_residuals(u)
        energy = 0.5 * (r @ r + prior @ prior) - moved.log_slope[0].sum()
        gradient = (r @ jacobian / block.noise.sd + prior @ by_prior) * moved.slope[0] - moved.bend[0]
        return float(energy), gradient


def sample(wells: Wells, v: np.ndarray, minutes: float) -> dict[str, Any]:
    """pyPESTO's adaptive Metropolis on that energy, one chain from the mean of our draws, with their covariance.

    Args:
        wells: the energy.
        v: (S, n) draws of ours.
        minutes: processor time to spend.
    """
    import pypesto
    from pypesto.sample import AdaptiveMetropolisSampler

    from her2pkpd.posterior.judge import convergence

    n, factor, centre = v.shape[1], np.linalg.cholesky(np.cov(v.T)), v.mean(axis=0)
    began = time.process_time()
    for one in v[:3]:
        wells.energy(one, derivatives=False)
    steps = max(20, int(60 * minutes / ((time.process_time() - began) / 3)))
    objective = pypesto.Objective(fun=lambda z: wells.energy(centre + factor @ z, derivatives=False)[0])
    problem = pypesto.Problem(objective, lb=np.full(n, -8.0), ub=np.full(n, 8.0))
    sampler = AdaptiveMetropolisSampler({"show_progress": False})
    sampler.initialize(problem, np.zeros(n))
    sampler._cov, sampler._cov_chol = np.eye(n) * 2.38**2 / n, np.eye(n) * 2.38 / np.sqrt(n)
    began = time.process_time()
    sampler.sample(steps)
    seconds = time.process_time() - began
    trace = np.asarray(sampler.get_samples().trace_x)[:, 1:]
    _, bulk, tail = convergence(trace)
    least = float(min(bulk.min(), tail.min()))
    moved = float((np.diff(trace[0], axis=0) != 0).any(axis=1).mean())
    return {
        "evaluations": steps,
        "seconds": seconds,
        "accepted": moved,
        "ess_min": least,
        "ess_per_second": least / seconds,
        "largest_mean": float(np.abs(trace[0].mean(axis=0)).max()),
        "sds": np.sort(trace[0].std(axis=0)).tolist(),
    }
