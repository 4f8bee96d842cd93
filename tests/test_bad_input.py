"""Bad input ends in a typed error, at once, that names the object, the field, the value and a cure.

The numbers are those of the catalogue of bad input; B12 is in tests/run/test_health.py, B14 in
tests/mpi/test_health.py, B15 in tests/test_cli.py.
"""

import time

import numpy as np
import pytest

import distdyn as dd
from distdyn.errors import (
    DelayError,
    NameLookupError,
    NetworkError,
    ParameterError,
    PlatformError,
    PrecisionError,
    RecordError,
    RuleError,
    TimeError,
    WeightError,
)
from distdyn.zoo import by_name

NAN, INF = float("nan"), float("inf")


def cell(**parameters):
    return dd.LIF(
        **{"C_m": 200.0, "tau_m": 20.0, "E_L": -60.0, "V_th": -50.0, "V_reset": -60.0} | parameters
    )


class Pair(dd.Network):
    """Two populations and a projection, each part of which a test can replace."""

    def __init__(self, n=10, *, model=None, rule=None, initial=(), **projection):
        self.E = dd.Population(n, model or cell(t_ref=5.0), **dict(initial))
        self.I = dd.Population(5, cell(t_ref=5.0))
        arguments = {"weight": 6.0, "delay": 0.1, "synapse": dd.Exponential(tau=5.0)} | projection
        self.exc = dd.Projection(self.E, self.I, rule or dd.FixedProb(0.5), **arguments)


def build(network=None, **options):
    return dd.DSRunner(network or Pair(), **{"dt": 0.1} | options)


def refused(kind, call, *words):
    """The error of the call, after a look at its type, its words and the time it took."""
    start = time.perf_counter()
    with pytest.raises(kind) as caught:
        call()
    assert time.perf_counter() - start < 10.0  # on a machine that is busy with other tests
    message = str(caught.value)
    assert isinstance(caught.value, dd.DistDynError)
    for word in words:
        word = f"{word:g}" if isinstance(word, float) else str(word)
        assert word in message, f"{word!r} is not in: {message}"
    assert message.rstrip().endswith((".", "?")), f"no whole sentence: {message}"


@pytest.fixture(autouse=True, scope="module")
def _imports_are_done():
    """What the first run of all loads is no part of the two seconds."""
    build().run(0.1)


# B1: values outside their domain


@pytest.mark.parametrize(
    "field, value",
    [
        *(("tau_m", x) for x in (-10.0, 0.0, NAN, INF)),
        *(("C_m", x) for x in (-1.0, 0.0, NAN, INF)),
        *(("t_ref", x) for x in (-1.0, NAN, INF)),
        ("I_e", NAN),
        ("E_L", INF),
    ],
)
def test_cell_parameter_outside_its_domain(field, value):
    refused(
        ParameterError,
        lambda: build(Pair(model=cell(**{field: value}))),
        "LIF",
        field,
        value,
    )


@pytest.mark.parametrize("value", [-5.0, 0.0, NAN, INF])
@pytest.mark.parametrize("synapse", [dd.Exponential, dd.Alpha])
def test_synaptic_time_constant(synapse, value):
    refused(
        ParameterError,
        lambda: build(Pair(synapse=synapse(tau=value))),
        synapse.__name__,
        "tau",
        value,
    )


@pytest.mark.parametrize("dt", [0.0, -0.1, NAN, INF, "0.1", None, True])
def test_time_step(dt):
    refused(TimeError, lambda: build(dt=dt), "dt", dt)


def test_refractory_period_off_the_grid():
    refused(TimeError, lambda: build(Pair(model=cell(t_ref=0.25))), "t_ref", 0.25, "dt = 0.1")


# B2


@pytest.mark.parametrize("V_th", [-60.0, -70.0])
def test_reset_at_or_above_threshold(V_th):
    refused(
        ParameterError,
        lambda: build(Pair(model=cell(V_th=V_th))),
        "V_reset = -60",
        f"V_th = {V_th:g}",
    )


# B3: arrays and types

TYPES = ["10", 1j, None, object(), np.array(["a"] * 10), np.array([object()] * 10), True]


@pytest.mark.parametrize("value", TYPES, ids=lambda x: type(x).__name__)
def test_type_of_a_parameter(value):
    refused(ParameterError, lambda: build(Pair(model=cell(I_e=value))), "I_e")


@pytest.mark.parametrize("value", TYPES, ids=lambda x: type(x).__name__)
def test_type_of_an_initial_value(value):
    refused(ParameterError, lambda: build(Pair(initial={"V": value})), "Population", "V")


@pytest.mark.parametrize("shape", [(9,), (11,), (10, 1), (0,)])
def test_shape_of_an_array(shape):
    refused(ParameterError, lambda: build(Pair(model=cell(I_e=np.ones(shape)))), "I_e", shape)
    refused(ParameterError, lambda: build(Pair(initial={"V": np.ones(shape)})), "V", shape)


def test_single_bad_value_in_an_array():
    I_e = np.ones(10)
    I_e[7] = NAN
    refused(ParameterError, lambda: build(Pair(model=cell(I_e=I_e))), "I_e", "7", "nan")


# B4


@pytest.mark.parametrize("precision", ["float16", "double", 64, None])
def test_precision_that_does_not_exist(precision):
    refused(PrecisionError, lambda: build(precision=precision), "precision", precision)


def test_double_precision_is_double_whatever_the_flag_of_jax_says():
    import jax

    flag = jax.config.jax_enable_x64
    runner = build(precision="float64")
    runner.run(1.0)
    assert np.asarray(runner["E"].V).dtype == np.float64
    assert jax.config.jax_enable_x64 == flag


# B5: names


def test_unknown_names_have_a_suggestion():
    refused(NameLookupError, lambda: Pair(initial={"v": -60.0}), '"v"', "V")
    runner = build()
    refused(NameLookupError, lambda: runner["E1"], "E1", '"E"')
    refused(NameLookupError, lambda: runner["E"].v, '"v"', "V")
    refused(NameLookupError, lambda: setattr(runner["E"], "tau_n", 1.0), "tau_n", '"tau_m"')
    refused(NameLookupError, lambda: runner["exc"].wieght, "wieght", '"weight"')
    refused(NameLookupError, lambda: by_name("microcircit"), "microcircit", '"microcircuit"')
    recording = build(record="E.spikes").run(1.0)
    refused(NameLookupError, lambda: recording.spikes["e"], '"e"', "E")


def test_initial_value_that_is_a_parameter():
    refused(NameLookupError, lambda: Pair(initial={"tau_m": 1.0}), "tau_m", "LIF(tau_m=")


def test_large_value_under_an_unknown_name_costs_nothing():
    huge = np.broadcast_to(np.float64(1.0), 10**9)  # 8 GB, if anyone copied it
    refused(NameLookupError, lambda: Pair(initial={"w": huge}), '"w"')


# B6: sizes


@pytest.mark.parametrize("n", [-1, 1.5, True, "10", NAN, None, (3, -1), ()])
def test_size(n):
    refused(ParameterError, lambda: Pair(n), "Population", "size", n)


def test_empty_population_runs():
    runner = build(Pair(0), record=["E.spikes", "I.spikes"])
    recording = runner.run(1.0).gather()
    assert len(recording.spikes["E"]) == 0
    assert len(runner["exc"].edges().pre) == 0


# B7: connections


@pytest.mark.parametrize("p", [-0.1, 1.1, NAN, "0.1"])
def test_probability(p):
    refused(dd.DistDynError, lambda: Pair(rule=dd.FixedProb(p)), "FixedProb", "p", p)


@pytest.mark.parametrize(
    "rule, available",
    [
        (lambda: dd.FixedIndegree(11, multapses=False), 10),
        (lambda: dd.FixedOutdegree(6, multapses=False), 5),
        (lambda: dd.FixedTotal(51, multapses=False), 50),
    ],
)
def test_more_distinct_partners_than_there_are(rule, available):
    refused(
        RuleError,
        lambda: Pair(rule=rule()),
        "Projection",
        type(rule()).__name__,
        available,
        available + 1,
    )


@pytest.mark.parametrize("number", [-1, 1.5, True, "3", NAN])
@pytest.mark.parametrize("rule", [dd.FixedIndegree, dd.FixedOutdegree, dd.FixedTotal])
def test_number_of_connections(rule, number):
    refused(RuleError, lambda: Pair(rule=rule(number)), rule.__name__, number)


def test_one_to_one_between_different_sizes():
    refused(RuleError, lambda: Pair(rule=dd.OneToOne()), "OneToOne", 10, 5)


@pytest.mark.parametrize("weight", [NAN, INF, "6", None, True, np.ones(3)])
def test_weight(weight):
    refused(WeightError, lambda: Pair(weight=weight), "Projection", "weight")


@pytest.mark.parametrize("weight", [-6.0, dd.Normal(6.0, 1.0)])
def test_negative_conductance(weight):
    refused(WeightError, lambda: Pair(weight=weight, output=dd.COBA(E=0.0)), "weight", ">= 0")


@pytest.mark.parametrize("delay", [0.0, -1.0, NAN, INF, "1", None, True])
def test_delay(delay):
    refused(DelayError, lambda: Pair(delay=delay), "Projection", "delay")


@pytest.mark.parametrize("delay", [0.05, 0.26])
def test_delay_off_the_grid(delay):
    refused(DelayError, lambda: build(Pair(delay=delay)), '"exc"', "delay", delay, "dt = 0.1")


def test_length_of_given_weights_and_delays():
    edges = dd.Edges(np.array([0, 1, 2]), np.array([0, 1, 2]))
    refused(WeightError, lambda: Pair(rule=edges, weight=np.ones(2)), "weight", "(2,)", 3)
    refused(DelayError, lambda: Pair(rule=edges, delay=np.ones(4)), "delay", "(4,)", 3)


@pytest.mark.parametrize("pre, post", [([0, 10], [0, 1]), ([0, 1], [0, 5]), ([-1, 0], [0, 1])])
def test_edge_to_a_neuron_that_does_not_exist(pre, post):
    refused(RuleError, lambda: Pair(rule=dd.Edges(pre, post)), "Edges")


def test_edges_of_different_lengths():
    refused(RuleError, lambda: dd.Edges([0, 1], [0, 1, 2]), "Edges", 2, 3)


def test_current_and_conductance_synapses_of_jumps():
    refused(NetworkError, lambda: Pair(synapse=dd.Delta(), output=dd.COBA(E=0.0)), "Delta")


# B8, B9: members


def test_two_members_of_one_path():
    class Doubled(dd.Network):
        def __init__(self):
            setattr(self, "a.b", dd.Population(1, cell()))
            self.a = {"b": dd.Population(1, cell())}

    refused(NetworkError, lambda: build(Doubled()), "a.b")


@pytest.mark.parametrize("name", ["../x", "a/b", "", "1", "a b", "a\n", "x" * 65, "ä", "a\x1b[31m"])
def test_name_of_a_member(name):
    class Named(dd.Network):
        def __init__(self):
            self.members = {name: dd.Population(1, cell())}

    refused(NetworkError, lambda: build(Named()))


def test_population_of_another_network():
    class Foreign(dd.Network):
        def __init__(self):
            self.E = dd.Population(10, cell())
            self.exc = dd.Projection(
                self.E, Pair().I, dd.AllToAll(), dd.Delta(), weight=1.0, delay=0.1
            )

    refused(NetworkError, lambda: build(Foreign()), '"exc"', "Population(5, LIF)")


def test_source_that_does_not_spike_and_target_without_membrane():
    source = dd.Population(1, dd.Poisson(rate=10.0))
    cells = dd.Population(1, cell())
    rest = {"weight": 1.0, "delay": 0.1}
    refused(
        NetworkError,
        lambda: dd.Projection(cells, source, dd.AllToAll(), dd.Delta(), **rest),
        "Poisson",
        "V",
    )
    refused(
        NetworkError,
        lambda: dd.Projection([], cells, dd.AllToAll(), dd.Delta(), **rest),
        "pre",
    )


# B10, B11: runs and recordings


@pytest.mark.parametrize("duration", [-1.0, 0.25, NAN, INF, "10", None])
def test_duration(duration):
    refused(TimeError, lambda: build().run(duration), duration)


def test_duration_of_zero_does_nothing():
    runner = build(record="E.spikes")
    V = np.asarray(runner["E"].V)
    assert runner.run(0.0).gather().duration == 0
    np.testing.assert_array_equal(V, runner["E"].V)


@pytest.mark.parametrize("t0", [0.25, NAN, INF, "0"])
def test_start(t0):
    refused(TimeError, lambda: build(t0=t0), "t0", t0)


def test_record_of_something_unknown():
    refused(NameLookupError, lambda: build(record="e.spikes"), "e.spikes", "E")
    refused(NameLookupError, lambda: build(record=dd.every(1.0, "E.v")), '"v"', "V")
    refused(NameLookupError, lambda: build(record="E.spike"), "spike", "spikes")
    refused(NameLookupError, lambda: build(record=dd.every(1.0, "I.ecx.g")), "ecx", "exc")


@pytest.mark.parametrize("interval", [0.25, 0.0, -1.0, NAN, INF])
def test_record_interval(interval):
    refused(dd.DistDynError, lambda: build(record=dd.every(interval, "E.V")), interval)


@pytest.mark.parametrize("ids", [[10], [-1], [0.5], ["a"]])
def test_record_of_neurons_that_do_not_exist(ids):
    refused(RecordError, lambda: build(record=dd.every(1.0, "E.V", ids=ids)), "E.V", ids[0])


# B13: stimuli


@pytest.mark.parametrize(
    "id, time",
    [([3], [1.0]), ([0], [0.25]), ([0], [-1.0]), ([0], [NAN]), ([-1], [1.0]), ([0.5], [1.0])],
)
def test_spike_times_that_cannot_be(id, time):
    class Driven(dd.Network):
        def __init__(self):
            self.given = dd.Population(3, dd.SpikeTimes(id=id, time=time))

    refused(dd.DistDynError, lambda: build(Driven()), "SpikeTimes" if time[0] != 0.25 else "time")


def test_spike_times_may_come_in_any_order():
    class Driven(dd.Network):
        def __init__(self):
            self.given = dd.Population(3, dd.SpikeTimes(id=[2, 0, 1], time=[1.5, 0.5, 1.0]))

    spikes = build(Driven(), record="spikes").run(2.0).gather().spikes["given"]
    assert spikes.step.tolist() == [5, 10, 15] and spikes.id.tolist() == [0, 1, 2]


# B16


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, "1", None, True, NAN])
def test_seed(seed):
    refused(ParameterError, lambda: build(seed=seed), "seed", seed)


def test_largest_seed():
    build(seed=2**64 - 1).run(0.1)


# B17


@pytest.mark.parametrize("devices", [0, -1, 1.5, "two", True, 10_000])
def test_devices(devices):
    refused(PlatformError, lambda: build(devices=devices), "devices", devices)


# B18, B19: what was built stays


def test_time_step_of_a_runner_stays():
    runner = build()
    refused(TimeError, lambda: setattr(runner, "dt", 0.2), "dt = 0.2", 0.1, "new runner")
    assert runner.dt == 0.1


def test_a_network_that_changes_after_it_was_built_leaves_the_run_alone():
    """A runner has its own description; a member cannot be changed, only replaced by another."""
    network = Pair()
    with pytest.raises(AttributeError):
        network.E.size = 20
    with pytest.raises(AttributeError):
        network.E.model.tau_m = 1.0
    same, changed = build(Pair(), record="spikes"), build(network, record="spikes")
    for runner in (same, changed):
        runner.run(5.0)
    network.late = dd.Population(7, cell())
    network.exc = dd.Projection(
        network.E, network.late, dd.AllToAll(), dd.Delta(), weight=1.0, delay=0.1
    )
    refused(NameLookupError, lambda: changed["late"], "late")
    assert changed.run(20.0).spikes_sha256() == same.run(20.0).spikes_sha256()
    assert build(network)["late"].V.shape == (7,)


# values set on a runner


def test_value_set_on_a_runner():
    runner = build()
    for value in (NAN, np.ones(9), "x", True):
        refused(ParameterError, lambda value=value: setattr(runner["E"], "V", value), "V")
    refused(ParameterError, lambda: setattr(runner["E"], "tau_m", -1.0), "tau_m", -1)
    refused(WeightError, lambda: setattr(runner["exc"], "weight", NAN), "weight", "nan")


# the zoo


@pytest.mark.parametrize("arguments", [{"scale": 0.0}, {"scale": 1.5}, {"drive": "ac"}])
def test_arguments_of_the_microcircuit(arguments):
    name, value = next(iter(arguments.items()))
    refused(
        ParameterError, lambda: by_name("microcircuit")(**arguments), "Microcircuit", name, value
    )


@pytest.mark.parametrize(
    "call, wrong, right",
    [
        (lambda: dd.LIF(tau_n=1.0), "tau_n", "tau_m"),
        (lambda: dd.LIF(v_th=-50.0), "v_th", "V_th"),
        (lambda: dd.Exponential(tua=5.0), "tua", "tau"),
        (lambda: dd.COBA(e=0.0), "e", "E"),
    ],
)
def test_unknown_parameter(call, wrong, right):
    """B5."""
    refused(NameLookupError, call, f'"{wrong}"', f'Did you mean "{right}"?')
