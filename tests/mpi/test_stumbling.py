"""Ranks that stumble on a machine that is busy: the same spikes, 200 times."""

import json
import os

import pytest

pytestmark = [pytest.mark.mpi, pytest.mark.slow]

REPEATS = 20  # in one job
LIMIT = 900.0  # s; pytest itself ends at 960
GOLDEN = "27c659d3bf2f70b8fe8f7e1e649750b97b4ef82876d37d49f5dde9376d7be026"  # GN1, 100 ms

SCRIPT = f"""
import json, random, sys, time
sys.path.insert(0, {os.path.dirname(__file__)!r})
from same import Golden
import distdyn as dd
from distdyn.parallel.exchange.neighbours import Neighbours
from distdyn.parallel.launch import world

us, repeats = world(), int(sys.argv[1])
clock = random.Random()  # another one in each rank and each run
plain = Neighbours.begin_chunk, Neighbours.end_chunk

def stumble():
    if clock.random() < 0.01:
        time.sleep(clock.expovariate(1 / 4e-3))

def begin(near):
    stumble()
    plain[0](near)

def end(near, *given):
    stumble()
    plain[1](near, *given)
    stumble()

Neighbours.begin_chunk, Neighbours.end_chunk = begin, end
runner = dd.DSRunner(Golden(), dt=0.1, seed=1, precision="float64", record="spikes",
                     progress="off", watchdog=60.0)
hashes, counters = set(), set()
for _ in range(repeats):
    runner.reset()
    recording = runner.run(100.0, every=10.0, call=lambda r: stumble())
    hashes.add(recording.spikes_sha256())
    counters.add(tuple(runner.counters().values()))
us.rank == 0 and print(json.dumps([sorted(hashes), sorted(counters)]), flush=True)
"""
BUSY = """
import os, time
end = time.monotonic() + 3600
while os.getppid() > 1 and time.monotonic() < end: pass
"""


@pytest.mark.parametrize(
    ("n", "per_node", "job"), [*((3, 2, job) for job in range(8)), (8, 4, 8), (8, 4, 9)]
)
def test_one_hash(start, n, per_node, job):  # D21
    """On nodes of several ranks, beside a program that takes a core: GN1's spikes, 662 of them."""
    busy = start(None, BUSY)
    env = {"DISTDYN_RANKS_PER_NODE": str(per_node)}
    ended = start(n, SCRIPT, str(REPEATS), env=env).wait(LIMIT)
    busy.kill()
    assert ended.code == 0, ended.err
    hashes, counters = json.loads(ended.out.splitlines()[-1])
    assert hashes == [GOLDEN]
    ((emitted, sent, received, _),) = counters
    assert emitted == 662 and sent == received > 0
    print(f"MEASURED job {job}: {REPEATS} runs on {n} ranks, {ended.seconds:.0f} s")
