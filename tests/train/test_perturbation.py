"""Learning by trial and error: draws are what their equations say, their mean the derivative."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import distdyn as dd
from distdyn.errors import ParameterError, TrainError
from distdyn.random import stream_key, threefry
from distdyn.train import perturbation
from distdyn.train.inputs import given_to
from distdyn.train.local import GOLDEN
from tests.train import small
from tests.train.nets import loss_and_gradient, unrolled

SEED, STEPS, SIGMA = 1, 12, 0.2  # the seed is that of `unrolled`


def drawing(net, given, values):
    """A function of the first trial's number: what is watched without noise, and one draw."""
    with jax.enable_x64(True):
        placed, trials, steps = given_to(net.graph, net.layout, given)

    @jax.jit
    def run(parameters, held, trial):
        return perturbation.gradient(net, parameters, held, placed, trial, steps, values, SIGMA)

    def draw(first=0):
        with jax.enable_x64(True):
            trial = net.layout.place((first + np.arange(trials)).astype(np.uint32), "data")
            quiet, found = run(net.parameters, net.held, trial)
            return quiet, {path: net.canonical(path, x) for path, x in found.items()}

    return draw


class Linear(dd.Network):
    """Generators and readouts, without anything that spikes on the way."""

    def __init__(self, weight=None):
        self.inp = dd.Population(3, dd.SpikeTimes([], []))
        self.out = dd.Population(2, dd.LeakyIntegrator(C_m=10.0, tau_m=10.0, E_L=0.0))
        self.w = dd.Projection(
            self.inp, self.out, dd.AllToAll(), dd.Exponential(3.0),
            weight=dd.Normal(0.5, 1.0) if weight is None else weight, delay=2.0,
        )  # fmt: skip


@pytest.mark.parametrize("weight", [None, 0.7])  # one for each synapse, and one for all
def test_the_mean_of_draws_is_the_derivative(weight):
    """Where the loss is a square of what is linear in the noise, exactly."""
    net = unrolled((1, 1), network=Linear(weight), where=["w.weight"], watch=["out.V"])
    one = np.random.default_rng(0).random((1, STEPS, 3)) < 0.4
    trials, n_draws = 500, 24

    def values(outputs):
        return ((outputs["out.V"] - 0.3) ** 2).mean(axis=(1, 2))

    draw = drawing(net, {"inp": np.repeat(one, trials, axis=0)}, values)
    draws = np.stack([draw(k * trials)[1]["w.weight"] for k in range(n_draws)])
    exact = loss_and_gradient(net, given={"inp": one}, value=lambda o: values(o).mean())[1]
    error = draws.mean(axis=0) - exact["w.weight"]
    deviation = draws.std(axis=0, ddof=1) / np.sqrt(n_draws)
    assert (np.abs(error) < 4.5 * deviation).all()
    assert (deviation < 0.1 * np.abs(exact["w.weight"]).max()).all(), "too few draws to say it"


def signs(path, trials, size):
    """[trial, step, cell] of what pushes the cells of a population, at its first receptor."""
    words = stream_key(SEED, "perturbation", f"{path}/0")
    trial = (np.arange(trials, dtype=np.uint32) * GOLDEN)[:, None, None]
    id, stamp = np.arange(size, dtype=np.uint32), np.arange(1, STEPS + 1, dtype=np.uint32)
    counter = id[None, None], stamp[None, :, None]
    word, _ = threefry(counter, (np.uint32(words[0]) ^ trial, np.uint32(words[1])))
    return np.where(np.broadcast_to(word, (trials, STEPS, size)) >> 31 == 0, 1.0, -1.0)


class Recurrent(dd.Network):
    """Cells that spike, connected with each other, and a readout."""

    def __init__(self):
        cell = dd.LIF(C_m=10.0, tau_m=10.0, E_L=0.0, V_th=1.0, V_reset=0.0, t_ref=0.0)
        self.inp = dd.Population(3, dd.SpikeTimes([], []))
        self.E = dd.Population(5, cell)
        self.out = dd.Population(1, dd.LeakyIntegrator(C_m=10.0, tau_m=10.0, E_L=0.0))
        all_, normal = dd.AllToAll(), dd.Normal(0.4, 0.5)
        self.w_in = dd.Projection(self.inp, self.E, all_, dd.Delta(), weight=normal, delay=1.0)
        self.rec = dd.Projection(
            self.E, self.E, dd.FixedProb(0.6), dd.Delta(), weight=normal, delay=dd.Uniform(1.0, 3.0)
        )
        self.w_out = dd.Projection(self.E, self.out, all_, dd.Delta(), weight=normal, delay=1.0)


PATHS = ["w_in.weight", "rec.weight", "w_out.weight"]


def simulated(net, spikes, sigma):
    """The potentials of the readout, and what synapses note, by a loop over steps.

    [trial, step], and [trial, synapse] by path.
    """
    decay, trials = np.exp(-0.1), len(spikes)
    edges = {s.path: s.edges for s in net.synapses}
    weights = {path: net.canonical(f"{path}.weight", net.parameters[f"{path}.weight"])
               for path in edges}  # fmt: skip
    sources = {"w_in": "inp", "rec": "E", "w_out": "E"}
    ends = {"w_in": "E", "rec": "E", "w_out": "out"}
    push = {"E": signs("E", trials, 5), "out": signs("out", trials, 1)}
    V = {"E": np.zeros((trials, 5)), "out": np.zeros((trials, 1))}
    sent = {"inp": np.zeros((trials, STEPS + 1, 3)), "E": np.zeros((trials, STEPS + 1, 5))}
    sent["inp"][:, 1:] = spikes
    noted = {path: np.zeros((trials, of.shape[1])) for path, of in edges.items()}
    seen = np.zeros((trials, STEPS))
    for stamp in range(1, STEPS + 1):
        V = {name: decay * of + sigma * push[name][:, stamp - 1] for name, of in V.items()}
        for path, (pre, post, delay) in edges.items():
            ago = stamp - delay
            x = np.where(ago > 0, sent[sources[path]][:, np.maximum(ago, 0), pre], 0.0)
            noted[path] += x * push[ends[path]][:, stamp - 1, post]
            for k, target in enumerate(post):
                V[ends[path]][:, target] += weights[path][k] * x[:, k]
        spike = V["E"] >= 1.0
        sent["E"][:, stamp] = spike
        V["E"] = np.where(spike, 0.0, V["E"])
        seen[:, stamp - 1] = V["out"][:, 0]
    return seen, noted


def reward(outputs):
    """Whether the readout ends above a half: a loss without a derivative."""
    return 1.0 - (outputs["out.V"][:, -1, 0] > 0.5)


@pytest.fixture(scope="module")
def drawn():
    """The spikes that are given, and a draw on one device."""
    spikes = np.random.default_rng(3).random((8, STEPS, 3)) < 0.4
    net = unrolled((1, 1), network=Recurrent(), where=PATHS, watch=["out.V"])
    return spikes, net, drawing(net, {"inp": spikes}, reward)()


def test_a_draw_is_what_its_equations_say(drawn):
    spikes, net, (quiet, found) = drawn
    (calm, _), (pushed, noted) = (simulated(net, spikes, sigma) for sigma in (0.0, SIGMA))
    np.testing.assert_allclose(quiet["out.V"][:, :, 0], calm, atol=1e-12)
    worse = (pushed[:, -1] <= 0.5).astype(float) - (calm[:, -1] <= 0.5)
    assert np.abs(worse).sum() >= 2, "noise changes nothing: the test says nothing"
    for path in PATHS:
        expected = worse @ noted[path.removesuffix(".weight")] / (SIGMA * len(spikes))
        assert np.abs(expected).max() > 0
        np.testing.assert_allclose(np.ravel(found[path]), expected, atol=1e-12)


@pytest.mark.parametrize("shape", [(1, 2), (2, 2)])
def test_a_draw_does_not_depend_on_the_mesh(drawn, shape):  # 6.A1
    spikes, _, (_, expected) = drawn
    net = unrolled(shape, network=Recurrent(), where=PATHS, watch=["out.V"])
    found = drawing(net, {"inp": spikes}, reward)()[1]
    for path in PATHS:
        np.testing.assert_allclose(found[path], expected[path], atol=1e-12)


def test_it_learns_from_rewards_alone():
    """Which of two generators spikes more often: a trial is right, or it is not."""

    def value(outputs, target, dt):
        return 1.0 - (jnp.argmax(outputs["out.V"].mean(axis=1), axis=1) == target)

    task, times = small.task(), 16  # each trial with noise of its own
    batch = {"inp": np.repeat(task.inputs["inp"], times, axis=0)}, np.repeat(task.target, times)
    made = small.trainer(
        loss=dd.loss.Loss(("out.V",), value), rule=dd.ThreeFactor(1.0),
        optimizer=optax.adam(3e-2), where=small.WHERE[:3],
    )  # fmt: skip
    history = made.fit([batch], 40)
    assert history.loss[0] > 0.5 and history.loss[-1] < 0.15


def test_what_it_cannot_train_is_said():
    with pytest.raises(TrainError, match=r'"E.tau_m" is no weight of a projection'):
        small.trainer(rule=dd.ThreeFactor(0.1))


@pytest.mark.parametrize("noise", [0.0, -1.0, float("inf"), "loud"])
def test_a_noise_that_is_none(noise):
    with pytest.raises(ParameterError, match="ThreeFactor: noise"):
        dd.ThreeFactor(noise)
