"""Tangents of a Rosenbrock step, exact for the step as it is computed.

Differentiating W u_i = f(Y_i) + g + sum_j (c_ij / h) u_j along a direction that moves the state by s, a
parameter by one and the infusion by dg, with the step h held fixed, gives

    W du_i = f'(Y_i) dY_i + sum_j (c_ij / h) du_j + d(f'(y) u_i) s + (df/dp at Y_i) + d(f'(y) u_i)/dp + dg

With v_i = du_i + dY_i the part of f' that does not change along the step cancels against W:

    W v_i = (sum_j E_ij v_j + F_i s) / (gamma h) + (f'(Y_i) - f'(y)) dY_i + d(f'(y) u_i) s + ... + dg
    dY_i = P_i s + sum_j Q_ij v_j,     s_new = v_last (stiff accuracy)

so a direction costs, per stage, one solve with the factors at hand, one linear combination, and only the
nonlinear entries of the Jacobian; linear kinetics cost nothing.

    base    y, cst -> base                      what the stages share, once per step
    edges   arg, y, u, base, cst -> edge, seed  coefficients of the nonlinear part and of the parameters
    push    dcol, s, rhs, edge, lu, cst -> v    one stage of a direction
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from her2pkpd.engine.methods import Method
from her2pkpd.engine.program.calculus import LinearGraph, directional, jacobian, plus, substitute, times, transplant
from her2pkpd.engine.program.routine import Routine, Slot
from her2pkpd.engine.program.step import StepProgram


@dataclass(frozen=True)
class TangentTable:
    """Coefficients of a method's tangents, in the notation above.

    Attributes:
        e: (stages, stages), strictly lower triangular.
        f: (stages,).
        p: (stages,).
        q: (stages, stages), strictly lower triangular.
        dense: (rows, stages) weights of v in the tangent of the dense output rows.
        dense_s: (rows,) weights of s there.
    """

    e: np.ndarray
    f: np.ndarray
    p: np.ndarray
    q: np.ndarray
    dense: np.ndarray
    dense_s: np.ndarray


def tangent_table(method: Method) -> TangentTable:
    """The coefficients E, F, P and Q of a method."""
    one = np.eye(method.stages)
    inverse = np.linalg.inv(one + method.a_matrix)
    q = np.tril(inverse @ method.a_matrix, -1)
    p = inverse @ np.ones(method.stages)
    coupling = one - method.gamma * method.c_matrix
    e = np.tril(coupling @ q + method.gamma * method.c_matrix, -1)
    rows = np.array(method.dense).reshape(-1, method.stages)
    return TangentTable(*(_clean(x) for x in (e, coupling @ p, p, q, rows @ (one - q), -rows @ p)))


def _clean(x: np.ndarray) -> np.ndarray:
    """Rounding errors of structural zeros and ones removed."""
    x = np.where(np.abs(x) < 1e-12, 0.0, x)
    return np.where(np.abs(x - 1.0) < 1e-12, 1.0, x)


@dataclass(frozen=True)
class TangentProgram:
    """The routines of the tangents.

    Attributes:
        routines: base, edges, push.
        columns: species whose dY the nonlinear part needs; the other elements of ``dcol`` are never read.
        seeds: (direction, row) of each entry of array ``seed``, sorted.
    """

    routines: Mapping[str, Routine]
    columns: tuple[int, ...]
    seeds: tuple[tuple[int, int], ...]


def tangent_program(step: StepProgram, parameters: Sequence[int]) -> TangentProgram:
    """Routines for the tangents of a step.

    Args:
        step: the step's program; its workshop is extended.
        parameters: indices of the parameters that the leading directions move.
    """
    shop, build, arrays = step.shop, step.shop.build, step.shop.arrays
    for name in ("s", "dcol", "rhs"):
        shop.add_array(name, step.n)
    graph = _nonlinear_part(step)
    to_arg = dict(zip(arrays["y"], arrays["arg"], strict=True))
    at_y = [(t, k, w) for t, edges in sorted(graph.into.items()) for k, w in sorted(edges.items()) if k in graph.seeds]
    at_arg = substitute(build, [w for _, _, w in at_y], to_arg)
    change = {(t, k): build.apply("sub", new, old) for (t, k, old), new in zip(at_y, at_arg, strict=True)}
    bend = _bend(step, at_y)
    entries = _parameter_entries(step, parameters)
    weights = list(dict.fromkeys(w for w in [*change.values(), *bend.values()] if shop.varying(w)))
    # The directions see the weights as mere numbers, whatever expressions stand behind them.
    number = dict(zip(weights, shop.add_array("edge", len(weights)), strict=True))
    change, bend = ({key: number.get(w, w) for key, w in table.items()} for table in (change, bend))
    columns = tuple(k for k, node in enumerate(arrays["y"]) if any(key[1] == node for key in change))
    seeds = tuple(sorted(entries))
    outputs = [(node, Slot("edge", k)) for k, node in enumerate(weights)]
    outputs += [(entries[key], Slot("seed", k)) for k, key in enumerate(seeds)]
    shared = shop.early([node for node, _ in outputs], {*arrays["arg"], *arrays["u"]})
    base = {node: Slot("base", k) for k, node in enumerate(shared)}
    push = _push(step, graph, change, bend)
    routines = {
        "base": shop.routine("base", list(base.items())),
        "edges": shop.routine("edges", outputs, base),
        "push": shop.routine("push", push, step.factors.slots),
    }
    return TangentProgram(routines, columns, seeds)


def _nonlinear_part(step: StepProgram) -> LinearGraph:
    """The rates linearised into two layers: species to rates (varying) and rates to species (constant).

    Constant edges out of species are left out: the linear part of the rates needs no correction.
    """
    shop = step.shop
    graph = LinearGraph(shop.build, step.rates, shop.arrays["y"])

    def leaves_varying(vertex: int) -> bool:
        return any(shop.varying(graph.into[t][vertex]) for t in graph.out.get(vertex, ()))

    while candidates := [v for v in graph.inner() if leaves_varying(v)]:
        graph.eliminate(min(candidates, key=lambda v: (graph.cost(v), v)))
    graph.remove_edges(lambda source, weight: source in graph.seeds and not shop.varying(weight))

    def worth(vertex: int) -> bool:
        into, out = len(graph.into.get(vertex, ())), len(graph.out.get(vertex, ()))
        return into * out <= into + out - 1

    while candidates := [v for v in graph.inner() if worth(v)]:
        graph.eliminate(min(candidates, key=lambda v: (graph.cost(v), v)))
    return graph


def _bend(step: StepProgram, at_y: list[tuple[int, int, int]]) -> dict[tuple[int, int], int]:
    """Second derivatives contracted with u: d(sum_k g_tk(y) u_k)/dy, by target and species node."""
    build, arrays = step.shop.build, step.shop.arrays
    u = dict(zip(arrays["y"], arrays["u"], strict=True))
    zero = build.const(0.0)
    along: dict[int, int] = {}
    for target, species, weight in at_y:
        along[target] = plus(build, along.get(target, zero), times(build, weight, u[species]))
    targets = sorted(along)
    entries = jacobian(build, [along[t] for t in targets], arrays["y"])
    return {(targets[row], arrays["y"][column]): node for (row, column), node in entries.items()}


def _parameter_entries(step: StepProgram, parameters: Sequence[int]) -> dict[tuple[int, int], int]:
    """By (direction, species): what moving a parameter adds to the right-hand side of a stage."""
    build, arrays = step.shop.build, step.shop.arrays
    seeds = [arrays["par"][k] for k in parameters]
    later = transplant(build, step.flux, [*arrays["arg"], *arrays["par"]])
    along = directional(build, step.rates, dict(zip(arrays["y"], arrays["u"], strict=True)))
    found: dict[tuple[int, int], int] = {}
    for outputs in (later, along):
        for (row, k), node in jacobian(build, outputs, list(dict.fromkeys(seeds))).items():
            parameter = list(dict.fromkeys(parameters))[k]
            for direction in (d for d, x in enumerate(parameters) if x == parameter):
                key = (direction, row)
                found[key] = plus(build, found[key], node) if key in found else node
    return found


def _push(
    step: StepProgram,
    graph: LinearGraph,
    change: Mapping[tuple[int, int], int],
    bend: Mapping[tuple[int, int], int],
) -> list[tuple[int, Slot]]:
    """Outputs of the routine `push`."""
    build, arrays = step.shop.build, step.shop.arrays
    dcol = dict(zip(arrays["y"], arrays["dcol"], strict=True))
    s = dict(zip(arrays["y"], arrays["s"], strict=True))
    zero = build.const(0.0)
    value: dict[int, int] = {}

    def evaluate(target: int) -> int:
        if target not in value:
            total = zero
            for (_, k), weight in ((key, w) for key, w in change.items() if key[0] == target):
                total = plus(build, total, times(build, weight, dcol[k]))
            for (_, k), weight in ((key, w) for key, w in bend.items() if key[0] == target):
                total = plus(build, total, times(build, weight, s[k]))
            for source, weight in sorted(graph.into.get(target, {}).items()):
                if source not in graph.seeds:
                    total = plus(build, total, times(build, weight, evaluate(source)))
            value[target] = total
        return value[target]

    rhs = [plus(build, arrays["rhs"][i], evaluate(-1 - i)) for i in range(step.n)]
    return [(node, Slot("v", k)) for k, node in enumerate(step.solve(rhs))]
