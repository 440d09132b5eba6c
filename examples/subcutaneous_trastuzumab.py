"""Is trastuzumab under the skin, 600 mg for everybody, as good as 6 mg/kg into the vein, and for heavy patients too?

    python examples/subcutaneous_trastuzumab.py [figure.png]

The HannaH trial (early breast cancer) was judged by the trough before the eighth dose, and its patients were then
divided into quartiles of the steady-state trough. Prints the ratio of troughs, the share of each arm in the published
quartiles, and troughs by body weight; with a file name it draws them.
"""

import sys

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from her2pkpd import load_drug
from her2pkpd.cohort.attainment import attainment
from her2pkpd.cohort.summary import summarise
from her2pkpd.dosing.regimen import read_regimen
from her2pkpd.simulate.patient import simulate_patient
from her2pkpd.simulate.patient_scenario import PatientDose, PatientScenario

CYCLE = 504.0
PATIENTS = 1000
ARMS = {
    "IV 8/6 mg/kg": ("iv", "6 mg/kg every 3 weeks, loading 8 mg/kg", 1.5),
    "SC 600 mg": ("sc", "600 mg every 3 weeks", 0.0),
}
# Ismael 2012 Lancet Oncol 13:869: troughs before dose 8, geometric means, and their ratio with its 90 % interval.
TROUGHS, RATIO = {"IV 8/6 mg/kg": 51.8, "SC 600 mg": 69.0}, (1.24, 1.44)
# Quartino 2016 Cancer Chemother Pharmacol 77:77 Table 2: upper ends of quartiles of Cmin,ss, and patients in each.
QUARTILES = [45.9, 61.5, 78.2]
COUNTS = {"IV 8/6 mg/kg": [97, 84, 57, 22], "SC 600 mg": [33, 45, 73, 109]}
WEIGHTS = [0.0, 59.0, 68.0, 79.0, 999.0]  # the same table's quartiles of body weight


def treat(arm: str) -> pd.DataFrame:
    """Troughs before dose 8 and at steady state, ug/mL. Seeds are shared: both arms hold the same patients."""
    route, regimen, infusion = ARMS[arm]
    entry = load_drug("trastuzumab")
    dose = PatientDose(entry, entry.pk["Quartino 2016"], route, read_regimen(regimen), infusion=infusion)
    times = np.array([0.0, 7 * CYCLE * (1 - 1e-9), 17 * CYCLE * (1 - 1e-9)])
    scenario = PatientScenario((dose,), times, (), {}, "early breast", PATIENTS, seed=8)
    values = simulate_patient(scenario).table["value"].to_numpy().reshape(PATIENTS, 3)
    return pd.DataFrame({"arm": arm, "before dose 8": values[:, 1], "Cmin,ss": values[:, 2]})


def weights() -> np.ndarray:
    """Body weight of the same patients, kg: the scenario draws covariates first."""
    from her2pkpd.library.populations import load_population

    return np.array([p["weight"] for p in load_population("early breast").draw(PATIENTS, np.random.default_rng(8))])


if __name__ == "__main__":
    table = pd.concat([treat(arm).assign(weight=weights()) for arm in ARMS], ignore_index=True)
    table["weight quartile"] = pd.cut(table["weight"], WEIGHTS, labels=["< 59", "59-68", "68-79", "> 79"]).astype(str)
    means = summarise(table, ["before dose 8"]).set_index("arm")["geometric_mean"]
    for arm, published in TROUGHS.items():
        print(f"{arm:12} trough before dose 8: {means[arm]:.1f} ug/mL (published {published})")
        assert abs(means[arm] / published - 1.0) < 0.10
    ratio = means["SC 600 mg"] / means["IV 8/6 mg/kg"]
    print(f"SC over IV: {ratio:.2f} (published 1.33, 90 % interval {RATIO[0]} to {RATIO[1]})")
    assert RATIO[0] <= ratio <= RATIO[1]

    print("\nshare of patients in the published quartiles of Cmin,ss, %: simulated (observed)")
    for arm, counts in COUNTS.items():
        place = np.searchsorted(QUARTILES, table.loc[table["arm"] == arm, "Cmin,ss"])
        share, observed = np.bincount(place, minlength=4) / PATIENTS, np.array(counts) / np.sum(counts)
        print(f"{arm:12}", ", ".join(f"{100 * a:.0f} ({100 * b:.0f})" for a, b in zip(share, observed, strict=True)))
        # Published values are individual estimates, which lie closer together than patients do.
        assert np.all(np.abs(share - observed) < 0.15)

    print("\ntrough before dose 8 by body weight in kg, geometric mean, ug/mL")
    by_weight = summarise(table, ["before dose 8"], by=["arm", "weight quartile"])
    shown = by_weight.pivot(index="arm", columns="weight quartile", values="geometric_mean")[
        ["< 59", "59-68", "68-79", "> 79"]
    ]
    print(shown.round(0).to_string())
    above = attainment(table, "before dose 8", 20.0, by=["arm", "weight quartile"]).set_index(
        ["arm", "weight quartile"]
    )
    worst = above.loc[("SC 600 mg", "> 79"), "probability"]
    print(f"\nabove 20 ug/mL before dose 8: {100 * worst:.0f} % of patients over 79 kg on the fixed dose")
    assert worst > 0.95  # the fixed dose needs no adjustment (Quartino 2016)

    if len(sys.argv) > 1:
        figure = Figure(figsize=(8.4, 3.4), layout="constrained")
        left, right = figure.subplots(1, 2)
        for arm, color in zip(ARMS, ("#1f5a92", "#c8591a"), strict=True):
            own = table[table["arm"] == arm]
            left.hist(own["before dose 8"], np.linspace(0, 200, 51), color=color, alpha=0.5, label=arm)
            left.axvline(means[arm], color=color, label=f"geometric mean {means[arm]:.1f}")
            left.axvline(TROUGHS[arm], color=color, ls="--", label=f"HannaH {TROUGHS[arm]:g}")
            right.plot(own["weight"], own["before dose 8"], ".", ms=2, color=color, alpha=0.5)
            line = shown.loc[arm]
            right.plot([52, 63.5, 73, 90], line, "o-", color=color, mec="w", label=arm)
        left.set(xlabel="trough before dose 8, ug/mL", ylabel="patients")
        left.set_title(f"SC over IV {ratio:.2f} (HannaH 1.33, {RATIO[0]} to {RATIO[1]})", loc="left", fontsize=10)
        right.axhline(20.0, color="grey", ls=":")
        right.text(
            right.get_xlim()[1], 20.5, "20 ug/mL, the target", ha="right", va="bottom", fontsize=8, color="#555555"
        )
        right.set_title("Geometric means of weight quartiles", loc="left", fontsize=10)
        right.set(xlabel="body weight, kg", ylabel="trough before dose 8, ug/mL", yscale="log")
        right.set_yticks([10, 20, 50, 100, 200], ["10", "20", "50", "100", "200"])
        right.minorticks_off()
        left.legend(fontsize=8)
        figure.savefig(sys.argv[1], dpi=130)
