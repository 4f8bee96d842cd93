"""Roots of many equations at once, each from its own start: g(x_m, p_m) = 0 for m = 1, 2, ...

Levenberg and Marquardt's step, in units in which variables and equations are of order one,

    (J'J + lambda I) d = -J'r,    lambda = mu |r|,    mu falls where |r| does, and else grows

converges quadratically, also to a root that is one of a line of roots, where J is singular. Up to
300 variables J is a matrix, beyond it is known by its products (`krylov`).

Every device works on starts of its own in a loop of its own: nobody waits for anybody. Its lanes
step side by side; a lane that is done takes the next start. Where a start ends does not depend on
the others: neither on how many devices there are, nor on how ranks share the starts (`cut`).

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

from distdyn._jax import axes_of, varying_over
from distdyn.analysis.field.sharded import Spread
from distdyn.analysis.points.krylov import damped_step

MOST_DENSE = 300  # variables
MOST_STEPS = 200
STEP = 1e-9  # of the unit: a step as short ends the search
RESIDUAL = 1e-6  # of the unit: and it is a root if no more is left
EXACT = 1e-12  # of the unit: this is a root, however flat: a step need not be short then
STUCK = 1e-8  # of |r|^2: where a step would gain less, |r| is smallest, but not 0
BLOCK = 8  # points that are linearised at once
SAMPLE = 64  # starts that say how large the derivatives are
ENOUGH = 1e-3  # of the shortest step: by products, |r| is not brought further below
PROBED, PROBES = 8, 4  # starts, and products at each, that say the same without matrices
LANE_NUMBERS = 2_000_000  # of all Jacobians of a device
MOST_NUMBERS = 20_000_000  # of the starts that are searched from at once
SHARES = 8  # into which starts are cut, at most, that each worker has some for all its lanes
ALIKE = 8  # lanes, or a multiple: fewer in a processor's register, and the last ones round apart
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
    g: Callable[[Any, Any], Any] | Spread,
    starts: Float64[np.ndarray, "m n"],
    p: Float64[np.ndarray, "m k"],
    unit: Float64[np.ndarray, "n"],
    devices: Sequence[Any],
    *,
    rows: Float64[np.ndarray, "n"] | None = None,
    enough: float = 0.0,
    still: float = STEP,
    lanes: int | None = None,
) -> Roots:
    """Search a root from every start. Call it inside `jax.enable_x64(True)`.

    Where there is none it ends in a minimum of |r|.

    Args:
        g: (x, p) to n numbers; pure. Of a `Spread` what is zero at a fixed point: then x is
            dealt to its devices, and not the starts.
        starts: of x.
        p: the parameters of each start.
        unit: of the variables: by how much they change.
        devices: that share the starts.
        rows: 1 / the unit of each equation; by default by how much it changes, typically.
        enough: |r|, in these units, at which a search ends wherever it is.
        still: a step as short, in units of the variables, ends a search.
        lanes: of a device; by default as many as are good for so many starts.
    """
    count, n = starts.shape
    if rows is None:
        rows = row_units(g, starts, p, unit)
    if isinstance(g, Spread):
        return _spread_roots(g, starts, p, unit, rows, (enough, still))
    each = -(-count // len(devices))
    padding = each * len(devices) - count
    x, p = (np.concatenate([a, np.repeat(a[:1], padding, 0)]) for a in (starts, p))
    mesh = Mesh(np.array(devices), (POINT,), axis_types=(AxisType.Auto,))
    lanes = lanes or lanes_for(n, count)
    found = _searched(g, mesh, lanes, x, p, unit, rows, enough, still)
    return Roots(*(np.asarray(a)[:count] for a in found))


def _spread_roots(
    spread: Spread, starts: Any, p: Any, unit: Any, rows: Any, ends: tuple[float, float]
) -> Roots:
    """The same for an x that is dealt to devices."""
    each = min(len(starts), int(np.clip(LANE_NUMBERS // (5 * starts.shape[1]), 1, 16)))
    on_devices = spread.laid(starts), p, spread.laid(unit, 1.0), spread.laid(rows, 1.0)
    x, is_root, residual = _spread_searched(spread, each, spread.held, *on_devices, *ends)
    return Roots(spread.fetched(x), np.asarray(is_root), np.asarray(residual))


@functools.partial(jax.jit, static_argnames=("spread", "lanes"))
def _spread_searched(spread: Spread, lanes: int, held: Any, x: Any, p: Any, *rules: Any) -> Any:
    return _queue(functools.partial(spread.residual, held), lanes, x, p, *rules)


def lanes_for(n: int, count: int) -> int:
    """How many searches in n variables a device does side by side, of so many starts in all."""
    if count < 2 * ALIKE:
        return 1
    numbers = LANE_NUMBERS // n**2 if n <= MOST_DENSE else LANE_NUMBERS // (5 * n)
    most = min(numbers, 256 if n <= MOST_DENSE else 64)
    return ALIKE * min(most // ALIKE, -(-count // (ALIKE * SHARES))) or 1


def cut(n: int, count: int, size: int) -> list[slice]:
    """The starts in pieces, which ranks share: all as long but the last.

    Args:
        n: variables.
        count: of the starts.
        size: how many ranks there are.
    """
    lanes = lanes_for(n, count)
    each = count if size == 1 else max(-(-count // (4 * size)), lanes)
    each = min(each, max(lanes, MOST_NUMBERS // n))
    return [slice(k, min(k + each, count)) for k in range(0, count, each)]


def linearised(
    g: Callable[[Any, Any], Any], x: Float64[np.ndarray, "m n"], p: Float64[np.ndarray, "m k"]
) -> tuple[Float64[np.ndarray, "m n"], Float64[np.ndarray, "m n n"]]:
    """The values of g and its Jacobians at some points; one program for any number of points."""
    count, n = x.shape
    if not count:
        return np.zeros((0, n)), np.zeros((0, n, n))
    room = -(-count // BLOCK) * BLOCK - count
    x, p = (np.concatenate([a, np.repeat(a[:1], room, 0)]) for a in (x, p))
    found = [_linearised(g, x[k : k + BLOCK], p[k : k + BLOCK]) for k in range(0, len(x), BLOCK)]
    r, J = (np.concatenate([np.asarray(a) for a in part]) for part in zip(*found, strict=True))
    return r[:count], J[:count]


@functools.partial(jax.jit, static_argnames=("g",))
def _linearised(g: Any, x: Any, p: Any) -> tuple[Any, Any]:
    def of_one(x: Any, p: Any) -> tuple[Any, Any]:
        def both(x: Any) -> tuple[Any, Any]:
            r = g(x, p)
            return r, r

        J, r = jax.jacfwd(both, has_aux=True)(x)
        return r, J

    return jax.vmap(of_one)(x, p)


def row_units(g: Any, starts: Any, p: Any, unit: Any) -> Float64[np.ndarray, "n"]:
    """1 / by how much each equation changes over the units of the variables, typically."""
    if isinstance(g, Spread):
        return _typical_rows(g.values(starts[:8], p[0]))
    is_dense = starts.shape[1] <= MOST_DENSE
    return (_row_units if is_dense else _probed_row_units)(g, starts, p, unit)


def _typical_rows(values: Float64[np.ndarray, "m n"]) -> Float64[np.ndarray, "n"]:
    """1 / the size of each equation, of its values at some points."""
    size = np.abs(values)
    typical = np.median(np.where(np.isfinite(size), size, 0.0), axis=0)
    return 1.0 / np.where(typical > 0, typical, max(float(typical.max()), 1e-300))


def _probed_row_units(g: Any, starts: Any, p: Any, unit: Any) -> Float64[np.ndarray, "n"]:
    """The same by products: of changes by +-1 unit, at random, J makes the norm of its rows."""
    every = max(1, len(starts) // PROBED)
    x, p = starts[::every][:PROBED], p[::every][:PROBED]
    changes = np.random.default_rng(0).choice([-1.0, 1.0], size=(PROBES, len(unit))) * unit

    @jax.jit
    def changed(x: Any, p: Any) -> Any:
        return jax.vmap(jax.linearize(lambda x: g(x, p), x)[1])(changes)

    squares = np.square([changed(*at) for at in zip(x, p, strict=True)])
    is_known = np.isfinite(squares).all(axis=(1, 2))
    size = np.sqrt(squares[is_known].mean(axis=(0, 1))) if is_known.any() else np.ones(len(unit))
    return 1.0 / np.where(size > 0, size, size.max() or 1.0)


def _row_units(g: Any, starts: Any, p: Any, unit: Any) -> Float64[np.ndarray, "n"]:
    """The same by matrices."""
    every = max(1, len(starts) // SAMPLE)
    _, jacobians = linearised(g, starts[::every][:SAMPLE], p[::every][:SAMPLE])
    size = np.linalg.norm(jacobians * unit, axis=2)
    size = np.where(np.isfinite(size) & (size > 0), size, np.nan)
    known = ~np.isnan(size).all(axis=0)
    typical = np.ones(starts.shape[1])
    typical[known] = np.nanmedian(size[:, known], axis=0)
    return 1.0 / typical


@functools.partial(jax.jit, static_argnames=("g", "mesh", "lanes"))
def _searched(
    g: Any, mesh: Mesh, lanes: int, x: Any, p: Any, unit: Any, rows: Any, enough: Any, still: Any
) -> Any:
    def of_device(x: Any, p: Any, *rules: Any) -> Any:
        return _queue(g, lanes, x, p, *rules)

    split = P(POINT)
    return jax.shard_map(
        of_device, mesh=mesh, in_specs=(split, split, P(), P(), P(), P()), out_specs=(split,) * 3,
        check_vma=True,
    )(x, p, unit, rows, enough, still)  # fmt: skip


def _queue(g: Any, width: int, starts: Any, p: Any, *rules: Any) -> Any:
    """All searches of a device: x, whether it is a root, and |r|, of each start."""
    count = len(starts)

    def advance(carry: Any) -> Any:
        lanes, following, (x, is_root, residual) = carry
        of = jnp.minimum(lanes.start, count - 1)
        step = functools.partial(_step, g, *rules)
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

    number = jnp.arange(width)
    first = _Lanes(
        starts[jnp.minimum(number, count - 1)], number, jnp.ones(width),
        jnp.zeros(width, jnp.int64),
    )  # fmt: skip
    out = jnp.zeros_like(starts), jnp.zeros(count, bool), jnp.zeros(count)
    carry = first, jnp.int64(width), out
    carry = jax.tree.map(lambda a: varying_over(a, axes_of(starts)), carry)
    *_, out = jax.lax.while_loop(lambda c: (c[0].start < count).any(), advance, carry)
    return out


def _step(
    g: Any, unit: Any, rows: Any, enough: Any, still: Any, lane: _Lanes, p: Any
) -> tuple[_Lanes, Any, Any, Any]:
    """One step of one search: the lane, |r|, whether it is at its end, and that a root."""

    def residual(u: Any) -> Any:
        return rows * g(lane.x + unit * u, p)

    zero = jnp.zeros_like(lane.x)
    r, along = jax.linearize(residual, zero)
    size = jnp.linalg.norm(r)
    if len(r) <= MOST_DENSE:
        J = jax.vmap(along, out_axes=1)(varying_over(jnp.eye(len(r)), axes_of(zero)))
        slope, A = J.T @ r, J.T @ J
        shift = lane.mu * size + 1e-14 * jnp.trace(A) / len(r)
        factor = jnp.linalg.cholesky(A + shift * jnp.eye(len(r)))
        d = -jax.scipy.linalg.cho_solve((factor, True), slope)
        of_d = J @ d
    else:
        transposed = jax.linear_transpose(along, zero)
        (slope,) = transposed(r)
        shift = lane.mu * size + 1e-14
        rest = jnp.clip(jnp.maximum(size, ENOUGH * still / size), 1e-6, 0.1)
        d = damped_step(along, lambda r: transposed(r)[0], slope, shift, rest)
        of_d = along(d)
    new_size = jnp.linalg.norm(residual(d))
    gain = (size - new_size) * (size + new_size)
    expected = -2 * jnp.vdot(slope, d) - jnp.vdot(of_d, of_d)
    ratio = gain / jnp.maximum(expected, 1e-300)
    is_better = (new_size < size) & jnp.isfinite(ratio)  # false of what is no number
    longest = jnp.abs(d).max()
    is_still = (longest < still) | (size == 0.0)
    steps = lane.steps + 1
    mu = jnp.where(
        is_better,
        lane.mu * jnp.where(ratio > 0.75, 0.1, jnp.where(ratio > 0.25, 1.0, 4.0)),
        lane.mu * 8.0,
    )
    x = jnp.where(is_better, lane.x + unit * d, lane.x)
    size = jnp.where(is_better, new_size, size)
    is_stuck = (expected < STUCK * size * size) | (mu > 1e15) | ~jnp.isfinite(size)
    is_done = is_still | is_stuck | (size <= enough) | (steps >= MOST_STEPS)
    lane = _Lanes(x, lane.start, jnp.maximum(mu, 1e-8), steps)
    return lane, size, is_done, (is_still & (size < RESIDUAL)) | (size < EXACT)
