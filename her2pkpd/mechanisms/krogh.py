"""A tumour as Krogh cylinders: tissue in shells around a capillary, supplied through its wall.

With a the concentration in the fluid a molecule can reach (a share eps of the tissue), for shells with faces r_0 =
Rcap < r_1 < ... < r_K = RK,

    eps*V_i*da_i/dt = G_(i-1)*(a_(i-1) - a_i) - G_i*(a_i - a_(i+1)) - eps*V_i*(uptake by cells),   G_K = 0
    wall:      G_0 = 2*Rcap/(r_K^2 - Rcap^2) / (1/P + Rcap*ln(m_1/Rcap)/(eps*D)) * V,   a_0 = plasma
    between:   G_i = 2*eps*D/ln(m_(i+1)/m_i)/(r_K^2 - Rcap^2) * V

for m_i the middle of shell i and V the tissue (flux -D*d(eps*a)/dr, wall P*(C_p - a), as in Thurber & Wittrup; Shah
2012 writes P*(eps*C_p - eps*a), a wall eps times tighter). With one shell this is the well-mixed tumour, which has
no barrier; two shells (perivascular and distal) are the least that has one.

Tissue is packed: a shell's tissue is its cells over 1 - eps of the payload, so that fluid comes and goes with the
cells. New fluid comes without drug (dilution); what a shrinking shell had dissolved drains away.

Sources: Thurber & Wittrup 2008, 2012; Cilliers 2016-2018 (radial model, Thiele modulus); Shah 2012 J Pharmacokinet
Pharmacodyn 39:643 (constants).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from her2pkpd.mechanisms.population import count
from her2pkpd.model import Builder, Expression, Scope

TISSUE = "tissue"
UM2_PER_CM2 = 1e8


@dataclass(frozen=True)
class Shells:
    """Geometry of the shells, um.

    Attributes:
        faces: radii from the capillary's to the cylinder's, K + 1 of them.
    """

    faces: tuple[float, ...]

    @property
    def count(self) -> int:
        """K, the number of shells."""
        return len(self.faces) - 1

    @property
    def shares(self) -> tuple[float, ...]:
        """Share of the tissue in each shell, from the capillary outwards."""
        whole = self.faces[-1] ** 2 - self.faces[0] ** 2
        return tuple((b**2 - a**2) / whole for a, b in zip(self.faces, self.faces[1:], strict=False))

    @property
    def middles(self) -> tuple[float, ...]:
        """Middle radius of each shell, um."""
        return tuple(0.5 * (a + b) for a, b in zip(self.faces, self.faces[1:], strict=False))


def equal_shells(number: int, *, capillary: float = 8.0, cylinder: float = 75.0) -> Shells:
    """Shells of equal thickness.

    Args:
        number: how many.
        capillary: radius of the capillary, um.
        cylinder: radius of the Krogh cylinder, um.
    """
    step = (cylinder - capillary) / number
    return Shells(tuple(capillary + i * step for i in range(number + 1)))


def two_zones(*, perivascular: float = 0.25, capillary: float = 8.0, cylinder: float = 75.0) -> Shells:
    """A perivascular zone that holds a given share of the tissue, and the rest."""
    edge = math.sqrt(capillary**2 + perivascular * (cylinder**2 - capillary**2))
    return Shells((capillary, edge, cylinder))


def place(shell: int) -> str:
    """Suffix of what lives in a shell, counted from 1."""
    return f"@{shell}"


def fluid(kind: str, shell: int) -> str:
    """Name of the compartment a kind of molecule ("protein" or "payload") can reach in a shell."""
    return f"{kind} space{place(shell)}"


def tissue(build: Builder, shells: Shells, populations: Sequence[str]) -> None:
    """The fluid compartments of every shell, and how they grow with its cells.

    Args:
        build: the model; must hold ``Vc`` (L), ``eps_protein`` and ``eps_payload``, and for every population and shell
            its count, and the quantities ``mu`` and ``loss``.
        shells: the geometry.
        populations: names without the place.
    """
    everyone = [f"{x}{place(i)}" for i in range(1, shells.count + 1) for x in populations]
    build.quantity("tumour.volume", _volume([count(x) for x in everyone]), "L", "volume of the tumour")
    build.compartment(TISSUE, lambda s, p: s["tumour.volume"])
    for i in range(1, shells.count + 1):
        here = [f"{x}{place(i)}" for x in populations]
        cells = [count(x) for x in here]
        for kind in ("protein", "payload"):
            volume = _volume(cells)
            build.compartment(fluid(kind, i), lambda s, p, v=volume, e=f"eps_{kind}": p[e] * v(s, p))
        for name, of in (("expansion", "mu"), ("drainage", "loss")):
            build.quantity(f"{name}{place(i)}", _mean(of, here), "1/h", f"{name} of the fluid of shell {i}")
        for kind in ("protein", "payload"):
            build.expansion(fluid(kind, i), lambda s, p, q=f"expansion{place(i)}": s[q])


def _volume(cells: Sequence[str]) -> Expression:
    return lambda s, p: sum((s[n] for n in cells[1:]), s[cells[0]]) * p["Vc"] / (1.0 - p["eps_payload"])


def _mean(name: str, populations: Sequence[str]) -> Expression:
    def value(s: Scope, p: Scope) -> Any:
        cells = [s[count(x)] for x in populations]
        return sum(s[f"{name}.{x}"] * n for x, n in zip(populations, cells, strict=True)) / sum(cells[1:], cells[0])

    return value


def transport(
    build: Builder,
    name: str,
    shells: Shells,
    kind: str,
    plasma: Expression,
    *,
    books: Mapping[str, float | str] | None = None,
    source: str = "",
) -> None:
    """A molecule crosses the capillary wall and spreads through the shells.

    Args:
        build: the model; must hold ``P_<kind>`` (um/h), ``D_<kind>`` (um^2/h) and ``eps_<kind>``, and the species
            ``<name>@<shell>``.
        name: the molecule, without the place.
        shells: the geometry.
        kind: "protein" or "payload".
        plasma: its concentration in plasma, nM.
        source: plasma species the molecule is taken from and given back to; "" if plasma does not notice.
        books: species that books what crosses the wall, and how many of it one molecule carries (negative inwards).
    """
    area = shells.faces[-1] ** 2 - shells.faces[0] ** 2
    wall_path = shells.faces[0] * math.log(shells.middles[0] / shells.faces[0])
    here = f"{name}{place(1)}"

    def wall(s: Scope, p: Scope) -> Any:
        resistance = 1.0 / p[f"P_{kind}"] + wall_path / (p[f"eps_{kind}"] * p[f"D_{kind}"])
        return 2.0 * shells.faces[0] / area / resistance * (plasma(s, p) - s[here])

    taken = {source: -1.0} if source else {}
    build.reaction(f"{name} crosses the capillary wall", {here: 1, **taken, **(books or {})}, wall, at=TISSUE)
    for i in range(1, shells.count):
        inner, outer = f"{name}{place(i)}", f"{name}{place(i + 1)}"
        width = math.log(shells.middles[i] / shells.middles[i - 1])
        build.reaction(
            f"{name} spreads from shell {i} to {i + 1}",
            {inner: -1, outer: 1},
            lambda s, p, a=inner, b=outer, w=width: (
                2.0 * p[f"eps_{kind}"] * p[f"D_{kind}"] / (w * area) * (s[a] - s[b])
            ),
            at=TISSUE,
        )


def thiele_modulus(
    shells: Shells, *, kint: float, antigen: float, eps: float, D: float, at_wall: float, KD: float
) -> float:
    """Thiele modulus of an antibody (phi squared): uptake over diffusion; far above 1 only perivascular cells are reached.

    phi^2 = kint*RK^2*(antigen/eps)/(D*(at_wall + KD))

    Args:
        shells: the geometry.
        kint: internalisation, 1/h.
        antigen: receptors per tissue, nM.
        eps: share of the tissue the antibody can reach.
        D: diffusivity, um^2/h.
        at_wall: antibody in the fluid at the capillary, nM.
        KD: nM.

    Source: Thurber & Wittrup 2008, 2012.
    """
    return kint * shells.faces[-1] ** 2 * (antigen / eps) / (D * (at_wall + KD))
