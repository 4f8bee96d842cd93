"""The exchange between nodes, on real ranks. Every rank checks what it receives."""

import json

import pytest

pytestmark = pytest.mark.mpi

# Lists that every rank can make again: those from `source` to `target` in exchange k.
BEGIN = """
import hashlib, json, time
import numpy as np
from mpi4py import MPI
from distdyn.errors import ExchangeError
from distdyn.parallel.exchange.messages import Messages, who_needs

comm = MPI.COMM_WORLD
rank, size = comm.rank, comm.size
others = [r for r in range(size) if r != rank]

def spikes(k, source, target, count):
    return np.random.default_rng([k, source, target]).integers(0, 2**31 - 1, count, np.int32)

def report(**values):
    everything = comm.gather(values)
    if rank == 0:
        print(json.dumps(everything), flush=True)
"""


def reports(ended) -> list[dict]:
    """What the ranks reported, by rank."""
    return json.loads(ended.out.splitlines()[-1])


def test_silence_then_a_burst(ranks):
    """D20: room for 8, nothing for 1,000 exchanges, then 10,000 spikes at once, then 100 more."""
    script = """
m = Messages(comm, others, others, capacity=8)
for k in range(1100):
    count = 10_000 if k == 1000 else 0 if k < 1000 else 9
    got = m.swap({r: spikes(k, rank, r, count) for r in others} if count else {})
    assert list(got) == others
    for r in others:
        assert got[r].dtype == np.int32
        assert np.array_equal(got[r], spikes(k, r, rank, count))
report(growth=m.growth, sent=m.spikes_sent, received=m.spikes_received, exchanges=m.exchanges)
"""
    for rank, seen in enumerate(reports(ranks(2, BEGIN + script, light=True))):
        assert sorted(seen["growth"]) == [[1000, 0, 1, 8, 10_000], [1000, 1, 0, 8, 10_000]], rank
        assert seen["sent"] == seen["received"] == 10_000 + 99 * 9
        assert seen["exchanges"] == 1100


def test_a_burst_in_every_exchange(ranks):
    """Lists of any length, mostly longer than ever before, arrive as through a large buffer."""
    script = """
digests = []
sizes = {(k, a, b): int(n) for k in range(60) for a in range(size) for b in range(size)
         for n in [np.random.default_rng([k, a, b, 1]).integers(0, 8 + k * k * 8)]}
for capacity in (8, 100_000):
    m = Messages(comm, others, others, capacity=capacity)
    digest = hashlib.sha256()
    for k in range(60):
        got = m.swap({r: spikes(k, rank, r, sizes[k, rank, r]) for r in others})
        for r in others:
            assert np.array_equal(got[r], spikes(k, r, rank, sizes[k, r, rank]))
            digest.update(got[r])
    digests.append(digest.hexdigest())
    assert all(g.new > g.old for g in m.growth)
    assert bool(m.growth) == (capacity == 8)
    sent, received = comm.allreduce(m.spikes_sent), comm.allreduce(m.spikes_received)
    assert sent == received == sum(n for (k, a, b), n in sizes.items() if a != b)
report(digests=digests)
"""
    for seen in reports(ranks(3, BEGIN + script, light=True)):
        assert seen["digests"][0] == seen["digests"][1]


def test_one_way_and_no_neighbours(ranks):
    """0 sends to 1 only, 2 talks to nobody, and 0 cannot run ahead of a reader that is slow."""
    script = """
m = Messages(comm, [1] if rank == 0 else [], [0] if rank == 1 else [], capacity=8)
comm.Barrier()
begin = time.perf_counter()
if rank == 1:
    time.sleep(0.5)
first = m.swap({1: spikes(0, 0, 1, 3)} if rank == 0 else {})
seconds = time.perf_counter() - begin
for k in range(1, 200):
    got = m.swap({1: spikes(k, 0, 1, k)} if rank == 0 else {})
    assert [*got] == ([0] if rank == 1 else [])
    if rank == 1:
        assert np.array_equal(got[0], spikes(k, 0, 1, k))
report(seconds=seconds, sent=m.spikes_sent, received=m.spikes_received)
"""
    writer, reader, alone = reports(ranks(3, BEGIN + script, light=True))
    assert writer["sent"] == reader["received"] == 3 + sum(range(1, 200))
    assert writer["received"] == reader["sent"] == alone["sent"] == alone["received"] == 0
    assert writer["seconds"] > 0.4
    assert alone["seconds"] < 0.4


def test_flags_are_the_largest_of_the_neighbours(ranks):
    script = """
left, right = (rank - 1) % size, (rank + 1) % size
m = Messages(comm, [right], [left])
seen = []
for flags in (0, rank + 1, 0):
    m.swap({}, flags=flags)
    seen.append(m.flags)
both = Messages(comm, others, others)
both.swap({}, flags=[10, 20, 0][rank])
report(seen=[*seen, both.flags])
"""
    seen = [seen["seen"] for seen in reports(ranks(3, BEGIN + script, light=True))]
    assert seen == [[0, 3, 0, 20], [0, 1, 0, 10], [0, 2, 0, 20]]


def test_arrays_may_change_between_start_and_finish(ranks):
    """Ours as soon as it has started; theirs we may read until the exchange after next starts."""
    script = """
m = Messages(comm, others, others, capacity=8)
before = None
count = [5 * k % 23 for k in range(20)] + [200_000]  # the last is not sent before it is asked for
for k in range(21):
    lists = {r: spikes(k, rank, r, count[k]) for r in others}
    m.start(lists)
    for values in lists.values():
        values[:] = -1
    now = m.finish()
    if before is not None:
        for r in others:
            assert np.array_equal(before[r], spikes(k - 1, r, rank, count[k - 1]))
    before = now
assert all(np.array_equal(now[r], spikes(20, r, rank, count[20])) for r in others)
report()
"""
    reports(ranks(3, BEGIN + script, light=True))


def test_a_silent_rank_is_an_error_in_time(ranks):
    """The one that waits for it and the one that only sends to it name it."""
    script = """
told = []
m = {0: lambda: Messages(comm, [1, 2], [1, 2], capacity=8, timeout=2., on_wait=told.append),
     1: lambda: Messages(comm, [0], [0, 2], capacity=8, timeout=2.),
     2: lambda: Messages(comm, [0, 1], [0], capacity=8, timeout=2.)}[rank]()
for k in range(5):
    m.swap({})
begin = time.perf_counter()
error = None
if rank != 1:
    try:
        m.swap({r: spikes(5, rank, r, 20) for r in m._outgoing})
    except ExchangeError as e:
        error = str(e)
seconds = time.perf_counter() - begin
report(error=error, seconds=seconds, told=len(told))
"""
    waiting, silent, sending = reports(ranks(3, BEGIN + script, light=True, limit=30))
    assert silent["error"] is None
    for seen, rank in ((waiting, 0), (sending, 2)):
        assert 1.9 < seen["seconds"] < 4
        assert f"exchange 5: rank {rank} waited 2 s" in seen["error"]
    assert "nothing came from rank 1. Look" in waiting["error"]
    assert "what we sent was not taken by rank 1. Look" in sending["error"]
    assert waiting["told"] > 10


def test_a_list_beyond_the_limit_is_an_error_on_both_sides(ranks):
    script = """
m = Messages(comm, others, others, capacity=8, most=100)
for r, count in [(0, 100), (1, 100)]:
    m.swap({r: spikes(0, rank, r, count)} if r != rank else {})
error = None
try:
    got = m.swap({1: spikes(2, 0, 1, 101)} if rank == 0 else {})
except ExchangeError as e:
    error = str(e)
report(error=error, sent=m.spikes_sent, received=m.spikes_received)
"""
    sender, reader, other = reports(ranks(3, BEGIN + script, light=True))
    assert "101 values from rank 0 to 1, but most = 100" in sender["error"]
    assert "101 values from rank 0 to 1, but most = 100" in reader["error"]
    assert other["error"] is None
    # The list that was refused is on neither side's account.
    assert [seen["sent"] for seen in (sender, reader, other)] == [100, 100, 200]
    assert [seen["received"] for seen in (sender, reader, other)] == [200, 200, 0]


def test_ranks_at_different_exchanges_are_an_error(ranks):
    script = """
m = Messages(comm, others, others)
m.exchanges = 7 * rank
try:
    m.swap({})
    error = None
except ExchangeError as e:
    error = str(e)
report(error=error)
"""
    first, second = reports(ranks(2, BEGIN + script, light=True))
    assert "exchange 0 of rank 0: rank 1 is at its exchange 7" in first["error"]
    assert "exchange 7 of rank 1: rank 0 is at its exchange 0" in second["error"]


def test_who_needs_whom(ranks):
    script = """
def need(reader, owner, cells, p):
    return np.random.default_rng([reader, owner, cells]).random(cells) < p

for sizes in ([8, 9, 1], [1000, 0, 77], [0, 0, 0], [3, 100_001, 8]):
    for p in (0., .3, 1.):
        needs = {r: need(rank, r, sizes[r], p) for r in others}
        got = who_needs(comm, needs, piece=7)
        want = {r: need(r, rank, sizes[rank], p) for r in others}
        want = {r: bits for r, bits in want.items() if bits.any()}
        assert list(got) == list(want)
        for r in got:
            assert got[r].dtype == bool and np.array_equal(got[r], want[r])
# One rank needs one other; the rest says nothing at all.
got = who_needs(comm, {0: np.array([False, True])} if rank == 2 else {})
assert {r: bits.tolist() for r, bits in got.items()} == ({2: [False, True]} if rank == 0 else {})
report()
"""
    reports(ranks(3, BEGIN + script, light=True))


def test_ranks_that_stumble_receive_the_same(ranks):
    """D21: 8 ranks on however few cores, random pauses, 20 times: the same bits every time."""
    script = """
pause = np.random.default_rng()  # different in every run, as the machine's load is
linked = np.random.default_rng(1).random((size, size)) < .4
send_to = [r for r in others if linked[rank, r]]
receive_from = [r for r in others if linked[r, rank]]
digests = set()
for repeat in range(20):
    m = Messages(comm, send_to, receive_from, capacity=8)
    digest = hashlib.sha256()
    for k in range(25):
        if pause.random() < .2:
            time.sleep(pause.random() * 2e-3)
        m.start({r: spikes(k, rank, r, 3 * k + r) for r in send_to})
        if pause.random() < .1:
            time.sleep(pause.random() * 2e-3)
        got = m.finish()
        for r in receive_from:
            assert np.array_equal(got[r], spikes(k, r, rank, 3 * k + rank))
            digest.update(got[r])
    digests.add(digest.hexdigest())
report(digests=len(digests), sent=m.spikes_sent, received=m.spikes_received)
"""
    seen = reports(ranks(8, BEGIN + script, light=True))
    assert [each["digests"] for each in seen] == [1] * 8
    assert sum(each["sent"] for each in seen) == sum(each["received"] for each in seen) > 0
