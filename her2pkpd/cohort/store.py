"""A cohort on disk: parts written whole or not at all, a journal of those that are, a manifest, a lock.

A part is serialised in memory, written under another name, forced to the disk and renamed; only then does the journal
say that it exists, with its hash. So whatever moment a run is killed at, what the journal lists is complete, and what
is not listed is computed again, to the same bytes.
"""

import contextlib
import errno
import hashlib
import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from her2pkpd.cohort.endpoints import Coded
from her2pkpd.cohort.rows import Block, Values, complete
from her2pkpd.errors import ComputationError, InputError, Problem

MANIFEST, JOURNAL, LOCK = "manifest.json", "parts.jsonl", "cohort.lock"
TABLES = ("patients", "endpoints", "trajectories")
OURS = ("figures", "report.html", "summary.csv", "run.json")
"""What else may lie in a cohort's folder."""

Meanings = Mapping[str, Mapping[str, Mapping[str, str]]]


def folder_of(table: str) -> str:
    """Name of the dataset of a table."""
    return f"{table}.parquet"


def part_name(table: str, part: int) -> str:
    """Path of a part within a cohort's folder."""
    return f"{folder_of(table)}/part-{part:05d}.parquet"


def _array(values: Values) -> pa.Array:
    if isinstance(values, Coded):
        codes = pa.array(values.codes.astype(np.int8))
        return pa.DictionaryArray.from_arrays(codes, pa.array(values.words, pa.string()))
    return pa.array(values)


def serialise(columns: Mapping[str, Values], meanings: Mapping[str, Mapping[str, str]]) -> tuple[bytes, int]:
    """A table as Parquet, and its number of rows; equal columns give equal bytes."""
    arrays = [_array(v) for v in columns.values()]
    fields = [
        pa.field(name, array.type, metadata={k: v.encode() for k, v in meanings.get(name, {}).items()})
        for name, array in zip(columns, arrays, strict=True)
    ]
    table = pa.Table.from_arrays(arrays, schema=pa.schema(fields))
    sink = pa.BufferOutputStream()
    # Doubles with random mantissas hardly compress, and dictionaries of them only cost time.
    words: Any = [f.name for f in fields if pa.types.is_dictionary(f.type)]
    pq.write_table(table, sink, compression="zstd", compression_level=1, use_dictionary=words, write_statistics=True)
    return sink.getvalue().to_pybytes(), table.num_rows


class Store:
    """The folder of one cohort, held by one run.

    Args:
        folder: where.
        identity: what the results depend on; two runs with equal identities write equal parts.
        meanings: unit and description of every column.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any], meanings: Meanings) -> None:
        self.folder, self.identity, self.meanings = folder, dict(identity), meanings
        self.files: dict[str, dict[str, Any]] = {}
        self.counts: dict[int, Mapping[str, int]] = {}

    def start(self, finished: Mapping[int, Mapping[str, Any]]) -> None:
        """Make the folder ready, keeping finished parts.

        Args:
            finished: journal entries by part, verified.

        Raises:
            InputError: if the folder cannot be written.
        """
        for part, entry in finished.items():
            self.files |= entry["files"]
            self.counts[part] = entry["status"]
        with self._writing("the output folder cannot be written", InputError):
            for table in TABLES:
                if self.meanings.get(table) and (table != "trajectories" or self.identity["trajectories"]):
                    (self.folder / folder_of(table)).mkdir(parents=True, exist_ok=True)
            self._remove_leftovers()
            _write_bytes(self.folder / MANIFEST, self._manifest(complete=False))
            lines = [json.dumps(finished[part]) + "\n" for part in sorted(finished)]
            _write_bytes(self.folder / JOURNAL, "".join(lines).encode())

    def _remove_leftovers(self) -> None:
        for table in TABLES:
            for path in (self.folder / folder_of(table)).glob("part-*"):
                if f"{folder_of(table)}/{path.name}" not in self.files:
                    path.unlink()

    def keep(self, part: int, block: Block) -> None:
        """Write one part.

        Raises:
            ComputationError: if the disk is full or fails; parts written before stay.
        """
        entry: dict[str, Any] = {"part": part, "files": {}, "status": dict(block.counts)}
        with self._writing("a part cannot be written", ComputationError):
            for table in TABLES:
                columns = complete(getattr(block, table), self.meanings[table])
                if not columns:
                    continue
                content, rows = serialise(columns, self.meanings[table])
                name = part_name(table, part)
                _write_bytes(self.folder / name, content)
                digest = hashlib.sha256(content).hexdigest()
                entry["files"][name] = {"rows": rows, "bytes": len(content), "sha256": digest}
            with (self.folder / JOURNAL).open("a", encoding="utf-8") as journal:
                journal.write(json.dumps(entry) + "\n")
                journal.flush()
                os.fsync(journal.fileno())
        self.files |= entry["files"]
        self.counts[part] = entry["status"]

    def finish(self) -> None:
        """Say that every part is there."""
        with self._writing("the manifest cannot be written", ComputationError):
            _write_bytes(self.folder / MANIFEST, self._manifest(complete=True))
            (self.folder / JOURNAL).unlink(missing_ok=True)

    def status_counts(self) -> dict[str, int]:
        """Patients and arms by status."""
        total: dict[str, int] = {}
        for part in sorted(self.counts):
            for word, many in self.counts[part].items():
                total[word] = total.get(word, 0) + many
        return dict(sorted(total.items()))

    def _manifest(self, *, complete: bool) -> bytes:
        record = {**self.identity, "columns": self.meanings}
        if complete:
            record["files"] = {name: self.files[name] for name in sorted(self.files)}
            record["status"] = self.status_counts()
            record["status_by_part"] = {str(part): self.counts[part] for part in sorted(self.counts)}
        record["complete"] = complete
        return (json.dumps(record, indent=1) + "\n").encode()

    @contextmanager
    def _writing(self, what: str, kind: type[InputError] | type[ComputationError]) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = error.strerror or str(error)
            done = f"{len(self.counts)} parts are complete and stay"
            remedy = "Give another folder with --out, or a right to write there."
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                remedy = "Free some space, then go on with --resume."
            elif kind is ComputationError:
                remedy = "Correct that, then go on with --resume."
            if kind is InputError:
                raise InputError(Problem(f"{what} ({reason})", remedy, file=str(self.folder))) from error
            raise ComputationError(f"{self.folder}: {what} ({reason}); {done}. {remedy}") from error


def _write_bytes(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all, after a power cut too."""
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a cohort's folder, or None where there is none that can be read."""
    try:
        record = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and record.get("command") == "cohort" else None


def tolerance(folder: Path) -> float | None:
    """The tolerance the cohort of a folder is computed at, or None where its manifest does not say."""
    found = (read_manifest(folder) or {}).get("rtol")
    return float(found) if isinstance(found, (int, float)) else None


def finished_parts(folder: Path) -> dict[int, dict[str, Any]]:
    """Parts that are there, unharmed, by what journal or manifest say of them."""
    found: dict[int, dict[str, Any]] = {}
    for entry in _entries(folder):
        if all(_unharmed(folder / name, facts) for name, facts in entry["files"].items()):
            found[int(entry["part"])] = entry
    return found


def _entries(folder: Path) -> Iterator[dict[str, Any]]:
    manifest = read_manifest(folder) or {}
    by_part: dict[int, dict[str, Any]] = {}
    for name, facts in manifest.get("files", {}).items():
        by_part.setdefault(int(name.split("part-")[1].split(".")[0]), {})[name] = facts
    for part, files in by_part.items():
        yield {"part": part, "files": files, "status": manifest["status_by_part"][str(part)]}
    with contextlib.suppress(OSError):
        for line in (folder / JOURNAL).read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(ValueError):  # the line being written when the run was killed
                yield json.loads(line)


def _unharmed(path: Path, facts: Mapping[str, Any]) -> bool:
    try:
        content = path.read_bytes()
    except OSError:
        return False
    return len(content) == facts["bytes"] and hashlib.sha256(content).hexdigest() == facts["sha256"]


def check_folder(folder: Path, identity: Mapping[str, Any], *, resume: bool, force: bool) -> bool:
    """Whether a cohort may be written into a folder; touches nothing.

    Returns:
        Whether there is something to go on with.

    Raises:
        InputError: with what is in the way.
    """

    def refuse(rule: str, remedy: str) -> InputError:
        return InputError(Problem(rule, remedy, file=str(folder)))

    if folder.exists() and not folder.is_dir():
        raise refuse("the output must be a folder", "Give another name with --out.")
    if not folder.is_dir() or not any(p.name != LOCK for p in folder.iterdir()) or (force and not resume):
        return False
    manifest = read_manifest(folder)
    if manifest is None:
        raise refuse("the output folder has other contents", "Give another folder with --out, or add --force.")
    differing = [k for k, v in identity.items() if manifest.get(k) != json.loads(json.dumps(v))]
    if differing:
        what = ", ".join(_difference(k, manifest.get(k), identity[k]) for k in differing)
        rule = f"the folder holds another cohort: {what}"
        raise refuse(rule, "Give another folder with --out, or add --force to write over it.")
    if not resume:
        state = "holds this cohort already" if manifest.get("complete") else "holds an unfinished run of this cohort"
        raise refuse(f"the folder {state}", "Go on with --resume, or start again with --force.")
    return True


def _difference(key: str, old: Any, new: Any) -> str:
    if isinstance(old, (int, str)) and isinstance(new, (int, str)) and len(f"{old}{new}") < 60:
        return f"{key} is {old} there and {new} here"
    return f"{key} differs"


def clear(folder: Path) -> None:
    """Remove what an earlier cohort left in a folder; files of others stay."""
    for table in TABLES:
        for path in (folder / folder_of(table)).glob("part-*"):
            path.unlink()
    for name in (MANIFEST, JOURNAL, *(n for n in OURS if n.endswith((".html", ".csv", ".json")))):
        (folder / name).unlink(missing_ok=True)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a folder for one run; the hold ends with the process, however it ends.

    Raises:
        InputError: if another run holds it, or it cannot be written.
    """
    path = folder / LOCK
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        reason = error.strerror or str(error)
        problem = Problem(f"the output folder cannot be written ({reason})", "Give another with --out.", str(folder))
        raise InputError(problem) from error
    try:
        if not _try_lock(handle) or not _is_still(path, handle):
            who = os.read(handle, 200).decode(errors="replace").strip() or "another process"
            rule = f"another run is writing into this folder ({who})"
            raise InputError(Problem(rule, "Wait for it, or give another folder with --out.", str(folder)))
        os.truncate(handle, 0)
        os.write(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        yield
        with contextlib.suppress(OSError):
            path.unlink()
    finally:
        os.close(handle)


def _is_still(path: Path, handle: int) -> bool:
    """Whether a locked file is the one of that name: a run that ends removes it, and another may make a new one."""
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except OSError:
        return False


def _try_lock(handle: int) -> bool:
    try:
        import fcntl
    except ImportError:  # no advisory locks on this system
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
