"""A cohort on a Dask cluster: one chunk a task; the run that asked for them writes them all.

Tasks are pure: a chunk that is lost with its worker is computed again elsewhere, to the same bits. Works with any
scheduler `dask.distributed` offers, those of dask-jobqueue on SLURM, PBS or LSF among them.
"""

from typing import TYPE_CHECKING, Any

from her2pkpd.cohort import engines
from her2pkpd.cohort.blocks import compute
from her2pkpd.cohort.rows import Block
from her2pkpd.cohort.settings import CohortSettings
from her2pkpd.cohort.trial import Trial, build_trial
from her2pkpd.errors import ComputationError, InputError, Problem

if TYPE_CHECKING:
    from distributed import Client, Future

RETRIES = 5
"""How often a chunk is begun anew when it fails by itself, or its worker dies with it."""

PATIENCE = 20.0
"""Seconds a scheduler has to answer."""

_trials: dict[str, Trial] = {}


def compute_remotely(settings: CohortSettings, start: int, stop: int, engine: str, processor: str) -> Block:
    """One chunk, on a worker.

    Args:
        settings: the cohort.
        start: first patient.
        stop: the patient after the last.
        engine: "kernel" or "gpu".
        processor: of the run that asks; another one would give other bits.

    Raises:
        InputError: where the worker has another kind of processor.
    """
    own = engines.processor(engine)
    if own != processor:
        rule = f"a worker computes on '{own}', the run on '{processor}'; their last bits differ"
        raise InputError(Problem(rule, "Start the run on a node of the same kind."))
    if settings.digest not in _trials:
        _trials[settings.digest] = build_trial(settings)
    return compute(_trials[settings.digest], range(start, stop), engines.solver(engine))


class _Chunk:
    def __init__(self, future: "Future[Block]", scheduler: str) -> None:
        self._future, self._scheduler = future, scheduler

    def result(self) -> Block:
        """Wait for it."""
        from distributed import KilledWorker

        try:
            return self._future.result()
        except (KilledWorker, OSError, TimeoutError) as error:
            reason = f"the cluster at {self._scheduler} lost a chunk for good ({error})"
            raise ComputationError(f"{reason}. Finished parts stay; go on with --resume.") from error
        finally:
            self._future.release()


class Cluster:
    """Workers of a Dask scheduler.

    Args:
        settings: the cohort.
        engine: "kernel" or "gpu"; for several GPUs start one worker for each, with CUDA_VISIBLE_DEVICES set.
        scheduler: its address.

    Raises:
        InputError: if dask.distributed is missing, or the scheduler does not answer or has no workers.
    """

    def __init__(self, settings: CohortSettings, engine: str, scheduler: str) -> None:
        self._engine, self._scheduler, self._processor = engine, scheduler, engines.processor(engine)
        self._client = _connect(scheduler)
        threads: Any = self._client.nthreads()
        self.workers = 2 * max(sum(threads.values()), 1)
        self._settings: Any = self._client.scatter(settings, broadcast=True, hash=False)

    def submit(self, patients: range) -> _Chunk:
        """Begin to compute patients."""
        future = self._client.submit(
            compute_remotely, self._settings, patients.start, patients.stop, self._engine, self._processor,
            retries=RETRIES, pure=False,
        )  # fmt: skip
        return _Chunk(future, self._scheduler)

    def close(self) -> None:
        """Leave the cluster as it is."""
        self._client.close()


def _connect(scheduler: str) -> "Client":
    try:
        from distributed import Client
    except ImportError as error:
        problem = Problem("dask.distributed is not installed", "Install her2pkpd[dask].", column="--scheduler")
        raise InputError(problem) from error
    try:
        client = Client(scheduler, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        rule = f"the scheduler does not answer ({error})"
        raise InputError(Problem(rule, "Check its address.", column="--scheduler", value=scheduler)) from error
    if not client.nthreads():
        client.close()
        problem = Problem("the scheduler has no workers", "Start some.", column="--scheduler", value=scheduler)
        raise InputError(problem)
    return client
