"""When patients are looked at: the moments that endpoints need, and no others.

What acts at a moment has acted on a state that is looked at then; the state a dose finds is looked at the last moment
before.
"""

from dataclasses import dataclass

import numpy as np

from her2pkpd.cohort.course import Course
from her2pkpd.cohort.settings import CohortSettings
from her2pkpd.cohort.trial import ArmPlan

PEAK_RATIO, PEAK_POINTS = 1.2, 24
"""A peak that is not the end of an infusion is looked for at times in this ratio, so many of them."""

PAYLOAD_PEAK = 48.0
"""Time after the end of an infusion by which the peak of a released payload is over, h."""

BEYOND_STEP, BEYOND_POINTS = 24.0, 8
"""Time beyond a threshold is measured at steps of at most this, h, at so many points in the shortest interval, and at
the ends of infusions."""


def before(time: np.ndarray) -> np.ndarray:
    """The last moment before a time: what acts at the time has not acted yet."""
    return np.maximum(np.nextafter(time, -np.inf), 0.0)


@dataclass(frozen=True)
class Interval:
    """A dosing interval that exposures are kept for.

    Attributes:
        slot: the dose that begins it.
        following: the dose that ends it, or None.
    """

    slot: int
    following: int | None


def intervals(plan: ArmPlan, settings: CohortSettings, drug: str) -> dict[str, Interval]:
    """Dosing intervals of a drug's first line that were asked for, by name; those an arm does not have are missing."""
    own = [j for j, s in enumerate(plan.slots) if s.drug == drug and s.line == 1]
    own.sort(key=lambda j: plan.slots[j].time)
    found: dict[str, Interval] = {}
    for word in settings.endpoints.intervals:
        named = {"first": 0, "last": len(own) - 1}
        k = named[word] if word in named else int(word.removeprefix("cycle")) - 1
        if 0 <= k < len(own):
            found[word] = Interval(own[k], own[k + 1] if k + 1 < len(own) else None)
    return found


def ends(plan: ArmPlan, settings: CohortSettings, course: Course, which: Interval) -> tuple[np.ndarray, np.ndarray]:
    """(L,) beginning and end of a dosing interval, h."""
    start = course.time[:, which.slot]
    if which.following is not None:
        return start, np.minimum(course.time[:, which.following], settings.stop)
    return start, np.minimum(start + (plan.slots[which.slot].source.regimen.interval or np.inf), settings.stop)


def assessments(settings: CohortSettings) -> np.ndarray:
    """Times of tumour assessments after the first dose, h."""
    every = settings.endpoints.assess
    return every * np.arange(1, int(settings.stop / every + 1e-9) + 1)


def shown_times(settings: CohortSettings) -> np.ndarray:
    """Times of the points of time courses, h."""
    return settings.output.step * np.arange(int(settings.stop / settings.output.step + 1e-9) + 1)


def beyond_times(plan: ArmPlan, settings: CohortSettings) -> np.ndarray:
    """Times at which thresholds are looked at in all lanes, h."""
    lengths = [s.source.regimen.interval for s in plan.slots if s.source.regimen.interval]
    step = min([BEYOND_STEP, *(x / BEYOND_POINTS for x in lengths)])
    return step * np.arange(int(np.ceil(settings.stop / step - 1e-9)))


class Grid:
    """The moments at which the lanes of an arm are looked at.

    Args:
        plan: the arm.
        settings: the cohort.
        shown: whether whole time courses are wanted, and nothing else.
    """

    def __init__(self, plan: ArmPlan, settings: CohortSettings, *, shown: bool) -> None:
        self.plan, self.settings, self.shown = plan, settings, shown
        drugs = dict.fromkeys(plan.circulating.values())
        self.intervals = [x for drug in drugs for x in intervals(plan, settings, drug).values()]
        self.fixed = before(shown_times(settings)) if shown else self._fixed()

    def _fixed(self) -> np.ndarray:
        """Moments that are the same for all lanes."""
        found = [np.zeros(1)]
        if self.plan.has_tumour:
            found.append(assessments(self.settings))
        if self.plan.above or self.plan.below:
            found.append(beyond_times(self.plan, self.settings))
        return np.unique(np.concatenate(found))

    def times(self, course: Course, a: np.ndarray, b: np.ndarray, lanes: np.ndarray) -> np.ndarray:
        """Moments in a window.

        Args:
            course: the doses of all lanes.
            a: (l,) beginning of the window, h.
            b: (l,) its end, h.
            lanes: (l,) which lanes.

        Returns:
            (l, M) in order; the last column is `b`, and so is what a lane has no need of.
        """
        wanted = [np.full(len(a), t) for t in self.fixed]
        if not self.shown:
            wanted += [t for which in self.intervals for t in self._of_interval(course, which, lanes)]
            if self.plan.above or self.plan.below:
                wanted += [course.time[lanes, j] + s.duration for j, s in enumerate(self.plan.slots) if s.duration]
        inside = [np.where((t >= a) & (t < b), t, b) for t in wanted]
        table = np.stack([*(t for t in inside if (t < b).any()), b], axis=1)
        table.sort(axis=1)
        return table

    def _of_interval(self, course: Course, which: Interval, lanes: np.ndarray) -> list[np.ndarray]:
        slot = self.plan.slots[which.slot]
        start, end = (x[lanes] for x in ends(self.plan, self.settings, course, which))
        found = [before(start), start, before(end)]
        if slot.duration:
            found.append(np.minimum(start + slot.duration, before(end)))
        absorbed = slot.source.route != "iv"
        if absorbed or slot.source.model.payload:
            length = np.where(np.isfinite(end), end - start, 0.0)
            reach = 0.9 * length if absorbed else np.minimum(PAYLOAD_PEAK, 0.9 * length)
            found += [start + slot.duration + reach * PEAK_RATIO**-k for k in range(PEAK_POINTS)]
            found[-PEAK_POINTS:] = [np.minimum(t, before(end)) for t in found[-PEAK_POINTS:]]
        return found
