"""A CUDA card: loading kernels, memory and launches, through cuda-core (the extra ``cuda``)."""

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from her2pkpd.errors import ComputationError, InputError, Problem

_INSTALL = 'Install the extra: pip install "her2pkpd[cuda]", or use engine="kernel".'


class DeviceArray:
    """A C-contiguous array in a card's memory, which JAX, CuPy and PyTorch can use without a copy.

    `jax.numpy.asarray(array)` and `cupy.asarray(array)` read ``__cuda_array_interface__``. They look at the same
    memory and do not all keep it alive: keep this object for as long as theirs is used.

    Args:
        card: the card.
        shape: its shape.
        dtype: element type.
    """

    def __init__(self, card: "Card", shape: Sequence[int], dtype: Any = np.float64) -> None:
        self.card, self.shape, self.dtype = card, tuple(shape), np.dtype(dtype)
        self.bytes = int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize
        self._buffer = card.allocate(max(self.bytes, 8))
        self.pointer = int(self._buffer.handle)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {"shape": self.shape, "typestr": self.dtype.str, "data": (self.pointer, False), "version": 3}

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("an array in a card's memory reaches NumPy by a copy only")
        host = np.empty(self.shape, self.dtype)
        self.card.to_host(host, self.pointer)
        return host if dtype is None else host.astype(dtype)


@dataclass(frozen=True)
class Card:
    """An open card.

    Attributes:
        name: its name.
        capability: compute capability (major, minor).
        multiprocessors: how many it has.
        clock: their highest clock in Hz.
    """

    name: str
    capability: tuple[int, int]
    multiprocessors: int
    clock: float
    _device: Any
    _stream: Any
    _core: Any
    _driver: Any

    @property
    def peak(self) -> float:
        """Float64 operations per second at that clock, two for each fused multiply-add."""
        units = 64 if self.capability in ((6, 0), (7, 0), (9, 0), (10, 0)) else 32 if self.capability == (8, 0) else 2
        return 2.0 * units * self.multiprocessors * self.clock

    def allocate(self, size: int) -> Any:
        """Memory of the card, in bytes; given back when nobody refers to it any more."""
        self._device.set_current()
        return self._device.allocate(size, stream=self._stream)

    def free_memory(self) -> int:
        """Bytes that are free."""
        self._device.set_current()
        return int(self._checked(self._driver.cuMemGetInfo())[0])

    def to_device(self, array: np.ndarray) -> DeviceArray:
        """A copy of a C-contiguous array."""
        found = DeviceArray(self, array.shape, array.dtype)
        if array.nbytes:
            self._stream.sync()
            self._checked(self._driver.cuMemcpyHtoD(found.pointer, array.ctypes.data, array.nbytes))
        return found

    def to_host(self, array: np.ndarray, pointer: int) -> None:
        """Fill a C-contiguous array from the card's memory."""
        if array.nbytes:
            self._device.set_current()
            self._stream.sync()
            self._checked(self._driver.cuMemcpyDtoH(array.ctypes.data, pointer, array.nbytes))

    def load(self, code: bytes, kind: str, name: str) -> Any:
        """A kernel from machine code ("cubin") or from PTX, which the driver then assembles."""
        self._device.set_current()
        make = self._core.ObjectCode.from_cubin if kind == "cubin" else self._core.ObjectCode.from_ptx
        return make(code).get_kernel(name)

    def launch(self, kernel: Any, blocks: int, threads: int, arguments: Sequence[int | float]) -> None:
        """Start a kernel; `synchronise` waits for it."""
        self._device.set_current()
        config = self._core.LaunchConfig(grid=blocks, block=threads)
        self._core.launch(self._stream, config, kernel, *arguments)

    def synchronise(self) -> None:
        """Wait for everything started.

        Raises:
            ComputationError: where the card reports an error.
        """
        try:
            self._stream.sync()
        except Exception as error:
            raise ComputationError(f"the GPU reports an error: {error}") from error

    def _checked(self, result: tuple[Any, ...]) -> tuple[Any, ...]:
        if int(result[0]):
            raise ComputationError(f"the GPU driver reports {result[0]!r}")
        return result[1:]


def obstacle() -> str | None:
    """Why no card can be used, as a sentence; None where one can."""
    try:
        card()
    except InputError as error:
        return error.problems[0].rule
    return None


@cache
def likely() -> bool:
    """Whether cuda-core is installed; cheap, and False on most machines."""
    try:
        return importlib.util.find_spec("cuda.core") is not None
    except ImportError:
        return False


@cache
def card() -> Card:
    """The card that is current.

    Raises:
        InputError: where cuda-core, the driver or a card is missing.
    """
    if not likely():
        raise InputError(Problem('engine="gpu" needs cuda-core, which is not installed', _INSTALL, value="gpu"))
    core, driver = _modules()
    device = _attempt(lambda: _opened(core))
    properties = device.properties
    return Card(
        name=str(device.name),
        capability=(int(device.compute_capability.major), int(device.compute_capability.minor)),
        multiprocessors=int(properties.multiprocessor_count),
        clock=1e3 * float(properties.clock_rate),
        _device=device,
        _stream=_attempt(device.create_stream),
        _core=core,
        _driver=driver,
    )


def _modules() -> tuple[Any, Any]:
    def load() -> tuple[Any, Any]:
        core = importlib.import_module("cuda.core")
        return core, importlib.import_module("cuda.bindings.driver")

    return _attempt(load)


def _opened(core: Any) -> Any:
    device = core.Device()
    device.set_current()
    return device


def _attempt(action: Callable[[], Any]) -> Any:
    """What fails while a card is opened means that there is none to use; the libraries raise many kinds."""
    try:
        return action()
    except Exception as error:
        reason = str(error).splitlines()[0][:160].rstrip(".") if str(error) else type(error).__name__
        raise InputError(
            Problem(
                f"no NVIDIA GPU can be used here ({reason})",
                'Check the driver with `nvidia-smi`, or use engine="kernel", which needs no GPU.',
                value="gpu",
            )
        ) from error
