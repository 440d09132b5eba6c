"""From LLVM IR to PTX and machine code of an NVIDIA card, none of which needs a card."""

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import llvmlite.binding as llvm

from her2pkpd.engine import compile as compiler
from her2pkpd.errors import ComputationError

NEWEST, OLDEST = 90, 60
"""Compute capabilities (times ten) PTX is written for; newer cards take that of the newest."""


@dataclass(frozen=True)
class Resources:
    """What the assembler says a kernel takes.

    Attributes:
        registers: 32-bit registers per thread.
        stack: bytes of local memory per thread.
        spill_stores: bytes written to local memory for want of registers, over the whole program text.
        spill_loads: bytes read back.
    """

    registers: int
    stack: int
    spill_stores: int
    spill_loads: int


def architecture(major: int, minor: int) -> str:
    """LLVM's name of what a card of some compute capability runs."""
    return f"sm_{max(OLDEST, min(NEWEST, 10 * major + minor))}"


def ptx(text: str, arch: str) -> str:
    """Compile a module to PTX.

    Args:
        text: LLVM IR, from `emit.ptx.device_text`.
        arch: for example "sm_90".
    """
    with compiler.LOCK:
        llvm.initialize_all_targets()
        llvm.initialize_all_asmprinters()
        module = llvm.parse_assembly(unrolled(text))
        module.verify()
        machine = llvm.Target.from_triple("nvptx64-nvidia-cuda").create_target_machine(cpu=arch, opt=3)
        module.data_layout = str(machine.target_data)
        options = llvm.create_pipeline_tuning_options(speed_level=2)
        options.loop_unrolling = True
        options.loop_vectorization = False
        options.slp_vectorization = False
        builder = llvm.create_pass_builder(machine, options)
        builder.getModulePassManager().run(module, builder)
        return machine.emit_assembly(module)


def unrolled(text: str) -> str:
    """Inline what is marked so, unroll the loops that are marked, and take the marks off.

    In a step of its own, as LLVM's ordinary pipeline merges marks of inner loops into outer ones, and warns.
    """
    if "!llvm.loop" not in text:
        return text
    module = llvm.parse_assembly(text)
    machine = llvm.Target.from_default_triple().create_target_machine()
    passes = llvm.create_new_module_pass_manager()
    passes.add_always_inliner_pass()
    passes.add_sroa_pass()
    passes.add_sccp_pass()
    passes.add_loop_simplify_pass()
    passes.add_lcssa_pass()
    passes.add_loop_rotate_pass()
    passes.add_loop_unroll_pass()
    passes.run(module, llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options()))
    return re.sub(r", !llvm.loop !\d+", "", str(module))


def assembler() -> str | None:
    """Path of CUDA's ``ptxas``, or None; without it the driver assembles."""
    return shutil.which("ptxas")


def assemble(text: str, arch: str) -> tuple[bytes, Resources]:
    """Machine code of a PTX text, and what it takes.

    Raises:
        ComputationError: where the assembler refuses.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "kernel.ptx", Path(folder) / "kernel.cubin"
        source.write_text(text)
        command = [assembler() or "ptxas", f"-arch={arch}", "-v", str(source), "-o", str(target)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ComputationError(f"ptxas refused the kernel: {done.stderr.strip()[-500:]}")
        return target.read_bytes(), resources(done.stdout + done.stderr)


def resources(report: str) -> Resources:
    """Read the assembler's report; of several functions, the largest figures count."""

    def largest(pattern: str) -> int:
        return max((int(x) for x in re.findall(pattern, report)), default=0)

    stack = largest(r"(\d+) bytes cumulative stack size") or largest(r"(\d+) bytes stack frame")
    spills = largest(r"(\d+) bytes spill stores"), largest(r"(\d+) bytes spill loads")
    return Resources(largest(r"Used (\d+) registers"), stack, *spills)
