"""Networks walked into paths, what they cost, how they print, and what is refused."""

import time
import tracemalloc

import numpy as np
import pytest

from distdyn.errors import NameLookupError, NetworkError
from distdyn.network.distributions import Normal
from distdyn.network.edges import Edges
from distdyn.network.network import Network, graph
from distdyn.network.population import Population
from distdyn.network.projection import CurrentInput, PoissonInput, Projection
from distdyn.network.rules import FixedIndegree, FixedProb
from tests.network.toys import Cell, Conductance, Decay


class Balanced(Network):
    """Two populations that excite and inhibit each other."""

    def __init__(self, n=1000):
        self.E = Population(8 * n // 10, Cell(), V=Normal(-55.0, 5.0))
        self.I = Population(n - self.E.size, Cell(), V=Normal(-55.0, 5.0))
        both, delay = (self.E, self.I), Normal(1.5, 0.75, low=0.1)
        rule = FixedIndegree(n // 10)
        self.exc = Projection(self.E, both, rule, Decay(), Conductance(), weight=6.0, delay=0.1)
        self.inh = Projection(self.I, both, rule, Decay(tau=10.0), weight=-67.0, delay=delay)
        self.noise = PoissonInput(both, 8000.0, Decay(), weight=0.1)
        self.dc = CurrentInput(self.I[:20:2], np.arange(len(self.I[:20:2])))


def connect(pre, post):
    return Projection(pre, post, FixedProb(0.1), Decay(), weight=1.0, delay=1.0)


def test_members_have_paths_in_order_of_definition():
    class Brain(Network):
        def __init__(self):
            self.thalamus = Population(3, Cell())
            self.cortex = Balanced(10)
            self.layers = [Balanced(10), {"E": Population(5, Cell()), "note": "text"}]
            self.proj = {"L4E_L23E": connect(self.thalamus, self.cortex.E)}
            self.more = (self.thalamus, 3.0, None)
            self.pair = (Population(2, Cell()),)
            self._hidden = Population(7, Cell())

    found = graph(Brain())
    assert list(found.populations) == [
        "thalamus",
        "cortex.E",
        "cortex.I",
        "layers.0.E",
        "layers.0.I",
        "layers.1.E",
        "pair.0",
    ]
    assert list(found.offsets.values()) == [0, 3, 11, 13, 21, 23, 28]
    assert found.size == 30
    assert "proj.L4E_L23E" in found.projections and "layers.0.exc" in found.projections
    assert list(found.inputs)[:2] == ["cortex.noise", "cortex.dc"]


def test_what_is_met_twice_keeps_its_first_path():
    net = Network()
    net.E = Population(3, Cell())
    net.all = [net.E, net]
    net.same = net.all
    assert list(graph(net).populations) == ["E"]


def test_an_empty_network_is_a_network():
    assert graph(Network()).size == 0
    assert repr(Network()) == "Network: 0 neurons, 0 synapses expected"


def test_a_graph_finds_members_by_path():
    net = Balanced()
    found = graph(net)
    assert found.path(net.I) == "I"
    assert found.find("E") == ("population", "E")
    assert found.find("inh") == ("projection", "inh")
    assert found.find("noise") == ("input", "noise")
    with pytest.raises(
        NameLookupError, match=r'no member "exx"\. Did you mean "exc"\? Known: E, I'
    ):
        found.find("exx")
    with pytest.raises(NameLookupError) as error:
        found.find("x" * 10**6)
    assert len(str(error.value)) < 300


def test_a_foreign_population_is_refused_by_the_name_of_the_projection():
    net, other = Balanced(), Population(5, Cell())
    net.proj = {"late": connect(net.E, (net.I, other))}
    with pytest.raises(
        NetworkError, match=r'projection "proj\.late": Population\(5, Cell\) is not'
    ):
        graph(net)
    net.proj = {}
    net.drive = CurrentInput(other, 3.0)
    with pytest.raises(NetworkError, match=r'input "drive": .* self\.E = Population'):
        graph(net)
    with pytest.raises(NetworkError, match="does not belong"):
        graph(Balanced()).path(other)


@pytest.mark.parametrize("name", ["a b", "", "1st", "π", "x" * 65, 4, "a/b", "E\n", ".E", None])
def test_names_of_members_are_plain(name):
    net = Network()
    net.parts = {name: Population(3, Cell())}
    with pytest.raises(NetworkError, match=r"cannot be the name of a member. Use a letter"):
        graph(net)


def test_what_is_not_a_member_may_have_any_name():
    net = Network()
    net.parameters = {4: 1.0, "a b": np.zeros(3)}
    assert graph(net).size == 0


def test_a_name_with_dots_may_not_hide_another():
    net = Network()
    net.a = {"b.c": Population(3, Cell()), "b": {"c": Population(3, Cell())}}
    with pytest.raises(NetworkError, match=r'two members have the path "a\.b\.c"'):
        graph(net)


def test_a_class_is_not_a_network():
    with pytest.raises(NetworkError, match=r"is the class Balanced\. Give an instance"):
        graph(Balanced)
    with pytest.raises(NetworkError, match="is no Network"):
        graph({"E": Population(3, Cell())})


def test_a_network_prints_as_a_table():
    text = str(Balanced())
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert lines[0] == "Balanced: 1,000 neurons, 200,000 synapses expected"
    assert lines[2:5] == ["populations size model", "E 800 Cell", "I 200 Cell"]
    assert lines[6] == "projections from to rule synapse output weight delay synapses"
    exc = "exc E E, I FixedIndegree(100) Decay(5) Conductance(0) 6 nS 0.1 ms 100,000"
    assert lines[7] == exc
    assert "-67 pA Normal(1.5, 0.75, low=0.1) ms 100,000" in lines[8]
    assert "noise E, I Poisson 8000 Hz Decay(5) 0.1 pA one step" in lines
    assert lines[-1] == "dc I[0:20:2] current 10 values"


def test_a_large_member_prints_briefly():
    net = Network()
    net.E = Population(1000, Cell(tau_m=np.full(1000, 20.0)))
    rule = Edges(np.arange(1000), np.arange(1000)[::-1])
    net.exc = Projection(net.E, net.E, rule, Decay(), weight=np.ones(1000), delay=1.0)
    net.drive = PoissonInput(net.E, np.sin, Decay(), weight=1.0)
    assert len(str(net)) < 700
    assert "1,000 values" in str(net) and "sin" in str(net)


def test_a_network_that_is_half_written_prints_what_is_wrong():
    net = Network()
    net.drive = CurrentInput(Population(5, Cell()), 3.0)
    assert 'input "drive"' in repr(net)


def test_describing_a_billion_synapses_costs_milliseconds_and_kilobytes():
    str(Balanced())  # what is done once in a process is not the description's
    tracemalloc.start()
    begin = time.perf_counter()
    net = Balanced(n=71_000)
    found = graph(net)
    text = str(net)
    seconds = time.perf_counter() - begin
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(p.expected_synapses for p in found.projections.values()) > 1e9
    assert "1,008,200,000 synapses" in text
    assert seconds < 0.5  # 3 ms where nothing else runs; to draw them takes many seconds
    assert peak < 100_000
