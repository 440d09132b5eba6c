"""Priors from the library: median and width are those that stand in its files."""

import tomllib
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import her2pkpd.library
from her2pkpd.errors import InputError
from her2pkpd.fit.problem import load_problem
from her2pkpd.library.numbers import Z95
from her2pkpd.posterior.prior import prior_draws

FILES = Path(her2pkpd.library.__file__).parent
DRUGS = ("lapatinib", "neratinib", "pertuzumab", "trastuzumab", "tucatinib")
TO_CANONICAL = {"uM": 1e3, "pM": 1e-3, "1/s": 3600.0, "1/min": 60.0, "1/M/s": 3600e-9, "h": 1.0, "d": 24.0}
"""Factors to nM, h, 1/h and 1/nM/h, independent of the package's own."""


def written():
    """Every number of the five drugs and the shared constants, by model parameter, as it stands in the files."""
    found = {}
    for drug in DRUGS:
        table = tomllib.loads((FILES / "drugs" / f"{drug}.toml").read_text(encoding="utf-8"))
        found |= {f"{drug}.{k}": v for k, v in table.get("binding", {}).items() if isinstance(v, dict)}
        for kinase, constants in table.get("kinase", {}).items():
            found |= {f"{drug}.{kinase}.{k}": v for k, v in constants.items() if isinstance(v, dict)}
        found |= {f"{drug}.{k}_off": v for k, v in table.get("off_target", {}).items()}
    shared = tomllib.loads((FILES / "parameters.toml").read_text(encoding="utf-8"))
    return found | {k.removeprefix("cell."): v for k, v in shared.items() if k.split(".")[0] in ("cell", "kint", "Vc")}


def ends(entry):
    """The 95 % range a spread stands for, in the unit as published, or None."""
    value = entry["value"]
    if "fold" in entry:
        return value / entry["fold"], value * entry["fold"]
    if "cv" in entry:
        half = Z95 * np.sqrt(np.log1p(entry["cv"] ** 2))
        return value * np.exp(-half), value * np.exp(half)
    found = entry.get("range") or entry.get("interval")
    return tuple(found) if found and 0 < found[0] < found[1] and value > 0 else None


def folder(tmp_path, names):
    rows = ["cell_line,drug,concentration,unit,time,time_unit,readout,value"]
    rows += [f"SK-BR-3,{d},{10 * k},nM,72,h,viability,0.7" for d in DRUGS for k in (1, 2)]
    (tmp_path / "plate.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    text = '[[data]]\nfile = "plate.csv"\n[noise.viability]\nsd = 0.1\n'
    text += "".join(f'[estimate."{n}"]\nscale = "log"\nshared = true\nprior = "library"\n' for n in names)
    (tmp_path / "fit.toml").write_text(text, encoding="utf-8")
    return tmp_path / "fit.toml"


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """All numbers with a spread that a fit will take as a prior, and that fit."""
    names = [n for n, entry in written().items() if ends(entry)]
    with pytest.raises(InputError) as caught:
        load_problem(folder(tmp_path_factory.mktemp("all"), names))
    # Numbers of other systems than this well are named, and so are fractions, whose bounds begin at 0.
    rules = {"is not a parameter of this well", "a log scale needs a positive lower bound"}
    assert {p.rule for p in caught.value.problems} == rules
    unused = {p.column.removeprefix("estimate.") for p in caught.value.problems}
    return load_problem(folder(tmp_path_factory.mktemp("known"), [n for n in names if n not in unused]))


def test_nearly_every_number_with_a_spread_can_be_a_prior(asked):
    names = asked.objective.names
    assert {"lapatinib.HER2.Ki", "neratinib.EGFR.KI", "tucatinib.IC50_off", "trastuzumab.KD", "kint", "S50"} <= set(
        names
    )
    assert len(names) > 25


def test_median_and_width_are_those_of_the_file(asked):
    table = written()
    for free in asked.objective.free.free:
        entry = table[free.name.removeprefix("SK-BR-3.")]
        low, high = ends(entry)
        prior = free.estimate.prior
        factor = TO_CANONICAL.get(entry["unit"], 1.0)
        assert prior.median == pytest.approx(entry["value"] * factor, rel=1e-9), free.name
        # The ends of the published spread are a 95 % range: so wide is the prior, about the published value.
        law = stats.lognorm(np.log(prior.spread), scale=prior.median)
        assert law.ppf(0.975) / law.ppf(0.025) == pytest.approx(high / low, rel=1e-9), free.name
        if low * high == pytest.approx(entry["value"] ** 2, rel=0.02):
            assert law.ppf([0.025, 0.975]) == pytest.approx([low * factor, high * factor], rel=0.02)


def test_prior_draws_have_these_quantiles(asked):
    own = asked.objective
    values = own.free.values(prior_draws(own, 4000, seed=1))
    for k, free in enumerate(own.free.free):
        prior = free.estimate.prior
        law = stats.lognorm(np.log(prior.spread), scale=prior.median)
        inside = stats.kstest(values[:, k], lambda x, law=law, f=free.estimate: _between(law, f, x))
        assert inside.pvalue > 1e-4, free.name


def _between(law, entry, x):
    low, high = law.cdf([entry.lower, entry.upper])
    return (law.cdf(x) - low) / (high - low)


def test_the_residual_of_a_prior_is_its_density(asked):
    own = asked.objective
    u = own.start()
    step = np.eye(len(u))[3] * 0.2
    prior = own.free.free[3].estimate.prior
    law = stats.norm(np.log(prior.median), np.log(prior.spread))
    expected = -2 * (law.logpdf(u[3] + 0.2) - law.logpdf(u[3]))
    assert np.diff(own.prior_cost(np.stack([u, u + step])))[0] == pytest.approx(expected)


def test_a_number_without_spread_is_refused_with_a_way_out(tmp_path):
    with pytest.raises(InputError, match="the library gives no spread for this parameter") as caught:
        load_problem(folder(tmp_path, ["kturn.EGFR"]))
    assert "median = ..." in caught.value.problems[0].remedy
    with pytest.raises(InputError, match="holds no common value"):
        load_problem(folder(tmp_path, ["doubling_time"]))
