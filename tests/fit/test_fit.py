"""Whole fits of simulated plates: truth recovered, verdicts, starts, interruption."""

import numpy as np
import pytest

from her2pkpd.engine import Options
from her2pkpd.errors import ComputationError
from her2pkpd.fit import optimise
from her2pkpd.fit.intervals import laplace
from her2pkpd.fit.noise import Noise
from her2pkpd.fit.optimise import Start, multi_start
from tests.fit.problems import KI, LINES, estimate, objective, observations, predictions, signals

DOSES = [(0.0, d) for d in (1.0, 5.0, 20.0, 80.0, 300.0, 1e3, 5e3)] + [(t, 0.0) for t in (0.05, 0.5, 2.0, 10.0, 100.0)]
W = estimate("cells.w", "w", per=("cell_line",), scale="logit", lower=0.0, upper=1.0, start=0.5)
S50 = estimate("cells.S50", "S50", per=("cell_line",), lower=0.01, upper=2.0, start=0.5)
ESTIMATES = [KI, W, S50]
TRUTH = {"lapatinib.HER2.Ki": 12.0, "SK-BR-3.w": 0.9, "BT-474.w": 0.7, "SK-BR-3.S50": 0.3, "BT-474.S50": 0.15}
SD = 0.03
QUICK = Options(rtol=1e-7, atol=1e-10)


def truth(made):
    return np.array([float(f.transform.forward(TRUTH[f.name])) for f in made.free.free])


def plate(sd=SD, seed=11, lines=LINES, doses=DOSES, known=False):
    wanted = signals(["viability"], doses, lines=lines)
    exact = objective(observations(wanted, np.ones(len(wanted)), 1.0), ESTIMATES)
    clean = predictions(wanted, ESTIMATES, truth(exact))
    values = clean + sd * np.random.default_rng(seed).standard_normal(len(wanted))
    return objective(observations(wanted, values, sd if known else None), ESTIMATES, options=QUICK)


@pytest.fixture(scope="module")
def fitted():
    made = plate()
    return made, multi_start(made, starts=3, seed=2, max_evaluations=60)


def test_the_truth_lies_within_the_intervals_and_they_are_narrow(fitted):
    made, optimum = fitted
    intervals, covariance = laplace(made, optimum.best.u)
    by_name = {x.name: x for x in intervals}
    for name, value in TRUTH.items():
        found = by_name[name]
        # 99.9 %: one plate, five parameters, and no wish for a test that fails by chance.
        z = abs(
            float(made.free.free[made.names.index(name)].transform.forward(value))
            - optimum.best.u[made.names.index(name)]
        )
        assert z < 3.3 * found.sd, name
        assert found.lower < found.estimate < found.upper
    assert by_name["lapatinib.HER2.Ki"].verdict == "determined"
    assert by_name["lapatinib.HER2.Ki"].upper < 3 * by_name["lapatinib.HER2.Ki"].lower
    assert by_name["sd.viability"].estimate == pytest.approx(SD, rel=0.5)
    assert np.linalg.eigvalsh(covariance).min() > 0


def test_counts_are_fitted_on_their_own_scale():
    # Noise of thousands of cells, which no viability has.
    wanted = signals(["cell_count"], DOSES, lines=("SK-BR-3",))
    estimates = [KI, W]
    exact = objective(observations(wanted, np.ones(len(wanted)), 1.0), estimates)
    u = np.array([float(f.transform.forward(TRUTH[f.name])) for f in exact.free.free])
    clean = 100 * predictions(wanted, estimates, u)
    values = clean * 1.0 + 2e4 * np.random.default_rng(4).standard_normal(len(clean))
    scale = estimate("scale", lower=1.0, upper=1e3, start=30.0)
    made = objective(observations(wanted, values), [*estimates, scale], options=QUICK)
    optimum = multi_start(made, starts=2, seed=1, max_evaluations=60)
    found = {x.name: x for x in laplace(made, optimum.best.u)[0]}
    assert optimum.agreeing == 2
    assert found["sd.cell_count"].estimate == pytest.approx(2e4, rel=0.5)
    assert found["scale"].estimate == pytest.approx(100, rel=0.1)


def test_starts_from_afar_find_the_same_optimum(fitted):
    made, optimum = fitted
    assert optimum.agreeing >= 2
    assert not optimum.interrupted
    assert [s.cost for s in optimum.starts] == sorted(s.cost for s in optimum.starts)
    best = made(optimum.best.u)
    assert best.cost == pytest.approx(optimum.best.cost, rel=1e-9)
    assert best.cost <= made(np.append(truth(made), np.log(SD))).cost + 1e-6


def test_the_gradient_vanishes_at_the_optimum(fitted):
    made, optimum = fitted
    found = made(optimum.best.u)
    gradient = found.jacobian.T @ found.residuals
    curvature = np.sqrt(np.diag(found.jacobian.T @ found.jacobian))
    assert (np.abs(gradient) < 0.02 * curvature).all()


def test_noiseless_data_give_the_truth_back():
    made = plate(sd=1e-12, known=False)
    exact = objective(made.observations, ESTIMATES, noise={"viability": Noise("normal", 1e-4)}, options=QUICK)
    optimum = multi_start(exact, starts=1, max_evaluations=100)
    np.testing.assert_allclose(exact.free.values(optimum.best.u), [TRUTH[n] for n in exact.names], rtol=1e-3)
    residuals = exact(optimum.best.u).residuals[: len(made.observations)]
    assert np.abs(residuals).max() < 0.05


def test_data_that_say_nothing_about_a_parameter_are_said_to():
    # No lapatinib: Ki can be anything. One antibody dose: S50 and w only together.
    made = plate(lines=("SK-BR-3",), doses=[(5.0, 0.0)], known=True)
    optimum = multi_start(made, starts=1, max_evaluations=60)
    verdicts = {x.name: x.verdict for x in laplace(made, optimum.best.u)[0]}
    assert verdicts["lapatinib.HER2.Ki"].startswith("not by these data")
    assert verdicts["SK-BR-3.S50"] != "determined"
    assert verdicts["SK-BR-3.w"] != "determined"


def test_a_parameter_on_its_bound_gets_no_interval():
    made = plate(lines=("SK-BR-3",), known=True)
    low = estimate("lapatinib.HER2.Ki", lower=50.0, upper=1e3, start=100.0)
    bounded = objective(made.observations, [low], options=QUICK)
    optimum = multi_start(bounded, starts=1, max_evaluations=60)
    (interval,), _ = laplace(bounded, optimum.best.u)
    assert interval.verdict == "at its lower bound"
    assert np.isnan(interval.lower)
    assert interval.estimate == pytest.approx(50.0, rel=1e-2)


# --- interruption --------------------------------------------------------------------------------------------


def test_a_fit_interrupted_anywhere_ends_like_one_that_was_not(fitted, monkeypatch):
    monkeypatch.setattr(optimise, "LANES", 1)  # each start a group of its own
    made, _ = fitted
    whole = multi_start(made, starts=3, seed=2, max_evaluations=60)
    for stop in (1, 2):
        kept = []

        def keep(start, kept=kept, stop=stop):
            kept.append(start)
            if len(kept) == stop:
                raise KeyboardInterrupt

        first = multi_start(made, starts=3, seed=2, max_evaluations=60, on_start=keep)
        assert first.interrupted
        assert len(first.starts) == stop
        resumed = multi_start(made, starts=3, seed=2, max_evaluations=60, finished=tuple(kept))
        assert [s.number for s in resumed.starts] == [s.number for s in whole.starts]
        for a, b in zip(resumed.starts, whole.starts, strict=True):
            assert a.cost == b.cost
            np.testing.assert_array_equal(a.u, b.u)


def test_progress_counts_every_start(fitted, monkeypatch):
    monkeypatch.setattr(optimise, "LANES", 1)
    made, _ = fitted
    seen = []
    kept = (Start(0, 5.0, made.start(), 1, ""), Start(2, 4.0, made.start(), 1, ""))
    multi_start(made, starts=3, seed=2, max_evaluations=3, finished=kept, progress=lambda *x: seen.append(x))
    assert [(done, planned) for done, planned, _ in seen] == [(1, 3), (2, 3), (3, 3)]


def test_an_interruption_before_anything_is_finished_is_passed_on():
    def stop(*_, **__):
        raise KeyboardInterrupt

    made = plate(lines=("SK-BR-3",), doses=[(5.0, 0.0)], known=True)
    made.predictor.many = stop
    with pytest.raises(KeyboardInterrupt):
        multi_start(made, starts=2)


def test_nowhere_to_start_is_an_error_with_advice():
    wanted = signals(["viability"], DOSES, lines=("SK-BR-3",))
    hopeless = Options(rtol=1e-10, atol=1e-13, max_steps=2)
    made = objective(observations(wanted, np.full(len(wanted), 0.5), 0.1), [KI], options=hopeless)
    with pytest.raises(ComputationError, match=r"13 of 13 lanes fail at the starting values"):
        multi_start(made, starts=2, max_evaluations=5)


def test_the_search_survives_lanes_that_fail_on_the_way(fitted):
    # Whoever steps above a Ki of 60 nM gets no answer; the optimum lies below.
    _, whole = fitted
    quick = plate()
    full = quick.predictor.many
    failed = []

    def fragile(u, **more):
        predicted = full(u, **more)
        lost = u[:, 0] > np.log(60.0)
        failed.extend(np.flatnonzero(lost))
        predicted.value[lost] = np.nan
        predicted.jacobian[lost] = np.nan
        return predicted

    quick.predictor.many = fragile
    optimum = multi_start(quick, starts=4, seed=2, max_evaluations=60)
    assert failed
    assert optimum.best.cost == pytest.approx(whole.best.cost, abs=1e-3)
    assert all(s.cost >= optimum.best.cost for s in optimum.starts)
