"""What happens to one lane between steps: loading, segment boundaries, saving, ending. Scalar code, rarely run."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from her2pkpd.engine.emit.asm import Asm, function, hex_double
from her2pkpd.engine.emit.layout import FIELD, Layout

if TYPE_CHECKING:
    from her2pkpd.engine.emit.tangents import TangentLanes

ARGUMENTS = ("ptr %table", "ptr %d", "ptr %i")
OK, MAX_STEPS, STEP_TOO_SMALL, NOT_FINITE = range(4)


class LaneAsm(Asm):
    """Assembler with access to the argument table and to single lanes of the scratch memory."""

    def __init__(self, layout: Layout, width: int, fma: bool = True, special: tuple[str, ...] = ()) -> None:
        super().__init__(width, fma, special)
        self.layout = layout

    def field(self, name: str, type_: str = "i64") -> str:
        """An entry of the argument table."""
        return self.load_as(type_, "%table", FIELD[name])

    def row(self, name: str, lane: str, type_: str = "double", per: str | None = None, k: str | None = None) -> str:
        """Address of a lane's row of an input array, or of its k-th sub-row of `per` elements."""
        offset = self.op(f"mul i64 {lane}, {self.field(name + '_stride')}")
        if per is not None and k is not None:
            offset = self.op(f"add i64 {offset}, {self.op(f'mul i64 {k}, {per}')}")
        return self.at(self.field(name, "ptr"), offset, type_)

    def array(self, name: str, skip: int = 0) -> str:
        """Address of a scratch array."""
        return self.at("%d", self.layout.offset[name] + skip)

    def lane_at(self, name: str, w: str, index: str | int = 0) -> str:
        """Address of one lane's element of a scratch array."""
        base = self.at(self.array(name), index)
        return self.at(base, w, "double")

    def lane_get(self, name: str, w: str, index: str | int = 0) -> str:
        """One lane's element of a scratch array."""
        return self.load_as("double", self.lane_at(name, w, index))

    def lane_set(self, value: str, name: str, w: str, index: str | int = 0) -> None:
        """Set one lane's element of a scratch array."""
        self.store_as("double", value, self.lane_at(name, w, index))

    def int_at(self, name: str, w: str | int = 0) -> str:
        """Address of a per-lane integer."""
        base = self.at("%i", self.layout.integer[name] * self.width, "i64")
        return self.at(base, w, "i64")

    def int_get(self, name: str, w: str) -> str:
        """A per-lane integer."""
        return self.load_as("i64", self.int_at(name, w))

    def int_set(self, value: str | int, name: str, w: str) -> None:
        """Set a per-lane integer."""
        self.store_as("i64", str(value), self.int_at(name, w))

    def infinite(self, x: str) -> str:
        """Whether a scalar double is NaN or infinite, as i1."""
        size = self.op(f"call double @llvm.fabs.f64(double {x})")
        return self.op(f"fcmp ueq double {size}, {hex_double(math.inf)}")


def _function(name: str, asm: LaneAsm, extra: tuple[str, ...] = (), result: str = "void") -> str:
    return function(name, [*ARGUMENTS, *extra], asm, f"internal {result}", "noinline #0")


def each(a: Asm, n: int, saved: tuple[int, ...] | None, act: Callable[[str | int, str | int], None]) -> None:
    """``act(k, place)`` for every species k that is saved, and its place in the row: a loop where all are."""
    if saved is None:
        with a.unrolled(n) as k:
            act(k, k)
    else:
        for place, k in enumerate(saved):
            act(k, place)


Tangents = Callable[["LaneAsm"], "TangentLanes"] | None
"""Makes the writer of the tangent part of a lane function; None in a kernel without tangents."""


def save_here(layout: Layout, n: int, width: int, tangents: Tangents, saved: tuple[int, ...] | None) -> str:
    """``@save_here(w)``: save the present state at every save time that has been reached."""
    a = LaneAsm(layout, width)
    head, body, after = "head", "store", "after"
    a.jump(head)
    a.start_block(head)
    due = a.op(f"fcmp ole double {a.lane_get('save_at', '%w')}, {a.lane_get('t', '%w')}")
    a.branch(due, body, after)
    a.start_block(body)
    if tangents:
        tangents(a).store("%w", a.array("ds"))
    out = a.op("call ptr @next_save(ptr %table, ptr %d, ptr %i, i64 %w)")
    each(a, n, saved, lambda k, place: a.store_as("double", a.lane_get("y", "%w", k), out, place))
    a.jump(head)
    a.start_block(after)
    a.emit("ret void")
    return _function("save_here", a, ("i64 %w",))


def next_save(layout: Layout, length: int, width: int) -> str:
    """``@next_save(w)``: address of the lane's present output row; moves on to the next save time."""
    a = LaneAsm(layout, width)
    lane, save, count = a.int_get("lane", "%w"), a.int_get("save", "%w"), a.field("n_times")
    row = a.op(f"add i64 {a.op(f'mul i64 {lane}, {count}')}, {save}")
    out = a.at(a.field("y", "ptr"), a.op(f"mul i64 {row}, {length}"), "double")
    following = a.op(f"add i64 {save}, 1")
    a.int_set(following, "save", "%w")
    a.lane_set(hex_double(math.inf), "save_at", "%w")
    with a.when(a.op(f"icmp slt i64 {following}, {count}")):
        a.lane_set(a.load_as("double", a.row("times", lane), following), "save_at", "%w")
    a.emit(f"ret ptr {out}")
    return _function("next_save", a, ("i64 %w",), "ptr")


def finish(layout: Layout, length: int, width: int, tangents: Tangents) -> str:
    """``@finish(w, status)``: write a lane's status and counts, and NaN at the save times it did not reach."""
    a = LaneAsm(layout, width)
    lane = a.int_get("lane", "%w")
    a.store_as("i64", "%status", a.field("status", "ptr"), lane)
    a.store_as("i64", a.int_get("steps", "%w"), a.field("steps", "ptr"), lane)
    a.store_as("i64", a.int_get("rejected", "%w"), a.field("rejected", "ptr"), lane)
    count = a.field("n_times")
    base = a.op(f"mul i64 {lane}, {count}")
    first = a.op(f"mul i64 {a.op(f'add i64 {base}, ' + a.int_get('save', '%w'))}, {length}")
    last = a.op(f"mul i64 {a.op(f'add i64 {base}, {count}')}, {length}")
    out = a.field("y", "ptr")
    with a.loop(last, first) as k:
        a.store_as("double", hex_double(math.nan), out, k)
    if tangents:
        tangents(a).fill_nan(first, last)
    a.emit("ret void")
    return _function("finish", a, ("i64 %w", "i64 %status"))


def enter(layout: Layout, n: int, width: int, tangents: Tangents) -> str:
    """``@enter(w)``: begin the next segment of positive length; true when the lane has ended instead."""
    a = LaneAsm(layout, width)
    lane = a.int_get("lane", "%w")
    count, inputs = a.field("n_segments"), a.field("n_inputs")
    bounds = a.row("boundaries", lane)
    a.jump("advance")
    a.start_block("advance")
    segment = a.op(f"add i64 {a.int_get('segment', '%w')}, 1")
    a.int_set(segment, "segment", "%w")
    begin = a.load_as("double", bounds, segment)
    a.lane_set(begin, "t", "%w")
    a.branch(a.op(f"icmp sge i64 {segment}, {count}"), "over", "act")
    a.start_block("act")
    moving = tangents(a) if tangents else None
    if moving:
        with a.when(a.op(f"icmp sgt i64 {segment}, 0")):
            moving.move(lane, segment, "fadd")
    _act(a, lane, segment, inputs, n, moving)
    if moving:
        moving.act(lane, segment, inputs)
        moving.move(lane, segment, "fsub")
    end = a.load_as("double", bounds, a.op(f"add i64 {segment}, 1"))
    a.branch(a.op(f"fcmp ogt double {end}, {begin}"), "run", "advance")
    a.start_block("run")
    a.branch(_state_infinite(a, n), "broken", "sound")
    a.start_block("sound")
    a.lane_set(end, "end", "%w")
    a.emit("call void @save_here(ptr %table, ptr %d, ptr %i, i64 %w)")
    a.emit("ret i1 false")
    a.start_block("over")
    a.branch(_state_infinite(a, n), "broken", "complete")
    a.start_block("complete")
    a.emit("call void @save_here(ptr %table, ptr %d, ptr %i, i64 %w)")
    a.emit(f"call void @finish(ptr %table, ptr %d, ptr %i, i64 %w, i64 {OK})")
    a.emit("ret i1 true")
    a.start_block("broken")
    a.emit(f"call void @finish(ptr %table, ptr %d, ptr %i, i64 %w, i64 {NOT_FINITE})")
    a.emit("ret i1 true")
    return _function("enter", a, ("i64 %w",), "i1")


def _act(a: LaneAsm, lane: str, segment: str, inputs: str, n: int, moving: "TangentLanes | None") -> None:
    """Reset, keep, jump and infusion of a segment; `fresh` tells whether anything changed."""
    resets = a.row("reset", lane, "i8", "1", segment)
    resetting = a.op(f"icmp ne i8 {a.load_as('i8', resets)}, 0")
    with a.when(resetting):
        initial = a.row("initial", lane)
        with a.unrolled(n) as k:
            a.lane_set(a.load_as("double", initial, k), "y", "%w", k)
        if moving:
            moving.load_initial(lane)
        a.int_set(1, "fresh", "%w")
    keep, jump, infusion = (a.row(name, lane, "double", inputs, segment) for name in ("keep", "jump", "infusion"))
    states = a.field("inputs", "ptr")
    with a.loop(inputs) as j:
        state = a.load_as("i64", states, j)
        before = a.lane_get("y", "%w", state)
        kept = a.op(f"fmul double {before}, {a.load_as('double', keep, j)}")
        raised = a.op(f"fadd double {kept}, {a.load_as('double', jump, j)}")
        rate, old = a.load_as("double", infusion, j), a.lane_get("infusion", "%w", state)
        a.lane_set(raised, "y", "%w", state)
        a.lane_set(rate, "infusion", "%w", state)
        changed = a.op(f"or i1 {a.op(f'fcmp une double {raised}, {before}')}, {a.op(f'fcmp une double {rate}, {old}')}")
        with a.when(changed):
            a.int_set(1, "fresh", "%w")


def _state_infinite(a: LaneAsm, n: int) -> str:
    """Whether any state of lane w, or its infusion, is NaN or infinite, as i1."""
    total = a.op("alloca double")
    a.store_as("double", hex_double(0.0), total)
    with a.unrolled(n) as k:
        for name in ("y", "infusion"):
            zero = a.op(f"fmul double {a.lane_get(name, '%w', k)}, {hex_double(0.0)}")
            a.store_as("double", a.op(f"fadd double {a.load_as('double', total)}, {zero}"), total)
    return a.infinite(a.load_as("double", total))


def next_lane(layout: Layout, n: int, n_parameters: int, width: int, tangents: Tangents) -> str:
    """``@next_lane(w)``: put the next waiting lane into place w and start it, or leave the place idle."""
    a = LaneAsm(layout, width)
    a.jump("take")
    a.start_block("take")
    index = a.op(f"atomicrmw add ptr {a.field('counter', 'ptr')}, i64 1 monotonic")
    a.branch(a.op(f"icmp slt i64 {index}, {a.field('n_lanes')}"), "got", "none")
    a.start_block("none")
    for name, value in (("lane", -1), ("fresh", 0), ("event", 0)):
        a.int_set(value, name, "%w")
    for name, value in (("t", 0.0), ("end", 1.0), ("h", 1.0), ("save_at", math.inf)):
        a.lane_set(hex_double(value), name, "%w")
    a.emit("ret void")
    a.start_block("got")
    lane = a.load_as("i64", a.field("queue", "ptr"), index)
    bad = _load(a, lane, n, n_parameters)
    if tangents:
        tangents(a).load_initial(lane)
        tangents(a).clear()
    a.branch(bad, "reject", "begin")
    a.start_block("reject")
    a.emit(f"call void @finish(ptr %table, ptr %d, ptr %i, i64 %w, i64 {NOT_FINITE})")
    a.jump("take")
    a.start_block("begin")
    a.emit(f"call void @prologue(ptr {a.array('cst')}, ptr {a.array('par')})")
    ended = a.op("call i1 @enter(ptr %table, ptr %d, ptr %i, i64 %w)")
    a.branch(ended, "take", "started")
    a.start_block("started")
    a.emit("ret void")
    return _function("next_lane", a, ("i64 %w",))


def _load(a: LaneAsm, lane: str, n: int, n_parameters: int) -> str:
    """Copy a lane's numbers in; returns whether any of them is NaN or infinite, as i1."""
    for name, value in (("segment", -1), ("save", 0), ("steps", 0), ("rejected", 0), ("fresh", 1), ("event", 0)):
        a.int_set(value, name, "%w")
    a.int_set(lane, "lane", "%w")
    zero = hex_double(0.0)
    total = a.op("alloca double")
    a.store_as("double", zero, total)

    def check(value: str) -> None:
        none = a.op(f"fmul double {value}, {zero}")
        a.store_as("double", a.op(f"fadd double {a.load_as('double', total)}, {none}"), total)

    for source, target, count in (("parameters", "par", n_parameters), ("initial", "y", n)):
        row = a.row(source, lane)
        with a.loop(count) as k:
            value = a.load_as("double", row, k)
            a.lane_set(value, target, "%w", k)
            check(value)
    with a.unrolled(n) as k:
        a.lane_set(zero, "infusion", "%w", k)
    times = a.row("times", lane)
    a.lane_set(hex_double(math.inf), "save_at", "%w")
    with a.when(a.op(f"icmp sgt i64 {a.field('n_times')}, 0")):
        a.lane_set(a.load_as("double", times), "save_at", "%w")
    bounds = a.row("boundaries", lane)
    for row, count in ((times, a.field("n_times")), (bounds, a.op(f"add i64 {a.field('n_segments')}, 1"))):
        with a.loop(count) as k:
            check(a.load_as("double", row, k))
    a.lane_set(hex_double(1.0), "h", "%w")
    return a.infinite(a.load_as("double", total))
