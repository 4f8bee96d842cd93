"""Roots of many equations at once, each from its own start: g(x_m, p_m) = 0 for m = 1, 2, ...

Levenberg and Marquardt's step, in units in which variables and equations are of order one,

    (J'J + lambda I) d = -J'r,    lambda = mu |r|,    mu falls where |r| does, and else grows

converges quadratically, also to a root that is one of a line of roots, where J is singular.

Every device works on starts of its own in a loop of its own: nobody waits for anybody. Its lanes
step side by side; a lane that is done takes the next start. Where a start ends does not depend on
the others.

Source: Yamashita & Fukushima (2001), Computing Suppl. 15, 239, for lambda.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh
from jax.sharding import PartitionSpec as P
from jaxtyping import Bool, Float64

from distdyn._jax import varying_over

MOST_STEPS = 200
STEP = 1e-9  # of the unit: a step as short ends the search
RESIDUAL = 1e-6  # of the unit: and it is a root if no more is left
STUCK = 1e-8  # of |r|^2: where a step would gain less, |r| is smallest, but not 0
SAMPLE = 256  # starts that say how large the derivatives are
LANE_NUMBERS = 2_000_000  # of all Jacobians of a device
POINT = "point"  # the axis of the mesh


class Roots(NamedTuple):
    """Where the searches ended."""

    x: Float64[np.ndarray, "m n"]
    is_root: Bool[np.ndarray, "m"]
    residual: Float64[np.ndarray, "m"]  # |r|, in the units of the equations


class _Lanes(NamedTuple):
    """Searches under way."""

    x: Any  # [lane, n]
    start: Any  # which start it is; beyond the last: none
    mu: Any
    steps: Any


def roots(
    g: Callable[[Any, Any], Any],
    starts: Float64[np.ndarray, "m n"],
    p: Float64[np.ndarray, "m k"],
    unit: Float64[np.ndarray, "n"],
    devices: Sequence[Any],
) -> Roots:
    """Search a root from every start. Call it inside `jax.enable_x64(True)`.

    Args:
        g: (x, p) to n numbers; pure.
        starts: of x.
        p: the parameters of each start.
        unit: of the variables: by how much they change.
        devices: that share the starts.
    """
    count, n = starts.shape
    rows = _row_units(g, starts, p, unit)
    each = -(-count // len(devices))
    padding = each * len(devices) - count
    x, p = (np.concatenate([a, np.repeat(a[:1], padding, 0)]) for a in (starts, p))
    lanes = int(np.clip(LANE_NUMBERS // n**2, 8, 256))
    mesh = Mesh(np.array(devices), (POINT,), axis_types=(AxisType.Auto,))
    found = _searched(g, mesh, min(lanes, each), x, p, unit, rows)
    return Roots(*(np.asarray(a)[:count] for a in found))


def _row_units(g: Any, starts: Any, p: Any, unit: Any) -> Float64[np.ndarray, "n"]:
    """1 / by how much each equation changes over the units of the variables, typically."""
    every = max(1, len(starts) // SAMPLE)
    jacobians = np.asarray(_jacobians(g, starts[::every][:SAMPLE], p[::every][:SAMPLE]))
    size = np.linalg.norm(jacobians * unit, axis=2)
    size = np.where(np.isfinite(size) & (size > 0), size, np.nan)
    known = ~np.isnan(size).all(axis=0)
    typical = np.ones(starts.shape[1])
    typical[known] = np.nanmedian(size[:, known], axis=0)
    return 1.0 / typical


@functools.partial(jax.jit, static_argnames=("g",))
def _jacobians(g: Any, x: Any, p: Any) -> Any:
    return jax.lax.map(lambda a: jax.jacfwd(g)(*a), (x, p))


@functools.partial(jax.jit, static_argnames=("g", "mesh", "lanes"))
def _searched(g: Any, mesh: Mesh, lanes: int, x: Any, p: Any, unit: Any, rows: Any) -> Any:
    def of_device(x: Any, p: Any, unit: Any, rows: Any) -> Any:
        return _queue(g, lanes, x, p, unit, rows)

    split = P(POINT)
    return jax.shard_map(
        of_device, mesh=mesh, in_specs=(split, split, P(), P()), out_specs=(split,) * 3,
        check_vma=True,
    )(x, p, unit, rows)  # fmt: skip


def _queue(g: Any, width: int, starts: Any, p: Any, unit: Any, rows: Any) -> Any:
    """All searches of a device: x, whether it is a root, and |r|, of each start."""
    count = len(starts)

    def advance(carry: Any) -> Any:
        lanes, following, (x, is_root, residual) = carry
        of = jnp.minimum(lanes.start, count - 1)
        step = functools.partial(_step, g, unit, rows)
        stepped, r, is_done, found = jax.vmap(step)(lanes, p[of])
        place = jnp.where(is_done, lanes.start, count)  # beyond the end: not written
        x = x.at[place].set(stepped.x, mode="drop")
        is_root = is_root.at[place].set(found, mode="drop")
        residual = residual.at[place].set(r, mode="drop")
        new = jnp.where(is_done, following + jnp.cumsum(is_done) - 1, stepped.start)
        fresh = starts[jnp.minimum(new, count - 1)]
        lanes = _Lanes(
            jnp.where(is_done[:, None], fresh, stepped.x),
            new,
            jnp.where(is_done, 1.0, stepped.mu),
            jnp.where(is_done, 0, stepped.steps),
        )
        return lanes, following + is_done.sum(), (x, is_root, residual)

    first = _Lanes(
        starts[:width], jnp.arange(width), jnp.ones(width), jnp.zeros(width, jnp.int64)
    )  # fmt: skip
    out = jnp.zeros_like(starts), jnp.zeros(count, bool), jnp.zeros(count)
    carry = first, jnp.int64(width), out
    carry = jax.tree.map(lambda a: varying_over(a, (POINT,)), carry)
    *_, out = jax.lax.while_loop(lambda c: (c[0].start < count).any(), advance, carry)
    return out


def _step(g: Any, unit: Any, rows: Any, lane: _Lanes, p: Any) -> tuple[_Lanes, Any, Any, Any]:
    """One step of one search: the lane, |r|, whether it is at its end, and that a root."""

    def residual(u: Any) -> tuple[Any, Any]:
        r = rows * g(lane.x + unit * u, p)
        return r, r

    zero = jnp.zeros_like(lane.x)
    J, r = jax.jacfwd(residual, has_aux=True)(zero)
    size, slope, A = jnp.linalg.norm(r), J.T @ r, J.T @ J
    shift = lane.mu * size + 1e-14 * jnp.trace(A) / len(r)
    factor = jnp.linalg.cholesky(A + shift * jnp.eye(len(r)))
    d = -jax.scipy.linalg.cho_solve((factor, True), slope)
    after, _ = residual(d)
    new_size = jnp.linalg.norm(after)
    gain = (size - new_size) * (size + new_size)
    expected = -2 * slope @ d - jnp.vdot(J @ d, J @ d)
    ratio = gain / jnp.maximum(expected, 1e-300)
    is_better = (new_size < size) & jnp.isfinite(ratio)  # false of what is no number
    longest = jnp.abs(d).max()
    is_still = (longest < STEP) | (size == 0.0)
    steps = lane.steps + 1
    mu = jnp.where(
        is_better,
        lane.mu * jnp.where(ratio > 0.75, 0.1, jnp.where(ratio > 0.25, 1.0, 4.0)),
        lane.mu * 8.0,
    )
    x = jnp.where(is_better, lane.x + unit * d, lane.x)
    size = jnp.where(is_better, new_size, size)
    is_stuck = (expected < STUCK * size * size) | (mu > 1e15) | ~jnp.isfinite(size)
    is_done = is_still | is_stuck | (steps >= MOST_STEPS)
    lane = _Lanes(x, lane.start, jnp.maximum(mu, 1e-8), steps)
    return lane, size, is_done, is_still & (size < RESIDUAL)
