"""Full posteriors of the fits in ``fits/``: do they converge, what do they cost, where do they differ from intervals?

Every fit is run as ``her2pkpd fit`` runs it, with ``[method] sample = "nuts"``: four chains. Recorded are convergence,
effective draws, divergences, CPU seconds, verdicts beside those of the fit, and every parameter whose posterior
interval is far from its profile or Laplace interval. `RIVALS` are other mechanisms for the same data, compared by the
density they expect for wells left out (PSIS-LOO). Reports stay in ``out/fit_posteriors``; an interrupted run goes on.
Writes ``benchmarks/results/fit_posteriors.json``, one entry a fit. Without names all but those in `SLOW` are run.

    python benchmarks/fit_posteriors.py [FIT ...]
"""

import json
import re
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from her2pkpd.fit.run import FitResult, fit
from her2pkpd.posterior import compare, sample
from her2pkpd.posterior.result import Posterior
from her2pkpd.report.fit import fit_file
from her2pkpd.runinfo import versions

ROOT = Path(__file__).parent.parent
OUT = ROOT / "out" / "fit_posteriors"
RESULT = ROOT / "benchmarks" / "results" / "fit_posteriors.json"

METHOD: dict[str, dict[str, object]] = {
    "adc-viability": {"draws": 2000},
    "ccle-lapatinib": {"draws": 1000},
    "her2-inhibitors": {"draws": 500, "warmup": 200},
}  # fmt: skip
"""Settings of ``[method]`` beside ``sample``."""

SLOW = ("her2-inhibitors",)
"""Hours, for the reason that its README gives."""

PER_LINE = 'per = "cell_line"\nwhere.cell_line = ["SK-BR-3", "KPL-4", "NCI-N87"]'
RIVALS = {
    "adc-viability": {
        "DXd's kc50 and kmax per line": (),
        "one kc50 of DXd for all lines": (
            ('[estimate."DXd.kc50"]\n' + PER_LINE, '[estimate."DXd.kc50"]\nshared = true'),
        ),
        "one kmax of DXd for all lines": (
            ('[estimate."DXd.kmax"]\n' + PER_LINE, '[estimate."DXd.kmax"]\nshared = true'),
        ),
    },
    "ccle-lapatinib": {
        "a switch of free steepness": (),
        "no switch (n_crit = 1)": (
            ("[estimate.n_crit]\nshared = true\nprior = { median = 2, spread = 1.5 }\n\n", ""),
            ("[parameters]\n", '[parameters]\nn_crit = "1"\n'),
        ),
    },
}  # fmt: skip
"""By fit: other mechanisms as replacements in its text; the fit itself has none."""

FAR = 1.5
"""Fold by which an end of a posterior interval must differ from the fit's to be listed."""


def settings_of(name: str, label: str = "", changes: tuple[tuple[str, str], ...] = (), **method: object) -> Path:
    """A fit's settings, or a rival's, with sampling asked for and its data where they are."""
    source = ROOT / "fits" / name / "fit.toml"
    text = source.read_text(encoding="utf-8")
    for old, new in changes:
        if old not in text:
            raise ValueError(f"{source} has no text {old!r}")
        text = text.replace(old, new)
    lines = [_absolute(line, source.parent) for line in text.splitlines()]
    lines += ['sample = "nuts"', *(f"{key} = {json.dumps(value)}" for key, value in method.items())]
    OUT.mkdir(parents=True, exist_ok=True)
    path = OUT / f"{'-'.join([name, *re.findall('[a-zA-Z0-9_]+', label)])}.toml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _absolute(line: str, folder: Path) -> str:
    if not line.startswith("file = "):
        return line
    file = (folder / json.loads(line.removeprefix("file = "))).resolve()
    return f"file = {json.dumps(str(file))}"


def convergence(posterior: Posterior) -> dict[str, Any]:
    """What the diagnosis says, as numbers."""
    found, names = posterior.diagnosis, posterior.names
    worst = int(np.nanargmax(found.rhat))
    return {
        "chains": posterior.u.shape[0], "draws_per_chain": posterior.u.shape[1],
        "rhat_max": float(found.rhat[worst]), "rhat_worst": names[worst],
        "unknowns_above_1.01": int((found.rhat > 1.01).sum()), "unknowns_above_1.05": int((found.rhat > 1.05).sum()),
        "ess_bulk_min": float(np.nanmin(found.ess_bulk)), "ess_tail_min": float(np.nanmin(found.ess_tail)),
        "divergences": int(posterior.draws.diverging.sum()),
        "leapfrogs_per_draw": float(posterior.draws.leapfrogs.mean()), "gradients": posterior.draws.evaluations,
        "checks": [line.strip() for line in found.lines()],
    }  # fmt: skip


def disagreements(result: FitResult, posterior: Posterior) -> list[dict[str, Any]]:
    """Parameters whose posterior interval ends far from the fit's own, or whose verdict differs."""
    own = result.parameters.set_index("parameter")
    drawn = posterior.table().set_index("parameter")
    rows = []
    for name in drawn.index:
        a, b = own.loc[name], drawn.loc[name]
        ends = np.array([[a["lower"], a["upper"]], [b["lower"], b["upper"]]], dtype=float)
        fold = np.exp(np.abs(np.log(ends[1] / ends[0])))
        words = [str(x["verdict"]).split(" (")[0] for x in (a, b)]
        differs = ("determined" in words) and words[0] != words[1]
        if differs or np.nanmax(fold, initial=1.0) > FAR:
            rows.append(
                {
                    "parameter": name, "unit": a["unit"], "interval": a["interval"], "fit": ends[0].tolist(),
                    "posterior": ends[1].tolist(), "verdicts": [str(a["verdict"]), str(b["verdict"])],
                    "prior_overlap": float(b["prior_overlap"]),
                }
            )  # fmt: skip
    return rows


def rivals(name: str, own: Posterior) -> list[dict[str, Any]]:
    """The fit's mechanism against others."""
    posteriors = {}
    for label, changes in RIVALS[name].items():
        if not changes:
            posteriors[label] = own
            continue
        settings = settings_of(name, label, changes, draws=500)
        posteriors[label] = sample(fit(settings), keep=settings.with_suffix(".npz"))
    table = compare(posteriors)
    table["rhat_max"] = [float(np.nanmax(posteriors[m].diagnosis.rhat)) for m in table["model"]]
    return table.to_dict(orient="records")


def one(name: str) -> dict[str, Any]:
    """Everything of one fit."""
    began = time.process_time()
    result = fit_file(settings_of(name, "", (), **METHOD[name]), OUT / name, force=True)
    posterior = result.posterior
    if not isinstance(posterior, Posterior):
        raise KeyboardInterrupt
    spent = time.process_time() - began
    ends = pd.DataFrame({"fit": result.parameters["verdict"], "posterior": posterior.table()["verdict"]})
    counts = {k: v.str.split(" (", regex=False).str[0].value_counts().to_dict() for k, v in ends.items()}
    record = {
        "data": {"wells": len(result.problem.observations), "published_metrics": len(result.problem.metrics)},
        "unknowns": len(posterior.names), "finished": not result.interrupted, "cpu_seconds_of_this_process": spent,
        **convergence(posterior), "verdicts": counts, "disagreements": disagreements(result, posterior),
        "determined_products": [f"{c.text} ({c.fold:.3g}-fold)" for c in result.identifiability.combinations],
        "without_effect": result.identifiability.no_effect(),
        "report_megabytes": round((OUT / name / "report.html").stat().st_size / 1e6, 2),
        "netcdf_megabytes": round((OUT / name / "posterior.nc").stat().st_size / 1e6, 2),
    }  # fmt: skip
    return record | ({"rivals": rivals(name, posterior)} if name in RIVALS else {})


def main(names: list[str]) -> None:
    """Sample the fits and write what was found."""
    for name in names or [x for x in METHOD if x not in SLOW]:
        found = one(name)
        record = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.is_file() else {}
        record |= {name: found, "versions": versions()}
        RESULT.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        print(name, json.dumps(record[name], indent=2))


if __name__ == "__main__":
    main(sys.argv[1:])
