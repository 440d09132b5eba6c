"""One tumour, all its assays: the traps of the clinic, limits and conservation."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

from her2pkpd.assays.discordance import compare
from her2pkpd.assays.ish import dual_probe
from her2pkpd.assays.population import KINDS, draw_tumour, simulate_series, tumours_like
from her2pkpd.assays.read_out import Handling, bulk, hybridise, ihc, patterns, stain_limits, stained
from her2pkpd.assays.reference import reference, references, sees_p95
from her2pkpd.assays.tumour import Clone, Tumour, median_receptors, typical
from her2pkpd.errors import ComputationError, InputError
from her2pkpd.sources import CERTAINTIES


def test_every_number_has_a_source():
    for name, number in references().items():
        assert number.source.citation, name
        assert number.source.certainty in CERTAINTIES
        assert number.value > 0


def test_receptors_of_two_and_twenty_copies():
    assert median_receptors(2.0) == pytest.approx(5e4)
    assert median_receptors(20.0) == pytest.approx(2e6)


@pytest.mark.parametrize("score", ["0", "1+", "2+", "3+"])
def test_the_typical_tumour_of_a_score_scores_it(score):
    assert ihc(typical(score)).score == score


def test_stained_fractions_against_integration():
    tumour = Tumour((Clone(0.4, 20, receptors=9e5, spread=0.5), Clone(0.6, receptors=6e4, spread=0.8)))
    for k, limit in enumerate(stain_limits()):
        by_hand = 0.0
        for clone in tumour.clones:
            density = stats.norm(math.log(clone.receptors), clone.spread).pdf
            by_hand += clone.fraction * integrate.quad(density, math.log(limit), math.log(1e9))[0]
        assert stained(tumour)[k] == pytest.approx(by_hand, rel=1e-6)


def test_patterns_hold_every_stained_cell_once():
    seen = patterns(np.array([0.9, 0.5, 0.2]))
    assert sum(float(s.percent) for s in seen) == pytest.approx(90)
    assert patterns(np.array([0.005, 0.0, 0.0])) == []


def test_populations_conserve_receptors():
    tumour = Tumour((Clone(0.3, 20, receptors=2e6, p95=0.25), Clone(0.7)))
    for bins in (1, 3, 10):
        table = tumour.populations(bins)
        assert table["fraction"].sum() == pytest.approx(1)
        total = (table["fraction"] * (table["HER2"] + table["p95"])).sum()
        mean = sum(c.fraction * c.receptors * math.exp(c.spread**2 / 2) for c in tumour.clones)
        assert total == pytest.approx(mean, rel=1e-12)
        first = table[table["clone"] == 0]
        assert (first["p95"] / (first["HER2"] + first["p95"])).to_numpy() == pytest.approx(0.25)


def test_p95_is_missed_by_an_extracellular_antibody_only():
    tumour = Tumour((Clone(1.0, 20.0, receptors=2e6, p95=0.98),))
    assert ihc(tumour, antibody="4B5").score == "3+"
    assert ihc(tumour, antibody="SP3").score in ("0", "1+")
    assert dual_probe(hybridise(tumour, 40, np.random.default_rng(0)).signals).call == "positive"
    assert tumour.populations(1)["HER2"].sum() < 0.03 * tumour.populations(1)["p95"].sum()
    assert sees_p95("HercepTest")
    with pytest.raises(InputError, match="unknown antibody"):
        sees_p95("magic")


def test_handling_costs_protein_and_not_dna():
    fresh = Handling()
    assert fresh.epitopes_left == 1.0
    assert Handling(cold_ischaemia=1.0, fixation=72.0).epitopes_left == 1.0
    assert Handling(fixation=72.0 + reference("fixation_half_life")).epitopes_left == pytest.approx(0.5)
    assert Handling(5.0).epitopes_left < Handling(5.0, refrigerated=True).epitopes_left < 1
    tumour = typical("3+", amplified=True)
    assert ihc(tumour, handling=fresh).score == "3+"
    assert ihc(tumour, handling=Handling(fixation=336.0)).score == "2+"
    assert bulk(tumour) > 6


def test_cogained_centromere_hides_in_the_ratio():
    tumour = Tumour((Clone(1.0, 11.0, 7.0, float(median_receptors(11.0))),))
    call = dual_probe(hybridise(tumour, 60, np.random.default_rng(1)).signals, ihc="3+")
    assert (call.group, call.call) == (3, "positive")


def test_bulk_dilution_and_macrodissection():
    tumour = Tumour((Clone(0.1, 20.0, 2.0, 2e6), Clone(0.9)), purity=0.3)
    assert bulk(tumour) == pytest.approx(2.54)
    assert bulk(tumour, dissected=True) == pytest.approx(7.4)


def test_signals_have_the_means_of_the_clones():
    rng = np.random.default_rng(2)
    kept = reference("signal_kept")
    tumour = Tumour((Clone(0.5, 20.0, 2.5), Clone(0.5)))
    counted = hybridise(tumour, 20_000, rng)
    assert counted.her2.mean() == pytest.approx(kept * 11.0, rel=0.1)
    areas = [hybridise(Tumour(tumour.clones, icc=1.0), 20, rng).her2.mean() for _ in range(200)]
    assert np.mean((np.array(areas) > 4) & (np.array(areas) < 9)) < 0.05
    mixed = [hybridise(Tumour(tumour.clones, icc=0.3), 20, rng).her2.mean() for _ in range(200)]
    even = [hybridise(tumour, 20, rng).her2.mean() for _ in range(200)]
    assert np.std(even) < np.std(mixed) < np.std(areas)


def test_contradictory_tumours_are_refused():
    for clones, keywords in (((Clone(0.5),), {}), ((Clone(1.0, p95=2.0),), {}), ((Clone(1.0),), {"purity": 1.5})):
        with pytest.raises(InputError, match="tumour"):
            Tumour(clones, **keywords)


def test_simulated_series_meets_the_published_groups():
    """Press 2016, 10,468 cases screened; shares are calibrated, so this holds the sampling of both series."""
    _, table = simulate_series(2500, seed=11)
    published = {1: 0.408, 2: 0.007, 3: 0.005, 4: 0.041, 5: 0.539}
    for group, share in published.items():
        low, high = stats.binomtest(int((table["group"] == group).sum()), 2500).proportion_ci(0.999)
        assert low <= share <= high, group
    again = simulate_series(50, seed=11)[1]
    assert again.equals(simulate_series(50, seed=11)[1])
    assert (table.loc[table["kind"] == "amplified", "cn_observed"].mean()) > 6


def test_tumours_behind_a_report():
    found = tumours_like(lambda case: case.ihc.score == "2+" and case.ish.group == 5, 20, seed=12)
    medians = np.array([t.clones[0].receptors for t in found])
    assert len(found) == 20
    assert 1e5 < np.median(medians) < 6e5
    assert all(ihc(t).score == "2+" for t in found)
    with pytest.raises(ComputationError, match="only 0"):
        tumours_like(lambda case: False, 1, seed=1, tries=20)
    assert all(draw_tumour(kind, np.random.default_rng(0)).her2_copies > 1 for kind in KINDS)


def test_agreement_against_hand_counts():
    found = compare(["p", "p", "n", "n"], ["p", "n", "n", "n"], names=("IHC", "ISH"))
    assert found.table.loc["p", "n"] == 1
    assert found.agreement == 0.75
    assert found.kappa == pytest.approx((0.75 - 0.5) / 0.5)
    assert found.interval[0] < 0.75 < found.interval[1]
    assert math.isnan(compare(["p"], ["p"]).kappa)
