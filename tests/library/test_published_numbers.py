"""Every number of the library against the curated tables of the literature it was taken from."""

import csv
import math
import re
from pathlib import Path

import pytest

from her2pkpd.library import cell_line_names, load_cell_line, load_drug
from her2pkpd.library.load import plain

SCIENCE = Path(__file__).resolve().parents[3] / "shared" / "science"
pytestmark = pytest.mark.skipif(not SCIENCE.is_dir(), reason="the literature tables of ../shared/science are absent")

NUMBER = r"\d+\.?\d*(?:[eE][-+]?\d+)?"
COLUMNS = {"HER2": "her2_receptors_per_cell", "HER3": "her3", "EGFR": "egfr", "doubling_time": "doubling_time_h"}
RENAMED = {"MCF7-neo/HER2": "MCF7/neo-HER2"}
NOT_LINES = ("tumour", "normal breast", "normal cell")


def rows(name):
    with (SCIENCE / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def line_name(row):
    name = re.sub(r" \(normal-like\)$", "", row["cell_line"])
    return RENAMED.get(name, name)


def line_rows():
    return [r for r in rows("cell_lines.csv") if not any(word in r["cell_line"] for word in NOT_LINES)]


def published(text):
    """The value or the range in a cell of the table; a level below detection counts as zero."""
    if "LOD" in text or "use 0" in text:
        return 0.0, None
    text = text.split("(")[0].strip().lstrip("~<")
    if match := re.fullmatch(rf"({NUMBER})-({NUMBER})", text):
        return None, (float(match[1]), float(match[2]))
    return float(text), None


def holds(quantities, value, ends):
    for q in quantities:
        if value is not None and math.isclose(q.value, value, rel_tol=1e-9, abs_tol=1e-9):
            return True
        if ends and q.spread and math.isclose(q.spread.low, ends[0]) and math.isclose(q.spread.high, ends[1]):
            return True
    return False


def test_every_value_of_every_cell_line_is_in_the_library():
    missing = []
    for row in line_rows():
        line = load_cell_line(line_name(row))
        for quantity, column in COLUMNS.items():
            if not row[column].strip():
                continue
            value, ends = published(row[column])
            known = [*line.reported.get(quantity, ()), *filter(None, [line.quantities.get(quantity)])]
            if not holds(known, value, ends):
                missing.append((line.name, quantity, row[column]))
    assert missing == []


def test_recommended_values_are_the_ones_used():
    recommended = [r for r in line_rows() if r["source"].startswith("RECOMMENDED")]
    assert len(recommended) >= 10
    for row in recommended:
        for quantity, column in COLUMNS.items():
            if row[column].strip():
                assert load_cell_line(line_name(row))[quantity].canonical == float(row[column])


def test_a_compromise_lies_within_what_was_reported():
    for name in cell_line_names():
        line = load_cell_line(name)
        for quantity, used in line.quantities.items():
            if used.source.citation.startswith("compromise"):
                seen = line.reported[quantity]
                low = min(q.spread.low if q.spread else q.canonical for q in seen)
                high = max(q.spread.high if q.spread else q.canonical for q in seen)
                # The recommended numbers are rounded, so a little beyond the extremes is still a compromise.
                assert low / 1.1 <= used.canonical <= high * 1.1, (name, quantity)


def test_receptors_per_cell_follow_from_the_elisa_in_pg():
    """Copies = pg / molar mass * Avogadro * 0.24; the table holds log10(pg/cell) and none of our arithmetic."""
    path = SCIENCE.parent / "data" / "niepel_receptor_ligand" / "receptor_profiling.tsv"
    if not path.exists():
        pytest.skip("the receptor profiling table of ../shared/data is absent")
    with path.open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file, delimiter="\t"))
    assert len(table) == 39
    masses = {"HER2": ("ErbB2", 185e3), "HER3": ("ErbB3", 180e3), "EGFR": ("ErbB1", 170e3)}
    for row in table:
        line = load_cell_line(row["Cell Line Name"])
        for quantity, (column, mass) in masses.items():
            copies = 0.24 * 10 ** float(row[f"{column} log10(pg/cell)"]) * 1e-12 / mass * 6.02214076e23
            known = [line[quantity], *line.reported.get(quantity, ())]
            elisa = next(q for q in known if q.source.citation.startswith("Niepel"))
            if elisa.canonical:
                assert copies == pytest.approx(elisa.canonical, rel=0.05)
            else:
                assert copies < 100


def test_negative_fractions():
    row = next(r for r in rows("receptor_adc_parameters.csv") if r["symbol"] == "f_neg")
    percent = [float(x) for x in re.findall(NUMBER, row["value"])]
    lines = [load_cell_line(n) for n in ("SK-BR-3", "BT-474", "MCF7/HER2-18")]
    assert [x["HER2_negative_fraction"].canonical for x in lines] == pytest.approx([p / 100 for p in percent])


DRUG_NUMBERS = [
    ("Trastuzumab/ADC association", 0, "trastuzumab", "binding.kon"),
    ("Trastuzumab/ADC equilibrium constant on cells", 0, "trastuzumab", "binding.KD"),
    ("Trastuzumab/ADC dissociation", 0, "trastuzumab", "reference.koff"),
    ("Trastuzumab Fab association (SPR)", 0, "trastuzumab", "reference.kon, Fab"),
    ("Trastuzumab Fab dissociation (SPR)", 0, "trastuzumab", "reference.koff, Fab"),
    ("Trastuzumab KD, Carter humanisation", 0, "trastuzumab", "reference.KD, humanisation paper"),
    ("Trastuzumab KD, label", 0, "trastuzumab", "reference.KD, product monograph"),
    ("Lapatinib Ki,app EGFR / HER2 / HER4", 0, "lapatinib", "reference.EGFR Ki, biochemical"),
    ("Lapatinib Ki,app EGFR / HER2 / HER4", 1, "lapatinib", "reference.HER2 Ki, biochemical"),
    ("Lapatinib Ki,app EGFR / HER2 / HER4", 2, "lapatinib", "reference.HER4 Ki, biochemical"),
    ("Lapatinib dissociation half-life from EGFR", 0, "lapatinib", "reference.EGFR dissociation half-life"),
    ("Lapatinib biochemical IC50 EGFR / HER2", 0, "lapatinib", "reference.EGFR IC50, biochemical"),
    ("Lapatinib biochemical IC50 EGFR / HER2", 1, "lapatinib", "reference.HER2 IC50, biochemical"),
    ("Neratinib biochemical IC50 EGFR / HER2", 0, "neratinib", "reference.EGFR IC50, biochemical"),
    ("Neratinib biochemical IC50 EGFR / HER2", 1, "neratinib", "reference.HER2 IC50, biochemical"),
    ("Neratinib kinact (EGFR family)", 0, "neratinib", "kinase.HER2.kinact"),
    ("Tucatinib biochemical IC50 EGFR / HER2", 0, "tucatinib", "reference.EGFR IC50, biochemical"),
    ("Tucatinib biochemical IC50 EGFR / HER2", 1, "tucatinib", "reference.HER2 IC50, biochemical"),
    ("Tucatinib cellular selectivity HER2 over EGFR", 0, "tucatinib", "reference.EGFR/HER2 selectivity in cells"),
]


@pytest.mark.parametrize(("parameter", "position", "drug", "key"), DRUG_NUMBERS)
def test_drug_constants(parameter, position, drug, key):
    row = next(r for r in rows("receptor_adc_parameters.csv") if r["process"] == parameter)
    numbers = [float(x) for x in re.findall(NUMBER, row["value"])]
    assert load_drug(drug).quantities()[key].value == numbers[position]


def test_published_ranges_of_drug_constants():
    table = {r["process"]: r for r in rows("receptor_adc_parameters.csv")}
    binding = load_drug("trastuzumab").binding["KD"].spread
    ends = re.search(
        rf"CI ({NUMBER})-({NUMBER})", table["Trastuzumab/ADC equilibrium constant on cells"]["system_or_cell_line"]
    )
    assert (binding.low, binding.high) == (float(ends[1]), float(ends[2]))
    low, high = map(float, table["Pertuzumab KD"]["value"].split("-"))
    assert low <= load_drug("pertuzumab").binding["KD"].canonical <= high
    efficiency = load_drug("neratinib").reference["kinact/KI in cells"].spread
    ends = table["Neratinib effective inactivation efficiency in cells"]["value"].split("-")
    assert [efficiency.low, efficiency.high] == [float(x) for x in ends]


@pytest.mark.parametrize(
    ("drug", "analyte"),
    [
        ("trastuzumab", "trastuzumab polypeptide"),
        ("pertuzumab", "pertuzumab"),
        ("lapatinib", "free base"),
        ("neratinib", "free base"),
        ("tucatinib", "free base"),
    ],
)
def test_molar_masses(drug, analyte):
    table = [r for r in rows("pk_parameters.csv") if r["parameter"] == "MW"]
    row = next(r for r in table if plain(r["drug"]) == drug and r["analyte"] == analyte)
    assert load_drug(drug).molar_mass.canonical == float(row["value"])
