"""Trastuzumab with pertuzumab: does the synergy and its arm hold across the posterior?

    python benchmarks/synergy_mechanism.py [DRAWS]

Cell lines and kinase inhibitors are drawn from the Laplace posterior of fits/her2-inhibitors (how much each line needs
the signal, how far its division follows it, how readily it dies), binding, internalisation and ligand affinity from the
spreads of the library, and the weight of the ligand-driven arm, of which nothing is published, from three-fold either
way. Per amplified line, with and without NRG1, and with internalisation drawn or held at the library's values (where
antibodies do not change it): excess over Bliss with its band, and the arms that carry it. Writes
results/synergy_mechanism.json. The fit takes about two minutes of it.
"""

import json
import sys
from pathlib import Path

import numpy as np

from her2pkpd import load_cell_line, load_drug
from her2pkpd.fit.run import FitResult, fit
from her2pkpd.library import load_parameters
from her2pkpd.runinfo import versions
from her2pkpd.synergy.draws import Z95, fit_draws, library_draws
from her2pkpd.synergy.mechanism import Combination, mechanistic_synergy

HERE = Path(__file__).resolve().parent
DRUGS = ("trastuzumab", "pertuzumab")
DOSES = np.array([[10.0, 10.0], [100.0, 100.0]])
NRG1 = (0.0, 7.5)
FOLD_OF_LIGAND_ARM = 3.0


def draws_of(result: FitResult, line: str, n: int) -> dict[str, np.ndarray]:
    """Draws of everything the two antibodies' well has."""
    rng = np.random.default_rng(1)
    weight = load_parameters()["a_ld"].canonical
    ligand_arm = {"a_ld": weight * np.exp(np.log(FOLD_OF_LIGAND_ARM) / Z95 * rng.normal(size=n))}
    return library_draws([load_drug(d) for d in DRUGS], n) | ligand_arm | fit_draws(result, line, n)


def case(line: str, ligand: float, draws: dict[str, np.ndarray]) -> dict[str, object]:
    """Excess and arms of one line with one level of NRG1."""
    asked = Combination(load_cell_line(line), tuple(load_drug(d) for d in DRUGS), DOSES, {"NRG1": ligand})
    found = mechanistic_synergy(asked, draws=draws)
    low, middle, high = np.quantile(found.excess, [0.025, 0.5, 0.975])
    return {
        "excess": {"median": middle, "lower": low, "upper": high, "above_0": float(np.mean(found.excess > 0))},
        "carried_by": found.carried_by,
        "arms": {str(r.pop("arm")): r for r in found.arms.to_dict("records")},
    }


def main(n: int) -> None:
    """Fit, draw, and write what every amplified line says."""
    result = fit(HERE.parent / "fits" / "her2-inhibitors" / "fit.toml")
    lines = sorted({t.cell_line for t in result.problem.objective.design.lanes})
    amplified = [x for x in lines if load_cell_line(x).status == "HER2amp"]
    cases = {}
    for line in amplified:
        draws = draws_of(result, line, n)
        held = {name: x for name, x in draws.items() if not name.endswith("internalisation_ratio")}
        for ligand in NRG1:
            for label, used in (("", draws), (", internalisation held", held)):
                key = f"{line}, NRG1 {ligand:g} nM{label}"
                cases[key] = case(line, ligand, used)
                print(key, json.dumps(cases[key]["excess"]), cases[key]["carried_by"], flush=True)
    out = {"draws": n, "doses_nM": DOSES.tolist(), "cases": cases, "versions": versions()}
    (HERE / "results" / "synergy_mechanism.json").write_text(json.dumps(out, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
