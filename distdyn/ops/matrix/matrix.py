"""What every matrix of synapses can do: products from both sides, transposed, dense."""

import abc
import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, Real

from distdyn.errors import ParameterError
from distdyn.ops.matrix.form import Form
from distdyn.units import shown

By = Literal["rows", "columns"]


class Events(eqx.Module):
    """Spikes as the list of who spiked: `Events(index, size) @ A`.

    Attributes:
        index: int[spike], in any order; a neuron that is listed twice counts twice, and what is not
            in 0, ..., size - 1 (as padding) not at all.
        size: how many neurons there are.

    Raises:
        ParameterError: an index that is no list of integers.
    """

    index: Int[Array, " spike"]
    size: int = eqx.field(static=True)

    def __init__(self, index: Any, size: int):
        array = index if isinstance(index, jax.Array) else np.asarray(index)
        if array.size == 0:
            array = array.astype(np.int32)
        if array.ndim != 1 or not jnp.issubdtype(array.dtype, jnp.integer):
            raise ParameterError(
                f"Events: index has shape {list(array.shape)} and type {array.dtype}. Give the "
                "numbers of those that spiked, [spike]; a vector of bool is multiplied as it is."
            )
        narrow = array.dtype.itemsize < 4  # it may not hold `size`
        self.index = jnp.asarray(array.astype(np.int32) if narrow else array)
        self.size = operator.index(size)

    def vector(self, dtype: Any) -> jax.Array:
        """How often each neuron spiked, [size]."""
        index = self.index
        inside = jnp.where((index >= 0) & (index < self.size), index, self.size)
        return jnp.zeros(self.size, dtype).at[inside].add(1, mode="drop")


class Matrix(eqx.Module):
    """A matrix [pre, post] that is linear in its weights.

        x @ A    [post] or [trial, post]    read are the rows of A where x is not zero
        A @ z    [pre] or [pre, trial]      read is all of A
        A.T      the transposed, over the same memory

    x and z are real, or spikes: bool, 0. and 1., or `Events`. Weights are finite: the CPU kernels
    of matrices of rows pass a row where x_i is zero, others multiply. Indices that are not known,
    as arguments of jit, are not checked: none may lie outside of the shape. Derivatives, of any
    order, are with respect to x, z and the weights.

    Raises:
        ParameterError: a vector whose length or dtype does not fit.
    """

    __array_ufunc__: ClassVar[None] = None  # `numpy_array @ A` is ours, too

    shape: eqx.AbstractVar[tuple[int, int]]

    @property
    @abc.abstractmethod
    def dtype(self) -> Any:
        """The dtype of the weights and of products."""

    @abc.abstractmethod
    def vm(self, m: Float[Array, "trial pre"] | None, x: Real[Array, "trial pre"]) -> jax.Array:
        """The product (m x) @ A, [trial, post]: reads the rows where neither m nor x is zero.

        Without a mask m, x may be bool.
        """

    @abc.abstractmethod
    def mv(self, m: Float[Array, "trial pre"] | None, z: Float[Array, "trial post"]) -> jax.Array:
        """The product m (A @ z), [trial, pre]: computes where m is not zero, or all of it."""

    @property
    @abc.abstractmethod
    def T(self) -> "Matrix":
        """The transposed."""

    @abc.abstractmethod
    def todense(self) -> Float[Array, "pre post"]:
        """The matrix as an array."""

    @abc.abstractmethod
    def cut(self, n: int, by: By) -> "Sequence[Matrix]":
        """Cut into n matrices of one structure and size, side by side, by rows or by columns.

        What they hold beyond the end of this one is never read. An array that all of them share is
        one object.
        """

    def split(self, mesh: Mesh, axis: str, by: By = "columns", trials: str | None = None) -> Any:
        """The same matrix with its rows or columns dealt to the devices along an axis of a mesh.

        Args:
            mesh: of devices.
            axis: its axis along which the pieces lie.
            by: "columns": each device has its post neurons, and their synapses; "rows": pre.
            trials: the axis of the mesh along which the trials of vectors are split, if any.

        Returns:
            A `Split`; its products are sums over the devices, or split along `axis`.

        Raises:
            ParameterError: no such axis; a matrix that is split already, or whose structure is
                known at run time only (an argument of jit).
        """
        from distdyn.ops.matrix.split import split  # it is a matrix itself

        return split(self, mesh, axis, by, trials)

    def __rmatmul__(self, x: Any) -> jax.Array:
        given, is_one = self._vectors(x, self.shape[0], "x @ A", -1)
        y = self.vm(None, given)
        return y[0] if is_one else y

    def __matmul__(self, z: Any) -> jax.Array:
        given, is_one = self._vectors(z, self.shape[1], "A @ z", 0)
        y = self.mv(None, given.astype(self.dtype))
        return y[0] if is_one else y.T

    def _vectors(self, given: Any, length: int, product: str, axis: int) -> tuple[jax.Array, bool]:
        """The vectors of a product as [trial, length], and whether it was one without an axis."""
        what = f"{type(self).__name__}{list(self.shape)}: {product}"
        x = given.vector(self.dtype) if isinstance(given, Events) else jnp.asarray(given)
        if x.ndim not in (1, 2) or x.shape[axis] != length:
            raise ParameterError(
                f"{what}: {'x' if axis else 'z'} has shape {list(x.shape)}. Give [{length}], or "
                f"{f'[trial, {length}]' if axis else f'[{length}, trial]'}; more axes by jax.vmap."
            )
        if jnp.issubdtype(x.dtype, jnp.floating) and x.dtype != self.dtype:
            raise ParameterError(
                f"{what}: the vector is {x.dtype}, the weights are {self.dtype}. Convert one."
            )
        if jnp.issubdtype(x.dtype, jnp.complexfloating):
            raise ParameterError(f"{what}: the vector is {x.dtype}. Give real numbers or spikes.")
        x = x if x.dtype == bool else x.astype(self.dtype)
        return (x[None], True) if x.ndim == 1 else (x if axis else x.T, False)


class AbstractForm(Matrix):
    """A matrix whose products are the operators of a form."""

    form: eqx.AbstractClassVar[Form]

    @abc.abstractmethod
    def parts(self) -> tuple[jax.Array, tuple[jax.Array, ...], dict[str, Any]]:
        """The weights, the other arrays, and the attributes that the form's operators take."""

    @property
    def dtype(self) -> Any:
        return self.parts()[0].dtype

    def vm(self, m: Any, x: Any) -> jax.Array:
        d, structure, attributes = self.parts()
        if m is None:
            return self.form.scatter(x, d, *structure, **attributes)
        return self.form.vm(m, x, d, *structure, **attributes)

    def mv(self, m: Any, z: Any) -> jax.Array:
        d, structure, attributes = self.parts()
        mask = jnp.ones((len(z), self.shape[0]), z.dtype) if m is None else m
        return self.form.mv(mask, z, d, *structure, **attributes)


class Transposed(Matrix):
    """`A.T`: reads all of A for `x @ A.T`, and rows of A where z is not zero for `A.T @ z`."""

    of: Matrix

    def __init__(self, of: Matrix):
        self.of = of

    @property
    def shape(self) -> tuple[int, int]:  # pyright: ignore[reportIncompatibleVariableOverride]
        m, n = self.of.shape
        return n, m

    @property
    def dtype(self) -> Any:
        return self.of.dtype

    @property
    def T(self) -> Matrix:
        return self.of

    def vm(self, m: Any, x: Any) -> jax.Array:
        return self.of.mv(None, x.astype(self.dtype) if m is None else m * x)

    def mv(self, m: Any, z: Any) -> jax.Array:
        y = self.of.vm(None, z)
        return y if m is None else m * y

    def todense(self) -> jax.Array:
        return self.of.todense().T

    def cut(self, n: int, by: By) -> "Sequence[Matrix]":
        return [piece.T for piece in self.of.cut(n, "columns" if by == "rows" else "rows")]


def shape_of(shape: Any, what: str) -> tuple[int, int]:
    """A shape, checked."""
    try:
        m, n = map(operator.index, shape)
    except TypeError:
        raise ParameterError(f"{what}: shape = {shown(shape)}. Give two integers.") from None
    if m < 0 or n < 0:
        raise ParameterError(f"{what}: shape = {shown(shape)}. Give numbers of neurons, >= 0.")
    return m, n


def weights_of(data: Any, n: int, what: str) -> jax.Array:
    """Weights as [1] or [n], of a floating dtype."""
    weights = jnp.asarray(data)
    if not jnp.issubdtype(weights.dtype, jnp.floating):
        if not jnp.issubdtype(weights.dtype, jnp.integer) and weights.dtype != bool:
            raise ParameterError(f"{what}: the weights are {weights.dtype}. Give real numbers.")
        weights = weights.astype(jnp.result_type(float))
    if weights.dtype not in (jnp.float32, jnp.float64):
        raise ParameterError(f"{what}: the weights are {weights.dtype}. Give float32 or float64.")
    if weights.shape not in ((), (1,), (n,)):
        raise ParameterError(
            f"{what}: the weights have shape {list(weights.shape)}. Give one number for all "
            f"synapses, or [{n}], one for each."
        )
    return weights.reshape(-1)


def wide(function: Callable[..., Any]) -> Callable[..., Any]:
    """Have a function of indices traced with 64-bit integers, whatever the user's flag says."""

    @functools.wraps(function)
    def traced(*args: Any, **kwargs: Any) -> Any:
        with jax.enable_x64(True):
            return function(*args, **kwargs)

    return traced


def indices_of(given: Any, n: int, what: str) -> jax.Array:
    """Indices below n as int32, or int64 where that is too narrow; checked where they are known."""
    if isinstance(given, Tracer):
        return given
    array = np.asarray(given)
    if array.size == 0:
        return jnp.zeros(array.shape, jnp.int32)
    if not np.issubdtype(array.dtype, np.integer):
        raise ParameterError(f"{what} are {array.dtype}. Give integers.")
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= n:
        raise ParameterError(f"{what} reach from {low} to {high}. Give some in 0, ..., {n - 1}.")
    with jax.enable_x64(True), jax.ensure_compile_time_eval():  # what is known stays it
        return jnp.asarray(array, jnp.int32 if n <= 2**31 else jnp.int64)
