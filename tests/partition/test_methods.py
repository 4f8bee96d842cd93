"""Methods: each deals every block once, and does what it says it does."""

import sys

import numpy as np
import pytest

from partition import (
    METHODS,
    CommunicationGraph,
    DecompositionError,
    Flow,
    Topology,
    by_area,
    contiguous,
    decompose,
    measure,
    multilevel,
    round_robin,
    weighted,
)


def two_areas(n=800, block=16, between=1.0):
    """Two areas of E and I, many synapses inside and few between."""
    inside = [Flow(a, b, 50.0 * n, "pairs") for k in (0, 2) for a in (k, k + 1) for b in (k, k + 1)]
    outside = [Flow(0, 2, between * n), Flow(2, 0, between * n)]
    sizes = (n, n // 4, n, n // 4)
    return CommunicationGraph(sizes, (block,) * 4, inside + outside, 5.0)


AREAS = ("V1", "V1", "V2", "V2")


def deal(method, graph, topology):
    if method == "multilevel":
        pytest.importorskip("pymetis", reason="pymetis is not installed")
    areas = [str(k) for k in range(len(graph.sizes))] if method == "by_area" else None
    return decompose(graph, topology, method, areas=areas)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("sizes, parts", [((331,), 7), ((10_007, 0), 3), ((2,), 8), ((1, 0), 4)])
def test_every_neuron_has_exactly_one_owner(method, sizes, parts):
    flows = [Flow(0, 0, 10.0 * sizes[0], "pairs")]
    graph = CommunicationGraph(sizes, [16] * len(sizes), flows)
    decomposition = deal(method, graph, Topology.regular(parts))
    owned = np.concatenate([decomposition.gids(part) for part in range(parts)])
    np.testing.assert_array_equal(np.sort(owned), np.arange(sum(sizes)))
    assert decomposition.parts == parts


@pytest.mark.parametrize("method", METHODS)
def test_a_network_without_neurons_or_synapses_is_dealt(method):
    for sizes in ((), (0,), (100,)):
        graph = CommunicationGraph(sizes, [16] * len(sizes), [])
        assert deal(method, graph, Topology.regular(3)).load().sum() == sum(sizes)


@pytest.mark.parametrize("method", METHODS)
def test_the_same_again_is_the_same(method):
    topology = Topology.regular(4, 2, ranks_per_node=2)
    assert deal(method, two_areas(), topology) == deal(method, two_areas(), topology)


def test_contiguous_parts_are_runs_of_equal_work():
    decomposition = contiguous(two_areas(), 4)
    owner = np.concatenate(decomposition.owners)
    assert (np.diff(owner) >= 0).all()
    assert set(owner) == {0, 1, 2, 3}
    work = measure(decomposition, two_areas()).work
    assert work.max() / work.mean() < 1.1


def test_weighted_balances_what_round_robin_does_not():
    flows = [Flow(0, 1, 1e6)]  # the few neurons of the second population have all the synapses
    graph = CommunicationGraph((4000, 640), (16, 160), flows, 50.0)
    plain = measure(round_robin(graph.sizes, graph.blocks, 3), graph)
    better = measure(weighted(graph, 3), graph)
    assert plain.work.max() / plain.work.mean() > 1.3
    assert better.work.max() / better.work.mean() < better.work.max() / better.work.min() < 1.6
    assert better.work.max() <= plain.work.max()


def test_an_area_stays_inside_a_node():
    graph, topology = two_areas(), Topology.regular(4, 2, ranks_per_node=2)
    decomposition = by_area(graph, topology, AREAS)
    for population, area in enumerate(AREAS):
        nodes = set(topology.nodes_of_parts[decomposition.owners[population]])
        assert len(nodes) == 1
        assert nodes == set(topology.nodes_of_parts[decomposition.owners[AREAS.index(area)]])
    load = decomposition.load()
    assert load.min() > 0 and load.max() - load.min() <= 32
    crossing = measure(decomposition, graph).levels["node"].synapses
    assert crossing == pytest.approx(2 * 800 / (8 * 50 * 800 + 2 * 800), rel=1e-9)


def test_a_heavy_area_gets_several_nodes_and_no_more():
    sizes, areas = (8000, 1000, 1000), ("big", "a", "b")
    graph = CommunicationGraph(sizes, (16,) * 3, [])
    topology = Topology.regular(5)  # five nodes of one rank
    topology = Topology(tuple(range(5)))
    decomposition = by_area(graph, topology, areas)
    assert len(set(decomposition.owners[0])) == 4
    assert [len(set(owner)) for owner in decomposition.owners[1:]] == [1, 1]
    load = decomposition.load()
    assert load.max() / load.mean() < 1.05


def test_multilevel_finds_the_areas():
    pytest.importorskip("pymetis", reason="pymetis is not installed")
    graph = two_areas(between=0.01)
    metrics = measure(multilevel(graph, Topology((0, 1))), graph)
    spread = measure(round_robin(graph.sizes, graph.blocks, Topology((0, 1))), graph)
    assert metrics.levels["node"].synapses < 0.01 < 0.4 < spread.levels["node"].synapses
    assert metrics.work.max() / metrics.work.mean() < 1.1


def test_multilevel_without_pymetis_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pymetis", None)
    with pytest.raises(DecompositionError, match=r"pip install 'distdyn\[partition\]'"):
        multilevel(two_areas(), 2)


def test_a_graph_too_large_to_list_is_refused():
    graph = CommunicationGraph((10**7,), (1024,), [Flow(0, 0, 1e10)])
    with pytest.raises(DecompositionError, match=r"95,374,756 edges, more than 16,777,216"):
        graph.edges()


def test_what_a_method_lacks_is_said():
    graph, topology = two_areas(), Topology.regular(2)
    with pytest.raises(DecompositionError, match="needs `areas`"):
        decompose(graph, topology, "by_area")
    with pytest.raises(DecompositionError, match="3 areas for 4 populations"):
        by_area(graph, topology, "abc")
    with pytest.raises(DecompositionError, match='method "magic" is unknown'):
        decompose(graph, topology, "magic")


def test_a_billion_neurons_are_dealt_by_work():
    graph = CommunicationGraph((10**8,), (1024,), [Flow(0, 0, 1e12)])
    for method in (contiguous, weighted):
        load = method(graph, 1024).load()
        assert load.sum() == 10**8 and load.max() - load.min() <= 2048
