"""Published responses to drugs and perturbations that the signalling network is calibrated on, with their residuals.

Each target is a number or, where the literature has a direction only, a round number that stands for it; the latter are
marked ``round``. All are of SK-BR-3 but the kinase-dead ones, which are of MCF-7 as in Birtwistle 2007.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from network_experiment import Experiment, along
from network_objective import BLOCK, DOWNSTREAM, HALF, any_line, own_values

from her2pkpd.dosing import Add
from her2pkpd.library import load_cell_line, load_drug, load_parameters
from her2pkpd.mechanisms.growth import LN2
from her2pkpd.systems.addiction import blocking_dose
from her2pkpd.systems.cell import network_parameters

HOURS = np.array([0.0, 1 / 6, 0.5, 1.0, 2.0, 6.0, 24.0, 48.0, 72.0])
NAMES = ("pERK", "pAKT", "ERK", "AKT", "pHER2", "HER3.membrane", "signal", "survival")
HALF_HER2 = blocking_dose(load_drug("lapatinib"), "HER2", 0.5)
"""nM of lapatinib that holds half of the HER2 kinase."""
ALMOST_ALL = 99.0 * load_drug("lapatinib").kinases["HER2"].constants["Ki"].canonical
TREATMENTS = {
    "none": {}, "MEKi": {"MEKi": BLOCK}, "TKI": {"lapatinib": 1000.0}, "TKI NRG1": {"lapatinib": 1000.0, "NRG1": 10.0},
    "AKTi": {"AKTi": 90.0}, "allosteric": {"AKTi_allosteric": 90.0}, "trastuzumab": {"trastuzumab": 100.0},
    "NRG1": {"NRG1": 10.0}, "pertuzumab NRG1": {"NRG1": 10.0}, "rapamycin": {"rapamycin": BLOCK},
    "TKI trastuzumab": {"lapatinib": 1000.0, "trastuzumab": 100.0},
    "half HER2": {"lapatinib": HALF_HER2}, "half AKT": {"AKTi": HALF}, "TKI 100 nM": {"lapatinib": 100.0},
}  # fmt: skip
TREATMENTS["kinase-dead NRG1"] = {"NRG1": 10.0}
BEFORE = {"pertuzumab NRG1": {"pertuzumab": 200.0}, "kinase-dead NRG1": {"lapatinib": ALMOST_ALL}}
"""What is there two hours earlier."""
LANES = (
    *(("SK-BR-3", t) for t in TREATMENTS if t != "kinase-dead NRG1"),
    ("MCF-7", "NRG1"), ("MCF-7", "kinase-dead NRG1"), ("mutant", "TKI"), ("without HER3", "none"),
)  # fmt: skip
"""Line and treatment of everything that is compared."""


@dataclass(frozen=True)
class Target:
    """One published response.

    Attributes:
        of: treatment, output and hours, over the untreated cell unless `over` names another treatment.
        value: what is published.
        tolerance: of the logarithm.
        source: where from.
    """

    of: tuple[str, str, float]
    value: float
    tolerance: float
    source: str
    over: str = "none"


TARGETS = (
    Target(("MEKi", "pHER2", 24), 1.54, 0.15, "HPN-DREAM UACC812, AKTi+MEKi"),
    Target(("MEKi", "pAKT", 24), 1.4, 0.15, "Turke 2012; Birtwistle 2007 has 1.2 to 2.1"),
    Target(("MEKi", "pERK", 24), 0.15, 0.4, "HPN-DREAM UACC812"),
    Target(("TKI", "pERK", 2), 0.2, 0.4, "round"),
    Target(("TKI", "pAKT", 2), 0.2, 0.3, "round"),
    Target(("TKI", "pAKT", 48), 0.45, 0.3, "round; Garrett 2011, Canonici 2013"),
    Target(("TKI trastuzumab", "pAKT", 48), 0.63, 0.2, "round; Canonici 2013, rebound prevented", over="TKI"),
    Target(("TKI", "pERK", 1 / 6), 0.5, 0.4, "round"),
    Target(("TKI", "HER3.membrane", 48), 2.5, 0.25, "round; Garrett 2011"),
    Target(("TKI NRG1", "pAKT", 24), 1.1, 0.3, "round; Kirouac 2013"),
    Target(("AKTi", "pAKT", 1), 4.0, 0.3, "HPN-DREAM UACC812 x4.2"),
    Target(("allosteric", "pAKT", 24), 0.25, 0.4, "round; Okuzumi 2009"),
    Target(("trastuzumab", "pAKT", 24), 0.6, 0.25, "round; Junttila 2009"),
    Target(("pertuzumab NRG1", "pAKT", 24), 0.6, 0.25, "round; Agus 2002", over="NRG1"),
    Target(("rapamycin", "pAKT", 24), 1.4, 0.2, "round; feedback through IRS1"),
    Target(("half HER2", "survival", 48), 0.15, 0.35, "round; half of HER2 kills an addicted cell"),
    Target(("half AKT", "survival", 48), 0.9, 0.07, "round; the same fraction of AKT is buffered"),
)
UNTREATED_AKT = (0.17, 0.2)
UNTREATED_SURVIVAL = (0.97, 0.015)
"""An untreated cell sits on the plateau of the switch."""
GROWTH = {"trastuzumab": (0.5, 0.07), "TKI 100 nM": (0.35, 0.2)}
"""GR after 72 h and its tolerance: Heiser 2012; gCSI, GR50 30 to 200 nM."""
WITHOUT_HER3 = (0.4, 0.15)
"""Untreated AKT of SK-BR-3 without HER3 over that with it: round, memory of Lee-Hoeflich 2008 Cancer Res 68:5878."""
MUTANT = (0.7, 0.2)
"""pAKT after a day of lapatinib where PIK3CA is mutated, and tolerance: round; Tanizaki 2011, hardly inhibited."""
KINASE_DEAD = {"ERK": (0.90, 0.25), "AKT": (0.28, 0.25)}
"""Birtwistle 2007 with 1 % of all ErbB kinases, 30 min of heregulin, over untouched."""


class DrugModel:
    """Responses of SK-BR-3 to drugs, also with mutant PIK3CA or without HER3, and of MCF-7 without its kinases."""

    def __init__(self) -> None:
        self.model = any_line(("trastuzumab", "pertuzumab", "lapatinib"), DOWNSTREAM)
        own = own_values("SK-BR-3")
        self.lines = {
            "SK-BR-3": own, "mutant": {**own, "PIK3CA": 1.0}, "without HER3": {**own, "HER3": 1.0},
            "MCF-7": own_values("MCF-7"),
        }  # fmt: skip

    def experiment(self, wanted: Sequence[tuple[str, str]] = LANES) -> Experiment:
        """Lines under treatments."""
        names = list(self.lines)
        lanes = [
            [Add(0.0, s, x) for s, x in TREATMENTS[t].items()] + [Add(-2.0, s, x) for s, x in BEFORE.get(t, {}).items()]
            for _, t in wanted
        ]
        rows = [names.index(line) for line, _ in wanted]
        return Experiment(self.model, list(self.lines.values()), rows, lanes, HOURS, NAMES, -2.0)

    def residuals(self, changes: Mapping[str, float]) -> np.ndarray:
        """Differences over tolerances."""
        return self._compare(changes, self.experiment().follow(changes))

    def jacobian(self, changes: Mapping[str, float], names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Residuals with their slopes by the logarithms of named parameters."""
        found = self.experiment().slopes(changes, names)

        def compare(shift: np.ndarray, by: np.ndarray) -> np.ndarray:
            moved = {**changes, **{n: changes[n] * float(np.exp(x)) for n, x in zip(names, by, strict=True)}}
            return self._compare(moved, found.value + shift)

        none = np.zeros(len(names))
        return compare(np.zeros_like(found.value), none), along(compare, found.slope, np.eye(len(names)))

    def _compare(self, changes: Mapping[str, float], out: np.ndarray) -> np.ndarray:
        every = {w: dict(zip(NAMES, out[i].T, strict=True)) for i, w in enumerate(LANES)}
        r = {(t, n): x for (line, t), o in every.items() if line == "SK-BR-3" for n, x in o.items()}
        at = lambda hour: int(np.argmin(abs(HOURS - hour)))  # noqa: E731
        last = at(0.5)
        dead, whole = (every["MCF-7", t] for t in ("kinase-dead NRG1", "NRG1"))
        pairs = [(r[t.of[:2]][at(t.of[2])] / r[t.over, t.of[1]][at(t.of[2])], t.value, t.tolerance) for t in TARGETS]
        pairs += [(dead[n][last] / whole[n][last], *goal) for n, goal in KINASE_DEAD.items()]
        pairs.append((every["mutant", "TKI"]["pAKT"][at(24)], *MUTANT))
        pairs.append((every["without HER3", "none"]["AKT"][0] / r["none", "AKT"][0], *WITHOUT_HER3))
        pairs.append((r["none", "AKT"][0], *UNTREATED_AKT))
        found, goals, tolerances = np.array(pairs).T
        flat = [(growth(r, t, changes) - gr) / sd for t, (gr, sd) in GROWTH.items()]
        flat.append((r["none", "survival"][0] - UNTREATED_SURVIVAL[0]) / UNTREATED_SURVIVAL[1])
        return np.concatenate([np.log(np.maximum(found, 1e-4) / goals) / tolerances, flat])


def growth(
    courses: Mapping[tuple[str, str], np.ndarray],
    treatment: str,
    changes: Mapping[str, float],
    line: str = "SK-BR-3",
) -> float:
    """GR after 72 h by the growth equation of the library, from the time courses of signal and survival."""
    table = load_parameters()
    half, n = (changes.get(k, table[k].canonical) for k in ("net.S_division", "net.n_division"))
    own = network_parameters(load_cell_line(line))
    k_apo = own.get("k_apo", table["cell.k_apo"].canonical)

    def net(t: str) -> float:
        s = np.maximum(courses[t, "signal"], 1e-9)
        drive = (1.0 + half**n) / (1.0 + (half / s) ** n)
        mu = LN2 / own["doubling_time"] * (1.0 - own["w"] + own["w"] * drive)
        return float(np.trapezoid(mu - k_apo * (1.0 - courses[t, "survival"]), HOURS))

    return 2.0 ** (net(treatment) / net("none")) - 1.0
