"""Lanes: who shares one, which control they have, and whose values they carry."""

import numpy as np
import pytest

from her2pkpd.fit.design import Signal, Treatment, make_design
from her2pkpd.library import load_cell_line, load_drug
from her2pkpd.systems.well import cell_parameters

LINES = ("SK-BR-3", "MCF-7", "Hs 739.T")


def signal(line="SK-BR-3", nM=10.0, time=72.0, readout="viability", assay="", seeded=5000.0):
    doses = (("lapatinib", nM),) if nM else ()
    return Signal(Treatment(line, assay, seeded, doses), time, readout)


def design(*signals, lines=LINES):
    return make_design(signals, [load_drug("lapatinib")], {n: load_cell_line(n) for n in lines})


def value(d, lane, name):
    return d.parameters[lane, d.model.parameter_index[name]]


def test_read_outs_and_times_of_one_treatment_share_a_lane_and_its_control():
    d = design(signal(), signal(time=24.0), signal(readout="pAKT"), signal(nM=0.0), signal(nM=30.0))
    assert d.lanes == [signal(nM=0.0).treatment, signal().treatment, signal(nM=30.0).treatment]
    np.testing.assert_array_equal(d.times, [0.0, 24.0, 72.0])


def test_every_line_assay_and_seeding_has_a_control_of_its_own():
    d = design(signal(), signal("MCF-7"), signal(assay="b"), signal(seeded=100.0))
    controls = [t for t in d.lanes if not t.doses]
    assert len(controls) == 4
    assert all(t.untreated in d.lane_of for t in d.lanes)


def test_lanes_carry_their_own_line_s_values_in_whatever_order_they_come():
    d = design(*(signal(x) for x in LINES))
    back = design(*(signal(x) for x in LINES[::-1]))
    assert d.model.hash == back.model.hash
    for treatment, lane in d.lane_of.items():
        np.testing.assert_array_equal(d.parameters[lane], back.parameters[back.lane_of[treatment]])
        own = {f"cells.{name}": v for name, v in cell_parameters(load_cell_line(treatment.cell_line)).items()}
        assert "cells.HER2" in own
        for name in own.keys() & d.model.parameter_index:  # those of payloads are for models that hold the payload
            assert value(d, lane, name) == own[name]
        assert value(d, lane, "cells.seeded") == 5000.0


def test_what_the_library_does_not_know_of_a_line_is_the_library_s_default_not_its_neighbour_s():
    # A neighbour with values of its own for everything must not lend them.
    d = design(*(signal(x) for x in LINES))
    for lane, treatment in enumerate(d.lanes):
        alone = design(signal(treatment.cell_line))
        np.testing.assert_array_equal(d.parameters[lane], alone.parameters[alone.lane_of[treatment]])


@pytest.mark.parametrize(
    ("name", "parameter", "line"),
    [
        ("kint", "kint", None),
        ("lapatinib.HER2.Ki", "lapatinib.HER2.Ki", None),
        ("w", "cells.w", None),
        ("cells.w", "cells.w", None),
        ("MCF-7.w", "cells.w", "MCF-7"),
        ("Hs 739.T.doubling_time", "cells.doubling_time", "Hs 739.T"),
        ("SK-BR-3.HER2", "cells.HER2", "SK-BR-3"),
    ],
)
def test_names_users_write(name, parameter, line):
    d = design(*(signal(x) for x in LINES))
    assert d.column(name) == (d.model.parameter_index[parameter], line)
    d.fix(name, 0.123)
    for lane, treatment in enumerate(d.lanes):
        assert (value(d, lane, parameter) == 0.123) == (line in (None, treatment.cell_line))


@pytest.mark.parametrize(
    "name", ["x", "BT-474.w", "SK-BR-3.kint", "seeded", "cells.seeded", "SK-BR-3.seeded", "", "SK-BR-3."]
)
def test_names_that_mean_nothing(name):
    d = design(*(signal(x) for x in LINES))
    assert d.column(name) is None
    with pytest.raises(KeyError):
        d.fix(name, 1.0)


def test_drugs_go_in_at_time_zero():
    d = design(signal(), signal(nM=300.0))
    batch = d.batch(d.parameters)
    np.testing.assert_array_equal(batch.segments.jump[:, 0, 0], [0.0, 10.0, 300.0])
    np.testing.assert_array_equal(batch.segments.boundaries, [[0.0, 72.0]] * 3)
