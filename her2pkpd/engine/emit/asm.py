"""A small writer of LLVM IR text.

Values are SSA names (strings). `F` is the type of one program scalar: a vector of `width` doubles, one lane
each, or a plain double where width is 1. Text is several times faster to make than llvmlite's object tree.
"""

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass


def hex_double(value: float) -> str:
    """A double as LLVM writes it exactly."""
    return f"0x{struct.unpack('<Q', struct.pack('<d', float(value)))[0]:016X}"


class Asm:
    """Body of one function under construction.

    Args:
        width: lanes per vector.
        fma: whether the target has fused multiply-add.
        special: instructions of the target worth using: "rcp14", where a refined reciprocal beats dividing, and
            "scalef", which multiplies by a power of two (both AVX-512).
    """

    def __init__(self, width: int, fma: bool = True, special: tuple[str, ...] = ()) -> None:
        self.width = width
        self.fma_available = fma
        self.special = special
        self.lines: list[str] = []
        self._count = 0
        self._labels = 0
        self.block = "entry"
        v = width > 1
        self.F = f"<{width} x double>" if v else "double"
        self.I = f"<{width} x i64>" if v else "i64"
        self.B = f"<{width} x i1>" if v else "i1"
        self.suffix = f"v{width}f64" if v else "f64"
        self.suffix_i = f"v{width}i64" if v else "i64"

    # --- plumbing -------------------------------------------------------------------------------------------

    def emit(self, text: str) -> None:
        """Append a line."""
        self.lines.append("  " + text)

    def op(self, text: str) -> str:
        """Append an instruction with a result; returns its name."""
        self._count += 1
        name = f"%v{self._count}"
        self.lines.append(f"  {name} = {text}")
        return name

    def label(self, hint: str = "b") -> str:
        """A fresh block label."""
        self._labels += 1
        return f"{hint}{self._labels}"

    def start_block(self, label: str) -> None:
        """Begin a block."""
        self.lines.append(f"{label}:")
        self.block = label

    def jump(self, label: str) -> None:
        """Unconditional branch."""
        self.emit(f"br label %{label}")

    def branch(self, condition: str, yes: str, no: str) -> None:
        """Conditional branch on an i1."""
        self.emit(f"br i1 {condition}, label %{yes}, label %{no}")

    @contextmanager
    def when(self, condition: str, unlikely: bool = False) -> Iterator[None]:
        """Run the body if an i1 holds."""
        yes, after = self.label("then"), self.label("after")
        weight = ", !prof !0" if unlikely else ""
        self.emit(f"br i1 {condition}, label %{yes}, label %{after}{weight}")
        self.start_block(yes)
        yield
        self.jump(after)
        self.start_block(after)

    @contextmanager
    def loop(self, count: str | int, start: str | int = 0) -> Iterator[str]:
        """Counted loop over i64; yields the index."""
        head, body, after = self.label("head"), self.label("body"), self.label("done")
        before = self.block
        self.jump(head)
        self.start_block(head)
        self._count += 1
        index = f"%v{self._count}"
        phi = len(self.lines)
        self.lines.append("")
        going = self.op(f"icmp slt i64 {index}, {count}")
        self.branch(going, body, after)
        self.start_block(body)
        yield index
        following = self.op(f"add nsw i64 {index}, 1")
        self.lines[phi] = f"  {index} = phi i64 [ {start}, %{before} ], [ {following}, %{self.block} ]"
        self.jump(head)
        self.start_block(after)

    @contextmanager
    def unrolled(self, count: int, step: int = 1) -> Iterator[str]:
        """Counted loop with a known count of at least one, tested at the bottom; yields the index."""
        body, after = self.label("body"), self.label("done")
        before = self.block
        self.jump(body)
        self.start_block(body)
        self._count += 1
        index = f"%v{self._count}"
        phi = len(self.lines)
        self.lines.append("")
        yield index
        following = self.op(f"add nuw nsw i64 {index}, {step}")
        self.lines[phi] = f"  {index} = phi i64 [ 0, %{before} ], [ {following}, %{self.block} ]"
        going = self.op(f"icmp slt i64 {following}, {count}")
        self.branch(going, body, after)
        self.start_block(after)

    @contextmanager
    def reduction(self, count: int, start: Sequence[str]) -> Iterator[tuple[str, list[str], list[str]]]:
        """Counted loop that carries vectors in registers.

        Yields the index, the carried values and a list that the body fills with their successors; after the
        loop the same list holds the final values.
        """
        body, after = self.label("body"), self.label("done")
        before = self.block
        self.jump(body)
        self.start_block(body)
        names = [f"%v{self._count + 1 + k}" for k in range(len(start) + 1)]
        self._count += len(names)
        phi = len(self.lines)
        self.lines += [""] * len(names)
        results: list[str] = []
        yield names[0], names[1:], results
        following = self.op(f"add nuw nsw i64 {names[0]}, 1")
        self.lines[phi] = f"  {names[0]} = phi i64 [ 0, %{before} ], [ {following}, %{self.block} ]"
        for k, (first, last) in enumerate(zip(start, results, strict=True)):
            self.lines[phi + 1 + k] = (
                f"  {names[1 + k]} = phi {self.F} [ {first}, %{before} ], [ {last}, %{self.block} ]"
            )
        going = self.op(f"icmp slt i64 {following}, {count}")
        self.branch(going, body, after)
        self.start_block(after)

    # --- constants and memory ---------------------------------------------------------------------------------

    def const(self, value: float) -> str:
        """A constant in every lane."""
        item = hex_double(value)
        return item if self.width == 1 else f"<{', '.join([f'double {item}'] * self.width)}>"

    def const_i(self, value: int) -> str:
        """An integer constant in every lane."""
        return str(value) if self.width == 1 else f"<{', '.join([f'i64 {value}'] * self.width)}>"

    def const_b(self, value: bool) -> str:
        """A truth value in every lane."""
        item = "true" if value else "false"
        return item if self.width == 1 else f"<{', '.join([f'i1 {item}'] * self.width)}>"

    def splat(self, scalar: str) -> str:
        """A double in every lane."""
        if self.width == 1:
            return scalar
        one = self.op(f"insertelement {self.F} poison, double {scalar}, i64 0")
        zeros = f"<{self.width} x i32> zeroinitializer"
        return self.op(f"shufflevector {self.F} {one}, {self.F} poison, {zeros}")

    def at(self, pointer: str, index: str | int, type_: str | None = None) -> str:
        """Address of an element; lanes' vectors unless another type is given."""
        return self.op(f"getelementptr inbounds {type_ or self.F}, ptr {pointer}, i64 {index}")

    def load(self, pointer: str, index: str | int = 0) -> str:
        """Load one vector."""
        return self.op(f"load {self.F}, ptr {self.at(pointer, index)}, align {8 * self.width}")

    def store(self, value: str, pointer: str, index: str | int = 0) -> None:
        """Store one vector."""
        self.emit(f"store {self.F} {value}, ptr {self.at(pointer, index)}, align {8 * self.width}")

    def load_int_vector(self, pointer: str) -> str:
        """Load one vector of i64."""
        return self.op(f"load {self.I}, ptr {pointer}, align {8 * self.width}")

    def store_int_vector(self, value: str, pointer: str) -> None:
        """Store one vector of i64."""
        self.emit(f"store {self.I} {value}, ptr {pointer}, align {8 * self.width}")

    def load_as(self, type_: str, pointer: str, index: str | int = 0) -> str:
        """Load a scalar of a type."""
        return self.op(f"load {type_}, ptr {self.at(pointer, index, type_)}")

    def store_as(self, type_: str, value: str, pointer: str, index: str | int = 0) -> None:
        """Store a scalar of a type."""
        self.emit(f"store {type_} {value}, ptr {self.at(pointer, index, type_)}")

    # --- lane arithmetic --------------------------------------------------------------------------------------

    def add(self, a: str, b: str) -> str:
        """a + b."""
        return self.op(f"fadd {self.F} {a}, {b}")

    def sub(self, a: str, b: str) -> str:
        """a - b."""
        return self.op(f"fsub {self.F} {a}, {b}")

    def mul(self, a: str, b: str) -> str:
        """a * b."""
        return self.op(f"fmul {self.F} {a}, {b}")

    def div(self, a: str, b: str) -> str:
        """a / b."""
        return self.op(f"fdiv {self.F} {a}, {b}")

    def quotient(self, a: str, b: str) -> str:
        """a / b to 2 units in the last place, by a refined reciprocal where that is faster than dividing.

        Zero, infinity and NaN as in a division; a divisor below 1e-308 counts as zero.
        """
        if "rcp14" not in self.special:
            return self.div(a, b)
        one = self.const(1.0)
        rough = self._rough_reciprocal(b)
        better = self.fma(rough, self.fnma(b, rough, one), rough)
        lacking = self.fnma(b, better, one)
        best = self.fma(better, lacking, better)
        # Only a divisor that is zero or not finite leaves NaN here, and then the rough value is the exact one.
        inverse = self.select(self.compare("uno", lacking, lacking), rough, best)
        return inverse if a == one else self.mul(a, inverse)

    def _rough_reciprocal(self, b: str) -> str:
        """1 / b to 14 bits."""
        lanes = max(self.width, 2)
        F = f"<{lanes} x double>"
        name = f"@llvm.x86.avx512.rcp14.pd.{64 * lanes}"
        x = self.op(f"insertelement {F} zeroinitializer, double {b}, i64 0") if self.width == 1 else b
        r = self.op(f"call {F} {name}({F} {x}, {F} zeroinitializer, i8 -1)")
        return self.op(f"extractelement {F} {r}, i64 0") if self.width == 1 else r

    def scale(self, a: str, n: str) -> str:
        """a * 2^n for integral n (a double), rounded once; only with "scalef"."""
        lanes = max(self.width, 2)
        F, mask = f"<{lanes} x double>", "i8 -1, i32 4" if lanes == 8 else "i8 -1"
        x, k = (
            self.op(f"insertelement {F} zeroinitializer, double {v}, i64 0") if self.width == 1 else v for v in (a, n)
        )
        name = f"@llvm.x86.avx512.mask.scalef.pd.{64 * lanes}"
        r = self.op(f"call {F} {name}({F} {x}, {F} {k}, {F} zeroinitializer, {mask})")
        return self.op(f"extractelement {F} {r}, i64 0") if self.width == 1 else r

    def neg(self, a: str) -> str:
        """-a."""
        return self.op(f"fneg {self.F} {a}")

    def fma(self, a: str, b: str, c: str) -> str:
        """a * b + c, rounded once where the target can."""
        if not self.fma_available:
            return self.add(self.mul(a, b), c)
        return self.op(f"call {self.F} @llvm.fma.{self.suffix}({self.F} {a}, {self.F} {b}, {self.F} {c})")

    def fnma(self, a: str, b: str, c: str) -> str:
        """c - a * b, rounded once where the target can."""
        if not self.fma_available:
            return self.sub(c, self.mul(a, b))
        return self.fma(self.neg(a), b, c)

    def intrinsic(self, name: str, *args: str) -> str:
        """An LLVM floating-point intrinsic on lanes (sqrt, fabs, floor, maxnum ...)."""
        return self.op(f"call {self.F} @llvm.{name}.{self.suffix}({', '.join(f'{self.F} {a}' for a in args)})")

    def compare(self, predicate: str, a: str, b: str) -> str:
        """Floating-point comparison."""
        return self.op(f"fcmp {predicate} {self.F} {a}, {b}")

    def select(self, condition: str, yes: str, no: str) -> str:
        """Lane by lane choice."""
        return self.op(f"select {self.B} {condition}, {self.F} {yes}, {self.F} {no}")

    def logic(self, op: str, a: str, b: str) -> str:
        """and, or, xor of truth values."""
        return self.op(f"{op} {self.B} {a}, {b}")

    def not_(self, a: str) -> str:
        """Negation of truth values."""
        return self.logic("xor", a, self.const_b(True))

    def any(self, mask: str) -> str:
        """Whether a truth value holds in any lane, as i1."""
        if self.width == 1:
            return mask
        bits = self.op(f"bitcast {self.B} {mask} to i{self.width}")
        return self.op(f"icmp ne i{self.width} {bits}, 0")

    def lane_bit(self, mask: str, lane: int) -> str:
        """Truth value of one lane, as i1."""
        return mask if self.width == 1 else self.op(f"extractelement {self.B} {mask}, i64 {lane}")

    # integers as bits

    def bits(self, a: str) -> str:
        """Bit pattern of doubles."""
        return self.op(f"bitcast {self.F} {a} to {self.I}")

    def from_bits(self, a: str) -> str:
        """Doubles of a bit pattern."""
        return self.op(f"bitcast {self.I} {a} to {self.F}")

    def int(self, op: str, a: str, b: str) -> str:
        """Integer operation lane by lane."""
        return self.op(f"{op} {self.I} {a}, {b}")


@dataclass(frozen=True)
class Machine:
    """What lane arithmetic is written for.

    Attributes:
        width: lanes per vector.
        fma: whether there is a fused multiply-add.
        special: instructions worth using, see `Asm`.
    """

    width: int
    fma: bool = True
    special: tuple[str, ...] = ()


def function(name: str, arguments: Sequence[str], asm: Asm, result: str = "void", attributes: str = "") -> str:
    """Text of a function definition around a finished body."""
    return f"define {result} @{name}({', '.join(arguments)}) {attributes} {{\nentry:\n" + "\n".join(asm.lines) + "\n}\n"
