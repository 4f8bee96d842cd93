"""E-prop: what theory says of it, on every mesh; and what it cannot train."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import distdyn as dd
from distdyn.errors import ParameterError, TrainError
from distdyn.train import online
from distdyn.train.inputs import given_to
from distdyn.train.synapses import Synapses
from tests.train import small
from tests.train.nets import CURRENT, STEPS, TRIALS, check_same, unrolled

pytestmark = pytest.mark.xdist_group("online")  # one worker: what is compiled serves many tests


class Layers(dd.Network):
    """Two populations with readouts, one of them adaptive; and synapses back, or none."""

    def __init__(self, is_recurrent=True):
        cell = dd.LIF(C_m=10.0, tau_m=10.0, E_L=0.0, V_th=1.0, V_reset=0.0, t_ref=1.0)
        weight = dd.Normal(0.6, 0.8)
        self.inp = dd.Population(5, dd.SpikeTimes([], []))
        self.E = dd.Population(11, cell, V=dd.Uniform(0.0, 0.9))
        self.A = dd.Population(6, dd.ALIF(tau_a=50.0, beta=0.3, t_ref=2.0))
        self.out = dd.Population(3, dd.LeakyIntegrator(C_m=10.0, tau_m=10.0, E_L=0.0))
        self.dense = dd.Projection(
            self.inp, self.E, dd.AllToAll(), CURRENT, weight=weight, delay=1.0
        )
        self.sparse = dd.Projection(
            self.inp, self.A, dd.FixedProb(0.6), dd.Delta(), weight=dd.Normal(8.0, 4.0),
            delay=dd.Uniform(1.0, 4.0),
        )  # fmt: skip
        if is_recurrent:
            self.back = dd.Projection(
                self.E, self.E, dd.FixedProb(0.4), CURRENT, weight=dd.Normal(0.0, 0.3),
                delay=dd.Uniform(1.0, 4.0),
            )  # fmt: skip
            self.over = dd.Projection(
                self.E[1:9:2], self.A, dd.AllToAll(), dd.Delta(), weight=dd.Normal(2.0, 2.0),
                delay=2.0,
            )  # fmt: skip
        out = dd.Normal(0.0, 0.5)
        self.read = dd.Projection(self.E, self.out, dd.AllToAll(), CURRENT, weight=out, delay=2.0)
        self.some = dd.Projection(
            (self.A[:4], self.E[3:7]), self.out, dd.FixedProb(0.7), dd.Delta(), weight=out,
            delay=1.0,
        )  # fmt: skip


INNER = "back", "over"
WATCH = ["out.V", "E.spikes", "A.V"]


def score(outputs):
    """Of what is watched, nothing linear but spikes."""
    V, A = outputs["out.V"], outputs["A.V"]
    return (V**2).mean() + 1e-3 * outputs["E.spikes"].mean() + 1e-6 * (A**3).mean(), None


class Mixed(dd.Network):
    """Projections onto two populations, weights of a few numbers, and numbers of cells."""

    def __init__(self):
        cell = dd.LIF(
            C_m=10.0, tau_m=dd.Uniform(8.0, 14.0), E_L=0.0, V_th=1.0, V_reset=0.0, t_ref=1.0
        )
        self.inp = dd.Population(5, dd.SpikeTimes([], []))
        self.E = dd.Population(7, cell, V=dd.Uniform(0.0, 0.9))
        self.A = dd.Population(4, dd.ALIF(tau_a=50.0, beta=0.3, t_ref=2.0))
        self.out = dd.Population(3, dd.LeakyIntegrator(C_m=10.0, tau_m=10.0, E_L=0.0))
        both, delay, normal = (self.E[:6], self.A), dd.Uniform(1.0, 4.0), dd.Normal(0.6, 0.8)
        for name, pre, post, rule, weight, at in (
            ("dense", self.inp, (self.E, self.A), dd.AllToAll(), normal, 2.0),
            ("one", self.inp, both, dd.FixedProb(0.6), 0.4, delay),
            ("all", self.inp, (self.A, self.E), dd.AllToAll(), 0.2, 1.0),
            ("back", self.E, both, dd.FixedProb(0.5), dd.Normal(0.0, 0.3), delay),
            ("read", self.E, self.out, dd.AllToAll(), dd.Normal(0.0, 0.5), 2.0),
            ("some", (self.A[:3], self.E[3:6]), self.out, dd.FixedProb(0.7), 0.3, 1.0),
        ):
            of = dd.Projection(pre, post, rule, CURRENT, weight=weight, delay=at)
            setattr(self, name, of)
        self.noise = dd.PoissonInput((self.E[:4], self.A), 300.0, CURRENT, weight=0.3)
        self.drawn = dd.Projection(
            self.inp, self.E, dd.FixedProb(0.6), CURRENT, weight=dd.Normal(0.2, 0.4), delay=2.0,
            storage="procedural",
        )  # fmt: skip


MIXED = [
    *(f"{path}.weight" for path in ("dense", "one", "all", "back", "some", "drawn")),
    "E.tau_m", "E.V_th", "A.beta", "out.E_L", "dense.tau", "noise.weight",
]  # fmt: skip


def mixed(shape):
    return unrolled(shape, network=Mixed(), where=MIXED, watch=WATCH)


def net_of(shape, is_recurrent=True):
    paths = ["dense", "sparse", "read", "some", *(INNER if is_recurrent else ())]
    where = [f"{path}.weight" for path in paths]
    return unrolled(shape, network=Layers(is_recurrent), where=where, watch=WATCH)


def placed(net, steps=STEPS):
    random = np.random.default_rng(0)
    given = {"inp": random.random((TRIALS, steps, 5)) < 0.25}
    trial = net.layout.place(np.arange(TRIALS, dtype=np.uint32), "data")
    return given_to(net.graph, net.layout, given)[0], trial


def forwards(net, feedback="symmetric", decay=None):
    """The loss and its derivatives by e-prop, or with a decay by pp-prop."""
    with jax.enable_x64(True):
        given, trial = placed(net)
        rest = given, trial, STEPS, score, feedback, decay
        run = jax.jit(lambda p, held: online.gradient(net, p, held, *rest))
        (value, _), found = run(net.parameters, net.held)
        return float(value), {path: net.canonical(path, x) for path, x in found.items()}


def backwards(net, monkeypatch=None):
    """The same by backpropagation; with a monkeypatch nothing passes back through `INNER`."""
    if monkeypatch:
        sent = Synapses.sent
        monkeypatch.setattr(
            Synapses,
            "sent",
            lambda s, *x: jax.lax.stop_gradient(sent(s, *x)) if s.path in INNER else sent(s, *x),
        )
    with jax.enable_x64(True):
        given, trial = placed(net)

        @jax.jit
        def run(parameters, held):
            def loss(parameters):
                return score(net(parameters, held, given, trial, steps=STEPS))[0]

            return jax.value_and_grad(loss)(parameters)

        value, found = run(net.parameters, net.held)
        return float(value), {path: net.canonical(path, x) for path, x in found.items()}


@pytest.fixture(scope="module")
def alone():
    """Of the recurrent network on one device."""
    return forwards(net_of((1, 1)))


def test_without_recurrence_it_is_backpropagation():  # 6.A6
    net = net_of((1, 1), is_recurrent=False)
    check_same(forwards(net), backwards(net))


def test_with_recurrence_it_leaves_out_what_passes_back(alone, monkeypatch):  # 6.A6
    check_same(alone, backwards(net_of((1, 1)), monkeypatch))


def test_with_recurrence_it_is_not_backpropagation(
    alone,
):  # 6.A6
    _, exact = backwards(net_of((1, 1)))
    for path in ("dense.weight", "back.weight"):
        apart = np.abs(alone[1][path] - exact[path]).max() / np.abs(exact[path]).max()
        assert apart > 1e-3
    np.testing.assert_allclose(alone[1]["read.weight"], exact["read.weight"], rtol=1e-9)


@pytest.mark.parametrize(
    "shape",
    [
        (2, 2),
        pytest.param((2, 1), marks=pytest.mark.slow),
        pytest.param((1, 2), marks=pytest.mark.slow),
        pytest.param((1, 4), marks=pytest.mark.slow),
    ],
)
def test_it_does_not_depend_on_the_mesh(shape, alone):  # 6.A1
    check_same(forwards(net_of(shape)), alone)


@pytest.fixture(scope="module")
def of_mixed():
    """On four devices."""
    return forwards(mixed((2, 2)))


def test_numbers_and_ends_of_several_populations(of_mixed, monkeypatch):  # 6.A6
    """One number of many synapses or cells sums what those say: with others it is this as well."""
    check_same(of_mixed, backwards(mixed((1, 1)), monkeypatch))


@pytest.mark.slow
def test_numbers_are_exact_where_weights_are_factored(of_mixed):
    _, factored = forwards(mixed((1, 1)), decay=0.9)
    for path, exact in of_mixed[1].items():
        apart = np.abs(factored[path] - exact).max() / np.abs(exact).max()
        is_each = path in ("dense.weight", "back.weight")
        assert apart > 1e-3 if is_each else apart < 1e-12, path


@pytest.fixture(scope="module")
def random():
    """With random feedback, on four devices."""
    return forwards(net_of((2, 2)), "random")


def test_random_feedback_changes_what_comes_over_readouts_alone(alone, random):
    value, found = random
    assert value == pytest.approx(alone[0], rel=1e-12)
    np.testing.assert_allclose(found["read.weight"], alone[1]["read.weight"], rtol=1e-9)
    for path in ("dense.weight", "back.weight", "sparse.weight"):
        apart = np.abs(found[path] - alone[1][path]).max() / np.abs(alone[1][path]).max()
        assert apart > 1e-2


@pytest.mark.slow
def test_random_feedback_does_not_depend_on_the_mesh(random):
    check_same(forwards(net_of((1, 2)), "random"), random)


class Forgetful(dd.Network):
    """Cells of one layer, and readouts that keep of their potential this part in a step."""

    def __init__(self, kept):
        cell = dd.LIF(C_m=10.0, tau_m=10.0, E_L=0.0, V_th=1.0, V_reset=0.0, t_ref=1.0)
        tau = -1.0 / np.log(kept)
        self.inp = dd.Population(5, dd.SpikeTimes([], []))
        self.E = dd.Population(4, cell)
        self.out = dd.Population(2, dd.LeakyIntegrator(C_m=10.0, tau_m=tau, E_L=0.0))
        for name, pre, post in (("enter", self.inp, self.E), ("read", self.E, self.out)):
            weight = dd.Normal(0.6, 0.8)
            of = dd.Projection(pre, post, dd.AllToAll(), dd.Delta(), weight=weight, delay=1.0)
            setattr(self, name, of)


@pytest.mark.parametrize("kept", [1e-16, 0.8])
def test_instant_errors_are_exact_where_readouts_forget(kept):  # 6.A6
    """D-RTRL is backpropagation for readouts without memory, and is not for others."""
    where = ["enter.weight", "read.weight"]
    net = unrolled((1, 1), network=Forgetful(kept), where=where, watch=["out.V"])

    def of(outputs):
        return (outputs["out.V"] ** 3).mean(), None

    with jax.enable_x64(True):
        given, trial = placed(net)

        @jax.jit
        def both(parameters, held):
            rest = parameters, held, given, trial
            _, instant = online.gradient(net, *rest, STEPS, of, is_instant=True)
            exact = jax.grad(lambda p: of(net(p, held, given, trial, steps=STEPS, chunk=None))[0])(
                parameters
            )
            return instant, exact

        instant, exact = jax.tree.map(np.asarray, both(net.parameters, net.held))
    np.testing.assert_allclose(instant["read.weight"], exact["read.weight"], rtol=1e-9)
    largest = np.abs(exact["enter.weight"]).max()
    apart = np.abs(instant["enter.weight"] - exact["enter.weight"]).max() / largest
    assert largest > 0
    assert apart < 1e-12 if kept < 0.5 else apart > 1e-2


class Chain(dd.Network):
    """Generators, integrators of two populations that are watched, and no spike of theirs."""

    def __init__(self):
        cell = dd.LeakyIntegrator(C_m=10.0, tau_m=10.0, E_L=0.0)
        self.inp = dd.Population(5, dd.SpikeTimes([], []))
        self.out, self.too = dd.Population(4, cell), dd.Population(3, cell)
        for name, rule, delay in (
            ("all", dd.AllToAll(), 2.0),
            ("some", dd.FixedProb(0.6), dd.Uniform(1.0, 4.0)),
        ):
            post, weight = (self.out, self.too), dd.Normal(0.6, 0.8)
            of = dd.Projection(self.inp, post, rule, dd.Delta(), weight=weight, delay=delay)
            setattr(self, name, of)


def test_factored_eligibilities_are_what_their_equations_say():
    """V(t) = l V(t-1) + w x(t-d), dE/dV(t) = 2 V(t): factors and derivatives, step by step."""
    decay, left = 0.9, np.exp(-0.1)
    where, watch = ["all.weight", "some.weight"], ["out.V", "too.V"]
    net = unrolled((1, 1), network=Chain(), where=where, watch=watch)
    with jax.enable_x64(True):
        given, trial = placed(net)

        def of(outputs):
            V = jnp.concatenate([outputs[name] for name in watch], axis=2)
            return (V**2).sum(), V

        (_, V), found = online.gradient(
            net, net.parameters, net.held, given, trial, STEPS, of, decay=decay
        )
        edges = {s.path: s.edges for s in net.synapses}
        found = {path: net.canonical(path, x) for path, x in found.items()}
    x = np.random.default_rng(0).random((TRIALS, STEPS, 5)) < 0.25
    pre, post = np.zeros((STEPS + 5, TRIALS, 5)), np.zeros(STEPS)
    f = 0.0
    for t in range(STEPS):  # what was sent in step t is stamped t + 1, and here at t + 5
        pre[t + 5] = decay * pre[t + 4] + x[:, t]
        f = decay * left * f + (1 - decay)
        post[t] = f
    for path, (i, j, d) in edges.items():
        expected = np.zeros(len(i))
        for t in range(STEPS):
            error = 2.0 * np.asarray(V)[:, t]
            expected += (error[:, j] * pre[t + 5 - d, :, i].T).sum(axis=0) * post[t]
        np.testing.assert_allclose(found[f"{path}.weight"], expected, rtol=1e-9)


def test_factored_derivatives_are_others_and_do_not_depend_on_the_mesh(random):
    """Nor does the feedback, which is random here."""
    value, found = forwards(net_of((1, 1)), "random", decay=0.9)
    assert value == pytest.approx(random[0], rel=1e-12)
    apart = found["back.weight"] - random[1]["back.weight"]
    assert np.abs(apart).max() > 1e-2 * np.abs(random[1]["back.weight"]).max()
    check_same(forwards(net_of((2, 2)), "random", decay=0.9), (value, found))


class Wide(small.Small):
    """With n cells, all connected with all."""

    def __init__(self, n):
        super().__init__()
        self.E = dd.Population(n, self.E.model)
        for name, pre, post in (("w_in", self.inp, self.E), ("rec", self.E, self.E)):
            weight = dd.Normal(0.1, 0.1)
            of = dd.Projection(pre, post, dd.AllToAll(), dd.Delta(), weight=weight, delay=1.0)
            setattr(self, name, of)
        self.w_out = dd.Projection(
            self.E, self.out, dd.AllToAll(), dd.Delta(), weight=dd.Normal(0.0, 0.3), delay=1.0
        )


def compiled(shape, steps, n):
    where = ["w_in.weight", "rec.weight", "w_out.weight"]
    net = unrolled(shape, "float32", network=Wide(n), where=where, watch=["out.V"])
    with jax.enable_x64(True):
        given, trials, _ = given_to(net.graph, net.layout, {"inp": np.zeros((8, steps, 2), bool)})
        trial = net.layout.place(np.arange(trials, dtype=np.uint32), "data")

        def run(parameters, held, given):
            def of(outputs):
                return (outputs["out.V"] ** 2).mean(), None

            return online.gradient(net, parameters, held, given, trial, steps, of)

        return jax.jit(run).lower(net.parameters, net.held, given).compile()


def test_nothing_but_spikes_is_sent_in_a_step():  # 6.F
    text = compiled((2, 2), 40, n=12).as_text()
    within = set(re.findall(r"body=%?([\w.\-]+)", text))
    kinds, name = [], ""
    for line in text.splitlines():
        opened = re.match(r"\s*(?:ENTRY )?%?([\w.\-]+) \(.*\{", line)
        name = opened.group(1) if opened else name
        of = re.search(r"= (\S+) (all-gather|all-reduce|reduce-scatter|all-to-all)\(", line)
        if of and name in within:
            kinds.append((of.group(2), of.group(1).split("[")[0]))
    assert kinds == [("all-gather", "u8")] * 2, "once to see what is watched, once to learn"


def test_memory_does_not_grow_with_the_steps():  # 6.F
    """But for what is watched, and what the loss says of it: two readouts, here."""

    def bytes_of(steps):
        return compiled((1, 1), steps, n=120).memory_analysis().temp_size_in_bytes

    few, many = bytes_of(256), bytes_of(4096)
    watched = 8 * (4096 - 256) * 2 * 4  # bytes: trials, steps, readouts, of a number
    assert (many - 4 * watched) / few <= 1.05


@pytest.mark.parametrize("rule", [dd.EProp, dd.PPProp])
def test_it_learns(rule):
    trainer = small.trainer(
        rule=rule(surrogate=dd.surrogate.SoftSign(2.0)),
        where=["w_in.weight", "rec.weight", "w_out.weight"],
    )
    history = trainer.fit(small.task(), 12)
    assert history.loss[-1] < 0.7 * history.loss[0]


class Lost(small.Small):
    """With cells from which nothing goes to a readout."""

    def __init__(self):
        super().__init__()
        self.B = dd.Population(3, self.E.model)
        self.inner = dd.Projection(
            self.E, self.B, dd.AllToAll(), dd.Delta(), weight=dd.Normal(0.0, 1.0), delay=1.0
        )


class Rates(small.Small):
    """With couplings to the readout."""

    def __init__(self):
        super().__init__()
        self.R = dd.Population(3, dd.ThresholdLinear())
        self.far = dd.Projection(
            self.R, self.out, dd.AllToAll(), dd.Additive(), weight=dd.Normal(0.0, 1.0), delay=1.0
        )
        self.nmda = dd.Projection(
            self.E, self.out, dd.AllToAll(), dd.NMDA(), weight=dd.Normal(0.0, 1.0), delay=1.0
        )


class Delayed(small.Small):
    """With a readout that is reached by several delays."""

    def __init__(self):
        super().__init__()
        self.w_out = dd.Projection(
            self.E, self.out, dd.AllToAll(), dd.Delta(), weight=dd.Normal(0.0, 1.0),
            delay=dd.Uniform(1.0, 4.0),
        )  # fmt: skip


class Conductances(small.Small):
    """With a readout that is not linear: currents depend on its own potential."""

    def __init__(self):
        super().__init__()
        self.w_out = dd.Projection(
            self.E, self.out, dd.AllToAll(), dd.Exponential(tau=5.0), dd.COBA(E=0.0),
            weight=dd.Uniform(0.0, 1.0), delay=1.0,
        )  # fmt: skip


@pytest.mark.parametrize(
    "network, path, what",
    [
        (Conductances, "w_in.weight", 'no error comes back from it over "w_out"'),
        (Rates, "far.weight", "Additive acts without spikes"),
        (Rates, "nmda.tau_decay", "of what the pre cells send"),
        (Lost, "B.V_th", 'no error reaches "B"'),
        (Lost, "inner.weight", 'no error reaches "B"'),
        (Delayed, "w_in.weight", '"w_out" has several delays'),
    ],
)
def test_what_it_cannot_train_is_said(network, path, what):
    with pytest.raises(TrainError, match=what) as found:
        small.trainer(network(), rule=dd.EProp(), where=[path])
    assert "BPTT" in str(found.value)


def test_feedback_that_does_not_exist():
    with pytest.raises(ParameterError, match="symmetric"):
        dd.EProp(feedback="mirrored")


@pytest.mark.parametrize("decay", [-0.1, 1.0, "slow"])
def test_a_decay_that_is_none(decay):
    with pytest.raises(ParameterError, match="below 1"):
        dd.PPProp(decay=decay)
