"""What is trained besides weights and cells: the numbers of synapses, outputs and inputs."""

import jax
import numpy as np
import pytest

import distdyn as dd
from distdyn.errors import NameLookupError, ParameterError, TrainError
from distdyn.network.network import graph
from distdyn.parallel.receptors import numbers
from distdyn.train.inputs import given_to
from distdyn.train.parameters import chosen, names, trained
from tests.train.nets import Smooth, smooth, unrolled

pytestmark = pytest.mark.xdist_group("parameters")

STEPS = 25
FAST = dd.Exponential(tau=3)
WEIGHT = dd.Uniform(0.5, 1.5)


class Kinds(dd.Network):
    """Synapses of several kinds, some of which are one receptor."""

    def __init__(self, drive=0.0):
        cell = dd.LIF(C_m=10.0, tau_m=10.0, E_L=0.0, V_th=1.0, V_reset=0.0, t_ref=0.0)
        out = dd.LeakyIntegrator(C_m=10.0, tau_m=10.0, E_L=0.0)
        self.E = dd.Population(4, cell, V=dd.Uniform(0.0, 0.9))
        self.C = dd.Population(3, dd.LeakyIntegrator(C_m=100.0, tau_m=10.0, E_L=-60.0))
        self.out = dd.Population(2, out)
        self.far = dd.Population(2, out)
        self.drive = dd.CurrentInput(self.E, drive)
        self.connect("fast", (self.E, self.out), FAST)
        self.connect("same", (self.out, self.far), FAST, dd.CUBA())  # in `out` one with `fast`
        self.connect("dual", (self.out, self.far), dd.DualExponential(tau_rise=1.0, tau_decay=6.0))
        self.connect("coba", self.C[:2], dd.Exponential(tau=5.0), dd.COBA(E=0.0))
        self.connect("nmda", self.C, dd.NMDA(), dd.MgBlock(E=-5.0))
        self.noise = dd.PoissonInput(self.far, 300.0, FAST, weight=0.5, delay=2.0)
        self.hum = dd.PoissonInput(
            (self.E[1:4:2], self.far[:1]), dd.Steps([0.0, 9.0], [900.0, 400.0]), FAST, weight=0.2
        )
        self.hiss = dd.PoissonInput(self.out, 500.0, FAST, weight=0.3)

    def connect(self, name, post, kinetics, output=None):
        of = dd.Projection(self.E, post, dd.AllToAll(), kinetics, output, weight=WEIGHT, delay=1.0)
        setattr(self, name, of)


class More(Kinds):
    """With the rest of them, and a ring of phases."""

    def __init__(self):
        super().__init__()
        self.connect("alpha", self.out, dd.Alpha(tau=4.0))
        self.connect("late", self.far, dd.Exponential(tau=8.0))
        self.connect("ampa", self.C[:2], dd.AMPA(), dd.MgBlock(E=-5.0))
        self.K = dd.Population(3, dd.Kuramoto(omega=dd.Uniform(0.1, 0.3)), theta=dd.Uniform(0, 3))
        self.ring = dd.Projection(
            self.K, self.K, dd.AllToAll(), dd.Sine(lag=0.2), weight=0.05, delay=2.0
        )


NUMBERS = [
    "noise.weight", "hum.weight", "fast.tau", "dual.tau_rise", "dual.tau_decay", "coba.tau",
    "coba.E", "nmda.tau_rise", "nmda.tau_decay", "nmda.a", "nmda.E", "nmda.beta",
]  # fmt: skip
MORE = [
    "alpha.tau", "late.tau", "ampa.synapse.beta", "ampa.output.beta", "ampa.T_duration", "ring.lag"
]  # fmt: skip
WATCH = ["out.V", "far.V", "C.V"]


def placed(net, seed=3):
    drive = np.random.default_rng(seed).normal(1.5, 1.0, (1, STEPS, 4))
    given, _, _ = given_to(net.graph, net.layout, {"drive": drive})
    return given, net.layout.place(np.zeros(1, np.uint32), "data"), drive[0]


@pytest.mark.parametrize(
    "network, where",
    [(Kinds, NUMBERS), pytest.param(More, NUMBERS + MORE, marks=pytest.mark.slow)],
)
def test_derivatives_are_those_of_differences(network, where, monkeypatch):
    smooth(monkeypatch)
    firing, watch = Smooth(dd.surrogate.Sigmoid(4.0)), list(WATCH)
    if network is More:
        watch.append("K.theta")
    net = unrolled((1, 1), firing=firing, network=network(), where=where, watch=watch)
    with jax.enable_x64(True):
        given, trial, _ = placed(net)

        @jax.jit
        @jax.value_and_grad
        def loss(parameters):
            found = net(parameters, net.held, given, trial, steps=STEPS, chunk=None)
            return sum((x**2).mean() for x in found.values())

        _, gradient = loss(net.parameters)
        for path, first in net.parameters.items():
            ends = [float(loss(net.parameters | {path: first + h})[0]) for h in (1e-5, -1e-5)]
            along = float(gradient[path])
            assert abs(along) > 1e-5, path
            assert (ends[0] - ends[1]) / 2e-5 == pytest.approx(along, rel=2e-6), path


def test_the_simulator_runs_with_them():
    net = unrolled((1, 1), network=Kinds(), where=NUMBERS, watch=WATCH)
    new = {path: np.asarray(x) * 1.2 + 0.1 for path, x in net.parameters.items()}
    with jax.enable_x64(True):
        given, trial, drive = placed(net)
        run = jax.jit(lambda p, held: net(p, held, given, trial, steps=STEPS, chunk=None))
        expected = run({path: net.laid(path, x) for path, x in new.items()}, net.held)
        before = run(net.parameters, net.held)
    network = Kinds(dd.Sampled(drive, dt=1.0))
    runner = dd.DSRunner(network, dt=1.0, seed=1, precision="float64", record=WATCH, parameters=new)
    found = runner.run(float(STEPS)).gather()
    for name in WATCH:
        assert not np.allclose(before[name], expected[name], rtol=1e-4)
        value = found.traces[name].value
        np.testing.assert_allclose(value, expected[name][0], rtol=1e-8, atol=1e-8)


def test_a_number_has_the_paths_of_all_that_share_it():
    """Also over others: `noise` meets `same` in `far`, and that `fast` in `out`."""
    every = numbers(graph(Kinds()))
    assert every["fast.tau"] == every["same.tau"] == every["noise.tau"]
    assert every["coba.E"] != every["nmda.E"]
    net = unrolled((1, 1), network=Kinds(), where=["same.tau"], watch=WATCH)
    assert len(net.where["same.tau"].places) >= 3  # in E, out and far
    taus = chosen(net, lambda path: path.endswith(".tau"))
    assert taus == ["fast.tau", "coba.tau"]  # each once
    with pytest.raises(TrainError, match="are one number: connections"):
        trained(net, ["fast.tau", "noise.tau"])
    with pytest.raises(ParameterError, match="given twice"):
        dd.DSRunner(Kinds(), dt=1.0, parameters={"fast.tau": 1.0, "same.tau": 2.0})


def test_rates_of_drawn_spikes_have_no_derivative():
    network = Kinds()
    network.P = dd.Population(3, dd.Poisson(rate=20.0))
    net = unrolled((1, 1), network=network, where=["same.tau"], watch=WATCH)
    for path in ("noise.rate", "hum.rate", "P.rate"):
        with pytest.raises(TrainError, match=f'"{path}" has no derivative'):
            trained(net, [path])
    assert not [path for path in names(net) if path.endswith(".rate")]


def test_a_number_that_is_none():
    net = unrolled((1, 1), network=Kinds(), where=["same.tau"], watch=WATCH)
    for path in ("fast.V_rest", "noise.output.tau", "noise.most"):
        with pytest.raises(NameLookupError, match=path):
            trained(net, [path])
    with pytest.raises(ParameterError, match="one number"):
        dd.DSRunner(Kinds(), dt=1.0, parameters={"fast.tau": np.ones(2)})
    with pytest.raises(ParameterError, match="tau"):
        dd.DSRunner(Kinds(), dt=1.0, parameters={"fast.tau": -1.0})
