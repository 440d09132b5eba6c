"""What people solve such models with today, each used as its own documentation advises.

A peer is prepared for a batch once (its compilation is not timed) and then asked for the solution at a
tolerance; it returns states (L, M, n) at the save times of the first `lanes` lanes. All work on one core.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from her2pkpd.engine import Batch

Solver = Callable[[float, float], np.ndarray]
"""(rtol, atol) -> states; `atol` is relative to the scale of each species."""


def scales(batch: Batch) -> np.ndarray:
    """Scale of every species, (n,)."""
    return np.array([s.scale for s in batch.model.species])


def later_doses(batch: Batch) -> bool:
    """Whether anything but an infusion happens after the start."""
    seg = batch.segments
    return bool(np.any(seg.jump[:, 1:]) or np.any(seg.keep[:, 1:] != 1) or seg.reset.any())


def started(batch: Batch) -> Batch:
    """A batch whose doses at the very start are part of its initial state."""
    seg = batch.segments
    y = np.array(batch.initial)
    y[:, list(seg.inputs)] = seg.keep[:, 0] * y[:, list(seg.inputs)] + seg.jump[:, 0]
    if later_doses(batch):
        raise ValueError("this peer is given doses at the start and infusions only")
    return Batch(batch.model, batch.parameters, seg, batch.times, y)


def tiled(batch: Batch, lanes: int, copies: int) -> Batch:
    """The first lanes of a batch, several times over."""
    pick = np.tile(np.arange(lanes), copies)
    s = batch.segments
    segments = type(s)(s.boundaries[pick], s.inputs, s.jump[pick], s.keep[pick], s.infusion[pick], s.reset[pick])
    return Batch(batch.model, batch.parameters[pick], segments, batch.times[pick], batch.initial[pick])


def scipy_solver(batch: Batch, lanes: int, method: str) -> Solver:
    """`scipy.integrate.solve_ivp` with a right-hand side, and a Jacobian, compiled by JAX."""
    import jax
    from scipy.integrate import solve_ivp

    model, seg, scale = batch.model, batch.segments, scales(batch)
    dosed = list(seg.inputs)
    rate = jax.jit(model.vector_field)
    slope = jax.jit(jax.jacfwd(model.vector_field))

    def one(lane: int, rtol: float, atol: float) -> np.ndarray:
        p, y, rows = batch.parameters[lane], batch.initial[lane].copy(), []
        for k in range(seg.n_segments):
            start, stop = seg.boundaries[lane, k : k + 2]
            y[dosed] = seg.keep[lane, k] * y[dosed] + seg.jump[lane, k]
            source = np.zeros(model.n_species)
            source[dosed] = seg.infusion[lane, k]
            inside = batch.times[lane][(batch.times[lane] >= start) & (batch.times[lane] < stop)]
            jacobian = {"jac": lambda t, y: np.asarray(slope(y, p))} if method == "BDF" else {}
            found = solve_ivp(
                lambda t, y, source=source: np.asarray(rate(y, p)) + source,
                (start, stop), y, method, np.append(inside, stop), rtol=rtol, atol=atol * scale, **jacobian,
            )  # fmt: skip
            y = found.y[:, -1].copy()
            rows.append(found.y[:, :-1])
        rows.append(y[:, None][:, : int(batch.times[lane][-1] == seg.boundaries[lane, -1])])
        return np.concatenate(rows, axis=1).T

    return lambda rtol, atol: np.stack([one(lane, rtol, atol) for lane in range(lanes)])


def diffrax_solver(batch: Batch, lanes: int, method: str) -> Solver:
    """`diffrax.diffeqsolve` under `vmap` over `lanes` lanes, steps clipped at the ends of infusions."""
    import jax

    solve = jax.jit(jax.vmap(partial(diffrax_lane, batch, method), in_axes=(0, 0, 0, 0, 0, None, None)))
    batch = started(batch)
    s = batch.segments
    arrays = [x[:lanes] for x in (batch.parameters, batch.initial, s.boundaries, s.infusion, batch.times)]
    return lambda rtol, atol: np.asarray(solve(*arrays, rtol, atol))


def diffrax_lane(batch: Batch, method: str, p, y, boundaries, infusion, times, rtol, atol, adjoint=None):  # noqa: ANN001, ANN201, PLR0913, PLR0917
    """One lane, as JAX."""
    import diffrax
    import jax.numpy as jnp

    model, inputs, scale = batch.model, np.array(batch.segments.inputs), scales(batch)

    def field(t, z, args):  # noqa: ANN001, ANN202
        # Species in units of their scale, so that one absolute tolerance suits all.
        now = jnp.clip(jnp.searchsorted(boundaries, t, side="right") - 1, 0, infusion.shape[0] - 1)
        return (model.vector_field(z * scale, args).at[inputs].add(infusion[now])) / scale

    steps = diffrax.PIDController(rtol=rtol, atol=atol, pcoeff=0.3, icoeff=0.4)
    if len(boundaries) > 2:
        steps = diffrax.ClipStepSizeController(steps, jump_ts=boundaries[1:-1])
    extra = {} if adjoint is None else {"adjoint": adjoint}
    found = diffrax.diffeqsolve(
        diffrax.ODETerm(field), getattr(diffrax, method)(), boundaries[0], boundaries[-1], None, y / scale, p,
        saveat=diffrax.SaveAt(ts=times), stepsize_controller=steps, max_steps=200_000, throw=False, **extra,
    )  # fmt: skip
    return found.ys * scale


def roadrunner_solver(batch: Batch, lanes: int) -> Solver:
    """libRoadRunner (CVODE, right-hand side compiled by LLVM), dosing as SBML events, one runner a lane."""
    import roadrunner

    from her2pkpd.export import to_sbml
    from her2pkpd.export._identifiers import identifiers

    model = batch.model
    dosed = later_doses(batch) or batch.segments.infusion.any()
    initial = (batch if dosed else started(batch)).initial
    names = [f"[{i}]" for i in identifiers(model)["species"].values()]
    runners = []
    for lane in range(lanes):
        text = to_sbml(
            model, parameters=batch.parameters[lane], initial=initial[lane],
            segments=batch.segments if dosed else None, lane=lane,
        )  # fmt: skip
        runner = roadrunner.RoadRunner(text)
        runner.timeCourseSelections = names
        runner.integrator.maximum_num_steps = 1_000_000
        runners.append(runner)

    def solve(rtol: float, atol: float) -> np.ndarray:
        found = []
        for lane, runner in enumerate(runners):
            runner.resetToOrigin()
            runner.integrator.relative_tolerance = rtol
            runner.integrator.absolute_tolerance = atol
            found.append(np.array(runner.simulate(times=list(batch.times[lane]))))
        return np.stack(found)

    return solve
