"""The library as shipped: complete, consistent and found by any spelling."""

import math

import pytest

from her2pkpd.errors import InputError
from her2pkpd.library import cell_line_names, drug_names, load_cell_line, load_drug, load_parameters
from her2pkpd.library.load import plain
from her2pkpd.library.numbers import number_text

DRUGS = ("lapatinib", "neratinib", "pertuzumab", "trastuzumab", "tucatinib")
ADCS = ("SYD985", "T-DM1", "T-DXd", "T-vc-MMAE")
PAYLOADS = ("DUBA", "DXd", "Lys-MCC-DM1", "MMAE")


def test_the_five_drugs():
    assert drug_names() == sorted([*DRUGS, *ADCS, *PAYLOADS])
    assert [load_drug(d).kind for d in DRUGS] == ["tki", "tki", "antibody", "antibody", "tki"]
    assert load_drug("trastuzumab").epitope == "domain IV"
    assert load_drug("pertuzumab").epitope == "domain II"
    assert [load_drug(d).kinases["HER2"].mode for d in ("lapatinib", "neratinib", "tucatinib")] == [
        "reversible", "covalent", "reversible",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("spelling", "name"),
    [("Herceptin", "trastuzumab"), ("TRASTUZUMAB", "trastuzumab"), ("perjeta", "pertuzumab"),
     ("gw 572016", "lapatinib"), ("HKI-272", "neratinib"), ("hki272", "neratinib"), ("ONT380", "tucatinib")],
)  # fmt: skip
def test_drugs_are_found_by_any_name(spelling, name):
    assert load_drug(spelling).name == name


@pytest.mark.parametrize(
    ("spelling", "name"),
    [("skbr3", "SK-BR-3"), ("SKBR-3", "SK-BR-3"), ("sk br 3", "SK-BR-3"), ("BT474", "BT-474"), ("MCF7", "MCF-7"),
     ("T-47D", "T47D"), ("AU-565", "AU565"), ("n87", "NCI-N87"), ("ZR7530", "ZR-75-30"), ("MCF 10A", "MCF-10A"),
     ("HS578T", "Hs 578T"), ("MDAMB175VII", "MDA-MB-175-VII"), ("hs739t", "Hs 739.T")],
)  # fmt: skip
def test_cell_lines_are_found_by_any_name(spelling, name):
    assert load_cell_line(spelling).name == name


def test_no_two_entries_share_a_name():
    for names, load in ((drug_names(), load_drug), (cell_line_names(), load_cell_line)):
        words = [plain(w) for n in names for w in (n, *load(n).synonyms)]
        assert len(words) == len(set(words))


def test_a_near_miss_is_answered_with_a_suggestion():
    with pytest.raises(InputError, match="Did you mean lapatinib"):
        load_drug("lapatinb")
    with pytest.raises(InputError, match="Did you mean SK-BR-3"):
        load_cell_line("SKBR")
    with pytest.raises(InputError, match="The library has: "):
        load_drug("zzzzzzzz")


def every_quantity():
    for name in drug_names():
        yield from ((f"{name} {k}", q) for k, q in load_drug(name).quantities().items())
    for name in cell_line_names():
        line = load_cell_line(name)
        yield from ((f"{name} {k}", q) for k, q in line.quantities.items())
        yield from ((f"{name} {k}", q) for k, found in line.reported.items() for q in found)
    yield from load_parameters().items()


def test_every_number_has_a_source_and_an_ordered_spread():
    seen = 0
    for name, q in every_quantity():
        seen += 1
        assert q.source.citation, name
        assert math.isfinite(q.canonical), name
        if q.spread:
            assert 0 <= q.spread.low <= q.canonical * (1 + 1e-12), name
            assert q.canonical <= q.spread.high * (1 + 1e-12), name
    assert seen > 300


def test_units_are_canonical():
    assert load_drug("lapatinib").reference["EGFR dissociation half-life"].canonical == pytest.approx(5.0)
    fab = load_drug("trastuzumab").reference
    # 7e5 /M/s = 7e5 * 3600 s/h * 1e-9 M/nM; 3.5e-4 /s = 1.26 /h; their ratio is the published KD of 0.5 nM.
    assert fab["kon, Fab"].canonical == pytest.approx(2.52)
    assert fab["koff, Fab"].canonical / fab["kon, Fab"].canonical == pytest.approx(0.5)
    assert load_drug("neratinib").kinases["HER2"].constants["kinact"].canonical == pytest.approx(3.6)
    assert load_cell_line("SK-BR-3")["HER2_negative_fraction"].canonical == pytest.approx(0.145)


def test_derived_constants_follow_from_what_they_are_derived_from():
    trastuzumab = load_drug("trastuzumab")
    koff = trastuzumab.binding["kon"].canonical * trastuzumab.binding["KD"].canonical
    assert trastuzumab.reference["koff"].canonical == pytest.approx(koff, rel=0.01)
    neratinib = load_drug("neratinib")
    her2, egfr = (neratinib.kinases[k].constants for k in ("HER2", "EGFR"))
    low, high = 0.03, 0.12  # what GR50 1.7 nM implies at a kinase renewal of 0.03-0.09 /h, with spare signal
    assert low < her2["kinact"].canonical / her2["KI"].canonical < high
    assert egfr["KI"].canonical / her2["KI"].canonical == pytest.approx(92 / 59, rel=0.02)
    lapatinib = load_drug("lapatinib")
    ratio = lapatinib.kinases["EGFR"].constants["Ki"].canonical / lapatinib.kinases["HER2"].constants["Ki"].canonical
    assert ratio == pytest.approx(3 / 13, rel=0.01)
    tucatinib = load_drug("tucatinib")
    ratio = tucatinib.kinases["EGFR"].constants["Ki"].canonical / tucatinib.kinases["HER2"].constants["Ki"].canonical
    assert ratio == pytest.approx(tucatinib.reference["EGFR/HER2 selectivity in cells"].canonical)


def test_potency_in_cells_ranks_as_published():
    """Conlon 2021: neratinib > tucatinib > lapatinib; half the active kinase at steady state, renewal 0.05 /h."""
    renewal = 0.05
    neratinib = load_drug("neratinib").kinases["HER2"].constants
    kinact, inactivation = neratinib["kinact"].canonical, neratinib["KI"].canonical
    half = {"neratinib": inactivation * renewal / (kinact - renewal)}
    for drug in ("tucatinib", "lapatinib"):
        constants = load_drug(drug).kinases["HER2"].constants
        half[drug] = constants["Ki"].canonical * (constants["koff"].canonical + renewal) / constants["koff"].canonical
    assert half["neratinib"] < half["tucatinib"] / 2 < half["lapatinib"] / 4


def test_what_nobody_measured_is_an_error_and_not_a_guess():
    assert "HER2" not in load_cell_line("Calu-3").quantities
    with pytest.raises(InputError, match="no HER2 for the cell line Calu-3"):
        _ = load_cell_line("Calu-3").HER2
    assert load_cell_line("BT-549").doubling_time.source.certainty == "assumed"


def test_the_library_holds_every_line_of_the_breast_panel():
    panel = (
        "AU565 BT-20 BT-474 BT-549 CAL-85-1 CAMA-1 EFM-19 HCC1187 HCC1395 HCC1569 HCC1806 HCC1954 HCC70 HDQ-P1 "
        "HMC-1-8 Hs578T Hs739.T MB157 MCF7 MDA-MB-157 MDA-MB-175-VII MDA-MB-415 MDA-MB-436 MDA-MB-453 MDA-MB-468 "
        "SK-BR-3 T-47D UACC-812 ZR-75-1 ZR-75-30"
    ).split()
    assert len({load_cell_line(n).name for n in panel}) == 30
    assert all(load_cell_line(n).HER2.canonical >= 0 for n in panel)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.36, "0.36"), (16000.0, "16000"), (1.2e6, "1.2e6"), (499795.0, "499795"), (145531.5, "145531.5"),
     (3.5e-4, "3.5e-4"), (2e-12, "2e-12")],
)  # fmt: skip
def test_numbers_read_as_one_would_write_them(value, text):
    assert number_text(value) == text
    assert float(text) == value
