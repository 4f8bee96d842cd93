"""Normal numbers as a function: a draw depends on the stream, the cell, the step and its number.

    R = sqrt(-2 ln u),   z_0 = R cos a,   z_1 = R sin a,   u in (0, 1], a in [-pi, pi)

(Box and Muller). Two words of Threefry make two draws: 32 bits decide over u and 32 over a, so that
|z| < 6.77, and the draws are the same in float32 and float64, but for rounding (at most 4e-5). The
logarithm, the sine and the cosine are polynomials here: the compiled step has no vector code for
them.

Source: Box & Muller (1958), Ann. Math. Stat. 29, 610.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from distdyn.random import threefry

# Terms of the series: log of a mantissa, sine and cosine of at most pi / 4.
_TERMS = {"float32": (5, 5, 6), "float64": (11, 9, 9)}


class Stream(NamedTuple):
    """Whose draws these are: the words of a random key, and the id of the cell."""

    word0: Any  # uint32
    word1: Any  # uint32
    id: Any  # uint32, of the cell in its population

    @classmethod
    def of(cls, key: Any, shape: tuple[int, ...] = ()) -> "Stream":
        """The stream of a key of `jax.random`, for cells of this shape.

        A key per cell makes each cell's own stream; with one key, cell k draws for id k.
        """
        if isinstance(key, Stream):
            return key
        words = jax.random.key_data(key)
        is_alone = words.ndim > 1
        id = np.zeros((), np.uint32) if is_alone else np.arange(math.prod(shape), dtype=np.uint32)
        return cls(words[..., 0], words[..., 1], jnp.asarray(id if is_alone else id.reshape(shape)))


MOST = 256  # numbers of draws: eight bits


def normal_pair(stream: Stream, step: Any, number: int, dtype: Any) -> tuple[Any, Any]:
    """Two draws of a step: independent, mean 0, variance 1.

    Args:
        stream: whose.
        step: int64 (or int32, below 2^31), 0 <= step < 2^56.
        number: 0, ..., 255; what is drawn in one step has different ones.
        dtype: float32 or float64.
    """
    step = jnp.asarray(step)
    low = step.astype(jnp.uint32)
    is_wide = step.dtype.itemsize == 8
    high = (step >> np.int64(32)).astype(jnp.uint32) if is_wide else jnp.zeros_like(low)
    turn = stream.word1 ^ high ^ np.uint32(number << 24)
    word, other = threefry((stream.id, low), (stream.word0, turn))
    return _pair(word, other, np.dtype(dtype))


def _pair(word: Any, other: Any, dtype: np.dtype) -> tuple[Any, Any]:
    of_log, of_sin, of_cos = _TERMS[dtype.name]
    u = (word.astype(dtype) + dtype.type(0.5)) * dtype.type(2.0**-32)
    radius = jnp.sqrt(jnp.maximum(dtype.type(-2.0) * _log(u, of_log), dtype.type(0.0)))
    # a = quarter pi / 2 + rest, |rest| <= pi / 4: the quarters are the two bits above the rest
    turned = other + np.uint32(1 << 29)
    quarter = turned >> np.uint32(30)
    rest = (turned & np.uint32((1 << 30) - 1)).astype(jnp.int32) - np.int32(1 << 29)
    x = rest.astype(dtype) * dtype.type(math.pi / 2 / 2**30)
    square = x * x
    sin = x * _series(square, [(-1) ** k / math.factorial(2 * k + 1) for k in range(of_sin)], dtype)
    cos = _series(square, [(-1) ** k / math.factorial(2 * k) for k in range(of_cos)], dtype)
    is_odd = (quarter & np.uint32(1)) != np.uint32(0)
    is_low, is_left = quarter >= np.uint32(2), (quarter + np.uint32(1)) & np.uint32(2)
    c, s = jnp.where(is_odd, sin, cos), jnp.where(is_odd, cos, sin)
    c = jnp.where(is_left != np.uint32(0), -c, c)
    return radius * c, radius * jnp.where(is_low, -s, s)


def _log(x: Any, terms: int) -> Any:
    """The natural logarithm of a normal number: x = 2^e m, log m = 2 artanh((m - 1) / (m + 1))."""
    dtype = np.dtype(x.dtype)
    wide, mantissa = (np.int32, 23) if dtype.itemsize == 4 else (np.int64, 52)
    bits = jax.lax.bitcast_convert_type(x, wide)
    half = wide(int(np.array(math.sqrt(0.5), dtype).view(wide)))
    e = (bits - half) >> wide(mantissa)  # so that sqrt(1/2) <= m < sqrt(2)
    m = jax.lax.bitcast_convert_type(bits - (e << wide(mantissa)), dtype)
    s = (m - dtype.type(1.0)) / (m + dtype.type(1.0))
    artanh = s * _series(s * s, [1 / (2 * k + 1) for k in range(terms)], dtype)
    return e.astype(dtype) * dtype.type(math.log(2)) + dtype.type(2.0) * artanh


def _series(x: Any, coefficients: list[float], dtype: np.dtype) -> Any:
    """The polynomial with these coefficients, the constant one first."""
    total = dtype.type(coefficients[-1])
    for c in reversed(coefficients[:-1]):
        total = total * x + dtype.type(c)
    return total
