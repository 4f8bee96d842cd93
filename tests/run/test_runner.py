"""DSRunner: runs that continue, states and parameters by path, inputs, files, and how it ends."""

import signal
import threading
import time
from typing import NamedTuple

import jax
import numpy as np
import pytest

import distdyn as dd
from distdyn.core.system import DynamicalSystem
from distdyn.errors import NameLookupError, SimulationError
from distdyn.run.recording import concatenate


class Balanced(dd.Network):
    """A small network that fires some hundred spikes in 100 ms, with drawn weights and delays."""

    def __init__(self, n=100, weight=6.0):
        cell = dd.LIF(C_m=200.0, tau_m=20.0, E_L=-60.0, V_reset=-60.0, t_ref=5.0, I_e=200.0)
        self.E = dd.Population(int(0.8 * n), cell, V=dd.Normal(-55.0, 5.0))
        self.I = dd.Population(n - self.E.size, cell, V=dd.Normal(-55.0, 5.0))
        everyone, rule = (self.E, self.I), dd.FixedProb(0.2)
        fast, slow = dd.Exponential(tau=5.0), dd.Exponential(tau=10.0)
        delay = dd.Uniform(0.1, 2.0)
        self.exc = dd.Projection(
            self.E, everyone, rule, fast, dd.COBA(E=0.0), weight=weight, delay=delay
        )
        self.inh = dd.Projection(
            self.I, everyone, rule, slow, dd.COBA(E=-80.0), weight=30.0, delay=delay
        )


class Alone(dd.Network):
    """Cells that nothing connects."""

    def __init__(self, n=3, model=None, inputs=(), **initial):
        self.N = dd.Population(n, model or dd.LIF(), **initial)
        self.inputs = [make(self.N) for make in inputs]


class FitzHughNagumo(dd.ODE):
    """A model as a user writes it."""

    a: float = 0.7
    b: float = 0.8
    tau: float = 12.5
    I: float = 0.5

    class State(NamedTuple):
        V: jax.Array
        w: jax.Array

    def init(self, id, key):
        return self.State(V=-1.2, w=-0.6)

    def derivative(self, t, s, drive):
        V = s.V - s.V**3 / 3 - s.w + self.I + drive.current
        return self.State(V=V, w=(s.V + self.a - self.b * s.w) / self.tau)


def build(network=None, **options) -> dd.DSRunner:
    return dd.DSRunner(network or Balanced(), **{"dt": 0.1, "record": "spikes"} | options)


def voltage(network, duration=5.0, **options) -> np.ndarray:
    """V of the cells of N after each step."""
    runner = build(network, record="N.V", precision="float64", **options)
    return runner.run(duration).traces["N.V"].value


# running


def test_run_continues_where_the_last_one_ended():
    runner = build(record=["spikes", "E.V"])
    parts = [runner.run(duration) for duration in (0.1, 0.0, 29.9, 70.0)]
    assert [(part.start, part.stop) for part in parts] == [(0, 1), (1, 1), (1, 300), (300, 1000)]
    assert (runner.step, runner.t) == (1000, 100.0)
    whole, joined = build(record=["spikes", "E.V"]).run(100.0), concatenate(parts)
    assert joined.spikes_sha256() == whole.spikes_sha256()
    assert len(whole.spikes["E"]) > 100
    np.testing.assert_array_equal(joined.traces["E.V"].value, whole.traces["E.V"].value)


def test_time_begins_at_t0():
    recording = build(t0=1000.0).run(20.0)
    assert (recording.start, recording.stop) == (10_000, 10_200)
    time = recording.spikes["E"].time
    assert time.size and 1000.0 < time.min() and time.max() <= 1020.0


def test_call_is_made_after_each_interval_and_may_change_the_run():
    times, runner = [], build(record="E.V")

    def call(runner):
        times.append(runner.t)
        runner["E"].I_e = 200.0 + runner.t

    runner.run(3.0)
    runner.run(15.0, every=5.0, call=call)
    np.testing.assert_allclose(times, [5.0, 10.0, 15.0], rtol=1e-12)
    assert runner["E"].I_e == pytest.approx(215.0)


def test_calls_that_only_look_change_nothing():
    looked = build()
    recording = looked.run(100.0, every=7.0, call=lambda runner: runner["E"].V)
    assert recording.spikes_sha256() == build().run(100.0).spikes_sha256()


def test_warm_up_is_not_recorded_and_its_time_is_kept_apart():
    runner = build(record=["spikes", dd.every(1.0, "E.V")])
    runner.warm_up(50.0)
    recording = runner.run(50.0)
    assert (recording.start, recording.stop) == (500, 1000)
    assert recording.traces["E.V"].time[0] == 51.0 and len(recording.traces["E.V"]) == 50
    assert recording.spikes_sha256() == build().run(100.0).between(50.0, 100.0).spikes_sha256()
    assert runner.phases["warmup"] > 0 and runner.phases["run"] > 0


def test_reset_is_a_fresh_start():
    runner = build(seed=1)
    first = runner.run(50.0).spikes_sha256()
    runner.reset()
    assert runner.step == 0
    assert runner.run(50.0).spikes_sha256() == first


def test_reset_with_a_seed_equals_a_fresh_runner_with_that_seed():
    runner, fresh = build(seed=1), build(seed=2)
    before = runner.run(50.0)
    runner.reset(seed=2)
    for name in ("exc", "inh"):
        for one, two in zip(runner[name].edges(), fresh[name].edges(), strict=True):
            np.testing.assert_array_equal(one, two)
    after, expected = runner.run(50.0), fresh.run(50.0)
    assert after.spikes_sha256() == expected.spikes_sha256() != before.spikes_sha256()


def test_reset_keeps_what_was_set():
    runner = build(seed=1)
    runner["E"].I_e = 250.0
    runner["exc"].weight = 3.0
    for seed in (None, 2):
        runner.reset(seed=seed)
        assert runner["E"].I_e == 250.0
        np.testing.assert_array_equal(np.unique(runner["exc"].edges().weight), 3.0)


def test_single_precision_is_the_default_and_double_is_there():
    for options, dtype in (({}, "float32"), ({"precision": "float64"}, "float64")):
        runner = build(Alone(), record="N.V", **options)
        assert runner["N"].V.dtype == runner.run(1.0).traces["N.V"].value.dtype == dtype


# looking and setting


def test_state_is_read_as_a_copy_and_set_by_a_number_or_an_array():
    runner = build()
    V = runner["E"].V
    assert V.shape == (80,)
    V[:] = 0.0
    assert not np.any(runner["E"].V == 0.0)
    runner["E"].V = -61.0
    np.testing.assert_array_equal(runner["E"].V, -61.0)
    runner["E"].V = np.linspace(-60.0, -50.0, 80)
    np.testing.assert_allclose(runner["E"].V, np.linspace(-60.0, -50.0, 80), rtol=1e-6)
    assert not np.any(runner["I"].V == -61.0), "I runs in the same group and was not set"


def test_state_that_is_set_is_where_the_run_goes_on():
    described = voltage(Alone(V=-57.0))
    runner = build(Alone(V=-60.0), record="N.V", precision="float64")
    runner["N"].V = -57.0
    np.testing.assert_array_equal(runner.run(5.0).traces["N.V"].value, described)


def test_parameter_is_read_and_set_for_one_population():
    runner = build()
    assert (runner["E"].I_e, runner["I"].tau_m) == (200.0, 20.0)
    runner["E"].I_e = 300.0
    assert (runner["E"].I_e, runner["I"].I_e) == (300.0, 200.0)
    runner["E"].tau_m = np.linspace(10.0, 20.0, 80)
    np.testing.assert_array_equal(runner["E"].tau_m, np.linspace(10.0, 20.0, 80))
    assert np.all(runner["I"].tau_m == 20.0)
    runner["E"].tau_m = 15.0
    assert np.all(runner["E"].tau_m == 15.0)


@pytest.mark.parametrize("value", [300.0, np.array([100.0, 200.0, 300.0])], ids=["number", "array"])
@pytest.mark.parametrize("name", ["I_e", "tau_m"])
def test_parameter_that_is_set_acts_as_if_described(name, value):
    expected = voltage(Alone(model=dd.LIF(**{name: value})))
    runner = build(Alone(), record="N.V", precision="float64")
    setattr(runner["N"], name, value)
    np.testing.assert_array_equal(runner.run(5.0).traces["N.V"].value, expected)


def test_drawn_parameters_are_read_one_per_neuron():
    runner = build(Alone(50, dd.LIF(tau_m=dd.Normal(10.0, 1.0, low=5.0))))
    assert np.unique(runner["N"].tau_m).size == 50
    assert 9.0 < runner["N"].tau_m.mean() < 11.0


@pytest.mark.parametrize("weight", [0.5, 12.0])
def test_weight_that_is_set_equals_a_fresh_build_with_that_weight(weight):
    runner, fresh = build(Balanced()), build(Balanced(weight=weight))
    runner["exc"].weight = weight
    assert runner["exc"].weight == weight
    one, two = runner.run(100.0), fresh.run(100.0)
    assert one.spikes_sha256() == two.spikes_sha256()
    assert one.rates() != build().run(100.0).rates()


def test_drawn_weights_can_be_set():
    weight = dd.Normal(6.0, 0.6, low=0.0)
    runner, fresh = build(), build(Balanced(weight=weight))
    runner["exc"].weight = weight
    np.testing.assert_array_equal(runner["exc"].edges().weight, fresh["exc"].edges().weight)
    assert runner.run(50.0).spikes_sha256() == fresh.run(50.0).spikes_sha256()


def test_weight_set_on_the_way_spares_what_is_in_flight():
    class Late(dd.Network):
        def __init__(self):
            self.source = dd.Population(1, dd.SpikeTimes(id=[0, 0], time=[1.0, 3.0]))
            self.N = dd.Population(1, dd.LIF(E_L=0.0, V_th=np.inf, V_reset=0.0))
            self.syn = dd.Projection(
                self.source, self.N, dd.OneToOne(), dd.Delta(), weight=1.0, delay=1.0
            )

    runner = build(Late(), record="N.V", precision="float64")
    runner.run(1.5)  # the first spike is on its way
    runner["syn"].weight = 1000.0
    V = runner.run(3.0).traces["N.V"].value[:, 0]
    assert V[4] == pytest.approx(1.0)  # at 2 ms
    assert V[24] == pytest.approx(1000.0 + np.exp(-0.2))  # at 4 ms, 2 ms after the first


def test_edges_are_the_synapses_in_the_order_of_pre_and_post():
    pre, post = np.array([2, 0, 1, 0]), np.array([1, 2, 0, 0])
    weight, delay = np.array([4.0, 2.0, 3.0, 1.0]), np.array([0.4, 0.2, 0.3, 0.1])

    class Given(dd.Network):
        def __init__(self):
            self.N = dd.Population(3, dd.LIF())
            self.syn = dd.Projection(
                self.N, self.N, dd.Edges(pre, post), dd.Exponential(), weight=weight, delay=delay
            )

    runner = build(Given())
    edges = runner["syn"].edges()
    np.testing.assert_array_equal(edges.pre, [0, 0, 1, 2])
    np.testing.assert_array_equal(edges.post, [0, 2, 0, 1])
    np.testing.assert_allclose(edges.weight, [1.0, 2.0, 3.0, 4.0], rtol=1e-6)
    np.testing.assert_allclose(edges.delay, [0.1, 0.2, 0.3, 0.4], rtol=1e-12)
    np.testing.assert_array_equal(runner["syn"].edges(pre=0).post, [0, 2])
    np.testing.assert_array_equal(runner["syn"].edges(post=[0, 1]).pre, [0, 1, 2])
    assert runner.synapses == 4


def test_receptor_state_is_read_by_the_path_of_any_projection_that_shares_it():
    runner = build(record=["E.exc.g", dd.every(1.0, "I.inh.g", ids=[3])])
    recording = runner.run(20.0)
    np.testing.assert_array_equal(recording.traces["E.exc.g"].value[-1], runner["exc"].g[:80])
    assert recording.traces["I.inh.g"].value.shape == (20, 1)
    assert recording.traces["E.exc.g"].unit == "nS"
    assert runner["exc"].g.shape == (100,)  # E and I, the post end


def test_unknown_names_say_what_there_is():
    runner = build()
    for wrong in (lambda: runner["Ex"], lambda: runner["E"].Vm, lambda: runner["exc"].weights):
        with pytest.raises(NameLookupError, match="Did you mean"):
            wrong()


def test_dir_lists_parameters_and_states():
    assert {"V", "refractory", "I_e", "tau_m"} <= set(dir(build()["E"]))


def test_print_says_what_it_is():
    runner = build(seed=7)
    runner.run(10.0)
    text = repr(runner)
    for words in ("Balanced", "10 ms", "seed 7", "float32", "100 neurons", "synapses"):
        assert words in text
    assert "Population(80, LIF)" in repr(runner["E"]) and "I_e" in repr(runner["E"])
    assert "FixedProb" in repr(runner["exc"])


# a system by itself


def test_single_system_runs_with_bare_names():
    runner = dd.DSRunner(FitzHughNagumo(), dt=0.1, record=["V", dd.every(1.0, "w")])
    recording = runner.run(100.0)
    assert recording.traces["V"].value.shape == (1000, 1)
    assert recording.traces["w"].value.shape == (100, 1)
    assert recording.traces["V"].value.max() > 1.0, "with I = 0.5 it oscillates"


def test_single_system_equals_a_population_of_it():
    alone = dd.DSRunner(FitzHughNagumo(), dt=0.1, record="V", precision="float64").run(20.0)
    np.testing.assert_array_equal(
        alone.traces["V"].value, voltage(Alone(1, FitzHughNagumo()), 20.0)
    )


def test_single_cell_spikes():
    recording = dd.DSRunner(dd.LIF(I_e=500.0), dt=0.1, record="spikes").run(100.0)
    (count,) = recording.counts().values()
    assert count == 6  # 20 mV (1 - exp(-t / 10)) reaches 15 mV after 13.9 ms, and 2 ms refractory


def test_system_with_a_step_of_its_own():
    class Counter(DynamicalSystem):
        class State(NamedTuple):
            n: jax.Array

        def init(self, id, key):
            return self.State(n=0.0)

        def step(self, state, drive, tick):
            return self.State(n=state.n + 1.0), None

    recording = dd.DSRunner(Counter(), dt=0.1, record="n").run(1.0)
    np.testing.assert_array_equal(recording.traces["n"].value[:, 0], np.arange(1, 11))


# inputs


def test_current_input_of_a_number_is_the_constant_current_of_the_cell():
    given = voltage(Alone(inputs=[lambda N: dd.CurrentInput(N, 300.0)]))
    np.testing.assert_allclose(given, voltage(Alone(model=dd.LIF(I_e=300.0))), rtol=1e-14)


def test_current_input_of_an_array_is_one_current_per_target():
    current = np.array([100.0, 200.0])
    given = voltage(Alone(inputs=[lambda N: dd.CurrentInput(N[0:3:2], current)]))
    expected = voltage(Alone(model=dd.LIF(I_e=np.array([100.0, 0.0, 200.0]))))
    np.testing.assert_allclose(given, expected, rtol=1e-14)


def test_current_inputs_add_up():
    one, two = (lambda N: dd.CurrentInput(N, 100.0)), (lambda N: dd.CurrentInput(N[1:], 50.0))
    expected = voltage(Alone(model=dd.LIF(I_e=np.array([100.0, 150.0, 150.0]))))
    np.testing.assert_allclose(voltage(Alone(inputs=[one, two])), expected, rtol=1e-14)


SHAPES = {
    "steps": dd.Steps([1.0, 2.0], [300.0, -100.0]),
    "samples": dd.Sampled([0.0, 300.0, -100.0], dt=1.0),
    "function": lambda t: jax.numpy.where(t < 0.95, 0.0, jax.numpy.where(t < 1.95, 300.0, -100.0)),
}


@pytest.mark.parametrize("signal", SHAPES.values(), ids=SHAPES)
def test_current_that_changes_in_time(signal):
    """0 pA, then 300 pA from 1 ms, then -100 pA from 2 ms: V from the closed form."""
    V = voltage(Alone(1, inputs=[lambda N: dd.CurrentInput(N, signal)]), 3.0)[:, 0] + 65.0
    decay, tau_over_C = np.exp(-0.1), 10.0 / 250.0
    expected = [0.0, 300.0 * tau_over_C * (1 - decay)]
    expected.append(expected[1] * decay - 100.0 * tau_over_C * (1 - decay))
    np.testing.assert_allclose(V[9::10], expected, rtol=1e-12, atol=1e-12)


def test_steps_with_one_value_per_target():
    signal = dd.Steps([0.0, 1.0], [[100.0, 200.0, 300.0], [0.0, 0.0, 0.0]])
    V = voltage(Alone(inputs=[lambda N: dd.CurrentInput(N, signal)]), 1.0)
    expected = voltage(Alone(model=dd.LIF(I_e=np.array([100.0, 200.0, 300.0]))), 1.0)
    np.testing.assert_allclose(V, expected, rtol=1e-14)


def test_poisson_input_with_a_rate_and_a_weight_per_target(seed):
    """Counts: V of a cell without leak or threshold is the sum of its weights."""
    cell = dd.LIF(tau_m=1e12, E_L=0.0, V_th=np.inf, V_reset=0.0)
    rate = np.repeat([0.0, 1000.0, 5000.0], 100)
    weight = np.tile([1.0, 2.0], 150)
    poisson = lambda N: dd.PoissonInput(N, rate, dd.Delta(), weight=weight)  # noqa: E731
    runner = build(Alone(300, cell, [poisson]), record=(), seed=seed, precision="float64")
    runner.run(1000.0)
    counts = np.rint(runner["N"].V / weight).reshape(3, 100)
    assert not counts[0].any()
    for k, mean in ((1, 1000.0), (2, 5000.0)):
        assert abs(counts[k].mean() - mean) < 4 * np.sqrt(mean / 100)  # 4 standard errors
        assert 0.5 < counts[k].var() / mean < 1.6  # chi-squared of 99 degrees: 4 s.e. are 0.57


def test_poisson_input_to_a_slice_leaves_the_others_alone():
    poisson = lambda N: dd.PoissonInput(N[:2], 5000.0, dd.Exponential(), weight=50.0)  # noqa: E731
    V = voltage(Alone(4, inputs=[poisson]))
    assert np.all(V[-1, :2] > -65.0) and np.all(V[:, 2:] == -65.0)


# ends in several groups


class TwoKinds(dd.Network):
    """A tuple whose members run in different groups, against one projection for each of them."""

    def __init__(self, is_split):
        times = np.arange(1, 40) * 0.5
        self.A = dd.Population(4, dd.SpikeTimes(id=np.arange(39) % 4, time=times))
        self.B = dd.Population(3, dd.LIF(I_e=500.0), V=dd.Uniform(-65.0, -50.0))
        self.C = dd.Population(3, dd.LIF(method=dd.RK4()))
        self.D = dd.Population(2, dd.LIF())
        rng = np.random.default_rng(3)
        pre, post = (x.ravel() for x in np.meshgrid(np.arange(7), np.arange(5), indexing="ij"))
        weight, delay = rng.uniform(100.0, 900.0, 35), rng.integers(1, 30, 35) * 0.1
        synapse = dd.Exponential(tau=2.0)
        if not is_split:
            self.syn = dd.Projection(
                (self.A, self.B), (self.C, self.D), dd.Edges(pre, post), synapse,
                weight=weight, delay=delay,
            )  # fmt: skip
            return
        self.parts = []
        for source, m in ((self.A, 0), (self.B, 4)):
            for target, n in ((self.C, 0), (self.D, 3)):
                keep = (pre >= m) & (pre < m + source.size) & (post >= n) & (post < n + target.size)
                edges = dd.Edges(pre[keep] - m, post[keep] - n)
                self.parts.append(
                    dd.Projection(
                        source, target, edges, synapse, weight=weight[keep], delay=delay[keep]
                    )
                )


def test_ends_in_several_groups_act_as_the_projections_they_stand_for():
    runs = [
        build(TwoKinds(is_split), record=["spikes", "C.V", "D.V"]).run(60.0)
        for is_split in (False, True)
    ]
    assert runs[0].counts()["C"] > 0 and runs[0].counts()["D"] > 0
    assert runs[0].spikes_sha256() == runs[1].spikes_sha256()


# files, progress, errors


def test_two_runs_fill_one_directory(tmp_path):
    with build(record=["spikes", dd.every(1.0, "E.V")], out=tmp_path / "run") as runner:
        parts = [runner.run(30.0), runner.run(20.0)]
    stored, whole = dd.load(tmp_path / "run"), build().run(50.0)
    assert (stored.start, stored.stop) == (0, 500)
    assert stored.spikes_sha256() == whole.spikes_sha256()
    assert stored.traces["E.V"].value.shape == (50, 80)
    assert [part.counts()["E"] for part in parts] == [
        len(whole.between(*window).spikes["E"]) for window in ((0.0, 30.0), (30.0, 50.0))
    ]


def test_progress_is_on_stderr_and_can_be_turned_off(capfd, monkeypatch):
    from distdyn.run import progress

    monkeypatch.setattr(progress, "QUIET", 0.0)
    monkeypatch.setattr(progress, "BETWEEN", 0.0)
    written = {}
    for mode in ("lines", "bar", "auto", "off"):
        build(progress=mode).run(200.0)
        written[mode] = capfd.readouterr()
    assert not any(each.out for each in written.values())
    assert "real-time factor" in written["lines"].err and "200 ms" in written["lines"].err
    assert "compiled" in written["lines"].err
    assert "real-time factor" in written["auto"].err, "stderr is no terminal here"
    assert "%" in written["bar"].err
    assert not written["off"].err


def test_short_run_is_silent(capfd):
    build().run(1.0)
    assert capfd.readouterr() == ("", "")


class Explosive(dd.ODE):
    """V' = V^2 / tau leaves all bounds at t = tau / V(0)."""

    tau: float = 1.0
    method: object = dd.Euler()

    class State(NamedTuple):
        V: jax.Array

    def init(self, id, key):
        return self.State(V=0.0)

    def derivative(self, t, s, drive):
        return self.State(V=s.V**2 / self.tau)


def test_state_that_leaves_the_numbers_is_an_error_that_says_where():
    V = np.zeros(5)
    V[3] = 1.0
    runner = build(Alone(5, Explosive(), V=V), record="N.V")
    with pytest.raises(SimulationError, match=r'"N": V of neuron 3 is (inf|nan) at step \d+'):
        runner.run(100.0)


@pytest.mark.parametrize("call", ["run", "warm_up"])
def test_failed_run_is_kept_in_its_directory_with_the_reason(call, tmp_path):
    runner = build(Alone(5, Explosive(), V=1.0), record="N.V", out=tmp_path / "run")
    with pytest.raises(SimulationError), runner:
        getattr(runner, call)(100.0)
    assert "SimulationError" in (tmp_path / "run" / "run.json").read_text()


class Bare(dd.ODE):
    """V' = -V, a model without any parameter."""

    class State(NamedTuple):
        V: jax.Array

    def init(self, id, key):
        return self.State(V=1.0)

    def derivative(self, t, s, drive):
        return self.State(V=-s.V)


def test_model_without_parameters():
    np.testing.assert_allclose(voltage(Alone(3, Bare()), 1.0)[-1], np.exp(-1.0), rtol=1e-12)


def interrupt(runner):
    """Ctrl-C during a run, once there has been a step: compiling takes a busy machine seconds."""

    def press():
        while not runner.t:
            time.sleep(0.05)
        signal.raise_signal(signal.SIGINT)

    threading.Thread(target=press, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        runner.run(1e6)


def test_run_that_was_interrupted_goes_on():
    """Ctrl-C comes through between two chunks; the state is that of a whole number of steps."""
    runner = build(dt=0.1, record=())
    interrupt(runner)
    done = runner.t
    assert 0 < done < 1e6
    runner.run(10.0)
    same = build(dt=0.1, record=())
    same.run(done + 10.0)
    np.testing.assert_array_equal(runner["E"].V, same["E"].V)


@pytest.mark.parametrize("stored", [False, True])
def test_interrupted_run_keeps_what_it_recorded(tmp_path, stored):
    runner = build(out=tmp_path / "run" if stored else None)
    assert runner.recording is None
    interrupt(runner)
    found = runner.recording
    assert (found.start, found.stop) == (0, runner.step)
    assert found.spikes_sha256() == build().run(runner.t).spikes_sha256()
    runner.run(1.0)
    assert runner.recording is None


def test_failed_run_keeps_what_its_complete_chunks_recorded():
    runner = build(Alone(5, Explosive(), V=0.01), record="N.V")  # leaves all bounds after 100 ms
    with pytest.raises(SimulationError):
        runner.run(1000.0)
    found = runner.recording
    assert 0 < found.stop <= 1000 and len(found.traces["N.V"]) == found.stop
    assert np.all(np.isfinite(found.traces["N.V"].value))


def test_error_in_a_call_keeps_what_was_recorded():
    def call(runner):
        raise ZeroDivisionError

    runner = build()
    with pytest.raises(ZeroDivisionError):
        runner.run(100.0, every=20.0, call=call)
    assert runner.recording.stop == 200
    assert runner.recording.spikes_sha256() == build().run(20.0).spikes_sha256()
