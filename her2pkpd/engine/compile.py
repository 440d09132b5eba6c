"""From LLVM IR to a callable function."""

import ctypes
import itertools
import sys
import threading
from dataclasses import dataclass
from functools import cache

import llvmlite
import llvmlite.binding as llvm

LOCK = threading.Lock()
"""LLVM is called by one thread at a time."""
_NUMBER = itertools.count()


@dataclass(frozen=True)
class Target:
    """The processor code is made for.

    Attributes:
        cpu: LLVM's name of it.
        features: LLVM's feature string.
        width: lanes per vector that fit it best.
        fma: whether it has fused multiply-add.
        special: instructions worth using, see `emit.asm.Asm`.
    """

    cpu: str
    features: str
    width: int
    fma: bool
    special: tuple[str, ...] = ()


@cache
def host() -> Target:
    """The processor this runs on."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    features = llvm.get_host_cpu_features()
    flags = dict(features)
    arm = llvm.get_process_triple().startswith(("aarch64", "arm64"))
    width = 8 if flags.get("avx512f") else 4 if flags.get("avx2") else 4 if arm else 2
    cpu = llvm.get_host_cpu_name()
    # AMD divides eight doubles in ten cycles, which a refined reciprocal does not beat; others take sixteen or more.
    wide = flags.get("avx512f") and flags.get("avx512vl")
    refine = wide and not cpu.startswith("znver")
    special = tuple(name for name, use in (("rcp14", refine), ("scalef", wide)) if use)
    fma = bool(flags.get("fma")) or arm
    return Target(cpu, features.flatten(), width, fma, special)


MANY_SPECIES = 40
"""Above so many, the scratch memory of eight lanes no longer fits the first-level cache of 32 kB."""


def lanes(n: int) -> int:
    """Lanes per vector that suit this processor and a model of n species.

    Zen 4 executes vectors of eight doubles as two halves, so that nothing is lost by vectors of four, which need half
    the scratch memory: 7 % faster at 50 species, 20 % at 100, 8 % slower at 20. Processors that execute all eight at
    once keep them.
    """
    target = host()
    halves = target.cpu == "znver4" and target.width == 8
    return 4 if halves and n > MANY_SPECIES else target.width


@cache
def versions() -> dict[str, str]:
    """Versions of what turns text into machine code."""
    return {"llvmlite": llvmlite.__version__, "llvm": ".".join(str(v) for v in llvm.llvm_version_info)}


def _near() -> bool:
    """Whether code and constants can be placed next to each other, so that short addresses reach.

    JITLink takes one stretch of memory per module on Linux and macOS; elsewhere full addresses are used, which
    costs an instruction for every constant.
    """
    return sys.platform in ("linux", "darwin")


def _machine(target: Target) -> llvm.TargetMachine:
    triple = llvm.Target.from_triple(llvm.get_process_triple())
    reloc, model = ("pic", "small") if _near() else ("default", "jitdefault")
    return triple.create_target_machine(
        cpu=target.cpu, features=target.features, opt=2, reloc=reloc, codemodel=model, jit=True
    )


def _optimise(module: llvm.ModuleRef, machine: llvm.TargetMachine) -> None:
    options = llvm.create_pipeline_tuning_options(speed_level=1)
    options.loop_unrolling = False
    options.loop_vectorization = False
    options.slp_vectorization = False
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)


def object_code(text: str, target: Target) -> bytes:
    """Compile a module to relocatable object code."""
    with LOCK:
        module = llvm.parse_assembly(text)
        module.verify()
        machine = _machine(target)
        _optimise(module, machine)
        return machine.emit_object(module)


@cache
def _linker(target: Target) -> llvm.LLJIT:
    return llvm.create_lljit_compiler(_machine(target), use_jit_link=_near())


class Loaded:
    """Object code in memory, ready to be called.

    Args:
        code: object code with a function ``kernel(table, doubles, integers)``.
        target: the processor it was made for.
    """

    def __init__(self, code: bytes, target: Target) -> None:
        with LOCK:
            builder = llvm.JITLibraryBuilder().add_object_img(code).add_current_process().export_symbol("kernel")
            # The tracker owns the memory the code lies in.
            self._tracker = builder.link(_linker(target), f"kernel{next(_NUMBER)}")
            address = self._tracker["kernel"]
        self.kernel = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)(address)
