"""Unknowns of a fit as PEtab parameters, and what they mean in each lane as formulas."""

from dataclasses import dataclass, field

import numpy as np

from her2pkpd.export._formula import number
from her2pkpd.export._identifiers import identifier, identifiers
from her2pkpd.fit.objective import Objective
from her2pkpd.fit.parameters import Free
from her2pkpd.model import Model


@dataclass
class Names:
    """Identifiers of one problem.

    Attributes:
        objective: the fit.
        model: the SBML model, which may hold an untreated twin.
        ids: SBML identifiers by kind and name.
        of: PEtab identifier of each unknown, those of the noise included.
        direct: SBML parameters that an unknown is the value of, in every lane.
        taken: identifiers in use.
    """

    objective: Objective
    model: Model
    ids: dict[str, dict[str, str]] = field(init=False)
    of: list[str] = field(init=False)
    direct: set[str] = field(init=False)
    taken: set[str] = field(init=False)

    def __post_init__(self) -> None:
        self.ids = identifiers(self.model)
        self.taken = {i for kind in self.ids.values() for i in kind.values()}
        free, self.direct = self.objective.free, set()
        self.of = ["" for _ in free.names]
        for target in free.targets:
            entries = [i for e, i in zip(free.estimates, free.index, strict=True) if e.target == target]
            only = set(entries[0].tolist()) if len(entries) == 1 else {-1}
            k = only.pop()
            if target in self.ids["parameter"] and not only and k >= 0 and free.free[k].role == "copy":
                self.of[k] = self.ids["parameter"][target]
                self.direct.add(target)
        for k, name in enumerate(free.names):
            self.of[k] = self.of[k] or identifier(name, self.taken)
        self.of += [identifier(n, self.taken) for n in self.objective.names[len(free) :]]

    def output(self, name: str) -> str:
        """Identifier of a species or quantity."""
        return self.ids["species"].get(name) or self.ids["quantity"][name]

    def value(self, target: str, lane: int, base: float) -> str:
        """Formula of one target in one lane."""
        free = self.objective.free
        factors = [
            self._copy(free.free[int(index[lane])], int(index[lane]))
            for estimate, index in zip(free.estimates, free.index, strict=True)
            if estimate.target == target and index[lane] >= 0
        ]
        return " * ".join(factors) if factors else number(base)

    def _copy(self, own: Free, k: int) -> str:
        """Formula of the natural value of one unknown: of a deviation, through its centre and spread."""
        if own.role != "deviation":
            return self.of[k]
        centre, spread = next((c, s) for c, s, members in self.objective.free.hierarchies if k in members)
        moved = f"{self.coordinate(self.objective.free.free[centre], centre)} + {self.of[spread]} * {self.of[k]}"
        low, high = own.transform.lower, own.transform.upper
        if own.transform.scale == "log":
            return f"exp({moved})"
        if own.transform.scale == "linear":
            return f"({moved})"
        return f"({number(low)} + {number(high - low)} / (1 + exp(-({moved}))))"

    def coordinate(self, own: Free, k: int) -> str:
        """Formula of the coordinate of an unknown, from its natural value."""
        if own.transform.scale == "log":
            return f"ln({self.of[k]})"
        if own.transform.scale == "linear":
            return self.of[k]
        low, high = number(own.transform.lower), number(own.transform.upper)
        return f"ln(({self.of[k]} - {low}) / ({high} - {self.of[k]}))"

    def touched(self) -> list[tuple[int, str]]:
        """Index and name of every model parameter that differs between lanes, or is estimated in a way of its own."""
        base, free = self.objective.design.parameters, self.objective.free
        varies = np.ptp(base, axis=0) > 0
        names = [p.name for p in self.objective.design.model.parameters]
        return [
            (i, n) for i, n in enumerate(names) if (varies[i] or n in free.targets) and n not in self.direct
        ]  # fmt: skip
