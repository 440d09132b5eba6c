"""Cohorts the tests share."""

from her2pkpd.cohort.read import read_cohort

PLASMA = """
[population]
size = {size}
seed = 3
{population}

[[arm]]
name = "A"
[[arm.dose]]
{dose}
{rest}
"""
TDXD = 'drug = "T-DXd"\namount = "5.4 mg/kg"\ninfusion = "90 min"\nevery = "21 d"\ndoses = 3'
TRASTUZUMAB = (
    'drug = "trastuzumab"\nregimen = "6 mg/kg every 3 weeks, loading 8 mg/kg for 4 doses"\ninfusion = "90 min"'
)

TUMOUR = """
[population]
size = 250
seed = 11

[tumour]
ihc = { "3+" = 0.6, "2+" = 0.4 }
negative = 0.2
negative_sd = 1.0

[variability]
"*.DXd.kc50" = { cv = 100.0 }
"*.doubling_time" = { fold = 2.0 }

[[arm]]
name = "T-DXd"
[[arm.dose]]
drug = "T-DXd"
amount = "5.4 mg/kg"
infusion = "90 min"
every = "21 d"
doses = 3
[[arm.rule]]
drug = "T-DXd"
variable = "plasma.DXd"
measure = "auc"
above = "40 ng*d/mL"
then = "reduce"
levels = ["4.4 mg/kg", "3.2 mg/kg"]

[[arm]]
name = "T-DM1"
[[arm.dose]]
drug = "T-DM1"
amount = "3.6 mg/kg"
infusion = "30 min"
every = "21 d"
doses = 3
until = "progression"

[output]
part = 100
trajectories = 5
step = "7 d"

[solver]
rtol = 0.02
"""
"""Two arms, one with a rule and one that follows progression: everything a chunk can differ in."""


def write(tmp_path, text, name="cohort.toml"):
    """A file with a text."""
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def plasma(tmp_path, dose, *, size=8, population="", rest=""):
    """Settings of one arm without a tumour."""
    return read_cohort(write(tmp_path, PLASMA.format(size=size, population=population, dose=dose, rest=rest)))
