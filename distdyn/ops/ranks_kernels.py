"""The CPU kernel of the exchange between ranks: a call of MPI by address."""

# Numba compiles what its intrinsics are called with, and is typed loosely:
# pyright: reportPrivateImportUsage=false, reportCallIssue=false, reportAttributeAccessIssue=false
# pyright: reportArgumentType=false

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from distdyn.ops import mailbox
from distdyn.ops.handler import compiled

_BYTES = types.CPointer(types.uint8)


def kernel() -> Any:
    """The kernel (a Numba C function) of a team, a place, what was before, x, and the result."""
    return compiled(_exchange, ["int64", "int64", "uint8", "uint8", "uint8"])


@intrinsic
def _call(_context, function, byte, nbytes, comm, given, found):
    """`function(given, nbytes, byte, found, nbytes, byte, comm)`, as MPI_Allgather and _Alltoall.

    A handle is an int in one MPI and a pointer in another: both are at home in a register of 64
    bits, of which the function reads what it needs.
    """
    number = types.int64
    signature = number(number, number, number, number, _BYTES, _BYTES)

    def generate(_context, builder, _signature, arguments):
        function, byte, nbytes, comm, given, found = arguments
        word, pointer = ir.IntType(64), ir.IntType(8).as_pointer()
        kind = ir.FunctionType(
            ir.IntType(32), [pointer, word, word, pointer, word, word, word]
        ).as_pointer()
        to = builder.inttoptr(function, kind)
        code = builder.call(to, [given, nbytes, byte, found, nbytes, byte, comm])
        return builder.sext(code, word)

    return signature, generate


def _exchange(
    _team, _0, place, _1, _before, _2, given, _3, found, _4, _member, _members, _tally,
):  # fmt: skip
    clock = mailbox.words_at(place[4])
    began = mailbox.now()
    # An error has no way back from here: the communicator ends the job at any (`launch.team`).
    _call(place[0], place[1], place[2], place[3], given, found)
    clock[0] += mailbox.now() - began
    clock[1] += 1
