"""Stiff classics, each written twice: as reactions for the model layer and as a plain right-hand side.

Equations and end points: Hairer & Wanner, Solving Ordinary Differential Equations II, 2nd edition (1996),
section IV.10 (Robertson, van der Pol, Oregonator, HIRES); Verwer, Gauss-Seidel iteration for stiff ODEs from
chemical kinetics, SIAM J. Sci. Comput. 15 (1994) 1243-1250 (Pollution); Mazzia & Magherini, Test Set for
Initial Value Problem Solvers, release 2.4 (2008) (end points).
"""

from collections.abc import Mapping

import numpy as np

from her2pkpd.model import Builder, Model
from tests.engine.systems.system import Hard


def _species(name: str, initial: list[float], scale: list[float] | None = None) -> Builder:
    build = Builder(name)
    scale = scale or [1.0] * len(initial)
    for i, (value, size) in enumerate(zip(initial, scale, strict=True), start=1):
        build.species(f"y{i}", None, "1", initial=value, scale=size)
    return build


def _robertson() -> Model:
    build = _species("Robertson", [1.0, 0.0, 0.0], [1.0, 1e-5, 1.0])
    for name, value in (("k1", 0.04), ("k2", 3e7), ("k3", 1e4)):
        build.parameter(name, value, "1/h")
    build.reaction("1", {"y1": -1, "y2": 1}, lambda s, p: p["k1"] * s["y1"])
    build.reaction("2", {"y2": -1, "y3": 1}, lambda s, p: p["k2"] * s["y2"] ** 2)
    build.reaction("3", {"y2": -1, "y1": 1}, lambda s, p: p["k3"] * s["y2"] * s["y3"])
    return build.model()


def _robertson_rhs(y):
    a, b, c = y
    return np.array([-0.04 * a + 1e4 * b * c, 0.04 * a - 1e4 * b * c - 3e7 * b * b, 3e7 * b * b])


def _van_der_pol() -> Model:
    build = _species("van der Pol", [2.0, 0.0])
    build.parameter("mu", 1e6, "1/h")
    build.reaction("position", {"y1": 1}, lambda s, p: s["y2"])
    build.reaction("force", {"y2": 1}, lambda s, p: p["mu"] * ((1 - s["y1"] ** 2) * s["y2"] - s["y1"]))
    return build.model()


def _van_der_pol_rhs(y):
    return np.array([y[1], 1e6 * ((1 - y[0] ** 2) * y[1] - y[0])])


def _oregonator() -> Model:
    build = _species("Oregonator", [1.0, 2.0, 3.0])
    build.parameter("s", 77.27, "1/h")
    build.parameter("q", 8.375e-6, "1")
    build.parameter("w", 0.161, "1/h")
    build.reaction("x", {"y1": 1}, lambda s, p: p["s"] * (s["y2"] + s["y1"] * (1 - p["q"] * s["y1"] - s["y2"])))
    build.reaction("y", {"y2": 1}, lambda s, p: (s["y3"] - (1 + s["y1"]) * s["y2"]) / p["s"])
    build.reaction("z", {"y3": 1}, lambda s, p: p["w"] * (s["y1"] - s["y3"]))
    return build.model()


def _oregonator_rhs(y):
    a, b, c = y
    return np.array([77.27 * (b + a * (1 - 8.375e-6 * a - b)), (c - (1 + a) * b) / 77.27, 0.161 * (a - c)])


def _hires() -> Model:
    build = _species("HIRES", [1.0, 0, 0, 0, 0, 0, 0, 0.0057], [1e-3] * 8)
    build.parameter("k", 280.0, "1/h")

    def first_order(source: int, made: Mapping[int, float], lost: float, rate: float) -> None:
        change = {f"y{source}": -lost, **{f"y{i}": v for i, v in made.items()}}
        build.reaction(f"y{source} at {rate}", change, lambda s, p: rate * s[f"y{source}"])

    build.reaction("supply", {"y1": 1}, lambda s, p: 0.0007)
    first_order(1, {2: 1}, 1, 1.71)
    first_order(2, {1: 1}, 1, 0.43)
    first_order(2, {4: 1}, 1, 8.32)
    first_order(3, {1: 1}, 1, 8.32)
    first_order(3, {4: 1}, 1, 1.71)
    first_order(4, {3: 1}, 1, 0.43)
    first_order(4, {6: 1}, 1, 0.69)
    first_order(5, {3: 1}, 1, 0.035)
    first_order(5, {6: 1}, 1, 1.71)
    first_order(6, {5: 1}, 1, 0.43)
    first_order(7, {8: 1}, 1, 1.81)
    build.reaction("7 to 5", {"y5": 1}, lambda s, p: 0.43 * s["y7"])
    build.reaction("7 to 6", {"y6": 1}, lambda s, p: 0.69 * s["y7"])
    build.reaction("fusion", {"y6": -1, "y8": -1, "y7": 1}, lambda s, p: p["k"] * s["y6"] * s["y8"])
    return build.model()


def _hires_rhs(y):
    f = 280.0 * y[5] * y[7]
    return np.array(
        [
            -1.71 * y[0] + 0.43 * y[1] + 8.32 * y[2] + 0.0007,
            1.71 * y[0] - 8.75 * y[1],
            -10.03 * y[2] + 0.43 * y[3] + 0.035 * y[4],
            8.32 * y[1] + 1.71 * y[2] - 1.12 * y[3],
            -1.745 * y[4] + 0.43 * y[5] + 0.43 * y[6],
            -f + 0.69 * y[3] + 1.71 * y[4] - 0.43 * y[5] + 0.69 * y[6],
            f - 1.81 * y[6],
            -f + 1.81 * y[6],
        ]
    )


# Rate constant, reactants, products; numbers of species count from 1.
_POLLUTION: list[tuple[float, tuple[int, ...], tuple[int, ...]]] = [
    (0.35, (1,), (2, 3)), (26.6, (2, 4), (1,)), (12300.0, (5, 2), (6, 1)), (0.00086, (7,), (5, 5, 8)),
    (0.00082, (7,), (8,)), (15000.0, (7, 6), (5, 8)), (0.00013, (9,), (5, 8, 10)), (24000.0, (9, 6), (11,)),
    (16500.0, (11, 2), (10, 1, 12)), (9000.0, (11, 1), (13,)), (0.022, (13,), (11, 1)), (12000.0, (10, 2), (14, 1)),
    (1.88, (14,), (7, 5)), (16300.0, (1, 6), (15,)), (4.8e6, (3,), (4,)), (0.00035, (4,), (16,)),
    (0.0175, (4,), (3,)), (1e8, (16,), (6, 6)), (4.44e11, (16,), (3,)), (1240.0, (17, 6), (5, 18)),
    (2.1, (19,), (2,)), (5.78, (19,), (1, 3)), (0.0474, (1, 4), (19,)), (1780.0, (19, 1), (20,)),
    (3.12, (20,), (1, 19)),
]  # fmt: skip


def _pollution() -> Model:
    initial = [0.0] * 20
    for i, value in ((2, 0.2), (4, 0.04), (7, 0.1), (8, 0.3), (9, 0.01), (17, 0.007)):
        initial[i - 1] = value
    build = _species("Pollution", initial, [1e-3] * 20)
    for number, (k, reactants, products) in enumerate(_POLLUTION, start=1):
        build.parameter(f"k{number}", k, "1/h")
        change: dict[str, float] = {}
        for sign, side in ((-1.0, reactants), (1.0, products)):
            for i in side:
                change[f"y{i}"] = change.get(f"y{i}", 0.0) + sign
        build.reaction(f"r{number}", change, _mass_action(number, reactants))
    return build.model()


def _mass_action(number: int, reactants: tuple[int, ...]):
    def rate(s, p):
        value = p[f"k{number}"]
        for i in reactants:
            value = value * s[f"y{i}"]
        return value

    return rate


def _pollution_rhs(y):
    k = np.array([entry[0] for entry in _POLLUTION])
    y1, y2, y3, y4, y5, y6, y7, _, y9, y10, y11, _, y13, y14, _, y16, y17, _, y19, y20 = y
    r = k * np.array(
        [y1, y2 * y4, y5 * y2, y7, y7, y7 * y6, y9, y9 * y6, y11 * y2, y11 * y1, y13, y10 * y2, y14, y1 * y6, y3, y4,
         y4, y16, y16, y17 * y6, y19, y19, y1 * y4, y19 * y1, y20]
    )  # fmt: skip
    r = np.concatenate([[0.0], r])
    return np.array(
        [
            -r[1] - r[10] - r[14] - r[23] - r[24] + r[2] + r[3] + r[9] + r[11] + r[12] + r[22] + r[25],
            -r[2] - r[3] - r[9] - r[12] + r[1] + r[21],
            -r[15] + r[1] + r[17] + r[19] + r[22],
            -r[2] - r[16] - r[17] - r[23] + r[15],
            -r[3] + 2 * r[4] + r[6] + r[7] + r[13] + r[20],
            -r[6] - r[8] - r[14] - r[20] + r[3] + 2 * r[18],
            -r[4] - r[5] - r[6] + r[13],
            r[4] + r[5] + r[6] + r[7],
            -r[7] - r[8],
            -r[12] + r[7] + r[9],
            -r[9] - r[10] + r[8] + r[11],
            r[9],
            -r[11] + r[10],
            -r[13] + r[12],
            r[14],
            -r[18] - r[19] + r[16],
            -r[20],
            r[20],
            -r[21] - r[22] - r[24] + r[23] + r[25],
            -r[25] + r[24],
        ]
    )


HARD = {
    "Robertson": Hard(_robertson(), _robertson_rhs, np.array([0.4, 40.0, 4e3, 4e5, 4e7, 1e11]), 1e-10,
                      ((0, 0.2083340149701255e-07), (1, 0.8333360770334713e-13), (2, 0.9999999791665050)), 1e-7),
    "van der Pol": Hard(_van_der_pol(), _van_der_pol_rhs, np.array([0.2, 0.5, 1.0, 1.5, 2.0]), 1e-9,
                        ((0, 0.1706167732170483e1), (1, -0.8928097010247975e0))),
    "Oregonator": Hard(_oregonator(), _oregonator_rhs, np.array([5.0, 20.0, 60.0, 200.0, 360.0]), 1e-9,
                       ((0, 0.1000814870318523e1), (1, 0.1228178521549917e4), (2, 0.1320554942846706e3))),
    "HIRES": Hard(_hires(), _hires_rhs, np.array([1.0, 5.0, 50.0, 200.0, 321.8122]), 1e-9,
                  ((0, 0.7371312573325668e-3),)),
    "Pollution": Hard(_pollution(), _pollution_rhs, np.array([0.01, 1.0, 10.0, 60.0]), 1e-9,
                      ((0, 0.5646255480022769e-1), (1, 0.1342484130422339e0))),
}  # fmt: skip
