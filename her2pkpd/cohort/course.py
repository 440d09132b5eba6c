"""The doses of patients as they really get them: planned, then changed by luck and by decisions."""

import numpy as np

from her2pkpd.cohort.people import People
from her2pkpd.cohort.randomness import uniforms
from her2pkpd.cohort.settings import Rule
from her2pkpd.cohort.trial import ArmPlan
from her2pkpd.dosing.regimen import Amount
from her2pkpd.dosing.table import Slots
from her2pkpd.units import convert

REFERENCE_BSA, REFERENCE_WEIGHT = 1.7, 70.0
"""m2 and kg, of patients of whom neither is known; flat doses need neither."""


class Course:
    """Doses of L patients in S slots, and what has been decided about them.

    Args:
        plan: the arm.
        people: the patients.
        numbers: (L,) who they are.
        seed: of the random numbers.

    Attributes:
        time: (L, S) h; infinite for a line that has not begun.
        amount: (L, S) nmol; 0 for a dose that is not given.
        open: (L, S) whether the dose awaits a decision.
        reductions, delays: by drug, (L,).
        off: (L,) when treatment was ended, h; NaN where it was not.
        line: (L,) line of treatment.
    """

    def __init__(self, plan: ArmPlan, people: People, numbers: range | np.ndarray, seed: int) -> None:
        self.plan, self.people = plan, people
        self.lanes = len(numbers)
        slots = plan.slots
        self._covariates = people.covariates
        starts = [s.time if s.line == 1 else np.inf for s in slots]
        self.time = np.tile(np.array(starts, dtype=float), (self.lanes, 1))
        for j, slot in enumerate(slots):
            if slot.source.route != "iv":
                self.time[:, j] = self.time[:, j] + people.parameters.get(f"{slot.drug}.tlag", 0.0)
        self.planned = np.zeros((self.lanes, len(slots)))
        for j, slot in enumerate(slots):
            self.planned[:, j] = self._nmol(j, slot.amount)
        given = np.tile(np.array([s.given for s in slots], dtype=bool), (self.lanes, 1)) & self._taken(numbers, seed)
        self.amount = np.where(given, self.planned, 0.0)
        ruled = {limit.rule.drug for limit in plan.limits}
        first = {}
        for j, slot in enumerate(slots):
            first.setdefault(slot.drug, j)
        asked = [s.drug in ruled and first[s.drug] != j and s.time > 0.0 for j, s in enumerate(slots)]
        self.open = np.tile(np.array(asked, dtype=bool), (self.lanes, 1))
        self.reductions = {d: np.zeros(self.lanes, dtype=np.int64) for d in ruled}
        self.delays = {d: np.zeros(self.lanes, dtype=np.int64) for d in ruled}
        self.level = [np.zeros(self.lanes, dtype=np.int64) for _ in plan.limits]
        self.off = np.full(self.lanes, np.nan)
        self.line = np.ones(self.lanes, dtype=np.int64)

    def _nmol(self, j: int, amount: Amount) -> np.ndarray:
        slot = self.plan.slots[j]
        covariates = self._covariates
        weight = covariates.get("weight", REFERENCE_WEIGHT)
        micrograms = amount.micrograms(weight, covariates.get("bsa", REFERENCE_BSA))
        factor = convert(1.0, "ug", "nmol", molar_mass=slot.source.drug.molar_mass.canonical)
        taken_up = 1.0 if slot.source.route == "iv" else self.people.parameters.get(f"{slot.drug}.F", 1.0)
        return micrograms * factor * np.asarray(taken_up)

    def _taken(self, numbers: range | np.ndarray, seed: int) -> np.ndarray:
        """Whether a dose is taken, by adherence."""
        taken = np.ones((self.lanes, len(self.plan.slots)), dtype=bool)
        for stream in dict.fromkeys(s.stream for s in self.plan.slots if s.source.adherence < 1.0):
            places = [j for j, s in enumerate(self.plan.slots) if s.stream == stream]
            width = self.plan.slots[places[0]].source.regimen.doses or 1
            lot = uniforms(seed, stream, numbers, width)
            for j in places:
                taken[:, j] = lot[self.plan.slots[j].number - 1] < self.plan.slots[j].source.adherence
        return taken

    def slots(self, lanes: np.ndarray) -> Slots:
        """The doses of some lanes as the engine's dosing takes them."""
        own = self.plan.slots
        return Slots(
            [s.target for s in own], [s.mark for s in own], self.time[lanes], self.amount[lanes],
            np.array([s.duration for s in own]),
        )  # fmt: skip

    def next_decision(self) -> np.ndarray:
        """(L,) when the next dose awaits a decision, h; infinite where none does."""
        if not self.open.any():
            return np.full(self.lanes, np.inf)
        return np.where(self.open, self.time, np.inf).min(axis=1)

    def stop(self, lanes: np.ndarray, now: np.ndarray, drug: str | None = None, *, until: bool = False) -> None:
        """No more doses from now on: of one drug or of all, or of those given until progression only.

        Args:
            lanes: (L,) mask.
            now: (L,) h.
            drug: which, or None for all.
            until: only of doses that end at progression.
        """
        of = [j for j, s in enumerate(self.plan.slots) if (drug in (None, s.drug)) and (not until or s.until)]
        if not of or not lanes.any():
            return
        chosen = np.ix_(np.flatnonzero(lanes), np.array(of))
        gone = (self.time[chosen] >= now[lanes, None]) & np.isfinite(self.time[chosen])
        ended = ((self.amount[chosen] > 0) & gone).any(axis=1)
        self.amount[chosen] = np.where(gone, 0.0, self.amount[chosen])
        self.open[chosen] &= ~gone
        places = np.flatnonzero(lanes)[ended]
        self.off[places] = np.where(np.isnan(self.off[places]), now[places], self.off[places])

    def begin_line(self, lanes: np.ndarray, now: np.ndarray) -> np.ndarray:
        """Begin the next line of treatment where there is one; returns the lanes that do."""
        following = self.line + 1
        begun = np.zeros(self.lanes, dtype=bool)
        for j, slot in enumerate(self.plan.slots):
            mine = lanes & (following == slot.line)
            if mine.any():
                begun |= mine
                self.time[mine, j] = now[mine] + slot.time
        self.line[begun] += 1
        return begun

    def reduce(self, index: int, lanes: np.ndarray, now: np.ndarray) -> None:
        """Go down one level of a rule, for doses from now on."""
        rule: Rule = self.plan.limits[index].rule
        level = self.level[index]
        spent = lanes & (level >= len(rule.levels))
        if rule.stop_after_last:
            self.stop(spent, now, rule.drug)
        lower = lanes & ~spent
        level[lower] += 1
        self.reductions[rule.drug][lower] += 1
        for j, slot in enumerate(self.plan.slots):
            if slot.drug != rule.drug:
                continue
            for step in range(1, len(rule.levels) + 1):
                mine = lower & (level == step) & (self.time[:, j] >= now) & (self.amount[:, j] > 0.0)
                if mine.any():
                    self.amount[mine, j] = np.broadcast_to(self._nmol(j, rule.levels[step - 1]), mine.shape)[mine]

    def delay(self, rule: Rule, lanes: np.ndarray, now: np.ndarray) -> np.ndarray:
        """Put off doses of a drug from now on; returns the lanes whose dose still awaits a decision."""
        spent = lanes & (self.delays[rule.drug] >= rule.most)
        self.stop(spent, now, rule.drug)
        later = lanes & ~spent
        self.delays[rule.drug][later] += 1
        for j, slot in enumerate(self.plan.slots):
            if slot.drug == rule.drug:
                mine = later & (self.time[:, j] >= now)
                self.time[mine, j] += rule.by
        return later
