"""One JAX over two processes: they compute together, or say within the limit who is missing."""

import socket

import pytest

pytestmark = pytest.mark.mpi

SUM = """
import sys
import jax
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from distdyn.parallel.launch.distributed import Meeting, start_distributed
from distdyn.parallel.launch import world
jax.config.update("jax_platforms", "cpu")
if len(sys.argv) > 1:
    start_distributed(Meeting(sys.argv[1], 2, int(sys.argv[2])), timeout=30.0)
else:
    start_distributed(us=world(), timeout=30.0)
mesh = jax.make_mesh((2,), ("part",), axis_types=(AxisType.Auto,))
here = NamedSharding(mesh, PartitionSpec("part"))
x = jax.make_array_from_callback((2,), here, lambda index: jax.numpy.arange(2.0)[index] + 1)
add = jax.shard_map(lambda x: jax.lax.psum(x, "part"), mesh=mesh, in_specs=PartitionSpec("part"),
                    out_specs=PartitionSpec())
total = jax.jit(add)(x).addressable_data(0).tolist()
sys.stdout.write(f"sum {total} {jax.process_count()}\\n")  # at once, or two processes mix
sys.stdout.flush()
jax.distributed.shutdown()
"""
PRODUCTS = """
import sys
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
from distdyn.parallel.launch.distributed import start_distributed
from distdyn.parallel.launch import world
jax.config.update("jax_platforms", "cpu")
start_distributed(us=world(), timeout=30.0)
import distdyn as dd
import equinox as eqx
mesh = jax.make_mesh((2,), ("neuron",), axis_types=(AxisType.Auto,))
rng = np.random.default_rng(0)
column, data = rng.integers(0, 20, 90), rng.normal(size=90).astype(np.float32)
A = dd.CSR((data, column, 3 * np.arange(31)), shape=(30, 20))
x = rng.normal(size=30).astype(np.float32)
dense = A.todense()
expected = jax.grad(lambda x: jnp.sum(jnp.sin(x @ dense)))(x)
for by in ("rows", "columns"):
    S = A.split(mesh, "neuron", by)
    def loss(S, x):
        return jnp.sum(jnp.sin(x @ S))
    slope = jax.jit(jax.grad(loss, 1), out_shardings=NamedSharding(mesh, P()))(
        S, jax.device_put(x, NamedSharding(mesh, P()))
    )
    right = np.allclose(slope.addressable_data(0), expected, atol=1e-5)
    sys.stdout.write(f"{by} {right} {jax.process_count()}\\n")
sys.stdout.flush()
jax.distributed.shutdown()
"""
MEET = """
import sys
from distdyn.parallel.launch.distributed import Meeting, start_distributed
start_distributed(Meeting(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])), timeout=2.0)
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize("how", ["mpirun", "addresses"])
def test_two_processes_add(start, how):
    if how == "mpirun":
        ended = [start(2, SUM, light=True).wait(60.0)]
    else:
        address = f"127.0.0.1:{free_port()}"
        jobs = [start(None, SUM, address, str(index), light=True) for index in (1, 0)]
        ended = [job.wait(60.0) for job in jobs]
    assert not any(each.code for each in ended), ended
    assert sum(each.out.count("sum [3.0] 2") for each in ended) == 2, ended


def test_a_matrix_is_split_over_two_processes(ranks):
    out = ranks(2, PRODUCTS).out
    assert out.count("rows True 2") == 2 and out.count("columns True 2") == 2, out


@pytest.mark.parametrize(
    "index, words",
    [(0, "of 3 processes ranks 1-2 did not come"), (1, "cannot reach process 0")],
)
def test_a_process_that_waits_alone_says_for_whom(ranks, index, words):  # D24
    address = f"127.0.0.1:{free_port()}"
    ended = ranks(None, MEET, address, "3", str(index), light=True, limit=15.0, ok=False)
    print(f"MEASURED coordinator missing, limit 2 s: {ended.seconds:.2f} s")
    assert ended.code == 1
    assert "LaunchError" in ended.err and words in ended.err and address in ended.err


def test_a_host_without_a_name(ranks):  # D24
    ended = ranks(None, MEET, "nowhere.invalid:4242", "2", "1", light=True, limit=30.0, ok=False)
    assert ended.code == 1
    assert "LaunchError" in ended.err and "nowhere.invalid:4242" in ended.err


def test_a_port_in_use(ranks):  # D24
    with socket.socket() as other:
        other.bind(("", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        ended = ranks(None, MEET, address, "2", "0", light=True, limit=15.0, ok=False)
    print(f"MEASURED port in use: {ended.seconds:.2f} s")
    assert ended.code == 1
    assert "LaunchError" in ended.err and f"cannot listen at {address}" in ended.err
