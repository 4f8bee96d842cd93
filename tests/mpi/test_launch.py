"""Several ranks find each other, and what they do together gives what it says."""

import json
import os

import pytest

COLLECTIVES = """
import json
import numpy as np
from distdyn.parallel.launch import world

us = world()
whole = np.arange(6, dtype=np.int64).reshape(2, 3)
answer = {
    "place": [us.rank, us.size, us.node, us.nodes, list(us.node_of), us.local_rank, us.local_size],
    "allgather": us.allgather({"rank": us.rank}),
    "gather": us.gather(us.rank),
    "bcast": us.bcast(us.rank + 7),
    "sum": us.sum(2**40 + us.rank),
    "array": us.sum(whole.T * us.rank).tolist(),
    "max": us.max(us.rank), "min": us.min(np.float32(us.rank)).item(),
}
us.barrier()
memory = us.shared(1000)
assert memory.dtype == np.uint8 and memory.shape == (1000,) and not memory.any()
assert memory.ctypes.data % 64 == 0
us.barrier()
memory[us.local_rank] = us.rank + 1
us.barrier()
answer["memory"] = memory[: us.local_size].tolist()
for lines in us.allgather(json.dumps(answer)):
    us.rank == 0 and print(lines)
"""


def answers(out: str) -> list[dict]:
    return [json.loads(line) for line in out.splitlines()]


@pytest.mark.mpi
@pytest.mark.parametrize("per_node", [None, 1, 2])
def test_collectives(ranks, per_node):
    n = 3
    env = {"DISTDYN_RANKS_PER_NODE": str(per_node)} if per_node else {}
    ended = ranks(n, COLLECTIVES, env=env, light=True, limit=20)
    assert ended.err == ""
    nodes = [rank // (per_node or n) for rank in range(n)]
    for rank, answer in enumerate(answers(ended.out)):
        mates = [other for other in range(n) if nodes[other] == nodes[rank]]
        place = [rank, n, nodes[rank], nodes[-1] + 1, nodes, mates.index(rank), len(mates)]
        assert answer["place"] == place
        assert answer["allgather"] == [{"rank": other} for other in range(n)]
        assert answer["gather"] == (list(range(n)) if rank == 0 else None)
        assert answer["bcast"] == 7
        assert answer["sum"] == n * 2**40 + 3
        assert answer["array"] == [[0, 9], [3, 12], [6, 15]]
        assert (answer["max"], answer["min"]) == (n - 1, 0.0)
        assert answer["memory"] == [mate + 1 for mate in mates]


def test_alone(ranks):
    ended = ranks(None, COLLECTIVES + "import sys; assert 'mpi4py' not in sys.modules", light=True)
    (answer,) = answers(ended.out)
    assert answer["place"] == [0, 1, 0, 1, [0], 0, 1]
    assert answer["gather"] == [0] and answer["bcast"] == 7 and answer["memory"] == [1]


@pytest.mark.mpi
def test_cores_are_looked_at(ranks):
    script = """
import os
from distdyn.parallel.launch.cores import look, mask
from distdyn.parallel.launch import world
us = world()
shared = look(us)
if os.cpu_count() > 1:
    os.sched_setaffinity(0, {sorted(mask())[us.rank]})
own = look(us)
us.rank == 0 and print(shared, own, sep="\\n")
"""
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one core cannot be dealt")
    shared, own = ranks(2, script, light=True, limit=20).out.splitlines()
    assert "not bound" in shared and "ranks 0-1 of" in shared and "--cpu-bind=cores" in shared
    assert "1 core per rank, disjoint" in own


@pytest.mark.mpi
def test_shared_memory_takes_only_what_is_used(ranks):
    script = """
import numpy as np, os
from distdyn.errors import PlatformError
from distdyn.parallel.launch import world
us = world()
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGESIZE")
us.shared(64)
before = resident()
memory = us.shared(1 << 28)
assert resident() - before < 1 << 24, resident() - before
memory[us.rank << 20] = 1
us.barrier()
assert memory[: us.size << 20].sum() == us.size
try:
    us.shared(1 << 50)
except PlatformError as error:
    us.rank == 1 and print(error)
"""
    if os.statvfs("/dev/shm").f_bavail * os.statvfs("/dev/shm").f_frsize < 1 << 29:
        pytest.skip("/dev/shm is too small")
    ended = ranks(2, script, light=True, limit=20)
    assert ended.out.startswith("1073741824 MiB of memory shared by the ranks of a node")


@pytest.mark.mpi
def test_alone_by_wish_under_a_launcher(ranks):
    script = "from distdyn.parallel.launch import world\nprint(world().size)"
    ended = ranks(2, script, light=True, limit=20, env={"DISTDYN_LAUNCHER": "none"})
    # Two programs write at once, and the launcher does not keep their lines apart.
    assert "".join(ended.out.split()) == "11"
