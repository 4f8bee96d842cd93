"""What one core of the machine needs at least for a product: to read, and to read and add.

read    nanoseconds per byte of a sum over an array of 512 MB, read once from its beginning to
        its end. A synapse of b bytes (4 for its column, 4 more for a weight of its own) costs
        at least b times that; the vectors and what is listed come on top.
add     nanoseconds per synapse to read the columns (and weights) of all rows of the stored
        matrix of `products`, one row after the other, and add to the result. It is what is left
        if finding rows, waiting for their first columns, clearing the result and calling cost
        nothing: the core's limit for additions to a result of this size, by a plain loop.
"""

import time
from collections.abc import Callable, Iterator
from statistics import median

import numpy as np
from numba import njit

from peers.answering import answer
from peers.products import stay_on, stored

TIMES = 10  # in a turn, of which the second half counts


def prepare(request: dict) -> Iterator[dict]:
    """Compile, and then measure whenever asked.

    Args:
        request: `core` and `stored`, as `matrices.REQUEST` says it.
    """
    stay_on(request["core"])
    given = stored(**request["stored"])
    columns, y = given.indices.view(np.uint32), np.zeros(len(given.x), np.float32)
    stream = given.indices.view(np.int64)  # eight bytes at a time
    read(stream)
    for data in given.weights.values():
        add(columns, data, y)
    yield {}
    while True:
        yield {
            "read": 1e9 * timed(lambda: read(stream)) / stream.nbytes,
            "add": {
                name: 1e9 * timed(lambda data=data: add(columns, data, y)) / len(columns)
                for name, data in given.weights.items()
            },
        }


@njit
def read(array):  # type: ignore[no-untyped-def]
    total = 0
    for value in array:
        total += value
    return total


@njit
def add(columns, data, y):  # type: ignore[no-untyped-def]
    if data.size == 1:
        weight = data[0]
        for k in range(columns.size):
            y[columns[k]] += weight
    else:
        for k in range(columns.size):
            y[columns[k]] += data[k]


def timed(call: Callable[[], object]) -> float:
    times = []
    for _ in range(TIMES):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return median(times[TIMES // 2 :])


if __name__ == "__main__":
    answer(prepare)
