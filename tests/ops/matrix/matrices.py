"""The catalogue of matrices, each with the array that it is: what the contracts loop over."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import pytest

import distdyn as dd


class Made(NamedTuple):
    matrix: object
    dense: np.ndarray


def edges(rng, m, n, *, per_row=4.0):
    """Rows and columns in no order, some pairs twice, some rows empty."""
    count = int(per_row * m) if n else 0
    row, col = rng.integers(0, max(m, 1), count), rng.integers(0, max(n, 1), count)
    row[row == 1] = 0  # row 1 is empty
    return row, col


def csr(rng, m, n, dtype, *, is_homogeneous=False):
    row, col = edges(rng, m, n)
    order = np.argsort(row, kind="stable")
    row, col = row[order], col[order]
    indptr = np.searchsorted(row, np.arange(m + 1))
    data = np.asarray(1.5 if is_homogeneous else rng.normal(size=len(row)), dtype)
    dense = np.zeros((m, n), dtype)
    np.add.at(dense, (row, col), data)
    return Made(dd.CSR((data, col, indptr), shape=(m, n)), dense)


def coo(rng, m, n, dtype, *, is_homogeneous=False):
    row, col = edges(rng, m, n)
    data = np.asarray(-0.5 if is_homogeneous else rng.normal(size=len(row)), dtype)
    dense = np.zeros((m, n), dtype)
    np.add.at(dense, (row, col), data)
    return Made(dd.COO((data, (row, col)), shape=(m, n)), dense)


def fixed(rng, m, n, dtype, *, is_homogeneous=False):
    col = rng.integers(0, max(n, 1), (m, 3 if n else 0))
    data = np.asarray(2.0 if is_homogeneous else rng.normal(size=col.shape), dtype)
    made = np.zeros((m, n), dtype)
    np.add.at(made, (np.arange(m)[:, None], col), data)
    return Made(dd.FixedNumber((data, col), shape=(m, n)), made)


def dense(rng, m, n, dtype):
    made = rng.normal(size=(m, n)).astype(dtype)
    return Made(dd.Dense(made), made)


def diagonal(rng, m, n, dtype):
    weight = rng.normal(size=m).astype(dtype)
    return Made(dd.Diagonal(weight, shape=(m, m)), np.diag(weight))


def constant(rng, m, n, dtype, *, autapses=True):
    n = n if autapses else m
    made = np.full((m, n), 0.75, dtype) - (0 if autapses else 0.75 * np.eye(m, dtype=dtype))
    weight = np.asarray(0.75, dtype)
    return Made(dd.Constant(weight, shape=(m, n), autapses=autapses), made)


def circulant(rng, m, n, dtype):
    """On a torus where m is even, else on a ring."""
    weight = rng.normal(size=(m // 2, 2) if m % 2 == 0 else m).astype(dtype)
    index = np.array([*np.ndindex(weight.shape)], int).reshape(m, weight.ndim)
    away = (index - index[:, None]) % np.maximum(weight.shape, 1)
    return Made(dd.Circulant(weight), weight[tuple(np.moveaxis(away, 2, 0))])


def transposed(rng, m, n, dtype):
    matrix, made = csr(rng, n, m, dtype)
    return Made(matrix.T, made.T)


def bernoulli(rng, m, n, dtype, weight):
    return drawn(dd.JITBernoulli(0.1, weight, (m, n), int(rng.integers(99)), dtype=dtype))


def fixed_number(rng, m, n, dtype, weight):
    return drawn(dd.JITFixedNumber(min(3, n), weight, (m, n), int(rng.integers(99)), dtype=dtype))


def drawn(matrix):
    """What is drawn on the host is the array: nothing but the samplers is shared with kernels."""
    return Made(matrix, np.asarray(matrix.tocsr().todense()))


CATALOGUE = {
    "CSR": csr,
    "CSR-homogeneous": lambda *a: csr(*a, is_homogeneous=True),
    "COO": coo,
    "COO-homogeneous": lambda *a: coo(*a, is_homogeneous=True),
    "COO-transposed": lambda rng, m, n, dtype: (lambda made: Made(made.matrix.T, made.dense.T))(
        coo(rng, n, m, dtype)
    ),
    "FixedNumber": fixed,
    "FixedNumber-homogeneous": lambda *a: fixed(*a, is_homogeneous=True),
    "Dense": dense,
    "Diagonal": diagonal,
    "Constant": constant,
    "Constant-no-autapses": lambda *a: constant(*a, autapses=False),
    "Circulant": circulant,
    "CSR-transposed": transposed,
    "JITBernoulli": lambda *a: bernoulli(*a, 1.5),
    "JITBernoulli-normal": lambda *a: bernoulli(*a, dd.Normal(0.5, 1.0)),
    "JITFixedNumber-uniform": lambda *a: fixed_number(*a, dd.Uniform(-1.0, 2.0)),
}

# What differs from another in one kernel's branch alone, or is all JAX's own: with every
# transformation only if asked.
REPEATED = {
    "COO-homogeneous", "COO-transposed", "Circulant", "FixedNumber-homogeneous",
    "JITBernoulli-normal",
}  # fmt: skip
every_matrix = pytest.mark.parametrize("name", CATALOGUE)
every_kind = pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.slow] if n in REPEATED else []) for n in CATALOGUE],
)


def make(name, shape, dtype, seed):
    """A matrix of the catalogue and its array; `Diagonal` and its like are square."""
    return CATALOGUE[name](np.random.default_rng(seed), *shape, dtype)


def vector(rng, n, share, dtype):
    """Spikes of a share of n neurons, as bool, and as numbers."""
    spikes = rng.random(n) < share
    return spikes, jnp.asarray(spikes, dtype)
