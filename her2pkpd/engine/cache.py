"""Compiled kernels on disk.

A file holds a JSON line (key, checksum, scratch layout) and the object code. It is used only if its key is the
one asked for, its checksum is right and nobody but the user can have written it; anything else is compiled
again and replaced. Where the folder cannot be written, everything works without it.
"""

import contextlib
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

KEPT = 400
"""Files kept; the least recently used go first."""

VARIABLE = "HER2PKPD_CACHE"
"""Environment variable that moves the folder; set it to an empty string to do without one."""


def folder() -> Path | None:
    """Where compiled kernels are kept, or None for nowhere."""
    given = os.environ.get(VARIABLE)
    if given is not None:
        return Path(given) / "kernels" if given else None
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "her2pkpd" / "kernels"


_WRITERS = ("methods.py", "compile.py", "nvptx.py")
"""Modules beside the packages `program` and `emit` on which machine code depends."""


@cache
def source_digest() -> str:
    """Checksum of the code that writes kernels, so that a changed generator never meets old output."""
    here = Path(__file__).parent
    files = sorted([*here.glob("program/*.py"), *here.glob("emit/*.py"), *(here / x for x in _WRITERS)])
    total = hashlib.sha256()
    for file in files:
        total.update(file.name.encode() + b"\0" + file.read_bytes())
    return total.hexdigest()


def key(parts: Mapping[str, object]) -> str:
    """Key of what was asked for: a checksum over names and values."""
    text = json.dumps({name: str(value) for name, value in parts.items()}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def load(name: str) -> tuple[bytes, dict[str, int]] | None:
    """Object code and layout stored under a key, or None."""
    place = folder()
    if place is None:
        return None
    try:
        file = place / f"{name}.kernel"
        if not _private(file):
            return None
        header, code = file.read_bytes().split(b"\n", 1)
        entry = json.loads(header)
        layout = {str(k): int(v) for k, v in entry["layout"].items()}
        sound = entry["key"] == name and entry["checksum"] == _checksum(code, layout)
        os.utime(file)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return (code, layout) if sound else None


def store(name: str, code: bytes, layout: Mapping[str, int]) -> None:
    """Keep object code and layout under a key; in silence where that is not possible."""
    place = folder()
    if place is None:
        return
    header = {"key": name, "checksum": _checksum(code, layout), "layout": dict(layout)}
    with contextlib.suppress(OSError):
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Written beside and renamed, so that a reader sees all of it or nothing.
        handle, temporary = tempfile.mkstemp(dir=place, suffix=".part")
        with os.fdopen(handle, "wb") as file:
            file.write(json.dumps(header).encode() + b"\n" + code)
        Path(temporary).replace(place / f"{name}.kernel")
        _prune(place)


def _checksum(code: bytes, layout: Mapping[str, int]) -> str:
    return hashlib.sha256(json.dumps(dict(layout)).encode() + b"\n" + code).hexdigest()


def _private(file: Path) -> bool:
    """Whether the file belongs to this user and to nobody else to write."""
    if not hasattr(os, "getuid"):
        return True
    status = file.stat()
    return status.st_uid == os.getuid() and not status.st_mode & 0o022


def _prune(place: Path) -> None:
    files = sorted(place.glob("*.kernel"), key=lambda f: f.stat().st_mtime)
    for file in files[: max(0, len(files) - KEPT)]:
        file.unlink(missing_ok=True)
