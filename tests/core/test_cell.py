"""A cell: thresholds, refractoriness, and the order of what happens in a step."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import distdyn as dd
from distdyn.core import Cell, Receptor

DELTA = Receptor(dd.Delta(), dd.CUBA())
CURRENT = Receptor(dd.Exponential(tau=2.0), dd.CUBA())


@pytest.fixture(autouse=True)
def _double_precision():
    with jax.enable_x64(True):
        yield


class Perfect(dd.ODE):
    """V' = I, without a leak, so that every value is an exact number."""

    V_th: float = 10.0
    V_reset: float = 0.0
    t_ref: float = 0.0
    slope: float = 0.0

    class State(NamedTuple):
        V: jax.Array

    def init(self, id, key):
        return self.State(V=0.0)

    def derivative(self, t, s, drive):
        return self.State(V=self.slope + drive.current)

    def reset(self, s):
        return s._replace(V=self.V_reset)


class Oscillator(dd.ODE):
    """V' = -w, w' = V: crosses V_th upward once a turn, and nothing resets it."""

    V_th: float = 0.5

    class State(NamedTuple):
        V: jax.Array
        w: jax.Array

    def init(self, id, key):
        return self.State(V=1.0, w=0.0)

    def derivative(self, t, s, drive):
        return self.State(V=-s.w, w=s.V)


def run(model, n, *, receptors=(), arrivals=lambda k: (), V=None, dt=1.0):
    """V after each step, and the stamps (step + 1) of the spikes."""
    cell = Cell.of(model, receptors)
    state = jax.tree.map(jnp.asarray, cell.init(0, None))
    if V is not None:
        state = state._replace(neuron=state.neuron._replace(V=jnp.asarray(V)))
    step = jax.jit(lambda s, k, a: cell.step(s, dd.Drive(0.0, a), dd.Tick(k, dt, k * dt)))
    values, stamps = [], []
    for k in range(n):
        state, spike = step(state, k, tuple(float(a) for a in arrivals(k)))
        values.append(float(state.neuron.V))
        if spike is not None and bool(spike):
            stamps.append(k + 1)
    return values, stamps


def test_cell_spikes_when_V_reaches_the_threshold_and_is_reset():
    V, stamps = run(Perfect(slope=5.0, V_reset=-5.0), 6)
    assert V == [5.0, -5.0, 0.0, 5.0, -5.0, 0.0]
    assert stamps == [2, 5]


@pytest.mark.parametrize("t_ref", [0.0, 1.0, 3.0])
def test_interval_is_the_refractory_period_and_the_way_back(t_ref):
    _, stamps = run(Perfect(slope=5.0, t_ref=t_ref), 40)
    assert set(np.diff(stamps)) == {2 + int(t_ref)}


def test_potential_is_held_while_refractory():
    V, _ = run(Perfect(slope=5.0, t_ref=3.0), 7)
    assert V == [5.0, 0.0, 0.0, 0.0, 0.0, 5.0, 0.0]


def test_jump_is_discarded_while_refractory():
    arrivals = lambda k: (1.0,)  # noqa: E731
    V, stamps = run(Perfect(t_ref=3.0), 6, receptors=(DELTA,), arrivals=arrivals, V=9.0)
    assert stamps == [1]
    assert V == [0.0, 0.0, 0.0, 0.0, 1.0, 2.0]


def test_current_synapses_charge_while_refractory():
    """What arrives in the refractory time acts after it with what is left of it."""
    arrivals = lambda k: (8.0 if k == 1 else 0.0,)  # noqa: E731
    V, stamps = run(Perfect(t_ref=3.0), 5, receptors=(CURRENT,), arrivals=arrivals, V=11.0)
    assert stamps == [1] and V[:4] == [0.0] * 4
    left = 8.0 * np.exp(-2.0 / 2.0)  # two steps later
    assert V[4] == pytest.approx(left * 2.0 * (1 - np.exp(-0.5)), rel=1e-12)


def test_arrival_acts_on_the_membrane_in_the_next_step():
    arrivals = lambda k: (8.0 if k == 0 else 0.0,)  # noqa: E731
    V, _ = run(Perfect(), 2, receptors=(CURRENT,), arrivals=arrivals)
    assert V[0] == 0.0 and V[1] == pytest.approx(8.0 * 2.0 * (1 - np.exp(-0.5)), rel=1e-12)


def test_jump_makes_a_spike_in_the_step_in_which_it_arrives():
    arrivals = lambda k: (10.0 if k == 3 else 0.0,)  # noqa: E731
    _, stamps = run(Perfect(), 6, receptors=(DELTA,), arrivals=arrivals)
    assert stamps == [4]


def test_jump_comes_after_the_advance_and_before_the_threshold():
    """5 by the drive, then -1: below the threshold at the end of the step."""
    arrivals = lambda k: (-1.0,)  # noqa: E731
    V, stamps = run(Perfect(slope=5.0), 3, receptors=(DELTA,), arrivals=arrivals)
    assert V == [4.0, 8.0, 0.0] and stamps == [3]


def test_model_without_reset_spikes_at_the_upward_crossing():
    _, stamps = run(Oscillator(method=dd.RK4()), 2000, dt=0.01)
    crossings = np.array([2 * np.pi - np.pi / 3, 4 * np.pi - np.pi / 3, 6 * np.pi - np.pi / 3])
    assert stamps == list(np.ceil(crossings / 0.01).astype(int))


def test_model_without_a_threshold_emits_nothing():
    class Passive(dd.ODE):
        class State(NamedTuple):
            V: jax.Array

        def init(self, id, key):
            return self.State(V=0.0)

        def derivative(self, t, s, drive):
            return self.State(V=-s.V)

    cell = Cell.of(Passive())
    assert not cell.is_spiking
    state = jax.tree.map(jnp.asarray, cell.init(0, None))
    assert cell.step(state, dd.Drive(), dd.Tick(0, 0.1, 0.0))[1] is None
    assert state.refractory is None


def test_refractory_counter_is_kept_only_where_there_is_a_period():
    assert Cell.of(dd.LIF()).init(0, None).refractory is not None
    assert Cell.of(Oscillator()).init(0, None).refractory is None


class Wheel(dd.ODE):
    """A phase in turns, kept between 0 and 1, with a threshold on V."""

    V_th: float = 0.75

    class State(NamedTuple):
        V: jax.Array

    def init(self, id, key):
        return self.State(V=0.0)

    def derivative(self, t, s, drive):
        return self.State(V=drive.current)

    def confine(self, s):
        return self.State(V=s.V % 1.0)


def test_a_step_ends_with_the_state_confined_before_the_threshold_is_tested():
    """Also after a jump by a `Delta`: 0.5 + 0.25 + 1.125 is 0.875 of a turn, a crossing of 0.75."""
    cell = Cell.of(Wheel(), (DELTA,))
    state = cell.init(0, None)._replace(neuron=Wheel.State(V=jnp.asarray(0.5)))
    state, spike = cell.step(state, dd.Drive(0.25, (1.125,)), dd.Tick(0, 1.0, 0.0))
    assert float(state.neuron.V) == 0.875 and bool(spike)
    state, spike = cell.step(state, dd.Drive(0.25, (0.0,)), dd.Tick(1, 1.0, 1.0))
    assert float(state.neuron.V) == 0.125 and not bool(spike)


def test_a_model_that_is_stepped_alone_is_confined_too():
    model = Wheel()
    state, _ = model.step(model.State(V=jnp.asarray(0.5)), dd.Drive(0.75), dd.Tick(0, 1.0, 0.0))
    assert float(state.V) == 0.25
