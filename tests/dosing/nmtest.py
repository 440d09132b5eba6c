"""The NONMEM 7.4.3 event-table data: read with the package's reader, predicted with its dosing, compared cell by cell.

The control stream behind the data gives lag, bioavailability, modelled rate and duration to compartment 2 alone.
"""

import math
from dataclasses import replace
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
    """Every row of the file: id, time, NONMEM's value, ours, and NONMEM's by its own convention where that differs.

    Dosing rows carry a concentration too: that just after the dose, which an observation row of the same time shares.
    """
    frame = pd.read_csv(DATA / "nmtest.csv", dtype={"id": str})
    subjects = read_nonmem(frame.rename(columns={"cp": "dv"}))
    parts = []
    for subject, values in zip(subjects, _predict(subjects), strict=True):
        part = pd.DataFrame({"id": subject.id, "time": subject.time, "ours": values})
        part["other"] = _other_convention(subject, values)
        parts.append(part.drop_duplicates("time"))
    cells = frame[["id", "time", "evid"]].assign(NONMEM=frame["cp"])
    return cells.merge(pd.concat(parts), on=["id", "time"], how="left", validate="many_to_one")


def _predict(subjects):
    """Concentrations at every individual's observation times."""
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
    return [values[: s.time.size] for s, values in zip(subjects, ours, strict=True)]


def _other_convention(subject, ours):
    """What NONMEM gives between a steady-state record and its first dose after a lag longer than the interval.

    NONMEM takes the steady state just after that dose has begun and integrates it back to the record with the
    infusion running, which makes concentrations negative. Where several such records overlap, each adds its own
    difference until a steady state of kind 1 cancels it. NaN where none applies.
    """
    lag, found = float(subject.first("lagt")), np.full(subject.time.size, np.nan)
    for event in subject.events:
        reach = event.time + lag - event.interval
        if not event.steady_state or event.compartment != 2 or event.time >= reach:
            continue
        later = [e.time for e in subject.events if e.steady_state == 1 and e.time > event.time]
        window = (subject.time >= event.time) & (subject.time < min([reach, *later]))
        alone = _predict([replace(subject, events=(replace(event, steady_state=1),))])[0]
        difference = np.array([_backwards(subject, event, t, alone) for t in subject.time[window]]) - alone[window]
        found[window] = np.where(np.isnan(found[window]), ours[window], found[window]) + difference
    return found


def _backwards(subject, event, time, alone):
    """NONMEM's value at `time` for one steady-state record, from the curve of that record `alone`."""
    lag, f = float(subject.first("lagt")), float(subject.first("bioav"))
    reach = event.time + lag - event.interval
    duration = f * event.amount / event.rate if event.rate > 0 else 0.0
    running = event.rate * (math.floor(duration / event.interval) + 1) if event.rate > 0 else 0.0
    whole = math.ceil(reach)
    at_whole = alone[int(np.searchsorted(subject.time, whole - 1))]
    # From the last observation before the dose to the moment it begins, with what was running till then.
    start = _decay(at_whole, reach - (whole - 1), _running_before(event, duration, whole - 1, reach))
    start += 1e3 * f * event.amount / V if event.rate == 0 else 0.0
    return _decay(start, time - reach, running)


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
