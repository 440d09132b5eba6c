"""The kernel of a descent: all iterations of many small least-squares problems as one LLVM function.

`width` lanes go together until the last of them is done; a lane that is done stands still, so no result depends on
its neighbours.
"""

from collections.abc import Mapping, Sequence

from her2pkpd.engine.emit.asm import Asm, function
from her2pkpd.engine.emit.declarations import declarations
from her2pkpd.engine.emit.routine import RoutineWriter
from her2pkpd.engine.emit.vector_math import vector_function
from her2pkpd.engine.program.descent import NOT_YET, START_DAMPING, State
from her2pkpd.engine.program.routine import Routine

FIELDS = ("blocks", "rows", "iterations", "data", "own", "limits", "u", "cost", "converged")
"""The argument table, eight bytes each. Addresses point at vectors of lanes: ``data`` (blocks, rows, numbers of an
observation), ``own`` and ``limits`` (blocks, numbers of a lane), ``u`` (blocks, p) the start and the end, ``cost`` and
``converged`` (blocks)."""


def offsets(at: State) -> dict[str, int]:
    """Offsets of the scratch arrays, in vectors, and their ``size`` together."""
    found, total = {}, 0
    for name, n in (("state", at.size), ("after", at.size), ("trial", at.p), ("next", at.p), ("acc", at.normal)):
        found[name] = total
        total += n
    return found | {"size": total}


class DescentWriter:
    """Writes the module of one least-squares problem.

    Args:
        routines: ``observe``, ``update`` and, where lanes have a condition of their own, ``hold``.
        lengths: numbers of an observation (``data``) and of a lane (``own``).
        at: places of a lane's numbers.
        width: lanes per vector.
        fma: whether the target has fused multiply-add.
        special: instructions of the target, see `Asm`.
    """

    def __init__(
        self,
        routines: Sequence[Routine],
        lengths: Mapping[str, int],
        at: State,
        width: int,
        fma: bool,
        special: tuple[str, ...] = (),
    ) -> None:
        self.routines = {r.name: r for r in routines}
        self.at, self.lengths = at, dict(lengths) | {"limits": 2 * at.p + 1}
        self.offset = offsets(at)
        self.a = Asm(width, fma, special)

    def text(self) -> str:
        """LLVM IR of the whole module."""
        a, parts, called = self.a, [], set()
        for routine in self.routines.values():
            writer = RoutineWriter(routine, a.width, a.fma_available, a.special)
            parts.append(writer.text("internal"))
            called |= writer.called
        parts += [vector_function(n, a.width, a.fma_available, a.special) for n in sorted(called)]
        parts.append(self._main())
        return "\n".join(parts) + declarations("\n".join(parts))

    def _field(self, name: str, type_: str = "i64") -> str:
        return self.a.load_as(type_, "%table", FIELDS.index(name))

    def _scratch(self, name: str) -> str:
        return self.a.at("%d", self.offset[name])

    def _part(self, name: str, block: str, per: int) -> str:
        """Address of a block's part of an array."""
        return self.a.at(self._field(name, "ptr"), self.a.op(f"mul i64 {block}, {per}"))

    def _main(self) -> str:
        a, p = self.a, self.at.p
        rows, most = self._field("rows"), self._field("iterations")
        with a.loop(self._field("blocks")) as block:
            u = self._part("u", block, p)
            own = {name: self._part(name, block, self.lengths[name]) for name in ("own", "limits")}
            width = a.op(f"mul i64 {rows}, {self.lengths['data']}")
            data = a.at(self._field("data", "ptr"), a.op(f"mul i64 {block}, {width}"))
            self._begin(u)
            self._iterate(rows, most, data, own)
            with a.unrolled(p) as k:
                a.store(a.load(self._scratch("state"), k), u, k)
            for name, place in (("cost", self.at.cost), ("converged", self.at.size - 1)):
                a.store(a.load(self._scratch("state"), place), a.at(self._field(name, "ptr"), block))
        a.emit("ret void")
        arguments = ["ptr noalias %table", "ptr noalias %d", "ptr noalias %i"]
        return function("kernel", arguments, a, attributes="#0")

    def _begin(self, u: str) -> None:
        a, at = self.a, self.at
        with a.unrolled(at.size) as k:
            a.store(a.const(0.0), self._scratch("state"), k)
        first = {at.cost: NOT_YET, at.damping: START_DAMPING, at.damping + 1: 2.0, at.damping + 2: 1.0}
        for place, value in first.items():
            a.store(a.const(value), self._scratch("state"), place)
        with a.unrolled(at.p) as k:
            x = a.load(u, k)
            a.store(x, self._scratch("trial"), k)
            a.store(x, self._scratch("state"), k)

    def _iterate(self, rows: str, most: str, data: str, own: Mapping[str, str]) -> None:
        a, at = self.a, self.at
        counter = a.op("alloca i64")
        a.store_as("i64", "0", counter)
        again, after = a.label("again"), a.label("after")
        a.jump(again)
        a.start_block(again)
        with a.unrolled(at.normal) as k:
            a.store(a.const(0.0), self._scratch("acc"), k)
        with a.loop(rows) as row:
            here = a.at(data, a.op(f"mul i64 {row}, {self.lengths['data']}"))
            self._call("observe", {"data": here})
        if "hold" in self.routines:
            self._call("hold", own)
        self._call("update", own)
        for source, target, n in (("after", "state", at.size), ("next", "trial", at.p)):
            with a.unrolled(n) as k:
                a.store(a.load(self._scratch(source), k), self._scratch(target), k)
        done = a.load(self._scratch("state"), at.size - 2)
        going = a.any(a.compare("oeq", done, a.const(0.0)))
        count = a.op(f"add i64 {a.load_as('i64', counter)}, 1")
        a.store_as("i64", count, counter)
        a.branch(a.op(f"and i1 {going}, {a.op(f'icmp slt i64 {count}, {most}')}"), again, after)
        a.start_block(after)

    def _call(self, name: str, arrays: Mapping[str, str]) -> None:
        routine = self.routines[name]
        pointers = (f"ptr {arrays.get(x) or self._scratch(x)}" for x in routine.arrays)
        self.a.emit(f"call void @{name}({', '.join(pointers)})")
