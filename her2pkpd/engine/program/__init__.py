"""From a model's tape to the routines of one Rosenbrock step and of its tangents."""
