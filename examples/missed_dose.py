"""A dose of trastuzumab is missed: when must it be loaded again?

    python examples/missed_dose.py [figure.png]

The label: after a delay of up to a week give the usual 6 mg/kg, after a longer one 8 mg/kg again. Patients at steady
state get their next dose one, three or six weeks late, with or without a new loading dose, and go on every three weeks.
Prints troughs relative to each patient's own at steady state; with a file name it draws them.
"""

import sys

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from her2pkpd import load_drug
from her2pkpd.cohort.attainment import attainment
from her2pkpd.cohort.summary import bands, summarise
from her2pkpd.dosing.regimen import read_regimen
from her2pkpd.simulate.patient import simulate_patient
from her2pkpd.simulate.patient_scenario import PatientDose, PatientScenario

WEEK = 168.0
BEFORE = 12  # doses up to steady state
DELAYS = (1, 3, 6)  # weeks; three is one dose missed
PATIENTS = 250
TARGET = 20.0  # ug/mL, the trough aimed at since the first trials


def treat(delay: int, reload: bool) -> pd.DataFrame:
    """Concentrations from two cycles before the delay on; ``week`` counts from when the dose was due."""
    entry = load_drug("trastuzumab")
    model = entry.pk["Quartino 2019"]
    first = read_regimen(f"6 mg/kg every 3 weeks, loading 8 mg/kg, {BEFORE} doses")
    then = read_regimen("6 mg/kg every 3 weeks" + (", loading 8 mg/kg" if reload else ""))
    due = BEFORE * 3
    doses = (
        PatientDose(entry, model, "iv", first, infusion=1.5),
        PatientDose(entry, model, "iv", then, time=(due + delay) * WEEK, infusion=1.5),
    )
    weeks = np.arange(-6.0, 19.0 + delay, 0.5)
    scenario = PatientScenario(doses, (due + weeks) * WEEK - 1e-3, (), {}, "metastatic breast", PATIENTS, seed=5)
    table = simulate_patient(scenario).table
    arm = "on time" if not delay else f"{delay} weeks late" + (", 8 mg/kg" if reload else ", 6 mg/kg")
    return table.assign(arm=arm, delay=delay, reload=reload, week=np.tile(weeks, PATIENTS))


def troughs(course: pd.DataFrame) -> pd.DataFrame:
    """Concentrations just before each dose, and relative to the patient's own when the dose was due."""
    since = course["week"] - course["delay"]
    own = course[(course["week"] == 0) | ((since >= 0) & (since % 3 == 0))].copy()
    own["relative"] = own["value"] / own.groupby("id")["value"].transform("first")
    own["after"] = since  # weeks after the late dose
    return own


if __name__ == "__main__":
    arms = [treat(delay, reload) for delay in DELAYS for reload in (False, True)]
    found = pd.concat([troughs(a) for a in arms])
    table = summarise(found[found["after"].isin([0.0, 3.0, 6.0, 9.0])], ["relative"], by=["arm", "after"])
    shown = 100 * table.pivot(index="arm", columns="after", values="q50")
    print("trough, median % of the patient's own at steady state, by weeks after the late dose (0: just before it)")
    print(shown.round(0).to_string())
    at = attainment(found[found["after"] == 0], "value", TARGET, by=["delay"])
    print(f"\nabove {TARGET:g} ug/mL just before the late dose, % of patients, by weeks of delay")
    print((100 * at.set_index("delay")["probability"]).round(0).to_string())

    late = {d: (shown.loc[f"{d} weeks late, 6 mg/kg"], shown.loc[f"{d} weeks late, 8 mg/kg"]) for d in DELAYS}
    # Just over a week late and not loaded: back in the steady-state range after about six weeks, and not after three
    # (Quartino 2019 Cancer Chemother Pharmacol 83:329, simulations). Loaded, the next trough is back.
    assert late[1][0][3.0] < 90 <= late[1][0][6.0]
    assert 90 < late[1][1][3.0] < 110
    # A whole dose missed: loading saves six weeks.
    assert abs(late[3][1][3.0] - late[3][0][9.0]) < 4

    if len(sys.argv) > 1:
        figure = Figure(figsize=(9.6, 3.3), layout="constrained")
        for axes, delay in zip(figure.subplots(1, len(DELAYS), sharey=True), DELAYS, strict=True):
            own = found[(found["delay"] == delay) & (found["after"] >= 0)].assign(
                relative=lambda x: 100 * x["relative"]
            )
            table = bands(own, "relative", by=["reload"], time="after", probabilities=(0.25, 0.5, 0.75))
            for (reload, rows), color in zip(table.groupby("reload"), ("#1f5a92", "#c8591a"), strict=True):
                axes.fill_between(rows["after"], rows["q25"], rows["q75"], color=color, alpha=0.2, lw=0)
                axes.plot(
                    rows["after"], rows["q50"], "o-", ms=4, color=color, label="8 mg/kg again" if reload else "6 mg/kg"
                )
            axes.axhspan(90, 110, color="#eeeeee", zorder=0)
            if delay == 1:  # Quartino 2019: a delay of over a week takes some six weeks without loading
                axes.axvline(6, color="grey", ls=":", lw=1)
                axes.text(6.3, 6, "published: about\n6 weeks to be back\nwithout loading", fontsize=7, color="#555555")
            axes.set(xlabel="weeks after the late dose", xticks=range(0, 19, 3), ylim=(0, 125))
            axes.set_title(f"{delay} week{'s' * (delay > 1)} late", loc="left")
        figure.axes[0].set_ylabel("trough, % of steady state\n(median, quartiles; grey: within 10 %)")
        figure.axes[2].legend(fontsize=8, loc="lower right")
        figure.savefig(sys.argv[1], dpi=130)
