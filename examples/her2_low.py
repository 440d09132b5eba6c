"""Two conjugates in HER2-low tumours with cells that have no HER2: which one, and in whom?

    python examples/her2_low.py [figure.png]

Every patient of `her2_low.toml` is treated with T-DXd and with T-DM1. The cells' sensitivity to payloads is known so
poorly that the cohort is only plausible: more of it responds than of patients. It is therefore weighted to the
response rate of DESTINY-Breast04, and the comparison repeated. Prints responses in both, and what T-DM1 would achieve
if its payload killed half or three times as fast; with a file name it draws the waterfall and the time to progression.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

import her2pkpd
from her2pkpd.cohort.read import read_cohort
from her2pkpd.cohort.settings import Solver
from her2pkpd.cohort.summary_quantiles import quantiles
from her2pkpd.cohort.summary_response import RESPONDERS, shares, waterfall
from her2pkpd.cohort.survival import kaplan_meier
from her2pkpd.cohort.weights import Target, tilt
from her2pkpd.report.cohort_outcome_figures import survival_figure, waterfall_plot

TDXD, TDM1 = "T-DXd 5.4 mg/kg", "T-DM1 3.6 mg/kg"
RESPONSE_RATE = 0.523  # Modi 2022 N Engl J Med 387:9, quoted from memory
SETTINGS = Path(__file__).with_name("her2_low.toml")
KMAX = 0.139  # of T-DM1 in people, 1/d, Scheuher 2023; in a dish it is three times as much


def responders(kmax: float, weights: pd.Series) -> float:
    """Share of weighted patients who respond to T-DM1 if its payload kills at most at a rate, 1/d."""
    settings = read_cohort(SETTINGS)
    slower = {f"{cells}.Lys-MCC-DM1.kmax": f"{kmax} 1/d" for cells in ("HER2+", "HER2-")}
    arms = tuple(arm for arm in settings.arms if arm.name == TDM1)
    settings = replace(settings, arms=arms, parameters=slower, solver=Solver(rtol=0.01))
    table = her2pkpd.cohort(settings).endpoints.set_index("patient")
    return float(np.average(table["best_response"].isin(RESPONDERS), weights=weights))


if __name__ == "__main__":
    cohort = her2pkpd.cohort(SETTINGS)
    table = cohort.endpoints
    table["responded"] = table["best_response"].isin(RESPONDERS).astype(float)
    population = tilt(table, [Target("responded", "mean", RESPONSE_RATE, where=(("arm", TDXD),))])

    for label, weights in (("plausible cohort", None), ("weighted to the trial", population.weights)):
        rates = shares(table, weights=weights).query("best_response == 'CR or PR'").set_index("arm")
        print(f"{label}: objective response, %", (100 * rates["share"]).round(1).to_dict())
        assert rates.loc[TDXD, "share"] > rates.loc[TDM1, "share"] + 0.15
    assert abs(rates.loc[TDXD, "share"] - RESPONSE_RATE) < 1e-6
    size, worth = population.patients, population.effective
    print(f"the weighted cohort of {size} patients is worth {worth:.0f}")
    kc50 = cohort.patients["HER2+.DXd.kc50"].to_numpy()
    medians = [quantiles(kc50, [0.5], w)[0] for w in (None, population.weights.to_numpy())]
    print("median DXd in cells that kills at half speed, nM: {:.0f}, weighted {:.0f}".format(*medians))

    responded = table.pivot(index="patient", columns="arm", values="responded") > 0.5
    only = {arm: float(np.average(responded[arm] & ~responded[other], weights=population.weights))
            for arm, other in ((TDXD, TDM1), (TDM1, TDXD))}  # fmt: skip
    print("same patient, %, responds to one conjugate only:", {arm: round(100 * x, 1) for arm, x in only.items()})
    # T-DXd is active in HER2-low tumours and in mixed ones, T-DM1 is not or less (Ogitani 2016 Clin Cancer Res 22:5097
    # and Cancer Sci 107:1039): patient by patient, not only on average.
    assert only[TDXD] > 0.15
    assert only[TDM1] < 0.01
    found = {factor: responders(factor * KMAX, population.weights) for factor in (0.5, 1.0, 3.0)}
    print("T-DM1, % of weighted patients who respond, by factor on the largest rate of kill:",
          {factor: round(100 * x, 1) for factor, x in found.items()})  # fmt: skip
    assert max(found.values()) < RESPONSE_RATE - 0.15  # the order of the two does not hang on it

    if len(sys.argv) > 1:
        figure = waterfall_plot(waterfall(table, weights=population.weights))
        for axes in figure.axes:
            share = 100 * rates.loc[axes.get_title(loc="left"), "share"]
            weighted = ", as in DESTINY-Breast04" if axes.get_title(loc="left") == TDXD else ""
            axes.set_title(f"{axes.get_title(loc='left')}: CR or PR {share:.0f} %{weighted}", loc="left", fontsize=9)
        figure.savefig(sys.argv[1], dpi=130)
        curves = kaplan_meier(table, weights=population.weights)
        survival_figure(curves, "progression-free").savefig(sys.argv[1].replace(".png", "_pfs.png"), dpi=130)
