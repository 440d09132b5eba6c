"""Output folders: when one may be written, and the ``run.json`` that says what made it.

A folder is written only if it is new, empty, or holds the results of the same command on the same inputs; then
the old results are removed first, so that nothing stale stays behind. Anything else needs ``--force``.
"""

import contextlib
import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from her2pkpd.errors import InputError, Problem

RUN_FILE = "run.json"
_LIBRARIES = ("arviz", "diffrax", "jax", "jaxlib", "llvmlite", "matplotlib", "numpy", "pandas", "pyarrow", "scipy")


def hash_files(paths: Iterable[str | Path]) -> str:
    """SHA-256 over the contents of files, in the order given; names do not count.

    Raises:
        InputError: if a file cannot be read.
    """
    digest = hashlib.sha256()
    for path in paths:
        try:
            content = Path(path).read_bytes()
        except OSError as error:
            reason = error.strerror or str(error)
            raise InputError(
                Problem(f"the file cannot be read ({reason})", "Check its name.", file=str(path))
            ) from error
        digest.update(len(content).to_bytes(8, "big") + content)
    return digest.hexdigest()


def check_output(path: str | Path, *, force: bool = False, command: str = "", inputs: str = "") -> Path:
    """Whether an output folder may be written; touches nothing.

    Args:
        path: the folder.
        force: write even if it has other contents.
        command: what will write it, "fit" for instance.
        inputs: `hash_files` of everything the results depend on.

    Returns:
        The folder's path.

    Raises:
        InputError: if it is a file, or has contents other than the results of the same command on the same inputs.
    """
    folder = Path(path)
    if folder.exists() and not folder.is_dir():
        raise InputError(Problem("the output must be a folder", "Give another name with --out.", file=str(path)))
    if force or not folder.is_dir() or not any(folder.iterdir()):
        return folder
    before = _read_run(folder)
    if command and before.get("command") == command and before.get("inputs") == inputs:
        return folder
    holds = f"results of '{before['command']}' on other inputs" if "command" in before else "other contents"
    raise InputError(
        Problem(f"the output folder has {holds}", "Give another folder with --out, or add --force.", file=str(path))
    )


def prepare_output(path: str | Path, force: bool = False, *, command: str = "", inputs: str = "") -> Path:
    """Make an output folder ready: check it, create it, and remove what an earlier run left in it.

    Call it after every input has been checked, so that bad input leaves no folder behind.

    Args:
        path: the folder.
        force: write even if it has other contents; files no run of this package made stay.
        command: what will write it.
        inputs: `hash_files` of everything the results depend on.

    Returns:
        The folder's path.

    Raises:
        InputError: as `check_output`, or if the folder cannot be made.
    """
    folder = check_output(path, force=force, command=command, inputs=inputs)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(
            Problem(f"the output folder cannot be made ({reason})", "Give another with --out.", file=str(path))
        ) from error
    for name in [*_read_run(folder).get("files", []), RUN_FILE]:
        old = folder / name
        if folder.resolve() in old.resolve().parents:  # a doctored run.json must not reach outside the folder
            old.unlink(missing_ok=True)
    return folder


@dataclass(frozen=True)
class RunInfo:
    """What made a folder of results.

    Attributes:
        command: what wrote it, as given to `prepare_output`.
        inputs: likewise.
        seconds: wall time.
        status: "ok", or what went wrong.
        model_hash: `Model.hash`.
        data_hash: `hash_files` of the data.
        seed: of every random number drawn.
        engine: which engine integrated.
        status_counts: lanes by status, as `Solution.status_counts`.
        more: anything else worth keeping that JSON can hold.
    """

    command: str
    inputs: str
    seconds: float
    status: str = "ok"
    model_hash: str | None = None
    data_hash: str | None = None
    seed: int | None = None
    engine: str | None = None
    status_counts: Mapping[str, int] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)


def write_run(folder: str | Path, info: RunInfo) -> None:
    """Write ``run.json``, last of all files and atomically: a folder without one was interrupted.

    Beside `info` it holds the versions of everything the results depend on, and the names of all files.
    """
    folder = Path(folder)
    files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and p.name != RUN_FILE)
    record = asdict(info)
    record |= record.pop("more")
    record |= {"versions": versions(), "platform": f"{platform.system()} {platform.machine()}", "files": files}
    write_text(folder / RUN_FILE, json.dumps(record, indent=2) + "\n")


def versions() -> dict[str, str]:
    """Versions of Python, this package and the libraries results depend on."""
    from her2pkpd import __version__

    found = {"python": platform.python_version(), "her2pkpd": __version__}
    for name in _LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def write_text(path: str | Path, text: str) -> None:
    """Write a text file so that a reader sees the old contents or the new, never half of it."""
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8", newline="\n")
    partial.replace(path)


def _read_run(folder: Path) -> dict[str, Any]:
    try:
        record = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(record, dict) or not isinstance(record.get("command"), str):
        return {}
    files = record.get("files")
    ours = isinstance(files, list) and all(isinstance(name, str) for name in files)
    return record if ours else {}
