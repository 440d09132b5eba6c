"""Output folders are never overwritten by surprise, and every run says what made it."""

import hashlib
import json

import pytest

from her2pkpd.errors import InputError
from her2pkpd.runinfo import RunInfo, check_output, hash_files, prepare_output, write_run, write_text


def a_run(folder, command="fit", inputs="abc"):
    prepare_output(folder, command=command, inputs=inputs)
    write_text(folder / "parameters.csv", "parameter\n")
    (folder / "figures").mkdir(exist_ok=True)
    write_text(folder / "figures" / "curve.svg", "<svg/>")
    write_run(folder, RunInfo(command, inputs, 1.23456, seed=7, status_counts={"ok": 3}, more={"starts": 16}))
    return folder


def test_run_json_holds_what_is_needed_to_repeat_the_run(tmp_path):
    record = json.loads((a_run(tmp_path / "out") / "run.json").read_text())
    assert record["command"] == "fit"
    assert record["seed"] == 7
    assert record["seconds"] == 1.23456
    assert record["status_counts"] == {"ok": 3}
    assert record["starts"] == 16
    assert record["files"] == ["figures/curve.svg", "parameters.csv"]
    assert {"python", "her2pkpd", "jax", "numpy"} <= set(record["versions"])
    assert "more" not in record


def test_checking_creates_nothing(tmp_path):
    check_output(tmp_path / "new" / "folder")
    assert list(tmp_path.iterdir()) == []


def test_same_command_on_same_inputs_replaces_its_results(tmp_path):
    out = a_run(tmp_path / "out")
    write_text(out / "notes.txt", "mine")
    prepare_output(out, command="fit", inputs="abc")
    assert sorted(p.name for p in out.rglob("*") if p.is_file()) == ["notes.txt"]


@pytest.mark.parametrize(("command", "inputs"), [("fit", "other"), ("cohort", "abc"), ("", "")])
def test_other_results_are_not_overwritten(tmp_path, command, inputs):
    out = a_run(tmp_path / "out")
    with pytest.raises(InputError, match="results of 'fit' on other inputs"):
        prepare_output(out, command=command, inputs=inputs)
    assert (out / "parameters.csv").exists()
    prepare_output(out, force=True, command=command, inputs=inputs)
    assert not (out / "parameters.csv").exists()


def test_foreign_contents_are_not_overwritten(tmp_path):
    write_text(tmp_path / "thesis.txt", "years")
    with pytest.raises(InputError, match="has other contents"):
        prepare_output(tmp_path, command="fit", inputs="abc")
    prepare_output(tmp_path, force=True, command="fit", inputs="abc")
    assert (tmp_path / "thesis.txt").read_text() == "years"


def test_a_file_is_not_a_folder(tmp_path):
    write_text(tmp_path / "out", "text")
    with pytest.raises(InputError, match="must be a folder"):
        check_output(tmp_path / "out", force=True)


def test_a_doctored_run_file_cannot_delete_outside_the_folder(tmp_path):
    write_text(tmp_path / "precious.txt", "keep")
    out = a_run(tmp_path / "out")
    record = json.loads((out / "run.json").read_text())
    write_text(out / "run.json", json.dumps({**record, "files": ["../precious.txt", str(tmp_path / "precious.txt")]}))
    prepare_output(out, command="fit", inputs="abc")
    assert (tmp_path / "precious.txt").exists()


@pytest.mark.parametrize("damage", ["", "[]", "{", '{"files": 3}', '{"files": [1]}'])
def test_a_damaged_run_file_is_other_contents(tmp_path, damage):
    write_text(tmp_path / "run.json", damage)
    with pytest.raises(InputError, match="has other contents"):
        prepare_output(tmp_path, command="fit", inputs="abc")
    prepare_output(tmp_path, force=True, command="fit", inputs="abc")


def test_hash_depends_on_contents_and_their_order(tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    write_text(a, "one")
    write_text(b, "two")
    assert hash_files([a, b]) != hash_files([b, a])
    write_text(b, "one")
    assert hash_files([a]) == hash_files([b])
    # Against hashlib itself: each file goes in behind its length, so moving a byte between files is a change.
    expected = hashlib.sha256((3).to_bytes(8, "big") + b"one").hexdigest()
    assert hash_files([a]) == expected
    with pytest.raises(InputError, match="cannot be read"):
        hash_files([tmp_path / "missing"])
