"""Layers in networks: derivatives and spikes are those of projections, wherever they run."""

import re
from pathlib import Path

import equinox as eqx
import jax
import numpy as np
import optax
import pytest
from scipy.signal import correlate2d

import distdyn as dd
from distdyn.errors import SimulationError, TrainError
from distdyn.run.store import read_arrays
from tests.mpi.conftest import environment, ranks, start  # noqa: F401 - fixtures
from tests.train.layered import STEPS, WHERE, Layered, simulated, spikes
from tests.train.nets import check_same, loss_and_gradient, unrolled

pytestmark = pytest.mark.xdist_group("layers")
SCRIPT = Path(__file__).with_name("layered.py")


# --- the oracle: the same network of projections -------------------------------------------------

# Of few bits: weights that are given to a projection are rounded to 32.
KERNEL = np.round(np.random.default_rng(3).normal(0.0, 0.4, (3, 2, 3, 3)) * 4096) / 4096


class Pixels(dd.Network):
    """Pixels to maps of cells, by a convolution or by the synapses that do the same."""

    def __init__(self, made):
        cell = dd.LIF(C_m=10.0, tau_m=10.0, E_L=0.0, V_th=0.7, V_reset=0.0, t_ref=0.0)
        self.inp = dd.Population((2, 6, 6), dd.SpikeTimes([], []))
        self.E = dd.Population((3, 4, 4), cell)
        self.conv = made(self)


def by_layer(net):
    conv = eqx.nn.Conv2d(2, 3, 3, use_bias=False, key=jax.random.key(0))
    conv = eqx.tree_at(lambda module: module.weight, conv, KERNEL)
    return dd.Layer(net.inp, net.E, conv, dd.Delta(), delay=2.0)


def matrix(kernel):
    """What each pixel brings to each cell, by scipy: [pixel, cell]."""
    rows = []
    for image in np.eye(72).reshape(72, 2, 6, 6):
        maps = [
            sum(correlate2d(of, k, "valid") for of, k in zip(image, kernels, strict=True))
            for kernels in kernel
        ]
        rows.append(np.ravel(maps))
    return np.array(rows)


def by_synapses(net):
    rule = dd.Edges.from_matrix(matrix(KERNEL))
    return dd.Projection(net.inp, net.E, rule, dd.Delta(), delay=2.0)


def of_pixels(made):
    net = unrolled((1, 1), network=Pixels(made), where=["conv.weight"], watch=["E.V", "E.spikes"])
    return loss_and_gradient_of(net)


def loss_and_gradient_of(net):
    from distdyn.train.inputs import given_to

    with jax.enable_x64(True):
        placed, trials, steps = given_to(net.graph, net.layout, {"inp": spikes(4)})
        trial = net.layout.place(np.arange(trials, dtype=np.uint32), "data")

        def loss(parameters):
            found = net(parameters, net.held, placed, trial, steps=steps)
            return (found["E.V"] ** 2).mean() + found["E.spikes"].mean(), found["E.V"]

        (value, V), found = jax.jit(jax.value_and_grad(loss, has_aux=True))(net.parameters)
        return float(value), net.canonical("conv.weight", found["conv.weight"]), np.asarray(V)


def test_a_convolution_is_the_synapses_that_it_stands_for():
    (loss, gradient, V), (wanted, by_edge, V_wanted) = map(of_pixels, (by_layer, by_synapses))
    np.testing.assert_allclose(V, V_wanted, rtol=1e-12, atol=1e-14)
    assert loss == pytest.approx(wanted, rel=1e-12)
    # A number of the kernel is the weight of many synapses: which ones, marks in its place say.
    pre, post = np.nonzero(matrix(np.ones_like(KERNEL)))
    mark = matrix(np.arange(1.0, KERNEL.size + 1).reshape(KERNEL.shape))[pre, post]
    summed = np.bincount(np.rint(mark).astype(int) - 1, by_edge, KERNEL.size)
    assert np.abs(summed).min() > 0
    np.testing.assert_allclose(gradient.ravel(), summed, rtol=1e-10)


# --- where it runs -------------------------------------------------------------------------------


def of_layers(shape, chunk="auto"):
    """Loss and derivatives on a mesh."""
    net = unrolled(shape, network=Layered(), where=WHERE, watch=["out.V", "E.V", "F.spikes"])
    return loss_and_gradient(net, chunk, given={"inp": spikes(8)}, value=value_of)


def value_of(outputs):
    return (
        (outputs["out.V"] ** 2).mean() + (outputs["E.V"] ** 2).mean() + outputs["F.spikes"].mean()
    )


@pytest.fixture(scope="module")
def on_one():
    return of_layers((1, 1))


@pytest.mark.parametrize(
    "shape", [(2, 2), *(pytest.param(x, marks=pytest.mark.slow) for x in ((1, 2), (2, 1), (1, 4)))]
)
def test_every_mesh_has_the_same_derivatives(on_one, shape):
    found = of_layers(shape)
    check_same(found, on_one)
    sums = re.findall(r".*all-reduce(?:-start)?\(.*", found[3].as_text())
    of_layer = [line for line in sums if "f64[10,36]" in line]
    assert of_layer  # its derivative is summed up over devices, but behind the steps
    assert not [line for line in of_layer if "/while/" in line]


@pytest.mark.slow
def test_steps_that_are_computed_again_change_nothing(on_one):
    check_same(of_layers((1, 1), chunk=None), on_one)


def test_every_device_simulates_the_same():
    assert simulated()[1] == simulated(devices=3)[1]


@pytest.mark.mpi
def test_every_rank_simulates_the_same(ranks):  # noqa: F811 - the fixture
    ended = ranks(2, [str(SCRIPT), "--devices", "2"], limit=300.0)
    assert ended.out.split() == [simulated()[1]]


# --- the trainer ---------------------------------------------------------------------------------


def trainer(network=None, **given):
    options = {
        "loss": dd.loss.cross_entropy("out.V"), "optimizer": optax.adam(1e-2), "where": WHERE,
        "dt": 1.0, "seed": 1, "precision": "float64", "progress": "off",
    }  # fmt: skip
    return dd.DSTrainer(network or Layered(), **{**options, **given})


BATCH = [({"inp": spikes(4)}, np.arange(4) % 3)]


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    made, path = trainer(), tmp_path_factory.mktemp("layers") / "trained.h5"
    made.fit(BATCH, 2)
    made.save(path)
    return made, path


def test_the_simulator_runs_what_was_trained(learned):
    made, _ = learned
    outputs = made.predict({"inp": spikes(1)})["out.V"][0]
    found, _ = simulated(made.parameters, precision="float64")
    np.testing.assert_allclose(found, outputs, rtol=1e-9, atol=1e-12)
    assert not np.allclose(simulated(precision="float64")[0], found)


def test_what_was_saved_is_loaded(learned, tmp_path):
    made, path = learned
    again = trainer()
    assert again.digest != made.digest
    again.load(path)
    assert again.digest == made.digest
    again.save(tmp_path / "again.h5")
    (one, counters), (two, same) = (read_arrays(of) for of in (path, tmp_path / "again.h5"))
    assert counters == same and one.keys() == two.keys()
    assert any(name.startswith("optimizer/") and x.ndim == 4 for name, x in one.items())  # conv's
    for name, array in one.items():
        np.testing.assert_array_equal(two[name], array)


def test_dropout_is_for_training_alone():
    """Half of the inputs are dropped, others every time, and twice the rest is as much on average.

    A readout that is linear in what is dropped has the mean that it has when nothing is.
    """

    class Dropping(dd.Network):
        def __init__(self):
            self.inp = dd.Population(200, dd.SpikeTimes([], []))
            self.out = dd.Population(1, dd.LeakyIntegrator(C_m=10.0, tau_m=10.0, E_L=0.0))
            mean = eqx.nn.Lambda(lambda x: x.mean(keepdims=True))
            module = eqx.nn.Sequential([eqx.nn.Dropout(0.5), mean])
            self.drop = dd.Layer(self.inp, self.out, module, dd.Delta(), delay=1.0)
            self.one = dd.Layer(
                self.inp,
                self.out,
                lambda key: eqx.nn.Linear(200, 1, key=key),
                dd.Delta(),
                delay=1.0,
            )

    inputs = {"inp": np.ones((16, 40, 200), bool)}
    made = trainer(
        Dropping(), where=["one.bias"], optimizer=optax.sgd(0.0), loss=dd.loss.mse("out.V")
    )
    target = made.predict(inputs)["out.V"]  # nothing is dropped: all trials are alike
    assert np.ptp(target, axis=0).max() == 0
    assert made.evaluate([(inputs, target)]).loss == 0
    losses = made.fit([(inputs, target)] * 2, 1).loss, made.fit([(inputs, target)] * 2, 1).loss
    assert losses[0] > 0 and losses[0] != losses[1]
    # V sums q^k xi over k, xi the mean of 200 numbers of variance 1: 1/200 / (1 - q^2) at its end.
    q = np.exp(-0.1)
    steps = np.arange(1, 41)
    wanted = ((1 - q ** (2 * (steps - 1))) / (1 - q**2) / 200).mean()
    np.testing.assert_allclose(np.mean(losses), wanted, rtol=0.3)
    again = trainer(
        Dropping(), where=["one.bias"], optimizer=optax.sgd(0.0), loss=dd.loss.mse("out.V")
    )
    assert again.fit([(inputs, target)] * 2, 1).loss == losses[0]


# --- what cannot be ------------------------------------------------------------------------------


def test_rules_that_know_no_layers():
    with pytest.raises(TrainError, match='no eligibility passes layer "conv"'):
        trainer(rule=dd.EProp(), where=["rec.weight"])


def test_more_than_most():
    net = Pixels(
        lambda net: dd.Layer(net.inp, net.E, by_layer(net).module, dd.Delta(), delay=2.0, most=1e-3)
    )
    vars(net.inp)["model"] = dd.SpikeTimes(id=[0, 5], time=[3.0, 3.0])
    runner = dd.DSRunner(net, dt=1.0, progress="off")
    with pytest.raises(SimulationError, match=r'layer "conv".* at step 3, beyond most = 0.001'):
        runner.run(float(STEPS))


def test_nothing_is_read_of_a_layer():
    runner = dd.DSRunner(Layered(), dt=1.0, progress="off")
    with pytest.raises(dd.DistDynError, match='layer "conv" has nothing to read'):
        runner["conv"]
