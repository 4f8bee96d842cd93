"""Spikes between parts are counted: nothing is lost, and what is lost ends the run on all ranks."""

import json

import pytest

import distdyn as dd
from distdyn.zoo import by_name

pytestmark = pytest.mark.mpi

COUNT = """
import json, sys
import distdyn as dd
from distdyn.errors import ExchangeError
from distdyn.parallel.exchange.remote import Remote
from distdyn.parallel.launch import world
from distdyn.zoo import by_name

us = world()
devices = int(sys.argv[1]) if len(sys.argv) > 1 else 1

def build():
    return dd.DSRunner(by_name("coba")(n=400), dt=0.1, seed=1, devices=devices, progress="off",
                       watchdog=30.0)

def said(call):
    try:
        call()
        text = None
    except ExchangeError as error:
        text = str(error)
    return us.allgather(text)

found = {}
runner = build()
runner.run(30.0)
runner.run(0.7, every=0.1, call=lambda r: None)
runner.run(19.3)
found["counters"] = runner.counters()
"""
END = "us.rank == 0 and print(json.dumps(found), flush=True)\n"

LOST = """
class Leaky(Remote):
    # One spike of the last step that has one is gone, and nobody says so.
    def _unpack(self, rank, start, steps, message):
        n = self.devices * len(self.groups) * steps
        if us.rank == 1 and message[:n].any():
            message = message[:-1].copy()
            message[message[:n].nonzero()[0][-1]] -= 1
        super()._unpack(rank, start, steps, message)

remote = runner._shard.near.remote
remote.__class__ = Leaky
found["message"] = said(lambda: runner.run(50.0))

runner = build()
runner.run(5.0)
if us.rank == 1:  # a spike that its reader has not seen
    near = runner._shard.near
    near._layout.taken_out(near.memory, near.near_parts.index(1))[0] -= 1
found["mailbox"] = said(lambda: runner.run(1.0))

runner = build()
runner.run(5.0)
if us.rank == 2 and runner._shard.near.remote.received[0].any():
    remote.layout.taken_out(runner._shard.near.remote.memory, 0)[0] += 2
found["inbox"] = said(lambda: runner.run(1.0))
"""


@pytest.fixture(scope="module")
def emitted():
    """How many spikes one process has, and through how many tables they go."""
    runner = dd.DSRunner(by_name("coba")(n=400), dt=0.1, seed=1, progress="off", record="spikes")
    n = sum(runner.run(50.0).counts().values())
    tables = len(runner._shard.built.tables)
    assert runner.counters() == {"emitted": n, "sent": 0, "received": 0, "delivered": tables * n}
    return n, tables


@pytest.mark.parametrize(
    "n, devices",
    [
        (2, 1),
        pytest.param(2, 2, marks=pytest.mark.slow),
        pytest.param(3, 1, marks=pytest.mark.slow),
    ],
)
def test_sums_agree_inside_a_node(ranks, emitted, n, devices):
    found = json.loads(ranks(n, COUNT + END, str(devices)).out)["counters"]
    spikes, tables = emitted
    others = n * devices - 1
    assert found["emitted"] == spikes
    assert found["sent"] == found["received"] == others * spikes
    assert found["delivered"] == tables * n * devices * spikes


def test_a_lost_spike_is_an_error_on_all_ranks(ranks, emitted):
    """Three ranks on two nodes: mailboxes between ranks 0 and 1, messages to and from rank 2."""
    ended = ranks(3, COUNT + LOST + END, env={"DISTDYN_RANKS_PER_NODE": "2"}, limit=120.0)
    found = json.loads(ended.out)
    spikes, tables = emitted
    counters = found.pop("counters")
    assert counters["emitted"] == spikes
    # Once from each of two ranks to the other, and whatever rank 2 has and wants.
    assert counters["sent"] == counters["received"]
    assert spikes < counters["sent"] <= 2 * spikes
    assert counters["delivered"] <= tables * 3 * spikes
    for texts in found.values():
        assert len(set(texts)) == 1 and texts[0] is not None, found
        assert "were lost or doubled on their way" in texts[0] and 'spikes of "E", "I"' in texts[0]
    assert "rank 2 has sent" in found["message"][0] and "to rank 1" in found["message"][0]
    assert "part 1 has read" in found["mailbox"][0]
    assert "that came from other nodes" in found["inbox"][0]
