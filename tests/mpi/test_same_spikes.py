"""The promise: the same spikes, bit for bit, on any number of ranks, devices and nodes."""

import json
from pathlib import Path

import pytest

SCRIPT = str(Path(__file__).with_name("same.py"))
# of the first 100 ms and of 1 s: tests/validation/test_golden.py
GOLDEN = "27c659d3bf2f70b8fe8f7e1e649750b97b4ef82876d37d49f5dde9376d7be026"
WHOLE = "52ded88a9f83722ba800501cdbf96224b426b669f34c43226349989a04e515f6"
SMALL = ("golden", "brunel", "varied", "gaps", "alone", "areas", "structured", "stored")
# Adaptation, channels, noise, a past, a fractional order; synapses that learn; couplings.
STATES = ("memory", "cobahh", "plastic", "coupled")
ALL = (*SMALL, "whole", "coba", "dc", "poisson")


@pytest.fixture
def hashes(ranks):
    """`hashes(n, devices, *networks)`: what each network's spikes are on so many parts.

    Most of the time of such a job is its start, and compilation: it runs as many as it can.
    """

    def run(n, devices, *networks, per_node=None, options=(), limit=600.0):
        env = {"DISTDYN_RANKS_PER_NODE": str(per_node)} if per_node else {}
        words = [SCRIPT, "--devices", str(devices), *options, *networks]
        ended = ranks(n, words, env=env, limit=limit)
        return json.loads(ended.out.strip().split("\n")[-1])

    return run


@pytest.fixture(scope="session")
def expected():
    return {}


def on_one(hashes, expected, networks, what="hash", limit=600.0):
    """The spikes, or all states, of one process with one device, computed once."""
    missing = [name for name in networks if name not in expected]
    if missing:
        found = hashes(None, 1, *missing, options=["--states"], limit=limit)
        assert all(each["spikes"] > 30 for each in found.values())
        expected.update(found)
    for name, known in (("golden", GOLDEN), ("whole", WHOLE)):
        assert name not in expected or expected[name]["hash"] == known
    return {name: expected[name][what] for name in networks}


def only(found, what="hash"):
    return {name: each[what] for name, each in found.items()}


def test_one_process_has_the_golden_spikes(hashes, expected):
    assert on_one(hashes, expected, (*SMALL, *STATES))["golden"] == GOLDEN
    for name in STATES:
        counts = expected[name]["counts"]
        assert [path for path in counts if counts[path] < 10] == []


@pytest.mark.parametrize(
    ("n", "devices", "per_node"),
    [
        (2, 2, 1),  # two nodes with two devices each: all roads at once
        pytest.param(3, 2, 2, marks=pytest.mark.slow),
        pytest.param(2, 1, None, marks=pytest.mark.slow),
        pytest.param(None, 3, None, marks=pytest.mark.slow),
    ],
)
def test_any_ranks_devices_and_nodes(hashes, expected, n, devices, per_node):
    """Spikes, all states and weights that have been learned, to the bit; rows drawn again."""
    networks, options = (*SMALL, *STATES), ["--states"]
    found = hashes(n, devices, *networks, "procedural", per_node=per_node, options=options)
    assert found.pop("procedural")["hash"] == found["stored"]["hash"]
    for what in ("hash", "state"):
        assert only(found, what) == on_one(hashes, expected, networks, what)


def test_a_node_with_a_single_part_among_others(hashes, expected):
    """Two ranks, and one by itself, which has nobody in its node to exchange with."""
    found = hashes(3, 1, "pair", per_node=2)
    assert only(found) == on_one(hashes, expected, ["pair"])


@pytest.mark.slow  # cells alone are what `tests/contracts/test_cells.py` cuts, for all of them
def test_every_cell_channel_and_rate(hashes, expected):
    """Every cell of the library, one with all channels, and every rate, some of each on all parts.

    What there is besides spikes, each kind once, is in `test_any_ranks_devices_and_nodes`.
    """
    networks, options = ("everyone", "rates"), ["--states"]
    many = hashes(2, 2, *networks, per_node=1, options=options)
    for what in ("hash", "state"):
        assert only(many, what) == on_one(hashes, expected, networks, what)
    for name in networks:
        counts = many[name]["counts"]
        assert [path for path in counts if counts[path] < 10] == []


def test_weights_over_time_on_two_nodes(ranks, tmp_path):
    """Gathered from memory, and from files of which one is made."""
    script = f"""
import hashlib, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import distdyn as dd
from same import Plastic

record = [dd.every(25.0, "voltage.weight"), dd.every(50.0, "scaled.weight", ids=[400, 7])]
for out in (None, {str(tmp_path / "run")!r}):
    with dd.DSRunner(Plastic(), dt=0.1, seed=7, record=record, out=out, overwrite=True) as runner:
        whole = runner.run(100.0).gather()
    if runner.world.rank == 0:
        for name in ("voltage.weight", "scaled.weight"):
            value = whole.traces[name].value
            print(name, value.shape, hashlib.sha256(value.tobytes()).hexdigest(), flush=True)
"""
    one = ranks(None, script).out.strip().splitlines()[-4:]
    two = ranks(2, script, env={"DISTDYN_RANKS_PER_NODE": "1"}).out.strip().splitlines()[-4:]
    assert one == two and one[:2] == one[2:]
    assert one[0].startswith("voltage.weight (4, ") and "(2, 2)" in one[1]


def test_areas_on_nodes_of_their_own_exchange_seldom(hashes, expected):
    found = hashes(2, 1, "areas", per_node=1, options=["--areas"])["areas"]
    assert found["hash"] == on_one(hashes, expected, ["areas"])["areas"]
    assert found["intervals"] == [None, 50]  # 5 ms between the areas, 0.1 ms inside
    assert found["exchanges"] == 1000 // 50


@pytest.mark.slow
def test_areas_of_two_ranks_each(hashes, expected):
    found = hashes(4, 1, "areas", per_node=2, options=["--areas"])["areas"]
    assert found["hash"] == on_one(hashes, expected, ["areas"])["areas"]
    assert found["intervals"] == [1, 50]
    assert found["exchanges"] == 20


@pytest.mark.slow
def test_computing_while_spikes_travel(hashes, expected):
    options = ["--areas", "--overlap"]
    found = hashes(2, 1, "areas", per_node=1, options=options)["areas"]
    assert found["hash"] == on_one(hashes, expected, ["areas"])["areas"]
    assert found["intervals"] == [None, 25]  # half as long: what was sent is read a chunk later
    assert found["exchanges"] == 40


@pytest.mark.slow
@pytest.mark.parametrize("devices", [1, 2, 4])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_states_and_weights_on_the_whole_grid(hashes, expected, n, devices):
    networks = *STATES, "decision"
    given = {"options": ["--states"], "limit": 1200.0}
    for per_node in (None, 1) if n > 1 else (None,):
        many = hashes(n, devices, *networks, per_node=per_node, **given)
        for what in ("hash", "state"):
            assert only(many, what) == on_one(hashes, expected, networks, what, limit=1200.0)


@pytest.mark.slow
@pytest.mark.parametrize("devices", [1, 2, 4, 8])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 7])
def test_the_whole_grid(hashes, expected, n, devices):
    found = hashes(n, devices, *ALL, limit=900.0)
    assert only(found) == on_one(hashes, expected, ALL, limit=900.0)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "devices", "per_node"), [(2, 2, 1), (4, 1, 2), (4, 2, 1), (7, 1, 3)])
def test_nodes(hashes, expected, n, devices, per_node):
    found = hashes(n, devices, *ALL, per_node=per_node, limit=900.0)
    assert only(found) == on_one(hashes, expected, ALL, limit=900.0)


@pytest.mark.slow
def test_twenty_repeats_on_an_oversubscribed_machine(hashes, expected):
    for _ in range(20):
        found = hashes(8, 1, "brunel", per_node=4, limit=300.0)
        assert only(found) == on_one(hashes, expected, ["brunel"])


def test_one_program_over_all_ranks(hashes, expected, ranks):
    """The road of the GPUs: jax.distributed, one mesh, collectives inside jit."""
    env = {"DISTDYN_COLLECTIVES": "1"}
    ended = ranks(2, [SCRIPT, "--devices", "2", "alone", "pair"], env=env, limit=240.0)
    found = json.loads(ended.out.strip().split("\n")[-1])
    assert found["pair"]["exchanges"] == 0  # no messages: the mesh spans both ranks
    assert found["pair"]["intervals"] == [4, None]
    assert only(found) == on_one(hashes, expected, ["alone", "pair"])


@pytest.mark.slow
def test_a_plan_is_run(ranks, tmp_path):
    file = str(tmp_path / "plan.npz")
    network = COMMAND[3:6]
    words = ["-m", "distdyn", "plan", *network, "--ranks", "2", "--method", "contiguous"]
    ranks(None, [*words, "--save", file])
    one = hash_of(ranks(None, COMMAND))
    assert hash_of(ranks(2, [*COMMAND, "--decomposition", file])) == one
    refused = ranks(None, [*COMMAND, "--decomposition", file], ok=False)
    assert refused.code == 2 and "this run has 1 parts" in refused.err


COMMAND = ["-m", "distdyn", "run", "coba", "--set", "n=400", "--duration", "50", "--seed", "5",
           "--quiet", "--json"]  # fmt: skip


def hash_of(ended):
    return json.loads(ended.out.strip().split("\n")[-1])["spikes_sha256"]


def test_command_line(ranks):
    one = hash_of(ranks(None, COMMAND))
    assert hash_of(ranks(2, COMMAND)) == one


@pytest.mark.slow
def test_command_line_on_more(ranks):
    one = hash_of(ranks(None, COMMAND))
    for n in (1, 3, 4):
        assert hash_of(ranks(n, COMMAND)) == one
    for devices in ("2", "4"):
        assert hash_of(ranks(None, [*COMMAND, "--devices", devices])) == one
    assert hash_of(ranks(2, [*COMMAND, "--devices", "2"])) == one


@pytest.mark.slow
def test_ranks_on_the_kernels_for_gpus(ranks):
    """Interpreted; each rank has its own JAX, as ranks that share a GPU do: they send messages."""
    words = [SCRIPT, "--devices", "1", "pair"]
    found = []
    for n in (None, 2):
        ended = ranks(n, words, env={"DISTDYN_KERNELS": "gpu"}, limit=120.0)
        found.append(json.loads(ended.out.strip().split("\n")[-1])["pair"])
    one, two = found
    assert one["spikes"] > 30 and one["hash"] == two["hash"]
    assert two["intervals"] == [None, 4] and two["exchanges"] > 0


@pytest.mark.gpu
def test_ranks_that_share_a_gpu(hashes):
    """Each rank has its own JAX, and the GPU turns from one to the other: a small network."""
    options = ["--states", "--platform", "gpu"]
    one = hashes(None, 1, "pair", options=options)["pair"]
    two = hashes(2, 1, "pair", options=[*options, "--share-gpu"])["pair"]
    assert one["spikes"] > 30 and two["exchanges"] > 0
    for what in ("counts", "hash", "state"):
        assert two[what] == one[what]


@pytest.mark.parametrize(
    ("differing", "words"),
    [
        ("os.environ['DISTDYN_KERNELS'] = 'reference'", 'differ in "kernels"'),
        ("options['precision'] = 'float64'", 'differ in "precision"'),
    ],
)
def test_ranks_that_would_compute_in_different_ways_are_refused(ranks, differing, words):  # D22
    script = f"""
import os
import distdyn as dd
from distdyn.errors import AgreementError
from distdyn.parallel.launch import world

class Net(dd.Network):
    def __init__(self):
        self.N = dd.Population(64, dd.LIF())

options = {{}}
if world().rank == 0:
    {differing}
try:
    dd.DSRunner(Net(), dt=0.1, **options)
except AgreementError as error:
    print(world().rank, error, flush=True)
"""
    out = ranks(2, script).out
    assert out.count(words) == 2, out
