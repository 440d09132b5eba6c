"""The apoptotic switch: where the two pathways meet, and why half of HER2 is not half of AKT.

ERK has BIM degraded, AKT keeps survivin up; apoptosis of HER2-amplified cells needs both lost (Tanizaki 2011):

    dBIM/dt      = (1 - BIM*(b + (1 - b)*ERK/ERK0))/tau
    dsurvivin/dt = (s0 + (1 - s0)*AKTa/AKTa0 - survivin)/tau
    survival     = 1 - H(BIM; theta_BIM, n_BIM)*H(1/survivin; theta_survivin, n_survivin),   H(x) = x^n/(theta^n + x^n)

A cell dies once its BIM is above a threshold of its own and its survivin below another. Thresholds differ between
cells: H is the share of cells whose threshold has been passed, log-logistic with standard deviation pi/(sqrt(3)*n) of
the logarithm, so that n = 12 is 15 % between cells. An untreated cell sits on the plateau below both. What is lost
upstream is lost by both pathways; what is lost in one alone leaves the other threshold in place, however much it is.
The two edges and that both are needed are published, the algebra is this package's own.
"""

from typing import Any

from her2pkpd.mechanisms.hill import hill
from her2pkpd.model import Builder, Scope

BIM, SURVIVIN = "BIM", "survivin"


def apoptotic_switch(build: Builder, population: str) -> None:
    """BIM and survivin relative to untreated, and the quantities ``apoptotic_pressure`` and ``survival``.

    Args:
        build: the model; must hold ``net.BIM_basal``, ``net.tau_BIM`` (h), ``net.survivin_basal``,
            ``net.tau_survivin`` (h), ``net.theta_BIM``, ``net.n_BIM``, ``net.theta_survivin``, ``net.n_survivin``,
            the quantities ``AKT_activity`` and ``pERK`` of the population and its ``AKT0``.
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

    def survival(s: Scope, p: Scope) -> Any:
        enough = hill(s[own(BIM)], p["net.theta_BIM"], p["net.n_BIM"])
        unguarded = hill(1.0 / s[own(SURVIVIN)], p["net.theta_survivin"], p["net.n_survivin"])
        return 1.0 - enough * unguarded

    for name, rate in ((BIM, bim), (SURVIVIN, survivin)):
        build.species(own(name), None, "relative to untreated", initial=1.0)
        build.reaction(f"change of {name} in {population}", {own(name): 1}, rate)
    build.quantity(
        own("apoptotic_pressure"),
        lambda s, p: s[own(BIM)] / s[own(SURVIVIN)],
        "relative to untreated",
        "BIM over survivin",
    )
    build.quantity(own("survival"), survival, "1", "output of the apoptotic switch")
