"""What ranks send each other inside a compiled program."""

import pytest

from tests.mpi.conftest import ranks, start  # noqa: F401 - fixtures

pytestmark = pytest.mark.mpi

SCRIPT = """
import jax, jax.numpy as jnp, numpy as np
from mpi4py import MPI
from distdyn.errors import CapacityError, LaunchError, OperatorError
from distdyn.ops.ranks import gather, swap
from distdyn.parallel import launch

world = launch.world()
line, n, me = world.line(1), world.size, world.rank
assert world.line(1) is line and (line.size, line.rank) == (n, me)

def of(rank, dtype):
    return np.arange(n * 6).reshape(n, 3, 2).astype(dtype) + np.asarray(rank).astype(dtype)

with jax.enable_x64(True):
    for dtype in ("uint8", "bool", "int64", "float32", "float64"):
        mine = jnp.asarray(of(me, dtype))
        every = jax.jit(lambda x: gather(x, line))(mine)
        assert every.dtype == dtype
        np.testing.assert_array_equal(every, np.stack([of(r, dtype) for r in range(n)]))
        ours = jax.jit(lambda x: swap(x, line))(mine)
        np.testing.assert_array_equal(ours, np.stack([of(r, dtype)[me] for r in range(n)]))

    def loop(x):                            # each exchange follows from the one before
        def step(x, _):
            total = gather(x, line).sum(axis=0)
            return swap(jnp.stack([total + r for r in range(n)]), line).sum(axis=0) / n**2, total
        return jax.lax.scan(step, x, None, 50)[0]

    before = world.exchanged()[1]
    found = jax.jit(loop)(jnp.float64(me))
    expected = np.arange(n).sum() / n + me / n
    for _ in range(49):
        expected = np.mean(world.allgather(float(expected))) + me / n
    assert world.exchanged()[1] == before + 100
    np.testing.assert_allclose(found, expected, rtol=1e-12)

    try:
        jax.eval_shape(lambda x: gather(x, line), jax.ShapeDtypeStruct((2**28, 2), "float64"))
    except CapacityError as error:
        assert "4.0 GiB" in str(error)
    else:
        raise AssertionError("too large, and nothing is said")

mine = world.split(me % 2)                  # teams of ranks
assert (mine.size, mine.rank) == ((n + 1 - me % 2) // 2, me // 2)
assert mine.allgather(me) == list(range(me % 2, n, 2))
np.testing.assert_array_equal(mine.sum(np.full(3, me)), np.full(3, sum(range(me % 2, n, 2))))

try:                                        # what has no meaning is said
    jax.jvp(lambda x: gather(x, line), (jnp.ones(3),), (jnp.ones(3),))
except OperatorError as error:
    assert "jax.custom_vjp" in str(error)
else:
    raise AssertionError("it is differentiated")
MPI.Query_thread = lambda: MPI.THREAD_FUNNELED
try:
    world.line(2)
except LaunchError as error:
    assert "MPI_THREAD_MULTIPLE" in str(error)
else:
    raise AssertionError("such an MPI is called from other threads")
if me == 0:
    print("good", flush=True)
"""


@pytest.mark.parametrize("n", [2, 3])
def test_what_is_sent_arrives(ranks, n):  # noqa: F811 - the fixture
    assert ranks(n, SCRIPT, light=True, limit=120.0).out.split() == ["good"]
