"""Antibody-drug conjugates: what a cell does with one, from its surface to the free payload in its cytosol.

    dE/dt = sum_n n*kint*C_n*R0 + kpino*sum_n n*A_n - (kdeg + mu)*E          payload on conjugate in lysosomes
    dL/dt = kdeg*E - (cleavage + mu)*L                                       cleavable linkers only
    dx/dt = kdeg*E (or cleavage*L) + ...                                     see `her2pkpd.mechanisms.payload`
    dA/dt = -kdec*A - sum_j phi_j*(bind_j + kpino_j*A)

A conjugate is either lumped, one species A with the mean DAR, or explicit, one species per number of payloads. All
of them bind like the antibody they are made of. Deconjugation is counted once: the lumped conjugate turns into naked
antibody and DAR payloads at a constant DAR, the explicit one goes down its chain and what has lost its last payload
is naked antibody. Nothing of it is lost: naked antibody goes on competing for HER2.

If every payload is lost at the same rate, n*kdec per antibody with n payloads, both descriptions release the same
payload and bring the same payload into cells, exactly; they differ in how much antibody is naked.

Trafficking is the net set of Maass 2016, for receptor (kint) and conjugate (kdeg) alike. The recycling set of
Scheuher 2023 describes the same data with other states; its rates must not be mixed in.

A linker that is not cleavable leaves the payload with linker and amino acid when the antibody is digested. With a
cleavable one, digestion leaves the linker-payload in the lysosome, where `cleavage` frees it; without cleavage it
stays there and does nothing.

Sources: Maass 2016 AAPS J 18:635; Singh & Shah 2017 AAPS J 19:1054 (the lysosomal state); Scheuher 2023 J
Pharmacokinet Pharmacodyn 51:5-30 (deconjugation to naked antibody at constant DAR); Bender 2014 AAPS J 16:994 (the
chain).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from her2pkpd.mechanisms.payload import free
from her2pkpd.mechanisms.population import MEDIUM, around, constants, cytosol
from her2pkpd.model import Builder, Coefficient


@dataclass(frozen=True)
class Load:
    """Conjugate molecules with one number of payloads.

    Attributes:
        species: their name where they are dissolved, without the place.
        payloads: how many each carries, or the parameter that says so.
        less: what is left when a payload (explicit) or all of them (lumped) are lost.
    """

    species: str
    payloads: Coefficient
    less: str


@dataclass(frozen=True)
class Processing:
    """An ADC as the mechanisms see it.

    Attributes:
        adc: its name, and prefix of its parameters.
        antibody: name of the naked antibody.
        payload: name of the payload.
        cleavable: whether the lysosome cleaves the linker.
        loads: its molecules by payload number.
    """

    adc: str
    antibody: str
    payload: str
    cleavable: bool
    loads: tuple[Load, ...]


def lumped(adc: str) -> tuple[str, Coefficient]:
    """Species and payload number of a conjugate described by its mean DAR."""
    return adc, f"{adc}.DAR"


def loads_of(adc: str, antibody: str, *, sites: int | None = None) -> tuple[Load, ...]:
    """The molecules of a conjugate: one with the mean DAR, or one for each payload number up to `sites`."""
    if sites is None:
        species, payloads = lumped(adc)
        return (Load(species, payloads, antibody),)
    names = [antibody, *(f"{adc}.DAR{n}" for n in range(1, sites + 1))]
    return tuple(Load(names[n], float(n), names[n - 1]) for n in range(1, sites + 1))


def lysosome(adc: str, population: str) -> str:
    """Name of the species "payload on conjugate in the lysosomes", nM of cell volume."""
    return f"lysosome.{adc}.{population}"


def uncleaved(adc: str, population: str) -> str:
    """Name of the species "payload with its linker, antibody digested, in the lysosomes", nM of cell volume."""
    return f"linker_payload.{adc}.{population}"


def held_by(processing: Processing, population: str) -> list[str]:
    """Payload a population holds in its lysosomes, as species."""
    names = [lysosome(processing.adc, population)]
    return [*names, uncleaved(processing.adc, population)] if processing.cleavable else names


def cargo(processings: Sequence[Processing], population: str) -> dict[str, Mapping[str, Coefficient]]:
    """What every conjugate brings into the lysosomes with the receptor it sits on; for `her2_turnover`."""
    return {load.species: {lysosome(x.adc, population): load.payloads} for x in processings for load in x.loads}


def deconjugation(build: Builder, processing: Processing, *, place: str = "", compartment: str = MEDIUM) -> None:
    """The conjugate loses payload where it is dissolved.

    Lumped: A -> antibody + DAR*payload at ``<adc>.deconjugation``. Explicit: A_n -> A_(n-1) + payload at
    n*``<adc>.deconjugation``.

    Args:
        build: the model; must hold ``<adc>.deconjugation`` (1/h), and ``<adc>.DAR`` if it is lumped.
        processing: the ADC.
        place: where, "@2" for place 2; "" in a well.
        compartment: compartment of the conjugate there.
    """
    for load in processing.loads:
        whole, left, payload = (f"{x}{place}" for x in (load.species, load.less, processing.payload))
        explicit = not isinstance(load.payloads, str)
        times = float(load.payloads) if explicit else 1.0
        build.reaction(
            f"deconjugation of {whole}",
            {whole: -1, left: 1, payload: 1 if explicit else load.payloads},
            lambda s, p, whole=whole, times=times: times * p[f"{processing.adc}.deconjugation"] * s[whole],
            at=compartment,
            equation=f"{f'{times:g}*' if explicit else ''}kdec*[{whole}]",
        )


def conjugate_processing(build: Builder, population: str, processing: Processing) -> None:
    """Pinocytosis, digestion and linker cleavage; uptake with HER2 is `cargo` of `her2_turnover`.

    Args:
        build: the model; must hold ``kdeg`` (1/h), ``<population>.kpino`` (1/h), ``<adc>.DAR`` if lumped, and
            ``<adc>.cleavage`` (1/h) of a cleavable linker.
        population: name of the population.
        processing: the ADC.
    """
    inside, adc = cytosol(population), processing.adc
    on_antibody, ready = lysosome(adc, population), free(processing.payload, population)
    build.species(on_antibody, inside, "nM", scale=100.0)
    kpino = f"{constants(population)}.kpino"
    for load in processing.loads:
        dissolved = around(load.species, population)
        build.reaction(
            f"pinocytosis of {dissolved} by {population}",
            {dissolved: -1, on_antibody: load.payloads},
            lambda s, p, dissolved=dissolved: p[kpino] * s[dissolved],
            at=inside,
            equation=f"kpino*[{dissolved}]",
        )
    digested = uncleaved(adc, population) if processing.cleavable else ready
    build.reaction(
        f"digestion of {adc} in {population}",
        {on_antibody: -1, digested: 1},
        lambda s, p: p["kdeg"] * s[on_antibody],
        equation=f"kdeg*[{on_antibody}]",
    )
    if processing.cleavable:
        build.species(digested, inside, "nM", scale=10.0)
        build.reaction(
            f"cleavage of the linker of {adc} in {population}",
            {digested: -1, ready: 1},
            lambda s, p: p[f"{adc}.cleavage"] * s[digested],
            equation=f"cleavage*[{digested}]",
        )
