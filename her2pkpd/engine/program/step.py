"""The step of a model: which routines a Rosenbrock step needs, derived from the tape of its rates.

    prologue  par -> cst            what depends on parameters only, once per lane
    start     y, cst, add -> f, jf  rates and J f, to choose a first step
    first     y, cst, add, dg -> lu, once, u   rates, Jacobian, factors of W = dg I - J, first stage
    stage     arg, cst, add, lu, once -> u     a later stage: solve W u = f(arg) + add
    residual  y, cst, add, dg, u -> f, jf   W u minus its right-hand side, and the size of its terms: a check

`add` carries whatever is added to the rates: infusions and, in later stages, the coupling terms. `once` holds what
depends on species at rest only, which change at doses and not in between: counters of cycles, say.
"""

from collections.abc import Collection, Sequence

from her2pkpd.engine.program.calculus import directional, minus, plus, transplant
from her2pkpd.engine.program.factor import Factors, LinearSystem
from her2pkpd.engine.program.quotients import gather_constants
from her2pkpd.engine.program.routine import Routine, Slot, Workshop
from her2pkpd.model.tape import CONST, INPUT, Tape, TapeBuilder


def tolerant(flux: Tape, n: int) -> Tape:
    """The rates with powers and square roots of a negative base taken as those of zero.

    A state may undershoot zero by about its tolerance, where x^2.5 is not a number although what is meant is 0.
    For bases that are not negative nothing changes.
    """
    varying: list[bool] = []
    build = TapeBuilder(flux.n_inputs)
    new: list[int] = []
    for node in flux.nodes:
        varying.append(node.value < n if node.op == INPUT else any(varying[a] for a in node.args))
        if node.op == INPUT:
            new.append(build.inputs[int(node.value)])
        elif node.op == CONST:
            new.append(build.const(node.value))
        else:
            args = [new[a] for a in node.args]
            if node.op in ("pow", "sqrt") and varying[node.args[0]]:
                args[0] = build.apply("max", args[0], build.const(0.0))
            new.append(build.apply(node.op, *args))
    return build.finish([new[o] for o in flux.outputs])


class StepProgram:
    """The routines of one model.

    Args:
        flux: tape of dy/dt; inputs are the species, then the parameters.
        n: number of species.
        resting: species without a rate, and without an infusion, which are the same in all stages of a step.

    Attributes:
        flux: the tape with powers and roots made safe, see `tolerant`, and constants gathered, see `gather_constants`.
    """

    def __init__(self, flux: Tape, n: int, resting: Collection[int] = ()) -> None:
        self.n = n
        self.flux = flux = gather_constants(tolerant(flux, n), n)
        self.n_parameters = flux.n_inputs - n
        lengths = {"y": n, "arg": n, "add": n, "dg": 1, "par": self.n_parameters}
        self.shop = Workshop(lengths, ["par"])
        arrays, build = self.shop.arrays, self.shop.build
        self.rates = transplant(build, flux, [*arrays["y"], *arrays["par"]])
        self.system = LinearSystem(self.shop, self.rates, arrays["y"], arrays["dg"][0])
        self.routines: dict[str, Routine] = {}
        self._first(flux, resting)

    @property
    def factors(self) -> Factors:
        """The factors of W."""
        return self.system.factors

    def solve(self, rhs: Sequence[int]) -> list[int]:
        """Nodes of the solution of W x = rhs."""
        return self.system.solve(rhs)

    def _first(self, flux: Tape, resting: Collection[int]) -> None:
        shop, build, arrays = self.shop, self.shop.build, self.shop.arrays
        rhs = [plus(build, f, a) for f, a in zip(self.rates, arrays["add"], strict=True)]
        u = self.solve(rhs)
        at = [arrays["y" if k in resting else "arg"][k] for k in range(self.n)]
        later = transplant(build, flux, [*at, *arrays["par"]])
        staged = self.solve([plus(build, f, a) for f, a in zip(later, arrays["add"], strict=True)])
        once = shop.early(staged, {*arrays["arg"], *arrays["add"]}, self.factors.slots)
        known = dict(self.factors.slots) | {node: Slot("once", k) for k, node in enumerate(once)}
        self.routines["first"] = shop.routine("first", [*known.items(), *_into("u", u)])
        self.routines["stage"] = shop.routine("stage", _into("u", staged), known)
        tangents = dict(zip(arrays["y"], rhs, strict=True))
        jf = directional(build, self.rates, tangents)
        self.routines["start"] = shop.routine("start", [*_into("f", rhs), *_into("jf", jf)])
        self._residual(rhs)

    def _residual(self, rhs: list[int]) -> None:
        """The routine that checks the factors: what W u lacks of the right-hand side, and what it is made of."""
        shop, build = self.shop, self.shop.build
        u = shop.add_array("u", self.n)
        product, parts = self.system.product(u)
        lacking = [minus(build, w, r) for w, r in zip(product, rhs, strict=True)]
        size = [build.apply("add", part, build.apply("abs", r)) for part, r in zip(parts, rhs, strict=True)]
        self.routines["residual"] = shop.routine("residual", [*_into("f", lacking), *_into("jf", size)])

    def finish(self) -> dict[str, Routine]:
        """All routines, the prologue included."""
        return {"prologue": self.shop.prologue(), **self.routines}


def _into(array: str, nodes: list[int]) -> list[tuple[int, Slot]]:
    return [(node, Slot(array, k)) for k, node in enumerate(nodes)]
