"""The objective: its Jacobian, its meaning as a likelihood, and what failure does to it."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import special, stats

from her2pkpd.engine import Options
from her2pkpd.fit.metrics import Metric
from her2pkpd.fit.noise import Noise
from her2pkpd.fit.objective import MetricNoise
from tests.fit.problems import KD, KI, LINES, S50, SCALE, W, estimate, objective, observations, predictions, signals

DOSES = [(0.0, 20.0), (1.5, 0.0), (0.4, 300.0), (200.0, 3e4)]
READOUTS = ("viability", "gr", "cell_count", "pAKT", "occupancy.trastuzumab")
NOISE = {
    "viability": Noise("normal"),
    "gr": Noise("student-t", df=3.0),
    "cell_count": Noise("log-normal"),
    "pAKT": Noise("student-t", 0.2),
    "occupancy.trastuzumab": Noise("normal", 0.05),
}
ESTIMATES = [KD, KI, W, S50, SCALE, estimate("cells.k_apo", lower=1e-4, upper=0.1, start=0.01)]
METRICS = [
    Metric("SK-BR-3", "lapatinib", "GR50", 60.0, "none", 72.0, 1e4),
    Metric("SK-BR-3", "lapatinib", "GRmax", -0.2, "none", 72.0, 1e4),
    Metric("BT-474", "lapatinib", "GR50", 2e4, "right", 72.0, 1e4),
    Metric("BT-474", "trastuzumab", "GEC50", 0.2, "left", 72.0, 1e3),
    Metric("SK-BR-3", "trastuzumab", "IC50", 1e3, "right", 96.0, 1e3),
]


@pytest.fixture(scope="module")
def everything():
    """All read-outs, all noise kinds, censored metrics, pooled and plain priors, scale factors."""
    wanted = signals(READOUTS, DOSES)
    rng = np.random.default_rng(5)
    values = [40_000.0 if s.readout == "cell_count" else rng.uniform(0.1, 0.9) for s in wanted]
    sd = [0.07 if i % 4 == 0 else None for i in range(len(wanted))]
    return objective(observations(wanted, values, sd), ESTIMATES, metrics=METRICS, noise=NOISE)


def differences(function, u, step=1e-4):
    """Central differences with one Richardson step, (n, n_unknowns)."""
    columns = []
    for i in range(len(u)):
        e = np.zeros(len(u))
        e[i] = step
        near = function(u + e) - function(u - e)
        far = function(u + 2 * e) - function(u - 2 * e)
        columns.append((8 * near - far) / (12 * step))
    return np.stack(columns, axis=-1)


@pytest.fixture
def residuals(everything, monkeypatch):
    """The residuals alone, for many points."""
    full = everything.predictor.many
    quick = replace(everything)

    def without(u, **_):
        found = full(u, derivatives=False)
        return replace(found, jacobian=np.zeros((*found.value.shape, len(everything.free))))

    monkeypatch.setattr(quick.predictor, "many", without)
    return lambda u: quick(u).residuals


@pytest.mark.parametrize("shift", [0.15, -0.2])
def test_the_jacobian_of_every_residual_agrees_with_differences(everything, residuals, shift):
    u = everything.start() + shift * np.cos(np.arange(len(everything.names)))
    found = everything(u)
    assert found.cost < np.inf
    expected = differences(residuals, u)
    scale = np.abs(expected).max(axis=1, keepdims=True)
    np.testing.assert_array_less(np.abs(found.jacobian - expected), 1e-5 * np.abs(expected) + 1e-6 * scale + 1e-8)


def test_every_unknown_has_a_name_and_an_influence(everything):
    names = everything.names
    assert len(names) == len(set(names)) == len(everything.start())
    for name in ("trastuzumab.KD", "SK-BR-3.w", "BT-474.S50", "S50 (centre)", "SK-BR-3.scale", "sd.viability", "sd.gr"):
        assert name in names
    assert "sd.pAKT" not in names
    assert (np.abs(everything(everything.start()).jacobian).max(axis=0) > 1e-6).all()


def test_the_objective_is_minus_two_log_posterior(everything):
    # Against densities of scipy.stats, written out once more; constants cancel in differences.
    u0 = everything.start()
    u1 = u0 + 0.1 * np.sin(np.arange(len(u0)))

    def minus_two_log_posterior(u):
        found = everything(u)
        index = {n: i for i, n in enumerate(everything.names)}
        total = 0.0
        for o, prediction in zip(everything.observations, found.predictions, strict=True):
            noise = NOISE[o.signal.readout]
            sd = o.sd or noise.sd or np.exp(u[index[f"sd.{o.signal.readout}"]])
            if noise.kind == "normal":
                total += stats.norm.logpdf(o.value, prediction, sd)
            elif noise.kind == "log-normal":
                total += stats.lognorm.logpdf(o.value, sd, scale=prediction)
            else:
                total += stats.t.logpdf(o.value, noise.df, prediction, sd)
        for m, value in zip(METRICS, found.metrics, strict=True):
            sd = 0.3 if m.is_potency else 0.12
            target = np.log10(m.value) if m.is_potency else m.value
            if m.censoring == "none":
                total += stats.norm.logpdf(target, value, sd)
            else:
                total += (
                    stats.norm.logsf(target, value, sd)
                    if m.censoring == "right"
                    else stats.norm.logcdf(target, value, sd)
                )
        centre = u[index["S50 (centre)"]]
        total += stats.norm.logpdf(u[index["trastuzumab.KD"]], np.log(0.3), np.log(3.0))
        total += stats.norm.logpdf(centre, np.log(0.3), np.log(2.0))
        total += sum(stats.norm.logpdf(u[index[f"{x}.S50"]], centre, np.log(2.0)) for x in LINES)
        # Bounded parameters without a prior: Jeffreys' Beta(1/2, 1/2), as a density of the coordinate.
        w = special.expit(u[[index[f"{x}.w"] for x in LINES]])
        total += np.sum(stats.beta.logpdf(w, 0.5, 0.5) + np.log(w * (1 - w)))
        return -2 * total

    found = everything(u1).cost - everything(u0).cost
    assert found == pytest.approx(minus_two_log_posterior(u1) - minus_two_log_posterior(u0), rel=1e-8)


def test_without_derivatives_a_prediction_is_the_same(everything):
    u = everything.start()[: len(everything.free)]
    a, b = (everything.predictor(u, derivatives=d) for d in (True, False))
    np.testing.assert_allclose(a.value, b.value, rtol=1e-6)
    assert b.jacobian is None


def test_a_parameter_nobody_estimates_costs_no_direction():
    wanted = signals(["viability"], DOSES)
    fixed = objective(observations(wanted, np.full(len(wanted), 0.5), 0.1), [SCALE])
    found = fixed(fixed.start())
    assert np.isfinite(found.jacobian).all()
    assert np.abs(found.jacobian).max() > 0


def test_scale_multiplies_read_outs():
    wanted = signals(["viability", "pAKT"], DOSES)
    plain = predictions(wanted, [KI], np.log([30.0]))
    scaled = predictions(wanted, [KI, SCALE], np.log([30.0, 1.1, 1.3]))
    factor = [1.1 if s.treatment.cell_line == "SK-BR-3" else 1.3 for s in wanted]
    np.testing.assert_allclose(scaled, plain * factor, rtol=1e-9)


def test_entries_on_one_target_multiply():
    wanted = signals(["viability"], DOSES, lines=("SK-BR-3",))
    whole = predictions(wanted, [KI], np.log([60.0]))
    factor = estimate("lapatinib.HER2.Ki", "assay factor", per=("assay",), lower=0.1, upper=10.0, start=1.0)
    np.testing.assert_allclose(predictions(wanted, [KI, factor], np.log([30.0, 2.0])), whole, rtol=1e-8)


def test_an_entry_may_be_restricted_to_some_wells():
    wanted = signals(["viability"], DOSES)
    only = estimate("lapatinib.HER2.Ki", lower=1.0, upper=1e3, start=30.0, where=(("cell_line", ("BT-474",)),))
    at_default = predictions(wanted, [SCALE], np.log([1.0, 1.0]))
    moved = predictions(wanted, [only], np.log([500.0]))
    same = np.array([s.treatment.cell_line == "SK-BR-3" for s in wanted])
    np.testing.assert_allclose(moved[same], at_default[same], rtol=1e-9)
    assert np.abs(moved[~same] / at_default[~same] - 1).max() > 0.05


# --- failure -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["normal", "log-normal", "student-t"])
def test_a_failed_lane_never_lowers_the_objective(kind):
    wanted = signals(["viability", "gr"], DOSES, lines=("SK-BR-3",))
    lost = Options(rtol=1e-10, atol=1e-13, max_steps=30)
    noise = {"viability": Noise(kind, 0.1), "gr": Noise("normal", 0.1)}
    made = objective(
        observations(wanted, np.full(len(wanted), 0.5)), [KI], metrics=METRICS[:1], noise=noise, options=lost
    )
    found = made(made.start())
    assert (found.status != 0).any()
    failed = np.isnan(found.predictions)
    assert failed.any()
    assert found.cost == np.inf
    assert np.isnan(found.residuals[: len(wanted)][failed]).all()


def test_one_failed_well_among_many_is_enough():
    wanted = signals(["viability"], DOSES, lines=("SK-BR-3",))
    made = objective(observations(wanted, np.full(len(wanted), 0.5), 0.1), [KI])
    made.design.parameters[made.design.lane_of[wanted[0].treatment], made.design.model.parameter_index["V"]] = np.nan
    found = made(made.start())
    assert (found.status != 0).sum() == 1
    assert np.isnan(found.predictions).sum() == 1
    assert found.cost == np.inf


def test_metric_noise_is_per_kind():
    one = objective([], [KI], metrics=METRICS[:2], metric_noise=MetricNoise(0.2, 0.05))
    found = one(one.start())
    np.testing.assert_allclose(found.residuals[0], (found.metrics[0] - np.log10(60.0)) / 0.2)
    np.testing.assert_allclose(found.residuals[1], (found.metrics[1] + 0.2) / 0.05)
