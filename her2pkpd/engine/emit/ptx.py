"""The kernel retargeted to a GPU: the same LLVM text at width 1, one lane a thread.

What changes, and why:

- A thread takes the lane of its own number and ends with it; the scheduler of the card hands out blocks. No counter is
  shared, so lanes that start together stay together and a warp checks factors, and begins segments, at the same time.
- Everything is inlined and all loops over species are unrolled, so that LLVM turns the scratch memory into values and
  the assembler keeps in registers what it can. The dosed species become constants, as an array in registers cannot be
  indexed; tolerances arrive as arguments, which the card reads for nothing. Models too large for that, and kernels with
  tangents, keep their scratch memory in local memory instead.
- A quotient starts from the card's rough reciprocal and is refined by multiplications: no branch, as a division has.

`host_text` gives the same program for the processor, with the rough reciprocal imitated, so that all of this is
tested where there is no card.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from her2pkpd.engine.emit.asm import hex_double
from her2pkpd.engine.emit.layout import FIELDS, LANE_INTEGERS

ENTRY = "her2pkpd"
"""Name of the kernel."""

POINTERS = (
    frozenset(FIELDS) - {"rtol", "max_steps"} - {f for f in FIELDS if f.startswith("n_") or f.endswith("_stride")}
)
"""Fields of the argument table that are addresses."""

_ONE = hex_double(1.0)
_LANE_FUNCTIONS = ("kernel", "next_lane", "enter", "finish", "save_here", "next_save")


@dataclass(frozen=True)
class Shape:
    """What the retargeted kernel is made for.

    Attributes:
        n: number of species.
        size: doubles of scratch memory per lane.
        inputs: the dosed species.
        registers: whether scratch memory becomes registers; otherwise it is local memory.
        threads: most threads per block.
    """

    n: int
    size: int
    inputs: tuple[int, ...]
    registers: bool
    threads: int

    @property
    def tolerances_passed(self) -> bool:
        """Whether the tolerances are arguments of the kernel: they must be few enough for the 4 kB there are."""
        return self.registers and self.n <= 200

    @property
    def doubles(self) -> int:
        """Number of double arguments that follow the argument table: tolerance and depth of every species."""
        return 2 * self.n if self.tolerances_passed else 0


def device_text(text: str, shape: Shape) -> str:
    """LLVM IR for the NVPTX target.

    Args:
        text: a module of `KernelWriter` at width 1, with fused multiply-add.
        shape: what it is made for.
    """
    entry = [
        f"define ptx_kernel void @{ENTRY}({_parameters(shape)}) #1 {{",
        "  %thread = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()",
        "  %block = call i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()",
        "  %threads = call i32 @llvm.nvvm.read.ptx.sreg.ntid.x()",
        *(f"  %{x}64 = zext i32 %{x} to i64" for x in ("thread", "block", "threads")),
        "  %before = mul i64 %block64, %threads64",
        "  %index = add i64 %before, %thread64",
        f"  call void @lane(i64 %index, {_parameters(shape)})",
        "  ret void\n}",
        f'attributes #1 = {{ nounwind "nvvm.maxntid"="{shape.threads}" "nvvm.minctasm"="1" }}',
    ]
    names = [f"i32 @llvm.nvvm.read.ptx.sreg.{x}.x()" for x in ("tid", "ctaid", "ntid")]
    declared = [f"declare {x}" for x in ("double @llvm.nvvm.rcp.approx.ftz.d(double)", *names)]
    rough = "  %r = call double @llvm.nvvm.rcp.approx.ftz.d(double %b)\n  ret double %r\n"
    head = 'target triple = "nvptx64-nvidia-cuda"\n' + "\n".join(declared)
    return "\n".join([head, _inner(text, shape, rough, "1"), *entry]) + "\n"


def host_text(text: str, shape: Shape) -> str:
    """The same program for this processor: ``kernel(arguments, ., .)`` runs the lanes one by one.

    Args:
        text: as for `device_text`.
        shape: likewise.

    Returns:
        A module whose function takes the address of the arguments, eight bytes each.
    """
    kinds = ["i64"] * len(FIELDS) + ["double"] * shape.doubles
    loads, given = [], []
    for k, kind in enumerate(kinds):
        loads.append(f"  %q{k} = getelementptr i64, ptr %arguments, i64 {k}\n  %a{k} = load {kind}, ptr %q{k}")
        given.append(f"{kind} %a{k}")
    entry = [
        "define void @kernel(ptr %arguments, ptr %none, ptr %nothing) nounwind {\nentry:",
        *loads,
        "  br label %head\nhead:",
        "  %index = phi i64 [ 0, %entry ], [ %next, %body ]",
        "  %more = icmp slt i64 %index, %a0",
        "  br i1 %more, label %body, label %end\nbody:",
        f"  call void @lane(i64 %index, {', '.join(given)})",
        "  %next = add i64 %index, 1\n  br label %head\nend:\n  ret void\n}",
    ]
    return "\n".join([_inner(text, shape, _IMITATED, "0"), *entry]) + "\n"


_IMITATED = f"""  %q = fdiv double {_ONE}, %b
  %bits = bitcast double %q to i64
  %cut = and i64 %bits, -4294967296
  %r = bitcast i64 %cut to double
  %size = call double @llvm.fabs.f64(double %b)
  %tiny = fcmp olt double %size, {hex_double(2.0**-1022)}
  %huge = fcmp ogt double %size, {hex_double(2.0**1022)}
  %infinite = call double @llvm.copysign.f64(double {hex_double(float("inf"))}, double %b)
  %none = call double @llvm.copysign.f64(double 0.0, double %b)
  %r1 = select i1 %tiny, double %infinite, double %r
  %r2 = select i1 %huge, double %none, double %r1
  ret double %r2
"""
"""The card's rough reciprocal: the upper half of the bits, nothing subnormal."""


def _inner(text: str, shape: Shape, rough: str, space: str) -> str:
    """The module's functions, made ready for one thread, and ``@lane`` around them."""
    text, tags = _loops(text) if shape.registers else (text, [])
    text = _one_lane(_quotients(text)).replace("define void @kernel", "define internal void @lanes")
    text = re.sub(r"define [^\n]*\n(?:.*\n)*?}\n", lambda m: _function(m.group(0), shape.registers), text)
    text = re.sub(r"attributes #0 = .*\n", "", text)
    known = {"fma": 3, "fabs": 1, "copysign": 2}
    declared = "\n".join(
        f"declare double @llvm.{name}.f64({', '.join(['double'] * count)})"
        for name, count in known.items()
        if f"declare double @llvm.{name}.f64" not in text
    )
    values = shape.inputs or (0,)
    table = f"[{len(values)} x i64] [{', '.join(f'i64 {v}' for v in values)}]"
    constant = f"@dosed = internal unnamed_addr constant {table}"
    return "\n".join([declared, constant, _reciprocal(rough), text, _lane(shape, space), *tags])


def _quotients(text: str) -> str:
    text = re.sub(rf"fdiv double {_ONE}, (\S+)", r"call double @reciprocal(double \1)", text)
    return re.sub(r"fdiv double (\S+), (\S+)", r"call double @quotient(double \1, double \2)", text)


def _one_lane(text: str) -> str:
    """The counter is the thread's own: it holds the thread's lane once, and after that none."""
    taken, count = re.subn(
        r"(%v\d+) = atomicrmw add ptr (%v\d+), i64 1 monotonic",
        rf"\1 = load i64, ptr \2\n  store i64 {2**63 - 1}, ptr \2",
        text,
    )
    if count != 1:
        raise AssertionError("a kernel takes its lanes from a counter in one place")
    return taken


def _loops(text: str) -> tuple[str, list[str]]:
    """Ask for all loops of known length to be unrolled; those over the dosed species, in ``@enter``, become known."""
    tags = ['!9 = !{!"llvm.loop.unroll.full"}']

    def tag(match: re.Match[str]) -> str:
        number = 10 + len(tags)
        tags.append(f"!{number} = distinct !{{!{number}, !9}}")
        return f"{match.group(0)}, !llvm.loop !{number}"

    text = re.sub(r"= add nuw nsw i64 \S+, \d+\n  %v\d+ = icmp slt i64 \S+ \d+\n  br i1 .*", tag, text)

    def counted(match: re.Match[str]) -> str:
        body, known = match.group(0), match.group(1) == "enter"
        for index, limit in re.findall(r"icmp slt i64 (%v\d+), (\S+)\n", body):
            if known or not limit.startswith("%"):
                body = re.sub(rf"= add nsw i64 {index}, 1\n  br label %head\d+", tag, body)
        return body

    return re.sub(r"define [^\n]*@(\w+)\((?:.*\n)*?}\n", counted, text), tags


def _function(text: str, registers: bool) -> str:
    """Inline what is to become registers; local variables go to the top, where they become values."""
    first, rest = text.split("\n", 1)
    found = re.search(r"@(\w+)\(", first)
    name = found.group(1) if found else ""
    inline = registers or name in (*_LANE_FUNCTIONS, "lanes")
    first = re.sub(r"(noinline )?#0", "alwaysinline nounwind" if inline else "noinline nounwind", first)
    local = re.findall(r"  %v\d+ = alloca double\n", rest)
    for line in local:
        rest = rest.replace(line, "")
    return f"{first}\n" + rest.replace("entry:\n", "entry:\n" + "".join(local), 1)


def _reciprocal(rough: str) -> str:
    """``@reciprocal`` and ``@quotient``: two Newton steps from 23 bits, and a last correction of the quotient.

    Where the refinement makes a NaN (of zero, or infinity) the rough value is the right one.
    """
    fma = "call double @llvm.fma.f64"
    return f"""define internal double @rough_reciprocal(double %b) alwaysinline nounwind {{
{rough}}}
define internal double @reciprocal(double %b) alwaysinline nounwind {{
  %r0 = call double @rough_reciprocal(double %b)
  %minus = fneg double %b
  %e0 = {fma}(double %minus, double %r0, double {_ONE})
  %r1 = {fma}(double %r0, double %e0, double %r0)
  %e1 = {fma}(double %minus, double %r1, double {_ONE})
  %r2 = {fma}(double %r1, double %e1, double %r1)
  %special = fcmp uno double %r2, %r2
  %r = select i1 %special, double %r0, double %r2
  ret double %r
}}
define internal double @quotient(double %a, double %b) alwaysinline nounwind {{
  %r = call double @reciprocal(double %b)
  %q = fmul double %a, %r
  %minus = fneg double %b
  %rest = {fma}(double %minus, double %q, double %a)
  %better = {fma}(double %rest, double %r, double %q)
  %special = fcmp uno double %better, %better
  %result = select i1 %special, double %q, double %better
  ret double %result
}}"""


def _parameters(shape: Shape) -> str:
    kinds: Sequence[str] = ["i64"] * len(FIELDS) + ["double"] * shape.doubles
    return ", ".join(f"{kind} %a{k}" for k, kind in enumerate(kinds))


def _address(k: int, space: str) -> list[str]:
    """Store argument k as an address, in global memory if the target tells kinds of memory apart."""
    if space == "0":
        return [f"  %x{k} = inttoptr i64 %a{k} to ptr", f"  store ptr %x{k}, ptr %t{k}"]
    given = f"ptr addrspace({space})"
    return [
        f"  %g{k} = inttoptr i64 %a{k} to {given}",
        f"  %x{k} = addrspacecast {given} %g{k} to ptr",
        f"  store ptr %x{k}, ptr %t{k}",
    ]


def _lane(shape: Shape, space: str) -> str:
    """``@lane``: lay out the argument table and the scratch memory of one thread, and run the kernel on them."""
    lines = [
        f"define internal void @lane(i64 %index, {_parameters(shape)}) alwaysinline nounwind {{\nentry:",
        f"  %d = alloca [{shape.size} x double], align 8",
        f"  %i = alloca [{len(LANE_INTEGERS)} x i64], align 8",
        f"  %t = alloca [{len(FIELDS)} x i64], align 8",
        f"  %small = alloca [{max(shape.doubles, 1)} x double], align 8",
        "  %mine = alloca i64",
        "  store i64 %index, ptr %mine",
    ]
    for k in range(shape.doubles):
        lines.append(f"  %s{k} = getelementptr inbounds double, ptr %small, i64 {k}")
        lines.append(f"  store double %a{len(FIELDS) + k}, ptr %s{k}")
    for k, name in enumerate(FIELDS):
        lines.append(f"  %t{k} = getelementptr inbounds i64, ptr %t, i64 {k}")
        if name == "counter":
            lines.append(f"  store ptr %mine, ptr %t{k}")
        elif name == "inputs":
            lines.append(f"  store ptr @dosed, ptr %t{k}")
        elif name == "n_inputs":
            lines.append(f"  store i64 {len(shape.inputs)}, ptr %t{k}")
        elif name in ("tolerance", "depth") and shape.tolerances_passed:
            lines.append(f"  %small{k} = getelementptr double, ptr %small, i64 {shape.n * (name == 'depth')}")
            lines.append(f"  store ptr %small{k}, ptr %t{k}")
        elif name in POINTERS:
            lines += _address(k, space)
        else:
            lines.append(f"  store i64 %a{k}, ptr %t{k}")
    lines += ["  call void @lanes(ptr %t, ptr %d, ptr %i)", "  ret void\n}"]
    return "\n".join(lines)
