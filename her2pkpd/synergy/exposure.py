"""Dual blockade at clinical exposure: how long over a dosing cycle the tumour's signal stays suppressed.

Every treatment is given to the same patient at its label regimen (`her2pkpd.systems.patient`), and the tumour's
inhibition 1 - x(t)/x(0) is followed over the last cycle simulated, x being pAKT, pERK or the signal, and x(0) its
value in the untreated tumour with the same ligand.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from her2pkpd.dosing.regimen import read_regimen
from her2pkpd.errors import Problems
from her2pkpd.library import load_drug
from her2pkpd.library.pk import route_model
from her2pkpd.settings import nearest
from her2pkpd.simulate.patient import simulate_patient
from her2pkpd.simulate.patient_scenario import PatientDose, PatientScenario
from her2pkpd.systems.patient import TUMOUR

LABEL = {
    # Herceptin label, every-3-weeks schedule; the first infusion lasts 90 min.
    "trastuzumab": ("iv", "6 mg/kg every 3 weeks, loading 8 mg/kg", 1.5),
    # Perjeta label; the first infusion lasts 60 min.
    "pertuzumab": ("iv", "420 mg every 3 weeks, loading 840 mg", 1.0),
    # Tyverb label (EU) with trastuzumab; alone or with other partners it is given at 1250 or 1500 mg.
    "lapatinib": ("oral", "1000 mg once daily", 0.0),
}
"""Route, regimen and infusion (h) by drug."""

TREATMENTS = (
    ("trastuzumab",),
    ("pertuzumab",),
    ("trastuzumab", "pertuzumab"),
    ("trastuzumab", "lapatinib"),
    ("trastuzumab", "pertuzumab", "lapatinib"),
)
"""What is compared by default. All three together is a question to the model and on no label."""

READ_OUTS = ("pAKT", "pERK", "signal")
CYCLE = 504.0
"""h; three weeks."""

_STEP = 3.0
"""h between outputs: eight in a day of lapatinib."""


def label_dose(drug: str) -> PatientDose:
    """A drug of `LABEL` as it is given.

    Raises:
        InputError: for a drug without an entry there.
    """
    problems = Problems()
    _known([drug], problems)
    problems.raise_any()
    route, regimen, infusion = LABEL[drug]
    entry = load_drug(drug)
    model = route_model(entry.pk, route)
    assert model is not None
    return PatientDose(entry, model, route, read_regimen(regimen), infusion=infusion)


def inhibition(
    drugs: Sequence[str],
    *,
    HER2: float,
    NRG1: float = 0.0,
    read_out: str = "pAKT",
    cycle: int = 8,
    scenario: PatientScenario | None = None,
) -> pd.DataFrame:
    """Inhibition of a tumour's read-out over one cycle.

    Args:
        drugs: given together, of `LABEL`.
        HER2: copies/cell.
        NRG1: around the cells, nM; constant.
        read_out: one of `READ_OUTS`.
        cycle: which one, the first being 1.
        scenario: patients, covariates, the rest of the tumour and overrides; its doses, times and variables are
            replaced. By default the typical patient.

    Returns:
        Columns ``time`` (h from the start of the cycle), ``inhibition`` (fraction), ``volume`` (mL), ``id`` of the
        patient and ``status``; a patient whose computation failed has NaN.

    Raises:
        InputError: for unknown drugs or read-outs, and numbers out of range.
    """
    _check(drugs, HER2, NRG1, read_out, cycle)
    start = (cycle - 1) * CYCLE
    times = np.unique(np.append(np.arange(start, start + CYCLE + _STEP / 2, _STEP), 0.0))
    output, volume = f"{read_out}.{TUMOUR}", f"{TUMOUR}.volume"
    asked = scenario or PatientScenario((), np.zeros(1))
    asked = replace(
        asked,
        doses=tuple(label_dose(d) for d in drugs),
        times=times,
        variables=(output, volume),
        tumour={**(asked.tumour or {}), "HER2": HER2, "NRG1": NRG1},
    )
    table = simulate_patient(asked).table
    shown, sizes = (table.loc[table["variable"] == name] for name in (output, volume))
    untreated = shown.groupby("id")["value"].transform("first")
    found = pd.DataFrame(
        {
            "id": shown["id"].to_numpy(),
            "time": shown["time"].to_numpy() - start,
            "inhibition": (1.0 - shown["value"] / untreated).to_numpy(),
            "volume": sizes["value"].to_numpy(),
            "status": shown["status"].to_numpy(),
        }
    )
    return found.loc[found["time"] >= 0.0].reset_index(drop=True)


def time_above(time: np.ndarray, value: np.ndarray, target: float) -> float:
    """Share of the time that a piecewise linear curve is above a target; NaN where the curve is.

    Args:
        time: (n,) ascending.
        value: (n,).
        target: the value to be exceeded.
    """
    above = np.asarray(value, dtype=float) - target
    left, right = above[:-1], above[1:]
    with np.errstate(invalid="ignore", divide="ignore"):
        crossing = np.maximum(left, right) / np.abs(right - left)
    share = np.where((left > 0) & (right > 0), 1.0, np.where((left <= 0) & (right <= 0), 0.0, crossing))
    share = np.where(np.isnan(above[:-1] + above[1:]), np.nan, share)
    return float(np.sum(share * np.diff(time)) / (time[-1] - time[0]))


def dual_blockade(
    her2: Sequence[float],
    nrg1: Sequence[float],
    *,
    treatments: Sequence[Sequence[str]] = TREATMENTS,
    target: float = 0.8,
    read_out: str = "pAKT",
    cycle: int = 8,
    scenario: PatientScenario | None = None,
) -> pd.DataFrame:
    """Time above a target inhibition over a cycle, by receptor level, ligand and treatment.

    Args:
        her2: receptor levels, copies/cell.
        nrg1: ligand around the cells, nM.
        treatments: drugs of `LABEL` given together.
        target: inhibition, fraction.
        read_out: one of `READ_OUTS`.
        cycle: the cycle looked at. By the eighth plasma repeats itself within a few per cent; the tumour still grows
            or shrinks.
        scenario: see `inhibition`.

    Returns:
        One row per receptor level, ligand, treatment and patient: ``HER2, NRG1, treatment, id, time_above`` (fraction
        of the cycle), ``lowest`` and ``mean`` inhibition, ``volume`` (mL, end of the cycle), ``status``.

    Raises:
        InputError: for unknown drugs or read-outs, and numbers out of range.
    """
    if not 0.0 < target < 1.0:
        problems = Problems()
        problems.add("must lie between 0 and 1", "Give the inhibition as a fraction.", column="target", value=target)
        problems.raise_any()
    rows = []
    for level in her2:
        for ligand in nrg1:
            for drugs in treatments:
                course = inhibition(drugs, HER2=level, NRG1=ligand, read_out=read_out, cycle=cycle, scenario=scenario)
                for number, one in course.groupby("id"):
                    x, status = one["inhibition"].to_numpy(), one["status"].iloc[0]
                    above = time_above(one["time"].to_numpy(), x, target)
                    last = one["volume"].iloc[-1]
                    rows.append((level, ligand, " + ".join(drugs), number, above, x.min(), x.mean(), last, status))
    names = ["HER2", "NRG1", "treatment", "id", "time_above", "lowest", "mean", "volume", "status"]
    return pd.DataFrame(rows, columns=names)


def benefit(table: pd.DataFrame, added: str = "pertuzumab") -> pd.DataFrame:
    """What a drug adds to every treatment that is in the table with and without it.

    Args:
        table: of `dual_blockade`.
        added: the drug.

    Returns:
        ``HER2, NRG1, to, id, without, together, gain``: the treatment it is added to, both times above the target and
        their difference, fractions of the cycle.
    """
    drugs = [t.split(" + ") for t in table["treatment"]]
    to = [" + ".join(d for d in names if d != added) for names in drugs]
    has = pd.Series([added in names for names in drugs], index=table.index)
    keys = ["HER2", "NRG1", "to", "id"]
    times = table.assign(to=to, together=table["time_above"], without=table["time_above"])
    merged = pd.merge(times.loc[~has, [*keys, "without"]], times.loc[has, [*keys, "together"]], on=keys)
    return merged.assign(gain=merged["together"] - merged["without"])


def _check(drugs: Sequence[str], her2: float, nrg1: float, read_out: str, cycle: int) -> None:
    problems = Problems()
    _known(drugs, problems)
    if len(set(drugs)) < len(drugs) or not drugs:
        problems.add("drugs must be one or more, each once", "Name every drug once.", value=" + ".join(drugs))
    if read_out not in READ_OUTS:
        problems.add(f"unknown read-out '{read_out}'", nearest(read_out, READ_OUTS), column="read_out")
    for name, value, fine in (("HER2", her2, her2 > 0), ("NRG1", nrg1, nrg1 >= 0), ("cycle", cycle, cycle >= 1)):
        if not fine:
            problems.add("is out of range", "Correct the number.", column=name, value=value)
    problems.raise_any()


def _known(drugs: Sequence[str], problems: Problems) -> None:
    for drug in drugs:
        if drug not in LABEL:
            problems.add(f"no label regimen of '{drug}' is known here", nearest(drug, LABEL), column="drug")
