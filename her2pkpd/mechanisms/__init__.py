"""The biology, one mechanism a file: each adds its species, parameters and reactions to a model builder."""
