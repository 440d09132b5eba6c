"""What the library holds: quantities, drugs and cell lines."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from her2pkpd.errors import InputError, Problem
from her2pkpd.library.numbers import Quantity
from her2pkpd.library.pk import PharmacokineticModel
from her2pkpd.library.studied import Studied


@dataclass(frozen=True)
class Kinase:
    """How an inhibitor holds one kinase.

    Attributes:
        mode: "reversible" with ``Ki`` (nM, apparent in cells) and ``koff`` (1/h), or "covalent" with ``KI`` (nM)
            and ``kinact`` (1/h).
        constants: those constants by name.
    """

    mode: Literal["reversible", "covalent"]
    constants: Mapping[str, Quantity]


@dataclass(frozen=True)
class Payload:
    """What an ADC carries, and what it does to a cell.

    Attributes:
        name: its name in models, files and results; ADCs with a payload of one name share it in a medium.
        target: what it binds in the cell ("tubulin", "TOP1", "DNA").
        charge: net charge at pH 7.4; a charged payload crosses membranes slowly, which `constants` must reflect.
        constants: ``kin``, ``kout`` (1/h, exchange with the medium), ``target_amount`` (nM of cell volume),
            ``target_KD`` (nM), ``target_kon`` (1/nM/h), ``kc50`` (nM in the cell, free and bound), ``kmax`` (1/h),
            ``n``, and ``release_at_death`` (fraction of what a dying cell holds that reaches the medium).
    """

    name: str
    target: str
    charge: int
    constants: Mapping[str, Quantity]


@dataclass(frozen=True)
class Linker:
    """What holds the payload.

    Attributes:
        cleavable: whether an enzyme of the lysosome frees the payload itself; otherwise proteolysis of the antibody
            leaves it with the linker and an amino acid, and that catabolite is the payload.
        constants: ``deconjugation`` (1/h, loss of a payload in medium or interstitium), ``cleavage`` (1/h, of a
            cleavable linker) and, where known, ``deconjugation_human`` and ``deconjugation_mouse`` (in plasma).
    """

    cleavable: bool
    constants: Mapping[str, Quantity]


@dataclass(frozen=True)
class Conjugate:
    """An antibody-drug conjugate as a molecule.

    Attributes:
        antibody: the naked antibody, which is what deconjugation leaves.
        DAR: mean number of payloads per antibody.
        sites: the most payloads an antibody can carry.
        distribution: fraction of antibodies with 0, 1, 2 ... `sites` payloads; binomial unless measured.
        linker: what holds the payload.
        payload: what is carried.
    """

    antibody: "Drug"
    DAR: Quantity
    sites: int
    distribution: tuple[float, ...]
    linker: Linker
    payload: Payload


@dataclass(frozen=True)
class Drug:
    """A drug of the library.

    Attributes:
        name: its name in models, files and results.
        kind: "antibody", "tki", "adc" or "payload".
        molar_mass: g/mol.
        synonyms: other names it is found by.
        epitope: HER2 domain an antibody or ADC binds, "domain IV" or "domain II"; None for small molecules.
        binding: ``kon`` (1/nM/h), ``KD`` (nM) and ``internalisation_ratio`` of an antibody or ADC; empty otherwise.
        kinases: what an inhibitor does to "HER2" and "EGFR"; empty otherwise.
        off_target: ``IC50`` (nM), ``kmax`` (1/h) and ``h`` of toxicity beside the HER2 family; may be empty.
        reference: published constants the model does not use, for comparison, by name.
        conjugate: the molecule an ADC is; None otherwise.
        payload: the payload a free payload is; None otherwise.
        pk: published population pharmacokinetic models by name; the first that describes a route is its default.
        plasma: constants of the drug in plasma: ``fu``, the unbound fraction.
        studied: doses that people have been given.
    """

    name: str
    kind: Literal["antibody", "tki", "adc", "payload"]
    molar_mass: Quantity
    synonyms: tuple[str, ...] = ()
    epitope: Literal["domain IV", "domain II"] | None = None
    binding: Mapping[str, Quantity] = field(default_factory=dict)
    kinases: Mapping[str, Kinase] = field(default_factory=dict)
    off_target: Mapping[str, Quantity] = field(default_factory=dict)
    reference: Mapping[str, Quantity] = field(default_factory=dict)
    conjugate: Conjugate | None = None
    payload: Payload | None = None
    pk: "Mapping[str, PharmacokineticModel]" = field(default_factory=dict)
    plasma: Mapping[str, Quantity] = field(default_factory=dict)
    studied: tuple[Studied, ...] = ()

    def quantities(self) -> dict[str, Quantity]:
        """Every number by its key in the drug's file, ``kinase.HER2.Ki`` for instance."""
        table = {"identity.molar_mass": self.molar_mass}
        table |= {f"binding.{k}": v for k, v in self.binding.items()}
        for kinase, held in self.kinases.items():
            table |= {f"kinase.{kinase}.{k}": v for k, v in held.constants.items()}
        table |= {f"off_target.{k}": v for k, v in self.off_target.items()}
        if self.conjugate:
            table["adc.DAR"] = self.conjugate.DAR
            table |= {f"linker.{k}": v for k, v in self.conjugate.linker.constants.items()}
        payload = self.payload or (self.conjugate and self.conjugate.payload)
        table |= {f"payload.{k}": v for k, v in (payload.constants if payload else {}).items()}
        table |= {f"plasma.{k}": v for k, v in self.plasma.items()}
        for name, model in self.pk.items():
            table |= {f"pk.{name}.{k}": v for k, v in model.parameters.items()}
            table |= {f"pk.{name}.released.{k}": v for k, v in model.released.items()}
        return table | {f"reference.{k}": v for k, v in self.reference.items()}


@dataclass(frozen=True)
class CellLine:
    """A cell line of the library.

    Attributes:
        name: its name in models, files and results.
        synonyms: other names it is found by (case, spaces and punctuation never matter).
        tissue: tissue of origin.
        status: receptor status ("HER2amp", "HR+", "TNBC", "normal" ...).
        subtype: transcriptional subtype, where known.
        quantities: the numbers to use, by name: ``HER2``, ``HER3``, ``EGFR`` (copies/cell), ``doubling_time`` (h),
            ``HER2_negative_fraction`` (1). What nobody measured is missing, except the doubling time, which then
            has the library's default and says so.
        reported: every value found, by name: what `quantities` is a compromise of.
        payloads: the line's own ``kc50`` (nM) and ``kmax`` (1/h) by payload.
    """

    name: str
    synonyms: tuple[str, ...]
    tissue: str
    status: str
    subtype: str
    quantities: Mapping[str, Quantity]
    reported: Mapping[str, tuple[Quantity, ...]]
    payloads: Mapping[str, Mapping[str, Quantity]] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Quantity:
        """A quantity by name.

        Raises:
            InputError: if the library has no value for it.
        """
        if name not in self.quantities:
            raise InputError(
                Problem(
                    f"the library has no {name} for the cell line {self.name}",
                    f"Give it in your own cell-line file, or as a parameter. Known: {', '.join(self.quantities)}.",
                    value=name,
                )
            )
        return self.quantities[name]

    @property
    def HER2(self) -> Quantity:
        """HER2 receptors, copies/cell."""
        return self["HER2"]

    @property
    def HER3(self) -> Quantity:
        """HER3 receptors, copies/cell."""
        return self["HER3"]

    @property
    def EGFR(self) -> Quantity:
        """EGFR receptors, copies/cell."""
        return self["EGFR"]

    @property
    def doubling_time(self) -> Quantity:
        """Doubling time of the untreated line, h."""
        return self["doubling_time"]
