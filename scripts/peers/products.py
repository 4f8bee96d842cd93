"""Products of vectors and sparse matrices: the same data for every program, timed in the same way.

Imported in the Python of a peer, so it needs nothing but NumPy.

Weights are multiples of 2^-10 and vectors of 2^-3, so that float32 holds every sum exactly, in
whatever order it is taken: results of all programs are equal to the last bit, or wrong. Each call
has spikes of other neurons than the last one, and all calls together have every neuron once, so
that rows come from where a large matrix lies, memory or L3 cache, not from the first two caches.
"""

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

import numpy as np

CHECKED = 10  # calls whose results are compared
FEWEST = 4  # calls of a turn


class Way(NamedTuple):
    """One of the ways in which a program computes a product; `call` waits for the result.

    Attributes:
        call: from a vector, as the program wants it, to the product.
        vectors: one for each call.
        given: the sum of each vector, as numbers of spikes.
    """

    call: Callable[[Any], Any]
    vectors: Sequence[Any]
    given: Sequence[float]


class Stored(NamedTuple):
    """A matrix of as many synapses in each row, by rows; `weights` is [1] or [synapse]."""

    indices: np.ndarray
    indptr: np.ndarray
    weights: dict[str, np.ndarray]
    spikes: np.ndarray  # bool[call, n]
    x: np.ndarray  # float32[n]


def stored(n: int, k: int, active: float, seed: int) -> Stored:
    """Columns are uniform, and ascend in each row."""
    rng = np.random.default_rng(seed)
    columns = np.sort(rng.integers(0, n, (n, k), np.int32), axis=1)
    each = rng.integers(1, 1025, n * k).astype(np.float32) / 1024
    return Stored(
        columns.reshape(-1),
        np.arange(0, n * k + 1, k, dtype=np.int32),
        {"one weight": np.ones(1, np.float32), "a weight each": each},
        spikes(n, active, rng),
        rng.integers(1, 9, n).astype(np.float32) / 8,
    )


def spikes(n: int, active: float, rng: np.random.Generator) -> np.ndarray:
    """bool[call, n]: the neurons, shuffled and dealt to the calls."""
    of_a_call = max(1, round(n * active))
    calls = n // of_a_call
    x = np.zeros((calls, n), bool)
    x[np.arange(calls)[:, None], rng.permutation(n)[: calls * of_a_call].reshape(calls, -1)] = True
    return x


def way(call: Callable, vectors: np.ndarray, convert: Callable[[np.ndarray], Any]) -> Way:
    """With vectors as the program wants them."""
    return Way(call, [convert(x) for x in vectors], [float(x.sum()) for x in vectors])


def last_core() -> int | None:
    """The last of the cores that we may use; None where that is not told."""
    return max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def stay_on(core: int | None) -> None:
    """Run on this core alone, as do threads that are started from now on."""
    if core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})


def answers(cases: Mapping[str, Mapping[str, Way]], seconds: float, **facts: Any) -> Iterator[dict]:
    """First what comes out, and then, whenever asked, the median time of a call of each way.

    Args:
        cases: the ways of each product, by names.
        seconds: how long a way is called in a turn.
        facts: told with the results.
    """
    yield facts | {
        "results": {
            case: {name: result(of) for name, of in ways.items()} for case, ways in cases.items()
        }
    }
    while True:
        yield {
            case: {name: timed(of, seconds) for name, of in ways.items()}
            for case, ways in cases.items()
        }


def result(of: Way) -> dict:
    """A hash of the first products, and the sum of these over that of their vectors."""
    some = [of.call(x) for x in of.vectors[:CHECKED]]
    some = [np.asarray(y.toarray() if hasattr(y, "toarray") else y) for y in some]  # of SciPy
    digest = hashlib.sha256(b"".join(y.astype(np.float32).tobytes() for y in some)).hexdigest()
    total = sum(float(y.sum(dtype=np.float64)) for y in some)
    given = sum(of.given[:CHECKED])
    return {"sha256": digest, "spikes": given, "per_spike": total / given}


def timed(of: Way, seconds: float) -> float:
    """The median of calls, one vector after the other, as many as there is time for.

    Those of the first half do not count: a matrix that the cache holds is there then, whoever ran
    before.
    """
    times: list[float] = []
    while len(times) < FEWEST or sum(times) < seconds:
        x = of.vectors[len(times) % len(of.vectors)]
        began = time.perf_counter()
        of.call(x)
        times.append(time.perf_counter() - began)
    return median(times[len(times) // 2 :])
