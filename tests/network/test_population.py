"""Populations, views of them, and the errors that a wrong description gives."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from distdyn.core.system import DynamicalSystem
from distdyn.errors import NameLookupError, NetworkError, ParameterError
from distdyn.network.distributions import Normal, Uniform
from distdyn.network.population import Population, View, common, members
from tests.network.toys import Cell, Generator, Ramp


@pytest.mark.parametrize("size", [0, 10, np.int64(10), np.uint8(10)])
def test_a_size_is_an_int_and_may_be_zero(size):
    population = Population(size, Cell())
    assert population.size == size and type(population.size) is int
    assert population.shape == (size,)


def test_a_shape_gives_the_size():
    population = Population((4, 5, 3), Cell())
    assert (population.size, population.shape) == (60, (4, 5, 3))
    assert repr(population) == "Population((4, 5, 3), Cell)"


SIZES = [-1, 1.5, 10.0, True, "10", None, 1j, np.nan, [2, 3], (), (2, -1), (2.0, 3), 2**63, Cell()]


@pytest.mark.parametrize("size", SIZES)
def test_other_sizes_are_refused(size):
    with pytest.raises(ParameterError, match=r"Population: size = .* is not possible. Give"):
        Population(size, Cell())


def test_a_model_class_is_not_a_model():
    with pytest.raises(NetworkError, match=r"is the class Cell\. Give an instance: Cell\(\.\.\.\)"):
        Population(3, Cell)
    with pytest.raises(NetworkError, match='model = "LIF" is no DynamicalSystem'):
        Population(3, "LIF")


@pytest.mark.parametrize("value", [0, -20.0, np.nan, np.inf, "20", True, None, 1j, [20.0] * 3])
def test_a_parameter_outside_its_domain_is_refused(value):
    with pytest.raises(ParameterError, match=r"Population\(3, Cell\): tau_m = "):
        Population(3, Cell(tau_m=value))


def test_the_message_names_object_field_value_and_domain():
    text = r"Population\(3, Cell\): tau_m = -20 ms is not possible\. Give a finite number > 0 ms\."
    with pytest.raises(ParameterError, match=text):
        Population(3, Cell(tau_m=-20.0))
    text = r"Population\(3, Cell\): tau_m\[1\] = -2 ms \(1 more like it\)"
    with pytest.raises(ParameterError, match=text):
        Population(3, Cell(tau_m=np.array([1.0, -2.0, -3.0])))


ARRAYS = [np.ones(4), np.ones((3, 1)), np.array([1, 2, "a"], object), np.array(["1", "2", "3"])]
ARRAYS += [np.ones(3, complex), np.ones(3, bool), jnp.ones(2)]


@pytest.mark.parametrize("array", ARRAYS, ids=[f"{x.dtype}{x.shape}" for x in ARRAYS])
@pytest.mark.parametrize("where", ["tau_m", "I_e", "V"])
def test_an_array_of_the_wrong_kind_or_length_is_refused(array, where):
    with pytest.raises(ParameterError, match=rf"Population\(3, Cell\): {where} "):
        Population(3, Cell(), V=array) if where == "V" else Population(3, Cell(**{where: array}))


@pytest.mark.parametrize("array", [np.full(3, 20.0), jnp.full(3, 20.0), np.full(3, 20)])
def test_parameters_may_be_arrays_over_the_population(array):
    assert Population(3, Cell(tau_m=array)).model.tau_m is array


def test_parameters_may_be_drawn_if_no_draw_leaves_the_domain():
    Population(3, Cell(tau_m=Normal(20.0, 1.0)))  # zero is 20 sd away: no uniform number gives it
    Population(3, Cell(tau_m=Normal(20.0, 10.0, low=1.0)))
    with pytest.raises(ParameterError, match=r"tau_m = Normal\(20, 10\) can be .* limit `low`"):
        Population(3, Cell(tau_m=Normal(20.0, 10.0)))


def test_parameters_that_jax_traces_pass():
    assert jax.jit(lambda tau: Population(3, Cell(tau_m=tau)).model.tau_m)(-20.0) == -20.0


def test_rates_and_currents_may_change_in_time_but_no_other_parameter():
    Population(3, Generator(rate=Ramp(0.0, 5.0)))
    Population(3, Generator(rate=lambda t: 5.0))
    with pytest.raises(ParameterError, match=r"rate = .* can be -5 Hz, but must be .* >= 0 Hz"):
        Population(3, Generator(rate=Ramp(-5.0, 5.0)))
    for value in (Ramp(1.0, 2.0), lambda t: 5.0):
        with pytest.raises(ParameterError, match=r"tau_m = .* is not a real number"):
            Population(3, Cell(tau_m=value))


def test_no_threshold_is_a_threshold_at_infinity():
    Population(3, Cell(V_th=np.inf))
    for V_th in (-np.inf, np.nan):
        with pytest.raises(ParameterError, match="V_th = "):
            Population(3, Cell(V_th=V_th))


def test_the_reset_must_lie_below_the_threshold():
    for V_reset in (-50.0, -40.0, np.array([-60.0, -40.0, -60.0])):
        with pytest.raises(ParameterError, match=r"V_reset = -\d0 mV is not below V_th = -50 mV"):
            Population(3, Cell(V_reset=V_reset))
    Population(3, Cell(V_reset=Uniform(-60.0, -55.0)))


def test_models_inside_a_model_are_checked():
    class Outer(DynamicalSystem):
        inner: Cell
        method: str = "exact"
        fast: bool = True

        def init(self, id: Any, key: Any):
            return None

        def step(self, state: Any, drive: Any, tick: Any):
            return state, None

    Population(3, Outer(Cell()))
    with pytest.raises(ParameterError, match=r"Population\(3, Outer\).inner: t_ref = -1 ms"):
        Population(3, Outer(Cell(t_ref=-1.0)))


def test_initial_values_are_numbers_arrays_or_distributions():
    start = Normal(-55.0, 5.0)
    initial = Population(3, Cell(), V=start, w=[1, 2, 3]).initial
    assert initial["V"] is start
    assert initial["w"].dtype == np.float64
    assert Population(3, Cell(), V=-60).initial == {"V": -60.0}


def test_a_state_that_does_not_exist_is_refused_with_a_suggestion():
    with pytest.raises(NameLookupError, match=r'Cell has no state "VV"\. Did you mean "V"'):
        Population(3, Cell(), VV=-60.0)
    with pytest.raises(NameLookupError, match=r"It is a parameter: Cell\(tau_m=\.\.\.\)"):
        Population(3, Cell(), tau_m=20.0)
    with pytest.raises(NameLookupError, match="Known: next"):
        Population(3, Generator(), V=np.zeros(10**6))


@pytest.mark.parametrize("value", [np.nan, np.inf, "a", True, None])
def test_an_initial_value_must_be_a_finite_number(value):
    with pytest.raises(ParameterError, match=r"Population\(3, Cell\): V = "):
        Population(3, Cell(), V=value)


def test_positions_are_one_row_per_neuron():
    assert Population(3, Cell(), positions=np.zeros((3, 2))).positions.shape == (3, 2)
    assert Population(3, Cell()).positions is None
    for positions in (np.zeros((2, 2)), np.zeros(3), 1.0, "here", [[0], [np.nan], [0]]):
        with pytest.raises(ParameterError, match=r"Population\(3, Cell\): positions"):
            Population(3, Cell(), positions=positions)


def test_a_population_cannot_be_changed():
    population = Population(3, Cell())
    with pytest.raises(AttributeError):
        population.size = 4


def test_a_slice_is_that_of_a_list():
    population, ids = Population(20, Cell()), list(range(20))
    for key in (
        slice(3, 9),
        slice(None),
        slice(-5, None),
        slice(2, -2, 3),
        slice(9, 3),
        slice(15, 99),
    ):
        view = population[key]
        assert list(view.ids) == ids[key]
        assert view.size == len(view) == len(ids[key])
        assert list(view[1::2].ids) == ids[key][1::2]


def test_an_index_is_a_view_of_one_neuron():
    population = Population(20, Cell())
    assert list(population[7].ids) == [7]
    assert list(population[np.int64(-1)].ids) == [19]
    assert population[3:9][2] == View(population, 5, 6, 1)


@pytest.mark.parametrize("key", [slice(None, None, -1), slice(0, 5, 0), slice(0.5, 2), 20, -21])
def test_other_slices_are_refused(key):
    with pytest.raises(NetworkError, match=r"Population\(20, Cell\)"):
        Population(20, Cell())[key]


@pytest.mark.parametrize("key", [True, 1.0, "a", [1, 2], np.array([1, 2]), None, (1, 2)])
def test_other_indices_are_refused_with_the_cure(key):
    with pytest.raises(NetworkError, match=r"Use a slice such as .* the rule Edges"):
        Population(20, Cell())[key]


def test_a_population_is_not_a_list_of_neurons():
    with pytest.raises(TypeError):
        iter(Population(3, Cell()))


def test_members_are_a_concatenation_of_views():
    a, b = Population(3, Cell()), Population(4, Cell())
    assert members(a) == (a[:],)
    assert members((a, b[1:3])) == (a[:], b[1:3])
    assert members([a[2:], a[:1], (b,)]) == (a[2:], a[:1], b[:])
    assert members(a[1:1])[0].size == 0


@pytest.mark.parametrize("x", [None, 3, "E", (), Cell(), ([],)])
def test_other_members_are_refused(x):
    with pytest.raises(NetworkError, match=r"post = .* is not a group of neurons"):
        members(x, "post")


def test_a_neuron_may_not_be_contained_twice():
    a = Population(30, Cell())
    text = r"post: neuron 4 of Population\(30, Cell\) is contained twice"
    for twice in ((a[:5], a[4:]), (a[::4], a[4:5])):
        with pytest.raises(NetworkError, match=text):
            members(twice, "post")
    assert len(members((a[::2], a[1::2], a[0:0]))) == 3


def test_the_common_neurons_of_two_views():
    population, other = Population(40, Cell()), Population(40, Cell())
    rng = np.random.default_rng(1)
    for _ in range(500):
        (a, b), (c, d) = np.sort(rng.integers(0, 41, (2, 2)))
        x, y = population[a : b : rng.integers(1, 9)], population[c : d : rng.integers(1, 9)]
        assert list(common(x, y)) == sorted(set(x.ids) & set(y.ids))
    assert not common(population[:], other[:])
