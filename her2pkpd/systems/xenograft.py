"""A mouse with a xenograft: plasma of ADC, naked antibody and payload, and a tumour in shells that draws on it.

    k12 = ln2/t_dist * Pd/(Pd + Vc/Vp),   Q = k12*Vc,   Vp' = Pd*Vp,   CL = ln2/t_half*(Vc + Vp')

Conjugate and naked antibody share one disposition; payload, whether deconjugated in plasma or washed out of the
tumour, is eliminated with its own half-life. Nothing is lost on the way, so that the payload of the whole mouse can
be balanced.

Source: Scheuher 2023 J Pharmacokinet Pharmacodyn 51:5-30 (constants and form of the exchange).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from her2pkpd.dosing import Add
from her2pkpd.library import Drug, load_parameters
from her2pkpd.mechanisms.disposition import AMOUNTS, Structure, amounts, central, disposition, plasma
from her2pkpd.mechanisms.krogh import Shells
from her2pkpd.model import Builder, Model
from her2pkpd.systems.conjugates import Cytotoxics, conjugate_doses, cytotoxics
from her2pkpd.systems.tumour import Feed, add_tumour, shells

MOUSE_WEIGHT = 0.02
"""kg."""

ELIMINATED = "payload.eliminated"


def xenograft_model(
    drugs: Sequence[Drug],
    populations: Mapping[str, Mapping[str, float]],
    geometry: Shells | None = None,
    *,
    volume: float = 2e-4,
    explicit_dar: bool = False,
    ledger: bool = False,
    name: str = "xenograft",
) -> Model:
    """A mouse with a tumour.

    Args:
        drugs: antibodies, ADCs and payloads that may be given.
        populations: of the tumour, as `her2pkpd.systems.tumour.add_tumour` takes them.
        geometry: shells; by default two zones.
        volume: of the tumour at time zero, L.
        explicit_dar: give every payload number of a conjugate a species of its own (``central.T-DM1.DAR3``); the
            quantity ``plasma.T-DM1`` is then all that carry payload. Doses are those of `mouse_doses`.
        ledger: book the payload that is eliminated, drained or lost with debris.
        name: name of the model.

    Returns:
        The `Model`. Doses go to ``central.<drug>`` in nmol; outputs ``plasma.<drug>`` (nM), ``tumour.volume`` (L) and
        per population and shell what a tumour has.
    """
    build, table = Builder(name), load_parameters()
    toxins = cytotoxics(drugs, explicit_dar=explicit_dar)
    proteins = [
        *dict.fromkeys([*(d.name for d in drugs if d.kind == "antibody"), *(d.name for d in toxins.antibodies)])
    ]
    amounts(build)
    for x in (*proteins, *toxins.conjugates):
        _disposition(build, x, table["mouse.half_life"].canonical)
    for x in toxins.payloads:
        _clearance_only(build, x, table["mouse.payload_half_life"].canonical)
    for key in ("klin", "Vmax"):
        q = table[f"tumour.mouse.{key}"]
        build.parameter(key, q.canonical, q.canonical_unit)
    _plasma_deconjugation(build, drugs, toxins)
    feeds = {
        x: Feed(lambda s, p, x=x: s[plasma(x)], central(x)) for x in (*proteins, *toxins.conjugates, *toxins.payloads)
    }
    add_tumour(
        build, drugs, populations, geometry or shells(), feeds, volume=volume, explicit_dar=explicit_dar, ledger=ledger
    )
    if explicit_dar:
        for x in toxins.processings:
            parts = [plasma(load.species) for load in x.loads]
            build.quantity(plasma(x.adc), lambda s, p, parts=parts: sum(s[n] for n in parts), "nM", "carrying payload")
    if ledger:
        _book(build, toxins)
    return build.model()


def mouse_doses(drug: Drug, time: float, nmol: float, *, explicit_dar: bool = False) -> list[Add]:
    """A bolus, as one addition, or of a conjugate as one for each payload number that occurs.

    Args:
        drug: an antibody or an ADC.
        time: h.
        nmol: of antibody, with and without payload.
        explicit_dar: as `xenograft_model` has it.
    """
    if drug.conjugate and explicit_dar:
        return [replace(x, species=central(x.species)) for x in conjugate_doses(drug, time, nmol)]
    return [Add(time, central(drug.name), nmol)]


def _disposition(build: Builder, name: str, half_life: float) -> None:
    table = load_parameters()
    vc, vp, pd = (table[f"mouse.{x}"].canonical for x in ("Vc", "Vp", "partition"))
    k12 = math.log(2) / table["mouse.distribution_time"].canonical * pd / (pd + vc / vp)
    values = {"Vc": vc, "Q": k12 * vc, "Vp": pd * vp, "CL": math.log(2) / half_life * (vc + pd * vp)}
    for key, unit in Structure().parameters.items():
        build.parameter(f"{name}.{key}", values[key], unit)
    disposition(build, name, Structure())


def _clearance_only(build: Builder, name: str, half_life: float) -> None:
    volume = load_parameters()["mouse.Vc"].canonical
    structure = Structure(peripherals=0)
    build.parameter(f"{name}.Vc", volume, "L")
    build.parameter(f"{name}.CL", math.log(2) / half_life * volume, "L/h")
    disposition(build, name, structure)


def _plasma_deconjugation(build: Builder, drugs: Sequence[Drug], toxins: Cytotoxics) -> None:
    for drug, x in zip([d for d in drugs if d.conjugate], toxins.processings, strict=True):
        assert drug.conjugate is not None
        constants = drug.conjugate.linker.constants
        rate = constants.get("deconjugation_mouse", constants["deconjugation"])
        key = f"{drug.name}.deconjugation_plasma"
        build.parameter(key, rate.canonical, "1/h")
        for load in x.loads:
            explicit = not isinstance(load.payloads, str)
            whole, times = central(load.species), float(load.payloads) if explicit else 1.0
            build.reaction(
                f"deconjugation of {load.species} in plasma",
                {whole: -1, central(load.less): 1, central(x.payload): 1.0 if explicit else load.payloads},
                lambda s, p, key=key, whole=whole, times=times: times * p[key] * s[whole],
                at=AMOUNTS,
                equation=f"{f'{times:g}*' if explicit else ''}kdec*A",
            )


def _book(build: Builder, toxins: Cytotoxics) -> None:
    build.species(ELIMINATED, AMOUNTS, "nmol")
    carriers = [(load.species, load.payloads) for x in toxins.processings for load in x.loads]
    for name, number in [*carriers, *((x, 1.0) for x in toxins.payloads)]:
        build.reaction(
            f"{name} eliminated",
            {ELIMINATED: number},
            lambda s, p, name=name: p[f"{name}.CL"] * s[plasma(name)],
            at=AMOUNTS,
        )
