"""A patient on trastuzumab deruxtecan whose plasma drives a tumour in shells with a HER2-positive and a negative part.

Plasma is the published population model of T-DXd and released DXd (Yin 2021). It describes everything the body does
to the drug, the tumour included, so the tumour is fed by it and takes nothing from it.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from her2pkpd.dosing import Add, Infuse, compile_segments
from her2pkpd.engine import Batch
from her2pkpd.library import load_drug, load_parameters
from her2pkpd.library.pk import PharmacokineticModel
from her2pkpd.mechanisms.disposition import Structure, central, disposition, plasma
from her2pkpd.mechanisms.krogh import Shells
from her2pkpd.mechanisms.released import cycle, released_payload
from her2pkpd.model import Builder, Model
from her2pkpd.systems.sourced import sourced
from her2pkpd.systems.tumour import Feed, add_tumour, shells

ADC, PAYLOAD = "T-DXd", "DXd"
POSITIVE, NEGATIVE = "HER2+", "HER2-"


def _published() -> PharmacokineticModel:
    return load_drug(ADC).pk["Yin 2021"]


def reference_weight() -> float:
    """Weight of the reference patient of Yin 2021, kg."""
    return next(e.reference for e in _published().effects if e.covariate == "weight")


def two_populations(positive: float = 0.7, *, HER2: float = 1e6) -> dict[str, dict[str, float]]:
    """A tumour of HER2-positive cells and cells without HER2.

    Args:
        positive: share of positive cells.
        HER2: of a positive cell, copies/cell; IHC 3+ is about 1e6.
    """
    table = load_parameters()
    both = {
        "doubling_time": table["tumour.human.doubling_time"].canonical,
        f"{PAYLOAD}.kmax": table[f"tumour.human.{PAYLOAD}.kmax"].canonical,
    }
    return {
        POSITIVE: {**both, "HER2": HER2, "share": positive},
        NEGATIVE: {**both, "HER2": 0.0, "share": 1.0 - positive},
    }


def adc_patient_model(
    populations: Mapping[str, Mapping[str, float]] | None = None,
    geometry: Shells | None = None,
    *,
    volume: float = 1.6e-3,
    ledger: bool = False,
    name: str = "T-DXd patient",
) -> Model:
    """A patient on T-DXd.

    Args:
        populations: of the tumour, as `her2pkpd.systems.tumour.add_tumour` takes them; by default `two_populations`.
        geometry: shells; by default two zones, which makes a model of 54 states.
        volume: of the tumour at time zero, L (1.6 mL in Scheuher 2023).
        ledger: book the payload that leaves the tumour.
        name: name of the model.

    Returns:
        The `Model`. Doses go to ``central.T-DXd`` in nmol, and every dose raises ``cycle.T-DXd`` by one. Outputs:
        ``plasma.T-DXd``, ``plasma.DXd`` (nM), ``tumour.volume`` (L) and per population and shell what a tumour has.
    """
    build, table, pk = Builder(name), load_parameters(), _published()
    for key in Structure().parameters:
        sourced(build, f"{ADC}.{key}", pk.parameters[key])
    for key in ("Krel", "Krel_later_cycles", "payload_per_antibody"):
        sourced(build, f"{ADC}.{key}", pk.released[key])
    exponent = pk.released_values({})["Krel_cycle_exponent"]
    build.parameter(f"{ADC}.Krel_cycle_exponent", exponent, "1", lower=-10.0)
    for key in ("CL", "Vc"):
        sourced(build, f"{PAYLOAD}.{key}", pk.released[key])
    for key in ("klin", "Vmax"):
        q = table[f"tumour.human.{key}"]
        build.parameter(key, q.canonical, q.canonical_unit)
    disposition(build, ADC, Structure())
    released_payload(build, ADC, PAYLOAD)
    feeds = {x: Feed(lambda s, p, x=x: s[plasma(x)]) for x in (ADC, PAYLOAD)}
    add_tumour(
        build, [load_drug(ADC)], populations or two_populations(), geometry or shells(), feeds, volume=volume,
        ledger=ledger,
    )  # fmt: skip
    return build.model()


def adc_doses(
    *, mg_per_kg: float = 5.4, weight: float | None = None, cycles: int = 6, every: float = 504.0, infusion: float = 1.5
) -> list[Add | Infuse]:
    """Infusions of T-DXd.

    Args:
        mg_per_kg: dose.
        weight: kg; by default the reference patient's.
        cycles: how many.
        every: h between starts.
        infusion: duration, h.
    """
    nmol = mg_per_kg * (weight or reference_weight()) / load_drug(ADC).molar_mass.canonical * 1e6
    starts = [every * k for k in range(cycles)]
    infusions = [Infuse(t, central(ADC), nmol / infusion, infusion) for t in starts]
    return [*infusions, *(Add(t, cycle(ADC), 1.0) for t in starts)]


VARIED = ("T-DXd.CL", "T-DXd.Vc", "T-DXd.Q", "T-DXd.Vp", "HER2+.HER2", "HER2+.DXd.kc50", "HER2-.DXd.kc50")
"""What differs between the patients of `adc_patients`."""


def adc_patients(
    lanes: int,
    *,
    model: Model | None = None,
    cycles: int = 6,
    saves: int = 126,
    spread: Sequence[float] = (0.25, 0.16, 0.3, 0.6, 0.5, 1.0, 1.0),
    seed: int = 0,
) -> Batch:
    """A cohort of patients on 5.4 mg/kg every 21 d: the batch that times the engine.

    Args:
        lanes: how many.
        model: the patient; by default `adc_patient_model`.
        cycles: doses.
        saves: output times after time zero.
        spread: log-normal standard deviation of each of `VARIED`.
        seed: of the random numbers.
    """
    model = model or adc_patient_model()
    p = np.tile(model.default_parameters(), (lanes, 1))
    noise = np.random.default_rng(seed).standard_normal((lanes, len(VARIED)))
    for k, name in enumerate(VARIED):
        p[:, model.parameter_index[name]] *= np.exp(spread[k] * noise[:, k])
    stop = 504.0 * cycles
    segments = compile_segments(model, [adc_doses(cycles=cycles)] * lanes, start=0.0, stop=stop)
    return Batch(model, p, segments, np.linspace(0.0, stop, saves + 1))
