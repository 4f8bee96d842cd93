"""From a Python function over NumPy arrays to a kernel that XLA calls, and what may go wrong.

A user's function takes its arguments, then its results, as arrays, then the attributes that it
names. Around it goes a wrapper with the signature that `ffi` asks of a kernel. An exception inside
cannot leave machine code: the wrapper notes that there was one, and XLA ends the call with the
operator's name. With DISTDYN_DEBUG=1 the function runs in Python, where an exception has a text, a
line and a debugger, and where an index beyond the end of an array is one.
"""

# Numba compiles what it is called with, and is typed loosely:
# pyright: reportCallIssue=false, reportArgumentType=false, reportPrivateImportUsage=false

import functools
import hashlib
import importlib
import inspect
import itertools
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from distdyn.ops.deliver import kernels_work

if TYPE_CHECKING:
    from distdyn.ops.operator import Operator

Rule = Callable[..., Any]
TEAM = np.zeros(4, np.int32)  # nobody: kernels of this kind have one share
_number = itertools.count()


def call(
    operator: "Operator",
    arrays: Sequence[Any],
    shapes: Sequence[jax.ShapeDtypeStruct],
    attributes: dict[str, Any],
) -> Any:
    """The results of the CPU kernel in a traced program; of the reference where none can run."""
    is_debugging = os.environ.get("DISTDYN_DEBUG", "") not in ("", "0")
    given = operator.kernels["cpu"]
    if not is_debugging and not kernels_work():
        return operator.reference(*arrays, **attributes)
    function = imported(given) if isinstance(given, str) else given
    names = attributes_of(operator, function, len(arrays) + len(shapes), attributes)
    chosen = {name: attributes[name] for name in names}
    if is_debugging and not isinstance(given, str):
        return _in_python(operator, function, arrays, shapes, chosen)
    kinds = tuple((str(x.dtype), len(x.shape)) for x in (*arrays, *shapes))
    compiled = _compiled(operator, function, kinds, static_of(chosen), len(arrays))
    aliases = {i + 1: result for i, result in operator.aliases.items()}
    results = jax.ffi.ffi_call(compiled.target, tuple(shapes), input_output_aliases=aliases)(
        jnp.asarray(TEAM), *arrays
    )
    return tuple(results)


def imported(name: str) -> Rule:
    """The function of this "module:name"."""
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)


def attributes_of(
    operator: "Operator", function: Rule, n_buffers: int, attributes: dict[str, Any]
) -> list[str]:
    """The names behind the buffers in the function's signature."""
    function = getattr(function, "py_func", function)  # it may be Numba's already
    names = list(inspect.signature(function).parameters)
    unknown = [name for name in names[n_buffers:] if name not in attributes]
    if len(names) < n_buffers or unknown:
        raise operator.error(
            f"the kernel takes ({', '.join(names)}), but there are {n_buffers} buffers (arguments, "
            f"then results) and the attributes ({', '.join(attributes)})."
        )
    return names[n_buffers:]


def _in_python(
    operator: "Operator",
    function: Rule,
    arrays: Sequence[Any],
    shapes: Sequence[jax.ShapeDtypeStruct],
    attributes: dict[str, Any],
) -> Any:
    plain = getattr(function, "py_func", function)

    def run(*given: Any) -> Any:
        read = [np.asarray(x) for x in given]
        results = [np.zeros(s.shape, s.dtype) for s in shapes]
        for i, result in operator.aliases.items():
            results[result][...] = read[i]
        try:
            plain(*read, *results, **attributes)
        except Exception as error:
            raise operator.error(f"{type(error).__name__}: {error}") from error
        return tuple(results)

    return jax.pure_callback(run, tuple(shapes), *arrays)


class Static:
    """An attribute as caches compare it: 1, 1.0 and True are three, and so are 0.0 and -0.0."""

    def __init__(self, value: Any):
        hash(value)  # a TypeError where it cannot be compared
        self.value, self._key = value, _key_of(value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Static) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        return repr(self.value)


def _key_of(value: Any) -> Any:
    if isinstance(value, tuple):
        return type(value), tuple(map(_key_of, value))
    return type(value), value.hex() if isinstance(value, float) else value


def static_of(attributes: dict[str, Any]) -> tuple[tuple[str, Static], ...]:
    """The attributes as caches compare them, by name."""
    return tuple((name, Static(value)) for name, value in sorted(attributes.items()))


class _Compiled(NamedTuple):
    """A kernel that XLA knows; it lives as long as the process, because XLA keeps its address."""

    target: str
    kernel: Any


@functools.cache
def _compiled(
    operator: "Operator",
    function: Rule,
    kinds: tuple[tuple[str, int], ...],
    attributes: tuple[tuple[str, "Static"], ...],
    n_args: int,
) -> _Compiled:
    from numba import cfunc, types
    from numba.core.errors import NumbaError

    from distdyn.ops import ffi
    from distdyn.ops.cache import cached

    shape = types.CPointer(types.int64)
    buffers = [p for dtype, _ in kinds for p in (_pointer(operator, dtype), shape)]
    signature = types.void(shape, shape, *buffers, types.int64, types.int64, shape)
    # What a user writes is compiled anew in each process; ours is kept, with all that it calls.
    decorate = cached(cfunc, signature) if _is_ours(function) else cfunc(signature)
    try:
        chosen = {name: static.value for name, static in attributes}
        kernel = decorate(_wrapper(function, [ndim for _, ndim in kinds], chosen))
    except NumbaError as error:
        shown = ", ".join(f"{dtype}, {ndim}-d" for dtype, ndim in kinds)
        raise operator.error(f"its kernel does not compile for ({shown}).\n{error}") from None
    name = f"distdyn_operator_{operator.name}_{next(_number)}"
    failure = (
        f'OperatorError: operator "{operator.name}": its kernel raised an exception. '
        "Set DISTDYN_DEBUG=1 to run the kernel in Python and see which."
    )
    n_rets = len(kinds) - n_args
    return _Compiled(
        ffi.register(name, kernel.address, 1 + n_args, n_rets, failure=failure), kernel
    )


def _pointer(operator: "Operator", dtype: str) -> Any:
    from numba import from_dtype, types
    from numba.core.errors import NumbaError

    try:
        return types.CPointer(from_dtype(np.dtype(dtype)))
    except (NumbaError, NotImplementedError, TypeError):
        raise operator.error(
            f"Numba knows no {dtype}. Convert first, or leave this operator without a kernel."
        ) from None


def _wrapper(function: Rule, ndims: Sequence[int], attributes: dict[str, Any]) -> Rule:
    """A function with the signature of a kernel that calls this one and notes whether it failed."""
    from numba import carray

    # What is made up here begins with _dd_, so that no attribute has its name.
    pointers = ", ".join(f"_dd_p{i}, _dd_s{i}" for i in range(len(ndims)))
    arrays = ", ".join(f"_dd_a{i}" for i in range(len(ndims)))
    views = "\n".join(
        f"    _dd_a{i} = "
        f"_dd_carray(_dd_p{i}, ({''.join(f'_dd_s{i}[{axis}], ' for axis in range(ndim))}))"
        for i, ndim in enumerate(ndims)
    )
    names = "".join(f", {name}=_dd_v_{name}" for name in attributes)
    # The names stand for all that the signature does not: what is kept is found by both, and of two
    # functions with one name that different processes compiled, one would stand for the other.
    plain = getattr(function, "py_func", function)
    what = plain.__module__, plain.__qualname__, tuple(ndims), tuple(sorted(attributes.items()))
    mark = hashlib.sha256(repr(what).encode()).hexdigest()[:16]
    name = f"wrapper_{mark}"
    source = f"""
def {name}(_dd_team, _dd_size, {pointers}, _dd_member, _dd_members, _dd_tally):
{views}
    _dd_tally[0] = 1
    try:
        _dd_function({arrays}{names})
        _dd_tally[0] = 0
    except Exception:
        pass
"""
    space: dict[str, Any] = {"__name__": __name__, "_dd_carray": carray}
    space |= {f"_dd_v_{name}": value for name, value in attributes.items()}
    space["_dd_function"] = _jitted(function)
    exec(compile(source, __file__, "exec"), space)
    return space[name]


def _jitted(function: Rule) -> Rule:
    from numba import njit

    from distdyn.ops.cache import cached

    if hasattr(function, "py_func"):
        return function
    return cached(njit, nogil=True)(function) if _is_ours(function) else njit(function)


def _is_ours(function: Rule) -> bool:
    return (function.__module__ or "").startswith("distdyn.")
