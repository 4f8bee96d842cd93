"""Layer: what fits between two populations, what it says of what does not, how it is drawn."""

import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import distdyn as dd
from distdyn.errors import DelayError, DistDynError, NameLookupError, NetworkError, ParameterError
from distdyn.network.layer import arrays_of
from distdyn.network.network import graph

KEY = jax.random.key(0)
CELL = dd.LIF()
PIXELS = dd.Population((2, 6, 6), dd.SpikeTimes([], []))
MAPS = dd.Population((4, 3, 3), CELL)
LINE = dd.Population(36, CELL)


def convolution(key):
    return eqx.nn.Conv2d(2, 4, 3, stride=2, padding=1, key=key)


def layer(module=convolution, pre=PIXELS, post=MAPS, synapse=None, output=None, **given):
    return dd.Layer(pre, post, module, synapse or dd.Delta(), output, **{"delay": 1.0, **given})


@pytest.mark.parametrize(
    ("module", "pre", "post"),
    [
        (convolution, PIXELS, MAPS),
        (convolution(KEY), PIXELS, LINE),  # a sheet of 4 x 3 x 3 into a line
        (eqx.nn.Linear(4, 36, key=KEY), LINE[:8:2], LINE),
        (eqx.nn.Linear(40, 36, key=KEY), (LINE, MAPS[:4]), MAPS),  # a line into a sheet
        (lambda key: eqx.nn.GRUCell(36, 36, key=key), LINE, MAPS),
        (lambda key: eqx.nn.LSTMCell(36, 36, key=key), LINE, MAPS),
        (eqx.nn.Sequential([eqx.nn.LayerNorm(36), eqx.nn.Dropout(0.5)]), LINE, LINE),
        (eqx.nn.Lambda(jnp.tanh), LINE, LINE),
    ],
)
def test_what_fits(module, pre, post):
    made = layer(module, pre, post)
    assert made.ends.n_post == 36 and made.receptors[0].key


@pytest.mark.parametrize(
    ("given", "kind", "says"),
    [
        ({"module": 3}, NetworkError, "cannot be called"),
        ({"module": lambda key: jnp.tanh}, NetworkError, "no eqx.Module (functions: eqx.nn.Lamb"),
        ({"module": eqx.nn.Linear(72, 36, key=KEY)}, NetworkError, "an array of shape [2, 6, 6]"),
        ({"module": lambda key: eqx.nn.Conv2d(3, 4, 3, key=key)}, NetworkError, "cannot take"),
        (
            {"module": lambda key: eqx.nn.Conv2d(2, 4, 3, key=key)},
            NetworkError,
            "shape [4, 4, 4] for 36 post neurons. Give one number for each, as [4, 3, 3]",
        ),
        (
            {"module": lambda key: eqx.nn.Conv2d(2, 9, 4, stride=2, key=key), "post": MAPS},
            NetworkError,
            "[9, 2, 2] for 36",
        ),
        ({"pre": LINE, "module": eqx.nn.BatchNorm(36, "b", mode="ema")}, NetworkError, "LayerNorm"),
        ({"synapse": dd.Exponential(5.0), "output": dd.COBA(0.0)}, NetworkError, "not negative"),
        ({"synapse": dd.Additive()}, DistDynError, "Additive"),
        ({"delay": dd.Uniform(1.0, 2.0)}, ParameterError, "Give a number"),
        ({"delay": 0.0}, DelayError, "delay = 0"),
        ({"most": -1.0}, ParameterError, "most"),
        ({"pre": dd.Population(36, dd.LeakyIntegrator())}, NetworkError, "does not spike"),
        ({"post": PIXELS}, NetworkError, "cannot be post"),
    ],
)
def test_what_does_not(given, kind, says):
    with pytest.raises(kind, match=re.escape(says)):
        layer(**given)


class Net(dd.Network):
    def __init__(self):
        self.pixels, self.maps = PIXELS, MAPS
        self.near = layer()
        self.far = layer(delay=3.0)


def test_it_is_a_member():
    members = graph(Net())
    assert list(members.layers) == ["near", "far"] and members.find("far") == ("layer", "far")
    text = repr(Net())
    assert re.search(r"near +pixels +maps +drawn +Delta +1 ms", text)
    lonely = Net()
    del lonely.maps
    with pytest.raises(NetworkError, match='layer "near"'):
        graph(lonely)


def test_it_is_drawn_by_seed_and_path():
    made = layer()
    one, same = (made.made(1, "near", "float32") for _ in range(2))
    assert all(isinstance(x, np.ndarray) for x in arrays_of(one).values())
    assert eqx.tree_equal(one, same)
    for other in (made.made(2, "near", "float32"), made.made(1, "far", "float32")):
        assert not np.array_equal(other.weight, one.weight)
    with jax.enable_x64(True):  # as in double precision, in which the same is drawn
        double = made.made(1, "near", "float64")
    assert double.weight.dtype == "float64" and np.array_equal(double.weight, one.weight)


def test_arrays_that_are_given():
    weight = np.arange(72.0).reshape(4, 2, 3, 3)
    given = layer().with_given("weight", weight)
    made = given.with_given("bias", np.ones((4, 1, 1))).made(1, "near", "float32")
    assert np.array_equal(made.weight, weight) and np.array_equal(made.bias, np.ones((4, 1, 1)))
    with pytest.raises(NameLookupError, match='Did you mean "weight"'):
        layer().with_given("wieght", weight)
    with pytest.raises(ParameterError, match=re.escape("[4, 2, 3, 3]; found [72]")):
        layer().with_given("weight", weight.ravel())


def test_its_numbers_have_the_names_of_attributes():
    module = eqx.nn.Sequential([eqx.nn.Lambda(jnp.ravel), eqx.nn.Linear(72, 36, key=KEY)])
    assert list(arrays_of(module)) == ["layers.1.weight", "layers.1.bias"]
