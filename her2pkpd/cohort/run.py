"""Run a cohort: in memory, or into a folder that may be interrupted and gone on with."""

import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from her2pkpd.cohort import engines
from her2pkpd.cohort.blocks import compute, template
from her2pkpd.cohort.caution import doses_given
from her2pkpd.cohort.engines import Resources
from her2pkpd.cohort.load import Cohort, frame
from her2pkpd.cohort.read import read_cohort
from her2pkpd.cohort.rows import Block, join_blocks, slice_block
from her2pkpd.cohort.settings import CohortSettings
from her2pkpd.cohort.trial import Trial, build_trial
from her2pkpd.cohort.tuning import tuned
from her2pkpd.engine import Status
from her2pkpd.errors import ComputationError
from her2pkpd.simulate.caution import warn

Progress = Callable[[int, int], None]
"""Told how many patients are done, of how many."""

CHUNK = {"kernel": 2000, "gpu": 200_000}
"""Patients computed at once."""

FORMAT = 1


class Executor(Protocol):
    """Computes ranges of patients, one after the other or many at once."""

    workers: int

    def submit(self, patients: range) -> "Result":
        """Begin to compute patients."""
        ...

    def close(self) -> None:
        """Let go of what was not begun."""
        ...


class Result(Protocol):
    """A range of patients that is being computed."""

    def result(self) -> Block:
        """Wait for it."""
        ...


class Threads:
    """Threads of this process; the kernel runs without Python's lock, so they run side by side.

    Args:
        trial: the cohort.
        engine: "kernel" or "gpu".
        threads: how many; None is one per core this process may run on, and one for a GPU.
    """

    def __init__(self, trial: Trial, engine: str, threads: int | None = None) -> None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self.workers = threads or cores
        self._trial, self._solve = trial, engines.solver(engine)
        self._pool = ThreadPoolExecutor(self.workers, thread_name_prefix="cohort")

    def submit(self, patients: range) -> Future[Block]:
        """Begin to compute patients."""
        return self._pool.submit(compute, self._trial, patients, self._solve)

    def close(self) -> None:
        """Let go of what was not begun; what is under way ends."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def cohort(
    settings: CohortSettings | str | Path,
    *,
    resources: Resources | None = None,
    progress: Progress | None = None,
) -> Cohort:
    """Simulate a cohort in memory.

    Args:
        settings: the cohort, or the path of a ``cohort.toml``.
        resources: what to compute it on.
        progress: told how many patients are done.

    Returns:
        The `Cohort` with its tables as data frames.

    Raises:
        InputError: listing everything wrong with the settings.

    Warns:
        ValidityWarning: for doses that were not studied in people, or that a model was not estimated from.
    """
    settings = settings if isinstance(settings, CohortSettings) else read_cohort(settings)
    resources = resources or Resources()
    chosen = engines.resolve(resources.engine)
    trial = build_trial(settings)
    warn(doses_given(trial))
    trial = tuned(trial, engines.solver(chosen))
    _, meanings = template(trial, engines.solver(chosen))
    executor, size = _executor(trial, chosen, resources), settings.population.size
    found = []
    try:
        for block in _in_order(executor, _chunks([range(size)], resources.chunk or CHUNK[chosen])):
            found.append(block)
            if progress:
                progress(sum(map(len, found)), size)
    finally:
        executor.close()
    whole = join_blocks(found)
    return Cohort(
        frame(whole.patients), frame(whole.endpoints), frame(whole.trajectories), meanings, {"engine": chosen}
    )


def cohort_file(
    settings: CohortSettings | str | Path,
    out: str | Path,
    *,
    resume: bool = False,
    force: bool = False,
    resources: Resources | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Simulate a cohort into a folder.

    Args:
        settings: the cohort, or the path of a ``cohort.toml``.
        out: the folder; ``docs/cohort.md`` says what it will hold.
        resume: go on with an interrupted run; parts that are harmed or missing are computed again.
        force: write over another cohort, or beside other contents.
        resources: what to compute it on.
        progress: told how many patients are done.

    Returns:
        ``patients, seconds, rate`` (patients and arms per second of this run), ``status`` and ``engine``.

    Raises:
        InputError: for bad settings, or a folder that must not be written into; nothing is written then.
        ComputationError: if the disk or a cluster fails; finished parts stay, and the run may be resumed. Also if the
            solver failed for a patient: the cohort is complete then, and the rows concerned are marked.

    Warns:
        ValidityWarning: as `cohort`; the warnings stand in ``manifest.json`` and in the report too.
    """
    from her2pkpd.cohort import store

    settings = settings if isinstance(settings, CohortSettings) else read_cohort(settings)
    resources = resources or Resources()
    trial, chosen, folder = build_trial(settings), engines.resolve(resources.engine), Path(out)
    identity = {**_identity(trial, chosen), "cautions": warn(doses_given(trial))}
    store.check_folder(folder, identity, resume=resume, force=force)
    began = time.perf_counter()
    with store.held(folder):
        # Asked again under the lock: another run may have finished in between.
        going_on = store.check_folder(folder, identity, resume=resume, force=force)
        if progress:
            progress(0, settings.population.size)
        trial = tuned(trial, engines.solver(chosen), known=store.tolerance(folder) if going_on else None)
        identity["rtol"] = trial.settings.solver.rtol
        _, meanings = template(trial, engines.solver(chosen))
        if not going_on:
            store.clear(folder)
        finished = store.finished_parts(folder) if going_on else {}
        place = store.Store(folder, identity, meanings)
        place.start(finished)
        executor = _executor(trial, chosen, resources)
        computed = _fill(place, executor, trial.settings, set(finished), resources.chunk or CHUNK[chosen], progress)
        place.finish()
    found = _conclude(trial, place, chosen, computed, time.perf_counter() - began)
    _complain(found)
    return found


def _executor(trial: Trial, engine: str, resources: Resources) -> "Executor":
    if resources.scheduler is None:
        return Threads(trial, engine, resources.threads)
    from her2pkpd.cohort.cluster import Cluster

    return Cluster(trial.settings, engine, resources.scheduler)


def _fill(
    place: Any, executor: Executor, settings: CohortSettings, finished: set[int], chunk: int, progress: Progress | None
) -> int:
    """Compute and keep the missing parts; returns how many patients were computed."""
    size, part = settings.population.size, settings.output.part
    missing = [k for k in range(-(-size // part)) if k not in finished]
    ranges = _contiguous([range(k * part, min((k + 1) * part, size)) for k in missing])
    done = before = size - sum(len(r) for r in ranges)
    waiting: list[Block] = []
    if progress:
        progress(done, size)
    try:
        for block in _in_order(executor, _chunks(ranges, chunk)):
            waiting.append(block)
            done += len(block)
            if progress:
                progress(done, size)
            waiting = _keep_whole_parts(place, waiting, size, part)
    finally:
        executor.close()
    return done - before


def _keep_whole_parts(place: Any, waiting: list[Block], size: int, part: int) -> list[Block]:
    """Write every part whose patients are all there; returns what is left over."""
    first = int(waiting[0].numbers[0]) // part
    last = int(waiting[-1].numbers[-1]) + 1
    if last < min((first + 1) * part, size):
        return waiting
    whole = join_blocks(waiting)
    while first * part < last and last >= (end := min((first + 1) * part, size)):
        place.keep(first, slice_block(whole, range(first * part, end)))
        first += 1
    return [slice_block(whole, range(first * part, last))] if first * part < last else []


def _contiguous(ranges: Sequence[range]) -> list[range]:
    joined: list[range] = []
    for one in ranges:
        if joined and joined[-1].stop == one.start:
            joined[-1] = range(joined[-1].start, one.stop)
        else:
            joined.append(one)
    return joined


def _chunks(ranges: Sequence[range], chunk: int) -> Iterator[range]:
    for one in ranges:
        for start in range(one.start, one.stop, chunk):
            yield range(start, min(start + chunk, one.stop))


def _in_order(executor: Executor, ranges: Iterator[range]) -> Iterator[Block]:
    """Blocks in the order of patients; a bounded number is under way, so that memory does not grow with the cohort."""
    under_way: deque[Result] = deque()
    for one in ranges:
        under_way.append(executor.submit(one))
        if len(under_way) > executor.workers:
            yield under_way.popleft().result()
    while under_way:
        yield under_way.popleft().result()


def _identity(trial: Trial, engine: str) -> dict[str, Any]:
    """Everything the bytes of the results depend on."""
    import pyarrow

    from her2pkpd.engine import cache
    from her2pkpd.runinfo import versions

    settings, used = trial.settings, versions()
    return {
        "format": FORMAT,
        "command": "cohort",
        "seed": settings.population.seed,
        "patients": settings.population.size,
        "part": settings.output.part,
        "design": settings.population.design,
        "trajectories": settings.output.trajectories,
        "arms": [{"name": p.arm.name, "model": p.model.hash} for p in trial.plans],
        "settings": settings.digest,
        "library": library_hash(),
        "versions": {**{k: used[k] for k in ("her2pkpd", "jax", "llvmlite", "numpy")}, "pyarrow": pyarrow.__version__},
        "engine": engine,
        "engine_source": cache.source_digest()[:16],
        "processor": engines.processor(engine),
    }


def _complain(found: dict[str, Any]) -> None:
    failed = {word: many for word, many in found["status"].items() if word != "ok"}
    if failed:
        advice = " ".join(Status[word.upper()].advice for word in failed)
        many, total = sum(failed.values()), sum(found["status"].values())
        rule = f"{many:,} of {total:,} treatments could not be computed to the end"
        raise ComputationError(f"{rule}; their rows say so in 'status' and hold NaN. {advice}")


def library_hash() -> str:
    """SHA-256 of the library's files."""
    import her2pkpd.assays
    import her2pkpd.library
    from her2pkpd.runinfo import hash_files

    places = [Path(str(m.__file__)).parent for m in (her2pkpd.library, her2pkpd.assays)]
    return hash_files(sorted(p for place in places for p in place.rglob("*.toml")))


def _conclude(trial: Trial, place: Any, engine: str, computed: int, seconds: float) -> dict[str, Any]:
    from her2pkpd.runinfo import RunInfo, write_run

    counts = place.status_counts()
    arms = len(trial.plans) if trial.settings.population.design == "crossed" else 1
    rate = computed * arms / seconds if seconds > 0 else 0.0
    more = {"patients": trial.settings.population.size, "computed": computed, "per_second": round(rate, 1)}
    models = "+".join(p.model.hash for p in trial.plans)
    info = RunInfo(
        "cohort", trial.settings.digest, round(seconds, 3), model_hash=models, seed=trial.settings.population.seed,
        engine=engine, status_counts=counts, more=more,
    )  # fmt: skip
    try:
        write_run(place.folder, info)
    except OSError as error:
        raise ComputationError(f"{place.folder}: run.json cannot be written ({error.strerror or error})") from error
    return {"seconds": seconds, "rate": rate, "status": counts, "engine": engine, **more}


def summary(found: dict[str, Any], out: str | Path) -> str:
    """What a run did, in words."""
    status = ", ".join(f"{many:,} {word}" for word, many in found["status"].items())
    speed = f" at {found['rate']:,.0f}/s" if found["computed"] else ""
    text = (
        f"{found['patients']:,} patients in {out}; computed {found['computed']:,}{speed} ({found['engine']}): {status}"
    )
    failed = [word for word in found["status"] if word != "ok"]
    return f"{text}. Rows that are not ok hold NaN where they had not arrived." if failed else text


@contextmanager
def progress_bar(wanted: bool) -> Iterator[Progress | None]:
    """A bar in the terminal with rate and time left."""
    if not wanted:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    rate = TextColumn("{task.fields[rate]}")
    columns = (
        TextColumn("patients"),
        BarColumn(),
        MofNCompleteColumn(),
        rate,
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    bar = Bar(*columns, console=Console(stderr=True))
    # Until the first patients are done the tolerance is being chosen, which counts in no rate.
    task = bar.add_task("patients", total=None, rate="")
    began: list[tuple[float, int]] = []

    def tick(done: int, total: int) -> None:
        if not began:  # settings that are refused need no bar
            bar.start()
            began.append((time.perf_counter(), done))
        if done <= began[0][1]:
            began[0] = (time.perf_counter(), done)
        start, first = began[0]
        passed = time.perf_counter() - start
        speed = f"{(done - first) / passed:,.0f}/s" if done > first and passed > 0 else ""
        bar.update(task, completed=done, total=total, rate=speed)

    try:
        yield tick
    finally:
        if began:
            bar.stop()
