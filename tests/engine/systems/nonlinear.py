"""Nonlinear systems with closed forms: logistic growth, reversible binding, uptake by dividing cells, saturation."""

import numpy as np

from her2pkpd.model import Builder, Model
from tests.engine.systems.system import Exact


def _logistic() -> Model:
    build = Builder("logistic")
    build.parameter("r", 0.03, "1/h")
    build.parameter("K", 2e4, "cells")
    build.parameter("N0", 500.0, "cells")
    build.species("N", None, "cells", initial=lambda p: p["N0"], scale=1e3)
    build.growth("N", lambda s, p: p["r"] * (1 - s["N"] / p["K"]))
    return build.model()


def _logistic_flow(p, y, u, dt):
    r, k, _ = p
    grown = np.exp(r * dt)
    return k * y * grown / (k + y * (grown - 1))


def _binding() -> Model:
    build = Builder("binding")
    build.parameter("kon", 0.8, "1/nM/h")
    build.parameter("koff", 0.3, "1/h")
    build.parameter("A0", 5.0, "nM")
    build.compartment("well", lambda s, p: 1e-4)
    build.species("A", "well", initial=lambda p: p["A0"])
    build.species("B", "well", initial=2.0)
    build.species("C", "well", initial=0.1)
    build.reaction("binding", {"A": -1, "B": -1, "C": 1}, lambda s, p: p["kon"] * s["A"] * s["B"] - p["koff"] * s["C"])
    return build.model()


def _binding_flow(p, y, u, dt):
    """C' = kon (C - low)(C - high), a Riccati equation with the two equilibria as roots."""
    kon, koff, _ = p
    a, b, c = y
    a_total, b_total = a + c, b + c
    half = (a_total + b_total + koff / kon) / 2
    width = np.sqrt(half**2 - a_total * b_total)
    low, high = half - width, half + width
    ratio = (c - low) / (c - high) * np.exp(-kon * (high - low) * dt)
    bound = (low - high * ratio) / (1 - ratio)
    return np.array([a_total - bound, b_total - bound, bound])


VOLUME, CELL = 1e-4, 2e-12


def _uptake() -> Model:
    """Cells divide and take up a drug from the medium: two volumes, one of which grows."""
    build = Builder("uptake")
    build.parameter("g", 0.025, "1/h")
    build.parameter("kup", 300.0, "1/h")
    build.parameter("N0", 5000.0, "cells")
    build.compartment("medium", lambda s, p: VOLUME)
    build.species("N", None, "cells", initial=lambda p: p["N0"], scale=1e3)
    build.compartment("cells", lambda s, p: s["N"] * CELL, count="N")
    build.species("M", "medium", initial=10.0)
    build.species("X", "cells", initial=1.0)
    build.reaction("uptake", {"M": -1, "X": 1}, lambda s, p: p["kup"] * s["M"], at="cells")
    build.growth("N", lambda s, p: p["g"])
    return build.model()


def _uptake_flow(p, y, u, dt):
    """M' = -kup M N Vc / V with N growing exponentially; the amount in both volumes together is constant."""
    g, kup, _ = p
    n0, m0, x0 = y
    n = n0 * np.exp(g * dt)
    m = m0 * np.exp(-kup * CELL / VOLUME * n0 * np.expm1(g * dt) / g)
    x = (VOLUME * (m0 - m) + n0 * CELL * x0) / (n * CELL)
    return np.array([n, m, x])


def _hyperbolic() -> Model:
    """Second-order loss by dimerisation, y' = -2 k y^2."""
    build = Builder("dimerisation")
    build.parameter("k", 0.05, "1/nM/h")
    build.parameter("Y0", 4.0, "nM")
    build.compartment("well", lambda s, p: 1e-4)
    build.species("Y", "well", initial=lambda p: p["Y0"])
    build.species("D", "well")
    build.reaction("dimer", {"Y": -2, "D": 1}, lambda s, p: p["k"] * s["Y"] ** 2)
    return build.model()


def _hyperbolic_flow(p, y, u, dt):
    now = y[0] / (1 + 2 * p[0] * y[0] * dt)
    return np.array([now, y[1] + (y[0] - now) / 2])


NONLINEAR = {
    "logistic": Exact(_logistic(), _logistic_flow, lambda p: p[2:], (0,), 200.0, infusions=False),
    "binding": Exact(_binding(), _binding_flow, lambda p: np.array([p[2], 2.0, 0.1]), (0, 1), 12.0, infusions=False),
    "uptake": Exact(_uptake(), _uptake_flow, lambda p: np.array([p[2], 10.0, 1.0]), (1,), 96.0, infusions=False),
    "dimerisation": Exact(
        _hyperbolic(), _hyperbolic_flow, lambda p: np.array([p[1], 0.0]), (0,), 40.0, infusions=False
    ),
}
