"""brainevent multiplies spikes by stored and by drawn matrices (`products`), on CPU.

Started in brainevent's own Python, which has its own jax. Spikes are bool, and its CPU kernels
Numba's, with one thread.
"""

from collections.abc import Iterator

import brainevent as be
import jax
import jax.numpy as jnp
import numpy as np

from peers.answering import answer
from peers.products import Way, answers, spikes, stay_on, stored, way


def prepare(request: dict) -> Iterator[dict]:
    """Make the matrices, compile, and then multiply whenever asked.

    Args:
        request: `core`, `seconds`, `stored` and `drawn`, as `matrices.REQUEST` says it.
    """
    stay_on(request["core"])
    cases = of_stored(**request["stored"]) | of_drawn(**request["drawn"])
    facts = {"version": be.__version__, "jax": jax.__version__}
    yield from answers(cases, request["seconds"], **facts)


def of_stored(n: int, k: int, active: float, seed: int) -> dict[str, dict[str, Way]]:
    given, cases = stored(n, k, active, seed), {}
    events = jax.jit(lambda x, A: be.BinaryArray(x) @ A)
    vm, mv = jax.jit(lambda x, A: x @ A), jax.jit(lambda z, A: A @ z)
    for name, data in given.weights.items():
        parts = tuple(map(jnp.asarray, (data, given.indices, given.indptr)))
        A = be.CSR(parts, shape=(n, n))

        def spiked(x, A=A):  # type: ignore[no-untyped-def]
            return events(x, A).block_until_ready()

        def left(x, A=A):  # type: ignore[no-untyped-def]
            return vm(x, A).block_until_ready()

        def right(z, A=A):  # type: ignore[no-untyped-def]
            return mv(z, A).block_until_ready()

        cases |= {
            f"spikes @ A, {name}": {"BinaryArray @ CSR": way(spiked, given.spikes, jnp.asarray)},
            f"x @ A, {name}": {"x @ CSR": way(left, given.x[None], jnp.asarray)},
            f"A @ z, {name}": {"CSR @ z": way(right, given.x[None], jnp.asarray)},
        }
    return cases


def of_drawn(n: int, p: float, active: list[float], seed: int) -> dict[str, dict[str, Way]]:
    rng, cases = np.random.default_rng(seed), {}
    calls = {}
    for corder in (True, False):  # what is drawn as rows, and what as columns
        A = be.JITCScalarR((1.0, p, seed), shape=(n, n), corder=corder)
        vm = jax.jit(lambda x, A: be.BinaryArray(x) @ A)
        mv = jax.jit(lambda x, A: A @ be.BinaryArray(x))

        def left(x, A=A, vm=vm):  # type: ignore[no-untyped-def]
            return vm(x, A).block_until_ready()

        def right(x, A=A, mv=mv):  # type: ignore[no-untyped-def]
            return mv(x, A).block_until_ready()

        calls[f"BinaryArray @ JITCScalarR, corder={corder}"] = left
        calls[f"JITCScalarR @ BinaryArray, corder={corder}"] = right
    for part in active:
        x = spikes(n, part, rng)
        cases[f"spikes @ drawn, {part:.0%} active"] = {
            name: way(call, x, jnp.asarray) for name, call in calls.items()
        }
    return cases


if __name__ == "__main__":
    answer(prepare)
