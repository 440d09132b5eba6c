"""Treatment and endpoints: against `simulate`, closed forms, another engine, and arms that say the same otherwise."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from her2pkpd.cohort import cohort
from her2pkpd.cohort.blocks import compute
from her2pkpd.cohort.engines import Resources, solver
from her2pkpd.cohort.people import volume_of
from her2pkpd.cohort.read import read_cohort
from her2pkpd.cohort.settings import Solver
from her2pkpd.cohort.trial import build_trial
from her2pkpd.cohort.tuning import tuned, worst_error
from her2pkpd.engine import Solution
from her2pkpd.simulate import simulate
from tests.cohort.cohorts import TDXD, TRASTUZUMAB, TUMOUR, plasma, write

ONE = Resources("kernel", threads=1)
FIXED = (
    'weight = "62 kg", height = "158 cm", albumin = "36 g/L", tumour_burden = "90 mm", ast = "30 U/L", alt = "20 U/L"'
)


def run(tmp_path, dose, *, rtol=1e-6, **more):
    settings = plasma(tmp_path, dose, **more)
    return cohort(replace(settings, solver=Solver(rtol)), resources=ONE)


def simulated(tmp_path, dose, times, variables, system=""):
    system = f'[system]\nkind = "patient"\ncovariates = {{ {FIXED}, liver_metastases = false }}\n{system}\n'
    text = f"{system}[[dose]]\n{dose}\n"
    result = simulate(write(tmp_path, f"{text}[output]\ntimes = {times}\nvariables = {variables}\n", "scenario.toml"))
    return {n: t["value"].to_numpy() for n, t in result.table.groupby("variable")}


def typical(tmp_path, dose, **more):
    population = f"variability = false\ncovariates = {{ {FIXED}, liver_metastases = false }}"
    return run(tmp_path, dose, size=1, population=population, **more)


def test_exposures_are_those_of_simulate(tmp_path):
    found = typical(tmp_path, TDXD).endpoints.iloc[0]
    times = '{ start = "0 d", stop = "63 d", step = "0.25 h" }'
    own = simulated(tmp_path, TDXD, times, '["plasma.T-DXd", "plasma.DXd"]')
    day, last = 96, slice(42 * 96, 63 * 96 + 1)
    for name in ("T-DXd", "DXd"):
        curve = own[f"plasma.{name}"]
        for word, span in (("first", slice(0, 21 * day + 1)), ("last", last)):
            assert found[f"Cmax.{name}.{word}"] == pytest.approx(curve[span].max(), rel=3e-4)
            area = np.trapezoid(curve[span], dx=1 / day)
            assert found[f"AUC.{name}.{word}"] == pytest.approx(area, rel=5e-4)
        assert found[f"Cmin.{name}.first"] == pytest.approx(curve[21 * day], rel=1e-5)
        assert found[f"Cmin.{name}.last"] == pytest.approx(curve[-1], rel=1e-5)


def test_an_absorbed_peak_is_found_between_points(tmp_path):
    dose = 'drug = "trastuzumab"\nroute = "sc"\namount = "600 mg"\nevery = "21 d"\ndoses = 2'
    found = typical(tmp_path, dose).endpoints.iloc[0]
    curve = simulated(tmp_path, dose, '{ start = "0 d", stop = "42 d", step = "0.5 h" }', '["plasma.trastuzumab"]')
    curve = curve["plasma.trastuzumab"]
    assert found["Cmax.trastuzumab.first"] == pytest.approx(curve[: 21 * 48].max(), rel=5e-4)
    assert found["Cmax.trastuzumab.last"] == pytest.approx(curve[21 * 48 :].max(), rel=5e-4)
    assert found["Cmin.trastuzumab.first"] == pytest.approx(curve[21 * 48], rel=1e-5)


def test_area_is_dose_over_clearance(tmp_path):
    dose = 'drug = "T-DM1"\namount = "3.6 mg/kg"\nevery = "21 d"\ndoses = 3'
    found = run(tmp_path, dose, size=20, rest='[output]\nstop = "400 d"\n')
    who, ended = found.patients, found.endpoints
    litres = who["T-DM1.CL"] * 24.0
    np.testing.assert_allclose(ended["AUC.T-DM1.total"], 3 * 3.6 * who["weight"] / litres, rtol=1e-5)
    # A bolus: the peak is its amount over the volume.
    np.testing.assert_allclose(ended["Cmax.T-DM1.first"], 3.6 * who["weight"] / who["T-DM1.Vc"], rtol=1e-6)


def test_time_beyond_a_threshold(tmp_path):
    ends = '[endpoints]\nabove = { "plasma.trastuzumab" = "40 ug/mL" }\nbelow = { "plasma.trastuzumab" = "40 ug/mL" }\n'
    found = typical(tmp_path, TRASTUZUMAB, rest=ends).endpoints.iloc[0]
    curve = simulated(
        tmp_path, TRASTUZUMAB, '{ start = "0 d", stop = "84 d", step = "0.5 h" }', '["plasma.trastuzumab"]'
    )
    assert found["above.plasma.trastuzumab"] == pytest.approx((curve["plasma.trastuzumab"] > 40).mean(), abs=1e-3)
    assert found["above.plasma.trastuzumab"] + found["below.plasma.trastuzumab"] == pytest.approx(1)


def test_the_signal_of_a_tumour_is_that_of_simulate(tmp_path):
    tumour = '[tumour]\nkind = "signal"\n[endpoints]\ntrough = ["occupancy.trastuzumab.tumour", "pAKT.tumour"]\n'
    found = typical(tmp_path, TRASTUZUMAB, rest=tumour)
    tumour = f'tumour = {{ initial_volume = "{volume_of(np.array(90.0), 3)} L" }}'
    names = '["occupancy.trastuzumab.tumour", "pAKT.tumour"]'
    own = simulated(tmp_path, TRASTUZUMAB, '["21 d", "84 d"]', names, tumour)
    for name, values in own.items():
        for k, word in enumerate(("first", "last")):
            # The dose acts at once, the tumour needs hours to notice: before and after it are nearly the same.
            assert found.endpoints[f"trough.{name}.{word}"][0] == pytest.approx(values[k], rel=1e-4)


def lsoda(batch, options):
    """A batch by SciPy, segment by segment: an engine that shares nothing with ours but the rates."""
    del options
    field = jax.jit(batch.model.vector_field)
    s, states = batch.segments, np.zeros((*batch.times.shape, batch.model.n_species))
    for lane in range(s.n_lanes):
        y, p = batch.initial[lane].copy(), batch.parameters[lane]
        for k in range(s.n_segments):
            a, b = s.boundaries[lane, k : k + 2]
            y[list(s.inputs)] += s.jump[lane, k]
            flow = np.zeros(len(y))
            flow[list(s.inputs)] = s.infusion[lane, k]
            here = (batch.times[lane] >= a) & (batch.times[lane] <= b)
            states[lane, here] = y
            if b > a:
                found = solve_ivp(
                    lambda t, x, p=p, flow=flow: np.asarray(field(x, p)) + flow,
                    (a, b),
                    y,
                    "LSODA",
                    dense_output=True,
                    rtol=1e-7,
                    atol=1e-10,
                )
                y = found.y[:, -1]
                if here.any():
                    states[lane, here] = found.sol(batch.times[lane, here]).T
    zeros = np.zeros(s.n_lanes, dtype=np.int64)
    return Solution(batch.times, states, zeros, zeros, zeros, "lsoda")


def test_another_engine_finds_the_same(tmp_path):
    """Held against LSODA at a tight tolerance, endpoints are right to 1e-3."""
    settings = read_cohort(write(tmp_path, TUMOUR))
    trial = build_trial(replace(settings, arms=settings.arms[:1]))
    ours, theirs = (compute(trial, range(3, 4), solve).endpoints for solve in (solver("kernel"), lsoda))
    for name in ours:
        if name.startswith(("AUC", "Cm", "SLD.best", "trough.occupancy.T-DXd")):
            np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-3, err_msg=name)
    np.testing.assert_array_equal(ours["reductions.T-DXd"], theirs["reductions.T-DXd"])


@pytest.mark.parametrize("dose", [TRASTUZUMAB, 'drug = "tucatinib"\nregimen = "300 mg every 12 h for 28 doses"'])
def test_the_tolerance_is_chosen_for_the_accuracy_asked_for(tmp_path, dose):
    chosen = []
    for accuracy in (1e-2, 1e-3, 1e-4):
        settings = plasma(tmp_path, dose, size=500, rest=f"[solver]\naccuracy = {accuracy}\n")
        trial = tuned(build_trial(settings), solver("kernel"))
        chosen.append(trial.settings.solver.rtol)
        tight = replace(trial, settings=replace(settings, solver=Solver(1e-9)))
        # Other patients than those the tolerance was found on.
        ours, exact = (compute(t, range(200, 500), solver("kernel")).endpoints for t in (trial, tight))
        assert worst_error(ours, exact) < 2 * accuracy
    assert chosen[0] > chosen[1] > chosen[2]


def arms(tmp_path, first, second, **more):
    """Endpoints of two arms of the same patients."""
    rest = f'[[arm]]\nname = "B"\n{second}\n'
    found = run(tmp_path, f"{TDXD}\n{first}", rest=rest, **more).endpoints
    return [found[found["arm"] == name].reset_index(drop=True) for name in "AB"]


def equal(one, two, *, but=(), rtol=1e-5):
    for name in one.columns:
        if one[name].dtype.kind == "f" and name not in but and not one[name].isna().all():
            np.testing.assert_allclose(one[name], two[name], rtol=rtol, err_msg=name)


RULE = '[[arm.rule]]\ndrug = "T-DXd"\nvariable = "plasma.T-DXd"\n'
DOSE = '[[arm.dose]]\ndrug = "T-DXd"\ninfusion = "90 min"\n'


def test_a_reduction_for_everyone_is_a_planned_reduction(tmp_path):
    rule = RULE + 'above = "0 ug/mL"\nthen = "reduce"\nlevels = ["4.4 mg/kg", "3.2 mg/kg"]'
    planned = (
        DOSE + 'amount = "5.4 mg/kg"\nevery = "21 d"\ndoses = 3\nreduced = { "2" = "4.4 mg/kg", "3" = "3.2 mg/kg" }'
    )
    one, two = arms(tmp_path, rule, planned)
    equal(one, two, but=["intensity.T-DXd"])
    assert (one["reductions.T-DXd"] == 2).all()
    np.testing.assert_allclose(one["intensity.T-DXd"], (5.4 + 4.4 + 3.2) / (3 * 5.4))


def test_a_stop_for_everyone_is_a_single_dose(tmp_path):
    rule = RULE + 'above = "0 ug/mL"\nthen = "stop"'
    one, two = arms(tmp_path, rule, DOSE + 'amount = "5.4 mg/kg"')
    np.testing.assert_allclose(one["AUC.T-DXd.total"], two["AUC.T-DXd.total"], rtol=1e-5)
    assert (one["doses.T-DXd"] == 1).all()
    assert (one["off_treatment"] == 21).all()


def test_a_delay_is_asked_about_again_and_may_end_in_a_stop(tmp_path):
    rule = RULE + 'above = "0.01 ug/mL"\nthen = "delay"\nby = "7 d"\nmost = 2'
    one, _ = arms(tmp_path, rule, DOSE + 'amount = "5.4 mg/kg"')
    assert (one["delays.T-DXd"] == 2).all()
    assert (one["doses.T-DXd"] == 1).all()
    assert (one["off_treatment"] == 35).all()


def test_a_delay_moves_the_doses_that_follow(tmp_path):
    """The limit lies between the concentrations of a patient at days 21 and 26: the second dose waits for day 26."""
    population = f"variability = false\ncovariates = {{ {FIXED}, liver_metastases = false }}"
    curve = simulated(tmp_path, TDXD.replace("doses = 3", "doses = 1"), '["21 d", "26 d"]', '["plasma.T-DXd"]')
    limit = curve["plasma.T-DXd"].mean()
    rule = f'{RULE}above = "{limit} ug/mL"\nthen = "delay"\nby = "5 d"\nmost = 1'
    later = "".join(f'{DOSE}amount = "5.4 mg/kg"\ntime = "{day} d"\n' for day in (0, 26))
    two_doses = TDXD.replace("doses = 3", "doses = 2")
    rest = f'[[arm]]\nname = "B"\n{later}[output]\nstop = "47 d"\n[endpoints]\nintervals = [1, 2]\n'
    found = run(tmp_path, f"{two_doses}\n{rule}", size=1, population=population, rest=rest).endpoints
    equal(found.iloc[[0]].reset_index(), found.iloc[[1]].reset_index())
    assert found["delays.T-DXd"].tolist() == [1, 0]


def test_a_rule_on_exposure_asks_about_the_cycle_before(tmp_path):
    limit = 'variable = "DXd"\nmeasure = "auc"\nabove = "30 ng*d/mL"\nthen = "reduce"\nlevels = ["4.4 mg/kg"]'
    rule = f'[[arm.rule]]\ndrug = "T-DXd"\n{limit}'
    found = run(tmp_path, f"{TDXD}\n{rule}", size=60, rest="[endpoints]\nintervals = [1, 2, 3]\n").endpoints
    first, second = (found[f"AUC.DXd.cycle{k}"] > 30 for k in (1, 2))
    assert 5 < first.sum() < 55
    np.testing.assert_array_equal(found["reductions.T-DXd"] > 0, first | second)


def test_adherence_is_luck_shared_by_all_arms(tmp_path):
    dose = 'drug = "tucatinib"\namount = "300 mg"\nevery = "12 h"\ndoses = 60\nadherence = 0.8'
    found = run(tmp_path, dose, size=40, rest=f'[[arm]]\nname = "B"\n[[arm.dose]]\n{dose}\n').endpoints
    one, two = (found[found["arm"] == name]["doses.tucatinib"].to_numpy() for name in "AB")
    np.testing.assert_array_equal(one, two)
    assert one.mean() == pytest.approx(48, abs=2)
    assert one.std() == pytest.approx(np.sqrt(60 * 0.8 * 0.2), rel=0.5)


LINES = """
[population]
size = 40
seed = 2
[tumour]
kind = "populations"
[parameters]
"HER2+.DXd.kc50" = "1e9 nM"
"HER2-.DXd.kc50" = "1e9 nM"
"HER2+.Lys-MCC-DM1.kc50" = "1e9 nM"
"HER2-.Lys-MCC-DM1.kc50" = "1e9 nM"
[[arm]]
name = "sequence"
[[arm.dose]]
drug = "T-DM1"
regimen = "3.6 mg/kg every 21 d for 12 doses"
until = "progression"
[[arm.dose]]
drug = "T-DXd"
regimen = "5.4 mg/kg every 21 d for 2 doses"
line = 2
[output]
stop = "252 d"
trajectories = 40
step = "21 d"
"""


def test_the_second_line_begins_when_the_first_fails(tmp_path):
    found = cohort(read_cohort(write(tmp_path, LINES)), resources=ONE)
    ended = found.endpoints.set_index("patient")
    failed = ended["progressed"]
    assert failed.mean() > 0.5
    assert (ended["TTP"] % 42 == 0).all()
    assert (ended.loc[failed, "off_treatment"] == ended.loc[failed, "TTP"]).all()
    assert (ended.loc[failed, "line"] == 2).all()
    # A visit every 21 d, the one at progression left out.
    early = ended.loc[failed & (ended["TTP"] < 250)]
    np.testing.assert_array_equal(early["doses.T-DM1"], np.ceil(early["TTP"] / 21))
    np.testing.assert_array_equal(early["doses.T-DXd"], np.minimum(np.ceil((252 - early["TTP"]) / 21), 2))
    assert (ended.loc[~failed, "doses.T-DXd"] == 0).all()
    for number, course in found.trajectories.groupby("patient"):
        begins = ended.loc[number, "TTP"] * 24 if ended.loc[number, "progressed"] else np.inf
        assert (course.loc[course["time"] <= begins, "plasma.T-DXd"] == 0).all()
        assert (course.loc[course["time"] > begins, "plasma.T-DXd"] > 0).all()


def test_a_lane_that_fails_says_so_and_spoils_no_other(tmp_path):
    settings = read_cohort(write(tmp_path, TUMOUR))
    good = cohort(settings, resources=ONE).endpoints
    short = cohort(
        replace(settings, solver=Solver(0.02, max_steps=int(good["steps"].median() / 3))), resources=ONE
    ).endpoints
    failed = short["status"] == "max_steps"
    assert 0 < failed.sum() < len(short)
    assert short.loc[failed, ["AUC.T-DXd.total", "AUC.T-DM1.total"]].isna().all(axis=None)
    np.testing.assert_array_equal(short["best_response"] == "NE", short["TTP"].isna())
    for name in good:
        np.testing.assert_array_equal(good.loc[~failed, name], short.loc[~failed, name], err_msg=name)


def test_an_arm_without_drugs_is_a_control(tmp_path):
    text = TUMOUR.replace("[output]", '[[arm]]\nname = "none"\n\n[output]')
    found = cohort(read_cohort(write(tmp_path, text)), resources=ONE).endpoints
    none = found[found["arm"] == "none"]
    assert (none["SLD.last_change"] > 0).mean() > 0.9
    assert (none["doses.T-DXd"] == 0).all()
    assert (none["AUC.T-DXd.total"] == 0).all()
