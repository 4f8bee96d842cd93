"""JAX's own sparse matrices, BCOO, multiply by a stored matrix (`products`); x is of floats."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.sparse import BCOO

from peers.answering import answer
from peers.products import Way, answers, stay_on, stored, way


def prepare(request: dict) -> Iterator[dict]:
    """Make the matrices, compile, and then multiply whenever asked.

    Args:
        request: `core`, `seconds` and `stored`, as `matrices.REQUEST` says it.
    """
    stay_on(request["core"])
    yield from answers(of_stored(**request["stored"]), request["seconds"], jax=jax.__version__)


def of_stored(n: int, k: int, active: float, seed: int) -> dict[str, dict[str, Way]]:
    given, cases = stored(n, k, active, seed), {}
    rows = np.repeat(np.arange(n, dtype=np.int32), k)
    places = jnp.stack([rows, given.indices], axis=1)
    vm, mv = jax.jit(lambda x, A: x @ A), jax.jit(lambda z, A: A @ z)
    for name, data in given.weights.items():
        each = jnp.broadcast_to(jnp.asarray(data), (n * k,))  # BCOO knows no other
        A = BCOO((each, places), shape=(n, n), indices_sorted=True)

        def left(x, A=A):  # type: ignore[no-untyped-def]
            return vm(x, A).block_until_ready()

        def right(z, A=A):  # type: ignore[no-untyped-def]
            return mv(z, A).block_until_ready()

        cases |= {
            f"spikes @ A, {name}": {"x @ BCOO": way(left, given.spikes, as_floats)},
            f"x @ A, {name}": {"x @ BCOO": way(left, given.x[None], as_floats)},
            f"A @ z, {name}": {"BCOO @ z": way(right, given.x[None], as_floats)},
        }
    return cases


def as_floats(x: np.ndarray) -> jax.Array:
    return jnp.asarray(x, jnp.float32)


if __name__ == "__main__":
    answer(prepare)
