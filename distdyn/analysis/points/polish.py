"""Candidates for roots made as exact as numbers can be, and those that agree made one.

Up to 300 variables by Newton's method with matrices, beyond by products alone (`krylov`).
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64, Int64

from distdyn.analysis.field.sharded import Spread
from distdyn.analysis.points.krylov import damped_step
from distdyn.analysis.points.roots import linearised

SAME = 1e-6  # of the unit: roots as near are one
NEWTON_STEPS = 20
CORRECTION = 1e-7  # of the unit: a root that Newton's method would still move by more is none
POLISHING_STEPS = 3
POLISH = 1e-9  # of a slope: what these leave
SINGULAR = 1e-10  # singular values, relative to the largest, along which nothing is refined


def refined(
    g: Any, x: Float64[np.ndarray, "m n"], p: Any, unit: Float64[np.ndarray, "n"]
) -> Float64[np.ndarray, "k n"]:
    """Candidates as exact as numbers can be, without those that are no roots.

    Along what the Jacobian does not see, nothing is changed.
    """
    best, moves = np.full(len(x), np.inf), np.ones(len(x), bool)
    x = x.copy()
    for _ in range(NEWTON_STEPS):
        if not moves.any():
            break
        r, J = linearised(g, x[moves], np.tile(p, (moves.sum(), 1)))
        step = np.array([_newton(*a, unit) for a in zip(r, J, strict=True)])
        size = np.abs(step).max(axis=1)
        is_better = size < best[moves]
        x[moves] += unit * np.where(is_better[:, None], step, 0.0)
        best[moves] = np.where(is_better, size, best[moves])
        moves[moves] = is_better
    return x[best <= CORRECTION]


def polished(
    g: Callable[[Any, Any], Any] | Spread,
    x: Float64[np.ndarray, "m n"],
    p: Any,
    unit: Float64[np.ndarray, "n"],
) -> Float64[np.ndarray, "m n"]:
    """Roots as exact as numbers can be, by products with the Jacobian alone."""
    if not isinstance(g, Spread):
        return np.array([_polished(g, a, p, unit) for a in x]).reshape(x.shape)
    of_each = g.laid(unit, 1.0)
    found = [g.fetched(_spread_polished(g, g.held, g.laid(a), p, of_each)) for a in x]
    return np.array(found).reshape(x.shape)


@functools.partial(jax.jit, static_argnames=("g",))
def _polished(g: Any, x: Any, p: Any, unit: Any) -> Any:
    """A few of Newton's steps, as long as they lead nearer."""

    def step(x: Any, _: Any) -> tuple[Any, None]:
        r, along = jax.linearize(lambda u: g(x + unit * u, p), jnp.zeros_like(x))
        transposed = jax.linear_transpose(along, x)
        (slope,) = transposed(r)
        d = damped_step(along, lambda r: transposed(r)[0], slope, 1e-14, POLISH)
        new = x + unit * d
        is_nearer = jnp.linalg.norm(g(new, p)) < jnp.linalg.norm(r)
        return jnp.where(is_nearer, new, x), None

    return jax.lax.scan(step, x, length=POLISHING_STEPS)[0]


@functools.partial(jax.jit, static_argnames=("spread",))
def _spread_polished(spread: Spread, held: Any, x: Any, p: Any, unit: Any) -> Any:
    return _polished(functools.partial(spread.residual, held), x, p, unit)


def _newton(
    r: Float64[np.ndarray, "n"], J: Float64[np.ndarray, "n n"], unit: Float64[np.ndarray, "n"]
) -> Float64[np.ndarray, "n"]:
    """Newton's step in these units, as short as it can be."""
    rows = np.maximum(np.linalg.norm(J * unit, axis=1), 1e-300)
    return np.linalg.lstsq(J * unit / rows[:, None], -r / rows, rcond=SINGULAR)[0]


def distinct(x: Float64[np.ndarray, "m n"], tolerance: float) -> Int64[np.ndarray, "k"]:
    """The first of each group of points that agree, coordinate by coordinate.

    Points are sorted along a random direction: only neighbours there can agree.
    """
    if not len(x):
        return np.zeros(0, np.int64)
    direction = np.random.default_rng(0).normal(size=x.shape[1])
    along = x @ direction / np.abs(direction).sum()  # points that agree are as near along it
    order = np.argsort(along, kind="stable")
    kept: list[int] = []  # in the order of `along`
    for k in order:
        near = reversed(kept)
        for other in near:
            if along[k] - along[other] > tolerance:
                kept.append(k)
                break
            if np.abs(x[k] - x[other]).max() <= tolerance:
                break
        else:
            kept.append(k)
    return np.sort(np.array(kept, np.int64))
