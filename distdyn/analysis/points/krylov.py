"""Jacobians that are too large to be written down: what is asked of them by products alone.

`damped_step` is Levenberg and Marquardt's step by conjugate gradients. `leading` gives eigenvalues
with the largest real part (of a map: modulus), by Arnoldi's method with a block of vectors, so that
one is found as often as it is there. The block begins again with the best vectors found.

Source: Bjorck (1996), Numerical Methods for Least Squares Problems, sec. 7.4; Saad (2011),
Numerical Methods for Large Eigenvalue Problems, 2nd ed., sec. 6.3 and 6.5.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P
from jaxtyping import Complex128, Float64

from distdyn._jax import axes_of, varying_over
from distdyn.analysis.field.sharded import Spread

MOST_PRODUCTS = 200  # of one step
WANTED = 8  # eigenvalues, and vectors in a block
BLOCKS = 8  # between two restarts
RESTARTS = 30


def damped_step(along: Callable, back: Callable, slope: Any, shift: Any, rest: Any) -> Any:
    """The d with (J'J + shift) d = -slope, but for this part of the slope.

    Args:
        along: from d to J d.
        back: from r to J' r.
        slope: J' r.
        shift: > 0.
        rest: relative to |slope|, what may be left.
    """

    def advance(carry: Any) -> Any:
        d, s, q, square, count = carry
        of_q = along(q)
        step = square / (jnp.vdot(of_q, of_q) + shift * jnp.vdot(q, q))
        d = d + step * q
        s = s - step * (back(of_q) + shift * q)
        new = jnp.vdot(s, s)
        return d, s, s + (new / square) * q, new, count + 1

    first = jnp.vdot(slope, slope)
    carry = (jnp.zeros_like(slope), -slope, -slope, first, jnp.int64(0))
    carry = jax.tree.map(lambda a: varying_over(a, axes_of(slope)), carry)

    def goes_on(carry: Any) -> Any:
        *_, square, count = carry
        return (square > rest**2 * first) & (count < MOST_PRODUCTS)

    return jax.lax.while_loop(goes_on, advance, carry)[0]


def leading(
    f: Callable[[Any, Any], Any] | Spread,
    x: Float64[np.ndarray, "n"],
    p: Float64[np.ndarray, "k"],
    *,
    is_continuous: bool,
    tolerance: float,
) -> tuple[Complex128[np.ndarray, "e"], float]:
    """The eigenvalues of `leading_modes`, and about the norm of the Jacobian."""
    values, _, norm = leading_modes(f, x, p, is_continuous=is_continuous, tolerance=tolerance)
    return values, norm


def leading_modes(
    f: Callable[[Any, Any], Any] | Spread,
    x: Float64[np.ndarray, "n"],
    p: Float64[np.ndarray, "k"],
    *,
    is_continuous: bool,
    tolerance: float,
) -> tuple[Complex128[np.ndarray, "e"], Complex128[np.ndarray, "n e"], float]:
    """The eigenvalues of the Jacobian of f at x that decay the least, eigenvectors, about its norm.

    It ends when those that grow, or are on the border, are known to `tolerance` of the norm and the
    next is not; or after a number of restarts. Of what decays, values are approximate.
    """
    n, width = len(x), min(WANTED, len(x))
    block = np.linalg.qr(np.random.default_rng(0).normal(size=(n, width)))[0]
    norm = 0.0
    values, modes = np.zeros(0, complex), np.zeros((n, 0), complex)
    for _ in range(RESTARTS):
        basis, image = _krylov(f, x, p, block)
        small = np.asarray(basis.T @ image)
        norm = max(norm, float(np.linalg.norm(small, 2)))
        values, vectors = np.linalg.eig(small)
        order = np.argsort(-(np.real(values) if is_continuous else np.abs(values)), kind="stable")
        values, vectors = values[order][:width], vectors[:, order][:, :width]
        modes = _whole(f, basis @ vectors)
        left = np.linalg.norm(_whole(f, image @ vectors) - modes * values, axis=0)
        growth = np.real(values) if is_continuous else np.abs(values) - 1.0
        is_known = left <= tolerance * norm
        if (is_known | (growth + left < -tolerance * norm)).all():
            break
        block = _again(modes, values, block)
    return values.astype(complex), modes.astype(complex), norm


def _again(
    vectors: Complex128[np.ndarray, "n e"],
    values: Complex128[np.ndarray, "e"],
    block: Float64[np.ndarray, "n b"],
) -> Float64[np.ndarray, "n b"]:
    """A real block of the best vectors: both parts of one of a pair; what is missing as it was."""
    one = np.imag(values) >= 0
    parts = np.stack([np.real(vectors), np.imag(vectors)], axis=2)[:, one].reshape(len(block), -1)
    parts = parts[:, np.abs(parts).max(axis=0) > 0]
    whole = np.concatenate([parts, block], axis=1)[:, : block.shape[1]]
    return np.linalg.qr(whole)[0]


def _krylov(f: Any, x: Any, p: Any, block: Any) -> tuple[Any, Any]:
    """An orthonormal basis of the blocks V, J V, J J V, ..., and J times the basis: [n, m] each.

    Where x is dealt to devices, so are they.
    """
    n, of = len(x), np
    if isinstance(f, Spread):
        x, block, of = f.laid(x), f.laid(block, axis=0), jnp
    basis, image = [block], []
    while True:
        image.append(_times_jacobian(f, x, p, basis[-1]))
        if len(basis) == BLOCKS or sum(b.shape[1] for b in basis) + block.shape[1] > n:
            return of.concatenate(basis, axis=1), of.concatenate(image, axis=1)
        new = image[-1]
        for _ in range(2):  # once is not orthogonal enough
            for old in basis:
                new = new - old @ (old.T @ new)
        basis.append(orthonormal(f.mesh, new) if isinstance(f, Spread) else np.linalg.qr(new)[0])


def _whole(f: Any, columns: Any) -> np.ndarray:
    return f.fetched(columns, axis=0) if isinstance(f, Spread) else columns


def _times_jacobian(f: Any, x: Any, p: Any, block: Any) -> Any:
    if isinstance(f, Spread):
        return _spread_products(f, f.held, x, p, block)
    return np.asarray(_products(f, x, p, block))


@functools.partial(jax.jit, static_argnames=("f",))
def _products(f: Any, x: Any, p: Any, block: Any) -> Any:
    _, along = jax.linearize(lambda x: f(x, p), x)
    return jax.vmap(along, in_axes=1, out_axes=1)(block)


@functools.partial(jax.jit, static_argnames=("f",))
def _spread_products(f: Spread, held: Any, x: Any, p: Any, block: Any) -> Any:
    _, along = jax.linearize(lambda x: f.f(held, x, p), x)
    return jax.vmap(along, in_axes=1, out_axes=1)(block)


@functools.partial(jax.jit, static_argnames=("mesh",))
def orthonormal(mesh: Mesh, block: Any) -> Any:
    """An orthonormal basis of the columns of a block whose rows are dealt to devices.

    QR on each device, then once of all R together. Where columns depend on each other it is
    orthonormal too.

    Source: Demmel, Grigori, Hoemmen & Langou (2012), SIAM J. Sci. Comput. 34, A206.
    """
    (axis,) = mesh.axis_names

    def here(block: Any) -> Any:
        count, b = block.shape
        Q, R = jnp.linalg.qr(jnp.pad(block, ((0, max(0, b - count)), (0, 0))))
        top, _ = jnp.linalg.qr(jax.lax.all_gather(R, axis, tiled=True))
        mine = jax.lax.dynamic_slice_in_dim(top, jax.lax.axis_index(axis) * b, b)
        return (Q @ mine)[:count]

    run = jax.shard_map(here, mesh=mesh, in_specs=P(axis), out_specs=P(axis), check_vma=True)
    return run(block)
