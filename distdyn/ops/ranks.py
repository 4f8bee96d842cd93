"""What ranks send each other inside jit, on CPU: operators over MPI.

    y = gather(x, line)       y[r] is the x of rank r
    y = swap(x, line)         y[r] is what rank r has in its x for us: its x[our rank]

Both move bytes and sum nothing, so that what is made of them has the same bits under every MPI. A
device talks with the devices of the same number on other ranks, by a communicator of their own.

The exchanges of a program must come in one order on all ranks, and XLA starts what does not depend
on each other as it likes: where one does not follow from another, say what it comes `after`.

MPI's functions are called by their addresses, from XLA's threads: it must allow several threads.
"""

# Numba compiles what its intrinsics are called with, and is typed loosely:
# pyright: reportPrivateImportUsage=false, reportCallIssue=false, reportAttributeAccessIssue=false

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from distdyn._jax import axes_of, lower, new_primitive, varying_over
from distdyn.errors import CapacityError, OperatorError
from distdyn.ops.exchange import alone

MOST = 2**31 - 1  # bytes of a message: MPI counts them in an int


class Line(NamedTuple):
    """How the ranks of a group reach each other: numbers that MPI gave.

    Attributes:
        size: how many ranks.
        rank: ours among them.
        gather: the address of MPI_Allgather.
        swap: that of MPI_Alltoall.
        byte: the handle of MPI_BYTE.
        comms: for each local device the handle of a communicator.
        clocks: the address of int64[device, 2]: the ns spent in exchanges, and how many there were.
    """

    size: int
    rank: int
    gather: int
    swap: int
    byte: int
    comms: tuple[int, ...]
    clocks: int


def gather(x: Any, line: Line, device: Any = 0, after: Any = None) -> jax.Array:
    """What all ranks give, [rank, ...]. Collective.

    Args:
        x: of one shape and dtype on all ranks.
        line: to whom.
        device: the number of this device on its rank.
        after: an array that must be there before.

    Raises:
        CapacityError: the array is larger than a message can be.
    """
    nbytes = x.size * x.dtype.itemsize
    return _sent(x, line, line.gather, device, nbytes, (line.size, *x.shape), after)


def swap(x: Any, line: Line, device: Any = 0) -> jax.Array:
    """What all ranks have for us, [rank, ...], of what each has for each, x[rank]. Collective."""
    return _sent(x, line, line.swap, device, x[0].size * x.dtype.itemsize, x.shape, None)


def _sent(
    x: Any, line: Line, function: int, device: Any, nbytes: int, shape: tuple[int, ...], after: Any
) -> jax.Array:
    if nbytes > MOST:
        raise CapacityError(
            f"an array of {nbytes / 2**30:.1f} GiB goes from each rank to the others, and MPI "
            "counts up to 2 GiB. Watch fewer neurons, or give fewer trials at once."
        )
    of_device = [(comm, line.clocks + 16 * k) for k, comm in enumerate(line.comms)]
    places = np.array([(function, line.byte, nbytes, *of) for of in of_device], np.int64)
    place = jnp.asarray(places)[device]
    operands = place, place if after is None else after, x
    axes = frozenset[Any]().union(*map(axes_of, operands))
    (y,) = _exchange.bind(*(varying_over(of, axes) for of in operands), shape=shape)
    return y


def _shapes(
    _place: Any, _after: Any, x: Any, *, shape: tuple[int, ...]
) -> list[jax.ShapeDtypeStruct]:
    return [jax.ShapeDtypeStruct(shape, x.dtype)]


def _refuse(*_: Any, **__: Any) -> Any:
    raise OperatorError(
        "an exchange between ranks is neither differentiated nor mapped by itself. Give what it is "
        "part of a derivative of its own (jax.custom_vjp), and map outside of it."
    )


_exchange = new_primitive(
    "exchange_of_ranks", shapes=_shapes, jvp=_refuse, transpose=_refuse, batch=_refuse
)


def _called(place: Any, after: Any, x: Any, *, shape: tuple[int, ...]) -> list[jax.Array]:
    result = jax.ShapeDtypeStruct(shape, x.dtype)
    # What has an effect is neither left out nor done twice.
    call = jax.ffi.ffi_call(_target(), result, has_side_effect=True)
    return [call(alone(), place, after, x)]


lower(_exchange, _called)


@functools.cache
def _target() -> str:
    from distdyn.ops import ffi, ranks_kernels

    kernel = ranks_kernels.kernel()
    return ffi.register("distdyn_exchange_of_ranks", kernel.address, 4, 1)
