"""Parametric dose-response surfaces, written as JAX expressions of one well.

MuSyC (Meyer 2019 Cell Syst 8:97; Wooten 2021 Nat Commun 12:4607): every drug binds on its own, and a cell in which a
set of drugs has acted responds with that set's effect. Steady state of the states' exchange; potency (alpha: how the
drugs present change the effective dose of another), efficacy (E of the sets; beta) and cooperativity (gamma).

BRAID (Twarog 2016 Sci Rep 6:25523): two Hill curves joined by one interaction kappa (> 0 synergy, > -2 always), with
delta, the steepness of the combination, 1 unless asked for.

Effective dose model (Zimmer 2016 PNAS 113:10442): each drug changes the effective dose of the other by up to 1 + a
(a < 0 synergy; a = 0 is Bliss), with both drugs able to reach full effect.

Doses enter as logarithms, `NO_DOSE` for none, and positive parameters as logarithms, so that every power is an
exponential and no derivative is undefined at dose zero.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import combinations
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from her2pkpd.model.tape import Tape, evaluate
from her2pkpd.model.trace import trace

NO_DOSE = -1e4
"""Logarithm that stands for a dose of zero: its exponential is exactly zero, and so is every product with it."""

EFFECT_BOUNDS = (-3.0, 4.0)
"""Bounds of effects on the survival scale: far beyond any response, so that they never shape a fit."""

SLOPE_BOUNDS = (np.log(0.1), np.log(20.0))
INTERACTION_BOUNDS = (np.log(1e-4), np.log(1e4))
COOPERATION_BOUNDS = (np.log(1e-2), np.log(1e2))


@dataclass(frozen=True)
class Parameter:
    """A parameter of a surface.

    Attributes:
        name: as reported.
        kind: "effect", "slope", "potency", "interaction", "cooperation", "fraction", "kappa" or "shift".
        start: coordinate to start from where nothing better is known.
    """

    name: str
    kind: str
    start: float = 0.0

    @property
    def logarithmic(self) -> bool:
        """Whether its coordinate is the logarithm."""
        return self.kind in ("slope", "potency", "interaction", "cooperation")


Function = Callable[[Sequence[Any], Sequence[Any]], Any]


@dataclass(frozen=True)
class Surface:
    """A surface: its parameters, the response of a well, and what is reported beside the parameters.

    Attributes:
        name: as reported.
        n_drugs: number of drugs.
        parameters: in the order of the coordinates.
        response: (inputs, coordinates) to the response; inputs are log doses, then any further numbers of the well.
        derived: further quantities by name, each a function of the coordinates.
        hidden: parameters that are a means to an end and are not reported.
        n_inputs: numbers per well.
    """

    name: str
    n_drugs: int
    parameters: tuple[Parameter, ...]
    response: Function = field(repr=False)
    derived: tuple[tuple[str, Callable[[Sequence[Any]], Any]], ...] = ()
    hidden: tuple[str, ...] = ()
    n_inputs: int = 0

    @property
    def inputs(self) -> int:
        """Numbers that describe one well."""
        return self.n_inputs or self.n_drugs

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the coordinates."""
        return tuple(p.name for p in self.parameters)

    @property
    def reported(self) -> tuple[str, ...]:
        """Names of everything reported: parameters that are not hidden, then derived quantities."""
        return (*(n for n in self.names if n not in self.hidden), *(n for n, _ in self.derived))

    @property
    def logarithmic(self) -> np.ndarray:
        """(p,) which coordinates are logarithms."""
        return np.array([p.logarithmic for p in self.parameters])

    def natural(self, u: np.ndarray) -> np.ndarray:
        """Natural values of coordinates (..., p)."""
        return np.where(self.logarithmic, np.exp(np.where(self.logarithmic, u, 0.0)), u)

    def coordinates(self, values: np.ndarray) -> np.ndarray:
        """Coordinates of natural values (..., p)."""
        log = self.logarithmic
        return np.where(log, np.log(np.where(log, values, 1.0)), values)

    def __call__(self, inputs: np.ndarray, u: np.ndarray) -> np.ndarray:
        """Response at wells `inputs` (..., n, inputs) for coordinates `u` (..., p): (..., n)."""
        return _columns(tape(self, "value"), inputs, u, 1)[..., 0]

    def with_gradient(self, inputs: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Response (..., n) and its derivatives by the coordinates (..., n, p)."""
        block = _columns(tape(self, "gradient"), inputs, u, 1 + len(self.parameters))
        return block[..., 0], block[..., 1:]

    def dose_slopes(self, inputs: np.ndarray, u: np.ndarray) -> np.ndarray:
        """Derivatives of the response by the log doses, (..., n, inputs)."""
        return _columns(tape(self, "slopes"), inputs, u, self.inputs)

    def quantities(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates and derived quantities (S, q), in the order of `reported`, and their gradients (S, q, p).

        Logarithmic parameters appear as logarithms.
        """
        q, p = len(self.reported), len(self.parameters)
        columns = evaluate(_quantity_tape(self), list(np.moveaxis(u, -1, 0)))
        block = np.stack([np.broadcast_to(c, u.shape[:-1]) for c in columns], axis=-1).astype(float)
        block = block.reshape(*u.shape[:-1], q, 1 + p)
        return block[..., 0], block[..., 1:]

    def reported_values(self, u: Sequence[Any]) -> list[Any]:
        """Everything reported, in order, from coordinates; logarithmic parameters as logarithms."""
        shown = [x for x, name in zip(u, self.names, strict=True) if name not in self.hidden]
        return [*shown, *(f(u) for _, f in self.derived)]

    def is_logarithmic(self, reported: str) -> bool:
        """Whether `quantities` gives this one as a logarithm."""
        return any(p.name == reported and p.logarithmic for p in self.parameters)


def _columns(program: Tape, inputs: np.ndarray, u: np.ndarray, n_outputs: int) -> np.ndarray:
    shape = np.broadcast_shapes(inputs.shape[:-1], (*u.shape[:-1], 1))
    values = evaluate(program, [*np.moveaxis(inputs, -1, 0), *np.moveaxis(u[..., None, :], -1, 0)])
    block = np.empty((*shape, n_outputs))
    for k, value in enumerate(values):
        block[..., k] = value
    return block


@lru_cache(maxsize=64)
def tape(surface: Surface, what: str) -> Tape:
    """A surface as a scalar program of its inputs and coordinates.

    Args:
        surface: the surface.
        what: "value"; "gradient", the value and its derivatives by the coordinates; or "slopes", those by the inputs.
    """
    n, p = surface.inputs, len(surface.parameters)

    def value(inputs: Sequence[Any], u: Sequence[Any]) -> Any:
        return jnp.asarray(surface.response(inputs, u), dtype=float)

    def outputs(*x: Any) -> list[Any]:
        at = (list(x[:n]), list(x[n:]))
        if what == "value":
            return [value(*at)]
        if what == "slopes":
            return list(jax.grad(value, argnums=0)(*at))
        return [value(*at), *jax.grad(value, argnums=1)(*at)]

    return trace(outputs, n + p)


@lru_cache(maxsize=64)
def _quantity_tape(surface: Surface) -> Tape:
    def outputs(*u: Any) -> list[Any]:
        rows = []
        for k in range(len(surface.reported)):
            wrapped = lambda x, k=k: jnp.asarray(surface.reported_values(x)[k], dtype=float)  # noqa: E731
            rows += [wrapped(list(u)), *jax.grad(wrapped)(list(u))]
        return rows

    return trace(outputs, len(surface.parameters))


def hill_part(log_dose: Any, log_potency: Any, log_slope: Any) -> Any:
    """(d/C)^h from logarithms."""
    return jnp.exp(jnp.exp(log_slope) * (log_dose - log_potency))


def _subset_name(members: Sequence[int]) -> str:
    return "".join(str(m + 1) for m in members)


@lru_cache(maxsize=16)
def musyc(n_drugs: int = 2, *, cooperativity: bool = True) -> Surface:
    """MuSyC for any number of drugs.

    Args:
        n_drugs: two or more.
        cooperativity: whether gamma is estimated; otherwise it is 1.

    Returns:
        The `Surface`. Parameters: ``E0``; ``E1`` ... of single drugs; for two drugs ``E3`` is the effect of both, for
        more ``E12``, ``E123`` ... are those of the sets; ``h1`` ..., ``C1`` ...; ``alpha12``: drug 1 changes the
        effective dose of drug 2 (above 1 potentiates), ``alpha12_3``: drugs 1 and 2 that of drug 3; gamma likewise.
        For two drugs ``beta`` is the gain in efficacy over the stronger drug, relative to that drug's.
    """
    sets = [c for size in range(n_drugs + 1) for c in combinations(range(n_drugs), size)]
    effect = {c: _effect_name(c, n_drugs) for c in sets}
    edges = [(c, k) for c in sets if c for k in range(n_drugs) if k not in c]
    edge = {e: f"{_subset_name(e[0])}{'_' if len(e[0]) > 1 else ''}{e[1] + 1}" for e in edges}
    kinds = [("alpha", "interaction"), *([("gamma", "cooperation")] if cooperativity else [])]
    parameters = (
        *(Parameter(effect[c], "effect") for c in sets),
        *(Parameter(f"h{k + 1}", "slope") for k in range(n_drugs)),
        *(Parameter(f"C{k + 1}", "potency") for k in range(n_drugs)),
        *(Parameter(f"{word}{edge[e]}", kind) for word, kind in kinds for e in edges),
    )
    at = {p.name: i for i, p in enumerate(parameters)}

    def rates(x: Sequence[Any], u: Sequence[Any]) -> dict[tuple[int, int], Any]:
        q: dict[tuple[int, int], Any] = {}
        for c in sets:
            for k in set(range(n_drugs)) - set(c):
                low = sum(1 << m for m in c)
                exponent = jnp.exp(u[at[f"h{k + 1}"]]) * (x[k] - u[at[f"C{k + 1}"]])
                if c:
                    name = edge[c, k]
                    exponent = exponent + jnp.exp(u[at[f"h{k + 1}"]]) * u[at[f"alpha{name}"]]
                    exponent = exponent * jnp.exp(u[at[f"gamma{name}"]]) if cooperativity else exponent
                q[low, low | 1 << k] = jnp.exp(exponent)
                q[low | 1 << k, low] = 1.0
        return q

    def response(x: Sequence[Any], u: Sequence[Any]) -> Any:
        part = _stationary(rates(x, u), 1 << n_drugs)
        return sum(part[sum(1 << m for m in c)] * u[at[effect[c]]] for c in sets) / sum(part)

    def beta(u: Sequence[Any]) -> Any:
        strong = jnp.minimum(u[at["E1"]], u[at["E2"]])
        return (strong - u[at["E3"]]) / (u[at["E0"]] - strong)

    name = "musyc_gamma" if cooperativity else "musyc"
    return Surface(name, n_drugs, parameters, response, (("beta", beta),) if n_drugs == 2 else ())


def _effect_name(members: tuple[int, ...], n_drugs: int) -> str:
    if not members:
        return "E0"
    return "E3" if n_drugs == 2 and len(members) == 2 else f"E{_subset_name(members)}"


def _stationary(q: dict[tuple[int, int], Any], n: int) -> list[Any]:
    """Stationary weights of a Markov chain, by state reduction without subtractions.

    Source: Grassmann, Taksar and Heyman 1985 Oper Res 33:1107.
    """
    q = dict(q)
    for last in range(n - 1, 0, -1):
        out = sum(q[last, j] for j in range(last) if (last, j) in q)
        for i in range(last):
            if (i, last) not in q:
                continue
            q[i, last] = q[i, last] / out
            for j in range(last):
                if j != i and (last, j) in q:
                    q[i, j] = q.get((i, j), 0.0) + q[i, last] * q[last, j]
    part: list[Any] = [1.0]
    for state in range(1, n):
        part.append(sum(part[i] * q[i, state] for i in range(state) if (i, state) in q))
    return part


@lru_cache(maxsize=4)
def braid(*, steepness: bool = False) -> Surface:
    """BRAID of two drugs.

    The strongest effect E3 is reached by the stronger drug or lies beyond it: coordinates are the parts f1 and f2 of
    E0 - E3 that each drug reaches alone; E1 and E2 are reported.

    Args:
        steepness: whether delta is estimated; otherwise it is 1.
    """
    names = (
        Parameter("E0", "effect"), Parameter("E3", "effect"), Parameter("f1", "fraction"), Parameter("f2", "fraction"),
        Parameter("h1", "slope"), Parameter("h2", "slope"), Parameter("C1", "potency"), Parameter("C2", "potency"),
        Parameter("kappa", "kappa"), *([Parameter("delta", "cooperation")] if steepness else []),
    )  # fmt: skip

    def response(x: Sequence[Any], u: Sequence[Any]) -> Any:
        e0, e3, f1, f2, h1, h2, c1, c2, kappa = u[:9]
        power = jnp.exp(0.5 * (h1 + h2) + (u[9] if steepness else 0.0))

        def log_share(k: int, f: Any, c: Any, h: Any) -> Any:
            # log of f*x/(1 + (1 - f)*x), x = (d/C)^h
            log_x = jnp.exp(h) * (x[k] - c)
            return jnp.log(f) + log_x - jnp.log1p((1.0 - f) * jnp.exp(log_x))

        a, b = (log_share(k, f, c, h) / power for k, f, c, h in ((0, f1, c1, h1), (1, f2, c2, h2)))
        joint = jnp.exp(a) + jnp.exp(b) + kappa * jnp.exp(0.5 * (a + b))
        safe = jnp.where(joint > 0.0, joint, 1.0)
        part = jnp.where(joint > 0.0, jnp.exp(power * jnp.log(safe)), 0.0)
        return e0 + (e3 - e0) * part / (1.0 + part)

    derived = (
        ("E1", lambda u: u[0] + u[2] * (u[1] - u[0])),
        ("E2", lambda u: u[0] + u[3] * (u[1] - u[0])),
    )
    return Surface("braid_delta" if steepness else "braid", 2, names, response, derived, ("f1", "f2"))


@lru_cache(maxsize=1)
def zimmer() -> Surface:
    """The effective dose model of two drugs: ``h1, h2, C1, C2, a12, a21``.

    ``a12`` is what drug 2 does to the effective dose of drug 1: d1' = d1/(1 + a12*d2'/(d2' + C2)). The two equations
    are one quadratic in d1'.
    """
    names = (
        Parameter("h1", "slope"), Parameter("h2", "slope"), Parameter("C1", "potency"), Parameter("C2", "potency"),
        Parameter("a12", "shift"), Parameter("a21", "shift"),
    )  # fmt: skip

    def response(x: Sequence[Any], u: Sequence[Any]) -> Any:
        h1, h2, c1, c2, a12, a21 = u
        # Doses in units of C; what is left of either when the other has acted.
        d1, d2 = jnp.exp(x[0] - c1), jnp.exp(x[1] - c2)
        a = d2 * (1.0 + a12) + (1.0 + a21)
        half = 0.5 * (d2 * (1.0 + a12) + 1.0 - d1 * (d2 + 1.0 + a21))
        c = d1 * (d2 + 1.0)
        root = jnp.sqrt(half * half + a * c)
        # The positive root of a*s^2 + 2*half*s - c, written so that neither sign of half cancels.
        safe = jnp.where(half > 0.0, half + root, 1.0)
        own1 = jnp.where(half > 0.0, c / safe, (root - half) / a)
        lost1, lost2 = own1 / d1_or_one(d1), 1.0 / (1.0 + a21 * own1 / (own1 + 1.0))
        log1 = x[0] - c1 + jnp.log(jnp.where(d1 > 0.0, lost1, 1.0))
        log2 = x[1] - c2 + jnp.log(lost2)
        return 1.0 / (1.0 + jnp.exp(jnp.exp(h1) * log1)) / (1.0 + jnp.exp(jnp.exp(h2) * log2))

    def d1_or_one(d1: Any) -> Any:
        return jnp.where(d1 > 0.0, d1, 1.0)

    return Surface("zimmer", 2, names, response)


@lru_cache(maxsize=8)
def single_agents(n_drugs: int = 2) -> Surface:
    """Hill curves of single drugs that share their untreated response E0; for wells with one drug at most."""
    names = (
        Parameter("E0", "effect"),
        *(
            Parameter(f"{word}{k + 1}", kind)
            for word, kind in (("E", "plateau"), ("h", "slope"), ("C", "potency"))
            for k in range(n_drugs)
        ),
    )

    def response(x: Sequence[Any], u: Sequence[Any]) -> Any:
        total = u[0]
        for k in range(n_drugs):
            e, h, c = (u[1 + j * n_drugs + k] for j in range(3))
            total = total + (e - u[0]) * jax.nn.sigmoid(jnp.exp(h) * (x[k] - c))
        return total

    return Surface("single_agents", n_drugs, names, response)


@lru_cache(maxsize=1)
def slice_curve() -> Surface:
    """A Hill curve of one drug from a given baseline (second input): ``E1, h1, C1``."""
    names = (Parameter("E1", "plateau"), Parameter("h1", "slope"), Parameter("C1", "potency"))

    def response(x: Sequence[Any], u: Sequence[Any]) -> Any:
        return x[1] + (u[0] - x[1]) * jax.nn.sigmoid(jnp.exp(u[1]) * (x[0] - u[2]))

    return Surface("slice", 1, names, response, n_inputs=2)
