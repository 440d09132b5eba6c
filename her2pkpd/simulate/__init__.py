"""Simulation of scenarios: a TOML file in, a tidy table out.

The package can be called: ``her2pkpd.simulate("scenario.toml")`` is `her2pkpd.simulate.run.simulate`.
"""

from her2pkpd.callable_package import make_callable
from her2pkpd.simulate.run import simulate as simulate
from her2pkpd.simulate.run import simulate_file as simulate_file
from her2pkpd.simulate.scenario import WellScenario as WellScenario
from her2pkpd.simulate.scenario import read_scenario as read_scenario
from her2pkpd.simulate.well import Simulation as Simulation

make_callable(__name__, simulate)
