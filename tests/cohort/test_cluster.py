"""A cohort on a local Dask cluster: the same bytes, with a worker killed on the way."""

import os
import signal
import threading
import time

import pytest

from her2pkpd.cohort import Resources, cohort_file
from her2pkpd.errors import InputError
from tests.cohort.cohorts import TUMOUR, write
from tests.cohort.test_store import contents

distributed = pytest.importorskip("distributed")


@pytest.mark.filterwarnings("ignore")
def test_a_worker_that_dies_loses_nothing(tmp_path):
    settings = write(tmp_path, TUMOUR)
    cohort_file(settings, tmp_path / "alone", resources=Resources("kernel", 1))
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None, "nanny": None}
    options = {k: v for k, v in options.items() if v is not None}
    with distributed.LocalCluster(**options, silence_logs=50) as cluster:
        victim = next(iter(cluster.workers.values())).pid

        def kill():
            while not list((tmp_path / "out").glob("endpoints.parquet/part-*.parquet")):
                time.sleep(0.01)
            os.kill(victim, signal.SIGKILL)

        killer = threading.Thread(target=kill, daemon=True)
        killer.start()
        resources = Resources("kernel", chunk=20, scheduler=cluster.scheduler_address)
        cohort_file(settings, tmp_path / "out", resources=resources)
        killer.join(timeout=10)
    assert contents(tmp_path / "out") == contents(tmp_path / "alone")


def test_a_scheduler_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setattr("her2pkpd.cohort.cluster.PATIENCE", 0.5)
    with pytest.raises(InputError, match=r"the scheduler does not answer.*Check its address"):
        cohort_file(
            write(tmp_path, TUMOUR), tmp_path / "out", resources=Resources("kernel", scheduler="tcp://127.0.0.1:9")
        )
