"""Library numbers as model parameters, with their sources."""

from her2pkpd.library import Quantity
from her2pkpd.model import Builder, Source


def add_sourced(build: Builder, name: str, value: Quantity) -> None:
    """Add a library number as a parameter in its canonical unit, with citation and certainty."""
    build.parameter(
        name, value.canonical, value.canonical_unit, source=Source(value.source.citation, value.source.certainty)
    )
