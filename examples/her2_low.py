"""Two conjugates in HER2-low tumours with cells that have no HER2: which one, and in whom?

    python examples/her2_low.py [figure.png]

Every patient of `her2_low.toml` is treated with T-DXd and with T-DM1. The cells' sensitivity to payloads is known so
poorly that the cohort is only plausible: more of it responds than of patients. It is therefore weighted to the
response rate of DESTINY-Breast04, and the comparison repeated. Prints responses in both; with a file name it draws the
waterfall and the time to progression.
"""

import sys
from pathlib import Path

import numpy as np

import her2pkpd
from her2pkpd.cohort.summary_quantiles import quantiles
from her2pkpd.cohort.summary_response import RESPONDERS, shares, waterfall
from her2pkpd.cohort.survival import kaplan_meier
from her2pkpd.cohort.weights import Target, tilt
from her2pkpd.report.cohort_outcome_figures import survival_figure, waterfall_plot

TDXD, TDM1 = "T-DXd 5.4 mg/kg", "T-DM1 3.6 mg/kg"
RESPONSE_RATE = 0.523  # Modi 2022 N Engl J Med 387:9, quoted from memory

if __name__ == "__main__":
    cohort = her2pkpd.cohort(Path(__file__).with_name("her2_low.toml"))
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
    if len(sys.argv) > 1:
        waterfall_plot(waterfall(table, weights=population.weights)).savefig(sys.argv[1], dpi=130)
        curves = kaplan_meier(table, weights=population.weights)
        survival_figure(curves, "progression-free").savefig(sys.argv[1].replace(".png", "_pfs.png"), dpi=130)
