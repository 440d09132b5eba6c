"""Posteriors of fits: sampling, judging, prediction, comparison, calibration, and the way out to ArviZ."""

from her2pkpd.posterior.arviz_io import to_arviz as to_arviz
from her2pkpd.posterior.compare import compare as compare
from her2pkpd.posterior.result import Posterior as Posterior
from her2pkpd.posterior.run import sample as sample
