"""Random numbers that belong to a patient, not to a run.

A stream is named; its numbers are those of Philox4x64-10 under the key (seed, hash of the name), and patient k owns
the blocks k*b to (k+1)*b - 1 of the stream. So patient k of seed s has the same numbers whichever patients are drawn
with them, in whatever order, on whatever machine, and a stream that is added later changes no other.
"""

import hashlib

import numpy as np

from her2pkpd import portable

_BLOCK = 4
"""64-bit words a block of Philox4x64 holds."""


def uniforms(seed: int, stream: str, patients: np.ndarray | range, width: int) -> np.ndarray:
    """Numbers of patients, uniform and strictly between 0 and 1, each a multiple of 2^-53.

    Args:
        seed: 0 to 2^64 - 1.
        stream: what they are for.
        patients: consecutive numbers, as a range, or any.
        width: numbers each patient needs; it is part of what the stream is, and must not differ between calls.

    Returns:
        (width, L), contiguous.
    """
    if width == 0 or len(patients) == 0:
        return np.zeros((width, len(patients)))
    if not isinstance(patients, range):
        return np.concatenate([uniforms(seed, stream, range(int(k), int(k) + 1), width) for k in patients], axis=1)
    key = int.from_bytes(hashlib.sha256(stream.encode()).digest()[:8], "little")
    blocks = -(-width // _BLOCK)
    # The generator steps to the next counter before it makes a block; what matters is that every block has its own.
    start = np.array([patients.start * blocks, 0, 0, 0], dtype=np.uint64)
    source = np.random.Philox(counter=start, key=np.array([seed, key], dtype=np.uint64))
    words = source.random_raw(len(patients) * blocks * _BLOCK).reshape(len(patients), blocks * _BLOCK)
    numbers = np.ascontiguousarray(words[:, :width].T)
    return ((numbers >> np.uint64(12)).astype(float) + 0.5) * 2.0**-52


def normals(seed: int, stream: str, patients: np.ndarray | range, width: int) -> np.ndarray:
    """Standard normal numbers of patients, (width, L); arguments as `uniforms`."""
    return portable.normal_quantile(uniforms(seed, stream, patients, width))
