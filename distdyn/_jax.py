"""The names of JAX that are not its stable public interface; nothing else touches them."""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import ShapedArray
from jax.extend.core import ClosedJaxpr, Primitive, jaxpr_as_fun
from jax.extend.core import Literal as Literal
from jax.interpreters import ad, batching, mlir
from jax.interpreters.partial_eval import dce_jaxpr


def number_of_cpu_devices() -> int:
    """How many JAX is told to make (JAX_NUM_CPU_DEVICES); -1: nothing is said, it makes one."""
    return jax.config.values["jax_num_cpu_devices"]


def backend_has_started() -> bool:
    """Whether JAX has made its devices in this process; it says so only when one changes them."""
    number = number_of_cpu_devices()
    try:
        jax.config.update("jax_num_cpu_devices", max(1, number) + 1)
    except RuntimeError:
        return True
    jax.config.update("jax_num_cpu_devices", number)
    return False


def has_wide_numbers() -> bool:
    """Whether 64-bit numbers are made here (jax_enable_x64, or inside `jax.enable_x64`)."""
    return jnp.result_type(int).itemsize == 8


def outputs_apart(function: Callable[..., Sequence[Any]], *arguments: Any) -> list[Callable]:
    """Each output of a function as a function of the same arguments, which computes it alone.

    The function is traced once; what an output does not need is left out.
    """
    closed = jax.make_jaxpr(function)(*arguments)
    every = range(len(closed.jaxpr.outvars))

    def alone(k: int) -> Callable:
        jaxpr, _ = dce_jaxpr(closed.jaxpr, [other == k for other in every], instantiate=True)
        run = jaxpr_as_fun(ClosedJaxpr(jaxpr, closed.consts))
        return lambda *values: run(*values)[0]

    return [alone(k) for k in every]


def evaluated(equation: Any, values: Sequence[Any], **parameters: Any) -> list[Any]:
    """The results of one equation of a jaxpr, of these values and with some other parameters."""
    of = equation.primitive
    given = of.get_bind_params({**equation.params, **parameters})
    functions, given = given if isinstance(given, tuple) else ((), given)  # older, and since
    found = of.bind(*functions, *values, **given)
    return list(found) if of.multiple_results else [found]


def new_primitive(
    name: str,
    *,
    shapes: Callable[..., Sequence[jax.ShapeDtypeStruct]],
    jvp: Callable[..., Any],
    transpose: Callable[..., Any],
    batch: Callable[..., Any],
) -> Primitive:
    """A JAX primitive with several results, from rules that know nothing of JAX's insides.

    All operands vary over the same axes of a mesh (`lax.pcast`), and so do the results.

    Args:
        name: what JAX prints.
        shapes: of the results, from those of the operands, by `**parameters`.
        jvp: `(primals, tangents, **parameters)` to results and their tangents; None is zero.
        transpose: `(cotangents, operands, linear, **parameters)`: `linear` has the shape of each
            operand to which a cotangent is to be given, else None. Returns one for each operand.
        batch: `(operands, axes, **parameters)` to results and their axes; None is not mapped.
    """
    primitive = Primitive(name)
    primitive.multiple_results = True

    @functools.lru_cache(maxsize=512)
    def compiled(is_x64: bool, parameters: tuple[tuple[str, Any], ...]) -> Any:
        return jax.jit(functools.partial(primitive.bind, **dict(parameters)))

    def run(*operands: Any, **parameters: Any) -> Any:
        with jax.disable_jit(False):  # else the compiled would bind again, and so on
            return compiled(has_wide_numbers(), tuple(sorted(parameters.items())))(*operands)

    def abstract(*avals: Any, **parameters: Any) -> list[Any]:
        found = shapes(*avals, **parameters)
        if not avals:
            return [ShapedArray(s.shape, s.dtype) for s in found]
        return [_like(avals[0], s.shape, s.dtype) for s in found]

    def forward(primals: Any, tangents: Any, **parameters: Any) -> Any:
        given = [None if isinstance(t, ad.Zero) else t for t in tangents]
        results, moved = jvp(primals, given, **parameters)
        zeros = (ad.Zero(jax.typeof(result).to_tangent_aval()) for result in results)
        return results, [z if t is None else t for t, z in zip(moved, zeros, strict=True)]

    def backward(cotangents: Any, *operands: Any, **parameters: Any) -> list[Any]:
        ct = [ad.instantiate_zeros(c) if isinstance(c, ad.Zero) else c for c in cotangents]
        linear = [o.aval if ad.is_undefined_primal(o) else None for o in operands]
        known = [None if ad.is_undefined_primal(o) else o for o in operands]
        return transpose(ct, known, linear, **parameters)

    def mapped(operands: Any, axes: Any, **parameters: Any) -> Any:
        return batch(operands, list(axes), **parameters)

    primitive.def_impl(run)
    primitive.def_abstract_eval(abstract)
    ad.primitive_jvps[primitive] = forward
    ad.primitive_transposes[primitive] = backward
    batching.primitive_batchers[primitive] = mapped
    return primitive


def lower(primitive: Primitive, function: Callable[..., Any], platform: str | None = None) -> None:
    """Say what a primitive is compiled to, everywhere or on one platform: a JAX function."""
    rule = mlir.lower_fun(function, multiple_results=True)

    def lowering(context: Any, *operands: Any, **parameters: Any) -> Any:
        # A device computes its part alone: inside, nothing is said of axes of a mesh.
        avals = [ShapedArray(aval.shape, aval.dtype) for aval in context.avals_in]
        return rule(context.replace(avals_in=avals), *operands, **parameters)

    mlir.register_lowering(primitive, lowering, platform=platform)


def axes_of(x: Any) -> frozenset[Any]:
    """The axes of a mesh over which a value varies inside `shard_map(check_vma=True)`.

    Of a value, or of what `jax.eval_shape` says of it.
    """
    kind = x if isinstance(x, jax.ShapeDtypeStruct) else jax.typeof(x)
    axes = getattr(kind, "manual_axis_type", None)  # until 0.9, and since: two names
    return (getattr(kind, "vma", None) or frozenset()) if axes is None else axes.varying


def varying_over(x: Any, axes: Iterable[Any]) -> Any:
    """A value that counts as one that varies over these axes too: as what a loop carries must."""
    missing = tuple(axis for axis in axes if axis not in axes_of(x))
    return jax.lax.pcast(x, missing, to="varying") if missing else x


def _like(aval: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """What varies over the same axes of a mesh, and is not split over the others."""
    whole = aval.sharding.update(spec=jax.sharding.PartitionSpec(*(None for _ in shape)))
    return aval.update(shape=shape, dtype=dtype, weak_type=False, sharding=whole)


def bcoo() -> Any:
    """The class of JAX's own sparse arrays; slow to import."""
    from jax.experimental.sparse import BCOO

    return BCOO
