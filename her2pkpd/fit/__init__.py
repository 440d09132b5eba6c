"""Fitting: plates or published metrics in; parameters with intervals and verdicts out.

The package can be called: ``her2pkpd.fit("fit.toml")`` is `her2pkpd.fit.run.fit`.
"""

from her2pkpd.callable_package import make_callable
from her2pkpd.fit.problem import FitProblem as FitProblem
from her2pkpd.fit.problem import load_problem as load_problem
from her2pkpd.fit.run import FitResult as FitResult
from her2pkpd.fit.run import fit as fit

make_callable(__name__, fit)
