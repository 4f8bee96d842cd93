"""distdyn multiplies by stored and by drawn matrices (`products`)."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

import distdyn as dd
from peers.answering import answer
from peers.products import Way, answers, spikes, stay_on, stored, way


def prepare(request: dict) -> Iterator[dict]:
    """Make the matrices, compile, and then multiply whenever asked.

    Args:
        request: `core`, `seconds`, `stored` and `drawn`, as `matrices.REQUEST` says it.
    """
    stay_on(request["core"])
    cases = of_stored(**request["stored"]) | of_drawn(**request["drawn"])
    yield from answers(cases, request["seconds"], jax=jax.__version__)


def of_stored(n: int, k: int, active: float, seed: int) -> dict[str, dict[str, Way]]:
    given, cases = stored(n, k, active, seed), {}
    vm, mv = jax.jit(lambda x, A: x @ A), jax.jit(lambda z, A: A @ z)
    for name, data in given.weights.items():
        A = dd.CSR((data, given.indices, given.indptr), shape=(n, n))

        def left(x, A=A):  # type: ignore[no-untyped-def]
            return vm(x, A).block_until_ready()

        def right(z, A=A):  # type: ignore[no-untyped-def]
            return mv(z, A).block_until_ready()

        cases |= {
            f"spikes @ A, {name}": {"x @ CSR": way(left, given.spikes, jnp.asarray)},
            f"x @ A, {name}": {"x @ CSR": way(left, given.x[None], jnp.asarray)},
            f"A @ z, {name}": {"CSR @ z": way(right, given.x[None], jnp.asarray)},
        }
    return cases


def of_drawn(n: int, p: float, active: list[float], seed: int) -> dict[str, dict[str, Way]]:
    rng = np.random.default_rng(seed)
    A = dd.JITBernoulli(p, 1.0, shape=(n, n), seed=seed)
    vm = jax.jit(lambda x, A: x @ A)

    def left(x):  # type: ignore[no-untyped-def]
        return vm(x, A).block_until_ready()

    return {
        f"spikes @ drawn, {part:.0%} active": {
            "x @ JITBernoulli": way(left, spikes(n, part, rng), jnp.asarray)
        }
        for part in active
    }


if __name__ == "__main__":
    answer(prepare)
