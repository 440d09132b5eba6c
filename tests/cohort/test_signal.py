"""The HER2 signal in cohorts of tumours with several populations: antibodies, inhibitors, arms and sequences."""

import numpy as np
import pytest

from her2pkpd.cohort import Resources, cohort
from her2pkpd.cohort.people import draw_people
from her2pkpd.cohort.read import read_cohort
from her2pkpd.cohort.trial import build_trial
from tests.cohort.cohorts import write

ONE = Resources("kernel", threads=1)
HEAD = """
[population]
size = 12
seed = 2

[tumour]
ihc = "3+"
negative = {negative}
doubling_time = "60 d"
{tumour}

[output]
stop = "126 d"
trajectories = 12
step = "21 d"

[solver]
rtol = 1e-3

[[arm]]
name = "none"
"""
DOSES = {
    "trastuzumab": 'regimen = "6 mg/kg every 3 weeks, loading 8 mg/kg, 6 doses"\ninfusion = "90 min"',
    "pertuzumab": 'regimen = "420 mg every 3 weeks, loading 840 mg, 6 doses"\ninfusion = "60 min"',
    "T-DM1": 'regimen = "3.6 mg/kg every 3 weeks, 6 doses"\ninfusion = "90 min"',
    "T-DXd": 'regimen = "5.4 mg/kg every 3 weeks, 6 doses"\ninfusion = "90 min"',
    "lapatinib": 'regimen = "1250 mg once daily, 126 doses"',
    "neratinib": 'regimen = "240 mg once daily, 126 doses"',
    "tucatinib": 'regimen = "300 mg twice daily, 252 doses"',
}


def trial(tmp_path, *arms, tumour="", negative=0.02, more=None):
    text = HEAD.format(negative=negative, tumour=tumour)
    for arm in arms:
        text += f'\n[[arm]]\nname = "{arm}"\n'
        for drug in arm.split(" + "):
            text += f'[[arm.dose]]\ndrug = "{drug}"\n{DOSES[drug]}\n'
    return read_cohort(write(tmp_path, text + (more or "")))


def changes(found):
    return found.endpoints.astype({"arm": str}).pivot(index="patient", columns="arm", values="SLD.last_change")


def test_every_drug_acts_alone_and_together(tmp_path):
    arms = ("trastuzumab", "lapatinib", "neratinib", "tucatinib", "trastuzumab + tucatinib", "trastuzumab + lapatinib")
    found = cohort(trial(tmp_path, *arms), resources=ONE)
    assert (found.endpoints["status"] == "ok").all()
    change = changes(found)
    for arm in arms:
        assert (change[arm] < change["none"]).all()
    for inhibitor in ("tucatinib", "lapatinib"):
        pair = change[f"trastuzumab + {inhibitor}"]
        assert (pair < np.minimum(change["trastuzumab"], change[inhibitor]) + 1e-6).all()
    rest = found.endpoints["trough.pAKT.HER2+.last"].to_numpy(dtype=float)
    assert np.nanmin(rest) >= 0.0
    assert np.nanmax(rest) <= 1.0 + 1e-9


def test_inhibitors_help_conjugates_where_payload_is_weak(tmp_path):
    weak = '\n[parameters]\n"HER2+.Lys-MCC-DM1.kc50" = "1 mM"\n"HER2-.Lys-MCC-DM1.kc50" = "1 mM"\n'
    change = changes(cohort(trial(tmp_path, "T-DM1", "T-DM1 + neratinib", more=weak), resources=ONE))
    assert (change["T-DM1 + neratinib"] < change["T-DM1"] - 1.0).all()


def test_cells_without_her2_answer_to_no_inhibitor(tmp_path):
    change = changes(cohort(trial(tmp_path, "tucatinib", "trastuzumab", negative=0.999999), resources=ONE))
    np.testing.assert_allclose(change["tucatinib"], change["none"], atol=1.0)  # some are poisoned off HER2
    np.testing.assert_allclose(change["trastuzumab"], change["none"], atol=0.05)


def test_pertuzumab_adds_where_there_is_ligand(tmp_path):
    pair = ("trastuzumab", "trastuzumab + pertuzumab")
    none = changes(cohort(trial(tmp_path, *pair), resources=ONE))
    ligand = changes(cohort(trial(tmp_path, *pair, tumour='NRG1 = "5 nM"'), resources=ONE))
    gain = [(c["trastuzumab"] - c["trastuzumab + pertuzumab"]).mean() for c in (none, ligand)]
    assert abs(gain[0]) < 0.1
    assert gain[1] > 3.0


def test_the_signal_is_the_same_in_all_arms(tmp_path):
    together = changes(cohort(trial(tmp_path, "T-DM1", "tucatinib"), resources=ONE))["T-DM1"]
    with_signal, without = (
        changes(cohort(trial(tmp_path, "T-DM1", tumour=f"signal = {x}"), resources=ONE))["T-DM1"]
        for x in ("true", "false")
    )
    np.testing.assert_array_equal(together, with_signal)
    assert (with_signal < without).all()
    default = trial(tmp_path, "T-DM1")
    assert not default.signals
    assert trial(tmp_path, "T-DM1", tumour="PTEN_loss = 0.5").signals


def test_a_second_line_begins_where_the_first_fails(tmp_path):
    more = f"""
[[arm]]
name = "sequence"
[[arm.dose]]
drug = "trastuzumab"
{DOSES["trastuzumab"]}
until = "progression"
[[arm.dose]]
drug = "neratinib"
{DOSES["neratinib"]}
line = 2
"""
    found = cohort(trial(tmp_path, "trastuzumab", tumour="PTEN_loss = 0.5", more=more), resources=ONE)
    ended = found.endpoints.astype({"arm": str})
    second = ended[ended["arm"] == "sequence"].set_index("patient")
    alone = ended[ended["arm"] == "trastuzumab"].set_index("patient")
    failed = second.index[second["line"] == 2]
    assert 0 < len(failed) < 12
    course = found.trajectories.astype({"arm": str}).pivot(index=["patient", "time"], columns="arm", values="SLD")
    for who in second.index:
        own = course.loc[who].dropna()
        until = second.loc[who, "off_treatment"] * 24.0 if who in failed else np.inf
        before, after = own[own.index <= until], own[own.index > until]
        np.testing.assert_allclose(before["sequence"], before["trastuzumab"], rtol=3e-3)
        assert (after["sequence"] < after["trastuzumab"] + 1e-9).all()
    assert (second.loc[failed, "doses.neratinib"] > 0).all()
    assert (second.loc[second.index.difference(failed), "doses.neratinib"] == 0).all()
    assert (second.loc[failed, "TTP"] <= 126.0).all()
    assert (alone["doses.trastuzumab"] == 6).all()


def test_alterations_lessen_what_inhibitors_achieve(tmp_path):
    wild, lost, both = (
        changes(cohort(trial(tmp_path, "tucatinib", tumour=x), resources=ONE))
        for x in ("signal = true", "PTEN_loss = 1.0", "PTEN_loss = 1.0\nPIK3CA_mutation = 1.0")
    )
    # Untreated, every tumour grows at its own rate, but for the few cells that die at the wild type's signal.
    np.testing.assert_allclose(lost["none"], wild["none"], atol=0.5)
    gain = [(c["none"] - c["tucatinib"]).mean() for c in (wild, lost, both)]
    assert gain[0] > 1.5 * gain[1] > 1.5 * gain[2] > 0.0


def test_ligand_belongs_to_the_tumour(tmp_path):
    made = build_trial(trial(tmp_path, "trastuzumab", tumour='NRG1 = "5 nM"'))
    people = draw_people(made.settings, made.defaults, range(3))
    assert people.parameters["tumour.NRG1"] == pytest.approx(5.0)
    assert people.parameters["HER2+.doubling_time"] == people.parameters["HER2-.doubling_time"] == 1440.0
