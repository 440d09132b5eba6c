"""Non-compartmental analysis of concentration-time profiles.

AUC is linear while the concentration rises or stays, logarithmic while it falls. Values below the limit of
quantification (blank, or text such as "<0.5" or "BLQ") are zero before the first measurable concentration and left
out after it. lambda_z is the log-linear slope of the last 3 or more points after Cmax that has the largest adjusted
R^2; among fits within 1e-4 of the best, the one with the most points.

Source: Gabrielsson & Weiner, Pharmacokinetic and Pharmacodynamic Data Analysis, 5th edition (2016), chapter on NCA.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from her2pkpd.data.limits import LEFT, split_limit
from her2pkpd.data.table import Columns, Source, Table, read_table
from her2pkpd.errors import InputError
from her2pkpd.units import convert

COLUMNS = Columns(
    ("id", "time", "time_unit", "concentration", "unit", "dose", "dose_unit"),
    ("route", "infusion", "tau"),
    aliases={"subject": "id", "conc": "concentration"},
    hints={"dv": "concentration", "amt": "dose"},
)
BELOW = ("", ".", "blq", "bql", "bloq", "na", "nan")
_TIE = 1e-4
_LEAST = 3


@dataclass(frozen=True)
class Profile:
    """One profile.

    Attributes:
        time: (n,) h after the dose, ascending.
        concentration: (n,) NaN where below the limit of quantification.
        dose: in the mass or amount unit of the concentration.
        route: "iv" (bolus), "infusion", "sc" or "oral".
        infusion: h, of an infusion.
        tau: dosing interval, h, for a profile at steady state; 0 for a single dose.
    """

    time: np.ndarray
    concentration: np.ndarray
    dose: float
    route: str = "oral"
    infusion: float = 0.0
    tau: float = 0.0


@dataclass(frozen=True)
class Slope:
    """The terminal slope.

    Attributes:
        lambda_z: 1/h; NaN where no fit was possible.
        intercept: logarithm of the fitted concentration at time 0.
        points: how many points.
        first: time of the first of them, h.
        r2_adjusted: of the fit.
        reason: why there is none, or the rule it was found by.
    """

    lambda_z: float
    intercept: float
    points: int
    first: float
    r2_adjusted: float
    reason: str


def usable(profile: Profile) -> tuple[np.ndarray, np.ndarray]:
    """Times and concentrations after the rule for values below the limit of quantification."""
    seen = np.isfinite(profile.concentration) & (profile.concentration > 0)
    first = int(np.argmax(seen)) if seen.any() else len(seen)
    early = np.arange(len(seen)) < first
    keep = seen | early
    return profile.time[keep], np.where(early, 0.0, profile.concentration)[keep]


def segment_areas(t: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """AUC and AUMC of every interval: linear up, logarithmic down."""
    dt, c1, c2, t1, t2 = np.diff(t), c[:-1], c[1:], t[:-1], t[1:]
    down = (c2 < c1) & (c2 > 0)
    ratio = np.where(down, c1 / np.where(down, c2, 1.0), math.e)
    k = np.log(ratio) / np.where(dt > 0, dt, 1.0)
    logarithmic = (c1 - c2) / np.where(down, k, 1.0)
    moment = (t1 * c1 - t2 * c2) / np.where(down, k, 1.0) + logarithmic / np.where(down, k, 1.0)
    auc = np.where(down, logarithmic, 0.5 * dt * (c1 + c2))
    # A product of two lines is a parabola; Simpson's rule is exact for it.
    linear_moment = dt / 6.0 * (t1 * c1 + (t1 + t2) * (c1 + c2) + t2 * c2)
    return np.where(dt > 0, auc, 0.0), np.where(dt > 0, np.where(down, moment, linear_moment), 0.0)


def auc_between(t: np.ndarray, c: np.ndarray, start: float, stop: float) -> float:
    """Partial AUC; concentrations at the ends are interpolated by the same rule."""
    inside = (t > start) & (t < stop)
    times = np.concatenate([[start], t[inside], [stop]])
    return float(segment_areas(times, np.array([interpolate(t, c, x) for x in times]))[0].sum())


def interpolate(t: np.ndarray, c: np.ndarray, at: float) -> float:
    """Concentration between two points: logarithmic while falling, linear otherwise; NaN outside."""
    if not t[0] <= at <= t[-1]:
        return math.nan
    i = min(int(np.searchsorted(t, at, side="right")) - 1, len(t) - 2)
    if at == t[i]:
        return float(c[i])
    share = (at - t[i]) / (t[i + 1] - t[i])
    if 0 < c[i + 1] < c[i]:
        return float(c[i] * (c[i + 1] / c[i]) ** share)
    return float(c[i] + share * (c[i + 1] - c[i]))


def terminal_slope(t: np.ndarray, c: np.ndarray, *, bolus: bool = False) -> Slope:
    """The terminal slope by the rule of best adjusted R^2.

    Args:
        t: times, h.
        c: concentrations.
        bolus: whether Cmax itself may take part, as after an intravenous bolus.
    """
    none = Slope(math.nan, math.nan, 0, math.nan, math.nan, "")
    positive = np.flatnonzero(c > 0)
    if positive.size < _LEAST:
        return _because(none, f"fewer than {_LEAST} measurable concentrations")
    peak = int(np.argmax(c))
    tail = positive[positive >= peak] if bolus else positive[positive > peak]
    fits = []
    for count in range(_LEAST, len(tail) + 1):
        x, y = t[tail[-count:]], np.log(c[tail[-count:]])
        slope, intercept = np.polyfit(x, y, 1)
        residual, total = np.sum((y - slope * x - intercept) ** 2), np.sum((y - y.mean()) ** 2)
        r2 = 1.0 - residual / total if total > 0 else 0.0
        fits.append(Slope(-slope, intercept, count, float(x[0]), 1 - (1 - r2) * (count - 1) / (count - 2), "best fit"))
    falling = [f for f in fits if f.lambda_z > 0]
    if not falling:
        why = f"fewer than {_LEAST} points after Cmax" if not fits else "the concentration does not fall at the end"
        return _because(none, why)
    best = max(f.r2_adjusted for f in falling)
    return max((f for f in falling if f.r2_adjusted >= best - _TIE), key=lambda f: f.points)


def _because(slope: Slope, reason: str) -> Slope:
    return Slope(slope.lambda_z, slope.intercept, slope.points, slope.first, slope.r2_adjusted, reason)


def analyse(profile: Profile) -> dict[str, float | str]:
    """All metrics of one profile.

    Returns:
        ``Cmax, Tmax, Clast, Tlast, AUClast, AUMClast, lambda_z, lambda_z_points, lambda_z_from, lambda_z_r2,
        lambda_z_rule, half_life, AUCinf, AUC_extrapolated`` (fraction), ``MRT, CL, Vz, Vss`` (CL/F and Vz/F unless
        intravenous), and at steady state ``AUCtau, Cavg, Cmin, fluctuation`` with ``CL`` from AUCtau.
    """
    t, c = usable(profile)
    bolus = profile.route == "iv"
    if bolus and t.size > 1 and t[0] > 0 and c[1] < c[0]:  # back to time zero along the first two points
        t, c = np.insert(t, 0, 0.0), np.insert(c, 0, c[0] * (c[0] / c[1]) ** (t[0] / (t[1] - t[0])))
    elif t.size and t[0] > 0 and not profile.tau:
        t, c = np.insert(t, 0, 0.0), np.insert(c, 0, 0.0)
    if not t.size or not (c > 0).any():
        return {"lambda_z_rule": "no measurable concentration"}
    areas, moments = (float(a.sum()) for a in segment_areas(t, c))
    slope = terminal_slope(t, c, bolus=bolus)
    peak, last = int(np.argmax(c)), int(np.flatnonzero(c > 0)[-1])
    k, c_last, t_last = slope.lambda_z, float(c[last]), float(t[last])
    total = areas + c_last / k
    moment = moments + c_last * t_last / k + c_last / k**2
    found: dict[str, float | str] = {"Cmax": float(c[peak]), "Tmax": float(t[peak]), "Clast": c_last, "Tlast": t_last}
    found |= {"AUClast": areas, "AUMClast": moments, "lambda_z": k, "lambda_z_points": float(slope.points)}
    found |= {"lambda_z_from": slope.first, "lambda_z_r2": slope.r2_adjusted, "lambda_z_rule": slope.reason}
    found |= {"half_life": math.log(2) / k, "AUCinf": total, "AUC_extrapolated": c_last / k / total}
    clearance = profile.dose / total
    mean = moment / total - profile.infusion / 2.0
    if profile.tau:
        found |= _steady(t, c, profile.tau)
        clearance = profile.dose / float(found["AUCtau"])
    injected = profile.route in ("iv", "infusion")
    found |= {"MRT": math.nan if profile.tau else mean, "CL": clearance, "Vz": clearance / k}
    found["Vss"] = clearance * mean if injected and not profile.tau else math.nan
    return found


def _steady(t: np.ndarray, c: np.ndarray, tau: float) -> dict[str, float | str]:
    area = auc_between(t, c, 0.0, tau) if t[0] <= 0 and t[-1] >= tau else math.nan
    inside = c[t <= tau]
    average = area / tau
    low, high = float(inside.min()), float(inside.max())
    return {"AUCtau": area, "Cavg": average, "Cmin": low, "fluctuation": (high - low) / average}


def nca(source: Source) -> pd.DataFrame:
    """Analyse every profile of a table.

    Args:
        source: CSV or data frame with ``id, time, time_unit, concentration, unit, dose, dose_unit`` and, where they
            apply, ``route`` ("iv", "infusion", "sc", "oral"; "oral" if left out), ``infusion`` and ``tau`` (in the
            time unit).

    Returns:
        One row per id: the metrics of `analyse`, times in h, concentrations in ``unit``, CL in L/h and volumes in L
        when dose and concentration are of one kind (mass or amount), with ``unit``.

    Raises:
        InputError: listing every bad row.
    """
    table = read_table(source, COLUMNS)
    time, numbers = table.numbers("time"), _concentrations(table)
    dose = table.numbers("dose")
    table.flag(~(dose > 0), "dose", "dose must be more than zero", "Give the dose of the profile.")
    rows = []
    identity = table.text("id")
    factor = _factors(table, time)
    for name in dict.fromkeys(identity):
        mine = np.flatnonzero(identity == name)
        _check_profile(table, mine, time)
        rows.append((name, mine))
    table.raise_any()
    extra = {k: table.numbers(k, blank=True) if k in table else np.zeros(len(time)) for k in ("infusion", "tau")}
    routes = table.text("route")
    results = []
    for name, mine in rows:
        first = mine[0]
        hours, mass = factor[first]
        profile = Profile(
            time[mine] * hours,
            numbers[mine],
            dose[first] * mass,
            str(routes[first]).lower() or "oral",
            float(np.nan_to_num(extra["infusion"][first])) * hours,
            float(np.nan_to_num(extra["tau"][first])) * hours,
        )
        results.append({"id": name, "unit": table.text("unit")[first], **analyse(profile)})
    return pd.DataFrame(results)


def _concentrations(table: Table) -> np.ndarray:
    """Numbers, NaN below the limit of quantification."""
    values = np.full(len(table), np.nan)
    bad = np.zeros(len(table), dtype=bool)
    for i, text in enumerate(table.text("concentration")):
        clean = text.strip().lower()
        if clean in BELOW or split_limit(clean)[1] == LEFT:
            continue
        try:
            values[i] = float(clean)
        except ValueError:
            bad[i] = True
    bad |= ~np.isnan(values) & ~(np.isfinite(values) & (values >= 0))
    remedy = 'Give a number of zero or more, or "BLQ" below the limit of quantification.'
    table.flag(bad, "concentration", "concentration must be a number of zero or more", remedy)
    return np.where(values > 0, values, np.nan)


def _factors(table: Table, time: np.ndarray) -> list[tuple[float, float]]:
    """Per row: h per time unit, and what turns the dose into the concentration's kind times L."""
    found = []
    for i, (t, c, d) in enumerate(
        zip(table.text("time_unit"), table.text("unit"), table.text("dose_unit"), strict=True)
    ):
        hours = mass = 1.0
        for column, unit, to in (("time_unit", t, "h"), ("dose_unit", d, f"{c}*L")):
            try:
                value = convert(1.0, unit, to)
            except InputError as error:
                table.flag(np.array([i]), column, error.problems[0].rule, error.problems[0].remedy)
                continue
            hours, mass = (value, mass) if column == "time_unit" else (hours, value)
        found.append((hours, mass))
    return found if len(found) == len(time) else []


def _check_profile(table: Table, mine: np.ndarray, time: np.ndarray) -> None:
    later = mine[1:][~(np.diff(time[mine]) > 0)]
    table.flag(later, "time", "times of a profile must rise", "Sort the rows of each id by time; keep one row a time.")
    table.flag(mine[time[mine] < 0], "time", "time counts from the dose", "Leave out samples before the dose.")
    for column in ("time_unit", "unit", "dose", "dose_unit", "route", "infusion", "tau"):
        if column in table:
            texts = table.text(column)[mine]
            odd = mine[texts != texts[0]]
            table.flag(odd, column, f"{column} must be the same in all rows of a profile", "Give each profile an id.")
    known = ("", "iv", "infusion", "sc", "oral")
    odd = np.array([i for i in mine if str(table.text("route")[i]).lower() not in known], dtype=int)
    table.flag(odd, "route", "route must be iv, infusion, sc or oral", "iv is a bolus; give the length in infusion.")


def nca_file(source: str | Path, out: str | Path, *, force: bool = False) -> pd.DataFrame:
    """Analyse a file and write ``nca.csv`` and ``run.json`` into a folder.

    Raises:
        InputError: for bad input or a folder with other contents; nothing is written.
    """
    import time as clock

    from her2pkpd.runinfo import RunInfo, hash_files, prepare_output, write_run, write_text

    begun = clock.perf_counter()
    inputs = hash_files([source])
    result = nca(str(source))
    folder = prepare_output(out, force, command="nca", inputs=inputs)
    write_text(folder / "nca.csv", result.to_csv(index=False))
    write_run(folder, RunInfo("nca", inputs, clock.perf_counter() - begun, data_hash=inputs))
    return result
