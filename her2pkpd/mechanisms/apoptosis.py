"""The apoptotic switch: where the two pathways meet, and why half of HER2 is not half of AKT.

ERK has BIM degraded, AKT keeps survivin up; apoptosis of HER2-amplified cells needs both lost (Tanizaki 2011):

    dBIM/dt      = (1 - BIM*(b + (1 - b)*ERK/ERK0))/tau
    dsurvivin/dt = (s0 + (1 - s0)*AKTa/AKTa0 - survivin)/tau
    survival     = 1 - P^n/(theta^n + P^n),   P = BIM/survivin, 1 in the untreated cell

BAX and BAK open mitochondria together or not at all, hence n > 1. An untreated cell sits on the plateau below theta.
What is lost upstream is lost by both pathways and multiplies in P; what is lost in one of them counts once, and less
than once where feedback makes up for it. The two edges are published, the algebra is this package's own.
"""

from typing import Any

from her2pkpd.mechanisms.hill import hill
from her2pkpd.model import Builder, Scope

BIM, SURVIVIN = "BIM", "survivin"


def apoptotic_switch(build: Builder, population: str) -> None:
    """BIM and survivin relative to untreated, and the quantities ``apoptotic_pressure`` and ``survival``.

    Args:
        build: the model; must hold ``net.BIM_basal``, ``net.tau_BIM`` (h), ``net.survivin_basal``,
            ``net.tau_survivin`` (h), ``net.theta``, ``net.n_apoptosis``, the quantities ``AKT_activity`` and ``pERK``
            of the population and its ``AKT0``.
        population: name of the population.

    Source: Tanizaki 2011 Oncogene 30:4097 (BIM under ERK and survivin under PI3K, both needed; weaker where PIK3CA is
    mutated).
    """
    own = lambda name: f"{name}.{population}"  # noqa: E731

    def bim(s: Scope, p: Scope) -> Any:
        loss = p["net.BIM_basal"] + (1.0 - p["net.BIM_basal"]) * s[own("pERK")]
        return (1.0 - s[own(BIM)] * loss) / p["net.tau_BIM"]

    def survivin(s: Scope, p: Scope) -> Any:
        kept = s[own("AKT_activity")] / p[f"{population}.AKT0"]
        steady = p["net.survivin_basal"] + (1.0 - p["net.survivin_basal"]) * kept
        return (steady - s[own(SURVIVIN)]) / p["net.tau_survivin"]

    for name, rate in ((BIM, bim), (SURVIVIN, survivin)):
        build.species(own(name), None, "relative to untreated", initial=1.0)
        build.reaction(f"change of {name} in {population}", {own(name): 1}, rate)
    build.quantity(
        own("apoptotic_pressure"),
        lambda s, p: s[own(BIM)] / s[own(SURVIVIN)],
        "relative to untreated",
        "BIM over survivin",
    )
    build.quantity(
        own("survival"),
        lambda s, p: 1.0 - hill(s[own("apoptotic_pressure")], p["net.theta"], p["net.n_apoptosis"]),
        "1",
        "output of the apoptotic switch",
    )
