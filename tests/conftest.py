"""Settings every test runs under."""

import sys
from pathlib import Path

import jax

# Helpers shared by test modules are imported as `tests....`, from wherever pytest is started.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

# The package never touches this setting; gradients through `solve_jax` need it, so the tests switch it on.
jax.config.update("jax_enable_x64", True)

# Tests compile much and run little: cheap code beats fast code.
jax.config.update("jax_disable_most_optimizations", True)
