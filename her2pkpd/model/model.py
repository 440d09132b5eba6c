"""The finished model: vector field, initial values and outputs, all derived from one description."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from her2pkpd.errors import InputError, Problem
from her2pkpd.model.spec import Compartment, Parameter, Quantity, Reaction, Species
from her2pkpd.model.tape import Tape, evaluate
from her2pkpd.model.trace import trace


class _Parameters:
    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def __getitem__(self, name: str) -> Any:
        try:
            return self._values[name]
        except KeyError:
            raise KeyError(f"a rate asks for the parameter '{name}', which the model does not have") from None


class _State:
    """Species by value; quantities evaluated on first use and kept for the rest of one evaluation."""

    def __init__(self, model: "Model", values: Mapping[str, Any], parameters: _Parameters) -> None:
        self._values = dict(values)
        self._model = model
        self._parameters = parameters

    def __getitem__(self, name: str) -> Any:
        if name not in self._values:
            quantity = self._model.quantity_table.get(name)
            if quantity is None:
                raise KeyError(f"a rate asks for '{name}', which is neither a species nor a quantity of the model")
            self._values[name] = quantity.expression(self, self._parameters)
        return self._values[name]


@dataclass(frozen=True, eq=False)
class Model:
    """An immutable model; build one with `her2pkpd.model.Builder`.

    Attributes:
        name: its name.
        compartments, species, parameters, reactions, quantities: its parts, in the order they were added.

    Two models are equal when their content hash is.
    """

    name: str
    compartments: tuple[Compartment, ...]
    species: tuple[Species, ...]
    parameters: tuple[Parameter, ...]
    reactions: tuple[Reaction, ...]
    quantities: tuple[Quantity, ...]

    @cached_property
    def species_index(self) -> dict[str, int]:
        """Position of each species in the state vector."""
        return {s.name: i for i, s in enumerate(self.species)}

    @cached_property
    def parameter_index(self) -> dict[str, int]:
        """Position of each parameter in the parameter vector."""
        return {p.name: i for i, p in enumerate(self.parameters)}

    @cached_property
    def quantity_table(self) -> dict[str, Quantity]:
        """Quantities by name."""
        return {q.name: q for q in self.quantities}

    @cached_property
    def compartment_table(self) -> dict[str, Compartment]:
        """Compartments by name."""
        return {c.name: c for c in self.compartments}

    @cached_property
    def held(self) -> dict[int, str]:
        """Parameters that a state stands for, by the state's position."""
        return {i: s.holds for i, s in enumerate(self.species) if s.holds}

    @property
    def n_species(self) -> int:
        """Number of state variables."""
        return len(self.species)

    @property
    def n_parameters(self) -> int:
        """Number of parameters."""
        return len(self.parameters)

    def scopes(self, y: Sequence[Any], p: Sequence[Any]) -> tuple[Any, Any]:
        """The ``(s, p)`` a rate sees, for scalar state and parameter values in model order."""
        values = dict(zip(self.parameter_index, p, strict=True))
        values |= {name: y[i] for i, name in self.held.items()}
        parameters = _Parameters(values)
        return _State(self, dict(zip(self.species_index, y, strict=True)), parameters), parameters

    def rate_scalars(self, y: Sequence[Any], p: Sequence[Any]) -> list[Any]:
        """Rate of every reaction (events per hour, in the unit of its compartment)."""
        s, q = self.scopes(y, p)
        return [r.rate(s, q) for r in self.reactions]

    def flux_scalars(self, y: Sequence[Any], p: Sequence[Any]) -> list[Any]:
        """dy/dt of every species: stoichiometry times rates, times the ratio of volumes where they differ."""
        s, q = self.scopes(y, p)
        dy: list[Any] = [0.0] * self.n_species
        for reaction in self.reactions:
            rate = reaction.rate(s, q)
            for name, coefficient in reaction.stoichiometry.items():
                flux = rate * self._coefficient(coefficient, q) * self._volume_ratio(reaction, name, s, q)
                dy[self.species_index[name]] = dy[self.species_index[name]] + flux
        return dy

    @staticmethod
    def _coefficient(coefficient: float | str, p: Any) -> Any:
        if isinstance(coefficient, str):
            return -p[coefficient[1:]] if coefficient.startswith("-") else p[coefficient]
        return coefficient

    def _volume_ratio(self, reaction: Reaction, species: str, s: Any, p: Any) -> Any:
        home = self.species[self.species_index[species]].compartment
        if home is None or reaction.at is None or home == reaction.at:
            return 1.0
        return self.compartment_table[reaction.at].volume(s, p) / self.compartment_table[home].volume(s, p)

    def initial_scalars(self, p: Sequence[Any]) -> list[Any]:
        """Initial value of every species."""
        q = _Parameters(dict(zip(self.parameter_index, p, strict=True)))
        return [x.initial(q) if callable(x.initial) else x.initial for x in self.species]

    def output_scalars(self, names: Sequence[str], y: Sequence[Any], p: Sequence[Any]) -> list[Any]:
        """Values of the named species and quantities."""
        s, _ = self.scopes(y, p)
        return [s[name] for name in names]

    def vector_field(self, y: Any, p: Any) -> Any:
        """dy/dt as a JAX array; `y` of shape (n_species,), `p` of shape (n_parameters,)."""
        dy = self.flux_scalars([y[i] for i in range(self.n_species)], [p[i] for i in range(self.n_parameters)])
        return jnp.stack([jnp.asarray(d, dtype=jnp.result_type(y)) for d in dy])

    @cached_property
    def flux_tape(self) -> Tape:
        """Tape of dy/dt; inputs are the species, then the parameters."""
        n = self.n_species
        return trace(lambda *x: self.flux_scalars(x[:n], x[n:]), n + self.n_parameters)

    @cached_property
    def initial_tape(self) -> Tape:
        """Tape of the initial values; inputs are the parameters."""
        return trace(lambda *p: [jnp.asarray(v, dtype=float) for v in self.initial_scalars(p)], self.n_parameters)

    @cached_property
    def _output_tapes(self) -> dict[tuple[str, ...], Tape]:
        return {}

    def output_tape(self, names: Sequence[str]) -> Tape:
        """Tape of named species and quantities, traced once; inputs are the species, then the parameters."""
        self.check_outputs(names)
        key, n = tuple(names), self.n_species
        if key not in self._output_tapes:
            self._output_tapes[key] = trace(
                lambda *x: [jnp.asarray(v, dtype=float) for v in self.output_scalars(key, x[:n], x[n:])],
                n + self.n_parameters,
            )
        return self._output_tapes[key]

    def output_gradient_tape(self, names: Sequence[str], parameters: Sequence[int]) -> Tape:
        """Tape of named outputs with their partial derivatives.

        Args:
            names: species and quantities.
            parameters: indices of the parameters to differentiate by.

        Returns:
            Tape whose outputs are, per name: its value, its derivatives by every species, then by `parameters`.
        """
        self.check_outputs(names)
        n, chosen = self.n_species, tuple(parameters)

        def one(name: str, x: Sequence[Any]) -> list[Any]:
            def value(y: Sequence[Any], q: Sequence[Any]) -> Any:
                p = list(x[n:])
                for index, replacement in zip(chosen, q, strict=True):
                    p[index] = replacement
                return jnp.asarray(self.output_scalars([name], y, p)[0], dtype=float)

            at = (list(x[:n]), [x[n + i] for i in chosen])
            slopes = jax.grad(value, argnums=(0, 1))(*at)
            return [value(*at), *slopes[0], *slopes[1]]

        return trace(lambda *x: [v for name in names for v in one(name, x)], n + self.n_parameters)

    def check_outputs(self, names: Sequence[str]) -> None:
        """Raise `InputError` naming every output the model does not have, and those it does."""
        unknown = [n for n in names if n not in self.species_index and n not in self.quantity_table]
        if unknown:
            have = ", ".join([*self.quantity_table, *self.species_index])
            raise InputError([Problem(f"unknown output '{n}'", f"Available: {have}.") for n in unknown])

    def default_parameters(self) -> np.ndarray:
        """Default parameter vector, shape (n_parameters,), canonical units."""
        return np.array([p.value for p in self.parameters])

    def parameter_vector(self, values: Mapping[str, float]) -> np.ndarray:
        """Defaults with some parameters replaced, shape (n_parameters,).

        Raises:
            InputError: naming every parameter the model does not have.
        """
        unknown = [n for n in values if n not in self.parameter_index]
        if unknown:
            have = ", ".join(self.parameter_index)
            raise InputError([Problem(f"unknown parameter '{n}'", f"Available: {have}.") for n in unknown])
        vector = self.default_parameters()
        for name, value in values.items():
            vector[self.parameter_index[name]] = value
        return vector

    def initial(self, p: np.ndarray) -> np.ndarray:
        """Initial state in NumPy; `p` of shape (..., n_parameters), result (..., n_species)."""
        p = np.asarray(p, dtype=float)
        columns = evaluate(self.initial_tape, [p[..., i] for i in range(self.n_parameters)])
        return np.stack([np.broadcast_to(c, p.shape[:-1]) for c in columns], axis=-1).astype(float)

    def outputs(self, names: Sequence[str], y: np.ndarray, p: np.ndarray) -> np.ndarray:
        """Named outputs in NumPy.

        Args:
            names: species and quantities.
            y: states, shape (..., n_species).
            p: parameters, broadcastable to (..., n_parameters).

        Returns:
            Shape (..., len(names)).

        Raises:
            InputError: as `check_outputs`.
        """
        tape = self.output_tape(names)
        columns = evaluate(tape, [*np.moveaxis(y, -1, 0), *np.moveaxis(p, -1, 0)])
        shape = np.broadcast_shapes(y.shape[:-1], p.shape[:-1])
        return np.stack([np.broadcast_to(c, shape) for c in columns], axis=-1).astype(float)

    @cached_property
    def hash(self) -> str:
        """Content hash: names, units, defaults and the traced programs. Keys compiled code and results."""
        names = list(self.quantity_table)
        text = json.dumps(
            {
                "species": [(s.name, s.compartment, s.unit, s.scale) for s in self.species],
                "parameters": [(p.name, p.value, p.unit) for p in self.parameters],
                "quantities": [(q.name, q.unit) for q in self.quantities],
                "flux": self.flux_tape.digest(),
                "initial": self.initial_tape.digest(),
                "outputs": self.output_tape(names).digest(),
            }
        )
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def __hash__(self) -> int:
        return hash(self.hash)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Model) and self.hash == other.hash

    def __repr__(self) -> str:
        counts = f"{self.n_species} species, {len(self.reactions)} reactions, {self.n_parameters} parameters"
        return f"Model({self.name!r}: {counts}, hash {self.hash})"
