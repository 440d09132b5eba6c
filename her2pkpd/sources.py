"""Where a number comes from. Every parameter of the library and of a model carries one of these."""

from dataclasses import dataclass
from typing import Literal, get_args

Certainty = Literal["published", "secondary", "memory", "derived", "calibrated", "assumed"]

CERTAINTIES: tuple[str, ...] = get_args(Certainty)
"""Every certainty, from best known to least."""


@dataclass(frozen=True)
class Source:
    """Where a number comes from and how sure we are.

    Attributes:
        citation: paper, label or data set, as one would cite it.
        certainty: "published", "secondary" (read in a transcription), "memory", "derived" (arithmetic on
            published numbers), "calibrated" (chosen so that the model meets a published behaviour) or "assumed".
    """

    citation: str = ""
    certainty: Certainty = "assumed"
