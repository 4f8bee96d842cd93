"""Decomposition: every neuron has one owner, and all ways of asking agree."""

import subprocess
import sys

import numpy as np
import pytest

from partition import Decomposition, DecompositionError, Topology, load, round_robin, save


@pytest.mark.parametrize(
    "sizes, parts",
    [
        ((0,), 3),
        ((1,), 1),
        ((1,), 8),
        ((2,), 8),
        ((331,), 7),
        ((10_007,), 3),
        ((4000, 0, 17), 64),
        ((1, 2, 10_007), 2),
        ((), 4),
    ],
)
@pytest.mark.parametrize("block", [1, 16, 1024])
def test_every_neuron_has_exactly_one_owner(sizes, parts, block):
    decomposition = round_robin(sizes, [block] * len(sizes), parts)
    for population, size in enumerate(sizes):
        owned = [decomposition.ids(population, part) for part in range(parts)]
        np.testing.assert_array_equal(np.sort(np.concatenate(owned)), np.arange(size))
        np.testing.assert_array_equal(decomposition.counts(population), [len(x) for x in owned])
        for part, ids in enumerate(owned):
            assert (decomposition.part_of(population, ids) == part).all()
            np.testing.assert_array_equal(
                decomposition.place_of(population, ids), np.arange(len(ids))
            )
    every = [decomposition.gids(part) for part in range(parts)]
    np.testing.assert_array_equal(np.sort(np.concatenate(every)), np.arange(sum(sizes)))
    np.testing.assert_array_equal(decomposition.load(), [len(gids) for gids in every])
    for part, gids in enumerate(every):
        found, local = decomposition.locate(gids)
        assert (found == part).all()
        np.testing.assert_array_equal(local, np.arange(len(gids)))


def test_owners_that_no_method_deals_are_as_good(seed):
    random = np.random.default_rng(seed)
    owners = (random.integers(0, 5, 7), random.integers(0, 5, 1), random.integers(0, 5, 40))
    decomposition = Decomposition((100, 3, 640), (16, 4, 16), owners, 5)
    gids = random.permutation(743)
    part, local = decomposition.locate(gids)
    for p in range(5):
        mine = decomposition.gids(p)
        np.testing.assert_array_equal(mine[local[part == p]], gids[part == p])


def test_blocks_are_dealt_evenly():
    decomposition = round_robin((20_683, 5_834), (512, 128), 4)
    for owner in decomposition.owners:
        counts = np.bincount(owner, minlength=4)
        assert counts.max() - counts.min() <= 1


def test_what_does_not_fit_together_is_refused():
    with pytest.raises(DecompositionError, match="need 3 owners, found 2"):
        Decomposition((40,), (16,), (np.array([0, 1]),), 2)
    with pytest.raises(DecompositionError, match="owned by part 5"):
        Decomposition((40,), (16,), (np.array([0, 1, 5]),), 2)
    with pytest.raises(DecompositionError, match="owned by part -1"):
        Decomposition((40,), (16,), (np.array([0, 1, -1]),), 2)
    with pytest.raises(DecompositionError, match="of type float64"):
        Decomposition((40,), (16,), (np.array([0.0, 1.0, 1.0]),), 2)
    with pytest.raises(DecompositionError, match="parts = 0"):
        round_robin((40,), (16,), 0)
    with pytest.raises(DecompositionError, match="neurons per block = 0"):
        round_robin((40,), (0,), 1)
    with pytest.raises(DecompositionError, match="size = -1"):
        round_robin((-1,), (16,), 1)
    with pytest.raises(DecompositionError, match="2, 1 and 1 populations"):
        Decomposition((40, 2), (16,), (np.array([0, 1, 1]),), 2)
    with pytest.raises(DecompositionError, match=r"topology has 4 \(1 node, 2 ranks, 4 parts\)"):
        Decomposition((40,), (16,), (np.array([0, 1, 1]),), 2, Topology.regular(2, 2))


def test_unknown_neurons_are_refused():
    decomposition = round_robin((40, 2), (16, 16), 2)
    for ids in ([40], [-1], [0, 41]):
        with pytest.raises(DecompositionError, match="are not all among its 40"):
            decomposition.part_of(0, ids)
    with pytest.raises(DecompositionError, match="gid 42 is not one of 42"):
        decomposition.locate([0, 42])


def test_parts_live_on_devices_of_ranks_of_nodes():
    topology = Topology.regular(5, 2, ranks_per_node=2)
    assert (topology.nodes, topology.ranks, topology.parts) == (3, 5, 10)
    assert [topology.place(part) for part in (0, 1, 3, 4, 9)] == [
        (0, 0, 0),
        (0, 0, 1),
        (0, 1, 1),
        (1, 2, 0),
        (2, 4, 1),
    ]
    np.testing.assert_array_equal(topology.nodes_of_parts, [0, 0, 0, 0, 1, 1, 1, 1, 2, 2])
    assert Topology((1, 0, 1)).place(0) == (1, 0, 0)
    for node_of in ((), (1,), (0, 2)):
        with pytest.raises(DecompositionError):
            Topology(node_of)
    with pytest.raises(DecompositionError, match="part 10 is not one of the 10"):
        topology.place(10)


def test_equal_decompositions_are_equal_and_hash_alike():
    one, same = round_robin((331, 5), (16, 16), 3), round_robin((331, 5), (16, 16), 3)
    assert one == same and hash(one) == hash(same) and one.digest() == same.digest()
    others = [
        round_robin((332, 5), (16, 16), 3),
        round_robin((331, 5), (32, 16), 3),
        round_robin((331, 5), (16, 16), 4),
        round_robin((331, 5), (16, 16), Topology.regular(3, 1)),
        Decomposition((331, 5), (16, 16), (one.owners[0][::-1], one.owners[1]), 3),
    ]
    assert all(one != other for other in others)
    assert len({one, same, *others}) == 6


def test_owners_cannot_be_changed_afterwards():
    owner = np.array([0, 1, 1])
    decomposition = Decomposition((40,), (16,), (owner,), 2)
    owner[0] = 1
    assert decomposition.owners[0][0] == 0
    with pytest.raises(ValueError, match="read-only"):
        decomposition.owners[0][0] = 1


def test_a_saved_decomposition_is_the_same(tmp_path):
    decomposition = round_robin((331, 0, 7), (16, 4, 1), Topology((0, 1, 1), 2))
    save(decomposition, tmp_path / "who.npz")
    again = load(tmp_path / "who.npz")
    assert again == decomposition
    assert again.topology == decomposition.topology
    assert [path.name for path in tmp_path.iterdir()] == ["who.npz"]


def test_a_file_that_is_something_else_is_refused(tmp_path):
    path = tmp_path / "who.npz"
    path.write_text("not an archive")
    with pytest.raises(DecompositionError, match="is not a decomposition"):
        load(path)
    np.savez(path, head=np.arange(3))
    with pytest.raises(DecompositionError, match="is not a decomposition"):
        load(path)
    np.savez(path, head=np.frombuffer(b'{"kind": "tea"}', np.uint8))
    with pytest.raises(DecompositionError, match="is not a decomposition"):
        load(path)
    np.save(path.with_suffix(".npy"), np.arange(3))
    with pytest.raises(DecompositionError, match="is not a decomposition"):
        load(path.with_suffix(".npy"))
    head = b'{"kind": "distdyn decomposition", "version": 9}'
    np.savez(path, head=np.frombuffer(head, np.uint8))
    with pytest.raises(DecompositionError, match="version 9; this program reads version 1"):
        load(path)
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nowhere.npz")


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / "who.npz"
    save(round_robin((331,), (16,), 3), path)
    whole = path.read_bytes()
    for cut in (0, 10, len(whole) // 2, len(whole) - 30):
        path.write_bytes(whole[:cut])
        with pytest.raises(DecompositionError):
            load(path)
    with np.load(path.parent / _rewritten(path, whole)) as archive:
        changed = dict(archive)
    changed["owner0"] = changed["owner0"][::-1].copy()
    np.savez(path, **changed)
    with pytest.raises(DecompositionError, match="digest"):
        load(path)


def _rewritten(path, content):
    path.write_bytes(content)
    return path.name


BILLION = """
import resource, time
from partition import round_robin
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.perf_counter()
d = round_robin((4 * 10**9, 10**9), (1024, 1024), 4096)
load = d.load()
part, local = d.locate([0, 2**31 + 5, 5 * 10**9 - 1])
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
assert load.sum() == 5 * 10**9 and load.max() - load.min() <= 2048
assert d.gids(int(part[2]))[local[2]] == 5 * 10**9 - 1
assert d.gids(int(part[1]))[local[1]] == 2**31 + 5
"""


def test_billions_of_neurons_cost_as_much_as_their_blocks():
    done = subprocess.run(
        [sys.executable, "-c", BILLION], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    seconds, kilobytes = map(float, done.stdout.split())
    assert seconds < 5  # 0.5 s on a quiet machine, for five million blocks
    assert kilobytes < 500_000
