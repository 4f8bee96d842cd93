"""What is trained besides weights and cells: the numbers of synapses, outputs and inputs."""

import jax
import numpy as np
import pytest

import distdyn as dd
from distdyn.errors import NameLookupError, ParameterError, TrainError
from distdyn.train.inputs import given_to
from tests.train import small
from tests.train.nets import Smooth, smooth, unrolled

pytestmark = pytest.mark.xdist_group("parameters")

STEPS = 25
FAST = dd.Exponential(tau=3)
WEIGHT = dd.Uniform(0.5, 1.5)


class Kinds(dd.Network):
    """Synapses of several kinds, some of which are one receptor, and a ring of phases."""

    def __init__(self, drive=0.0):
        cell = dd.LIF(C_m=10.0, tau_m=10.0, E_L=0.0, V_th=1.0, V_reset=0.0, t_ref=0.0)
        out = dd.LeakyIntegrator(C_m=10.0, tau_m=10.0, E_L=0.0)
        self.E = dd.Population(4, cell, V=dd.Uniform(0.0, 0.9))
        self.C = dd.Population(3, dd.LeakyIntegrator(C_m=100.0, tau_m=10.0, E_L=-60.0))
        self.out = dd.Population(2, out)
        self.far = dd.Population(2, out)
        self.K = dd.Population(3, dd.Kuramoto(omega=dd.Uniform(0.1, 0.3)), theta=dd.Uniform(0, 3))
        self.drive = dd.CurrentInput(self.E, drive)
        for name, post, kinetics, output in (
            ("fast", (self.E, self.out), FAST, None),
            ("same", (self.out, self.far), FAST, dd.CUBA()),  # of one receptor with `fast`, in `out`
            ("late", self.far, dd.Exponential(tau=8.0), None),
            ("alpha", self.out, dd.Alpha(tau=4.0), None),
            ("dual", self.out, dd.DualExponential(tau_rise=1.0, tau_decay=6.0), None),
            ("coba", self.C, dd.Exponential(tau=5.0), dd.COBA(E=0.0)),
            ("nmda", self.C, dd.NMDA(), dd.MgBlock(E=-5.0)),
            ("ampa", self.C[:2], dd.AMPA(), dd.MgBlock(E=-5.0)),
        ):
            of = dd.Projection(
                self.E, post, dd.AllToAll(), kinetics, output, weight=WEIGHT, delay=1.0
            )
            setattr(self, name, of)
        self.noise = dd.PoissonInput(self.far, 300.0, FAST, weight=0.5, delay=2.0)
        self.ring = dd.Projection(
            self.K, self.K, dd.AllToAll(), dd.Sine(lag=0.2), weight=0.05, delay=2.0
        )


NUMBERS = [
    "fast.tau", "late.tau", "alpha.tau", "dual.tau_rise", "dual.tau_decay", "coba.tau", "coba.E",
    "nmda.tau_rise", "nmda.tau_decay", "nmda.a", "nmda.E", "nmda.beta", "ampa.synapse.beta",
    "ampa.T_duration", "ring.lag",
]  # fmt: skip
WATCH = ["out.V", "far.V", "C.V", "K.theta"]


def placed(net, seed=3):
    drive = np.random.default_rng(seed).normal(1.5, 1.0, (1, STEPS, 4))
    given, _, _ = given_to(net.graph, net.layout, {"drive": drive})
    return given, net.layout.place(np.zeros(1, np.uint32), "data"), drive[0]


def test_derivatives_are_those_of_differences(monkeypatch):
    smooth(monkeypatch)
    firing = Smooth(dd.surrogate.Sigmoid(4.0))
    net = unrolled((1, 1), firing=firing, network=Kinds(), where=NUMBERS, watch=WATCH)
    with jax.enable_x64(True):
        given, trial, _ = placed(net)

        @jax.jit
        def loss(parameters):
            found = net(parameters, net.held, given, trial, steps=STEPS, chunk=None)
            return sum((x**2).mean() for x in found.values())

        gradient = jax.jit(jax.grad(loss))(net.parameters)
        for path, first in net.parameters.items():
            ends = [float(loss(net.parameters | {path: first + h})) for h in (1e-5, -1e-5)]
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
    runner = dd.DSRunner(
        network, dt=1.0, seed=1, precision="float64", record=WATCH, parameters=new
    )
    found = runner.run(float(STEPS)).gather()
    for name in WATCH:
        assert not np.allclose(before[name], expected[name], rtol=1e-4)
        value = found.traces[name].value
        np.testing.assert_allclose(value, expected[name][0], rtol=1e-8, atol=1e-8)


def test_a_number_has_the_paths_of_all_that_share_it():
    """Also over others: `noise` meets `same` in `far`, and that `fast` in `out`."""
    for path in ("fast.tau", "same.tau", "noise.tau"):
        net = unrolled((1, 1), network=Kinds(), where=[path], watch=WATCH)
        places = [(p.group, p.operand, p.segment) for p in net.where[path].places]
        assert len(set(places)) == 3  # in E, out and far
    for mine, theirs in (("fast.tau", "noise.tau"), ("nmda.E", "nmda.output.E")):
        with pytest.raises((TrainError, NameLookupError)):
            unrolled((1, 1), network=Kinds(), where=[mine, theirs], watch=WATCH)
    with pytest.raises(ParameterError, match="given twice"):
        dd.DSRunner(Kinds(), dt=1.0, parameters={"fast.tau": 1.0, "same.tau": 2.0})


def test_a_number_that_is_none():
    for path in ("fast.V_rest", "noise.output.tau", "ring.most", "ampa.beta"):
        with pytest.raises(NameLookupError, match=path):
            unrolled((1, 1), network=Kinds(), where=[path], watch=WATCH)
    with pytest.raises(ParameterError, match="one number"):
        dd.DSRunner(Kinds(), dt=1.0, parameters={"fast.tau": np.ones(2)})
    with pytest.raises(ParameterError, match="tau"):
        dd.DSRunner(Kinds(), dt=1.0, parameters={"fast.tau": -1.0})
