"""Figures of a cohort's outcome: waterfall, spider, Kaplan-Meier; and of what makes it differ: tornado, Sobol."""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from her2pkpd.cohort.response import DEEP, RISE
from her2pkpd.cohort.sensitivity import SobolResult
from her2pkpd.cohort.survival import SurvivalCurve
from her2pkpd.report.cohort_figures import COLORS, arms_of
from her2pkpd.report.figures import BLUE, GREEN, GREY, ORANGE, STYLE

RESPONSE_COLORS = {"CR": "#1d5e2f", "PR": GREEN, "SD": "#b9b9b9", "PD": ORANGE, "NE": "#e4d9b0", "": BLUE}
"""By best response."""

RECIST_LINES = (100.0 * (DEEP - 1.0), 100.0 * (RISE - 1.0))
"""%: partial response from baseline; progression, which is counted from the smallest sum and not from baseline."""


def waterfall_plot(table: pd.DataFrame, *, by: str = "arm") -> Figure:
    """Best change of every patient, one panel an arm, coloured by best response.

    Args:
        table: from `her2pkpd.cohort.summary_response.waterfall`.
        by: column of the arm.
    """
    arms = arms_of(table, by)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(1.0 + 3.6 * len(arms), 3.2), layout="constrained")
        panels = figure.subplots(1, len(arms), squeeze=False, sharey=True)[0]
        for axes, (arm, _, rows) in zip(panels, arms, strict=True):
            for response, own in rows.groupby("response", observed=True):
                width = own["right"] - own["left"]
                axes.bar(
                    100 * own["left"], own["change"], 100 * width, align="edge", lw=0, label=str(response),
                    color=RESPONSE_COLORS.get(str(response), GREY),
                )  # fmt: skip
            for line in RECIST_LINES:
                axes.axhline(line, color="k", lw=0.6, ls=":")
            axes.axhline(0.0, color="k", lw=0.6)
            axes.set(xlabel="patients, %", xlim=(0, 100), ylim=(-105, min(max(105.0, table["change"].max()), 205)))
            axes.set_title(str(arm), loc="left")
        panels[0].set_ylabel("best change of tumour size, %")
        if set(table["response"]) != {""}:
            names = [r for r in RESPONSE_COLORS if r in set(table["response"])]
            handles = [mpl.patches.Patch(color=RESPONSE_COLORS[r], label=r) for r in names]  # pyright: ignore[reportAttributeAccessIssue]
            panels[-1].legend(handles=handles, fontsize=7, loc="upper right", ncols=2)
    return figure


def spider_plot(table: pd.DataFrame, *, by: str = "arm", time: str = "time", per: float = 24.0) -> Figure:
    """Change of the tumour of a choice of patients over time, one panel an arm.

    Args:
        table: from `her2pkpd.cohort.summary_response.spider`.
        by: column of the arm.
        time: column of the time.
        per: hours in a unit of the horizontal axis.
    """
    who = next(c for c in table.columns if c not in (by, time, "change"))
    arms = arms_of(table, by)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(1.0 + 3.6 * len(arms), 3.2), layout="constrained")
        panels = figure.subplots(1, len(arms), squeeze=False, sharey=True)[0]
        for axes, (arm, _, rows) in zip(panels, arms, strict=True):
            for _, own in rows.groupby(who):
                end = own["change"].iloc[-1]
                color = GREEN if end <= RECIST_LINES[0] else ORANGE if end >= RECIST_LINES[1] else GREY
                axes.plot(own[time] / per, own["change"], color=color, lw=0.8, alpha=0.8)
            for line in RECIST_LINES:
                axes.axhline(line, color="k", lw=0.6, ls=":")
            axes.set(xlabel="days" if per == 24.0 else "time", ylim=(-105, min(max(105, table["change"].max()), 205)))
            axes.set_title(str(arm), loc="left")
        panels[0].set_ylabel("change of tumour size, %")
    return figure


def survival_figure(
    curves: Sequence[SurvivalCurve], label: str, *, by: str = "arm", unit: str = "days", ticks: int = 6
) -> Figure:
    """Kaplan-Meier curves with Greenwood bands, censoring marks for small groups, and numbers at risk below.

    Args:
        curves: from `her2pkpd.cohort.survival.kaplan_meier`.
        label: of the event-free state ("progression-free").
        by: key of the arm's name in each curve's group.
        unit: of the times.
        ticks: about so many times at which numbers at risk are shown.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.2, 3.2 + 0.22 * len(curves)), layout="constrained")
        axes, below = figure.subplots(2, 1, sharex=True, height_ratios=[3.2, 0.3 + 0.24 * len(curves)])
        end = max(float(c.time[-1]) for c in curves)
        places = [x for x in mpl.ticker.MaxNLocator(ticks).tick_values(0.0, end) if 0.0 <= x <= end]  # pyright: ignore[reportAttributeAccessIssue]
        for i, curve in enumerate(curves):
            color = COLORS[i % len(COLORS)]
            t = np.concatenate([[0.0], curve.time])
            name = str(curve.group.get(by, "patients"))
            s, low, high = (np.concatenate([[1.0], x]) for x in (curve.survival, curve.lower, curve.upper))
            axes.fill_between(t, low, high, step="post", color=color, alpha=0.18, lw=0)
            axes.step(t, s, where="post", color=color, lw=1.6, label=name)
            left = np.append(curve.at_risk[:-1] - curve.at_risk[1:], curve.at_risk[-1]) - curve.events > 0.5
            if np.sum(left) <= 200:
                axes.plot(curve.time[left], curve.survival[left], "|", color=color, ms=6)
            for x, n in zip(places, curve.at(places)["at_risk"], strict=True):
                below.text(x, -i, f"{n:,.0f}", ha="center", va="center", fontsize=7, color=color)
            below.text(-0.03, -i, name, ha="right", va="center", fontsize=7, color=color,
                       transform=below.get_yaxis_transform())  # fmt: skip
        axes.axhline(0.5, color=GREY, lw=0.6, ls=":")
        axes.set(ylim=(-0.02, 1.03), ylabel=f"{label}, share of patients", xlim=(0, end))
        axes.legend(fontsize=8)
        below.set(ylim=(-len(curves) + 0.4, 0.6), yticks=[], xlabel=unit)
        below.set_xticks(places)
        below.spines["left"].set_visible(False)
        below.set_title("at risk", loc="left", fontsize=8)
    return figure


def tornado_figure(table: pd.DataFrame, label: str, *, shown: int = 15) -> Figure:
    """Endpoint at the low and the high end of one input at a time, the widest swing on top.

    Args:
        table: from `her2pkpd.cohort.sensitivity.tornado`.
        label: of the endpoint, with its unit.
        shown: at most so many inputs.
    """
    rows = table.head(shown).iloc[::-1]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 1.2 + 0.3 * len(rows)), layout="constrained")
        axes = figure.add_subplot()
        base = float(table["base"].iloc[0])
        for i, row in enumerate(rows.to_dict("records")):
            axes.barh(i, row["at_low"] - base, left=base, color=BLUE, height=0.62, label="low end" if i == 0 else None)
            axes.barh(
                i, row["at_high"] - base, left=base, color=ORANGE, height=0.62, label="high end" if i == 0 else None
            )
        axes.axvline(base, color="k", lw=0.8)
        names = [f"{r['input']} ({r['low']:.3g} to {r['high']:.3g})" for r in rows.to_dict("records")]
        axes.set_yticks(range(len(rows)), names, fontsize=8)
        axes.set_xlabel(label)
        axes.legend(fontsize=7)
        axes.set_title("One input at a time, the others at their median", loc="left")
    return figure


def sobol_figure(found: SobolResult, label: str) -> Figure:
    """First-order and total indices with their intervals.

    Args:
        found: from `her2pkpd.cohort.sensitivity.sobol`.
        label: of the endpoint.
    """
    rows = found.indices.sort_values("total").reset_index(drop=True)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.2, 1.3 + 0.36 * len(rows)), layout="constrained")
        axes = figure.add_subplot()
        place = np.arange(len(rows))
        for name, color, shift in (("first", BLUE, 0.18), ("total", ORANGE, -0.18)):
            error = [rows[name] - rows[f"{name}_lower"], rows[f"{name}_upper"] - rows[name]]
            what = "by itself (first order)" if name == "first" else "with its interactions (total)"
            axes.barh(place + shift, rows[name], 0.34, xerr=error, color=color, label=what, error_kw={"lw": 0.9})
        axes.set_yticks(place, rows["input"], fontsize=8)
        axes.axvline(0.0, color="k", lw=0.6)
        axes.set_xlabel(f"share of the variance of {label}")
        axes.legend(fontsize=7, loc="lower right")
        axes.set_title(f"Sobol indices, {found.patients:,} patients", loc="left")
    return figure


def explained_figure(table: pd.DataFrame, label: str, *, by: str = "arm", shown: int = 10) -> Figure:
    """Share of the variance each input explains by itself, by arm.

    Args:
        table: from `her2pkpd.cohort.sensitivity_given.explained_variance`.
        label: of the endpoint.
        by: column of the arm.
        shown: at most so many inputs.
    """
    best: Any = table.groupby("input", observed=True)["share"].max()
    most = best.sort_values(ascending=False).head(shown)
    arms = arms_of(table, by)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 1.2 + (0.12 + 0.14 * len(arms)) * len(most)), layout="constrained")
        axes = figure.add_subplot()
        height = 0.8 / len(arms)
        for i, (arm, color, rows) in enumerate(arms):
            share = rows.set_index("input")["share"].reindex(most.index)
            place = -np.arange(len(most)) + (0.5 * (len(arms) - 1) - i) * height
            axes.barh(place, np.maximum(share, 0.0), height, color=color, label=str(arm))
        axes.set_yticks(-np.arange(len(most)), [str(x) for x in most.index], fontsize=8)
        axes.set_xlabel(f"share of the variance of {label}")
        axes.set_xlim(0.0, max(1.02 * float(most.iloc[0]), 0.05))
        axes.legend(fontsize=7, loc="lower right")
    return figure
