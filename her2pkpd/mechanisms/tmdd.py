"""Target-mediated disposition of an antibody that binds a soluble target in plasma, such as shed HER2.

Full model, with free drug C, free target R and complex RC (nM, in the volume Vc):

dC/dt  = ... - kon*(C*R - KD*RC)
dR/dt  = kdeg*R0 - kdeg*R - kon*(C*R - KD*RC)
dRC/dt = kon*(C*R - KD*RC) - kint*RC

Quasi-steady state (QSS), with totals Ctot = C + RC and Rtot = R + RC:

C = (b + sqrt(b^2 + 4*Kss*Ctot))/2,   b = Ctot - Rtot - Kss,   Kss = KD + kint/kon,   RC = Rtot*C/(Kss + C)
dCtot/dt = ... - kint*RC
dRtot/dt = kdeg*R0 - kdeg*(Rtot - RC) - kint*RC

Distribution and elimination, the dots, act on free drug (`her2pkpd.mechanisms.disposition`). Both have the same
parameters and the same steady states; they differ only while binding relaxes. States are amounts (nmol).

Source: Mager & Jusko 2001 J Pharmacokinet Pharmacodyn 28:507; Gibiansky 2008 J Pharmacokinet Pharmacodyn 35:573.
"""

from typing import Any, Literal

import jax.numpy as jnp

from her2pkpd.mechanisms.disposition import AMOUNTS, Structure, central, disposition, plasma
from her2pkpd.model import Builder, Scope

SOLUBLE = "sHER2"
Approximation = Literal["full", "qss"]


def free_target(target: str) -> str:
    """Name of the quantity "free target in plasma"."""
    return f"plasma.{target}"


def complex_with(drug: str, target: str) -> str:
    """Name of the quantity "complex of drug and target in plasma"."""
    return f"plasma.{drug}:{target}"


def target_mediated(
    build: Builder,
    drug: str,
    structure: Structure | None = None,
    *,
    target: str = SOLUBLE,
    approximation: Approximation = "full",
) -> None:
    """Disposition of a drug together with its soluble target.

    Doses go to ``central.<drug>`` or ``depot.<drug>``. Outputs, all in nM: ``plasma.<drug>`` (free),
    ``plasma.<target>`` (free) and ``plasma.<drug>:<target>``.

    Args:
        build: the model; must hold what `disposition` needs, ``<drug>.kon`` (1/nM/h), ``<drug>.KD`` (nM), and
            ``<target>.R0`` (nM, without drug), ``<target>.kdeg`` and ``<target>.kint`` (1/h, of free target and of
            complex).
        drug: its name.
        structure: of the disposition; by default two compartments with linear clearance.
        target: name of the target.
        approximation: "full", or "qss", in which the central amount is free drug and complex together.
    """
    if approximation == "full":
        disposition(build, drug, structure)
        _full(build, drug, target)
    else:
        disposition(build, drug, structure, concentration=lambda s, p: _free(s, p, drug, target))
        _quasi_steady(build, drug, target)


def _full(build: Builder, drug: str, target: str) -> None:
    free, bound = f"central.{target}", f"central.{drug}:{target}"
    build.species(free, AMOUNTS, "nmol", initial=lambda p: p[f"{target}.R0"] * p[f"{drug}.Vc"])
    build.species(bound, AMOUNTS, "nmol")
    build.quantity(free_target(target), lambda s, p: s[free] / p[f"{drug}.Vc"], "nM", f"free {target} in plasma")
    build.quantity(
        complex_with(drug, target), lambda s, p: s[bound] / p[f"{drug}.Vc"], "nM", f"{drug} on {target} in plasma"
    )

    def binding(s: Scope, p: Scope) -> Any:
        net = s[plasma(drug)] * s[free_target(target)] - p[f"{drug}.KD"] * s[complex_with(drug, target)]
        return p[f"{drug}.kon"] * net * p[f"{drug}.Vc"]

    build.reaction(
        f"{drug} binds {target}",
        {central(drug): -1, free: -1, bound: 1},
        binding,
        equation=f"kon*([{plasma(drug)}]*[{free_target(target)}] - KD*[{complex_with(drug, target)}])*Vc",
    )
    _turnover(build, drug, target, free)
    _internalisation(build, drug, target, {bound: -1})


def _quasi_steady(build: Builder, drug: str, target: str) -> None:
    total = f"total.{target}"
    build.species(total, AMOUNTS, "nmol", initial=lambda p: p[f"{target}.R0"] * p[f"{drug}.Vc"])

    def bound(s: Scope, p: Scope) -> Any:
        c = s[plasma(drug)]
        return s[total] / p[f"{drug}.Vc"] * c / (_kss(p, drug, target) + c)

    build.quantity(complex_with(drug, target), bound, "nM", f"{drug} on {target} in plasma")
    build.quantity(
        free_target(target),
        lambda s, p: s[total] / p[f"{drug}.Vc"] - s[complex_with(drug, target)],
        "nM",
        f"free {target} in plasma",
    )
    _turnover(build, drug, target, total)
    _internalisation(build, drug, target, {central(drug): -1, total: -1})


def _turnover(build: Builder, drug: str, target: str, state: str) -> None:
    build.reaction(
        f"turnover of {target}",
        {state: 1},
        lambda s, p: p[f"{target}.kdeg"] * (p[f"{target}.R0"] - s[free_target(target)]) * p[f"{drug}.Vc"],
        equation=f"kdeg*(R0 - [{free_target(target)}])*Vc",
    )


def _internalisation(build: Builder, drug: str, target: str, change: dict[str, float]) -> None:
    build.reaction(
        f"elimination of {drug} on {target}",
        change,
        lambda s, p: p[f"{target}.kint"] * s[complex_with(drug, target)] * p[f"{drug}.Vc"],
        equation=f"kint*[{complex_with(drug, target)}]*Vc",
    )


def _kss(p: Scope, drug: str, target: str) -> Any:
    return p[f"{drug}.KD"] + p[f"{target}.kint"] / p[f"{drug}.kon"]


def _free(s: Scope, p: Scope, drug: str, target: str) -> Any:
    """Free drug from the totals: the positive root of the quadratic, without cancellation on either side."""
    drug_total, target_total = s[central(drug)] / p[f"{drug}.Vc"], s[f"total.{target}"] / p[f"{drug}.Vc"]
    kss = _kss(p, drug, target)
    b = drug_total - target_total - kss
    reach = jnp.sqrt(b * b + 4.0 * kss * drug_total) + jnp.abs(b)
    return jnp.where(b > 0.0, 0.5 * reach, 2.0 * kss * drug_total / reach)
