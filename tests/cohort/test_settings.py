"""What is wrong with a ``cohort.toml`` is said all at once, with key, value, rule and remedy."""

import pytest

from her2pkpd.cli import main
from her2pkpd.cohort.engines import Resources
from her2pkpd.cohort.read import read_cohort
from her2pkpd.cohort.trial import build_trial
from her2pkpd.errors import InputError
from tests.cohort.cohorts import PLASMA, TDXD, TUMOUR, write


def refusal(tmp_path, text):
    with pytest.raises(InputError) as error:
        build_trial(read_cohort(write(tmp_path, text)))
    return str(error.value)


def with_rest(rest, dose=TDXD, population=""):
    return PLASMA.format(size=10, population=population, dose=dose, rest=rest)


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        ("[tumour]\nihc = { '3+' = 0.6, '2+' = 0.3 }", "'tumour.ihc'.*probabilities of these that add up to 1"),
        ("[tumour]\nihc = '4+'", "'tumour.ihc', value '4\\+'"),
        ("[tumour]\nkind = 'solid'", "'tumour.kind', value 'solid'.*\"none\", \"signal\", \"populations\""),
        ("[tumour]\nnegative = 1.5", "'tumour.negative', value 1.5: must lie between 0 and 1"),
        ("[tumour]\nkind = 'none'\nPTEN_loss = 0.2", "'tumour.PTEN_loss'.*is not a known key"),
        ("[variability]\n'*.DXd.kc50' = { cv = 1.0 }", "value '\\*.DXd.kc50': is not a parameter of any"),
        ("[variability]\n'T-DXd.CL' = { cv = 0.3, fold = 2 }", "needs exactly one of cv, sd_log and fold"),
        ("[parameters]\n'T-DXd.Cl' = '1 L/d'", "'parameters.T-DXd.Cl'.*Did you mean 'T-DXd.CL'"),
        ("[endpoints]\nabove = { 'plasma.T-DXd' = '20 h' }", "'endpoints.above.plasma.T-DXd', value '20 h'"),
        ("[endpoints]\ntrough = ['pAKT.tumour']", "'endpoints.trough', value 'pAKT.tumour': unknown variable"),
        ("[endpoints]\nexposure = ['lapatinib']", "'endpoints.exposure'.*neither a drug nor a payload"),
        ("[endpoints]\nintervals = ['middle']", "'endpoints.intervals'.*must be \"first\", \"last\" or numbers"),
        ("[output]\nstop = '0 d'", "'output.stop', value '0 d': must be longer than zero"),
        ("[solver]\nrtol = 2.0", "'solver.rtol', value 2.0: must lie between"),
        ("[solver]\nrtol = 0.01\naccuracy = 0.01", "'solver.accuracy'.*stands beside rtol"),
        ("[posterior]\nfile = 'none.csv'", "none.csv"),
        ("[[arm]]\nname = 'A'", "'arm.name', value 'A': two arms have the same name"),
        ("[outptu]\nstop = '1 d'", "'outptu': is not a known key"),
        (
            "[[arm]]\nname = 'B'\n[[arm.dose]]\ndrug = 'lapatinib'\namount = '1 g'\n[tumour]\nsignal = false",
            "without a signal there is nothing that lapatinib could inhibit",
        ),
        ("[tumour]\nsignal = false\nPTEN_loss = 0.2", "'tumour.signal'.*PTEN_loss acts through the signal"),
        ("[[arm]]\nname = 'B'\n[[arm.dose]]\ndrug = 'T-DM1'\namount = '1 mg/kg'\nuntil = 'progression'",
         "arm 'B' follows progression, but no tumour is modelled"),
    ],
)  # fmt: skip
def test_refusals(tmp_path, rest, message):
    import re

    assert re.search(message, refusal(tmp_path, with_rest(rest)), re.DOTALL)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (
            "drug = 'T-DM1'\nvariable = 'plasma.T-DXd'\nabove = '1 ug/mL'\nthen = 'stop'",
            "the arm does not give this drug",
        ),
        ("drug = 'T-DXd'\nvariable = 'plasma.DM1'\nabove = '1 ug/mL'\nthen = 'stop'", "unknown variable"),
        ("drug = 'T-DXd'\nvariable = 'plasma.DXd'\nthen = 'stop'", "exactly one of above and below"),
        ("drug = 'T-DXd'\nvariable = 'plasma.DXd'\nabove = '1 ng/mL'\nthen = 'reduce'", "a reduction needs levels"),
        ("drug = 'T-DXd'\nvariable = 'plasma.DXd'\nabove = '1 ng/mL'\nthen = 'delay'", "a delay needs a time"),
        ("drug = 'T-DXd'\nvariable = 'DXd'\nmeasure = 'auc'\nabove = '1 ng/mL'\nthen = 'stop'", "cannot be converted"),
    ],
)
def test_refusals_of_rules(tmp_path, rule, message):
    assert message in refusal(tmp_path, with_rest("", dose=f"{TDXD}\n[[arm.rule]]\n{rule}"))


def test_everything_is_reported_at_once_and_nothing_written(tmp_path, capsys):
    text = TUMOUR.replace("seed = 11", "seed = -1").replace('step = "7 d"', 'step = "7 kg"').replace("T-DM1", "T-DM2")
    out = tmp_path / "out"
    assert main(["cohort", str(write(tmp_path, text)), "--out", str(out)]) == 2
    message = capsys.readouterr().err
    assert message.startswith("her2pkpd cohort: ")
    for part in ("population.seed", "output.step", "arm[2].dose[1].drug"):
        assert part in message
    assert not out.exists()


def test_one_drug_has_one_model_in_all_arms(tmp_path):
    iv = 'drug = "trastuzumab"\nregimen = "6 mg/kg every 21 d for 3 doses"'
    regimen = 'drug = "trastuzumab"\nroute = "sc"\nregimen = "600 mg every 21 d for 3 doses"'
    sc = f'[[arm]]\nname = "SC"\n[[arm.dose]]\n{regimen}'
    assert "is given by two models" in refusal(tmp_path, with_rest(sc, dose=iv))
    both = 'pk = "Quartino 2016"\n'
    trial = build_trial(read_cohort(write(tmp_path, with_rest(sc + "\n" + both, dose=f"{iv}\n{both}"))))
    assert [p.slots[0].target for p in trial.plans] == ["central.trastuzumab", "depot.trastuzumab"]


def test_tables_are_checked_whole(tmp_path):
    write(tmp_path, "weight [kg],albumin,sex,tumour_size\n70,40,female,3\n-1,41,maybe,4\n", "own.csv")
    message = refusal(tmp_path, with_rest("", population='table = "own.csv"'))
    for part in ("row 3", "must be more than zero", "column 'albumin'", "the unit is missing", "value 'maybe'"):
        assert part in message
    write(tmp_path, "weight [kg],tumour_size\n70,3\n", "own.csv")
    assert "is neither a covariate nor a parameter" in refusal(tmp_path, with_rest("", population='table = "own.csv"'))
    write(tmp_path, "albumin [g/L]\n40\n", "own.csv")
    assert "doses per kg or m2 need the patients' weight" in refusal(
        tmp_path, with_rest("", population='table = "own.csv"')
    )


def test_the_digest_tells_settings_apart_but_not_comments(tmp_path):
    one = read_cohort(write(tmp_path, TUMOUR))
    same = read_cohort(write(tmp_path, "# a comment\n" + TUMOUR, "other.toml"))
    other = read_cohort(write(tmp_path, TUMOUR.replace("5.4 mg/kg", "5.5 mg/kg")))
    assert one.digest == same.digest != other.digest


def test_resources_are_checked():
    with pytest.raises(InputError, match="must be at least 1"):
        Resources(threads=0)
