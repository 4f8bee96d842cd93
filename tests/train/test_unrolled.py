"""The network as a differentiable function: the same on every mesh, and right."""

import re

import jax
import numpy as np
import pytest

import distdyn as dd
from distdyn.core.firing import Firing
from distdyn.network.network import graph
from distdyn.ops.matrix.dense import Dense
from distdyn.parallel.parameters import Setting
from distdyn.train.inputs import given_to
from distdyn.train.layout import mesh_of
from distdyn.train.unrolled import Unrolled
from tests.train import nets
from tests.train.nets import (
    Every,
    Smooth,
    check_same,
    inputs,
    loss_and_gradient,
    smooth,
    unrolled,
)

pytestmark = pytest.mark.xdist_group("unrolled")  # one worker: what is compiled serves many tests


@pytest.fixture(scope="module")
def alone():
    """On one device, everything kept."""
    return loss_and_gradient(unrolled((1, 1)), chunk=None)


@pytest.fixture(scope="module")
def cut():
    """On four devices. Chunks do not divide the steps, nor devices the cells: there are rests."""
    return loss_and_gradient(unrolled((2, 2)), chunk=7)


def test_loss_and_gradient_do_not_depend_on_the_mesh(cut, alone):  # 6.A1, 6.A2
    check_same(cut, alone)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(2, 1), (1, 2), (1, 4)])
def test_nor_on_meshes_of_other_shapes(shape, alone):
    check_same(loss_and_gradient(unrolled(shape), chunk=7), alone)


def test_forwards_it_is_the_simulation(alone):
    """Of one trial, with the random numbers and the spikes of a simulation."""
    given, outputs = inputs(), alone[2]
    net = Every()
    step, id = np.nonzero(given["inp"][0])
    net.inp = dd.Population(5, dd.SpikeTimes(id=id, time=step + 1.0))
    net.dense = dd.Projection(
        net.inp, net.E, dd.AllToAll(), nets.CURRENT, weight=dd.Normal(0.6, 0.8), delay=1.0
    )
    net.more = dd.CurrentInput(net.C, dd.Sampled(given["drive"][0], dt=1.0))
    runner = dd.DSRunner(
        net, dt=1.0, seed=1, precision="float64", record=["E.spikes", "out.V", "C.V", "H.V"]
    )
    recording = runner.run(float(nets.STEPS)).gather()
    for name in ("out.V", "C.V", "H.V"):
        np.testing.assert_allclose(
            outputs[name][0], recording.traces[name].value, rtol=1e-9, atol=1e-9
        )
    spikes = np.zeros_like(outputs["E.spikes"][0])
    spikes[recording.spikes["E"].step - 1, recording.spikes["E"].id] = 1
    np.testing.assert_array_equal(outputs["E.spikes"][0], spikes)


def golden(precision, steps):
    """The golden network, forwards alone, as the lines of its spikes."""
    from tests.validation.test_golden import Golden, sha256

    setting = Setting(0.1, 0, precision, 0)
    firing = Firing(dd.surrogate.SuperSpike(1.0))
    with jax.enable_x64(True):
        net = Unrolled(
            graph(Golden()), setting, mesh_of(jax.devices("cpu")[:1], None), firing, ["N.spikes"]
        )
        given, _, _ = given_to(net.graph, net.layout, {})
        trial = net.layout.place(np.zeros(1, np.uint32), "data")
        run = jax.jit(lambda held: net({}, held, given, trial, steps=steps, chunk=None))
        spikes = np.asarray(run(net.held)["N.spikes"])[0]
    step, id = np.nonzero(spikes)
    return sha256(step + 1, id)


def test_the_golden_network_forwards():  # W1: integer sums of the simulator, floats here
    from tests.validation.test_golden import FIRST_100_MS

    assert golden("float64", 1000) == FIRST_100_MS


@pytest.mark.slow
def test_the_whole_golden_network_forwards():
    from tests.validation.test_golden import WHOLE

    assert golden("float64", 10_000) == WHOLE


class Chain(dd.Network):
    """Cells that reset, in a loop with delays, and a readout."""

    def __init__(self):
        cell = dd.LIF(C_m=10.0, tau_m=10.0, E_L=0.0, V_th=1.0, V_reset=0.0, t_ref=0.0)
        self.E = dd.Population(6, cell)
        self.out = dd.Population(2, dd.LeakyIntegrator(C_m=10.0, tau_m=10.0, E_L=0.0))
        self.drive = dd.CurrentInput(self.E, 0.0)
        self.rec = dd.Projection(
            self.E, self.E, dd.FixedProb(0.6), nets.CURRENT, weight=dd.Normal(0.0, 0.5),
            delay=dd.Uniform(1.0, 3.0),
        )  # fmt: skip
        self.ro = dd.Projection(
            self.E, self.out, dd.AllToAll(), nets.CURRENT, weight=dd.Normal(0.0, 1.0), delay=1.0
        )


def test_derivatives_are_those_of_differences(monkeypatch):  # 6.A3
    smooth(monkeypatch)
    where = ["rec.weight", "ro.weight", "E.tau_m", "E.V_reset"]
    firing = Smooth(dd.surrogate.Sigmoid(4.0))
    net = unrolled((1, 1), firing=firing, network=Chain(), where=where, watch=["out.V", "E.spikes"])
    drive = np.random.default_rng(3).normal(1.5, 1.0, (2, 20, 6))
    with jax.enable_x64(True):
        given, _, steps = given_to(net.graph, net.layout, {"drive": drive})
        trial = net.layout.place(np.zeros(2, np.uint32), "data")

        @jax.jit
        def loss(parameters):
            found = net(parameters, net.held, given, trial, steps=steps, chunk=6)
            return (found["out.V"] ** 2).mean() + found["E.spikes"].mean()

        gradient, random = jax.jit(jax.grad(loss))(net.parameters), np.random.default_rng(4)
        for path, first in net.parameters.items():
            way = random.normal(size=first.shape)
            ends = [loss(net.parameters | {path: first + h * way}) for h in (1e-5, -1e-5)]
            along = float((gradient[path] * way).sum())
            assert abs(along) > 1e-4
            assert (float(ends[0]) - float(ends[1])) / 2e-5 == pytest.approx(along, rel=1e-6)


def test_nothing_passes_a_detached_reset_or_the_end_of_a_window():
    detached = Firing(dd.surrogate.SoftSign(2.0), is_reset_detached=True)
    where, watch = ["rec.weight"], ["out.V", "E.spikes"]
    drive = {"drive": np.full((1, 30, 6), 2.0)}
    found = []
    for firing, window in ((None, None), (detached, None), (None, 1), (None, 30)):
        net = unrolled((1, 1), firing=firing, network=Chain(), where=where, watch=watch)
        with jax.enable_x64(True):
            given, _, steps = given_to(net.graph, net.layout, drive)
            trial = net.layout.place(np.zeros(1, np.uint32), "data")

            def loss(parameters, net=net, given=given, trial=trial, steps=steps, window=window):
                outputs = net(
                    parameters, net.held, given, trial, steps=steps, chunk=None, window=window
                )
                return (outputs["E.spikes"] * np.arange(30)[:, None]).sum()

            value, gradient = jax.jit(jax.value_and_grad(loss))(net.parameters)
            found.append((float(value), np.asarray(gradient["rec.weight"])))
    (plain, whole), (_, of_detached), (_, of_steps), (_, of_all) = found
    assert {value for value, _ in found} == {plain}  # forwards all are one
    assert not np.allclose(of_detached, whole)
    assert not of_steps.any()  # a weight acts a step later, at least
    np.testing.assert_array_equal(of_all, whole)


class Given(dd.Network):
    """Weights of all pairs, given as a matrix or drawn."""

    def __init__(self, matrix):
        cell = dd.LIF(C_m=10.0, tau_m=10.0, E_L=0.0, V_th=1.0, V_reset=0.0, t_ref=0.0)
        self.E = dd.Population(6, cell)
        self.rec = dd.Projection(
            self.E, self.E, dd.Edges.from_matrix(matrix), dd.Delta(), delay=1.0
        )


def test_a_matrix_of_an_initializer_is_dense():
    matrix = jax.nn.initializers.orthogonal()(jax.random.key(1), (6, 6))
    net = unrolled((1, 1), network=Given(matrix), where=["rec.weight"], watch=["E.V"])
    assert isinstance(net.synapses[0].matrices[0].pieces, Dense)
    found = net.canonical("rec.weight", net.parameters["rec.weight"])
    np.testing.assert_allclose(found.reshape(6, 6), matrix, rtol=1e-6)
    some = np.where(np.eye(6, dtype=bool), 0.0, np.asarray(matrix))
    net = unrolled((1, 1), network=Given(some), where=["rec.weight"], watch=["E.V"])
    assert not isinstance(net.synapses[0].matrices[0].pieces, Dense)


# --- the compiled program (6.F) ------------------------------------------------------------------


class Plain(dd.Network):
    """Generators, cells with delays, and a readout: what a step keeps is their state."""

    def __init__(self, n):
        cell = dd.LIF(C_m=10.0, tau_m=10.0, E_L=0.0, V_th=1.0, V_reset=0.0, t_ref=1.0)
        self.inp = dd.Population(5, dd.SpikeTimes([], []))
        self.E = dd.Population(n, cell)
        self.out = dd.Population(3, dd.LeakyIntegrator(C_m=10.0, tau_m=10.0, E_L=0.0))
        for name, pre, post, delay in (
            ("dense", self.inp, self.E, 1.0),
            ("rec", self.E, self.E, dd.Uniform(1.0, 4.0)),
            ("ro", self.E, self.out, 1.0),
        ):
            weight, rule = dd.Normal(0.1, 0.5), dd.FixedProb(0.3)
            setattr(
                self,
                name,
                dd.Projection(pre, post, rule, nets.CURRENT, weight=weight, delay=delay),
            )


def compiled(steps, chunk="auto", n=150):
    """The program of a loss on a readout, and its derivatives."""
    given, where = {"inp": np.zeros((4, steps, 5), bool)}, ["dense.weight", "rec.weight"]
    net = unrolled(
        (1, 1), precision="float32", network=Plain(n), where=where, watch=["out.V"]
    )  # fmt: skip
    with jax.enable_x64(True):
        placed, _, _ = given_to(net.graph, net.layout, given)
        trial = net.layout.place(np.arange(4, dtype=np.uint32), "data")

        def loss(parameters, held):
            outputs = net(parameters, held, placed, trial, steps=steps, chunk=chunk)
            return (outputs["out.V"] ** 2).mean()

        return jax.jit(jax.grad(loss)).lower(net.parameters, net.held).compile()


def collectives(text):
    """Of each computation of a compiled program: the collectives in it."""
    found, name = {}, ""
    for line in text.splitlines():
        head = re.match(r"(?:ENTRY )?%?([\w.\-]+) \(.*\) -> .*\{$", line)
        if head:
            name = head.group(1)
        kind = re.search(r"= (.+?) (all-gather|all-reduce|reduce-scatter)(?:-start)?\(", line)
        if kind:
            found.setdefault(name, []).append((kind.group(2), kind.group(1)))
    return found


def bodies(text):
    """The computations that a loop repeats."""
    return set(re.findall(r"body=%?([\w.\-]+)", text))


def test_what_is_sent_in_a_step(cut):
    """One message of bytes forwards, one sum of derivatives backwards; weights behind all steps."""
    text = cut[-1].as_text()
    found, inside = collectives(text), bodies(text)
    within = [of for name, of in found.items() if name in inside]
    kinds = sorted(tuple(kind for kind, _ in of) for of in within)
    # Of two loops over the steps, and of two over those that are left behind whole chunks.
    assert kinds == [("all-gather",)] * 2 + [("reduce-scatter",)] * 2
    gathers = [shape for of in within for kind, shape in of if kind == "all-gather"]
    assert all(gather.startswith("u8") for gather in gathers)
    outside = [kind for name, of in found.items() if name not in inside for kind, _ in of]
    assert outside.count("all-reduce") >= 1


def test_memory_grows_slowly_with_the_steps():
    def bytes_of(steps, chunk="auto"):
        return compiled(steps, chunk).memory_analysis().temp_size_in_bytes

    few, many, whole = bytes_of(256), bytes_of(4096), bytes_of(4096, None)
    print(f"MEASURED {few / 2**20:.2f} MiB, {many / 2**20:.2f}, all kept {whole / 2**20:.1f}")
    assert many <= 4.5 * few
    assert whole > 8 * many
