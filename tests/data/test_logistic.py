"""The four-parameter logistic: truth recovered, intervals honest, flat and short curves, weights."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import curve_fit

from her2pkpd.data.ccle import read_ccle
from her2pkpd.data.logistic import PARAMETERS, fit_curve, fit_logistic
from her2pkpd.data.plate import Plate
from her2pkpd.errors import InputError
from tests.data.helpers import CCLE, needs_ccle

DOSE = np.tile(np.geomspace(1, 3000, 9), 2)
TRUE = np.array([0.2, 1.05, 60.0, 1.4])


def logistic(dose, bottom, top, mid, slope):
    return bottom + (top - bottom) / (1 + (dose / mid) ** slope)


def noisy(seed, sd=0.04):
    return logistic(DOSE, *TRUE) + sd * np.random.default_rng(seed).standard_normal(len(DOSE))


def test_truth_without_noise():
    found = fit_curve(DOSE, logistic(DOSE, *TRUE))
    assert found.estimate == pytest.approx(TRUE, rel=1e-6)
    assert found.rms < 1e-8
    assert found(np.array([60.0, 0.0])) == pytest.approx([0.625, 1.05], rel=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_the_optimum_and_its_curvature_are_those_of_curve_fit(seed):
    """Against SciPy's own optimiser with numerical derivatives, in bottom, top, ln EC50, ln h."""
    response = noisy(seed)
    found = fit_curve(DOSE, response)
    model = lambda c, a, b, m, s: logistic(c, a, b, np.exp(m), np.exp(s))  # noqa: E731
    theta, covariance = curve_fit(model, DOSE, response, [0.2, 1.05, np.log(60), np.log(1.4)], xtol=1e-12, ftol=1e-12)
    assert found.estimate == pytest.approx([*theta[:2], *np.exp(theta[2:])], rel=1e-4)
    from scipy.stats import t

    half = t.ppf(0.975, len(DOSE) - 4) * np.sqrt(np.diag(covariance))
    assert found.lower == pytest.approx([*(theta - half)[:2], *np.exp(theta - half)[2:]], rel=2e-3)
    assert found.upper == pytest.approx([*(theta + half)[:2], *np.exp(theta + half)[2:]], rel=2e-3)


@pytest.mark.parametrize("interval", ["laplace", "profile"])
def test_intervals_cover_the_truth(interval):
    fits = [fit_curve(DOSE, noisy(seed), interval=interval) for seed in range(25)]
    covered = np.array([(fit.lower <= TRUE) & (fit.upper >= TRUE) for fit in fits])
    # 25 draws at 95 %: fewer than 20 successes for one parameter has probability 0.0002.
    assert (covered.sum(axis=0) >= 20).all()
    assert all((fit.lower < fit.estimate).all() and (fit.estimate < fit.upper).all() for fit in fits)


def test_profile_limits_are_where_the_sum_of_squares_reaches_its_threshold():
    from scipy.stats import f

    response = noisy(4)
    found = fit_curve(DOSE, response, interval="profile")
    best = ((response - found(DOSE)) ** 2).sum()
    threshold = best * (1 + f.ppf(0.95, 1, len(DOSE) - 4) / (len(DOSE) - 4))
    for limit in (found.lower[2], found.upper[2]):
        model = lambda c, a, b, s, mid=limit: logistic(c, a, b, mid, np.exp(s))  # noqa: E731
        theta, _ = curve_fit(model, DOSE, response, [0.2, 1.05, 0.3])
        assert ((response - model(DOSE, *theta)) ** 2).sum() == pytest.approx(threshold, rel=1e-3)


def test_a_rising_curve():
    found = fit_curve(DOSE, logistic(DOSE, 1.8, 1.0, 60.0, 1.0))
    assert found.estimate == pytest.approx([1.8, 1.0, 60.0, 1.0], rel=1e-5)


def test_dose_zero_pins_the_top():
    dose, response = np.append(np.geomspace(100, 3000, 6), 0.0), None
    response = logistic(dose, *TRUE)
    assert fit_curve(dose, response).estimate[1] == pytest.approx(1.05, rel=1e-5)


def test_a_flat_curve_says_so():
    response = 1 + 0.03 * np.random.default_rng(1).standard_normal(len(DOSE))
    found = fit_curve(DOSE, response)
    assert found.status == "flat"
    assert not np.isfinite(found.upper[2])
    assert found.rms <= response.std() + 1e-12


def test_a_constant_curve():
    found = fit_curve(DOSE, np.ones_like(DOSE))
    assert found.status == "flat"
    assert found.rms == pytest.approx(0, abs=1e-9)
    assert found(DOSE) == pytest.approx(1.0)


def test_too_few_doses_and_no_degrees_of_freedom():
    short = fit_curve(DOSE[:3], np.array([1, 0.5, 0.1]))
    assert "fewer than 4 doses" in short.status
    assert np.isnan(short.estimate).all()
    exact = fit_curve(DOSE[2:6], noisy(0)[2:6])
    assert np.isinf(exact.upper).all()
    assert np.isnan(exact.pval)
    assert np.isfinite(exact.estimate).all()


def test_weights_follow_the_standard_deviation():
    response, sd = logistic(DOSE, *TRUE), np.full(len(DOSE), 0.02)
    response[4], sd[4] = 0.95, 2.0
    weighted = fit_curve(DOSE, response, sd=sd)
    assert weighted.estimate == pytest.approx(TRUE, rel=1e-2)
    assert abs(fit_curve(DOSE, response).estimate[2] / 60 - 1) > abs(weighted.estimate[2] / 60 - 1)
    accidental = np.where(np.arange(len(DOSE)) == 4, 0.0, 0.02)
    assert np.isfinite(fit_curve(DOSE, response, sd=accidental).estimate).all()


def plate_of(curves, **extra):
    frames = []
    for drug, response in curves.items():
        frame = pd.DataFrame({"drug": drug, "concentration": DOSE, "value": response})
        frames.append(frame.assign(replicate=np.repeat(["1", "2"], len(DOSE) // 2)))
    wells = pd.concat([*frames, pd.DataFrame({"drug": "", "concentration": 0.0, "value": [1.0], "replicate": ""})])
    columns = {"cell_line": "SK-BR-3", "unit": "nM", "time": 72, "time_unit": "h", "readout": "viability"}
    return Plate.from_frame(wells.assign(**columns, **extra))


def test_tables_of_a_plate():
    fits = fit_logistic(plate_of({"lapatinib": noisy(1), "neratinib": noisy(2)}))
    parameters = fits.parameters
    columns = ["cell_line", "drug", "time", "readout", "parameter", "unit", "estimate", "lower", "upper", "interval"]
    assert list(parameters.columns) == [*columns, "verdict"]
    assert parameters["parameter"].tolist() == [*PARAMETERS] * 2
    assert set(parameters["interval"]) == {"laplace 95 %"}
    assert set(parameters["verdict"]) == {"determined"}
    assert fits.curves["n"].tolist() == [19, 19]
    assert "2 curves (2 ok)" in repr(fits)
    assert len(fit_logistic(plate_of({"lapatinib": noisy(1)}), by=["replicate"]).curves) == 2


def test_wishes_that_cannot_be_met():
    plate = plate_of({"lapatinib": noisy(1)})
    with pytest.raises(InputError, match="no column 'donor'"):
        fit_logistic(plate, by=["donor"])
    with pytest.raises(InputError, match="need the column sd"):
        fit_logistic(plate, weights="sd")
    untreated = plate.frame.query("concentration == 0").assign(unit="nM", time_unit="h")
    with pytest.raises(InputError, match="exactly one drug"):
        fit_logistic(Plate.from_frame(untreated.drop(columns=["row", "division_time"])))


@needs_ccle
def test_all_lapatinib_curves_of_ccle():
    plate = read_ccle(CCLE / "ccle_breast_long_lapatinib_erlotinib.csv", drugs=["Lapatinib"])
    fits = fit_logistic(plate)
    assert len(fits.curves) == 30
    frame = plate.frame
    for key, fit in fits.fits.items():
        wells = frame[frame["cell_line"] == key[0]]
        dose, value = wells["concentration"].to_numpy(), wells["value"].to_numpy()
        # A three-parameter curve with the top fixed at 1 is nested in it, a constant more so.
        assert fit.rms <= value.std() + 1e-9
        assert fit.rms == pytest.approx(np.sqrt(np.mean((value - fit(dose)) ** 2)))
    by_line = fits.parameters[fits.parameters["parameter"] == "EC50"].set_index("cell_line")["estimate"]
    # Published EC50 (CCLE's own four-parameter fit): AU565 204 nM, MDA-MB-175-VII 402 nM
    assert by_line["AU565"] == pytest.approx(204, rel=0.2)
    assert by_line["MDA-MB-175-VII"] == pytest.approx(402, rel=0.2)
