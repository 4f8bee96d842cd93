"""Operator: a function of arrays with kernels of its own, which JAX treats like one of its own.

    times = Operator("times", lambda x, y: x * y, linear=(0, 1))     # what it is, in plain JAX

    @times.kernel("cpu")                                            # what is run, in Numba
    def _(x, y, out):
        for i in range(out.size):
            out[i] = x[i] * y[i]

The reference says what the result is and has the last word: shapes and dtypes are its own, it runs
wherever there is no kernel, and what is not written is derived from it. In a linear argument the
derivative is the operator itself. Operators work under jit, grad, hessian, vmap, scan, remat and
`shard_map(check_vma=True)`, and in programs of several processes.
"""

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from distdyn._jax import axes_of, has_wide_numbers, lower, new_primitive
from distdyn.errors import OperatorError
from distdyn.ops import compile, cuda
from distdyn.ops.compile import Static, static_of

Rule = Callable[..., Any]
PLATFORMS = ("cpu", "cuda")
WIDE = [np.dtype(name) for name in ("int64", "uint64", "float64", "complex128")]


class Operator:
    """A function of arrays, its kernels, and its derivatives.

        out = op(*arrays, **attributes)

    Args:
        name: what errors and profiles call it.
        reference: `reference(*arrays, **attributes)` in JAX: an array, or a tuple of arrays.
        linear: the arguments in each of which, the others held, it is linear.
        aliases: {argument: result}: buffers that are one, so that a kernel finds the argument in
            its result. JAX copies first where the argument is still needed.

    Attributes (keyword arguments) are static: numbers, strings and tuples of these. A new value
    compiles anew. Kernels and rules are given before the operator is first called.

    Raises:
        OperatorError: an argument that is no array, a kernel that does not compile or that fails, a
            platform or an argument number that does not exist.
    """

    def __init__(
        self,
        name: str,
        reference: Rule,
        *,
        linear: Sequence[int] = (),
        aliases: dict[int, int] | None = None,
    ):
        self.name, self.reference, self.linear = name, reference, tuple(linear)
        self.aliases = dict(aliases or {})
        self.kernels: dict[str, Rule | str] = {}
        self.jvps: dict[int, Rule] = {}
        self.transposes: dict[int, Rule] = {}
        self.batching: Rule | None = None
        self.primitive = new_primitive(
            name,
            shapes=_plain(self._shapes),
            jvp=_plain(self._jvp),
            transpose=_plain(self._transpose),
            batch=_plain(self._batch),
        )
        lower(self.primitive, _plain(lambda *args, **kw: _flat(reference(*args, **kw))))

    def __repr__(self) -> str:
        return f'Operator("{self.name}", kernels for {", ".join(self.kernels) or "no platform"})'

    def __call__(self, /, *arrays: Any, **attributes: Any) -> Any:
        """The result of the reference, by whatever kernel this platform has."""
        given = [self._checked(i, array) for i, array in enumerate(arrays)]
        attributes = self._completed(given, attributes)
        axes = frozenset[Any]().union(*map(axes_of, given))
        alike = [_varying(x, axes) for x in given]
        try:
            static = static_of(attributes)
        except TypeError as error:
            raise self.error(f"{error}. Attributes are numbers, strings, tuples.") from None
        results = self.primitive.bind(*alike, attributes=static)
        is_tuple = self._structure(*alike, **attributes) is tuple
        return tuple(results) if is_tuple else results[0]

    def error(self, message: str) -> OperatorError:
        """An error with the name of this operator."""
        return OperatorError(f'operator "{self.name}": {message}')

    # --- what can be written ----------------------------------------------------------------------

    def kernel(self, platform: str, **launch: Any) -> Callable[[Any], Any]:
        """Give the kernel of a platform: a Python function that Numba can compile, for arrays.

        It takes first the arguments, then the results, which it fills, and by name the attributes
        that it wants. "module:name" is imported at first use.

        "cpu": it runs on one core; the cores of a machine are so many devices.
        "cuda": it runs in each of many threads, `numba.cuda.grid(1)` says in which. `threads=`,
        `block=` and `zeros=` say how many, see `distdyn.ops.cuda.Launch`; without, there is one for
        each element of the first result.
        """
        if platform not in PLATFORMS:
            raise self.error(f'no kernel can be for "{platform}". Give one of {PLATFORMS}.')
        if platform == "cpu":
            if launch:
                raise self.error(f"a kernel for CPUs has one thread: it takes no {set(launch)}.")
            run: Any = self._on_cpu
        else:
            run = functools.partial(self._on_cuda, self._launch(launch))

        def given(function: Rule | str) -> Rule | str:
            self.kernels[platform] = function
            lower(self.primitive, _plain(lambda *args, **kw: _flat(run(*args, **kw))), platform)
            return function

        return given

    def _launch(self, given: dict[str, Any]) -> cuda.Launch:
        try:
            launch = cuda.Launch(**given)
        except TypeError:
            known = ", ".join(cuda.Launch._fields)
            raise self.error(f"a CUDA kernel is started by {known}, not by {set(given)}.") from None
        if not 0 < launch.block <= 1024:
            raise self.error(f"a block of {launch.block} threads. CUDA's have 1 to 1024.")
        return launch

    def jvp(self, i: int) -> Callable[[Rule], Rule]:
        """Give `rule(tangent, *arrays, **attributes)`: the derivative of the results along i."""
        return functools.partial(_entered, self.jvps, i)

    def transpose(self, i: int) -> Callable[[Rule], Rule]:
        """Give `rule(cotangent, *arrays, **attributes)`: the cotangent of argument i, linear.

        In the place of argument i stands its shape. Of several results there is a tuple of
        cotangents.
        """
        if i not in self.linear:
            raise self.error(f"argument {i} has no transpose: linear are {self.linear}.")
        return functools.partial(_entered, self.transposes, i)

    def batch(self, rule: Rule) -> Rule:
        """Give `rule(arrays, axes, **attributes)`: the results of a `vmap` and their axes.

        Axes are those along which each array is mapped, None where it is not. The rule returns None
        where it does not know better than one after the other, which is what happens without it.
        """
        self.batching = rule
        return rule

    # --- what JAX asks ----------------------------------------------------------------------------

    def _checked(self, i: int, array: Any) -> jax.Array:
        if isinstance(array, str | bytes):
            raise self.error(f"argument {i} is not an array (it is {array!r}).")
        try:
            return jnp.asarray(array)
        except (TypeError, ValueError) as error:
            raise self.error(f"argument {i} is not an array ({error}).") from None

    def _completed(self, arrays: Sequence[Any], attributes: dict[str, Any]) -> dict[str, Any]:
        """The attributes with the defaults of the reference's signature."""
        signature = inspect.signature(self.reference)
        try:
            signature.bind(*arrays, **attributes)
        except TypeError as error:
            raise self.error(f"{error}, by the signature of its reference {signature}.") from None
        rest = {
            name: parameter.default
            for i, (name, parameter) in enumerate(signature.parameters.items())
            if parameter.default is not parameter.empty
            and (i >= len(arrays) or parameter.kind is parameter.KEYWORD_ONLY)
        }
        return {**rest, **attributes}

    def _reference_shapes(self, arrays: Sequence[Any], attributes: dict[str, Any]) -> Any:
        key = tuple((x.shape, jnp.dtype(x.dtype)) for x in arrays)
        return _evaluated(self.reference, has_wide_numbers(), key, static_of(attributes))

    def _structure(self, /, *arrays: Any, **attributes: Any) -> type:
        shapes = self._reference_shapes(arrays, attributes)
        return tuple if isinstance(shapes, tuple | list) else jax.Array

    def _shapes(self, /, *arrays: Any, **attributes: Any) -> Sequence[jax.ShapeDtypeStruct]:
        return _flat(self._reference_shapes(arrays, attributes))

    def _jvp(self, arrays: Sequence[Any], tangents: Sequence[Any], /, **attributes: Any) -> Any:
        results = self._bind(arrays, attributes)
        moved: list[Any] = [None] * len(results)
        rest = {}
        for i, tangent in enumerate(tangents):
            if tangent is None:
                continue
            if i in self.jvps:
                along = _flat(self.jvps[i](tangent, *arrays, **attributes))
            elif i in self.linear:
                along = self._bind(_with(arrays, {i: tangent}), attributes)
            else:
                rest[i] = tangent
                continue
            moved = _sums(moved, along)
        if rest:

            def reference(*moving: Any) -> Sequence[Any]:
                given = _with(arrays, dict(zip(rest, moving, strict=True)))
                return _flat(self.reference(*given, **attributes))

            at = [arrays[i] for i in rest]
            moved = _sums(moved, jax.jvp(reference, at, list(rest.values()))[1])
        return results, moved

    def _transpose(
        self, cotangents: Any, arrays: Any, linear: Any, /, **attributes: Any
    ) -> list[Any]:
        (i,) = (i for i, shape in enumerate(linear) if shape is not None)
        given = _with(arrays, {i: linear[i]})
        is_tuple = self._structure(*given, **attributes) is tuple
        cotangent = tuple(cotangents) if is_tuple else cotangents[0]
        if i in self.transposes:
            found = self.transposes[i](cotangent, *given, **attributes)
        else:

            def reference(x: Any) -> Any:
                return self.reference(*_with(arrays, {i: x}), **attributes)

            (found,) = jax.linear_transpose(reference, linear[i])(cotangent)
        return _with([None] * len(arrays), {i: found})

    def _batch(self, arrays: Any, axes: Any, /, **attributes: Any) -> Any:
        if self.batching is not None:
            found = self.batching(arrays, axes, **attributes)
            if found is not None:
                results, where = found
                several = isinstance(results, tuple)
                return _flat(results), (list(where) if several else [where])
        mapped = {i: jnp.moveaxis(arrays[i], a, 0) for i, a in enumerate(axes) if a is not None}

        def one(elements: Any) -> Any:
            given = _with(arrays, dict(zip(mapped, elements, strict=True)))
            return self._bind(given, attributes)

        results = jax.lax.map(one, tuple(mapped.values()))
        return results, [0] * len(results)

    def _bind(self, arrays: Sequence[Any], attributes: dict[str, Any]) -> list[Any]:
        return self.primitive.bind(*arrays, attributes=static_of(attributes))

    def _on_cpu(self, /, *arrays: Any, **attributes: Any) -> Any:
        return compile.call(self, arrays, self._shapes(*arrays, **attributes), attributes)

    def _on_cuda(self, launch: cuda.Launch, /, *arrays: Any, **attributes: Any) -> Any:
        return cuda.call(self, launch, arrays, self._shapes(*arrays, **attributes), attributes)


@functools.lru_cache(maxsize=4096)
def _evaluated(reference: Rule, is_x64: bool, key: Any, attributes: Any) -> Any:
    given = [jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in key]
    # 64-bit arrays that were made while the flag was on keep their type.
    is_wide = is_x64 or any(dtype in WIDE for _, dtype in key)
    with jax.enable_x64(is_wide):
        plain = {name: static.value for name, static in attributes}
        return jax.eval_shape(functools.partial(reference, **plain), *given)


def _plain(rule: Rule) -> Rule:
    """The rule of a primitive, whose one parameter are all attributes, from one that takes them."""

    def called(*given: Any, attributes: tuple[tuple[str, Static], ...]) -> Any:
        return rule(*given, **{name: static.value for name, static in attributes})

    return called


def _entered(rules: dict[int, Rule], i: int, rule: Rule) -> Rule:
    rules[i] = rule
    return rule


def _varying(x: jax.Array, axes: frozenset[Any]) -> jax.Array:
    missing = tuple(sorted(axes - axes_of(x)))
    return jax.lax.pcast(x, missing, to="varying") if missing else x


def _flat(results: Any) -> list[Any]:
    return list(results) if isinstance(results, tuple | list) else [results]


def _with(arrays: Sequence[Any], new: dict[int, Any]) -> list[Any]:
    return [new.get(i, array) for i, array in enumerate(arrays)]


def _sums(left: Sequence[Any], right: Sequence[Any]) -> list[Any]:
    return [b if a is None else a + b for a, b in zip(left, right, strict=True)]
