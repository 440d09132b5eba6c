"""Why do patients on the same dose of trastuzumab have such different troughs?

    python examples/why_troughs_differ.py [figure.png]

Takes the variance of the trough at steady state apart: 10^5 patients, drawn so that each covariate and each random
effect of the population model can be told from the others (Sobol indices). With a file name it draws them.
"""

import sys
import tempfile
from pathlib import Path

from her2pkpd.cohort.read import read_cohort
from her2pkpd.cohort.sensitivity import sobol
from her2pkpd.cohort.sensitivity_patients import patient_endpoint, patient_inputs
from her2pkpd.report.cohort_outcome_figures import sobol_figure

COHORT = """
[population]
name = "metastatic breast"

[[arm]]
name = "6 mg/kg"
[[arm.dose]]
drug = "trastuzumab"
regimen = "6 mg/kg every 3 weeks, loading 8 mg/kg, 12 doses"
infusion = "90 min"
"""

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cohort.toml"
        path.write_text(COHORT, encoding="utf-8")
        settings = read_cohort(path)
    inputs = patient_inputs(settings)
    found = sobol(patient_endpoint(settings, "Cmin.trastuzumab.last"), inputs, patients=100_000)
    print(f"trough of {found.patients:,} patients: {found.mean:.1f} +- {found.variance**0.5:.1f} ug/mL")
    table = found.indices.set_index("input")
    print((100 * table).round(1).to_string())
    # What can be measured explains little, which is why the label adjusts no dose for it (Quartino 2019 Cancer
    # Chemother Pharmacol 83:329); most is the variability of clearance that nothing explains.
    covariates = [name for name, group in inputs.items() if not group.names[0].startswith("deviate")]
    assert table.loc[covariates, "total"].sum() < 0.3
    assert table.loc["trastuzumab: CL, Vc", "first"] > 0.5
    if len(sys.argv) > 1:
        sobol_figure(found, "the trough at steady state").savefig(sys.argv[1], dpi=130)
