"""Does a heavy patient get more drug when the dose is per kilogram?

    python examples/weight_and_dose.py [figure.png]

Clearance grows more slowly than weight: with an exponent b, the AUC of a dose per kilogram grows as weight^(1 - b).
Prints the effect of each covariate of T-DXd on its exposure at steady state (Yin 2021 found all below 20 % but for a
weight of 86 kg, their 95th percentile, and an albumin of 31 g/L, the 5th), and exposure by weight for three drugs; with
a file name it draws both.
"""

import sys
import warnings

import numpy as np
from matplotlib.figure import Figure

from her2pkpd import load_drug
from her2pkpd.cohort.covariate_effects import covariate_effects
from her2pkpd.dosing.regimen import read_regimen
from her2pkpd.report.cohort_figures import forest_figure
from her2pkpd.simulate.patient import simulate_patient
from her2pkpd.simulate.patient_scenario import PatientDose, PatientScenario

REFERENCE = {"weight": 57.8, "albumin": 40.0, "tumour_burden": 57.0, "sex": "female", "japan": False}
MOVED = {"weight": [86.0], "albumin": [31.0], "tumour_burden": [13.0, 180.0], "sex": ["male"], "japan": [True]}
UNITS = [("weight", "kg"), ("albumin", "g/L"), ("tumour_burden", "mm")]
DRUGS = {
    # drug: model, regimen, exponent of weight on CL where all elimination is linear
    "T-DXd": ("Yin 2021", "5.4 mg/kg every 3 weeks", 0.370),
    "T-DM1": ("Lu 2014", "3.6 mg/kg every 3 weeks", 0.49),
    "trastuzumab": ("Quartino 2019", "6 mg/kg every 3 weeks, loading 8 mg/kg", None),
}
CYCLES = 16


def auc(drug: str, model: str, regimen: str, covariates: dict) -> float:
    """AUC of one patient over the last of `CYCLES` cycles, ug*d/mL."""
    entry, read = load_drug(drug), read_regimen(regimen)
    grid = np.unique(np.concatenate([np.linspace(0.0, 24.0, 60), np.linspace(24.0, read.interval, 200)]))
    times = (CYCLES - 1) * read.interval + grid * (1 - 1e-9)
    dose = PatientDose(entry, entry.pk[model], "iv", read, infusion=1.5)
    scenario = PatientScenario((dose,), times, (f"plasma.{drug}",), covariates)
    c = simulate_patient(scenario).table["value"].to_numpy()
    return float(np.trapezoid(c, grid) / 24.0)


if __name__ == "__main__":
    model, regimen, _ = DRUGS["T-DXd"]
    found = covariate_effects(
        lambda people: np.array([auc("T-DXd", model, regimen, dict(p)) for p in people]), REFERENCE, MOVED
    )
    print("T-DXd, 5.4 mg/kg: AUC at steady state relative to the reference patient")
    for row in found.to_dict("records"):
        print(f"  {row['covariate']:14} {row['value']!s:6} {row['ratio']:.3f}")
        large = abs(row["ratio"] - 1.0) >= 0.20
        assert large == (row["covariate"] == "weight")  # the albumin effect beyond 20 % is that on released DXd
    linear = {"weight": (86 / 57.8) ** (1 - 0.370), "albumin": (31 / 40) ** 0.533}
    for name, expected in linear.items():
        assert np.isclose(found.set_index("covariate").loc[name, "ratio"], expected, rtol=0.02)

    weights = np.array([49.0, 60.0, 70.0, 86.0, 98.0])
    curves = {}
    print("\nAUC relative to 70 kg at the same dose per kilogram, and flat (the dose of 70 kg)")
    print(f"{'kg':24}" + "".join(f"{w:8g}" for w in weights))
    for drug, (model, regimen, exponent) in DRUGS.items():
        per_kg = np.array([auc(drug, model, regimen, {"weight": w}) for w in weights])
        mg = float(regimen.split()[0]) * 70.0
        flat_text = f"{mg:g} mg every 3 weeks" + (", loading 560 mg" if drug == "trastuzumab" else "")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a flat dose is beyond the doses per kilogram that were studied
            flat = np.array([auc(drug, model, flat_text, {"weight": w}) for w in weights])
        curves[drug] = per_kg / per_kg[2], flat / flat[2]
        for label, curve in zip((f"{drug}, per kg", f"{drug}, flat"), curves[drug], strict=True):
            print(f"{label:24}" + "".join(f"{x:8.2f}" for x in curve))
        if exponent is not None:
            assert np.allclose(curves[drug][0], (weights / 70.0) ** (1 - exponent), rtol=0.02)
            assert np.allclose(curves[drug][1], (weights / 70.0) ** -exponent, rtol=0.02)

    if len(sys.argv) > 1:
        forest_figure(found, "AUC of T-DXd", units=UNITS).savefig(sys.argv[1].replace(".png", "_forest.png"), dpi=130)
        figure = Figure(figsize=(5.2, 3.4), layout="constrained")
        axes = figure.add_subplot()
        for drug, color in zip(DRUGS, ("#1f5a92", "#c8591a", "#3b7d3a"), strict=True):
            for curve, style, label in zip(
                curves[drug], ("-", "--"), (f"{drug}, per kg", f"{drug}, flat"), strict=True
            ):
                axes.plot(weights, curve, style, marker="o", ms=3, color=color, label=label)
        axes.axhspan(0.8, 1.25, color="#eeeeee", zorder=0)
        axes.set(xlabel="body weight, kg", ylabel="AUC at steady state, 70 kg = 1")
        axes.text(74, 0.812, "0.8 to 1.25", fontsize=7, color="#555555")
        axes.legend(fontsize=7, handlelength=3, loc="upper center", ncols=3)
        axes.set_ylim(0.7, 1.55)
        figure.savefig(sys.argv[1], dpi=130)
