"""Linear pharmacokinetics: one, two and three compartments, absorption, and a chain of equal links.

The flow is the matrix exponential of a matrix written out by hand; for boluses and infusions the textbook sums
of exponentials (Gibaldi & Perrier, Pharmacokinetics, 2nd edition, 1982) are given beside it.
"""

import numpy as np

from her2pkpd.model import Builder, Model
from tests.engine.systems.system import Exact


def expm(a):
    """Matrix exponential by scaling and squaring of the Taylor polynomial; exact to rounding for norms below 500."""
    small = a / 1024.0
    term = total = np.eye(a.shape[0])
    for i in range(1, 15):
        term = term @ small / i
        total = total + term
    for _ in range(10):
        total = total @ total
    return total


def linear_flow(matrix):
    """Flow of y' = A(p) y + u, from the exponential of the matrix bordered by u."""

    def flow(p, y, u, dt):
        a = matrix(p)
        n = a.shape[0]
        bordered = np.zeros((n + 1, n + 1), dtype=np.result_type(a, u))
        bordered[:n, :n], bordered[:n, n] = a, u
        return (expm(bordered * dt) @ np.append(y, 1.0))[:n]

    return flow


def _compartments(name: str, parameters: dict[str, float], peripherals: int) -> Model:
    build = Builder(name)
    for key, value in parameters.items():
        build.parameter(key, value, "L" if key.startswith("V") else "L/h")
    build.compartment("central", lambda s, p: p["V1"])
    build.species("C1", "central", scale=1.0)
    build.reaction("elimination", {"C1": -1}, lambda s, p: p["CL"] / p["V1"] * s["C1"])
    for i in range(2, peripherals + 2):
        build.compartment(f"tissue {i}", lambda s, p, i=i: p[f"V{i}"])
        build.species(f"C{i}", f"tissue {i}", scale=1.0)
        build.reaction(
            f"exchange {i}",
            {"C1": -1, f"C{i}": 1},
            lambda s, p, i=i: p[f"Q{i}"] / p["V1"] * (s["C1"] - s[f"C{i}"]),
            at="central",
        )
    return build.model()


def _one(p):
    cl, v1 = p
    return np.array([[-cl / v1]])


def _two(p):
    cl, v1, q2, v2 = p
    return np.array([[-(cl + q2) / v1, q2 / v1], [q2 / v2, -q2 / v2]])


def _three(p):
    cl, v1, q2, v2, q3, v3 = p
    return np.array(
        [[-(cl + q2 + q3) / v1, q2 / v1, q3 / v1], [q2 / v2, -q2 / v2, 0.0], [q3 / v3, 0.0, -q3 / v3]],
    )


def _absorption() -> Model:
    build = Builder("oral")
    for key, value, unit in (("ka", 0.9, "1/h"), ("F", 0.6, "1"), ("CL", 4.0, "L/h"), ("V", 30.0, "L")):
        build.parameter(key, value, unit)
    build.compartment("gut", lambda s, p: 1.0)
    build.compartment("plasma", lambda s, p: p["V"])
    build.species("depot", "gut")
    build.species("C", "plasma")
    build.reaction("absorbed", {"depot": -1, "C": "F"}, lambda s, p: p["ka"] * s["depot"], at="gut")
    build.reaction("eliminated", {"C": -1}, lambda s, p: p["CL"] / p["V"] * s["C"])
    return build.model()


def _absorption_matrix(p):
    ka, f, cl, v = p
    return np.array([[-ka, 0.0], [f * ka / v, -cl / v]])


LINKS = 6


def _chain() -> Model:
    build = Builder("chain")
    build.parameter("k", 0.7, "1/h")
    build.parameter("A0", 8.0, "nM")
    build.compartment("well", lambda s, p: 1e-4)
    for i in range(LINKS):
        build.species(f"A{i}", "well", initial=(lambda p: p["A0"]) if i == 0 else 0.0)
    for i in range(LINKS):
        made = {f"A{i + 1}": 1.0} if i + 1 < LINKS else {}
        build.reaction(f"step {i}", {f"A{i}": -1, **made}, lambda s, p, i=i: p["k"] * s[f"A{i}"])
    return build.model()


def _chain_matrix(p):
    return p[0] * (np.diag(np.ones(LINKS - 1), -1) - np.eye(LINKS))


def _zeros(n: int):
    return lambda p: np.zeros(n)


ONE = {"CL": 0.5, "V1": 3.0}
TWO = {**ONE, "Q2": 0.7, "V2": 2.5}
THREE = {**TWO, "Q3": 0.05, "V3": 4.0}

LINEAR = {
    "one compartment": Exact(_compartments("one", ONE, 0), linear_flow(_one), _zeros(1), (0,), 24.0),
    "two compartments": Exact(_compartments("two", TWO, 1), linear_flow(_two), _zeros(2), (0,), 48.0),
    "three compartments": Exact(_compartments("three", THREE, 2), linear_flow(_three), _zeros(3), (0, 2), 96.0),
    "absorption": Exact(_absorption(), linear_flow(_absorption_matrix), _zeros(2), (0, 1), 24.0),
    "chain": Exact(_chain(), linear_flow(_chain_matrix), lambda p: p[1] * np.eye(LINKS)[0], (0, 3), 20.0),
}
