"""Cohorts of virtual patients and what is asked of them.

The package can be called: ``her2pkpd.cohort("cohort.toml")`` is `her2pkpd.cohort.run.cohort`.
"""

from her2pkpd.callable_package import make_callable
from her2pkpd.cohort.engines import Resources as Resources
from her2pkpd.cohort.load import Cohort as Cohort
from her2pkpd.cohort.load import load as load
from her2pkpd.cohort.read import read_cohort as read_cohort
from her2pkpd.cohort.run import cohort as cohort
from her2pkpd.cohort.run import cohort_file as cohort_file
from her2pkpd.cohort.settings import CohortSettings as CohortSettings

make_callable(__name__, cohort)
