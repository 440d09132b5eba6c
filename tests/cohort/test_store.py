"""Cohorts on disk: the same bytes however they came about, and nothing lost when something goes wrong."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from her2pkpd.cli import main
from her2pkpd.cohort import Resources, cohort, cohort_file, load, store
from her2pkpd.cohort.read import read_cohort
from her2pkpd.errors import ComputationError, InputError
from tests.cohort.cohorts import TUMOUR, write

ROOT = Path(__file__).resolve().parents[2]
KILLS = 4


def contents(folder):
    """Every file of a cohort but what says how long it took."""
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name != "run.json"
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A cohort's settings, and a run of it that nothing disturbed."""
    folder = tmp_path_factory.mktemp("store")
    settings = write(folder, TUMOUR)
    cohort_file(settings, folder / "out", resources=Resources("kernel", 1, 1000))
    return settings, folder / "out"


@pytest.mark.parametrize(("threads", "chunk"), [(2, 1000), (1, 37), (2, 64), (3, 100)])
def test_bytes_do_not_depend_on_threads_or_chunks(made, tmp_path, threads, chunk):
    cohort_file(made[0], tmp_path / "out", resources=Resources("kernel", threads, chunk))
    assert contents(tmp_path / "out") == contents(made[1])


def test_bytes_do_not_depend_on_being_killed(made, tmp_path):
    """Killed at moments all over the run, each time gone on with; the last run is left to finish."""
    out, rng = tmp_path / "out", np.random.default_rng(5)
    command = [sys.executable, "-m", "her2pkpd.cli", "cohort", str(made[0]), "--out", str(out), "--quiet"]
    command += ["--no-report", "--engine", "kernel", "--threads", "2", "--chunk", "20"]
    grown = []
    for k in range(KILLS):
        run = subprocess.Popen([*command, "--resume"], cwd=ROOT)
        wanted = int(rng.integers(0, 3)) + len(grown)
        while run.poll() is None and len(list(out.glob("*.parquet/part-*"))) < min(wanted, 6 if k else 1):
            time.sleep(0.005)
        time.sleep(float(rng.uniform(0, 0.1)))
        run.send_signal(signal.SIGKILL)
        run.wait()
        grown = list(out.glob("*.parquet/part-*"))
    subprocess.run([*command, "--resume"], cwd=ROOT, check=True)
    assert contents(out) == contents(made[1])


def test_a_truncated_part_is_found_and_computed_again(made, tmp_path):
    out = tmp_path / "out"
    cohort_file(made[0], out, resources=Resources("kernel", 1))
    victim = out / "endpoints.parquet" / "part-00001.parquet"
    victim.write_bytes(victim.read_bytes()[:-100])
    (out / "patients.parquet" / "part-00002.parquet").unlink()
    flipped = out / "trajectories.parquet" / "part-00000.parquet"
    content = bytearray(flipped.read_bytes())
    content[len(content) // 2] ^= 1
    flipped.write_bytes(content)
    found = cohort_file(made[0], out, resume=True, resources=Resources("kernel", 1))
    assert found["computed"] == 250
    assert contents(out) == contents(made[1])
    assert cohort_file(made[0], out, resume=True, resources=Resources("kernel", 1))["computed"] == 0


def test_half_a_line_of_the_journal_is_no_part(made, tmp_path):
    out = tmp_path / "out"
    cohort_file(made[0], out, resources=Resources("kernel", 1))
    manifest = json.loads((out / "manifest.json").read_text())
    entry = {"part": 0, "files": {k: v for k, v in manifest["files"].items() if "00000" in k}}
    entry["status"] = manifest["status_by_part"]["0"]
    journal = json.dumps(entry) + "\n" + json.dumps(entry)[:40]
    for key in ("files", "status", "status_by_part"):
        del manifest[key]
    (out / "manifest.json").write_text(json.dumps({**manifest, "complete": False}))
    (out / "parts.jsonl").write_text(journal)
    assert cohort_file(made[0], out, resume=True, resources=Resources("kernel", 1))["computed"] == 150
    assert contents(out) == contents(made[1])


def test_another_cohort_is_refused_and_left_alone(made, tmp_path):
    before = contents(made[1])
    other = write(tmp_path, TUMOUR.replace("seed = 11", "seed = 12"))
    with pytest.raises(InputError, match="holds another cohort: seed is 11 there and 12 here"):
        cohort_file(other, made[1], resume=True, resources=Resources("kernel"))
    with pytest.raises(InputError, match=r"holds this cohort already.*--resume"):
        cohort_file(made[0], made[1], resources=Resources("kernel"))
    model = write(tmp_path, TUMOUR.replace("[tumour]", "[tumour]\nzones = 2"))
    with pytest.raises(InputError, match=r"another cohort: arms differs, settings differs"):
        cohort_file(model, made[1], resume=True, resources=Resources("kernel"))
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="has other contents"):
        cohort_file(made[0], tmp_path / "notes", resources=Resources("kernel"))
    assert contents(made[1]) == before


def test_force_writes_over_a_cohort_but_not_over_what_is_not_its_own(made, tmp_path):
    out = tmp_path / "out"
    cohort_file(write(tmp_path, TUMOUR.replace("seed = 11", "seed = 12")), out, resources=Resources("kernel"))
    (out / "mine.txt").write_text("mine")
    cohort_file(made[0], out, force=True, resources=Resources("kernel"))
    assert (out / "mine.txt").read_text() == "mine"
    (out / "mine.txt").unlink()
    assert contents(out) == contents(made[1])


def test_two_runs_do_not_share_a_folder(made, tmp_path):
    out = tmp_path / "out"
    with store.held(out):
        command = [
            sys.executable,
            "-m",
            "her2pkpd.cli",
            "cohort",
            str(made[0]),
            "--out",
            str(out),
            "--engine",
            "kernel",
        ]
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert f"another run is writing into this folder (process {os.getpid()} on" in run.stderr
    assert not list(out.rglob("*.parquet"))


def test_a_full_disk_loses_nothing(made, tmp_path, monkeypatch):
    out, written = tmp_path / "out", []

    def sync(handle, real=os.fsync):
        written.append(handle)
        if len(written) == 14:  # within the second part
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    monkeypatch.setattr(os, "fsync", sync)
    with pytest.raises(ComputationError, match=r"No space left.*1 parts are complete and stay.*go on with --resume"):
        cohort_file(made[0], out, resources=Resources("kernel", 1))
    monkeypatch.undo()
    assert not list(out.rglob("*.partial"))
    with pytest.raises(InputError, match=r"not complete.*--resume"):
        load(out)
    assert cohort_file(made[0], out, resume=True, resources=Resources("kernel", 1))["computed"] == 150
    assert contents(out) == contents(made[1])


def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_computed(made, tmp_path, capsys):
    inside = tmp_path / "file"
    inside.write_text("a file")
    assert main(["cohort", str(made[0]), "--out", str(inside / "out"), "--engine", "kernel"]) == 2
    assert "the output folder cannot be written (Not a directory)" in capsys.readouterr().err
    if os.geteuid() != 0:  # nothing is read-only to the superuser
        locked = tmp_path / "locked"
        locked.mkdir(mode=0o500)
        assert main(["cohort", str(made[0]), "--out", str(locked / "out"), "--engine", "kernel"]) == 2
        assert "Permission denied" in capsys.readouterr().err


def test_a_report_on_a_full_disk_leaves_the_cohort(made, tmp_path, monkeypatch, capsys):
    def full(path, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    out = tmp_path / "out"
    shutil.copytree(made[1], out)
    monkeypatch.setattr(Path, "write_bytes", full)
    assert main(["cohort", str(made[0]), "--out", str(out), "--engine", "kernel", "--resume", "--quiet"]) == 3
    said = capsys.readouterr().err
    assert "the report cannot be written (No space left on device); the cohort itself is complete" in said
    assert contents(made[1]).items() <= contents(out).items()


def test_a_lock_that_was_removed_is_no_lock(tmp_path):
    with store.held(tmp_path):
        (tmp_path / "cohort.lock").unlink()
        (tmp_path / "cohort.lock").write_text("")
        handle = os.open(tmp_path / "cohort.lock", os.O_RDWR)
        assert store._is_still(tmp_path / "cohort.lock", handle)
        os.close(handle)
        handle = os.open(tmp_path / "cohort.lock", os.O_RDWR)
        (tmp_path / "cohort.lock").unlink()
        assert not store._is_still(tmp_path / "cohort.lock", handle)
        os.close(handle)


def test_going_on_does_not_choose_the_tolerance_again(tmp_path, monkeypatch):
    path = write(tmp_path, TUMOUR.replace("[solver]\nrtol = 0.02\n", "").replace("size = 250", "size = 20"))
    one = Resources("kernel", 1)
    cohort_file(path, tmp_path / "out", resources=one)
    before = contents(tmp_path / "out")
    part = tmp_path / "out" / "endpoints.parquet" / "part-00000.parquet"
    part.write_bytes(part.read_bytes()[:100])
    monkeypatch.setattr("her2pkpd.cohort.tuning.CANDIDATES", ())
    assert cohort_file(path, tmp_path / "out", resume=True, resources=one)["computed"] == 20
    assert contents(tmp_path / "out") == before


def test_what_comes_back(made):
    found = load(made[1])
    assert len(found.patients) == 250
    assert found.endpoints["patient"].tolist() == np.repeat(np.arange(250), 2).tolist()
    assert found.endpoints["arm"].tolist() == ["T-DXd", "T-DM1"] * 250
    assert found.trajectories["patient"].unique().tolist() == [0, 50, 100, 150, 200]
    assert found.unit("AUC.DXd.last") == "ng*d/mL"
    assert found.unit("weight") == "kg"
    assert found.unit("SLD") == "mm"
    for table in ("patients", "endpoints", "trajectories"):
        folder = made[1] / f"{table}.parquet"
        assert list(pd.read_parquet(folder)) == list(getattr(found, table))
        schemas = [pq.read_schema(p) for p in sorted(folder.glob("*"))]
        assert all(s.equals(schemas[0], check_metadata=True) for s in schemas)
        meanings = {f.name: {k.decode(): v.decode() for k, v in f.metadata.items()} for f in schemas[0]}
        assert meanings == found.columns[table]
        assert all(m["unit"] and m["description"] for m in meanings.values())
    record = json.loads((made[1] / "run.json").read_text())
    assert record["command"] == "cohort"
    assert record["status_counts"] == {"ok": 500}


def test_a_run_in_memory_is_the_one_on_disk(made):
    ours, theirs = cohort(read_cohort(made[0]), resources=Resources("kernel", 2, 90)), load(made[1])
    for table in ("patients", "endpoints", "trajectories"):
        pd.testing.assert_frame_equal(getattr(ours, table), getattr(theirs, table), check_categorical=False)
    assert repr(ours).startswith("Cohort(250 patients; arms: T-DXd, T-DM1; 500 ok")


def test_failed_patients_are_kept_and_the_exit_code_says_so(tmp_path, capsys):
    settings = write(tmp_path, TUMOUR + "max_steps = 30\n")
    assert main(["cohort", str(settings), "--out", str(tmp_path / "out"), "--engine", "kernel", "--quiet"]) == 3
    message = capsys.readouterr().err
    assert "treatments could not be computed to the end; their rows say so in 'status'" in message
    found = load(tmp_path / "out").endpoints
    assert (found["status"] == "max_steps").sum() > 0
    assert json.loads((tmp_path / "out" / "run.json").read_text())["status_counts"]["max_steps"] > 0


def test_parallel_arms_fill_all_columns_whoever_is_in_a_chunk(tmp_path):
    """Chunks of three patients often lack an arm, and the subsample's time courses do so in most parts."""
    text = TUMOUR.replace("seed = 11", 'seed = 11\ndesign = "parallel"').replace("size = 250", "size = 120")
    settings = write(tmp_path, text)
    for chunk in (3, 120):
        cohort_file(settings, tmp_path / str(chunk), resources=Resources("kernel", 1, chunk))
    assert contents(tmp_path / "3") == contents(tmp_path / "120")
    found = load(tmp_path / "3")
    assert found.endpoints["patient"].tolist() == list(range(120))
    assert (found.endpoints["arm"] == found.patients["arm"]).all()
    other = found.endpoints["arm"] == "T-DM1"
    assert found.endpoints.loc[other, "AUC.T-DXd.total"].isna().all()
    assert found.endpoints.loc[~other, "AUC.T-DXd.total"].notna().all()
    schemas = [pq.read_schema(p) for p in (tmp_path / "3" / "trajectories.parquet").glob("*")]
    assert len(schemas) == 2
    assert schemas[0].equals(schemas[1], check_metadata=True)
