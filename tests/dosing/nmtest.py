"""The NONMEM 7.4.3 event-table data: read with the package's reader, predicted with its dosing, compared cell by cell.

The control stream behind the data gives lag, bioavailability, modelled rate and duration to compartment 2 alone.
"""

import math
from pathlib import Path

import numpy as np
import pandas as pd

from her2pkpd.data.nonmem import Compartment, read_nonmem, records
from her2pkpd.dosing.schedule import compile_schedule
from her2pkpd.engine import Batch, Options, solve
from her2pkpd.mechanisms.disposition import Structure, disposition
from her2pkpd.model import Builder

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "pk_nlmixr2data"
CL, V, KA = 1.1, 20.0, 1.5
K = CL / V


def oral_model():
    build = Builder("oral")
    for name, value, unit in (("d.CL", CL, "L/h"), ("d.Vc", V, "L"), ("d.ka", KA, "1/h")):
        build.parameter(name, value, unit)
    disposition(build, "d", Structure(peripherals=0, absorption=True), unit="mg", concentration_unit="mg/L")
    return build.model()


def _compartments(subject):
    own = {name: float(subject.first(name)) for name in ("lagt", "bioav", "rat2", "dur2")}
    return {
        1: Compartment("depot.d"),
        2: Compartment("central.d", own["lagt"], own["bioav"], own["rat2"], own["dur2"]),
    }


def compare():
    """One row per observation: id, time, NONMEM's value, ours, and the explanation where conventions differ."""
    frame = pd.read_csv(DATA / "nmtest.csv").rename(columns={"cp": "dv"})
    subjects = read_nonmem(frame)
    model = oral_model()
    p = model.default_parameters()
    lanes = [records(s, _compartments(s)) for s in subjects]
    schedule = compile_schedule(model, lanes, p, stop=131.0)
    width = max(s.time.size for s in subjects)
    times = np.array([np.pad(s.time, (0, width - s.time.size), mode="edge") for s in subjects])
    found = solve(Batch(model, p, schedule.segments, times), Options(rtol=1e-9, atol=1e-10))
    assert found.ok.all()
    assert not schedule.status.any()
    ours = 1e3 * model.outputs(["plasma.d"], found.y, p)[..., 0]
    parts = []
    for subject, values in zip(subjects, ours, strict=True):
        n = subject.time.size
        part = pd.DataFrame({"id": subject.id, "time": subject.time, "NONMEM": subject.value, "ours": values[:n]})
        part["other"] = [_other_convention(subject, t, values) for t in subject.time]
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def _other_convention(subject, time, ours):
    """What NONMEM gives between a steady-state record and its first dose after a lag longer than the interval.

    NONMEM takes the steady state just after that dose has begun and integrates it back to the record with the
    infusion running, which makes concentrations negative; NaN where this does not apply.
    """
    lag, f = float(subject.first("lagt")), float(subject.first("bioav"))
    for event in subject.events:
        reach = event.time + lag - event.interval
        if not event.steady_state or event.compartment != 2 or not event.time <= time < reach:
            continue
        if len(subject.events) > 1:
            return math.inf  # several steady states overlap: named, not recomputed
        duration = f * event.amount / event.rate if event.rate > 0 else 0.0
        running = event.rate * (math.floor(duration / event.interval) + 1) if event.rate > 0 else 0.0
        whole = math.ceil(reach)
        at_whole = ours[int(np.searchsorted(subject.time, whole - 1))]
        # From the last observation before the dose to the moment it begins, with what was running till then.
        start = _decay(at_whole, reach - (whole - 1), _running_before(event, duration, whole - 1, reach))
        start += 1e3 * f * event.amount / V if event.rate == 0 else 0.0
        return _decay(start, time - reach, running)
    return math.nan


def _running_before(event, duration, since, until):
    """Rate of the earlier infusions between two moments less than one interval before the next begins."""
    if event.rate <= 0:
        return 0.0
    middle = 0.5 * (since + until)
    starts = until - event.interval * np.arange(1, 50)
    return event.rate * float(np.sum((starts <= middle) & (middle < starts + duration)))


def _decay(value, hours, rate):
    level = 1e3 * rate / V / K
    return level + (value - level) * math.exp(-K * hours)
