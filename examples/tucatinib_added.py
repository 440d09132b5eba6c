"""What does tucatinib add to trastuzumab and to T-DM1, and in whom?

    python examples/tucatinib_added.py [figure.png]

Every patient of `tucatinib_added.toml` is treated in five arms. Cells with HER2 depend on its signal, which trastuzumab
and tucatinib take away at different places; those without it answer to neither. Loss of PTEN and mutant PIK3CA keep AKT
going without receptors. Prints responses and time to progression; with a file name it draws them.

Trials, with partners this model does not have, order the gain alike: the hazard of progression with tucatinib is 0.54
beside trastuzumab and capecitabine (HER2CLIMB, Murthy 2020 N Engl J Med 382:597) and 0.76 beside T-DM1 (HER2CLIMB-02,
Hurvitz 2023), both quoted from memory. The model sees no gain in time beside T-DM1: what grows back here are cells
without HER2, which neither reaches. Nor is the cohort weighted to a trial: more of it responds to T-DM1 than patients
do.
"""

import sys
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

import her2pkpd
from her2pkpd.cohort.summary_response import shares
from her2pkpd.cohort.survival import kaplan_meier

ALTERED = {(False, False): "neither", (False, True): "PIK3CA mutant", (True, False): "no PTEN", (True, True): "both"}
COLORS = {
    "trastuzumab": "#1f5a92",
    "trastuzumab + tucatinib": "#c8591a",
    "T-DM1": "#3b7d3a",
    "T-DM1 + tucatinib": "#555555",
    "T-DM1, then tucatinib": "#8a6db1",
}
SHOWN = list(COLORS)[:4]
"""Arms of the figure; under T-DM1 alone and before a second line patients fare alike."""


def draw(path: str, table: pd.DataFrame, change: pd.DataFrame) -> None:
    """Time to progression by arm, and the best change by what is altered downstream of HER2."""
    figure = Figure(figsize=(10.4, 3.7), layout="constrained")
    left, right = figure.subplots(1, 2)
    curves = {str(c.group["arm"]): c for c in kaplan_meier(table)}
    for arm in SHOWN:
        own = curves[arm]
        left.step([0.0, *own.time], [1.0, *own.survival], where="post", color=COLORS[arm], label=arm)
    left.set(xlabel="days", ylabel="progression-free, share of patients", ylim=(0.0, 1.03))
    left.legend(fontsize=8, loc="lower left")
    for k, arm in enumerate(SHOWN):
        places = [i + 0.18 * (k - 1.5) for i in range(len(ALTERED))]
        right.bar(places, change.loc[arm, list(ALTERED.values())], 0.17, color=COLORS[arm], label=arm)
    right.axhline(-30.0, color="grey", ls=":", lw=1)
    right.text(3.46, -29.0, "partial\nresponse", fontsize=7, color="#555555")
    right.axhline(0.0, color="black", lw=0.6)
    right.set_xticks(range(len(ALTERED)), list(ALTERED.values()))
    right.set_xlim(-0.5, 3.95)
    right.set(ylabel="best change of tumour size, median, %", xlabel="altered downstream of HER2")
    figure.savefig(path, dpi=130)


if __name__ == "__main__":
    cohort = her2pkpd.cohort(Path(__file__).with_name("tucatinib_added.toml"))
    table = cohort.endpoints.astype({"arm": str})
    rates = shares(table).query("best_response == 'CR or PR'").set_index("arm")["share"]
    late = 1.0 - table.groupby("arm")["progressed"].mean()
    print("% of patients          respond   not progressed after 36 weeks")
    for arm in COLORS:
        print(f"{arm:24} {100 * rates.get(arm, 0.0):5.0f} {100 * late[arm]:12.0f}")
    who = table.merge(cohort.patients[["patient", "PTEN_loss", "PIK3CA_mutation"]], on="patient")
    who["altered"] = [ALTERED[bool(a), bool(b)] for a, b in zip(who["PTEN_loss"], who["PIK3CA_mutation"], strict=True)]
    change = who.pivot_table("SLD.best_change", "arm", "altered", "median", observed=True)
    print("\nbest change of tumour size, median, %, by what is altered downstream of HER2")
    print(change.loc[list(COLORS), list(ALTERED.values())].round(0).to_string())
    second = table.loc[table["arm"] == "T-DM1, then tucatinib", "line"]
    print(f"\n{100 * (second == 2).mean():.0f} % of patients progress on T-DM1 and go on to tucatinib")

    # Tucatinib adds much to trastuzumab and little to T-DM1, and little where AKT does not need receptors.
    gain = change.loc["trastuzumab"] - change.loc["trastuzumab + tucatinib"]
    assert gain["neither"] > 2.0 * gain["no PTEN"] > 0.0
    assert gain["neither"] > gain["PIK3CA mutant"] > gain["both"]
    assert late["trastuzumab + tucatinib"] - late["trastuzumab"] > 0.2
    assert abs(late["T-DM1 + tucatinib"] - late["T-DM1"]) < 0.1
    assert rates["T-DM1 + tucatinib"] >= rates["T-DM1"]
    if len(sys.argv) > 1:
        draw(sys.argv[1], table, change)
