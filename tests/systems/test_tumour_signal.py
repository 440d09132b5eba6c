"""The HER2 signal in a tumour of several populations: closed forms, limits, and the network behind its constants."""

import numpy as np
import pytest

from her2pkpd.dosing import Add, compile_segments
from her2pkpd.engine import Batch, Options, solve
from her2pkpd.errors import InputError
from her2pkpd.library import load_cell_line, load_drug, load_parameters
from her2pkpd.mechanisms.disposition import Structure, central
from her2pkpd.systems.cell import CellOptions, cell_model, network_parameters
from her2pkpd.systems.patient import PatientDrug
from her2pkpd.systems.reduction import akt_curves, altered_akt
from her2pkpd.systems.tumour_signal import exposure_ratio
from her2pkpd.systems.virtual_patient import TumourModel, virtual_patient

HOURS = 1500.0
STILL = {"CL": 1e-12, "Vc": 1.0, "Q": 1e-12, "Vp": 1.0}
"""Plasma that keeps what it is given."""
GENOTYPES = {
    "PTEN_loss": {"PTEN": 0.2},
    "PIK3CA_mutation": {"PIK3CA": 1.0},
    "PTEN_loss.PIK3CA_mutation": {"PTEN": 0.2, "PIK3CA": 1.0},
}


def patient(*names, signal=True, zones=1, ligand=False):
    drugs = [PatientDrug(load_drug(n), Structure(1), STILL) for n in names]
    return virtual_patient(drugs, TumourModel("populations", zones, signal=signal, ligand=ligand))


def run(model, plasma, outputs, *, at=HOURS, **changes):
    """Outputs after a time at constant concentrations in plasma, nM."""
    p = model.parameter_vector({k.replace("__", "."): v for k, v in changes.items()})
    doses = [Add(0.0, central(n), x) for n, x in plasma.items()]
    segments = compile_segments(model, [doses], start=0.0, stop=at)
    solution = solve(Batch(model, p[None], segments, np.array([at])), Options(1e-8, 1e-11))
    assert solution.ok.all()
    return dict(zip(outputs, model.outputs(outputs, solution.y[:, 0], p)[0], strict=True))


def hill(x, half, n):
    return x**n / (half**n + x**n)


def division(signal, untreated, table):
    w, half, n = (table[k].canonical for k in ("cell.w", "cell.S50", "n_S"))
    return 1.0 - w + w * hill(signal, half, n) / hill(untreated, half, n)


@pytest.fixture(scope="module")
def tucatinib():
    return patient("tucatinib")


def test_an_inhibitor_at_constant_plasma_is_the_closed_form(tucatinib):
    table, drug, plasma = load_parameters(), load_drug("tucatinib"), 900.0
    names = ["signal.HER2+", "pAKT.HER2+", "mu.HER2+@1", "death.HER2+@1", "mu.HER2-@1", "death.HER2-@1", "tucatinib"]
    found = run(tucatinib, {"tucatinib": plasma}, [*names, "tumour.volume"])
    inside = exposure_ratio(drug) * plasma
    assert found["tucatinib"] == pytest.approx(inside, rel=1e-7)
    own, mu = drug.kinases["HER2"].constants, found["mu.HER2+@1"]
    ratio = inside / own["Ki"].canonical
    # koff*(I/Ki*(1 - O) - O) = (kturn + mu)*O
    off = 1.0 + (table["kturn.HER2"].canonical + mu) / own["koff"].canonical
    free = 1.0 - ratio / (ratio + off)
    assert found["signal.HER2+"] == pytest.approx(free, rel=1e-3)  # the default cell has no arm of EGFR
    assert found["pAKT.HER2+"] == pytest.approx(free, rel=1e-3)
    toxic = drug.off_target
    poison = toxic["kmax"].canonical * hill(inside, toxic["IC50"].canonical, toxic["h"].canonical)
    lost = table["tumour.k_apo"].canonical * (
        1.0 - hill(free, table["cell.S_crit"].canonical, table["n_crit"].canonical)
    )
    assert found["mu.HER2+@1"] / found["mu.HER2-@1"] == pytest.approx(division(free, 1.0, table), rel=1e-3)
    assert found["death.HER2+@1"] == pytest.approx(lost + poison, rel=1e-3)
    assert found["death.HER2-@1"] == pytest.approx(poison, rel=1e-6)


@pytest.mark.parametrize("genotype", GENOTYPES)
def test_alterations_keep_a_part_of_the_signal(tucatinib, genotype):
    table = load_parameters()
    gain, free = (table[f"tumour.{genotype}.{k}"].canonical for k in ("AKT_gain", "AKT_free"))
    changed = {"HER2+__AKT_gain": gain, "HER2+__AKT_free": free}
    names = ["signal.HER2+", "pAKT.HER2+", "mu.HER2+@1", "mu.HER2-@1"]
    calm = run(tucatinib, {}, names, **changed)
    assert calm["pAKT.HER2+"] == pytest.approx(1.0, rel=1e-9)
    untreated = 1.0 + 0.5 * (gain - 1.0)
    assert calm["signal.HER2+"] == pytest.approx(untreated, rel=1e-9)
    assert calm["mu.HER2+@1"] == pytest.approx(calm["mu.HER2-@1"], rel=1e-9)
    blocked = run(tucatinib, {"tucatinib": 1e9}, names, **changed, tucatinib__kmax_off=0.0)
    assert blocked["pAKT.HER2+"] == pytest.approx(free, abs=1e-5)
    assert blocked["signal.HER2+"] == pytest.approx(0.5 * gain * free, rel=1e-3)
    share = blocked["mu.HER2+@1"] / blocked["mu.HER2-@1"]
    assert share == pytest.approx(division(0.5 * gain * free, untreated, table), rel=1e-3)
    wild = run(tucatinib, {"tucatinib": 1e9}, names, tucatinib__kmax_off=0.0)
    assert share > wild["mu.HER2+@1"] / wild["mu.HER2-@1"]


def test_zones_do_not_matter_to_what_is_the_same_in_all_of_them(tucatinib):
    one, two = (run(m, {"tucatinib": 900.0}, ["tumour.volume", "signal.HER2+"])
                for m in (tucatinib, patient("tucatinib", zones=2)))  # fmt: skip
    assert one == pytest.approx(two, rel=1e-6)


def test_without_dependence_the_signal_changes_nothing():
    plasma = {"T-DXd": 400.0}
    plain = run(patient("T-DXd", signal=False), plasma, ["tumour.volume"], at=500.0)
    idle = run(patient("T-DXd"), plasma, ["tumour.volume"], at=500.0, **{"HER2+__w": 0.0, "HER2+__k_apo": 0.0})
    assert idle == pytest.approx(plain, rel=1e-7)
    acting = run(patient("T-DXd"), plasma, ["tumour.volume"], at=500.0)
    assert acting["tumour.volume"] < plain["tumour.volume"]


def test_payload_and_inhibitor_help_each_other():
    model = patient("T-DM1", "tucatinib")
    treatments = [{"T-DM1": 100.0, "tucatinib": 900.0}, {"T-DM1": 100.0}, {"tucatinib": 900.0}]
    both, adc, tki = (run(model, x, ["tumour.volume"], at=800.0) for x in treatments)
    assert both["tumour.volume"] < min(adc["tumour.volume"], tki["tumour.volume"])


def test_pertuzumab_needs_the_ligand_and_trastuzumab_works_without_it():
    model = patient("trastuzumab", "pertuzumab", ligand=True)
    plenty = {"trastuzumab": 5e4, "pertuzumab": 5e4}

    def signal(nrg1, *drugs):
        given = {d: plenty[d] for d in drugs}
        return run(model, given, ["signal.HER2+"], at=300.0, tumour__NRG1=nrg1)["signal.HER2+"]

    assert signal(0.0, "pertuzumab") == pytest.approx(signal(0.0), rel=1e-3)
    a_li = load_parameters()["cell.a_li"].canonical
    assert signal(0.0, "trastuzumab") == pytest.approx(1.0 - a_li, abs=0.02)
    assert signal(7.5, "trastuzumab", "pertuzumab") < 0.5 * signal(7.5, "trastuzumab")


def test_an_inhibitor_without_a_signal_is_refused():
    with pytest.raises(InputError, match="nothing that tucatinib could inhibit"):
        patient("tucatinib", signal=False)


@pytest.fixture(scope="module")
def network():
    own = {**network_parameters(load_cell_line("SK-BR-3")), "HER2": load_parameters()["tumour.HER2"].canonical,
           "PTEN": 1.0, "PIK3CA": 0.0}  # fmt: skip
    return cell_model("tumour", own, options=CellOptions(growth=False, shedding=False))


@pytest.mark.parametrize("genotype", GENOTYPES)
def test_constants_of_alterations_are_the_networks(network, genotype):
    found = altered_akt(network, network.parameter_vector({}), "tumour", GENOTYPES[genotype])
    table = load_parameters()
    assert found["AKT_gain"] == pytest.approx(table[f"tumour.{genotype}.AKT_gain"].canonical, rel=0.01)
    assert found["AKT_free"] == pytest.approx(table[f"tumour.{genotype}.AKT_free"].canonical, rel=0.01)


def test_the_networks_curves_are_nearly_straight(network):
    inputs = [0.0, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0]
    curves = akt_curves(network, network.parameter_vector({}), "tumour", list(GENOTYPES.values()), inputs)
    u = curves[:, :1]
    assert u[0] == 0.0
    assert u[-1] == 1.0
    straight = curves[0] + (curves[-1] - curves[0]) * u
    assert (np.abs(curves - straight) / (curves[-1] - curves[0])).max() < 0.12
    assert (np.diff(curves, axis=0) > 0).all()
