import os

import numpy as np
import pytest

from her2pkpd.engine import Batch, Options, Segments, cache, cpu
from her2pkpd.engine import compile as compiler
from her2pkpd.model import Builder


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty cache on disk, and nothing in memory."""
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path))
    monkeypatch.setattr(cpu, "_loaded", {})
    return tmp_path / "kernels"


@pytest.fixture
def compilations(monkeypatch):
    """Counts what is compiled."""
    seen = []
    original = compiler.object_code

    def counted(*args):
        seen.append(args)
        return original(*args)

    monkeypatch.setattr(compiler, "object_code", counted)
    return seen


def decay(k="k"):
    build = Builder("decay")
    build.parameter(k, 0.7, "1/h")
    build.species("y", None, initial=1.0)
    build.reaction("loss", {"y": -1}, lambda s, p: p[k] * s["y"])
    return build.model()


def run(model=None):
    model = model or decay()
    batch = Batch(model, np.array([0.7]), Segments(np.array([[0.0, 2.0]])), np.array([[1.0, 2.0]]))
    return cpu.solve(batch, Options(1e-8, 1e-11)).y[0, :, 0]


def forget(monkeypatch):
    monkeypatch.setattr(cpu, "_loaded", {})


def test_a_kernel_is_compiled_once_and_then_read(place, compilations, monkeypatch):
    first = run()
    forget(monkeypatch)
    np.testing.assert_array_equal(run(), first)
    assert len(compilations) == 1
    assert len(list(place.glob("*.kernel"))) == 1


def test_names_do_not_matter_but_rates_do(place, compilations, monkeypatch):
    run()
    run(decay("elimination"))
    assert len(compilations) == 1
    build = Builder("growth")
    build.parameter("k", 0.7, "1/h")
    build.species("y", None, initial=1.0)
    build.reaction("gain", {"y": 1}, lambda s, p: p["k"] * s["y"])
    run(build.model())
    assert len(compilations) == 2


@pytest.mark.parametrize("harm", ["truncated", "flipped", "emptied", "another key", "layout", "not json"])
def test_a_damaged_file_is_compiled_again_and_replaced(place, compilations, monkeypatch, harm):
    first = run()
    file = next(place.glob("*.kernel"))
    content = bytearray(file.read_bytes())
    header = content.index(b"\n")
    if harm == "truncated":
        content = content[:-40]
    elif harm == "flipped":
        content[header + 900] ^= 1
    elif harm == "emptied":
        content = bytearray()
    elif harm == "another key":
        content = content.replace(file.stem.encode(), b"0" * len(file.stem))
    elif harm == "layout":
        content = content.replace(b'"size": ', b'"size": 1')
    else:
        content[:header] = b"{" * header
    file.write_bytes(content)
    forget(monkeypatch)
    np.testing.assert_array_equal(run(), first)
    assert len(compilations) == 2
    forget(monkeypatch)
    np.testing.assert_array_equal(run(), first)
    assert len(compilations) == 2


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="permissions are those of POSIX")
def test_a_file_that_others_may_write_is_not_trusted(place, compilations, monkeypatch):
    run()
    next(place.glob("*.kernel")).chmod(0o666)
    forget(monkeypatch)
    run()
    assert len(compilations) == 2


def test_everything_works_without_a_folder(monkeypatch, compilations):
    monkeypatch.setenv(cache.VARIABLE, "")
    monkeypatch.setattr(cpu, "_loaded", {})
    assert run() == pytest.approx(np.exp([-0.7, -1.4]), rel=1e-7)


def test_a_folder_that_cannot_be_made_is_no_obstacle(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "file"))
    monkeypatch.setattr(cpu, "_loaded", {})
    assert run() == pytest.approx(np.exp([-0.7, -1.4]), rel=1e-7)


def test_old_files_make_room(place, monkeypatch):
    monkeypatch.setattr(cache, "KEPT", 3)
    for k in range(6):
        cache.store(f"{k}", b"code", {"size": 1})
        stamp = 1_000_000 + k
        os.utime(place / f"{k}.kernel", (stamp, stamp))
    cache.store("last", b"code", {"size": 1})
    assert {f.stem for f in place.glob("*.kernel")} == {"4", "5", "last"}
    assert cache.load("last") == (b"code", {"size": 1})
