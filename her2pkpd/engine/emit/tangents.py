"""Tangents in the kernel: what happens to them in a step, at a boundary and at a save time.

Directions are handled in groups of `group`; element k of direction d of a group lies at ``k * group + d``.
Arrays: ``ds`` the tangents of the state and ``dn`` those of the new state, one group after another; ``dinf``
the tangents of the infusions; ``drow`` the tangents of the dense output rows; ``v`` the stages of one group.
"""

import math
from dataclasses import dataclass

from her2pkpd.engine.emit.asm import function, hex_double
from her2pkpd.engine.emit.lanes import ARGUMENTS, LaneAsm
from her2pkpd.engine.emit.layout import FIELD, Layout
from her2pkpd.engine.methods import Method
from her2pkpd.engine.program.routine import Routine
from her2pkpd.engine.program.tangent import TangentProgram, tangent_table

WIDE = frozenset({"dcol", "s", "rhs", "v"})
"""Arrays of `push` that hold one value per direction."""

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
        group: directions handled at once.
    """

    program: TangentProgram
    parameters: tuple[int, ...]
    count: int
    group: int

    @property
    def groups(self) -> int:
        """Groups of directions; the last one may be padded."""
        return -(-self.count // self.group)

    def lengths(self, method: Method, n: int) -> dict[str, int]:
        """Scratch arrays needed, in scalars per lane."""
        routines, padded = self.program.routines, self.groups * self.group
        lengths = {"base": len(routines["base"].outputs), "arg": method.stages * n}
        lengths |= {"edge": method.stages * self.edges, "seed": method.stages * len(self.program.seeds)}
        lengths |= {"v": method.stages * n * self.group, "rhs": n * self.group, "dcol": n * self.group}
        lengths |= {name: padded * n for name in ("ds", "dn", "dinf")}
        lengths["drow"] = max(len(method.dense), 1) * padded * n
        lengths["weight"] = method.stages * (method.stages + 1)
        lengths |= {"dout": padded * n, "new": n, "inverse_scale": n, "tangent_error": 1}
        lengths |= {name: padded for name in ("floor", "largest", "largest_new")}
        return {name: max(length, 1) for name, length in lengths.items()}

    @property
    def edges(self) -> int:
        """Coefficients of the nonlinear part, per stage."""
        return sum(s.array == "edge" for s in self.program.routines["edges"].outputs)


def constants(plan: TangentPlan) -> str:
    """Tables the kernel reads: columns of dY, and for every direction its entries of ``seed``."""
    seeds = plan.program.seeds
    starts = [sum(d < k for d, _ in seeds) for k in range(plan.groups * plan.group + 1)]
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
        self.edge_stride = plan.edges

    def _call(self, routine: Routine, **arrays: str) -> None:
        a = self.a
        pointers = (f"ptr {arrays.get(x) or a.array(x)}" for x in routine.arrays)
        a.emit(f"call void @{routine.name}({', '.join(pointers)})")

    def prepare(self, dg: str) -> None:
        """Coefficients shared by all directions; `dg` is 1/(gamma h)."""
        a, n, routines = self.a, self.n, self.plan.program.routines
        self._call(routines["base"])
        n_seeds = len(self.plan.program.seeds)
        for i in range(self.method.stages):
            arrays = {"arg": a.array("arg", i * n) if i else a.array("y"), "u": a.array("u", i * n)}
            arrays |= {"edge": a.array("edge", i * self.edge_stride), "seed": a.array("seed", i * n_seeds)}
            self._call(routines["edges"], **arrays)
            for j in range(i):
                self._store_weight(i, j, dg, float(self.table.e[i, j]))
            self._store_weight(i, self.method.stages, dg, float(self.table.f[i]))

    def _store_weight(self, i: int, j: int, dg: str, value: float) -> None:
        if value:
            a = self.a
            a.store(a.mul(dg, a.const(value)), a.array("weight", i * (self.method.stages + 1) + j))

    def _weight(self, i: int, j: int) -> str:
        return self.a.load(self.a.array("weight", i * (self.method.stages + 1) + j))

    def advance(self, saving: str, rtol: str) -> None:
        """New tangents of every direction into ``dn``, their error into ``tangent_error``.

        Args:
            saving: i1, whether the dense output rows are wanted too.
            rtol: relative tolerance, a vector.
        """
        a, size = self.a, self.n * self.plan.group
        with a.unrolled(self.plan.groups) as g:
            skip = a.op(f"mul i64 {g}, {size}")
            s = a.at(a.array("ds"), skip)
            infusion = a.at(a.array("dinf"), skip)
            for i in range(self.method.stages):
                self._right_hand_side(i, s, infusion)
                self._columns(i, s)
                self._seeds(i, g)
                last = i == self.method.stages - 1
                v = a.at(a.array("dn"), skip) if last else a.array("v", i * size)
                arrays = {"s": s, "v": v, "edge": a.array("edge", i * self.edge_stride)}
                self._call(self.plan.program.routines["push"], **arrays)
            self._error(g, a.at(a.array("dn"), skip), rtol)
            with a.when(saving):
                self._dense_rows(s, a.at(a.array("dn"), skip), skip)

    def _error(self, g: str, new: str, rtol: str) -> None:
        """Error of each direction of a group, in units of what it may be; the worst goes into ``tangent_error``.

        With the primal's weights w = 1 / (rtol |y| + atol scale), a direction errs by E = rms(w e) and has size
        N = rms(w s). E may be LENIENCE times rtol N, or times a fraction FORGET of the largest N the direction
        has had; for a parameter p also times 1/|p|, which is an error of rtol in d ln y / d ln p.
        """
        a, n, group = self.a, self.n, self.plan.group
        before = a.array("v", (self.method.stages - 2) * n * group)
        with a.reduction(n, [a.const(0.0)] * (2 * group)) as (k, sums, results):
            weight = a.load(a.array("inverse_scale"), k)
            first = a.op(f"mul i64 {k}, {group}")
            for d in range(group):
                place = a.op(f"add i64 {first}, {d}")
                s = a.load(new, place)
                e = a.mul(a.sub(s, a.load(before, place)), weight)
                size = a.mul(s, weight)
                results += [a.fma(e, e, sums[2 * d]), a.fma(size, size, sums[2 * d + 1])]
        start = a.op(f"mul i64 {g}, {group}")
        for d in range(group):
            place = a.op(f"add i64 {start}, {d}")
            self._direction_error(place, results[2 * d], results[2 * d + 1], rtol)

    def _direction_error(self, place: str, error: str, size: str, rtol: str) -> None:
        """Compare a direction's squared error and size, summed over species."""
        a = self.a
        error, size = (a.intrinsic("sqrt", a.mul(x, a.const(1.0 / self.n))) for x in (error, size))
        largest = a.load(a.array("largest"), place)
        largest = a.select(a.compare("ogt", size, largest), size, largest)
        a.store(largest, a.array("largest_new"), place)
        allowed = a.mul(rtol, a.fma(largest, a.const(FORGET), size))
        floor = a.load(a.array("floor"), place)
        allowed = a.select(a.compare("ogt", floor, allowed), floor, allowed)
        allowed = a.fma(allowed, a.const(LENIENCE), a.const(1e-290))
        ratio = a.div(error, allowed)
        worst = a.load(a.array("tangent_error"))
        # A NaN wins and stays.
        worst = a.select(a.compare("ugt", ratio, worst), ratio, worst)
        a.store(worst, a.array("tangent_error"))

    def _right_hand_side(self, i: int, s: str, infusion: str) -> None:
        a, size = self.a, self.n * self.plan.group
        weights = {j: self._weight(i, j) for j in range(i) if self.table.e[i, j]}
        own = self._weight(i, self.method.stages) if self.table.f[i] else None
        stages = {j: a.array("v", j * size) for j in weights}
        target = a.array("rhs")
        with a.unrolled(size) as k:
            total = a.load(infusion, k)
            if own is not None:
                total = a.fma(own, a.load(s, k), total)
            for j, weight in weights.items():
                total = a.fma(weight, a.load(stages[j], k), total)
            a.store(total, target, k)

    def _columns(self, i: int, s: str) -> None:
        a, group, size = self.a, self.plan.group, self.n * self.plan.group
        if not self.plan.program.columns:
            return
        weights = {j: float(self.table.q[i, j]) for j in range(i) if self.table.q[i, j]}
        stages = {j: a.array("v", j * size) for j in weights}
        target = a.array("dcol")
        with a.unrolled(len(self.plan.program.columns)) as c:
            species = a.load_as("i64", "@columns", c)
            source = a.op(f"mul i64 {species}, {group}")
            place = a.op(f"mul i64 {c}, {group}")
            for d in range(group):
                k = a.op(f"add i64 {source}, {d}")
                terms = [(s, float(self.table.p[i]))] if self.table.p[i] else []
                terms += [(stages[j], weight) for j, weight in weights.items()]
                total = a.mul(a.load(terms[0][0], k), a.const(terms[0][1]))
                for address, weight in terms[1:]:
                    total = a.fma(a.load(address, k), a.const(weight), total)
                a.store(total, target, a.op(f"add i64 {place}, {d}"))

    def _seeds(self, i: int, g: str) -> None:
        """Add a direction's parameter terms to its right-hand side."""
        a, group = self.a, self.plan.group
        n_seeds = len(self.plan.program.seeds)
        if not n_seeds:
            return
        rhs, seed = a.array("rhs"), a.array("seed", i * n_seeds)
        first = a.op(f"mul i64 {g}, {group}")
        for d in range(group):
            direction = a.op(f"add i64 {first}, {d}")
            start = a.load_as("i64", "@seed_starts", direction)
            stop = a.load_as("i64", "@seed_starts", a.op(f"add i64 {direction}, 1"))
            with a.loop(stop, start) as e:
                row = a.load_as("i64", "@seed_rows", e)
                k = a.op(f"add i64 {a.op(f'mul i64 {row}, {group}')}, {d}")
                a.store(a.add(a.load(rhs, k), a.load(seed, e)), rhs, k)

    def _dense_rows(self, s: str, new: str, skip: str) -> None:
        a, size = self.a, self.n * self.plan.group
        last = self.method.stages - 1
        for r in range(len(self.method.dense)):
            weights = {j: float(w) for j, w in enumerate(self.table.dense[r]) if w}
            stages = {j: new if j == last else a.array("v", j * size) for j in weights}
            target = a.at(a.array("drow", r * size * self.plan.groups), skip)
            with a.unrolled(size) as k:
                total = a.mul(a.load(s, k), a.const(float(self.table.dense_s[r])))
                for j, weight in weights.items():
                    total = a.fma(a.load(stages[j], k), a.const(weight), total)
                a.store(total, target, k)

    def interpolate(self, x: str) -> None:
        """Tangents at fraction x of the step, into ``dout``."""
        a, total = self.a, self.n * self.plan.group * self.plan.groups
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
        a = self.a
        old, new = a.array("ds"), a.array("dn")
        with a.unrolled(self.n * self.plan.group * self.plan.groups) as k:
            a.store(a.select(accepted, a.load(new, k), a.load(old, k)), old, k)
        old, new = a.array("largest"), a.array("largest_new")
        with a.unrolled(self.plan.group * self.plan.groups) as k:
            a.store(a.select(accepted, a.load(new, k), a.load(old, k)), old, k)


def store_tangents(layout: Layout, plan: TangentPlan, n: int, width: int) -> str:
    """``@store_tangents(w, row, source)``: write one lane's tangents to row `row` of the output."""
    a = LaneAsm(layout, width)
    out = a.at(a.field("dy", "ptr"), a.op(f"mul i64 %row, {n * plan.count}"), "double")
    with a.unrolled(plan.count) as k:
        group = a.op(f"udiv i64 {k}, {plan.group}")
        d = a.op(f"urem i64 {k}, {plan.group}")
        start = a.op(f"mul i64 {group}, {n}")
        with a.unrolled(n) as i:
            block = a.op(f"mul i64 {a.op(f'add i64 {start}, {i}')}, {plan.group}")
            element = a.op(f"add i64 {block}, {d}")
            value = a.load_as("double", a.at(a.at("%source", element), "%w", "double"))
            place = a.op(f"add i64 {a.op(f'mul i64 {i}, {plan.count}')}, {k}")
            a.store_as("double", value, out, place)
    a.emit("ret void")
    return function(
        "store_tangents", [*ARGUMENTS, "i64 %w", "i64 %row", "ptr %source"], a, "internal void", "noinline #0"
    )


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

    def element(self, direction: str, k: str) -> str:
        """Index of a direction's species k in an array of all groups."""
        a, group = self.a, self.plan.group
        block = a.op(f"mul i64 {a.op(f'udiv i64 {direction}, {group}')}, {self.n}")
        place = a.op(f"mul i64 {a.op(f'add i64 {block}, {k}')}, {group}")
        return a.op(f"add i64 {place}, {a.op(f'urem i64 {direction}, {group}')}")

    def load_initial(self, lane: str) -> None:
        """Tangents of the initial state; the directions that only fill the last group stay zero."""
        a = self.a
        for padding in range(self.plan.count, self.plan.groups * self.plan.group):
            with a.unrolled(self.n) as i:
                a.lane_set(hex_double(0.0), "ds", "%w", self.element(str(padding), i))
        row = a.row("d_initial", lane)
        with a.unrolled(self.plan.count) as k, a.unrolled(self.n) as i:
            place = a.op(f"add i64 {a.op(f'mul i64 {i}, {self.plan.count}')}, {k}")
            a.lane_set(a.load_as("double", row, place), "ds", "%w", self.element(k, i))

    def clear(self) -> None:
        """No infusion is running when a lane starts, and no direction has any size yet."""
        a = self.a
        with a.unrolled(self.n * self.plan.group * self.plan.groups) as k:
            a.lane_set(hex_double(0.0), "dinf", "%w", k)
        with a.unrolled(self.plan.group * self.plan.groups) as k:
            a.lane_set(hex_double(LEAST_FLOOR), "floor", "%w", k)
            a.lane_set(hex_double(0.0), "largest", "%w", k)
        for direction, parameter in enumerate(self.plan.parameters):
            value = a.op(f"call double @llvm.fabs.f64(double {a.lane_get('par', '%w', parameter)})")
            inverse = a.op(f"fdiv double {hex_double(1.0)}, {value}")
            usable = a.op(f"fcmp ogt double {value}, {hex_double(1e-200)}")
            chosen = a.op(f"select i1 {usable}, double {inverse}, double {hex_double(LEAST_FLOOR)}")
            a.lane_set(chosen, "floor", "%w", direction)

    def act(self, lane: str, segment: str, inputs: str) -> None:
        """Keep, jump and infusion of a segment."""
        a, count = self.a, self.plan.count
        keep = a.row("keep", lane, "double", inputs, segment)
        states = a.field("inputs", "ptr")
        width = a.op(f"mul i64 {inputs}, {count}")
        with a.unrolled(count) as k, a.loop(inputs) as j:
            state = a.load_as("i64", states, j)
            element = self.element(k, state)
            kept = a.op(f"fmul double {a.lane_get('ds', '%w', element)}, {a.load_as('double', keep, j)}")
            a.lane_set(kept, "ds", "%w", element)
            column = a.op(f"add i64 {a.op(f'mul i64 {j}, {count}')}, {k}")
            for name, target, add in (("d_jump", "ds", True), ("d_infusion", "dinf", False)):
                with a.when(self.given(name)):
                    value = a.load_as("double", a.row(name, lane, "double", width, segment), column)
                    if add:
                        value = a.op(f"fadd double {value}, {kept}")
                    a.lane_set(value, target, "%w", element)

    def given(self, name: str) -> str:
        """Whether an optional array was passed, as i1."""
        a = self.a
        return a.op(f"icmp ne i64 {a.load_as('i64', '%table', FIELD[name])}, 0")

    def move(self, lane: str, segment: str, sign: str) -> None:
        """Add (or subtract) rate times the tangent of the boundary time: the boundary moves along the flow."""
        a, count = self.a, self.plan.count
        with a.when(self.given("d_boundaries")):
            rates = "call void @start("
            pointers = {"add": a.array("infusion")}
            names = self.start.arrays
            a.emit(rates + ", ".join(f"ptr {pointers.get(x) or a.array(x)}" for x in names) + ")")
            row = a.row("d_boundaries", lane, "double", str(count), segment)
            with a.unrolled(count) as k:
                time = a.load_as("double", row, k)
                with a.unrolled(self.n) as i:
                    element = self.element(k, i)
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
