"""A model as a function: names, values, and what has no such function."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import distdyn as dd
from distdyn.analysis.field import VectorField
from distdyn.errors import AnalysisError, NameLookupError, ParameterError, WeightError
from distdyn.zoo import by_name
from tests.analysis.systems import TanhUnit


def test_it_unpacks_into_function_state_and_parameters():
    F, state, parameters = dd.vector_field(dd.FitzHughNagumo(I_e=0.4))
    assert list(state) == ["V", "w"]
    assert parameters["I_e"] == 0.4
    with jax.enable_x64(True):
        slope = F({"V": 0.5, "w": 0.25}, {"b": 0.6})
    assert slope["V"].dtype == np.float64
    np.testing.assert_allclose(slope["V"], 0.5 - 0.5**3 / 3 - 0.25 + 0.4, rtol=1e-15)
    np.testing.assert_allclose(slope["w"], 0.08 * (0.5 + 0.7 - 0.6 * 0.25), rtol=1e-15)


def test_channels_of_a_composed_cell_have_paths():
    cell = dd.Conductance(INa=dd.INa_HH1952(), IK=dd.IK_HH1952(), IL=dd.ILeak(g=0.3, E=-54.387))
    flat = dd.vector_field(cell).flat(("I_e", "INa.g"))
    assert flat.names == ("V", "INa.m", "INa.h", "IK.n")
    np.testing.assert_array_equal(flat.p0, [0.0, 120.0])
    with jax.enable_x64(True):
        of_p = jax.jacfwd(flat.f, 1)(flat.x0, flat.p0)
    m, h = flat.x0[1:3]
    np.testing.assert_allclose(of_p[0], [1.0, -(m**3) * h * (-65.0 - 50.0)], rtol=1e-12)
    np.testing.assert_array_equal(of_p[1:], 0.0)


def test_flat_and_named_states_are_the_same():
    flat = dd.vector_field(dd.HodgkinHuxley()).flat()
    x = np.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(flat.flatten(flat.unflatten(x)), x)
    only = flat.flatten({"V": np.array([1.0, 2.0])})
    np.testing.assert_array_equal(only[:, 1:], np.tile(flat.x0[1:], (2, 1)))


def test_noise_and_reset_are_left_out_and_said():
    assert "drift" in str(dd.vector_field(dd.WongWang()))
    field = dd.vector_field(dd.LIF(V_th=-50.0))
    assert field.threshold == ("V", -50.0)
    assert "reset" in str(field)


class Forced(dd.FitzHughNagumo):
    def derivative(self, t, s, drive):
        slope = dd.FitzHughNagumo.derivative(self, t, s, drive)
        return slope._replace(V=slope.V + jnp.sin(t))


@pytest.mark.parametrize(
    "model, why",
    [
        (dd.FitzHughNagumo(order={"V": 0.9}), "order"),
        (Forced(), "time"),
        (dd.Poisson(10.0), "spikes"),
        (dd.LIF(I_e=dd.Steps([0.0, 1.0], [1.0, 2.0])), "signal in time"),
        (dd.LIF(I_e=dd.Normal(0.0, 1.0)), "distribution"),
        (dd.LIF, "neither a model nor a network"),
    ],
)
def test_what_is_no_function_of_the_state_is_refused(model, why):
    with pytest.raises(AnalysisError, match=why):
        dd.vector_field(model)


def test_unknown_names_are_answered_with_the_nearest():
    field = dd.vector_field(dd.FitzHughNagumo())
    with pytest.raises(NameLookupError, match='"I_e"'):
        field.flat(("I_E",))
    with pytest.raises(NameLookupError, match='"V"'):
        field.flat().flatten({"v": 0.0})


def test_a_parameter_that_is_an_array_cannot_be_moved():
    field = VectorField(lambda s, p: {"x": -s["x"]}, {"x": np.zeros(2)}, {"A": np.eye(2)})
    with pytest.raises(AnalysisError, match=r"shape \(2, 2\)"):
        field.flat("A")


class EI(dd.Network):
    def __init__(self, delay=0.0, synapse=None):
        cell = dd.ThresholdLinear(I_e=dd.Normal(5.0, 1.0), method=dd.Euler())
        self.E = dd.Population(8, cell, r=dd.Uniform(0.0, 1.0))
        self.I = dd.Population(4, dd.ThresholdLinear(tau=10.0, beta=0.351, method=dd.Euler()))
        to_all = dict(weight=0.5, delay=delay)
        self.exc = dd.Projection(
            self.E, (self.E, self.I), dd.AllToAll(), synapse or dd.Additive(), **to_all
        )
        self.inh = dd.Projection(
            self.I, self.E[::2], dd.FixedProb(0.5), dd.Diffusive(), weight=dd.Uniform(-9.0, 0.0),
            delay=0.0,
        )  # fmt: skip
        self.pool = dd.Projection(
            self.I, self.E, dd.AllToAll(), dd.Additive(), dd.Divisive(), weight=0.02, delay=0.0
        )
        self.input = dd.CurrentInput(self.E[2:4], 3.0)


def test_a_step_of_the_simulator_is_along_the_field():
    network, dt = EI(), 0.5
    field = dd.vector_field(network, seed=3)
    runner = dd.DSRunner(network, dt=dt, seed=3, precision="float64")
    runner["I"].r = np.array([1.0, 2.0, 3.0, 4.0])
    before = {"E.r": runner["E"].r, "I.r": runner["I"].r}
    np.testing.assert_allclose(field.state["E.r"], before["E.r"], rtol=1e-15)
    np.testing.assert_allclose(field.parameters["E.I_e"], runner["E"].I_e, rtol=1e-15)
    runner.run(dt)
    with jax.enable_x64(True):
        slope = field.F(before, {})
    for path in ("E", "I"):  # Euler's method; sums of the simulator are rounded to integers
        moved = (runner[path].r - before[f"{path}.r"]) / dt
        np.testing.assert_allclose(slope[f"{path}.r"], moved, rtol=1e-6, atol=1e-9)


def test_parameters_are_those_of_the_simulator():
    network, dt = EI(), 0.5
    edges = dd.DSRunner(network, dt=dt, seed=3, precision="float64")["inh"].edges()
    given = {
        "exc.weight": 0.7, "inh.weight": np.linspace(-5.0, -1.0, len(edges.pre)),
        "input": [4.0, -1.0],
        "E.tau": np.linspace(15.0, 22.0, 8),
        "I.beta": 0.2,
    }  # fmt: skip
    runner = dd.DSRunner(network, dt=dt, seed=3, precision="float64", parameters=given)
    runner["I"].r = np.array([1.0, 2.0, 3.0, 4.0])
    before = {"E.r": runner["E"].r, "I.r": runner["I"].r}
    runner.run(dt)
    field = dd.DSAnalyzer(network, seed=3, parameters=given).field
    with jax.enable_x64(True):
        slope = field.F(before, {})
        untrained = dd.vector_field(network, seed=3).F(before, {})
    for path in ("E", "I"):
        moved = (runner[path].r - before[f"{path}.r"]) / dt
        np.testing.assert_allclose(slope[f"{path}.r"], moved, rtol=1e-6, atol=1e-9)
        assert not np.allclose(untrained[f"{path}.r"], moved, rtol=1e-2)


def test_parameters_of_a_model_and_of_a_field():
    given = dd.vector_field(dd.FitzHughNagumo(), parameters={"I_e": 0.4, "b": 0.6})
    own = dd.vector_field(dd.FitzHughNagumo(I_e=0.4, b=0.6))
    again = dd.vector_field(dd.vector_field(dd.FitzHughNagumo()), parameters={"I_e": 0.4, "b": 0.6})
    for field in (given, again):
        assert field.parameters == own.parameters
        with jax.enable_x64(True):
            for moved in ({}, {"b": 0.1}):
                assert field.F({"V": 0.5, "w": 0.2}, moved) == own.F({"V": 0.5, "w": 0.2}, moved)


@pytest.mark.parametrize(
    "given, error, why",
    [
        ({"E.tua": 1.0}, NameLookupError, '"tau"'),
        ({"imput": 1.0}, NameLookupError, '"input"'),
        ({"E.tau": -1.0}, ParameterError, "tau"),
        ({"E.tau": [1.0, 2.0]}, ParameterError, r"\(8,\)"),
        ({"input": [1.0, 2.0, 3.0]}, ParameterError, "input|current"),
        ({"inh.weight": [1.0]}, WeightError, "synapses"),
        ([1.0], ParameterError, "mapping"),
    ],
)
def test_parameters_that_do_not_fit(given, error, why):
    with pytest.raises(error, match=why):
        dd.vector_field(EI(), seed=3, parameters=given)


class Choice(dd.Network):
    """Two units that inhibit each other: x_i' = -x_i - 2 tanh(x_j) + shown."""

    def __init__(self):
        self.E = dd.Population(2, TanhUnit(tau=1.0))
        other = dd.AllToAll(autapses=False)
        self.inh = dd.Projection(self.E, self.E, other, dd.Additive(), weight=-2.0, delay=0.0)
        self.shown = dd.CurrentInput(self.E, dd.Steps([0.0, 100.0], [0.0, 3.0]))


def test_an_input_is_a_parameter_by_its_path():
    """x = shown - 2 tanh(x) for both; it is chosen where 2 / cosh(x)^2 > 1."""
    an = dd.DSAnalyzer(Choice())
    assert "shown" in str(an.field)  # is left out
    found = an.continuation("shown", (0.0, 4.0), starts={"E.x": np.zeros((1, 2))})
    (point,) = found.points("BP")
    x = np.arctanh(np.sqrt(0.5))
    np.testing.assert_allclose(point.x, [x, x], atol=1e-6)
    np.testing.assert_allclose(point.value, x + 2.0 * np.tanh(x), rtol=1e-8)
    starts = {"E.x": [[3.0, 3.0], [3.0, 0.0], [0.0, 3.0]]}
    for shown, labels in ((0.5, ["saddle", "stable node", "stable node"]), (3.0, ["stable node"])):
        given = dd.DSAnalyzer(Choice(), parameters={"shown": shown})
        assert "shown" not in str(given.field)
        assert sorted(given.fixed_points(starts=starts).stability) == labels


def test_one_weight_for_all_synapses_is_a_parameter():
    flat = dd.vector_field(EI(), seed=3).flat(("exc.weight", "pool.weight"))
    np.testing.assert_array_equal(flat.p0, [0.5, 0.02])
    x = np.linspace(0.5, 1.5, 12)
    with jax.enable_x64(True):
        of_weight = np.asarray(jax.jacfwd(flat.f, 1)(x, flat.p0))[:, 0]
    # On I only exc acts, from where its input is above 0: 0.351 sum(r_E) / 10.
    np.testing.assert_allclose(of_weight[8:], 0.0351 * x[:8].sum(), rtol=1e-12)


class Release(dd.Network):
    def __init__(self):
        self.E = dd.Population(3, dd.HodgkinHuxley())
        self.exc = dd.Projection(
            self.E, self.E, dd.AllToAll(), dd.Graded(), dd.COBA(), weight=1.0, delay=0.0
        )


@pytest.mark.parametrize(
    "network, why",
    [
        (lambda: EI(delay=1.0), "delay of 1.0 ms"),
        (lambda: by_name("cuba")(n=100), "reset at spikes"),
        (Release, "goes by steps"),
    ],
)
def test_networks_that_are_no_flow_are_refused(network, why):
    with pytest.raises(AnalysisError, match=why):
        dd.vector_field(network())
