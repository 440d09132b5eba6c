"""The kernel: the whole adaptive integration of many lanes as one LLVM function.

`width` lanes advance together, each with its own time, step and segment. A lane that ends hands its place to
the next waiting lane at once, so no lane waits for another; nothing a lane does depends on its neighbours,
which is why results do not depend on order, block or thread, bit for bit.
"""

import math
from collections.abc import Mapping
from functools import partial

import numpy as np

from her2pkpd.engine.emit import lanes
from her2pkpd.engine.emit.asm import Machine, function
from her2pkpd.engine.emit.declarations import declarations
from her2pkpd.engine.emit.lanes import MAX_STEPS, NOT_FINITE, STEP_TOO_SMALL, LaneAsm
from her2pkpd.engine.emit.layout import Layout
from her2pkpd.engine.emit.routine import RoutineWriter
from her2pkpd.engine.emit.tangents import TangentLanes, TangentPlan, TangentSteps, constants, store_tangents
from her2pkpd.engine.emit.vector_math import rough_exp2, rough_log2, vector_function
from her2pkpd.engine.methods import Method
from her2pkpd.engine.program.routine import Routine

SAFETY, GROW, SHRINK = 0.75, 8.0, 0.15
"""Step size factors: safety, largest growth, largest shrinkage."""

EXPLAINS = 0.01
"""Share of a fall below zero that the rate at zero must account for, times the step, to make it a real one."""

CHECK, CHECK_TOLERANCE, CHECK_ROUNDING = 16, 0.05, 1e-10
"""The factors are checked every so many attempts; what residual matters, in tolerances; what is mere rounding."""

_RECIPROCAL = 0x7FDE623822FC16E6
"""Start of the reciprocal by bits (accurate to 12 %, and to 1.5 % after one Newton step)."""


def scratch_lengths(
    routines: Mapping[str, Routine], method: Method, n: int, n_parameters: int, plan: TangentPlan | None
) -> dict[str, int]:
    """Array lengths of a kernel's scratch memory, in scalars per lane."""

    def length(name: str) -> int:
        slots = [s for r in routines.values() for s in (*r.inputs, *r.outputs) if s.array == name]
        return max((s.index + 1 for s in slots), default=1)

    lengths = {"par": n_parameters, "cst": length("cst"), "y": n, "arg": n, "add": n, "infusion": n}
    lengths |= {"lu": length("lu"), "once": length("once"), "u": method.stages * n, "f": n, "jf": n}
    lengths |= {"out": n}
    return lengths | (plan.lengths(method, n) if plan else {})


class KernelWriter:
    """Writes the module of one model and method.

    Args:
        routines: from `StepProgram.finish`.
        method: the Rosenbrock method.
        n: number of species.
        n_parameters: number of parameters.
        machine: what it is written for.
        plan: the tangents wanted, or None.
        saved: species to save, in this order; None saves all, as kernels with tangents must.
    """

    def __init__(
        self,
        routines: Mapping[str, Routine],
        method: Method,
        n: int,
        n_parameters: int,
        machine: Machine,
        plan: TangentPlan | None = None,
        saved: tuple[int, ...] | None = None,
    ) -> None:
        self.routines = routines
        self.method = method
        self.n, self.n_parameters = n, n_parameters
        self.width, self.fma, self.special = machine.width, machine.fma, machine.special
        self.plan = plan
        self.saved = saved
        self.layout = Layout(scratch_lengths(routines, method, n, n_parameters, plan))
        # With tangents the stage arguments are all kept, and the new state needs a place of its own.
        self.new = "new" if plan else "arg"

    def text(self) -> str:
        """LLVM IR of the whole module."""
        parts: list[str] = []
        called: set[str] = set()
        tangents = self.plan.program.routines if self.plan else {}
        for routine in (*self.routines.values(), *tangents.values()):
            writer = RoutineWriter(routine, self.width, self.fma, self.special)
            parts.append(writer.text("internal"))
            called |= writer.called
        parts += [vector_function(name, self.width, self.fma, self.special) for name in sorted(called)]
        parts += self._lane_functions()
        parts.append(self._main())
        return "\n".join(parts) + declarations("\n".join(parts))

    def _lane_functions(self) -> list[str]:
        layout, n, width, saved = self.layout, self.n, self.width, self.saved
        row = n if saved is None else len(saved)
        plan, start = self.plan, self.routines["start"]
        tangents = (lambda a: TangentLanes(a, plan, n, start)) if plan else None
        functions = [
            lanes.next_save(layout, row, width),
            lanes.save_here(layout, n, width, tangents, saved),
            lanes.finish(layout, row, width, tangents),
            lanes.enter(layout, n, width, tangents),
            lanes.next_lane(layout, n, self.n_parameters, width, tangents),
        ]
        return [constants(plan), store_tangents(layout, plan, n, width), *functions] if plan else functions

    # --- the main loop ----------------------------------------------------------------------------------------

    def _main(self) -> str:
        a = self.a = LaneAsm(self.layout, self.width, self.fma, self.special)
        with a.unrolled(self.layout.size) as k:
            a.store(a.const(1.0), "%d", k)
        with a.unrolled(self.width) as w:
            a.emit(f"call void @next_lane(ptr %table, ptr %d, ptr %i, i64 {w})")
        self.rtol = a.splat(a.field("rtol", "double"))
        self.tolerance = a.field("tolerance", "ptr")
        self.max_steps = self._splat_int(a.field("max_steps"))
        a.jump("round")
        a.start_block("round")
        active = self._active()
        a.branch(a.any(active), "step", "exit")
        a.start_block("step")
        self._choose_first_steps()
        self._attempt()
        a.jump("round")
        a.start_block("exit")
        a.emit("ret void")
        arguments = ["ptr noalias %table", "ptr noalias %d", "ptr noalias %i"]
        return function("kernel", arguments, a, attributes="#0")

    def _splat_int(self, value: str) -> str:
        a = self.a
        if self.width == 1:
            return value
        one = a.op(f"insertelement {a.I} poison, i64 {value}, i64 0")
        return a.op(f"shufflevector {a.I} {one}, {a.I} poison, <{self.width} x i32> zeroinitializer")

    def _active(self) -> str:
        a = self.a
        return a.op(f"icmp sge {a.I} {a.load_int_vector(a.int_at('lane'))}, {a.const_i(0)}")

    def _get(self, name: str) -> str:
        return self.a.load(self.a.array(name))

    def _set(self, value: str, name: str) -> None:
        self.a.store(value, self.a.array(name))

    def _call(self, routine: str, **arrays: str) -> None:
        names = self.routines[routine].arrays
        self.a.emit(f"call void @{routine}({', '.join(f'ptr {arrays.get(x) or self.a.array(x)}' for x in names)})")

    def _scale(self, k: str, size: str) -> str:
        """Reciprocal of the error scale of state k, to 1.5 %."""
        a = self.a
        absolute = a.splat(a.load_as("double", self.tolerance, k))
        scale = a.fma(self.rtol, size, absolute)
        guess = a.from_bits(a.int("sub", a.const_i(_RECIPROCAL), a.bits(scale)))
        return a.mul(guess, a.fnma(scale, guess, a.const(2.0)))

    def _larger(self, x: str, y: str) -> str:
        return self.a.select(self.a.compare("ogt", x, y), x, y)

    def _smaller(self, x: str, y: str) -> str:
        return self.a.select(self.a.compare("olt", x, y), x, y)

    # --- the first step of a segment ----------------------------------------------------------------------------

    def _choose_first_steps(self) -> None:
        a = self.a
        flags = a.op(f"icmp ne {a.I} {a.load_int_vector(a.int_at('fresh'))}, {a.const_i(0)}")
        with a.when(a.any(flags), unlikely=True):
            self._call("start", add=a.array("infusion"))
            slope = self._norm("f")
            bend = self._norm("jf")
            self._set(a.select(flags, self._first_step(slope, bend), self._get("h")), "h")
            a.store_int_vector(a.const_i(0), a.int_at("fresh"))

    def _norm(self, array: str) -> str:
        """Largest scaled component of an array, per lane."""
        a = self.a
        with a.reduction(self.n, [a.const(0.0)]) as (k, (largest,), result):
            size = a.intrinsic("fabs", a.load(a.array("y"), k))
            value = a.mul(a.intrinsic("fabs", a.load(a.array(array), k)), self._scale(k, size))
            result.append(self._larger(value, largest))
        return result[0]

    def _first_step(self, slope: str, bend: str) -> str:
        """A step over which the fastest visible mode errs by about the tolerance.

        slope = |f| and bend = |J f| in units of the tolerance: the mode has time constant T = slope / bend and
        amplitude slope * T, and an error of order p grows as amplitude * (h / T)^(p + 1).
        """
        a = self.a
        tiny, huge = a.const(1e-200), a.const(1e200)
        slope, bend = (_limit(a, x, tiny, huge) for x in (slope, bend))
        constant = a.div(slope, bend)
        amplitude = _limit(a, a.mul(slope, constant), a.const(1e-40), a.const(1e60))
        reach = rough_exp2(a, a.mul(rough_log2(a, amplitude), a.const(-1.0 / (self.method.error_order + 1))))
        step = a.mul(constant, reach)
        span = a.sub(self._get("end"), self._get("t"))
        # A slope of NaN would leave no step; the attempt itself then reports it.
        return a.select(a.compare("olt", step, span), step, span)

    # --- one attempted step ---------------------------------------------------------------------------------------

    def _attempt(self) -> None:
        a = self.a
        t, h, end = self._get("t"), self._get("h"), self._get("end")
        # Without dense output, save times are hit exactly.
        goal = end if self.method.dense else self._smaller(end, self._get("save_at"))
        left = a.sub(goal, t)
        arriving = a.compare("oge", a.mul(h, a.const(1.02)), left)
        halved = a.compare("ogt", a.add(h, h), left)
        step = a.select(arriving, left, a.select(halved, a.mul(left, a.const(0.5)), h))
        after = a.select(arriving, goal, a.add(t, step))
        whole = a.logic("and", arriving, a.compare("oeq", after, end))
        inverse = a.div(a.const(1.0), step)
        dg = a.mul(inverse, a.const(1.0 / self.method.gamma))
        self._set(dg, "dg")
        self._stages(inverse)
        error = self._error(step)
        active = self._active()
        tangents = TangentSteps(a, self.plan, self.method, self.n) if self.plan else None
        if tangents:
            promising = a.logic("and", a.compare("ole", error, a.const(1.0)), active)
            self._set(a.const(0.0), "tangent_error")
            with a.when(a.any(promising)):
                tangents.prepare(dg)
                tangents.advance(a.any(self._due(promising, whole, after)), self.rtol)
            theirs = self._get("tangent_error")
            larger = a.logic("and", promising, a.compare("ugt", theirs, error))
            error = a.select(larger, theirs, error)
        good = a.compare("ole", error, a.const(1.0))
        accepted = a.logic("and", good, active)
        saving = a.any(self._due(accepted, whole, after))
        with a.when(saving):
            self._dense(accepted, whole, t, step, after, tangents)
        if tangents:
            tangents.commit(accepted)
        with a.unrolled(self.n) as k:
            kept = a.select(accepted, a.load(a.array(self.new), k), a.load(a.array("y"), k))
            a.store(kept, a.array("y"), k)
        self._set(a.select(accepted, after, t), "t")
        self._count("steps", accepted)
        refused = a.logic("and", a.not_(good), active)
        self._count("rejected", refused)
        smaller = self._control(error, good, a.logic("or", arriving, halved), h, step)
        self._events(accepted, refused, whole, error, smaller, after)

    def _count(self, name: str, mask: str) -> None:
        a = self.a
        grown = a.op(f"zext {a.B} {mask} to {a.I}")
        address = a.int_at(name)
        a.store_int_vector(a.int("add", a.load_int_vector(address), grown), address)

    def _stages(self, inverse: str) -> None:
        a, m, n = self.a, self.method, self.n
        self._call("first", add=a.array("infusion"), u=a.array("u"))
        self._check_factors()
        for i in range(1, m.stages):
            self._combine(i, inverse)
            self._call("stage", arg=a.array("arg", i * n if self.plan else 0), u=a.array("u", i * n))

    def _check_factors(self) -> None:
        """Every CHECK-th attempt of a lane, see whether the factors solve: the LU takes its pivots as they come.

        A lane fails the check, and repeats the step with a smaller one, where the residual is both far above
        rounding and large enough to matter at the tolerance. In between, the error estimate stands guard: all
        stages share the factors, so inaccurate ones act like a wrong Jacobian, which the estimate sees.
        """
        a = self.a
        self._set(a.const(0.0), "suspect")
        taken = a.int("add", a.load_int_vector(a.int_at("steps")), a.load_int_vector(a.int_at("rejected")))
        due = a.op(f"icmp eq {a.I} {a.int('and', taken, a.const_i(CHECK - 1))}, {a.const_i(0)}")
        due = a.logic("and", due, self._active())
        with a.when(a.any(due)):
            self._call("residual", add=a.array("infusion"), u=a.array("u"))
            least = a.mul(self._get("dg"), a.const(CHECK_TOLERANCE))
            with a.reduction(self.n, [a.const(0.0)]) as (k, (found,), result):
                lacking = a.intrinsic("fabs", a.load(a.array("f"), k))
                size = a.intrinsic("fabs", a.load(a.array("y"), k))
                matters = a.compare("ogt", a.mul(lacking, self._scale(k, size)), least)
                unsound = a.compare("ogt", lacking, a.mul(a.load(a.array("jf"), k), a.const(CHECK_ROUNDING)))
                result.append(a.select(a.logic("and", matters, unsound), a.const(1.0), found))
            self._set(a.select(due, result[0], a.const(0.0)), "suspect")

    def _combine(self, i: int, inverse: str) -> None:
        """Argument and added terms of stage i; where a row of `a` only extends the last one, so does the sum."""
        a, m = self.a, self.method
        row, before = m.a_matrix[i], m.a_matrix[i - 1]
        extends = i > 1 and np.count_nonzero(row - before) < np.count_nonzero(row)
        weights = {j: float(v) for j, v in enumerate(row - before if extends else row) if v}
        place = (lambda k: a.array("arg", k * self.n)) if self.plan else (lambda k: a.array("arg"))
        base = place(i - 1) if extends else a.array("y")
        stages = [a.array("u", j * self.n) for j in range(i)]
        coupling = {j: a.mul(inverse, a.const(m.c[i][j])) for j in range(i) if m.c[i][j]}
        target, added, infusion = place(i), a.array("add"), a.array("infusion")
        with a.unrolled(self.n) as k:
            u = {j: a.load(stages[j], k) for j in sorted(weights.keys() | coupling.keys())}
            total = a.load(base, k)
            for j, weight in weights.items():
                total = a.add(total, u[j]) if weight == 1.0 else a.fma(u[j], a.const(weight), total)
            a.store(total, target, k)
            extra = a.load(infusion, k)
            for j, weight in coupling.items():
                extra = a.fma(u[j], weight, extra)
            a.store(extra, added, k)

    def _error(self, step: str) -> str:
        """New state into its array; returns the error of the step in units of the tolerance.

        A fall below zero counts as an error too, see `_undershoot`.
        """
        a, n, last = self.a, self.n, self.method.stages - 1
        y, arg, u = a.array("y"), a.array("arg", last * n if self.plan else 0), a.array("u", last * n)
        target, zero = a.array(self.new), a.const(0.0)
        with a.reduction(n, [zero, zero]) as (k, (total, deepest), result):
            e = a.load(u, k)
            old, new = a.load(y, k), a.add(a.load(arg, k), e)
            a.store(new, target, k)
            size = self._larger(a.intrinsic("fabs", old), a.intrinsic("fabs", new))
            inverse = self._scale(k, size)
            if self.plan:
                a.store(inverse, a.array("inverse_scale"), k)
            ratio = a.mul(e, inverse)
            below = a.mul(a.neg(new), self._depth(k))
            result += [a.fma(ratio, ratio, total), self._larger(below, deepest)]
        error = a.intrinsic("sqrt", a.mul(result[0], a.const(1.0 / n)))
        error = a.select(a.compare("ogt", self._get("suspect"), zero), a.const(1e8), error)
        return self._undershoot(error, result[1], step)

    def _undershoot(self, error: str, deepest: str, step: str) -> str:
        """The error, raised where a state fell further below zero than is allowed, against its own rate.

        Nothing is clipped, so no mass appears; but a solution must not run away on the wrong side of zero, where a
        saturable rate, say, has its pole. Whether a species may be negative is asked of the rates on the spot: if
        its rate where it is zero, all else as it is now, leads down and explains the fall, the fall is real. A
        species that is negative already, for good reason, is left alone.
        """
        a, n, zero, one = self.a, self.n, self.a.const(0.0), self.a.const(1.0)
        self._set(error, "error")
        doubtful = a.logic("and", a.compare("ole", error, one), a.compare("ogt", deepest, one))
        with a.when(a.any(a.logic("and", doubtful, self._active())), unlikely=True):
            with a.unrolled(n) as k:
                a.store(a.load(a.array(self.new), k), a.array("out"), k)
            with a.unrolled(n) as k:
                old, new, depth = a.load(a.array("y"), k), a.load(a.array(self.new), k), self._depth(k)
                below = a.mul(a.neg(new), depth)
                entering = a.logic("and", a.compare("ogt", below, one), a.compare("oge", a.mul(old, depth), a.neg(one)))
                entering = a.logic("and", entering, doubtful)
                with a.when(a.any(entering)):
                    a.store(zero, a.array("out"), k)
                    self._call("start", y=a.array("out"), add=a.array("infusion"))
                    a.store(new, a.array("out"), k)
                    explained = a.mul(a.load(a.array("f"), k), step)
                    against = a.compare("ogt", explained, a.mul(new, a.const(EXPLAINS)))
                    raised = a.select(a.logic("and", entering, against), below, zero)
                    self._set(self._larger(raised, self._get("error")), "error")
        return self._get("error")

    def _depth(self, k: str) -> str:
        """One over how far below zero state k may fall."""
        return self.a.splat(self.a.load_as("double", self.a.field("depth", "ptr"), k))

    def _control(self, error: str, good: str, shortened: str, h: str, step: str) -> str:
        """Proposed step for the next attempt, stored; also returned."""
        a = self.a
        order = self.method.error_order + 1
        bounded = _limit(a, error, a.const(1e-8), a.const(1e8))
        bounded = a.select(a.compare("uno", error, error), a.const(1e8), bounded)
        # The error alone decides: on stiff dosing problems a controller with memory took a fifth more steps for the
        # same result (benchmarks/results/engine_methods.json), as it grows the step too slowly after a dose.
        power = a.mul(rough_log2(a, bounded), a.const(-1.0 / order))
        factor = a.mul(a.const(SAFETY), rough_exp2(a, power))
        lowest = a.select(good, a.const(0.2), a.const(SHRINK))
        highest = a.select(good, a.const(GROW), a.const(0.9))
        proposal = a.mul(step, _limit(a, factor, lowest, highest))
        # A step cut short to meet a boundary says little about the next one.
        cut = a.logic("and", good, shortened)
        proposal = a.select(cut, self._larger(proposal, h), proposal)
        self._set(proposal, "h")
        return proposal

    def _events(self, accepted: str, refused: str, whole: str, error: str, smaller: str, after: str) -> None:
        """Hand lanes that reached a boundary, or cannot go on, to the lane functions."""
        a = self.a
        arrived = a.logic("and", accepted, whole)
        taken = a.int("add", a.load_int_vector(a.int_at("steps")), a.load_int_vector(a.int_at("rejected")))
        spent = a.op(f"icmp sge {a.I} {taken}, {self.max_steps}")
        spent = a.logic("and", a.logic("and", spent, self._active()), a.not_(arrived))
        size = a.intrinsic("fabs", self._get("t"))
        least = a.fma(size, a.const(4 * 2.0**-52), a.mul(a.sub(self._get("end"), self._get("t")), a.const(1e-22)))
        stuck = a.logic("and", refused, a.compare("ole", smaller, least))
        anything = a.logic("or", a.logic("or", arrived, spent), stuck)
        del after
        with a.when(a.any(anything)):
            broken = a.compare("ueq", error, a.const(math.inf))
            broken = a.logic("or", broken, a.compare("uno", error, error))
            code = _choose(a, broken, a.const_i(NOT_FINITE), a.const_i(STEP_TOO_SMALL))
            code = _choose(a, stuck, code, a.const_i(MAX_STEPS))
            code = _choose(a, arrived, a.const_i(-1), code)
            a.store_int_vector(_choose(a, anything, code, a.const_i(0)), a.int_at("event"))
            with a.unrolled(self.width) as w:
                self._event(w)

    def _event(self, w: str) -> None:
        a = self.a
        code = a.int_get("event", w)
        with a.when(a.op(f"icmp ne i64 {code}, 0")):
            go_on, stop, fetch, done = (a.label(x) for x in ("arrived", "failed", "fetch", "handled"))
            a.branch(a.op(f"icmp slt i64 {code}, 0"), go_on, stop)
            a.start_block(go_on)
            ended = a.op(f"call i1 @enter(ptr %table, ptr %d, ptr %i, i64 {w})")
            a.branch(ended, fetch, done)
            a.start_block(stop)
            a.emit(f"call void @finish(ptr %table, ptr %d, ptr %i, i64 {w}, i64 {code})")
            a.jump(fetch)
            a.start_block(fetch)
            a.emit(f"call void @next_lane(ptr %table, ptr %d, ptr %i, i64 {w})")
            a.jump(done)
            a.start_block(done)

    # --- dense output -----------------------------------------------------------------------------------------------

    def _due(self, accepted: str, whole: str, after: str) -> str:
        """Lanes with a save time inside the step; a save at its very end waits when that is a boundary."""
        a, at = self.a, self._get("save_at")
        at_end = a.logic("and", a.compare("oeq", at, after), a.not_(whole))
        return a.logic("and", accepted, a.logic("or", a.compare("olt", at, after), at_end))

    def _dense(self, accepted: str, whole: str, t: str, step: str, after: str, tangents: TangentSteps | None) -> None:
        """Save at all save times inside the step."""
        a = self.a
        head, body, done = a.label("saving"), a.label("save"), a.label("saved")
        a.jump(head)
        a.start_block(head)
        mask = self._due(accepted, whole, after)
        a.branch(a.any(mask), body, done)
        a.start_block(body)
        x = a.div(a.sub(self._get("save_at"), t), step)
        self._interpolate(x)
        if tangents:
            tangents.interpolate(x)
        a.store_int_vector(a.op(f"zext {a.B} {mask} to {a.I}"), a.int_at("event"))
        with a.unrolled(self.width) as w, a.when(a.op(f"icmp ne i64 {a.int_get('event', w)}, 0")):
            if self.plan:
                TangentLanes(a, self.plan, self.n, self.routines["start"]).store(w, a.array("dout"))
            out = a.op(f"call ptr @next_save(ptr %table, ptr %d, ptr %i, i64 {w})")
            lanes.each(a, self.n, self.saved, partial(self._take, w, out))
        a.jump(head)
        a.start_block(done)

    def _take(self, w: str, row: str, k: str | int, place: str | int) -> None:
        """Copy lane w's interpolated species k to its place in the output row."""
        self.a.store_as("double", self.a.lane_get("out", w, k), row, place)

    def _interpolate(self, x: str) -> None:
        """State at fraction x of the step, into `out`: a lane rarely saves twice in a step, so no row is kept."""
        a, n = self.a, self.n
        rest = a.sub(a.const(1.0), x)
        inside = a.mul(x, rest)
        weights: dict[str, str] = {}
        for j, column in enumerate(zip(*self.method.dense, strict=True)):
            if any(column):
                weight = a.const(column[-1])
                for d in reversed(column[:-1]):
                    weight = a.fma(weight, x, a.const(d))
                weights[a.array("u", j * n)] = a.mul(inside, weight)

        def at(k: str | int, _: str | int) -> None:
            value = a.fma(x, a.load(a.array(self.new), k), a.mul(rest, a.load(a.array("y"), k)))
            for address, weight in weights.items():
                value = a.fma(a.load(address, k), weight, value)
            a.store(value, a.array("out"), k)

        lanes.each(a, n, self.saved, at)


def _limit(a: LaneAsm, x: str, low: str, high: str) -> str:
    x = a.select(a.compare("olt", x, low), low, x)
    return a.select(a.compare("ogt", x, high), high, x)


def _choose(a: LaneAsm, mask: str, yes: str, no: str) -> str:
    return a.op(f"select {a.B} {mask}, {a.I} {yes}, {a.I} {no}")
