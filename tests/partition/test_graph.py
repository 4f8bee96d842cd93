"""The communication graph and the metrics agree with networks that are drawn edge by edge."""

import numpy as np
import pytest

from partition import (
    CommunicationGraph,
    Decomposition,
    DecompositionError,
    Flow,
    Topology,
    measure,
    round_robin,
)
from partition.graph import log_miss

DRAWS = 200


def drawn(kind, k, n_pre, n_post, random):
    """bool[pre, post]: pairs that are connected at least once."""
    if kind == "pairs":
        return random.random((n_pre, n_post)) < k / n_post
    pairs = np.zeros((n_pre, n_post), bool)
    if kind == "outdegree":
        pairs[np.repeat(np.arange(n_pre), k), random.integers(0, n_post, n_pre * k)] = True
    else:
        total = n_pre * k
        pairs[random.integers(0, n_pre, total), random.integers(0, n_post, total)] = True
    return pairs


@pytest.mark.parametrize("kind", ["pairs", "outdegree", "poisson"])
def test_the_chance_to_reach_a_place_is_that_of_drawn_networks(kind, seed):
    random = np.random.default_rng(seed)
    n_pre, n_post, k = 40, 60, 3
    places = np.array([1, 5, 20, 34])
    edges = np.cumsum(places)
    reached = np.zeros(len(places))
    for _ in range(DRAWS):
        pairs = drawn(kind, k, n_pre, n_post, random)
        reached += [piece.any(axis=1).mean() for piece in np.split(pairs, edges[:-1], axis=1)]
    expected = -np.expm1(log_miss(kind, k, n_post, places))
    # 8000 neurons were asked: the standard error is below 0.006
    np.testing.assert_allclose(reached / DRAWS, expected, atol=0.03)


def test_certain_and_impossible_connections():
    def miss(*arguments):
        return np.exp(log_miss(*arguments)).tolist()

    assert miss("pairs", 10, 10, np.array([0, 1, 10])) == [1, 0, 0]
    assert miss("outdegree", 1, 8, np.array([0, 8])) == [1, 0]
    assert np.exp(log_miss("outdegree", 1, 8, np.array([2]))) == pytest.approx([0.75])
    np.testing.assert_array_equal(log_miss("poisson", 0, 8, np.array([0, 8])), [0, 0])


def brute_force(graph, decomposition, place, random):
    """Expected crossing synapses and spikes/s, by drawing."""
    start = np.cumsum([0, *graph.sizes])
    n = start[-1]
    owner = place[decomposition.locate(np.arange(n))[0]]
    rate = np.repeat(graph.rates, graph.sizes)
    spikes = np.zeros(place.max() + 1)
    crossing = total = 0.0
    for _ in range(DRAWS):
        reaches = np.zeros((n, place.max() + 1), bool)
        for flow in graph.flows:
            pre = start[flow.pre] + random.integers(0, graph.sizes[flow.pre], int(flow.synapses))
            post = start[flow.post] + random.integers(0, graph.sizes[flow.post], int(flow.synapses))
            reaches[pre, owner[post]] = True
            crossing += (owner[pre] != owner[post]).sum()
            total += len(pre)
        reaches[np.arange(n), owner] = False
        spikes += np.bincount(owner, rate * reaches.sum(axis=1), place.max() + 1)
    return crossing / total, spikes / DRAWS


def test_metrics_are_those_of_drawn_networks(seed):
    random = np.random.default_rng(seed)
    flows = [Flow(0, 0, 300), Flow(0, 1, 100), Flow(0, 1, 100), Flow(1, 0, 40)]
    graph = CommunicationGraph((200, 50), (8, 4), flows, (3.0, 10.0))
    topology = Topology.regular(4, 2, ranks_per_node=2)
    decomposition = round_robin(graph.sizes, graph.blocks, topology)
    metrics = measure(decomposition, graph)
    places = (np.arange(8), topology.ranks_of_parts, topology.nodes_of_parts)
    for name, place in zip(("device", "rank", "node"), places, strict=True):
        synapses, spikes = brute_force(graph, decomposition, place, random)
        assert metrics.levels[name].synapses == pytest.approx(synapses, abs=0.02)
        np.testing.assert_allclose(metrics.levels[name].sent, spikes, rtol=0.06)
    assert metrics.synapses.sum() == pytest.approx(540)
    assert metrics.neurons.sum() == 250


def test_one_part_sends_nothing():
    graph = CommunicationGraph((200,), (16,), [Flow(0, 0, 1000)])
    metrics = measure(round_robin((200,), (16,), 1), graph)
    for level in metrics.levels.values():
        assert (level.synapses, level.spikes, level.share) == (0, 0, 0)
    assert metrics.summary()["parts"]["neurons"]["balance"] == 1.0


def test_empty_parts_and_empty_networks_have_metrics():
    for sizes in ((0,), (2,), ()):
        graph = CommunicationGraph(sizes, [16] * len(sizes), [])
        summary = measure(round_robin(sizes, [16] * len(sizes), 8), graph).summary()
        assert summary["parts"]["neurons"]["mean"] == sum(sizes) / 8


def test_only_some_neurons_may_take_part():
    """Half of the sources have two synapses each onto a quarter of the targets."""
    flow = Flow(0, 1, 100, "outdegree", sources=50, targets=25)
    graph = CommunicationGraph((100, 100), (1, 1), [flow])
    counts = np.array([[0], [40]])
    assert graph.reach(0, counts)[0] == pytest.approx(0.5 * (1 - (1 - 0.4) ** 2))


def test_edges_are_the_spikes_between_blocks():
    graph = CommunicationGraph((32, 16), (16, 16), [Flow(0, 1, 8, "outdegree", 8)], (4.0, 1.0))
    first, second, weight = graph.edges()
    np.testing.assert_array_equal([first, second], [[0, 1], [2, 2]])
    np.testing.assert_allclose(weight, 16 * 4.0 * 8 / 32)
    np.testing.assert_array_equal(graph.neurons, [16, 16, 16])


def test_the_last_block_may_be_short():
    graph = CommunicationGraph((33, 0, 5), (16, 16, 16), [Flow(0, 2, 66.0)], 10.0)
    np.testing.assert_array_equal(graph.neurons, [16, 16, 1, 5])
    np.testing.assert_array_equal(graph.populations, [0, 0, 0, 2])
    assert graph.synapses_per_neuron.tolist() == [0, 0, 66 / 5]


@pytest.mark.parametrize(
    "flows, rates, message",
    [
        ([Flow(0, 2, 1.0)], 1.0, "there are 2 populations"),
        ([Flow(0, 1, -1.0)], 1.0, "synapses must be"),
        ([Flow(0, 1, np.nan)], 1.0, "synapses must be"),
        ([Flow(0, 1, 1.0, "magic")], 1.0, "kind one of pairs, outdegree, poisson"),
        ([Flow(0, 1, 1.0, "pairs", 11)], 1.0, "more than all 10"),
        ([], -1.0, "rates = -1.0"),
        ([], (1.0, 2.0, 3.0), "one for each of the 2"),
        ([], np.inf, "rates = inf"),
    ],
)
def test_wrong_flows_and_rates_are_refused(flows, rates, message):
    with pytest.raises(DecompositionError, match=message):
        CommunicationGraph((10, 20), (4, 4), flows, rates)


def test_synapses_of_nobody_are_refused():
    with pytest.raises(DecompositionError, match="without neurons"):
        CommunicationGraph((10, 0), (4, 4), [Flow(0, 1, 1.0)])


def test_metrics_of_another_network_are_refused():
    graph = CommunicationGraph((10, 20), (4, 4), [])
    with pytest.raises(DecompositionError, match="Give both of one network"):
        measure(Decomposition((10,), (16,), (np.array([0]),), 1), graph)
