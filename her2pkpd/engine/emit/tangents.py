"""Tangents in the kernel: what happens to them in a step, at a boundary and at a save time.

Arrays of all directions, one direction after another: ``ds`` the tangents of the state and ``dn`` those of the
new state; ``dinf`` the tangents of the infusions; ``drow`` the tangents of the dense output rows, ``dout`` the
interpolated ones. Of one direction at a time: ``v`` its stages, ``rhs`` a right-hand side, ``dcol`` a dY. One at
a time, because then stages, factors and coefficients stay in the nearest cache.
"""

import math
from dataclasses import dataclass

from her2pkpd.engine.emit.asm import function, hex_double
from her2pkpd.engine.emit.lanes import ARGUMENTS, LaneAsm
from her2pkpd.engine.emit.layout import FIELD, Layout
from her2pkpd.engine.methods import Method
from her2pkpd.engine.program.routine import Routine
from her2pkpd.engine.program.tangent import TangentProgram, tangent_table

LENIENCE = 10.0
"""How much larger the relative error of a derivative may be than that of the state; it keeps the steps those of
the plain solve in most models."""

LEAST_FLOOR = 1e-5
"""Floor of a direction without a size of its own, a parameter at zero for instance: as if it were of size 1e5.
Without one, a direction that moves nothing but by rounding error would be followed to the relative accuracy of that
error, in steps without end."""

FORGET = 1e-3
"""Fraction of a direction's largest size below which its relative accuracy no longer counts."""


@dataclass(frozen=True)
class TangentPlan:
    """What a kernel with tangents is made of.

    Attributes:
        program: the routines.
        parameters: parameters moved by the leading directions.
        count: number of directions.
        infusions: whether directions may move infusions.
    """

    program: TangentProgram
    parameters: tuple[int, ...]
    count: int
    infusions: bool

    def lengths(self, method: Method, n: int) -> dict[str, int]:
        """Scratch arrays needed, in scalars per lane."""
        all_directions = self.count * n
        lengths = {"base": len(self.program.routines["base"].outputs), "arg": method.stages * n}
        lengths |= {"edge": method.stages * self.edges, "seed": method.stages * len(self.program.seeds)}
        lengths |= {"v": method.stages * n, "rhs": n, "dcol": n, "new": n, "inverse_scale": n, "tangent_error": 1}
        lengths |= {"ds": all_directions, "dn": all_directions, "dout": all_directions}
        lengths |= {"dinf": all_directions if self.infusions else 1, "drow": len(method.dense) * all_directions}
        lengths |= {"floor": self.count, "largest": self.count, "largest_new": self.count}
        lengths["weight"] = method.stages * (method.stages + 1)
        return {name: max(length, 1) for name, length in lengths.items()}

    @property
    def edges(self) -> int:
        """Coefficients of the nonlinear part, per stage."""
        return sum(s.array == "edge" for s in self.program.routines["edges"].outputs)


def constants(plan: TangentPlan) -> str:
    """Tables the kernel reads: species whose dY matters, and for every direction its entries of ``seed``."""
    seeds = plan.program.seeds
    starts = [sum(d < k for d, _ in seeds) for k in range(plan.count + 1)]
    tables = {"columns": plan.program.columns or (0,), "seed_rows": [r for _, r in seeds] or [0], "seed_starts": starts}
    return "".join(
        f"@{name} = internal unnamed_addr constant [{len(values)} x i64] [{', '.join(f'i64 {v}' for v in values)}]\n"
        for name, values in tables.items()
    )


class TangentSteps:
    """Writes the tangent part of a step into the kernel's main function.

    Args:
        a: the assembler of the main function.
        plan: routines and directions.
        method: the Rosenbrock method.
        n: number of species.
    """

    def __init__(self, a: LaneAsm, plan: TangentPlan, method: Method, n: int) -> None:
        self.a, self.plan, self.method, self.n = a, plan, method, n
        self.table = tangent_table(method)

    def _call(self, routine: Routine, **arrays: str) -> None:
        a = self.a
        pointers = (f"ptr {arrays.get(x) or a.array(x)}" for x in routine.arrays)
        a.emit(f"call void @{routine.name}({', '.join(pointers)})")

    def prepare(self, dg: str) -> None:
        """Coefficients shared by all directions; `dg` is 1/(gamma h)."""
        a, n, routines = self.a, self.n, self.plan.program.routines
        self._call(routines["base"])
        for i in range(self.method.stages):
            arrays = {"arg": a.array("arg", i * n) if i else a.array("y"), "u": a.array("u", i * n)}
            arrays |= {"edge": self._of_stage("edge", i), "seed": self._of_stage("seed", i)}
            self._call(routines["edges"], **arrays)
            for j, value in enumerate([*self.table.e[i, :i], *[0.0] * (self.method.stages - i), self.table.f[i]]):
                if value:
                    a.store(a.mul(dg, a.const(float(value))), self._weight(i, j))

    def _of_stage(self, array: str, i: int) -> str:
        size = self.plan.edges if array == "edge" else len(self.plan.program.seeds)
        return self.a.array(array, i * size)

    def _weight(self, i: int, j: int) -> str:
        """Address of E_ij / (gamma h), or for j = stages of F_i / (gamma h)."""
        return self.a.array("weight", i * (self.method.stages + 1) + j)

    def advance(self, saving: str, rtol: str) -> None:
        """New tangents of every direction into ``dn``, their error into ``tangent_error``.

        Args:
            saving: i1, whether the dense output rows are wanted too.
            rtol: relative tolerance, a vector.
        """
        a, n = self.a, self.n
        with a.unrolled(self.plan.count) as direction:
            skip = a.op(f"mul i64 {direction}, {n}")
            s, new = a.at(a.array("ds"), skip), a.at(a.array("dn"), skip)
            for i in range(self.method.stages):
                self._right_hand_side(i, s, skip)
                moved = self._argument(i, s)
                self._seeds(i, direction)
                v = new if i == self.method.stages - 1 else a.array("v", i * n)
                self._call(self.plan.program.routines["push"], s=s, v=v, dcol=moved, edge=self._of_stage("edge", i))
            self._error(direction, new, rtol)
            with a.when(saving):
                self._dense_rows(s, new, skip)

    def _right_hand_side(self, i: int, s: str, skip: str) -> None:
        """(sum_j E_ij v_j + F_i s) / (gamma h), and the infusion's tangent."""
        a, last = self.a, self.method.stages
        terms = [(a.load(self._weight(i, last)), s)] if self.table.f[i] else []
        terms += [(a.load(self._weight(i, j)), a.array("v", j * self.n)) for j in range(i) if self.table.e[i, j]]
        infusion = a.at(a.array("dinf"), skip) if self.plan.infusions else None
        target = a.array("rhs")
        with a.unrolled(self.n) as k:
            total = a.load(infusion, k) if infusion else None
            for weight, address in terms:
                value = a.load(address, k)
                total = a.mul(weight, value) if total is None else a.fma(weight, value, total)
            a.store(total or a.const(0.0), target, k)

    def _argument(self, i: int, s: str) -> str:
        """Address of dY_i = P_i s + sum_j Q_ij v_j, of which only the species in ``columns`` are filled in."""
        a = self.a
        terms = [(float(self.table.p[i]), s)] if self.table.p[i] else []
        terms += [(float(self.table.q[i, j]), a.array("v", j * self.n)) for j in range(i) if self.table.q[i, j]]
        if len(terms) == 1 and terms[0][0] == 1.0:
            return terms[0][1]
        target = a.array("dcol")
        with a.unrolled(max(len(self.plan.program.columns), 1)) as c:
            k = a.load_as("i64", "@columns", c)
            total = a.mul(a.load(terms[0][1], k), a.const(terms[0][0]))
            for weight, address in terms[1:]:
                total = a.fma(a.load(address, k), a.const(weight), total)
            a.store(total, target, k)
        return target

    def _seeds(self, i: int, direction: str) -> None:
        """Add a direction's parameter terms to its right-hand side."""
        a = self.a
        if not self.plan.program.seeds:
            return
        rhs, seed = a.array("rhs"), self._of_stage("seed", i)
        start = a.load_as("i64", "@seed_starts", direction)
        stop = a.load_as("i64", "@seed_starts", a.op(f"add i64 {direction}, 1"))
        with a.loop(stop, start) as e:
            row = a.load_as("i64", "@seed_rows", e)
            a.store(a.add(a.load(rhs, row), a.load(seed, e)), rhs, row)

    def _error(self, direction: str, new: str, rtol: str) -> None:
        """Error of a direction, in units of what it may be; the worst of all goes into ``tangent_error``.

        With the primal's weights w = 1 / (rtol |y| + atol scale), a direction errs by E = rms(w e) and has size
        N = rms(w s). E may be LENIENCE times rtol N, or times a fraction FORGET of the largest N the direction
        has had; for a parameter p also times 1/|p|, which is an error of rtol in d ln y / d ln p. The error e is
        the last stage's du, which stiff accuracy makes the difference of the last two v.
        """
        a, n = self.a, self.n
        before = a.array("v", (self.method.stages - 2) * n)
        with a.reduction(n, [a.const(0.0)] * 2) as (k, (errors, sizes), results):
            weight, s = a.load(a.array("inverse_scale"), k), a.load(new, k)
            e = a.mul(a.sub(s, a.load(before, k)), weight)
            size = a.mul(s, weight)
            results += [a.fma(e, e, errors), a.fma(size, size, sizes)]
        error, size = (a.intrinsic("sqrt", a.mul(x, a.const(1.0 / n))) for x in results)
        largest = a.load(a.array("largest"), direction)
        largest = a.select(a.compare("ogt", size, largest), size, largest)
        a.store(largest, a.array("largest_new"), direction)
        allowed = a.mul(rtol, a.fma(largest, a.const(FORGET), size))
        floor = a.load(a.array("floor"), direction)
        allowed = a.select(a.compare("ogt", floor, allowed), floor, allowed)
        ratio = a.div(error, a.fma(allowed, a.const(LENIENCE), a.const(1e-290)))
        worst = a.load(a.array("tangent_error"))
        # A NaN wins and stays.
        a.store(a.select(a.compare("ugt", ratio, worst), ratio, worst), a.array("tangent_error"))

    def _dense_rows(self, s: str, new: str, skip: str) -> None:
        a, n, last = self.a, self.n, self.method.stages - 1
        for r in range(len(self.method.dense)):
            terms = [
                (float(w), new if j == last else a.array("v", j * n)) for j, w in enumerate(self.table.dense[r]) if w
            ]
            target = a.at(a.array("drow", r * n * self.plan.count), skip)
            with a.unrolled(n) as k:
                total = a.mul(a.load(s, k), a.const(float(self.table.dense_s[r])))
                for weight, address in terms:
                    total = a.fma(a.load(address, k), a.const(weight), total)
                a.store(total, target, k)

    def interpolate(self, x: str) -> None:
        """Tangents at fraction x of the step, into ``dout``."""
        a, total = self.a, self.n * self.plan.count
        rest = a.sub(a.const(1.0), x)
        rows = [a.array("drow", r * total) for r in range(len(self.method.dense))]
        with a.unrolled(total) as k:
            inner = a.const(0.0)
            for address in reversed(rows):
                inner = a.fma(inner, x, a.load(address, k))
            new = a.fma(rest, inner, a.load(a.array("dn"), k))
            a.store(a.fma(x, new, a.mul(rest, a.load(a.array("ds"), k))), a.array("dout"), k)

    def commit(self, accepted: str) -> None:
        """Take over the new tangents of accepted lanes."""
        a, count = self.a, self.plan.count
        for old, new, size in (("ds", "dn", self.n * count), ("largest", "largest_new", count)):
            with a.unrolled(size) as k:
                kept = a.select(accepted, a.load(a.array(new), k), a.load(a.array(old), k))
                a.store(kept, a.array(old), k)


def store_tangents(layout: Layout, plan: TangentPlan, n: int, width: int) -> str:
    """``@store_tangents(w, row, source)``: write one lane's tangents to row `row` of the output."""
    a = LaneAsm(layout, width)
    out = a.at(a.field("dy", "ptr"), a.op(f"mul i64 %row, {n * plan.count}"), "double")
    with a.unrolled(plan.count) as k:
        column = a.at("%source", a.op(f"mul i64 {k}, {n}"))
        with a.unrolled(n) as i:
            value = a.load_as("double", a.at(a.at(column, i), "%w", "double"))
            a.store_as("double", value, out, a.op(f"add i64 {a.op(f'mul i64 {i}, {plan.count}')}, {k}"))
    a.emit("ret void")
    arguments = [*ARGUMENTS, "i64 %w", "i64 %row", "ptr %source"]
    return function("store_tangents", arguments, a, "internal void", "noinline #0")


class TangentLanes:
    """Writes the tangent part of the lane functions.

    Args:
        a: the assembler of a lane function with argument ``%w``.
        plan: routines and directions.
        n: number of species.
        start: the routine that evaluates the rates.
    """

    def __init__(self, a: LaneAsm, plan: TangentPlan, n: int, start: Routine) -> None:
        self.a, self.plan, self.n, self.start = a, plan, n, start

    def _element(self, direction: str, k: str) -> str:
        """Index of a direction's species k in an array of all directions."""
        a = self.a
        return a.op(f"add i64 {a.op(f'mul i64 {direction}, {self.n}')}, {k}")

    def given(self, name: str) -> str:
        """Whether an optional array was passed, as i1."""
        return self.a.op(f"icmp ne i64 {self.a.load_as('i64', '%table', FIELD[name])}, 0")

    def load_initial(self, lane: str) -> None:
        """Tangents of the initial state."""
        a, count = self.a, self.plan.count
        row = a.row("d_initial", lane)
        with a.unrolled(count) as k, a.unrolled(self.n) as i:
            place = a.op(f"add i64 {a.op(f'mul i64 {i}, {count}')}, {k}")
            a.lane_set(a.load_as("double", row, place), "ds", "%w", self._element(k, i))

    def clear(self) -> None:
        """No infusion is running when a lane starts, and no direction has had any size yet."""
        a, zero, least = self.a, hex_double(0.0), hex_double(LEAST_FLOOR)
        if self.plan.infusions:
            with a.unrolled(self.n * self.plan.count) as k:
                a.lane_set(zero, "dinf", "%w", k)
        with a.unrolled(self.plan.count) as k:
            a.lane_set(least, "floor", "%w", k)
            a.lane_set(zero, "largest", "%w", k)
        for direction, parameter in enumerate(self.plan.parameters):
            value = a.op(f"call double @llvm.fabs.f64(double {a.lane_get('par', '%w', parameter)})")
            inverse = a.op(f"fdiv double {hex_double(1.0)}, {value}")
            usable = a.op(f"fcmp ogt double {value}, {hex_double(1e-200)}")
            a.lane_set(a.op(f"select i1 {usable}, double {inverse}, double {least}"), "floor", "%w", direction)

    def act(self, lane: str, segment: str, inputs: str) -> None:
        """Keep, jump and infusion of a segment."""
        a, count = self.a, self.plan.count
        keep = a.row("keep", lane, "double", inputs, segment)
        states = a.field("inputs", "ptr")
        size = a.op(f"mul i64 {inputs}, {count}")
        with a.unrolled(count) as k, a.loop(inputs) as j:
            element = self._element(k, a.load_as("i64", states, j))
            kept = a.op(f"fmul double {a.lane_get('ds', '%w', element)}, {a.load_as('double', keep, j)}")
            a.lane_set(kept, "ds", "%w", element)
            column = a.op(f"add i64 {a.op(f'mul i64 {j}, {count}')}, {k}")
            with a.when(self.given("d_jump")):
                value = a.load_as("double", a.row("d_jump", lane, "double", size, segment), column)
                a.lane_set(a.op(f"fadd double {value}, {kept}"), "ds", "%w", element)
            if self.plan.infusions:
                value = a.load_as("double", a.row("d_infusion", lane, "double", size, segment), column)
                a.lane_set(value, "dinf", "%w", element)

    def move(self, lane: str, segment: str, sign: str) -> None:
        """Add (or subtract) rate times the tangent of the boundary time: the boundary moves along the flow."""
        a, count = self.a, self.plan.count
        with a.when(self.given("d_boundaries")):
            pointers = {"add": a.array("infusion")}
            arguments = (f"ptr {pointers.get(x) or a.array(x)}" for x in self.start.arrays)
            a.emit(f"call void @start({', '.join(arguments)})")
            row = a.row("d_boundaries", lane, "double", str(count), segment)
            with a.unrolled(count) as k:
                time = a.load_as("double", row, k)
                with a.unrolled(self.n) as i:
                    element = self._element(k, i)
                    moved = a.op(f"fmul double {time}, {a.lane_get('f', '%w', i)}")
                    total = a.op(f"{sign} double {a.lane_get('ds', '%w', element)}, {moved}")
                    a.lane_set(total, "ds", "%w", element)

    def store(self, w: str, source: str) -> None:
        """Write the tangents held in `source` to the lane's present output row."""
        a = self.a
        lane, save = a.int_get("lane", w), a.int_get("save", w)
        row = a.op(f"add i64 {a.op(f'mul i64 {lane}, ' + a.field('n_times'))}, {save}")
        a.emit(f"call void @store_tangents(ptr %table, ptr %d, ptr %i, i64 {w}, i64 {row}, ptr {source})")

    def fill_nan(self, first: str, last: str) -> None:
        """NaN in the tangents of the rows whose states are elements [first, last) of the flat output."""
        a = self.a
        begin, end = (a.op(f"mul i64 {x}, {self.plan.count}") for x in (first, last))
        out = a.field("dy", "ptr")
        with a.loop(end, begin) as k:
            a.store_as("double", hex_double(math.nan), out, k)
