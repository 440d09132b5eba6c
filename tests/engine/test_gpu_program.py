"""The GPU's program, without a GPU: what its PTX holds, and that it computes what the kernel computes."""

import re

import numpy as np
import pytest

from her2pkpd.engine import Batch, Options, Segments, gpu, nvptx
from her2pkpd.engine import solve as solve_any
from her2pkpd.engine.emit.ptx import ENTRY, device_text
from tests.engine.systems import HARD
from tests.engine.systems.retargeted import ptx_of, same, solve_retargeted
from tests.engine.systems.runs import (
    EXACT,
    USUAL,
    all_parameters,
    dosing_directions,
    exact_batch,
    hard_batch,
    hard_options,
    hard_run,
    run,
)
from tests.engine.test_kernel_lanes import MODEL, OPTIONS, lanes
from tests.systems.wells import well

needs_assembler = pytest.mark.skipif(nvptx.assembler() is None, reason="CUDA's ptxas is not installed")


def alike(a, b):
    """All results agree."""
    for name in ("y", "status", "steps", "rejected"):
        same(getattr(a, name), getattr(b, name))


@pytest.mark.parametrize("name", EXACT)
def test_the_retargeted_program_is_the_kernel_bit_for_bit(name):
    alike(solve_retargeted(exact_batch(name), USUAL), run(name, "kernel"))


@pytest.mark.parametrize("name", HARD)
def test_the_retargeted_program_is_the_kernel_on_stiff_classics(name):
    found = solve_retargeted(hard_batch(name), hard_options(name, 1e-6))
    alike(found, hard_run(name, "kernel", 1e-6))


@pytest.mark.parametrize("name", ["absorption", "uptake"])
def test_its_derivatives_are_those_of_the_kernel(name):
    batch = exact_batch(name)
    for directions in (all_parameters(batch.model), dosing_directions(name)):
        found, kernel = solve_retargeted(batch, USUAL, directions), solve_any(batch, USUAL, directions, engine="kernel")
        alike(found, kernel)
        same(found.dy, kernel.dy)


def test_functions_divisions_and_sick_lanes():
    batch = lanes(9)
    p = batch.parameters.copy()
    p[3, 1], p[6, 0] = 0.0, np.nan
    batch = Batch(MODEL, p, batch.segments, batch.times)
    found, kernel = solve_retargeted(batch, OPTIONS), solve_any(batch, OPTIONS, engine="kernel")
    np.testing.assert_array_equal(found.status, kernel.status)
    np.testing.assert_allclose(found.y, kernel.y, rtol=1e-9, atol=1e-12)
    assert np.isnan(found.y[6]).all()


def test_a_reset_and_a_wash_out_are_the_same():
    batch = exact_batch("two compartments")
    reset = np.zeros((len(batch.times), batch.segments.n_segments), dtype=bool)
    reset[:, -1] = True
    s = batch.segments
    segments = Segments(s.boundaries, s.inputs, s.jump, s.keep, s.infusion, reset)
    batch = Batch(batch.model, batch.parameters, segments, batch.times)
    alike(solve_retargeted(batch, USUAL), solve_any(batch, USUAL, engine="kernel"))


def whole_well():
    """PTX of a well, in registers."""
    return ptx_of(well("trastuzumab", "lapatinib"), (0, 1), 1e-4)


def test_ptx_is_one_kernel_without_calls_in_double_precision():
    text, shape = whole_well()
    assert shape.registers
    assert re.findall(r"\.entry (\w+)", text) == [ENTRY]
    assert f".maxntid {shape.threads}" in text
    for absent in (r"\.extern", r"\bcall", r"\.func", r"f32", r"\.local", r"\bdiv\.", r"\batom"):
        assert not re.search(absent, text), absent
    assert text.count("fma.rn.f64") > 500
    assert "rcp.approx.ftz.f64" in text


def test_scratch_memory_that_does_not_fit_stays_memory(monkeypatch):
    monkeypatch.setattr(gpu, "LARGEST", 0)
    batch = exact_batch("absorption")
    request = gpu.request_for(batch.model, batch.segments, USUAL, None, None)
    text, shape = gpu.program(request, batch.model.flux_tape, batch.segments.inputs)
    assert not shape.registers
    found = nvptx.ptx(device_text(text, shape), "sm_90")
    called = re.findall(r"call(?:\.uni)? (?:\(\w+\), )?(\w+), \(", found.replace("\n", ""))
    assert called
    assert set(called) <= set(re.findall(r"\.func (?:\(.*?\) )?(\w+)\(", found))
    assert int(re.findall(r"__local_depot\d+\[(\d+)\]", found)[0]) >= 8 * shape.size


@needs_assembler
def test_the_assembler_takes_it_and_reports_what_it_needs():
    text, shape = whole_well()
    code, taken = nvptx.assemble(text, "sm_90")
    assert code[:4] == b"\x7fELF"
    assert 32 < taken.registers <= 255
    # In registers means: what is spilled is less than the scratch memory would be.
    assert taken.stack < 8 * shape.size


@needs_assembler
def test_the_assembler_takes_tangents():
    batch = exact_batch("absorption")
    request = gpu.request_for(batch.model, batch.segments, USUAL, dosing_directions("absorption"), None)
    text, shape = gpu.program(request, batch.model.flux_tape, batch.segments.inputs)
    assert nvptx.assemble(nvptx.ptx(device_text(text, shape), "sm_90"), "sm_90")[0]


@pytest.mark.parametrize("capability", [(6, 0), (7, 5), (8, 0), (8, 9), (9, 0), (12, 0)])
def test_cards_old_and_new_have_code(capability):
    arch = nvptx.architecture(*capability)
    batch = exact_batch("one compartment")
    request = gpu.request_for(batch.model, batch.segments, USUAL, None, None)
    text, shape = gpu.program(request, batch.model.flux_tape, batch.segments.inputs)
    assert f".target {arch}" in nvptx.ptx(device_text(text, shape), arch)


def test_compiled_kernels_are_kept_on_disk(tmp_path, monkeypatch):
    monkeypatch.setenv("HER2PKPD_CACHE", str(tmp_path))
    batch = exact_batch("one compartment")
    request = gpu.request_for(batch.model, batch.segments, Options(), None, None)
    flux, inputs = batch.model.flux_tape, batch.segments.inputs
    first = gpu.compiled(request, flux, inputs, "sm_90")
    monkeypatch.setattr(gpu, "program", None)
    assert gpu.compiled(request, flux, inputs, "sm_90") == first
