"""The step of a model: which routines a Rosenbrock step needs, derived from the tape of its rates.

    prologue  par -> cst            what depends on parameters only, once per lane
    start     y, cst, add -> f, jf  rates and J f, to choose a first step
    first     y, cst, add, dg -> lu, u    rates, Jacobian, factors of W = dg I - J, first stage
    stage     arg, cst, add, lu -> u      a later stage: solve W u = f(arg) + add
    residual  y, cst, add, dg, u -> f, jf   W u minus its right-hand side, and the size of its terms: a check

`add` carries whatever is added to the rates: infusions and, in later stages, the coupling terms.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from her2pkpd.engine.program.calculus import (
    directional,
    jacobian,
    minus,
    negative,
    plus,
    times,
    transplant,
    unsigned,
)
from her2pkpd.engine.program.order import elimination_order, filled
from her2pkpd.engine.program.routine import Routine, Slot, Workshop
from her2pkpd.model.tape import CONST, INPUT, Tape, TapeBuilder


@dataclass(frozen=True)
class Factors:
    """W = L D U as nodes of a workshop, L and U with unit diagonals.

    Scaling U as well costs a product per entry once, and takes the pivots off the critical path of every solve.

    Attributes:
        order: pivots in order of elimination.
        lower: entries of L below the diagonal by (row, column).
        upper: entries of U above the diagonal by (row, column).
        inverse: reciprocals of the pivots.
        slots: where those nodes that vary are kept for later solves.
    """

    order: tuple[int, ...]
    lower: Mapping[tuple[int, int], int]
    upper: Mapping[tuple[int, int], int]
    inverse: Mapping[int, int]
    slots: Mapping[int, Slot]

    @cached_property
    def nonzeros(self) -> int:
        """Entries of L + U, diagonal included."""
        return len(self.lower) + len(self.upper) + len(self.inverse)


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

    Attributes:
        flux: the tape with powers and roots made safe, see `tolerant`.
    """

    def __init__(self, flux: Tape, n: int) -> None:
        self.n = n
        self.flux = flux = tolerant(flux, n)
        self.n_parameters = flux.n_inputs - n
        lengths = {"y": n, "arg": n, "add": n, "dg": 1, "par": self.n_parameters}
        self.shop = Workshop(lengths, ["par"])
        arrays, build = self.shop.arrays, self.shop.build
        self.rates = transplant(build, flux, [*arrays["y"], *arrays["par"]])
        self.jacobian = jacobian(build, self.rates, arrays["y"])
        self.matrix = self._matrix()
        self.factors = self._factorise()
        self.routines: dict[str, Routine] = {}
        self._first(flux)

    def _matrix(self) -> dict[tuple[int, int], int]:
        """Entries of W = dg I - J."""
        build, dg = self.shop.build, self.shop.arrays["dg"][0]
        w = {key: negative(build, node) for key, node in self.jacobian.items()}
        for i in range(self.n):
            w[i, i] = plus(build, dg, w[i, i]) if (i, i) in w else dg
        return w

    def _factorise(self) -> Factors:
        shop, build = self.shop, self.shop.build
        w = dict(self.matrix)
        order = elimination_order(self.n, w)
        place = {k: i for i, k in enumerate(order)}
        pattern = filled(self.n, w, order)
        lower: dict[tuple[int, int], int] = {}
        inverse: dict[int, int] = {}
        one, zero = build.const(1.0), build.const(0.0)
        for k in order:
            inverse[k] = build.apply("div", one, w[k, k])
            right = [j for j in order[place[k] + 1 :] if (k, j) in pattern]
            for i in (i for i in order[place[k] + 1 :] if (i, k) in pattern):
                lower[i, k] = times(build, w.pop((i, k)), inverse[k])
                for j in right:
                    w[i, j] = minus(build, w.get((i, j), zero), times(build, lower[i, k], w[k, j]))
        upper = {(i, j): times(build, inverse[i], node) for (i, j), node in w.items() if i != j}
        # Signs are left to the solves, which add or subtract at no cost.
        entries = (unsigned(build, v) for v in (*lower.values(), *upper.values(), *inverse.values()))
        kept = sorted({v for v in entries if shop.varying(v)})
        slots = {node: Slot("lu", k) for k, node in enumerate(kept)}
        return Factors(tuple(order), lower, upper, inverse, slots)

    def solve(self, rhs: list[int]) -> list[int]:
        """Nodes of the solution of W x = rhs."""
        build, f = self.shop.build, self.factors
        x = list(rhs)
        by_column: dict[int, list[int]] = {}
        by_row: dict[int, list[int]] = {}
        for i, k in f.lower:
            by_column.setdefault(k, []).append(i)
        for i, j in f.upper:
            by_row.setdefault(i, []).append(j)
        for k in f.order:
            for i in by_column.get(k, ()):
                x[i] = minus(build, x[i], times(build, f.lower[i, k], x[k]))
        for k in reversed(f.order):
            x[k] = build.apply("mul", x[k], f.inverse[k])
            for j in by_row.get(k, ()):
                x[k] = minus(build, x[k], times(build, f.upper[k, j], x[j]))
        return x

    def _first(self, flux: Tape) -> None:
        shop, build, arrays = self.shop, self.shop.build, self.shop.arrays
        rhs = [plus(build, f, a) for f, a in zip(self.rates, arrays["add"], strict=True)]
        u = self.solve(rhs)
        outputs = [(node, slot) for node, slot in self.factors.slots.items()]
        self.routines["first"] = shop.routine("first", [*outputs, *_into("u", u)])
        later = transplant(build, flux, [*arrays["arg"], *arrays["par"]])
        u = self.solve([plus(build, f, a) for f, a in zip(later, arrays["add"], strict=True)])
        self.routines["stage"] = shop.routine("stage", _into("u", u), self.factors.slots)
        tangents = dict(zip(arrays["y"], rhs, strict=True))
        jf = directional(build, self.rates, tangents)
        self.routines["start"] = shop.routine("start", [*_into("f", rhs), *_into("jf", jf)])
        self._residual(rhs)

    def _residual(self, rhs: list[int]) -> None:
        """The routine that checks the factors: what W u lacks of the right-hand side, and what it is made of."""
        shop, build = self.shop, self.shop.build
        u = shop.add_array("u", self.n)
        lacking = [negative(build, r) for r in rhs]
        for (i, j), entry in self.matrix.items():
            lacking[i] = plus(build, lacking[i], times(build, entry, u[j]))
        size = [
            build.apply("add", *(build.apply("abs", x) for x in (build.apply("mul", self.matrix[i, i], u[i]), rhs[i])))
            for i in range(self.n)
        ]
        self.routines["residual"] = shop.routine("residual", [*_into("f", lacking), *_into("jf", size)])

    def finish(self) -> dict[str, Routine]:
        """All routines, the prologue included."""
        return {"prologue": self.shop.prologue(), **self.routines}


def _into(array: str, nodes: list[int]) -> list[tuple[int, Slot]]:
    return [(node, Slot(array, k)) for k, node in enumerate(nodes)]
