"""What a drug and a cell line of a library file must look like."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from her2pkpd.errors import Problems
from her2pkpd.library.entries import CellLine, Drug, Kinase
from her2pkpd.library.numbers import Quantity
from her2pkpd.library.pk import read_pk
from her2pkpd.library.quantity import Table, check_keys, read_quantity
from her2pkpd.library.studied import read_studied
from her2pkpd.sources import Source

_BINDING = {"kon": "1/nM/h", "KD": "nM", "internalisation_ratio": "1"}
_KINASE = {"reversible": {"Ki": "nM", "koff": "1/h"}, "covalent": {"KI": "nM", "kinact": "1/h"}}
_OFF_TARGET = {"IC50": "nM", "kmax": "1/h", "h": "1"}
_CELL_QUANTITIES = {
    "HER2": "copies/cell",
    "HER3": "copies/cell",
    "EGFR": "copies/cell",
    "doubling_time": "h",
    "HER2_negative_fraction": "1",
}
_SENSITIVITY = {"kc50": "nM", "kmax": "1/h"}
_CELL_TEXT = ("tissue", "status", "subtype")


def section(table: Table, name: str, problems: Problems) -> Table:
    """A table inside a table; empty when it is absent, or after recording that it is something else."""
    inner = table.get(name, {})
    if isinstance(inner, Mapping):
        return inner
    problems.add("must be a table", f"Write [{name}].", column=name, value=inner)
    return {}


def named(table: Table, units: Mapping[str, str], key: str, problems: Problems) -> dict[str, Quantity]:
    """The quantities of a table that must have them all; those missing are recorded."""
    found = {}
    for name, unit in units.items():
        if name not in table:
            problems.add("is missing", f"Give it in {unit}, with its source.", column=f"{key}.{name}")
            continue
        quantity = read_quantity(table[name], f"{key}.{name}", problems, unit=unit)
        if quantity:
            found[name] = quantity
    return found


def _words(table: Table, name: str, key: str, problems: Problems) -> tuple[str, ...]:
    words = table.get(name, [])
    if isinstance(words, list) and all(isinstance(w, str) for w in words):
        return tuple(words)
    problems.add("must be a list of names", f'Write {name} = ["...", "..."].', column=key, value=words)
    return ()


def choice(table: Table, name: str, choices: Sequence[str], key: str, problems: Problems) -> Any:
    """A key that must be one of `choices`; anything else is recorded."""
    value = table.get(name)
    if value not in choices:
        words = " or ".join(f'"{c}"' for c in choices)
        problems.add(f"must be {words}", f"Set {name} accordingly.", column=f"{key}.{name}", value=value)
    return value


def read_drug(table: Table, problems: Problems) -> Drug | None:
    """A drug from its TOML table, or None after recording problems; `her2pkpd.library.adc` adds what an ADC carries."""
    before = len(problems.found)
    known = ["identity", "binding", "kinase", "off_target", "adc", "linker", "payload", "plasma", "pk", "reference"]
    known.append("studied")
    check_keys(table, known, "", problems)
    identity = section(table, "identity", problems)
    check_keys(identity, ["name", "kind", "synonyms", "molar_mass"], "identity", problems)
    name = identity.get("name")
    if not isinstance(name, str) or not name.strip():
        problems.add("a drug must have a name", 'Write name = "...".', column="identity.name", value=name)
    kind = choice(identity, "kind", ("antibody", "tki", "adc", "payload"), "identity", problems)
    synonyms = _words(identity, "synonyms", "identity.synonyms", problems)
    molar_mass = named(identity, {"molar_mass": "g/mol"}, "identity", problems)
    reference = _reference(section(table, "reference", problems), problems)
    binding: dict[str, Quantity] = {}
    kinases: dict[str, Kinase] = {}
    off_target: dict[str, Quantity] = {}
    epitope = None
    if kind in ("antibody", "adc"):
        given = section(table, "binding", problems)
        check_keys(given, ["epitope", *_BINDING], "binding", problems)
        epitope = choice(given, "epitope", ("domain IV", "domain II"), "binding", problems)
        binding = named(given, _BINDING, "binding", problems)
    elif kind == "tki":
        kinases = _kinases(section(table, "kinase", problems), problems)
        if "off_target" in table:
            given = section(table, "off_target", problems)
            check_keys(given, list(_OFF_TARGET), "off_target", problems)
            off_target = named(given, _OFF_TARGET, "off_target", problems)
    if len(problems.found) > before:
        return None
    mass = molar_mass["molar_mass"]
    plasma = {
        k: q for k, v in section(table, "plasma", problems).items() if (q := read_quantity(v, f"plasma.{k}", problems))
    }
    pk = read_pk(section(table, "pk", problems), mass.canonical, problems)
    studied = read_studied(table.get("studied", []), problems)
    drug = Drug(str(name), kind, mass, synonyms, epitope, binding, kinases, off_target, reference)
    return replace(drug, pk=pk, plasma=plasma, studied=studied) if len(problems.found) == before else None


def _kinases(kinases: Table, problems: Problems) -> dict[str, Kinase]:
    check_keys(kinases, ["HER2", "EGFR"], "kinase", problems)
    if not kinases:
        problems.add("a kinase inhibitor must inhibit a kinase", "Add [kinase.HER2].", column="kinase")
    found = {}
    for name in kinases:
        key, table = f"kinase.{name}", section(kinases, name, problems)
        mode = choice(table, "mode", tuple(_KINASE), key, problems)
        if mode in _KINASE:
            check_keys(table, ["mode", *_KINASE[mode]], key, problems)
            found[name] = Kinase(mode, named(table, _KINASE[mode], key, problems))
    return found


def _reference(table: Table, problems: Problems) -> dict[str, Quantity]:
    read = {name: read_quantity(entry, f"reference.{name}", problems) for name, entry in table.items()}
    return {name: quantity for name, quantity in read.items() if quantity}


def read_cell_line(
    name: str,
    table: Table,
    problems: Problems,
    *,
    default: Table,
    sources: Mapping[str, Source],
    own: Mapping[str, str],
) -> CellLine | None:
    """A cell line from its TOML table, or None after recording problems.

    Args:
        name: its name.
        table: its table.
        problems: collects what is wrong.
        default: quantities to take where it has none.
        sources: the file's ``[sources]``.
        own: mechanism parameters a line may have a value of its own for, with their canonical units.
    """
    units = {**own, **_CELL_QUANTITIES}
    before = len(problems.found)
    check_keys(table, ["synonyms", *_CELL_TEXT, "reported", "payload", *units], name, problems)
    text = {}
    for key in _CELL_TEXT:
        text[key] = table.get(key, "")
        if not isinstance(text[key], str):
            problems.add("must be text", f'Write {key} = "...".', column=f"{name}.{key}", value=text[key])
    synonyms = _words(table, "synonyms", f"{name}.synonyms", problems)
    chosen: dict[str, Quantity] = {}
    for key, unit in units.items():
        given = table.get(key, default.get(key))
        quantity = read_quantity(given, f"{name}.{key}", problems, unit=unit, sources=sources) if given else None
        if quantity:
            chosen[key] = quantity
    reported = _reported(table.get("reported", []), name, sources, problems)
    payloads = _payloads(section(table, "payload", problems), name, sources, problems)
    if len(problems.found) > before:
        return None
    return CellLine(name, synonyms, text["tissue"], text["status"], text["subtype"], chosen, reported, payloads)


def _payloads(
    table: Table, name: str, sources: Mapping[str, Source], problems: Problems
) -> dict[str, dict[str, Quantity]]:
    found: dict[str, dict[str, Quantity]] = {}
    for payload in table:
        key, inner = f"{name}.payload.{payload}", section(table, payload, problems)
        check_keys(inner, list(_SENSITIVITY), key, problems)
        read = {
            k: read_quantity(v, f"{key}.{k}", problems, unit=_SENSITIVITY[k], sources=sources)
            for k, v in inner.items()
            if k in _SENSITIVITY
        }
        found[payload] = {k: q for k, q in read.items() if q}
    return found


def _reported(
    rows: Any, name: str, sources: Mapping[str, Source], problems: Problems
) -> dict[str, tuple[Quantity, ...]]:
    if not isinstance(rows, list) or not all(isinstance(r, Mapping) for r in rows):
        problems.add(
            "must be a list of quantities", "Write reported = [{ quantity = ... }].", column=f"{name}.reported"
        )
        return {}
    found: dict[str, tuple[Quantity, ...]] = {}
    for number, row in enumerate(rows, start=1):
        key = f"{name}.reported[{number}]"
        what = choice(row, "quantity", tuple(_CELL_QUANTITIES), key, problems)
        if what not in _CELL_QUANTITIES:
            continue
        rest = {k: v for k, v in row.items() if k != "quantity"}
        quantity = read_quantity(rest, key, problems, unit=_CELL_QUANTITIES[what], sources=sources)
        if quantity:
            found[what] = (*found.get(what, ()), quantity)
    return found
