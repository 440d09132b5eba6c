"""Draws: inside what the library says, and from the posterior of a fit to a plate."""

import numpy as np
import pandas as pd
import pytest

from her2pkpd import load_cell_line, load_drug
from her2pkpd.fit.problem import load_problem
from her2pkpd.fit.run import fit
from her2pkpd.library import load_parameters
from her2pkpd.synergy.draws import PAIR, fit_draws, library_draws, posterior_draws
from her2pkpd.synergy.mechanism import Combination, mechanistic_synergy

T, P = load_drug("trastuzumab"), load_drug("pertuzumab")


def test_a_range_that_begins_at_its_value_has_nothing_below():
    drawn = library_draws((T, P), 2000)
    single = drawn["pertuzumab.internalisation_ratio"]
    assert single.min() == 1.0
    assert np.quantile(single, 0.975) == pytest.approx(2.0, rel=0.06)
    low, high = load_parameters()["kint"].spread.low, load_parameters()["kint"].spread.high
    assert np.quantile(drawn["kint"], [0.025, 0.5, 0.975]) == pytest.approx([low, 0.09, high], rel=0.05)


def test_pairs_go_in_no_slower_than_either_antibody():
    drawn = library_draws((T, P), 500)
    assert (drawn[PAIR] >= drawn["pertuzumab.internalisation_ratio"]).all()


SETTINGS = """
title = "one line"
[[data]]
file = "plate.csv"
[model]
system = "well"
[estimate.S50]
per = "cell_line"
lower = 0.005
upper = 2.0
prior = { median = 0.3, spread = 2.0 }
[estimate.w]
per = "cell_line"
[noise]
viability = { sd = 0.05 }
[method]
starts = 1
max_evaluations = 30
intervals = "laplace"
"""


def test_from_a_fit_of_single_drugs_to_the_band_of_a_combination(tmp_path):
    rows = [("trastuzumab", c, 1.0 - 0.4 * c / (c + 2)) for c in (0.0, 0.3, 1.0, 3.0, 10.0, 100.0)]
    plate = pd.DataFrame(rows, columns=["drug", "concentration", "value"]).assign(
        cell_line="SK-BR-3", unit="nM", time=72, time_unit="h", readout="viability"
    )
    plate.to_csv(tmp_path / "plate.csv", index=False)
    (tmp_path / "fit.toml").write_text(SETTINGS, encoding="utf-8")
    problem = load_problem(tmp_path / "fit.toml")
    result = fit(problem)
    draws = fit_draws(result, "SK-BR-3", 12)
    assert set(draws) == {"cells.S50", "cells.w"}
    again = posterior_draws(problem.objective, "SK-BR-3", result.optimum.best.u[None] + np.zeros((12, 1)))
    assert again == {}  # nothing differs between the draws
    case = Combination(load_cell_line("SK-BR-3"), (T, P), np.array([[30.0, 30.0]]), {"NRG1": 7.5})
    found = mechanistic_synergy(case, draws=library_draws((T, P), 12) | draws, arms=[])
    assert found.excess.shape == (12,)
    assert np.ptp(found.excess) > 0
    with pytest.raises(KeyError):
        fit_draws(result, "BT-474", 2)
