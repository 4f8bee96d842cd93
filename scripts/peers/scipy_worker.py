"""scipy.sparse multiplies by a stored matrix (`products`).

By the matrix itself, by its transposed in CSR, and with spikes as a sparse matrix of one row. The
last touches the rows of spikes alone; the vector is made sparse before the time is taken, and the
product stays sparse.
"""

from collections.abc import Iterator

import numpy as np
import scipy
from scipy.sparse import csr_array

from peers.answering import answer
from peers.products import Way, answers, stay_on, stored, way


def prepare(request: dict) -> Iterator[dict]:
    """Make the matrices, and then multiply whenever asked.

    Args:
        request: `core`, `seconds` and `stored`, as `matrices.REQUEST` says it.
    """
    stay_on(request["core"])
    version = scipy.__version__
    yield from answers(of_stored(**request["stored"]), request["seconds"], version=version)


def of_stored(n: int, k: int, active: float, seed: int) -> dict[str, dict[str, Way]]:
    given, cases = stored(n, k, active, seed), {}
    for name, data in given.weights.items():
        each = np.broadcast_to(data, n * k).copy()  # SciPy knows no other
        A = csr_array((each, given.indices, given.indptr), shape=(n, n))
        AT = A.T.tocsr()

        def left(x, A=A):  # type: ignore[no-untyped-def]
            return x @ A

        def left_transposed(x, AT=AT):  # type: ignore[no-untyped-def]
            return AT @ x

        def right(z, A=A):  # type: ignore[no-untyped-def]
            return A @ z

        def right_transposed(z, AT=AT):  # type: ignore[no-untyped-def]
            return z @ AT

        cases |= {
            f"spikes @ A, {name}": {
                "x @ csr": way(left, given.spikes, as_floats),
                "csr_of_transposed @ x": way(left_transposed, given.spikes, as_floats),
            },
            f"sparse spikes @ A, {name}": {"csr @ csr": way(left, given.spikes, as_row)},
            f"x @ A, {name}": {
                "x @ csr": way(left, given.x[None], as_floats),
                "csr_of_transposed @ x": way(left_transposed, given.x[None], as_floats),
            },
            f"A @ z, {name}": {
                "csr @ z": way(right, given.x[None], as_floats),
                "z @ csr_of_transposed": way(right_transposed, given.x[None], as_floats),
            },
        }
    return cases


def as_floats(x: np.ndarray) -> np.ndarray:
    return x.astype(np.float32)


def as_row(x: np.ndarray) -> csr_array:
    return csr_array(x.astype(np.float32)[None])


if __name__ == "__main__":
    answer(prepare)
