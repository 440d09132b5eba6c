"""What an ADC's file must say: the antibody it is made of, its DAR, its linker and its payload.

An ADC names a library antibody and a library payload and inherits their constants; what its own file gives replaces
them. So a new conjugate is a dozen lines, and an impossible one is refused with the reason.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from her2pkpd.errors import Problems
from her2pkpd.library.entries import Conjugate, Drug, Linker, Payload
from her2pkpd.library.numbers import Quantity
from her2pkpd.library.quantity import Table, check_keys, read_quantity, read_source
from her2pkpd.library.schema import named, section

PAYLOAD = {
    "kin": "1/h",
    "kout": "1/h",
    "target_amount": "nM",
    "target_KD": "nM",
    "target_kon": "1/nM/h",
    "kc50": "nM",
    "kmax": "1/h",
    "n": "1",
    "release_at_death": "1",
}
"""Constants of a payload with their canonical units."""

_LINKER = ("deconjugation", "cleavage", "deconjugation_human", "deconjugation_mouse")
_MEAN_TOLERANCE = 0.02
_SUM_TOLERANCE = 1e-6
_MOST_SITES = 32


def names_of(table: Table) -> Iterator[str]:
    """Name and synonyms of a drug table, as far as they are text."""
    identity = table.get("identity")
    if isinstance(identity, Mapping):
        synonyms = identity.get("synonyms", [])
        words = [identity.get("name"), *(synonyms if isinstance(synonyms, list) else [])]
        yield from (w for w in words if isinstance(w, str))


def is_conjugate(table: Table) -> bool:
    """Whether a drug table says it is an ADC."""
    identity = table.get("identity")
    return isinstance(identity, Mapping) and identity.get("kind") == "adc"


def completed(table: Table, shelf: Mapping[str, Table], plain: Callable[[str], str]) -> Table:
    """An ADC's table with what its antibody and its payload bring; any other table as it is.

    Args:
        table: the drug's table.
        shelf: every drug table by plain name.
        plain: turns a name into a plain one.
    """
    if not is_conjugate(table):
        return table
    antibody = _inner(shelf.get(plain(_text(_inner(table, "adc"), "antibody")), {}), "binding")
    payload = _inner(shelf.get(plain(_text(_inner(table, "payload"), "name")), {}), "payload")
    return {
        **table,
        "binding": {**antibody, **_inner(table, "binding")},
        "payload": {**payload, **_inner(table, "payload")},
    }


def _inner(table: Table, name: str) -> Table:
    found = table.get(name, {})
    return found if isinstance(found, Mapping) else {}


def _text(table: Table, name: str) -> str:
    found = table.get(name)
    return found if isinstance(found, str) else ""


def with_molecule(drug: Drug | None, table: Table, known: Mapping[str, Drug], problems: Problems) -> Drug | None:
    """Add the conjugate of an ADC, or the payload of a free payload, to a drug.

    Args:
        drug: the drug as read so far, or None if it was refused already.
        table: its completed table.
        known: antibodies and payloads by plain name.
        problems: collects what is wrong.

    Returns:
        The drug, or None after recording problems.
    """
    kind = _text(_inner(table, "identity"), "kind")
    if kind == "payload":
        payload = read_payload(
            section(table, "payload", problems), problems, name=_text(_inner(table, "identity"), "name")
        )
        return replace(drug, payload=payload) if drug and payload else None
    if kind != "adc":
        for name in ("adc", "linker", "payload"):
            if name in table:
                problems.add("only an ADC has this table", 'Set kind = "adc" in [identity], or remove it.', column=name)
        return drug
    conjugate = _read_conjugate(table, known, problems)
    return replace(drug, conjugate=conjugate) if drug and conjugate else None


def read_payload(table: Table, problems: Problems, *, name: str) -> Payload | None:
    """A payload from its table, or None after recording problems."""
    before = len(problems.found)
    check_keys(table, ["name", "target", "charge", *PAYLOAD], "payload", problems)
    target, charge = table.get("target"), table.get("charge")
    if not isinstance(target, str) or not target.strip():
        problems.add(
            "a payload must have a target",
            'Write target = "tubulin", "TOP1", ...',
            column="payload.target",
            value=target,
        )
    if isinstance(charge, bool) or not isinstance(charge, int):
        problems.add(
            "must be a whole number", "Give the net charge at pH 7.4, 0 if none.", column="payload.charge", value=charge
        )
    constants = named(table, PAYLOAD, "payload", problems)
    _above_zero(constants, ("kc50", "n", "target_KD"), "payload", problems)
    share = constants.get("release_at_death")
    if share and share.canonical > 1:
        problems.add("must be at most 1", "It is a fraction.", column="payload.release_at_death", value=share.value)
    if len(problems.found) > before:
        return None
    assert isinstance(target, str)
    assert isinstance(charge, int)
    return Payload(name, target, charge, constants)


def _above_zero(constants: Mapping[str, Quantity], names: tuple[str, ...], key: str, problems: Problems) -> None:
    for name in names:
        if name in constants and constants[name].canonical <= 0:
            problems.add(
                "must be above zero", "Correct the number.", column=f"{key}.{name}", value=constants[name].value
            )


def _read_conjugate(table: Table, known: Mapping[str, Drug], problems: Problems) -> Conjugate | None:
    before = len(problems.found)
    own = section(table, "adc", problems)
    check_keys(own, ["antibody", "DAR", "sites", "distribution"], "adc", problems)
    antibody = _antibody(own, known, problems)
    dar = named(own, {"DAR": "1"}, "adc", problems).get("DAR")
    sites = _sites(own, dar, problems)
    distribution = _distribution(own, dar, sites, problems)
    linker = _linker(section(table, "linker", problems), problems)
    given = section(table, "payload", problems)
    name = _text(given, "name")
    if not name:
        problems.add(
            "a payload must have a name", 'Write name = "DXd".', column="payload.name", value=given.get("name")
        )
    payload = read_payload(given, problems, name=name)
    if len(problems.found) > before or not (antibody and dar and sites and linker and payload):
        return None
    return Conjugate(antibody, dar, sites, distribution, linker, payload)


def _antibody(own: Table, known: Mapping[str, Drug], problems: Problems) -> Drug | None:
    name = own.get("antibody")
    plain_name = "".join(c for c in str(name).casefold() if c.isalnum())
    drug = known.get(plain_name)
    if drug is None or drug.kind != "antibody":
        antibodies = sorted({d.name for d in known.values() if d.kind == "antibody"})
        problems.add(
            "an ADC must name the antibody it is made of",
            f"Use one of: {', '.join(antibodies)}, or add the antibody in a file of its own.",
            column="adc.antibody",
            value=name,
        )
        return None
    return drug


def _sites(own: Table, dar: Quantity | None, problems: Problems) -> int:
    sites = own.get("sites")
    if isinstance(sites, bool) or not isinstance(sites, int) or not 1 <= sites <= _MOST_SITES:
        problems.add(
            f"sites must be a whole number from 1 to {_MOST_SITES}",
            "Give the most payloads one antibody can carry: 8 for interchain cysteines, 2 for engineered ones.",
            column="adc.sites",
            value=sites,
        )
        return 0
    if dar and not 0 < dar.canonical <= sites:
        problems.add(
            f"DAR must be above zero and at most the number of sites, {sites}",
            "An antibody cannot carry more payloads than it has sites: lower DAR or raise sites.",
            column="adc.DAR",
            value=dar.value,
        )
    return sites


def _distribution(own: Table, dar: Quantity | None, sites: int, problems: Problems) -> tuple[float, ...]:
    if not dar or not 0 < dar.canonical <= sites:
        return ()
    if "distribution" not in own:
        share = dar.canonical / sites
        return tuple(math.comb(sites, n) * share**n * (1 - share) ** (sites - n) for n in range(sites + 1))
    table, key = section(own, "distribution", problems), "adc.distribution"
    check_keys(table, ["fractions", "citation", "certainty"], key, problems)
    read_source(table, key, problems)
    given = table.get("fractions")
    if not isinstance(given, list) or not all(_is_share(x) for x in given) or len(given) > sites + 1:
        rule = f"fractions must be up to {sites + 1} numbers from 0 to 1, for DAR 0, 1, 2 ..."
        problems.add(rule, "Correct the list.", column=f"{key}.fractions", value=given)
        return ()
    if abs(sum(given) - 1) > _SUM_TOLERANCE:
        problems.add("fractions must add up to 1", "Correct the list.", column=f"{key}.fractions", value=sum(given))
    mean = sum(n * x for n, x in enumerate(given))
    if abs(mean / dar.canonical - 1) > _MEAN_TOLERANCE:
        rule = f"the distribution has a mean of {mean:.3g}, and DAR is {dar.canonical:g}"
        problems.add(rule, "Make them agree within 2 %.", column=f"{key}.fractions")
    return (*map(float, given), *[0.0] * (sites + 1 - len(given)))


def _is_share(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1


def _linker(table: Table, problems: Problems) -> Linker | None:
    check_keys(table, ["cleavable", *_LINKER], "linker", problems)
    cleavable = table.get("cleavable")
    if not isinstance(cleavable, bool):
        problems.add(
            "must be true or false", "Say whether an enzyme cuts it.", column="linker.cleavable", value=cleavable
        )
    if "deconjugation" not in table:
        problems.add("is missing", "Give the loss of a payload in medium, in 1/h.", column="linker.deconjugation")
    if cleavable is True and "cleavage" not in table:
        problems.add(
            "a cleavable linker must have a rate of cleavage",
            "Give cleavage in 1/h, or set cleavable = false.",
            column="linker.cleavage",
        )
    if cleavable is False and "cleavage" in table:
        problems.add(
            "a linker that is not cleavable has no rate of cleavage",
            "Remove cleavage, or set cleavable = true.",
            column="linker.cleavage",
        )
    read = {k: read_quantity(table[k], f"linker.{k}", problems, unit="1/h") for k in _LINKER if k in table}
    constants = {k: q for k, q in read.items() if q}
    _above_zero(constants, ("cleavage",), "linker", problems)
    return Linker(bool(cleavable), constants)
