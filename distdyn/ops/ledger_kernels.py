"""CPU kernels of the ledger, written in Numba: the bodies behind `ops.ledger`."""

# Numba compiles what its intrinsics are called with, and is typed loosely:
# pyright: reportPrivateImportUsage=false, reportCallIssue=false, reportAttributeAccessIssue=false

from typing import Any

from numba import carray, njit

from distdyn.ops.handler import compiled
from distdyn.ops.ledger import COMPLETE, GOES_ON


def kernel(name: str) -> tuple[Any, int]:
    """The kernel of an operator (a Numba C function), and how many arguments it has."""
    body, arguments, results = {
        "scheduled": (_scheduled, ["int64"] * 3, ["int64", "int32"]),
        "enter": (
            _enter,
            ["int64", "int32", "int64", "int64", "int64", "int64", "int32", "int64"],
            ["int64", "int64", "int32", "int64"],
        ),
        "advance": (_advance, ["int64"] * 8, ["int64"] * 5),
    }[name]
    return compiled(body, (*arguments, *results)), len(arguments)


@njit
def _before(steps, stamp):
    """How many of the steps, ascending, come before this one."""
    low, high = 0, steps.size
    while low < high:
        middle = (low + high) // 2
        if steps[middle] < stamp:
            low = middle + 1
        else:
            high = middle
    return low


def _scheduled(
    _team, _0, steps, steps_shape, stamp, _1, begin, _2, count, _3, _member, _members, _tally
):
    all_steps = carray(steps, (steps_shape[0],))
    begin[0] = _before(all_steps, stamp[0])
    count[0] = _before(all_steps, stamp[0] + 1) - begin[0]


def _enter(
    _team, _0, count, _1, keeps, _2, limit, _3, done, _4, _cursor, _5, _counts, _6, _full, _7,
    begin, _8, cursor, _9, counts, _10, full, _11, _member, _members, _tally,
):  # fmt: skip
    begin[0] = cursor[0]
    cursor[0] += count[0] * keeps[0]
    counts[done[0]] = count[0]
    if cursor[0] > limit[0]:
        full[0] = 1


def _advance(
    _team, _0, most, _1, stop, _2, _step, _3, _stamp, _4, _done, _5, _full, _6, _halt, _7,
    step, _8, stamp, _9, done, _10, full, _11, halt, _12, _member, _members, _tally,
):  # fmt: skip
    halt[0] = stop[0]  # which may be `full`
    full[0] = 0
    step[0] += 1
    stamp[0] += 1
    done[0] += 1
    if halt[0] == GOES_ON and done[0] >= most[0]:
        halt[0] = COMPLETE
