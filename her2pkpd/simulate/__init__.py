"""Simulation of scenarios: a TOML file in, a tidy table out."""

from her2pkpd.simulate.run import simulate as simulate
from her2pkpd.simulate.run import simulate_file as simulate_file
from her2pkpd.simulate.scenario import WellScenario as WellScenario
from her2pkpd.simulate.scenario import read_scenario as read_scenario
from her2pkpd.simulate.well import Simulation as Simulation
