"""Problems the engine is tuned and measured on.

`patient` is a stand-in of the size and stiffness of a patient on an antibody-drug conjugate: plasma and tissue
kinetics of conjugate, antibody and payload, receptor binding, dimers and trafficking, a saturable signalling
cascade with feedback, and transit-compartment tumour growth. Its numbers are plausible, not fitted.
`well` is the package's own well with two antibodies and a kinase inhibitor.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np

from her2pkpd.engine import Batch, Segments
from her2pkpd.library import load_cell_line, load_drug
from her2pkpd.model import Builder, Model, Scope
from her2pkpd.systems.well import cell_parameters, well_model

PARAMETERS = {
    "V1": 2.8, "V2": 5.16, "CL": 0.0175, "Q": 0.0084, "Vd": 17.0, "CLd": 19.0, "Vd2": 8.0, "Qd": 4.0, "DAR": 7.7,
    "krel": 0.006, "kon": 0.9, "koff": 0.09, "kint": 0.05, "krec": 0.3, "kdeg": 0.4, "ksyn": 18.0, "Vt": 0.02,
    "Pt": 0.01, "Ptd": 0.5, "kdim": 0.02, "kund": 5.0, "kdim3": 0.05, "kcat": 200.0, "kdp": 120.0, "Km": 40.0,
    "Kmp": 25.0, "Vp": 900.0, "hill": 2.3, "IC50": 60.0, "kg": 0.004, "kkill": 0.02, "ktr": 0.06, "Kp": 8.0,
    "klys": 0.8, "kout": 6.0, "kin": 4.0, "kbt": 12.0, "kut": 2.0, "Ttot": 30.0,
}  # fmt: skip
"""Canonical units: h, L, nM."""

SPECIES = {
    "plasma": {"ADC": (0, 100), "Ab": (0, 100)},
    "tissue": {"ADC2": (0, 100), "Ab2": (0, 100)},
    "payload": {"D": (0, 1)},
    "payload tissue": {"D2": (0, 1)},
    "tumour": {
        "ADCt": (0, 10), "Abt": (0, 10), "Dt": (0, 1), "R": (300, 100), "R3": (40, 10), "RA": (0, 100), "RB": (0, 10),
        "RR": (8, 10), "RR3": (8, 10), "RAR": (0, 10), "Ri": (20, 10), "RAi": (0, 10), "lys": (0, 10), "Dc": (0, 1),
        "DTub": (0, 1), "pRR": (4, 10), "pRR3": (4, 10), "Ras": (100, 100), "RasA": (1, 10), "Raf": (50, 10),
        "RafA": (1, 10), "Mek": (200, 100), "MekA": (5, 10), "Erk": (300, 100), "ErkA": (10, 10), "Akt": (150, 100),
        "AktA": (10, 10),
    },
}  # fmt: skip
"""Initial value and scale, by compartment."""

MOVED = ("kon", "koff", "kint", "krec", "kdeg", "ksyn", "kdim", "kund", "kcat", "Vp", "klys", "kout")
"""The twelve parameters of the gradient problem."""


def patient() -> Model:
    """The stand-in patient: 37 states."""
    build = Builder("stand-in patient")
    for name, value in PARAMETERS.items():
        build.parameter(name, value, "1/h")
    for home, volume in (
        ("plasma", "V1"),
        ("tissue", "V2"),
        ("payload", "Vd"),
        ("payload tissue", "Vd2"),
        ("tumour", "Vt"),
    ):
        build.compartment(home, lambda s, p, volume=volume: p[volume])
        for name, (value, scale) in SPECIES[home].items():
            build.species(name, home, initial=float(value), scale=float(scale))
    _kinetics(build)
    _receptors(build)
    _signalling(build)
    _tumour(build)
    return build.model()


def _first_order(build: Builder, source: str, target: dict, *constants: str, at: str | None = None) -> None:
    def rate(s: Scope, p: Scope) -> Any:
        value = s[source]
        for c in constants:
            value = value / p[c[1:]] if c.startswith("/") else value * p[c]
        return value

    build.reaction(f"{source} to {', '.join(target) or 'nothing'}", {source: -1, **target}, rate, at=at)


def _kinetics(build: Builder) -> None:
    _first_order(build, "ADC", {}, "CL", "/V1")
    _first_order(build, "Ab", {}, "CL", "/V1")
    _first_order(build, "D", {}, "CLd", "/Vd")
    _first_order(build, "ADC", {"Ab": 1, "D": "DAR"}, "krel", at="plasma")
    for name, deep, flow, volume, home in (
        ("ADC", "ADC2", "Q", "V1", "plasma"),
        ("Ab", "Ab2", "Q", "V1", "plasma"),
        ("D", "D2", "Qd", "Vd", "payload"),
    ):
        _first_order(build, name, {deep: 1}, flow, f"/{volume}", at=home)
        build.reaction(
            f"{deep} back", {deep: -1, name: 1}, lambda s, p, f=flow, v=volume, d=deep: p[f] / p[v] * s[d], at=home
        )
    for name, inside, flow, volume, home, share in (
        ("ADC", "ADCt", "Pt", "V1", "plasma", 0.3),
        ("Ab", "Abt", "Pt", "V1", "plasma", 0.3),
        ("D", "Dt", "Ptd", "Vd", "payload", 0.4),
    ):
        build.reaction(
            f"{name} into tumour",
            {name: -1, inside: 1},
            lambda s, p, n=name, i=inside, f=flow, v=volume, x=share: p[f] / p[v] * (s[n] - s[i] / x),
            at=home,
        )


def _receptors(build: Builder) -> None:
    for ligand, receptor, bound in (("ADCt", "R", "RA"), ("Abt", "R", "RB"), ("ADCt", "RR", "RAR")):
        build.reaction(
            f"{ligand} binds {receptor}",
            {ligand: -1, receptor: -1, bound: 1},
            lambda s, p, a=ligand, r=receptor, b=bound: p["kon"] * s[a] * s[r] - p["koff"] * s[b],
        )
    build.reaction("dimers", {"R": -2, "RR": 1}, lambda s, p: p["kdim"] * s["R"] * s["R"] - p["kund"] * s["RR"])
    build.reaction(
        "mixed dimers", {"R": -1, "R3": -1, "RR3": 1}, lambda s, p: p["kdim3"] * s["R"] * s["R3"] - p["kund"] * s["RR3"]
    )
    for dimer in ("RR", "RR3"):
        _first_order(build, dimer, {f"p{dimer}": 1}, "kcat")
        _first_order(build, f"p{dimer}", {dimer: 1}, "kdp")
    build.reaction("R made", {"R": 1}, lambda s, p: p["ksyn"])
    build.reaction("R3 made", {"R3": 1}, lambda s, p: 0.1 * p["ksyn"])
    for source, target, k in (
        ("R3", {}, "kint"), ("R", {"Ri": 1}, "kint"), ("Ri", {"R": 1}, "krec"), ("Ri", {}, "kdeg"),
        ("RA", {"RAi": 1}, "kint"), ("RAR", {"RAi": 1, "Ri": 1}, "kint"), ("RB", {"Ri": 1}, "kint"),
        ("RAi", {"lys": "DAR"}, "klys"), ("lys", {"Dc": 1}, "klys"),
    ):  # fmt: skip
        _first_order(build, source, target, k)
    build.reaction("payload leaves", {"Dc": -1, "Dt": 1}, lambda s, p: p["kout"] * s["Dc"] - p["kin"] * s["Dt"])
    build.reaction(
        "payload binds",
        {"Dc": -1, "DTub": 1},
        lambda s, p: p["kbt"] * s["Dc"] * (p["Ttot"] - s["DTub"]) - p["kut"] * s["DTub"],
    )


def _signalling(build: Builder) -> None:
    build.quantity("signal", lambda s, p: 0.05 * (s["pRR"] + 2 * s["pRR3"]), "nM")
    build.quantity("damped", lambda s, p: s["signal"] / (1 + s["ErkA"] / p["IC50"]), "nM")
    cascade = (("Ras", "damped"), ("Raf", "RasA"), ("Mek", "RafA"), ("Erk", "MekA"), ("Akt", "signal"))
    for name, by in cascade:
        build.reaction(
            f"{name} on",
            {name: -1, f"{name}A": 1},
            lambda s, p, n=name, by=by: p["kcat"] * s[by] * s[n] / (p["Km"] + s[n]),
        )
        build.reaction(
            f"{name} off",
            {f"{name}A": -1, name: 1},
            lambda s, p, n=f"{name}A": p["Vp"] * s[n] / (p["Kmp"] + s[n]),
        )


def _tumour(build: Builder) -> None:
    for k in range(1, 5):
        build.species(f"N{k}", None, "cells", initial=1e8 if k == 1 else 0.0, scale=1e6)

    def drive(s: Scope, p: Scope) -> Any:
        active = jnp.power(s["ErkA"] + s["AktA"], p["hill"])
        return active / (jnp.power(p["IC50"], p["hill"]) + active)

    build.growth("N1", lambda s, p: p["kg"] * drive(s, p))
    build.reaction("killed", {"N1": -1, "N2": 1}, lambda s, p: p["kkill"] * s["DTub"] / (p["Kp"] + s["DTub"]) * s["N1"])
    for k in range(2, 5):
        _first_order(build, f"N{k}", {f"N{k + 1}": 1} if k < 4 else {}, "ktr")


def patients(lanes: int, *, cycles: int = 6, saves: int = 126, spread: float = 0.3, seed: int = 0) -> Batch:
    """A cohort of stand-in patients: `cycles` of 21 d, an infusion of 90 min each, log-normal parameters."""
    model = patient()
    rng = np.random.default_rng(seed)
    p = model.default_parameters() * np.exp(spread * rng.standard_normal((lanes, model.n_parameters)))
    bounds = np.array([t for c in range(cycles) for t in (504.0 * c, 504.0 * c + 1.5)] + [504.0 * cycles])
    infusion = np.zeros((len(bounds) - 1, 1))
    infusion[::2] = 5.4 * 70 / 153.7e3 * 1e6 / PARAMETERS["V1"] / 1.5
    segments = Segments(np.broadcast_to(bounds, (lanes, len(bounds))), (model.species_index["ADC"],), infusion=infusion)
    times = np.linspace(0.0, bounds[-1], saves + 1)
    return Batch(model, p, segments, np.broadcast_to(times, (lanes, len(times))))


def wells(lanes: int = 64, *, saves: int = 13, spread: float = 0.1, seed: int = 0) -> Batch:
    """A plate of wells: SK-BR-3 with trastuzumab, pertuzumab and lapatinib at concentrations of their own, 72 h."""
    drugs = [load_drug(name) for name in ("trastuzumab", "pertuzumab", "lapatinib")]
    model = well_model(drugs, {"SK-BR-3": {**cell_parameters(load_cell_line("SK-BR-3")), "seeded": 5000.0}})
    rng = np.random.default_rng(seed)
    p = model.default_parameters() * np.exp(spread * rng.standard_normal((lanes, model.n_parameters)))
    inputs = tuple(model.species_index[d.name] for d in drugs)
    jump = 10.0 ** rng.uniform(-2, 3, (lanes, 1, len(inputs)))
    segments = Segments(np.broadcast_to([0.0, 72.0], (lanes, 2)), inputs, jump)
    times = np.linspace(0.0, 72.0, saves)
    return Batch(model, p, segments, np.broadcast_to(times, (lanes, saves)))
