"""Payload is conserved whatever an ADC's constants are."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from her2pkpd.dosing import Add, compile_segments
from her2pkpd.engine import Batch, solve
from her2pkpd.library import load_cell_line, load_drug
from her2pkpd.systems.well import cell_parameters, well_model
from tests.adc.test_balance import LINES, TIGHT, TIMES, amount

DRUG = "T-DXd"


def log_uniform(low, high):
    return st.floats(np.log10(low), np.log10(high)).map(lambda x: 10.0**x)


SHARED = {
    f"{DRUG}.DAR": st.floats(0.5, 8.0),
    f"{DRUG}.deconjugation": st.one_of(st.just(0.0), log_uniform(1e-5, 0.1)),
    f"{DRUG}.cleavage": st.one_of(st.just(0.0), log_uniform(1e-3, 10.0)),
    f"{DRUG}.KD": log_uniform(1e-2, 1e2),
    "DXd.kin": log_uniform(1e-3, 1e2),
    "DXd.kout": log_uniform(1e-3, 1e2),
    "DXd.permeability": st.one_of(st.just(0.0), log_uniform(1e-3, 10.0)),
    "DXd.target_KD": log_uniform(1e-1, 1e3),
    "DXd.release_at_death": st.floats(0.0, 1.0),
    "kint": log_uniform(1e-3, 1.0),
    "kdeg": log_uniform(1e-3, 1.0),
    "V": log_uniform(1e-5, 1e-2),
}
OWN = {
    "HER2": st.one_of(st.just(0.0), log_uniform(1e2, 3e6)),
    "kpino": st.one_of(st.just(0.0), log_uniform(1e-5, 0.1)),
    "DXd.kc50": log_uniform(0.1, 1e4),
    "DXd.kmax": log_uniform(1e-3, 0.3),
    "tau": log_uniform(1.0, 100.0),
    "seeded": log_uniform(1e2, 1e5),
}
constants = st.fixed_dictionaries(SHARED | {f"{x}.{k}": v for x in LINES for k, v in OWN.items()})
MODEL = well_model(
    [load_drug(DRUG)], {x: {**cell_parameters(load_cell_line(x)), "seeded": 4000.0} for x in LINES}, ledger=True
)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(constants, log_uniform(1e-2, 1e3))
def test_payload_is_balanced_for_any_constants(values, dose):
    p = MODEL.parameter_vector(values)
    segments = compile_segments(MODEL, [[Add(0.0, DRUG, dose)]], start=0.0, stop=TIMES[-1])
    found = solve(Batch(MODEL, p[None], segments, TIMES), TIGHT)
    assert found.ok.all()
    held = amount(MODEL, found.y[0], p, DRUG)
    given_ = values[f"{DRUG}.DAR"] * dose * values["V"]
    np.testing.assert_allclose(held[0], given_, rtol=1e-12)
    np.testing.assert_allclose(held + found.y[0, :, MODEL.species_index["payload.debris"]], given_, rtol=1e-8)
    assert found.y.min() > -1e-9 * max(1.0, np.abs(found.y).max())
