"""The descriptions of the smaller networks of the zoo."""

import pytest

import distdyn as dd
from distdyn.errors import NameLookupError
from distdyn.network.network import graph
from distdyn.zoo import CLASSES, by_name


@pytest.mark.parametrize("name", CLASSES)
def test_every_name_is_a_network(name):
    network = by_name(name)()
    assert isinstance(network, dd.Network)
    assert graph(network).size > 0


def test_unknown_name():
    with pytest.raises(NameLookupError, match=r'"cobba".*Did you mean "coba"'):
        by_name("cobba")


@pytest.mark.parametrize("name", ["coba", "cuba", "cobahh"])
@pytest.mark.parametrize("n", [100, 4000, 40_000])
def test_number_of_inputs_does_not_depend_on_the_size(name, n):
    network = by_name(name)(n=n)
    assert network.exc.expected_synapses / n == pytest.approx(64)
    assert network.inh.expected_synapses / n == pytest.approx(16)


def test_brunel():
    network = by_name("brunel")(g=6.0, eta=4.0)
    assert network.exc.expected_synapses == 12_500 * 1000
    assert network.inh.expected_synapses == 12_500 * 250
    assert network.inh.weight == pytest.approx(-0.6)
    assert network.external_E.rate == pytest.approx(40_000)  # 4 x 10 Hz x 1000 inputs
