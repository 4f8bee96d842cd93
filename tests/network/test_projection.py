"""Projections and inputs, their delays in steps, and the errors of wrong descriptions."""

import jax
import numpy as np
import pytest

from distdyn.core.receptor import CUBA
from distdyn.errors import DelayError, NetworkError, ParameterError, RuleError, WeightError
from distdyn.network.distributions import Normal, Uniform
from distdyn.network.edges import Edges
from distdyn.network.population import Population
from distdyn.network.projection import (
    CurrentInput,
    PoissonInput,
    Projection,
    delay_steps,
    weight_unit,
)
from distdyn.network.rules import FixedIndegree, FixedProb, OneToOne
from tests.network.toys import Cell, Conductance, Decay, Generator, Jump, Membrane, Ramp, Rate

E = Population(10, Cell())
EDGES = Edges([0, 1, 2], [3, 4, 9])


def project(pre=E, post=E, rule=None, synapse=None, output=None, **others):
    """A projection with everything right but for what the test is about."""
    others = {"weight": 1.0, "delay": 1.5, **others}
    return Projection(pre, post, rule or FixedProb(0.1), synapse or Decay(), output, **others)


def test_both_ends_are_tuples_of_views():
    projection = project(E[:4], (E, Population(5, Cell())))
    assert [view.size for view in projection.pre] == [4]
    assert [view.size for view in projection.post] == [10, 5]
    ends = projection.ends
    assert (ends.n_pre, ends.n_post, ends.n_self) == (4, 15, 4)


def test_the_expected_number_of_synapses_is_that_of_the_rule():
    assert project(rule=FixedProb(0.1)).expected_synapses == pytest.approx(10)
    assert project(rule=FixedProb(0.1, autapses=False)).expected_synapses == pytest.approx(9)
    assert project(rule=FixedIndegree(4)).expected_synapses == 40


def test_weight_and_delay_are_normalised():
    projection = project(rule=EDGES, weight=[1, 2, 3], delay=np.array([0.1, 0.2, 0.3], np.float32))
    assert projection.weight.dtype == projection.delay.dtype == np.float64
    assert project(weight=2, delay=1).weight == 2.0
    assert project(weight=Normal(1.0, 1.0)).weight == Normal(1.0, 1.0)


def test_empty_ends_are_legal():
    assert project(E[3:3], Population(0, Cell())).expected_synapses == 0


@pytest.mark.parametrize("weight", [np.nan, np.inf, "1", True, None, 1j, [1.0] * 10])
def test_a_weight_is_a_finite_number(weight):
    with pytest.raises(WeightError, match="Projection: weight "):
        project(weight=weight)


@pytest.mark.parametrize("weight", [-1.0, Normal(1.0, 1.0), Uniform(-1.0, 1.0)])
def test_a_conductance_cannot_be_negative(weight):
    with pytest.raises(WeightError, match="a finite number >= 0 nS"):
        project(output=Conductance(), weight=weight)
    project(output=CUBA(), weight=weight)


def test_a_conductance_may_be_zero_or_drawn_above_a_limit():
    for weight in (0.0, Normal(1.0, 1.0, low=0.0)):
        assert project(output=Conductance(), weight=weight).weight == weight


@pytest.mark.parametrize("what", ["weight", "delay"])
def test_arrays_are_for_edges_and_as_long_as_these(what):
    error = {"weight": WeightError, "delay": DelayError}[what]
    assert project(rule=EDGES, **{what: [1.0, 2.0, 3.0]})
    for wrong in ([1.0, 2.0], [[1.0, 2.0, 3.0]], [1.0, np.nan, 3.0], [1.0, "a", 3.0]):
        with pytest.raises(error, match=f"Projection: {what}"):
            project(rule=EDGES, **{what: wrong})
    with pytest.raises(error, match="Give one number"):
        project(rule=OneToOne(), **{what: np.ones(10)})


@pytest.mark.parametrize("delay", [0, -1.0, np.nan, np.inf])
def test_a_delay_is_positive_and_finite(delay):
    with pytest.raises(DelayError, match=r"Projection: delay = .* ms is not possible.*at least dt"):
        project(delay=delay)


@pytest.mark.parametrize("delay", ["1", None, True, Uniform(-2.0, -1.0)])
def test_other_delays_are_refused(delay):
    with pytest.raises(DelayError, match="Projection: delay = "):
        project(delay=delay)


def test_draws_of_a_delay_may_fall_below_dt():
    delay = Normal(1.5, 0.75)
    assert delay_steps(project(delay=delay), 0.1, "exc") is delay


def test_values_that_jax_traces_pass():
    assert jax.jit(lambda w: project(output=Conductance(), weight=w).weight)(-1.0) == -1.0


def test_delays_in_steps():
    assert delay_steps(project(delay=1.5), 0.1, "exc") == 15
    steps = delay_steps(project(rule=EDGES, delay=[0.1, 0.5, 30.0]), 0.1, "exc")
    np.testing.assert_array_equal(steps, [1, 5, 300])
    assert delay_steps(PoissonInput(E, 8.0, Decay(), weight=1.0), 0.1, "noise") == 1
    assert delay_steps(PoissonInput(E, 8.0, Decay(), weight=1.0, delay=1.5), 0.1, "noise") == 15
    assert delay_steps(project(rule=Edges([], []), delay=np.ones(0)), 0.1, "exc").size == 0


def test_a_delay_below_dt_or_off_the_grid_is_refused_by_name():
    text = r'projection "exc": delay 0\.05 ms is shorter than dt = 0\.1 ms\. Use delay >= 0\.1\.'
    with pytest.raises(DelayError, match=text):
        delay_steps(project(delay=0.05), 0.1, "exc")
    with pytest.raises(DelayError, match=r'projection "exc": delay\[1\] 0\.25 ms .* 0\.2 or 0\.3'):
        delay_steps(project(rule=EDGES, delay=[0.1, 0.25, 0.1]), 0.1, "exc")
    with pytest.raises(DelayError, match=r'input "noise": delay 0.05 ms is shorter than'):
        delay_steps(PoissonInput(E, 8.0, Decay(), weight=1.0, delay=0.05), 0.1, "noise")


def test_kinetics_and_output_are_instances_in_this_order():
    with pytest.raises(NetworkError, match=r"synapse is the class Decay\. Give an instance"):
        project(synapse=Decay)
    with pytest.raises(NetworkError, match=r"synapse = .* Give kinetics such as"):
        project(synapse=Conductance())
    with pytest.raises(NetworkError, match=r"output = .* is no Output"):
        project(output=Decay())
    with pytest.raises(NetworkError, match="rule is the class FixedProb"):
        project(rule=FixedProb)
    with pytest.raises(NetworkError, match=r"rule = 0\.1 is no Rule"):
        project(rule=0.1)


def test_parameters_of_a_receptor_are_numbers_in_their_domain():
    with pytest.raises(ParameterError, match="Projection: Decay: tau = 0 ms is not possible"):
        project(synapse=Decay(tau=0.0))
    with pytest.raises(ParameterError, match="Projection: Decay: tau is an array"):
        project(synapse=Decay(tau=np.ones(10)))
    with pytest.raises(ParameterError, match="Projection: Conductance: E = nan mV"):
        project(output=Conductance(E=np.nan))


def test_what_moves_V_takes_no_output():
    project(synapse=Jump())
    with pytest.raises(NetworkError, match=r"Jump takes no output, .* Leave the output out"):
        project(synapse=Jump(), output=CUBA())


def test_the_unit_of_a_weight():
    assert weight_unit(Decay(), None) == weight_unit(Decay(), CUBA()) == "pA"
    assert weight_unit(Decay(), Conductance()) == "nS"
    assert weight_unit(Jump(), None) == "mV"


def test_pre_must_spike_and_post_must_have_a_membrane():
    sources, membranes = Population(10, Generator()), Population(10, Membrane())
    project(sources, membranes)
    with pytest.raises(NetworkError, match=r"Population\(10, Membrane\) cannot be pre"):
        project(membranes, E)
    for build in (
        lambda: project(E, sources),
        lambda: PoissonInput(sources, 8.0, Decay(), weight=1.0),
        lambda: CurrentInput(sources, 1.0),
    ):
        with pytest.raises(NetworkError, match=r"Population\(10, Generator\) cannot be post"):
            build()


def test_a_current_enters_what_has_no_membrane_and_a_synapse_does_not():
    rates = Population(10, Rate())
    assert CurrentInput(rates, 1.0).post == (rates[:],)
    for build in (
        lambda: project(E, rates),
        lambda: PoissonInput(rates, 8.0, Decay(), weight=1.0),
    ):
        with pytest.raises(NetworkError, match=r"Population\(10, Rate\) cannot be post"):
            build()


def test_a_population_that_appears_twice_is_refused():
    with pytest.raises(NetworkError, match=r"Projection: post: neuron 3 of .* is contained twice"):
        project(E, (E, E[3:5]))


def test_a_rule_that_cannot_be_satisfied_is_refused_at_once():
    with pytest.raises(RuleError, match="Projection"):
        project(rule=FixedIndegree(11, multapses=False))


def test_plasticity_is_a_rule():
    with pytest.raises(NetworkError, match="plasticity"):
        project(plasticity=object())


def test_storage():
    assert project().storage == "stored"
    assert project(storage="procedural", rule=FixedProb(0.1)).storage == "procedural"
    for rule in (FixedIndegree(3), Edges([0], [1])):
        with pytest.raises(NetworkError, match=r'not possible with .* Use storage="stored", or'):
            project(storage="procedural", rule=rule)
    with pytest.raises(NetworkError, match='storage = "disk" is unknown'):
        project(storage="disk")


def test_rates_and_currents_are_numbers_arrays_or_functions():
    for value in (8.0, 8, np.full(10, 8.0), lambda t: 8.0, Ramp(0.0, 8.0)):
        PoissonInput(E, value, Decay(), weight=1.0)
        CurrentInput(E, value)
    CurrentInput(E, -300.0)
    assert PoissonInput((E[:2], E[5:]), [8] * 7, Decay(), weight=1.0).rate.dtype == np.float64


@pytest.mark.parametrize(
    "value", [np.nan, "8", True, None, np.ones(9), Normal(8.0, 1.0), Decay, np.ones((10, 1))]
)
def test_other_rates_and_currents_are_refused(value):
    with pytest.raises(ParameterError, match="PoissonInput: rate "):
        PoissonInput(E, value, Decay(), weight=1.0)
    with pytest.raises(ParameterError, match="CurrentInput: current "):
        CurrentInput(E, value)


def test_a_rate_cannot_be_negative():
    with pytest.raises(ParameterError, match="PoissonInput: rate = -8 Hz"):
        PoissonInput(E, -8.0, Decay(), weight=1.0)
    with pytest.raises(ParameterError, match=r"PoissonInput: rate = .* can be -1 Hz"):
        PoissonInput(E, Ramp(-1.0, 1.0), Decay(), weight=1.0)


def test_weight_and_delay_of_an_input_are_not_drawn():
    with pytest.raises(WeightError, match="inputs are not drawn"):
        PoissonInput(E, 8.0, Decay(), weight=Normal(1.0, 0.1))
    with pytest.raises(DelayError, match="inputs are not drawn"):
        PoissonInput(E, 8.0, Decay(), weight=1.0, delay=Uniform(1.0, 2.0))
    with pytest.raises(DelayError, match="PoissonInput: delay"):
        PoissonInput(E, 8.0, Decay(), weight=1.0, delay=np.ones(10))
    with pytest.raises(WeightError, match="PoissonInput: weight"):
        PoissonInput(E, 8.0, Decay(), Conductance(), weight=-1.0)


def test_a_description_cannot_be_changed():
    with pytest.raises(AttributeError):
        project().weight = 3.0
