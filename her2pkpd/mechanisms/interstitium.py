"""A tumour as one well-mixed interstitium: cells, the fluid between them, and exchange with plasma.

Every cell brings the fluid around it, so tumour, cells and interstitium grow and shrink together:
V_tumour = N*V_cell_in_tumour, V_interstitium = epsilon*V_tumour.

Antibodies:   epsilon*V_tumour*dC/dt = V_tumour*(2*P*Rcap/Rkrogh^2 + 6*D/Rtumour^2)*(C_plasma - C)
Inhibitors:   the same form with a rate constant of hours, between unbound concentrations

C is the concentration in the fluid; Shah 2012 writes it as C_tumour/epsilon. A mixed tumour has no binding-site
barrier and no effect of the carrier dose; the shell model is for those questions.

Source: Shah 2012 J Pharmacokinet Pharmacodyn 39:643 (Krogh cylinder and surface exchange).
"""

from typing import Any

import jax.numpy as jnp

from her2pkpd.mechanisms.disposition import plasma
from her2pkpd.mechanisms.population import MEDIUM, count
from her2pkpd.model import Builder, Scope

_SPHERE = 3.0 / (4.0 * 3.141592653589793)


def interstitium(build: Builder, population: str) -> None:
    """The fluid between the cells of a tumour, and the tumour's volume and radius.

    Adds the compartment that drugs reach the cells from, and the outputs ``<population>.volume`` (mL) and
    ``<population>.radius`` (cm).

    Args:
        build: the model; must hold ``tumour.cell_density`` (cells/L) and ``tumour.epsilon``.
        population: its cells.
    """
    cells = count(population)
    build.compartment(MEDIUM, lambda s, p: p["tumour.epsilon"] * s[cells] / p["tumour.cell_density"], count=cells)
    build.quantity(
        f"{population}.volume", lambda s, p: 1e3 * s[cells] / p["tumour.cell_density"], "mL", "volume of the tumour"
    )
    build.quantity(
        f"{population}.radius",
        lambda s, p: jnp.power(_SPHERE * s[f"{population}.volume"], 1.0 / 3.0),
        "cm",
        "radius of a sphere of that volume",
    )


def antibody_uptake(build: Builder, drug: str, population: str) -> None:
    """Exchange of an antibody between plasma and tumour, through vessel walls and over the surface.

    Plasma takes no notice: the clearance of a population model already holds what the tumours of its patients took up.

    Args:
        build: the model with the antibody's disposition and its state in the interstitium; must hold
            ``tumour.P`` (cm/h), ``tumour.D`` (cm2/h), ``tumour.Rcap`` and ``tumour.Rkrogh`` (cm).
        drug: its name.
        population: the tumour's cells.
    """

    def rate(s: Scope, p: Scope) -> Any:
        vessels = 2.0 * p["tumour.P"] * p["tumour.Rcap"] / (p["tumour.Rkrogh"] * p["tumour.Rkrogh"])
        surface = 6.0 * p["tumour.D"] / (s[f"{population}.radius"] * s[f"{population}.radius"])
        return (vessels + surface) / p["tumour.epsilon"] * (s[plasma(drug)] - s[drug])

    build.reaction(
        f"{drug} between plasma and tumour",
        {drug: 1},
        rate,
        at=MEDIUM,
        equation="(2*P*Rcap/Rkrogh^2 + 6*D/R^2)/epsilon*(plasma - tumour)",
    )


def inhibitor_uptake(build: Builder, drug: str) -> None:
    """Unbound kinase inhibitor follows unbound plasma; the tumour holds too little to deplete plasma.

    Args:
        build: the model with the inhibitor's disposition and its state in the interstitium; must hold
            ``tumour.kexchange`` (1/h) and ``<drug>.exposure_ratio``, the concentration in culture medium that has
            the effect of a plasma concentration of one.
        drug: its name.
    """
    build.reaction(
        f"{drug} between plasma and tumour",
        {drug: 1},
        lambda s, p: p["tumour.kexchange"] * (p[f"{drug}.exposure_ratio"] * s[plasma(drug)] - s[drug]),
        equation="kexchange*(exposure_ratio*plasma - tumour)",
    )


def payload_uptake(build: Builder, payload: str, population: str, *, in_plasma: bool) -> None:
    """Exchange of a payload between plasma and tumour; what leaves the tumour is lost in the far larger plasma pool.

    Args:
        build: the model with the payload in the interstitium; must hold ``tumour.P_payload`` (cm/h),
            ``tumour.D_payload`` (cm2/h), ``tumour.epsilon_payload``, ``tumour.Rcap`` and ``tumour.Rkrogh`` (cm).
        payload: its name.
        population: the tumour's cells.
        in_plasma: whether the model follows ``plasma.<payload>``; otherwise plasma counts as empty.
    """

    def rate(s: Scope, p: Scope) -> Any:
        vessels = 2.0 * p["tumour.P_payload"] * p["tumour.Rcap"] / (p["tumour.Rkrogh"] * p["tumour.Rkrogh"])
        surface = 6.0 * p["tumour.D_payload"] / (s[f"{population}.radius"] * s[f"{population}.radius"])
        outside = s[plasma(payload)] if in_plasma else 0.0
        return (vessels + surface) / p["tumour.epsilon_payload"] * (outside - s[payload])

    build.reaction(
        f"{payload} between plasma and tumour",
        {payload: 1},
        rate,
        at=MEDIUM,
        equation="(2*P*Rcap/Rkrogh^2 + 6*D/R^2)/epsilon*(plasma - tumour)",
    )
