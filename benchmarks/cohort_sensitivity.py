"""Sobol indices over a million patients: writes benchmarks/results/cohort_sensitivity.json.

The trough of trastuzumab, and the response of HER2-low tumours to T-DXd, taken apart; with time and peak memory, which
must not grow with the number of patients. Run: python benchmarks/cohort_sensitivity.py
"""

import json
import resource
import time
from pathlib import Path
from typing import Any

from her2pkpd.cohort.read import read_cohort
from her2pkpd.cohort.run import Resources
from her2pkpd.cohort.sensitivity import sobol
from her2pkpd.cohort.sensitivity_patients import patient_endpoint, patient_inputs

HERE = Path(__file__).parent
RESULT = HERE / "results" / "cohort_sensitivity.json"
EXAMPLES = HERE.parent / "examples"
CASES = (
    ("trastuzumab, trough", "inhibition_by_dose.toml", "trastuzumab 6 mg/kg", "Cmin.trastuzumab.last", 1_000_000),
    ("T-DXd in HER2-low, best change", "her2_low.toml", "T-DXd 5.4 mg/kg", "SLD.best_change", 100_000),
)


def peak() -> float:
    """Peak resident memory of this process so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def case(name: str, file: str, arm: str, endpoint: str, patients: int) -> dict[str, Any]:
    """One analysis, first with a tenth of the patients."""
    settings = read_cohort(EXAMPLES / file)
    inputs = patient_inputs(settings, arm=arm)
    evaluate = patient_endpoint(settings, endpoint, arm=arm, resources=Resources(threads=1))
    row: dict[str, Any] = {"case": name}
    for share, blocks in ((10, 32), (1, 320)):
        begun = time.process_time()
        found = sobol(evaluate, inputs, patients=patients // share, blocks=blocks)
        seconds = time.process_time() - begun
        own = {"patients": found.patients, "failed": found.failed, "cpu_seconds": seconds, "peak_MiB": peak()}
        row[f"{patients // share:,}"] = {k: round(v, 1) for k, v in own.items()}
        print(name, own)
    row |= {"mean": found.mean, "sd": found.variance**0.5, "indices": found.indices.round(4).to_dict("records")}
    return row


if __name__ == "__main__":
    rows = [case(*c) for c in CASES]
    RESULT.write_text(json.dumps({"cases": rows}, indent=1) + "\n", encoding="utf-8")
