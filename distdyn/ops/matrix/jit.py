"""JITMatrix: a matrix that is drawn and never stored; rows are drawn again when they are needed.

The draws are those of projections: the streams, the blocks and the order of `ops.draw`. What is
kept are a few numbers, and the bounds of the blocks.
"""

import dataclasses
import operator
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from distdyn.errors import ParameterError
from distdyn.ops.matrix.csr import CSR
from distdyn.ops.matrix.form import Form, form
from distdyn.ops.matrix.matrix import AbstractForm, By, Matrix, Transposed, wide
from distdyn.ops.values import (
    NO_KNOTS,
    WORDS,
    Binomials,
    binomials,
    constant_delay,
    interpolated,
    normal_knots,
)
from distdyn.random import philox
from distdyn.units import shown

# Kinds: how many synapses a cell has, and whether onto distinct columns. Laws: of the weights.
BERNOULLI, FIXED_NUMBER, MULTAPSES = range(3)
ONE, UNIFORM, NORMAL = range(3)


class Draws(NamedTuple):
    """What is drawn: all that the kernels need besides the weights.

    Attributes:
        window: int64[2]; the first row and the first column of what is here of the whole matrix.
        key: uint32[2]; the stream.
        block_start: int64[n_blocks + 1]; where the blocks of columns begin, in the whole matrix.
        own: int32[rows of the whole matrix]; the column which the row must not have, or -1; empty
            where there is none.
        what: int64[3]; p in units of 2^-62, or the synapses of a row; the kind; the law of weights.
            Kernels read the last two here, so that one is compiled for all.
        table: int64[widest + 1]; the row of the thresholds for a cell of so many places, or -1.
        length: int64[n_tables]; how many thresholds each has.
        threshold: uint64[n_tables, longest]; of `values.Binomials`.
    """

    window: Any
    key: Any
    block_start: Any
    own: Any
    what: Any
    table: Any
    length: Any
    threshold: Any


# --- references ----------------------------------------------------------------------------------
# Rows are drawn on the host as they are drawn for the simulator's tables, which shares its samplers
# with the kernels and nothing else; products are dense. So they run on every platform.


def _parts_of(
    data: Any, draws: Any, shape: tuple[int, int], kind: int, law: int
) -> list[jax.Array]:
    """The derivatives of the matrix with respect to its weights, dense."""

    def draw(*given: Any) -> tuple[np.ndarray, np.ndarray]:
        row, column, word = synapses(Draws(*map(np.asarray, given)), shape, kind)
        number, level = np.zeros(shape, data.dtype), np.zeros(shape, data.dtype)
        np.add.at(number, (row, column), 1)
        np.add.at(level, (row, column), levels(word, law))
        return number, level

    results = [jax.ShapeDtypeStruct(shape, data.dtype)] * 2
    number, level = jax.pure_callback(draw, results, *draws, vmap_method="sequential")
    return _basis(number, level, law)


@wide
def _scatter(x, data, *draws, n_post, kind, law):
    parts = _parts_of(data, draws, (x.shape[1], n_post), kind, law)
    return sum(x.astype(data.dtype) @ part * data[p] for p, part in enumerate(parts))


@wide
def _gather(m, z, data, *draws, n_post, kind, law):
    parts = _parts_of(data, draws, (m.shape[1], n_post), kind, law)
    return m * sum(z @ part.T * data[p] for p, part in enumerate(parts))


@wide
def _outer(x, z, *draws, n_post, kind, law):
    parts = _parts_of(x, draws, (x.shape[1], n_post), kind, law)
    return jnp.stack([((x @ part) * z).sum() for part in parts])


FORM = form(
    "jit",
    scatter=_scatter,
    gather=_gather,
    outer=_outer,
    kernels="distdyn.ops.matrix.jit_kernels",
)


class JITMatrix(AbstractForm):
    """A matrix whose synapses are drawn again for every product and never stored: A_ij = B_ij w_ij.

    B_ij is 0 or 1. With weights d, u_ij uniform in (0, 1) and xi_ij standard normal, w_ij is

        d[0],    d[0] (1 - u_ij) + d[1] u_ij,    or    d[0] + d[1] xi_ij

    Of the kind MULTAPSES it is a sum of such. One seed gives one matrix, whatever the product, the
    precision and the processor, and the derivative with respect to `data` is that of the numbers
    that describe the distribution.
    `JITBernoulli` and `JITFixedNumber` make such matrices.

    Attributes:
        shape: (pre, post).
        data: the weights d: [w], [low, high] or [mean, sd].
        draws: what B, u and xi are drawn from.
        kind: BERNOULLI, FIXED_NUMBER or MULTAPSES.
        law: ONE, UNIFORM or NORMAL.
    """

    form: ClassVar[Form] = FORM
    shape: tuple[int, int] = eqx.field(static=True)
    data: Float[Array, " weight"]
    draws: Draws
    kind: int = eqx.field(static=True)
    law: int = eqx.field(static=True)

    @property
    def T(self) -> Matrix:
        return Transposed(self)

    def parts(self) -> Any:
        if self.draws.what.dtype != jnp.int64:
            raise ParameterError(
                "JITMatrix: what it is drawn from was cut to 32 bits, as by pickle or device_put "
                "without 64-bit numbers. Make it again from its seed, or do that within "
                "jax.enable_x64(True)."
            )
        attributes = {"n_post": self.shape[1], "kind": self.kind, "law": self.law}
        return self.data, tuple(self.draws), attributes

    def part(
        self, *, rows: tuple[int, int] | None = None, columns: tuple[int, int] | None = None
    ) -> "JITMatrix":
        """The rows a ... b - 1 and the columns c ... d - 1, drawn from the same: A[a:b, c:d].

        Parts of one size differ in `draws.window` alone.

        Raises:
            ParameterError: bounds beyond the matrix.
        """
        a, b = _bounds(rows, self.shape[0], "rows")
        c, d = _bounds(columns, self.shape[1], "columns")
        with jax.enable_x64(True):
            window = self.draws.window + np.array([a, c])
        draws = self.draws._replace(window=window)
        return dataclasses.replace(self, shape=(b - a, d - c), draws=draws)

    def cut(self, n: int, by: By) -> "Sequence[JITMatrix]":
        size = -(-self.shape[0 if by == "rows" else 1] // n)
        draws, shape = self.draws, (self.shape[0], size)
        if by == "rows":
            shape = size, self.shape[1]
            beyond = n * size - self.shape[0]  # rows that are asked for and drawn in vain
            if beyond and draws.own.size:
                draws = draws._replace(own=jnp.pad(draws.own, (0, beyond), constant_values=-1))
        with jax.enable_x64(True):
            step = np.array([size, 0] if by == "rows" else [0, size])
            windows = [draws.window + p * step for p in range(n)]
        return [
            dataclasses.replace(self, shape=shape, draws=draws._replace(window=window))
            for window in windows
        ]

    def todense(self) -> jax.Array:
        return jnp.eye(self.shape[0], dtype=bool) @ self

    def tocsr(self) -> CSR:
        """The same drawn once and stored; derivatives with respect to `data` go through.

        Raises:
            ParameterError: inside jit, where it is not known how many synapses there are.
        """
        if any(isinstance(x, Tracer) for x in self.draws):
            raise ParameterError(
                "JITMatrix: tocsr() inside jit, with the matrix as an argument. Convert it before."
            )
        row, column, word = synapses(Draws(*map(np.asarray, self.draws)), self.shape, self.kind)
        indptr = np.searchsorted(row, np.arange(self.shape[0] + 1))
        return CSR((weights(self.data, word, self.law), column, indptr), shape=self.shape)


# --- making one ----------------------------------------------------------------------------------


def bernoulli(
    p: float,
    data: Any,
    *,
    law: int,
    shape: tuple[int, int],
    key: tuple[int, int],
    block_start: np.ndarray,
    own: np.ndarray | None = None,
) -> JITMatrix:
    """A matrix in which every place is taken with probability p.

    Args:
        p: 0 <= p <= 1.
        data: the weights, as in `JITMatrix`.
        law: the law of the weights.
        shape: (pre, post).
        key: the stream, two 32-bit words.
        block_start: as in `Draws`.
        own: the same; None is empty.
    """
    sizes = np.unique(np.diff(block_start))
    table = binomials(np.union1d(sizes, np.maximum(sizes - 1, 0)), p)
    draws = _draws((round(p * 2**62), BERNOULLI, law), key, block_start, own, table)
    return JITMatrix(shape, data, draws, BERNOULLI, law)


def fixed_number(
    k: int,
    data: Any,
    *,
    multapses: bool = False,
    law: int,
    shape: tuple[int, int],
    key: tuple[int, int],
    block_start: np.ndarray,
    own: np.ndarray | None = None,
) -> JITMatrix:
    """A matrix with k synapses in every row, at distinct places or not; else as `bernoulli`."""
    nothing = np.zeros(0, np.int64), np.zeros((0, 0), np.uint64)
    kind = MULTAPSES if multapses else FIXED_NUMBER
    draws = _draws((k, kind, law), key, block_start, own, Binomials(nothing[0], *nothing))
    return JITMatrix(shape, data, draws, kind, law)


def _draws(
    what: tuple[int, int, int],
    key: tuple[int, int],
    block_start: np.ndarray,
    own: np.ndarray | None,
    table: Binomials,
) -> Draws:
    arrays = Draws(
        np.zeros(2, np.int64),
        np.array(key, np.uint32),
        np.asarray(block_start, np.int64),
        np.zeros(0, np.int32) if own is None else np.asarray(own, np.int32),
        np.array(what, np.int64),
        *table,
    )
    with jax.enable_x64(True):
        return Draws(*map(jnp.asarray, arrays))


def _bounds(given: tuple[int, int] | None, n: int, what: str) -> tuple[int, int]:
    if given is None:
        return 0, n
    try:
        a, b = map(operator.index, given)
    except TypeError:
        raise ParameterError(f"part: {what} = {shown(given)}. Give two integers.") from None
    if not 0 <= a <= b <= n:
        raise ParameterError(f"part: {what} = {shown(given)}. Give 0 <= a <= b <= {n}.")
    return a, b


# --- drawing on the host -------------------------------------------------------------------------


def synapses(
    draws: Draws, shape: tuple[int, int], kind: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All synapses of a window, row by row: row, column (in the window), the word of the weight."""
    from distdyn.ops import draw  # Numba

    first, left = draws.window.tolist()
    start = draws.block_start
    low = int(np.searchsorted(start, left, side="right")) - 1
    high = min(np.searchsorted(start, left + shape[1]), len(start) - 1) if shape[1] else 0
    blocks = np.arange(max(low, 0), high)
    key = np.uint64(draws.key[0]), np.uint64(draws.key[1])
    own = np.full(shape[0], -1) if not draws.own.size else draws.own[first : first + shape[0]]
    own, counts = own.astype(np.int64), np.zeros((len(blocks), shape[0]), np.int64)
    number, multapses = int(draws.what[0]), kind == MULTAPSES
    if kind == BERNOULLI:
        table = tuple(map(np.ascontiguousarray, (draws.table, draws.length, draws.threshold)))
        draw.bernoulli_counts(key, number, table, first, own, blocks, start, counts)
    else:
        draw.outdegree_counts(key, number, multapses, first, own, blocks, start, counts)
    n = counts.sum(axis=0)
    column = np.empty(n.sum(), np.uint64)
    draw.fill_cells(
        key, multapses, first, own, blocks, start, counts, tuple(constant_delay(0)), NO_KNOTS,
        np.arange(start[-1]), int(start[-1]), np.cumsum(n) - n, np.cumsum(n), column,
        np.empty(0, np.int16),
    )  # fmt: skip
    row, column = np.repeat(np.arange(shape[0]), n), column.astype(np.int64)
    word = cell_words(draws.key, row + first, column, start)
    column -= left
    inside = (column >= 0) & (column < shape[1])
    return row[inside], column[inside], word[inside]


def cell_words(key: Any, row: np.ndarray, column: np.ndarray, start: np.ndarray) -> np.ndarray:
    """The word of each synapse, which makes its weight; those of a cell stand in their order.

    Args:
        key: the stream, two 32-bit words.
        row: of each synapse.
        column: the same.
        start: where the blocks of columns begin.
    """
    from distdyn.ops import draw  # Numba

    block = np.searchsorted(start, column, side="right") - 1
    is_first = (np.diff(row, prepend=-1) != 0) | (np.diff(block, prepend=-1) != 0)
    k = np.arange(len(row)) - np.flatnonzero(is_first)[np.cumsum(is_first) - 1]
    return words(key, row, block, k, np.full(len(row), draw.SYNAPSE))


def pair_words(key: Any, item: np.ndarray, begin: np.ndarray) -> np.ndarray:
    """The same of synapses that are listed by items: those of item i are begin[i]:begin[i + 1]."""
    from distdyn.ops import draw  # Numba

    n = np.diff(begin)
    item, k = np.repeat(item, n), np.arange(n.sum()) - np.repeat(begin[:-1], n)
    return words(key, item & 0xFFFFFFFF, item >> 32, k, np.full(len(item), draw.PAIR))


def words(key: Any, *counter: Any) -> np.ndarray:
    """The first word of each counter of four."""
    given = [np.asarray(x).astype(np.uint32) for x in counter]
    with np.errstate(over="ignore"):
        return philox((*given,), (np.uint32(key[0]), np.uint32(key[1])))[0]  # pyright: ignore


def levels(word: np.ndarray, law: int) -> np.ndarray:
    """What u or xi (float64) a word is; of weights that are not drawn, nought."""
    if law == UNIFORM:
        return (word + 0.5) / WORDS
    return interpolated(word, normal_knots()) if law == NORMAL else np.zeros(len(word))


def weights(data: jax.Array, word: np.ndarray, law: int) -> jax.Array:
    """The weights of these words; of weights that are not drawn, the one."""
    if law == ONE:
        return data
    level = jnp.asarray(levels(word, law), data.dtype)
    low, high = _basis(jnp.ones_like(level), level, law)
    return data[0] * low + data[1] * high


def _basis(number: jax.Array, level: jax.Array, law: int) -> list[jax.Array]:
    """What is summed with the numbers that describe a weight: how often each, and at what level."""
    if law == ONE:
        return [number]
    return [number - level if law == UNIFORM else number, level]
