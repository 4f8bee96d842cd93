"""From a Python function for Numba-CUDA to a kernel that XLA launches.

The function takes the arguments, then the results, as arrays, then the attributes that it names,
and runs in every one of its threads. It is compiled for the GPU that is there, into machine code.
The handler that XLA calls is a few instructions for the CPU, generated here: they describe XLA's
buffers as Numba wants arrays described, and launch the kernel on XLA's own stream. A call costs
what a launch costs, and nothing of Python; XLA can record several into one CUDA graph.

Source: CUDA driver API, cuLaunchKernel; Numba for CUDA, "Calling kernels from foreign code".
"""

# llvmlite, Numba and CUDA's bindings are not typed:
# pyright: reportArgumentType=false, reportMissingImports=false, reportAttributeAccessIssue=false
# pyright: reportPrivateImportUsage=false

import ctypes
import functools
import itertools
import re
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from distdyn.ops.compile import Static, attributes_of, imported, static_of

if TYPE_CHECKING:
    from distdyn.ops.operator import Operator

Rule = Callable[..., Any]
MOST_BLOCKS = (1 << 31) - 1
_number = itertools.count()


class Launch(NamedTuple):
    """How many threads run a kernel.

    Attributes:
        threads: a number, or a function that gives it from the shapes of the arguments, then of the
            results; None: one for each element of the first result. There may be more, up to the
            next multiple of `block`.
        block: threads of a block, which share memory and barriers.
        zeros: whether results begin as zeros; otherwise as what was in that memory.
    """

    threads: int | Rule | None = None
    block: int = 256
    zeros: bool = False


def call(
    operator: "Operator",
    launch: Launch,
    arrays: Sequence[Any],
    shapes: Sequence[jax.ShapeDtypeStruct],
    attributes: dict[str, Any],
) -> Any:
    """The results of the CUDA kernel in a traced program; of the reference where none can run."""
    if not kernels_work():
        return operator.reference(*arrays, **attributes)
    given = operator.kernels["cuda"]
    function = imported(given) if isinstance(given, str) else given
    buffers = *arrays, *shapes
    names = attributes_of(operator, function, len(buffers), attributes)
    chosen = static_of({name: attributes[name] for name in names})
    kinds = tuple((str(x.dtype), len(x.shape)) for x in buffers)
    threads = launch.threads
    if threads is None:
        threads = int(np.prod(shapes[0].shape))
    elif callable(threads):
        threads = int(threads(*buffers))
    blocks = -(-threads // launch.block)
    if blocks > MOST_BLOCKS:
        raise operator.error(f"{threads} threads in blocks of {launch.block}: too many for CUDA.")
    if not blocks:
        return operator.reference(*arrays, **attributes)
    kernel = _compiled(operator, function, kinds, chosen, _architecture())
    zeroed = range(len(shapes)) if launch.zeros else ()
    zeroed = tuple(i for i in zeroed if i not in operator.aliases.values())
    target = _registered(operator.name, kernel, kinds, len(arrays), blocks, launch.block, zeroed)
    results = jax.ffi.ffi_call(target, tuple(shapes), input_output_aliases=operator.aliases)
    return tuple(results(*arrays))


@functools.cache
def kernels_work() -> bool:
    """Whether kernels can be compiled here; if not, a warning says once why."""
    try:
        from cuda.core import Program as Program
        from numba import cuda, types

        cuda.compile_ptx(_nothing, types.void(), device=False, cc=(8, 0))
    except Exception as error:  # an installation can be broken in many ways
        warnings.warn(
            f"Numba-CUDA cannot be used ({type(error).__name__}: {error}). Operators run in plain "
            "JAX, slowly. Install distdyn[cuda12] or distdyn[cuda13].",
            stacklevel=2,
        )
        return False
    return True


def _nothing() -> None:
    """The smallest kernel."""


def _architecture() -> tuple[int, int]:
    """The compute capability of the GPUs, (9, 0) for Hopper; of different ones the oldest."""
    gpus = jax.local_devices(backend="gpu")
    return min(tuple(map(int, gpu.compute_capability.split("."))) for gpu in gpus)  # pyright: ignore


class Kernel(NamedTuple):
    """Machine code that the driver has loaded; it lives as long as the process."""

    handle: int


@functools.cache
def _compiled(
    operator: "Operator",
    function: Rule,
    kinds: tuple[tuple[str, int], ...],
    attributes: tuple[tuple[str, Static], ...],
    architecture: tuple[int, int],
) -> Kernel:
    code, name = machine_code(operator, function, kinds, attributes, architecture)
    driver, library, kernel = _driver(), ctypes.c_void_p(), ctypes.c_void_p()
    nothing = [None, None, 0, None, None, 0]
    errors = (
        driver.cuLibraryLoadData(ctypes.byref(library), code, *nothing),
        driver.cuLibraryGetKernel(ctypes.byref(kernel), library, name.encode()),
    )
    if any(errors) or not kernel.value:
        raise operator.error(f"the driver does not load its CUDA kernel (errors {errors}).")
    return Kernel(kernel.value)


def machine_code(
    operator: "Operator",
    function: Rule,
    kinds: Sequence[tuple[str, int]],
    attributes: Sequence[tuple[str, Static]],
    architecture: tuple[int, int],
) -> tuple[bytes, str]:
    """The kernel for GPUs of this compute capability, and its name in there.

    Raises:
        OperatorError: the function does not compile for these arrays, or needs more than a GPU has.
    """
    from cuda.core import Program, ProgramOptions
    from numba import cuda, from_dtype, types
    from numba.core.errors import NumbaError

    arrays = [types.Array(from_dtype(np.dtype(dtype)), ndim, "C") for dtype, ndim in kinds]
    try:
        entry = _entry(function, len(kinds), attributes)
        text, _ = cuda.compile_ptx(entry, types.void(*arrays), device=False, cc=architecture)
    except NumbaError as error:
        shown = ", ".join(f"{dtype}, {ndim}-d" for dtype, ndim in kinds)
        raise operator.error(f"its CUDA kernel does not compile for ({shown}).\n{error}") from None
    text = text if isinstance(text, str) else text.decode()
    found = re.search(r"\.visible \.entry (\w+)\(", text)
    assert found is not None, "a kernel without an entry"
    options = ProgramOptions(arch="sm_{}{}".format(*architecture))
    try:
        return bytes(Program(text, "ptx", options).compile("cubin").code), found[1]
    except Exception as error:  # CUDA's, whose classes differ from version to version
        raise operator.error(f"its CUDA kernel does not become machine code.\n{error}") from None


def _entry(function: Rule, n: int, attributes: Sequence[tuple[str, Static]]) -> Rule:
    """The function with its attributes as constants."""
    from numba import cuda

    plain = getattr(function, "py_func", function)
    if not attributes:
        return plain
    arrays = ", ".join(f"_dd_a{i}" for i in range(n))
    names = "".join(f", {name}=_dd_v_{name}" for name, _ in attributes)
    space: dict[str, Any] = {f"_dd_v_{name}": static.value for name, static in attributes}
    space |= {"__name__": __name__, "_dd_function": cuda.jit(device=True)(plain)}
    exec(f"def kernel({arrays}):\n    _dd_function({arrays}{names})\n", space)
    return space["kernel"]


# --- the handler ---------------------------------------------------------------------------------


@functools.cache
def _driver() -> ctypes.CDLL:
    return ctypes.CDLL("libcuda.so.1")


@functools.cache
def _registered(
    name: str,
    kernel: Kernel,
    kinds: tuple[tuple[str, int], ...],
    n_args: int,
    blocks: int,
    block: int,
    zeroed: tuple[int, ...],
) -> str:
    from distdyn.ops import ffi

    target = f"distdyn_cuda_{name}_{next(_number)}"
    driver = _driver()
    addresses = [
        ctypes.cast(function, ctypes.c_void_p).value
        for function in (driver.cuLaunchKernel, driver.cuMemsetD8Async)
    ]
    text = handler(name, kernel.handle, kinds, n_args, (blocks, block), zeroed, *addresses)
    code = ffi.compile_module(text)
    capsule = jax.ffi.pycapsule(ctypes.c_void_p(code.address("handler")))
    jax.ffi.register_ffi_target(target, capsule, platform="CUDA")
    return target


# llvmlite's builder cannot call an address that is known only when it runs
_STREAM = """
define ptr @stream(ptr %api, ptr %context) {{
  %given = alloca i8, i64 {stream_size}, align 8
  call void @llvm.memset.p0.i64(ptr %given, i8 0, i64 {stream_size}, i1 false)
  store i64 {stream_size}, ptr %given, align 8
  %to_context = getelementptr i8, ptr %given, i64 {stream_context}
  store ptr %context, ptr %to_context, align 8
  %entry = getelementptr i8, ptr %api, i64 {stream_get}
  %get = load ptr, ptr %entry, align 8
  %error = call ptr %get(ptr %given)
  %found = getelementptr i8, ptr %given, i64 {stream_found}
  %stream = load ptr, ptr %found, align 8
  ret ptr %stream
}}
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
"""


def handler(
    name: str,
    kernel: int,
    kinds: Sequence[tuple[str, int]],
    n_args: int,
    grid: tuple[int, int],
    zeroed: Sequence[int],
    launch: int,
    fill: int,
) -> str:
    """The handler as LLVM's text.

    Args:
        name: of the operator, for its error.
        kernel: the driver's handle.
        kinds: of the buffers, dtype and number of axes.
        n_args: how many of them are arguments.
        grid: blocks, and threads of a block.
        zeroed: the results that are filled with zeros first.
        launch: the address of cuLaunchKernel.
        fill: the address of cuMemsetD8Async.
    """
    from llvmlite import ir

    from distdyn.ops import ffi

    layout = ffi.frame_layout()
    builder, frame = ffi.begin_handler(layout, ffi.CAN_BE_RECORDED)
    module = builder.module
    found = ffi.buffers_of(builder, layout, frame, n_args, len(kinds) - n_args)
    api = ffi.load_at(builder, frame, layout.api)
    context = ffi.load_at(builder, frame, layout.context)
    helper = ffi.compile_module(_STREAM.format(**layout._asdict())).address("stream")
    of_stream = ffi.external(module, helper, [ffi.POINTER, ffi.POINTER], ffi.POINTER)
    stream = builder.call(of_stream, [api, context])
    parameters, sizes = [], []
    for (dtype, ndim), (data, shape) in zip(kinds, found, strict=True):
        words, size = _described(builder, data, shape, np.dtype(dtype).itemsize, ndim)
        parameters += words
        sizes.append(size)
    pointers = ffi.room(builder, len(parameters))
    for index, word in enumerate(parameters):
        place = ffi.room(builder, 1)
        builder.store(word, place)
        builder.store(place, ffi.at(builder, pointers, 8 * index))
    status = ffi.INT32(0)
    if zeroed:
        kind = [ffi.INT64, ir.IntType(8), ffi.INT64, ffi.POINTER]
        filled = ffi.external(module, fill, kind, ffi.INT32)
        for index in zeroed:
            (data, _), size = found[n_args + index], sizes[n_args + index]
            address = builder.ptrtoint(data, ffi.INT64)
            one = builder.call(filled, [address, ir.IntType(8)(0), size, stream])
            status = builder.or_(status, one)
    kind = [ffi.POINTER, *[ffi.INT32] * 7, ffi.POINTER, ffi.POINTER, ffi.POINTER]
    started = ffi.external(module, launch, kind, ffi.INT32)
    blocks, block = grid
    shape = [ffi.INT32(x) for x in (blocks, 1, 1, block, 1, 1, 0)]
    handle, nothing = (
        builder.inttoptr(ffi.INT64(kernel), ffi.POINTER),
        ir.Constant(ffi.POINTER, None),
    )
    one = builder.call(started, [handle, *shape, stream, pointers, nothing])
    status = builder.or_(status, one)
    with builder.if_then(builder.icmp_unsigned("!=", status, ffi.INT32(0)), likely=False):
        message = (
            f'OperatorError: operator "{name}": CUDA did not start its kernel of {blocks} blocks '
            f"of {block} threads. Fewer threads in a block need fewer registers and less memory."
        )
        builder.ret(ffi.error_of(builder, layout, api, message))
    builder.ret(nothing)
    return str(module)


def _described(builder: Any, data: Any, shape: Any, itemsize: int, ndim: int) -> tuple[list, Any]:
    """The words by which Numba knows an array, and its size in bytes."""
    from distdyn.ops.ffi import INT64, load_at

    lengths = [load_at(builder, shape, 8 * axis, INT64) for axis in range(ndim)]
    strides, size = [], INT64(itemsize)
    for length in reversed(lengths):
        strides.insert(0, size)
        size = builder.mul(size, length)
    count = builder.udiv(size, INT64(itemsize))
    address = builder.ptrtoint(data, INT64)
    # No reference counts: neither who owns the memory nor a Python object.
    words = [INT64(0), INT64(0), count, INT64(itemsize), address, *lengths, *strides]
    return words, size
