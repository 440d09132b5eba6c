"""Exposures of the library's models against labels and papers: writes benchmarks/results/exposures.json.

Virtual patients are drawn from the library's populations; medians with the 5th and 95th percentile are compared with
what was published, within a tolerance fixed beforehand. Run: python benchmarks/exposures.py
"""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from her2pkpd.dosing.regimen import read_regimen
from her2pkpd.library import load_drug
from her2pkpd.simulate.patient import simulate_patient
from her2pkpd.simulate.patient_scenario import PatientDose, PatientScenario

RESULT = Path(__file__).parent / "results" / "exposures.json"
N = 1000
LN2 = float(np.log(2))


@dataclass(frozen=True)
class Exposure:
    """Of one interval, per patient: AUC (per day or h), trough, peak, all in the unit of the drug."""

    auc: np.ndarray
    trough: np.ndarray
    peak: np.ndarray
    peak_time: np.ndarray


def exposure(
    drug: str,
    regimen: str,
    model: str,
    *,
    route: str = "iv",
    infusion: float = 0.0,
    interval: int = 1,
    population: str = "metastatic breast",
    **own: Any,
) -> Exposure:
    """Exposure in one dosing interval; keywords beyond these are covariates, `n` and `of` (the analyte)."""
    n, of, per = own.pop("n", N), own.pop("of", drug), own.pop("per", 24.0)
    entry, read = load_drug(drug), read_regimen(regimen)
    start = (interval - 1) * read.interval
    grid = np.unique(np.concatenate([np.linspace(0, 0.02, 40), np.linspace(0.02, 0.2, 60), np.linspace(0.2, 1, 120)]))
    # A state saved at a dose is the one after it: the trough is read a moment before.
    times = start + read.interval * grid * (1 - 1e-9)
    dose = PatientDose(entry, entry.pk[model], route, read, infusion=infusion)
    scenario = PatientScenario((dose,), times, (f"plasma.{of}",), own, population, n, seed=20)
    result = simulate_patient(scenario)
    assert result.solution.ok.all()
    c = result.table["value"].to_numpy().reshape(max(n, 1), times.size)
    t = times - start
    return Exposure(np.trapezoid(c, t, axis=1) / per, c[:, -1], c.max(axis=1), t[c.argmax(axis=1)])


def row(
    number: str,
    test: str,
    published: float,
    values: Any,
    tolerance: float,
    *,
    note: str = "",
    geometric: bool = False,
) -> dict[str, Any]:
    """One row of the table; a number is compared by itself, patients by their median (or geometric mean)."""
    values = np.atleast_1d(values)
    ours = float(np.exp(np.mean(np.log(values)))) if geometric else float(np.median(values))
    spread = [float(x) for x in np.percentile(values, (5, 95))] if values.size > 1 else None
    ok = abs(ours / published - 1) <= tolerance
    return {
        "row": number,
        "test": test,
        "published": published,
        "ours": ours,
        "p5_p95": spread,
        "tolerance": tolerance,
        "pass": bool(ok),
        "patients": int(values.size) if values.size > 1 else 0,
        "note": note,
    }


def half_life(model: str, drug: str) -> float:
    """Terminal half-life of a linear two-compartment model, d."""
    p = load_drug(drug).pk[model].individual({})
    k, k12, k21 = p["CL"] / p["Vc"], p["Q"] / p["Vc"], p["Q"] / p["Vp"]
    total = k + k12 + k21
    return LN2 / (0.5 * (total - np.sqrt(total**2 - 4 * k * k21))) / 24.0


def trastuzumab() -> Iterator[dict[str, Any]]:
    """Rows 1 to 10."""
    q19, iv = "Quartino 2019", {"infusion": 1.5}
    q3w = exposure("trastuzumab", "6 mg/kg every 3 weeks, loading 8 mg/kg", q19, interval=20, **iv)
    qw = exposure("trastuzumab", "2 mg/kg every week, loading 4 mg/kg", q19, interval=60, **iv)
    first = exposure("trastuzumab", "6 mg/kg every 3 weeks, loading 8 mg/kg", q19, **iv)
    reference = {"weight": 66.0, "tumour_type": "gastric", "n": 0}
    gastric = exposure("trastuzumab", "6 mg/kg every 3 weeks, loading 8 mg/kg", q19, interval=20, **iv, **reference)
    yield row("1", "trastuzumab 8/6 mg/kg q3w, AUCss (ug*d/mL)", 1794, q3w.auc, 0.10)
    yield row("1", "same, 95th percentile", 3618, np.percentile(q3w.auc, 95), 0.20)
    yield row("2", "same, Cmin,ss (ug/mL)", 47.4, q3w.trough, 0.15, note="the 5th percentile is not reproducible")
    yield row("3", "same, Cmax,ss (ug/mL)", 179, q3w.peak, 0.20, note="the model's peak is known to run 12 % high")
    yield row("4", "trastuzumab 4/2 mg/kg weekly, AUCss over 3 weeks", 1765, 3 * qw.auc, 0.10)
    yield row("4", "same, Cmin,ss", 66.1, qw.trough, 0.15)
    yield row("5", "trastuzumab 8 mg/kg, cycle 1 AUC", 1373, first.auc, 0.10)
    yield row("5", "same, Cmin", 29.4, first.trough, 0.15)
    yield row("6", "gastric, 66 kg, 8/6 mg/kg, AUCss", 1338, gastric.auc, 0.05)
    yield row("6", "same, Cmin,ss", 32.9, gastric.trough, 0.05)
    yield row("6", "same, Cmax,ss", 131, gastric.peak, 0.15)
    p = load_drug("trastuzumab").pk[q19].individual({})
    mass = load_drug("trastuzumab").molar_mass.canonical
    for c, published in ((179.0, 0.173), (47.4, 0.283)):
        total = 24 * (p["CL"] + p["Vmax"] / (p["Km"] + c * 1e6 / mass))
        yield row("7", f"total CL at {c:g} ug/mL (L/d)", published, total, 0.01, note="closed form")
    yield row("8", "below 1 ug/mL 7 months after the last of 18 doses (fraction, at least 0.95)", 1.0, washout(), 0.05)
    early = {"population": "early breast"}
    sc = {"route": "sc", **early}
    eight = exposure(
        "trastuzumab", "6 mg/kg every 3 weeks, loading 8 mg/kg", "Quartino 2016", interval=7, **iv, **early
    )
    under = exposure("trastuzumab", "600 mg every 3 weeks", "Quartino 2016", interval=7, **sc)
    one = exposure("trastuzumab", "600 mg every 3 weeks", "Quartino 2016", **sc)
    yield row("9", "HannaH, trough before dose 8, IV (geometric mean)", 51.8, eight.trough, 0.10, geometric=True)
    yield row("9", "same, SC", 69.0, under.trough, 0.10, geometric=True)
    yield row("10", "SC 600 mg, cycle 1 Cmin", 28.2, one.trough, 0.10)
    yield row("10", "same, Cmax", 79.3, one.peak, 0.10)
    yield row("10", "same, AUC", 1065, one.auc, 0.10)


def washout() -> float:
    """Fraction of patients below 1 ug/mL seven months after the last of 18 doses."""
    entry = load_drug("trastuzumab")
    read = read_regimen("6 mg/kg every 3 weeks, loading 8 mg/kg, 18 doses")
    end = 17 * read.interval + 7 * 30.44 * 24
    dose = PatientDose(entry, entry.pk["Quartino 2019"], "iv", read, infusion=1.5)
    scenario = PatientScenario((dose,), np.array([end]), (), {}, "metastatic breast", N, seed=20)
    return float((simulate_patient(scenario).table["value"] < 1.0).mean())


def others() -> Iterator[dict[str, Any]]:
    """Rows 13 to 27."""
    yield row(
        "13", "pertuzumab half-life, Garg (d)", 18.0, half_life("Garg 2014", "pertuzumab"), 0.02, note="closed form"
    )
    early = {"population": "early breast", "interval": 7}
    sc = exposure("pertuzumab", "600 mg every 3 weeks, loading 1200 mg", "Wang 2021", route="sc", **early)
    iv = exposure("pertuzumab", "420 mg every 3 weeks, loading 840 mg", "Wang 2021", infusion=1.0, **early)
    yield row("14", "FeDeriCa cycle-7 trough, SC (geometric mean)", 88.7, sc.trough, 0.10, geometric=True)
    yield row("14", "same, IV", 72.4, iv.trough, 0.12, geometric=True)
    yield row("16", "T-DM1 half-life, Lu (d)", 3.94, half_life("Lu 2014", "T-DM1"), 0.01, note="closed form")
    typical = {"interval": 6, "infusion": 0.5, "weight": 57.8, "bsa": 1.57, "n": 0}
    intact = exposure("T-DXd", "5.4 mg/kg every 3 weeks", "Yin 2021", **typical)
    free = exposure("T-DXd", "5.4 mg/kg every 3 weeks", "Yin 2021", of="DXd", **typical)
    yield row("21", "T-DXd 5.4 mg/kg, cycle 6 AUC (ug*d/mL)", 735, intact.auc, 0.10, note="typical patient")
    yield row("21", "same, Cmax (ug/mL)", 122, intact.peak, 0.10, note="typical patient")
    yield row("22", "DXd, AUC (ng*d/mL)", 28, free.auc, 0.15, note="typical patient; DAR 8 chosen as the factor")
    yield row("22", "same, Cmax (ng/mL)", 4.4, free.peak, 0.15, note="typical patient")
    oral = {"route": "oral", "n": 0, "interval": 30, "per": 1.0}
    lapatinib = exposure("lapatinib", "1250 mg once daily", "label", **oral)
    yield row("25", "lapatinib 1250 mg, AUCss (ug*h/mL)", 36.2, lapatinib.auc / 1e3, 0.02, note="derived set")
    yield row("25", "same, Cmax,ss (ug/mL)", 2.43, lapatinib.peak / 1e3, 0.02, note="derived set")
    yield row("25", "same, Tmax (h)", 4.0, lapatinib.peak_time, 0.05, note="derived set")
    tucatinib = exposure("tucatinib", "300 mg twice daily", "Zhang 2024", **oral)
    yield row("27", "tucatinib 300 mg bid, AUCss (ng*h/mL)", 5770, tucatinib.auc, 0.10, note="typical patient")
    yield row("27", "same, Cmax,ss (ng/mL)", 759, tucatinib.peak, 0.10, note="typical patient")
    yield row("27", "same, Ctrough (ng/mL)", 303, tucatinib.trough, 0.15, note="typical patient")


def main() -> None:
    """Run everything and write the result."""
    begun = time.perf_counter()
    rows = [*trastuzumab(), *others()]
    for r in rows:
        print(
            f"{'pass' if r['pass'] else 'FAIL'} {r['row']:>3} {r['test']}: {r['ours']:.4g} against {r['published']:g}"
        )
    result = {"patients": N, "seed": 20, "seconds": round(time.perf_counter() - begun, 1), "rows": rows}
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
