"""Where many trajectories end: each goes from its own start until an attractor has caught it.

Every device works on starts of its own in a loop of its own. Its lanes step side by side, by
Dormand and Prince's pair with a step size each; a lane that has arrived takes the next start, so
that nobody waits for anybody. Where a start arrives depends neither on the others nor on how many
devices there are.

    fixed point    d' M d < 1 with d = x - x*: an ellipsoid that no trajectory leaves
    limit cycle    nearer to it than `TUBE`, throughout a period
    far away       beyond `FAR` boxes: it diverges

Source: Hairer, Norsett & Wanner (1993), Solving Ordinary Differential Equations I, sec. II.4.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh
from jax.sharding import PartitionSpec as P
from jaxtyping import Float64, Int64

from distdyn._jax import varying_over
from distdyn.analysis.field import Flat
from distdyn.core.integrators import DormandPrince

UNDECIDED, DIVERGED = -1, -2
RTOL, ATOL = 1e-8, 1e-10  # of each step; atol in units
TUBE = 2e-3  # of the unit
FAR = 1e3  # units
WIDTH = 128  # lanes of a device, whatever there is to do
TOGETHER = 8  # steps between two looks at where lanes are
MOST_STEPS = 200_000
POINT = "point"  # the axis of the mesh

_TABLEAU = DormandPrince().tableau


class Traps(NamedTuple):
    """What catches trajectories, all in units of the variables."""

    centers: Float64[np.ndarray, "a n"]  # of ellipsoids
    forms: Float64[np.ndarray, "a n n"]  # NaN: no ellipsoid
    orbits: Float64[np.ndarray, "b m n"]  # closed lines
    periods: Float64[np.ndarray, "b"]  # infinite: no orbit
    middle: Float64[np.ndarray, "n"]  # from which it is far


class Arrivals(NamedTuple):
    """Where the trajectories ended."""

    label: Int64[np.ndarray, "m"]  # of the trap: first ellipsoids, then orbits; or < 0
    x: Float64[np.ndarray, "m n"]


class _Lane(NamedTuple):
    u: Any  # the state, in units
    t: Any
    h: Any  # the next step
    since: Any  # [b]: when it came close to each orbit
    start: Any  # which it is; beyond the last: none
    steps: Any


def arrivals(
    flat: Flat,
    starts: Float64[np.ndarray, "m n"],
    unit: Float64[np.ndarray, "n"],
    traps: Traps,
    duration: float,
    devices: Sequence[Any],
) -> Arrivals:
    """Follow every start until it is caught, for at most `duration` ms.

    Args:
        flat: a flow.
        starts: states, a row each.
        unit: by how much the variables change.
        traps: of the attractors that are known.
        duration: ms, after which a trajectory is `UNDECIDED`.
        devices: that share the starts.
    """
    each = -(-len(starts) // (len(devices) * WIDTH)) * WIDTH
    room = np.repeat(starts[:1], each * len(devices) - len(starts), axis=0)
    u = np.concatenate([starts, room]) / unit
    mesh = Mesh(np.array(devices), (POINT,), axis_types=(AxisType.Auto,))
    with jax.enable_x64(True):
        label, end = _arrived(flat.f, mesh, u, flat.p0, unit, traps, float(duration))
    return Arrivals(np.asarray(label)[: len(starts)], np.asarray(end)[: len(starts)] * unit)


@functools.partial(jax.jit, static_argnames=("f", "mesh"))
def _arrived(f: Any, mesh: Mesh, u: Any, p: Any, unit: Any, traps: Traps, duration: Any) -> Any:
    split = P(POINT)
    return jax.shard_map(
        functools.partial(_queue, f), mesh=mesh, in_specs=(split, P(), P(), P(), P()),
        out_specs=(split, split), check_vma=True,
    )(u, p, unit, traps, duration)  # fmt: skip


def _queue(f: Any, starts: Any, p: Any, unit: Any, traps: Traps, duration: Any) -> Any:
    """All trajectories of a device: where each is caught, and its last state."""
    count = len(starts)

    def field(u: Any) -> Any:
        return f(u * unit, p) / unit

    def fresh(u: Any, start: Any) -> _Lane:
        size = jnp.linalg.norm(field(u))
        h = jnp.minimum(1e-3 / jnp.maximum(size, 1e-300), 1e-3 * duration)
        never = jnp.full(len(traps.periods), jnp.inf)
        return _Lane(u, 0.0 * h, h, never + 0.0 * h, start, jnp.zeros_like(start))

    def move(lane: _Lane) -> tuple[_Lane, Any]:
        lane = jax.lax.fori_loop(0, TOGETHER, lambda _, lane: _step(field, lane), lane)
        return _seen(traps, duration, lane)

    def advance(carry: Any) -> Any:
        lanes, following, (label, end) = carry
        lanes, seen = jax.vmap(move)(lanes)
        is_done = seen > _UNDER_WAY
        place = jnp.where(is_done, lanes.start, count)  # beyond the end: not written
        label = label.at[place].set(seen, mode="drop")
        end = end.at[place].set(lanes.u, mode="drop")
        new = jnp.where(is_done, following + jnp.cumsum(is_done) - 1, lanes.start)
        others = jax.vmap(fresh)(starts[jnp.minimum(new, count - 1)], new)
        lanes = jax.tree.map(lambda a, b: jax.vmap(jnp.where)(is_done, a, b), others, lanes)
        return lanes, following + is_done.sum(), (label, end)

    out = jnp.full(count, UNDECIDED), jnp.zeros_like(starts)
    carry = jax.vmap(fresh)(starts[:WIDTH], jnp.arange(WIDTH)), jnp.int64(WIDTH), out
    carry = jax.tree.map(lambda a: varying_over(a, (POINT,)), carry)
    *_, out = jax.lax.while_loop(lambda c: (c[0].start < count).any(), advance, carry)
    return out


def _step(field: Any, lane: _Lane) -> _Lane:
    """One step, or a shorter one to be tried next."""
    stages: list[Any] = []
    for row in _TABLEAU.a:
        u = lane.u + lane.h * sum((a * k for a, k in zip(row, stages, strict=True)), 0.0)
        stages.append(field(u))
    after = lane.u + lane.h * sum(b * k for b, k in zip(_TABLEAU.b, stages, strict=True))
    assert _TABLEAU.lower is not None
    weights = [b - c for b, c in zip(_TABLEAU.b, _TABLEAU.lower, strict=True)]
    difference = lane.h * sum(w * k for w, k in zip(weights, stages, strict=True))
    scale = ATOL + RTOL * jnp.maximum(jnp.abs(lane.u), jnp.abs(after))
    error = jnp.abs(difference / scale).max()
    error = jnp.where(jnp.isfinite(error) & jnp.isfinite(after).all(), error, 1e10)
    is_taken = error <= 1.0
    factor = jnp.clip(0.9 * jnp.maximum(error, 1e-10) ** -0.2, 0.2, 5.0)
    return lane._replace(
        u=jnp.where(is_taken, after, lane.u),
        t=jnp.where(is_taken, lane.t + lane.h, lane.t),
        h=lane.h * factor,
        steps=lane.steps + 1,
    )


_UNDER_WAY = -3


def _seen(traps: Traps, duration: Any, lane: _Lane) -> tuple[_Lane, Any]:
    """Where a lane is: the trap that has caught it, or why it ends, or that it does not."""
    away = lane.u - traps.centers
    is_in = jnp.einsum("ai,aij,aj->a", away, traps.forms, away) < 1.0
    is_close = jax.vmap(functools.partial(_distance, lane.u))(traps.orbits) < TUBE
    since = jnp.where(is_close, jnp.minimum(lane.since, lane.t), jnp.inf)
    caught = jnp.concatenate([is_in, lane.t - since >= traps.periods])
    is_far = ~(jnp.abs(lane.u - traps.middle).max() < FAR)
    is_late = (lane.t >= duration) | (lane.steps >= MOST_STEPS)
    seen = jnp.where(is_late, UNDECIDED, _UNDER_WAY)
    seen = jnp.where(is_far, DIVERGED, seen)
    seen = jnp.where(caught.any(), jnp.argmax(caught), seen)
    return lane._replace(since=since), seen


def _distance(u: Any, line: Any) -> Any:
    """From a point to a closed line, whose nearest piece begins or ends at its nearest point."""
    square = jnp.sum((line - u) ** 2, axis=1)
    k = jnp.argmin(square)
    pieces = [_to_piece(u, line[k], line[(k + side) % len(line)]) for side in (-1, 1)]
    return jnp.minimum(*pieces)


def _to_piece(u: Any, a: Any, b: Any) -> Any:
    along, away = b - a, u - a
    square = jnp.maximum(jnp.sum(along * along), 1e-300)
    off = away - jnp.clip(jnp.sum(away * along) / square, 0.0, 1.0) * along
    return jnp.sqrt(jnp.sum(off * off))
