"""Networks that are no flow: the one-step map goes where the simulator does, and is understood."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import lambertw

import distdyn as dd
from distdyn.errors import AnalysisError


class Oscillator(dd.DynamicalSystem):
    """Excitation and inhibition, written as the step of a map."""

    a: float = 1.3
    b: float = 0.7

    class State(NamedTuple):
        E: jax.Array
        I: jax.Array

    def init(self, id, key):
        return self.State(0.1 + 0.05 * id, 0.2)

    def step(self, state, drive, tick):
        E = jnp.tanh(self.a * state.E - self.b * state.I + drive.current)
        return self.State(E, jnp.tanh(self.b * state.E)), None


class Rates(dd.Network):
    """All that couplings can do: drawn and shared delays, sums, division, slices, a step."""

    def __init__(self):
        cell = dd.ThresholdLinear(I_e=dd.Normal(5.0, 1.0), tau=10.0, beta=1.0)
        self.E = dd.Population(8, cell, r=dd.Uniform(0.0, 1.0))
        self.I = dd.Population(5, dd.ThresholdLinear(tau=10.0, beta=0.351))
        self.exc = dd.Projection(
            self.E, (self.E, self.I), dd.AllToAll(), dd.Additive(), weight=0.05, delay=1.0
        )
        self.drawn = dd.Projection(
            self.I, self.E, dd.FixedProb(0.5), dd.Additive(),
            weight=dd.Uniform(-1.0, 0.0), delay=dd.Uniform(0.5, 3.0),
        )  # fmt: skip
        self.pull = dd.Projection(
            self.I, self.E[::2], dd.FixedProb(0.5), dd.Diffusive(), weight=0.4, delay=0.0
        )
        self.pool = dd.Projection(
            self.I, self.E, dd.AllToAll(), dd.Additive(), dd.Divisive(), weight=0.02, delay=0.5
        )
        self.O = dd.Population(3, Oscillator())
        self.input = dd.CurrentInput(self.E[2:4], 3.0)


class Spiking(dd.Network):
    """Cells with a threshold; synapses with kinetics, a jump of V, and a state of the pre cell."""

    def __init__(self, I_e):
        cell = dd.LIF(
            C_m=200.0, tau_m=20.0, E_L=-60.0, V_th=-50.0, V_reset=-60.0, t_ref=0.5, I_e=I_e
        )
        self.E = dd.Population(6, cell, V=dd.Uniform(-60.0, -50.0))
        self.exc = dd.Projection(
            self.E, self.E, dd.FixedProb(0.5), dd.Exponential(tau=5.0), dd.COBA(E=0.0),
            weight=5.0, delay=dd.Uniform(0.1, 0.6),
        )  # fmt: skip
        self.inh = dd.Projection(
            self.E[:3], self.E, dd.FixedProb(0.5), dd.Alpha(tau=4.0), dd.COBA(E=-80.0),
            weight=dd.Uniform(5.0, 30.0), delay=0.4,
        )  # fmt: skip
        self.kick = dd.Projection(
            self.E[:2], self.E[2:], dd.AllToAll(), dd.Delta(), weight=0.3, delay=0.3
        )
        self.nmda = dd.Projection(
            self.E, self.E, dd.AllToAll(), dd.NMDA(), weight=0.3, delay=0.2
        )  # fmt: skip


def differences(network, dt, steps, names):
    """How far F^k(state) is from what the simulator records, by variable."""
    field = dd.vector_field(network, dt=dt, seed=3)
    record = [*names, "E.spikes"] if hasattr(network, "nmda") else names
    runner = dd.DSRunner(network, dt=dt, seed=3, precision="float64", record=record)
    recording = runner.run(steps * dt).gather()
    worst = dict.fromkeys(names, 0.0)
    with jax.enable_x64(True):
        step, state = jax.jit(lambda s: field.F(s, {})), field.state
        for k in range(steps):
            state = step(state)
            for name in names:
                away = np.abs(state[name] - recording.traces[name].value[k]).max()
                worst[name] = max(worst[name], float(away))
    return field, recording, worst


def test_iterates_of_rates_with_delays_are_those_of_the_simulator():
    names = ["E.r", "I.r", "E.exc.g", "E.drawn.g", "O.E", "O.I"]
    field, recording, worst = differences(Rates(), 0.5, 60, names[:3] + names[4:])
    assert np.ptp(recording.traces["E.r"].value[:, 0]) > 1.0
    assert not field.is_continuous
    assert max(worst.values()) < 1e-12  # the simulator sums in integers of 63 bits
    assert field.state["E.exc.due"].shape == (5, 8)  # 3 ms are 6 steps, the first is known
    assert "E.pull.g" not in field.state  # follows from the rates of now


def test_iterates_of_cells_that_spike_are_those_of_the_simulator():
    names = ["E.V", "E.exc.g", "E.inh.g", "E.inh.h", "E.nmda.s", "E.nmda.g", "E.refractory"]
    field, recording, worst = differences(Spiking(500.0), 0.1, 400, names)
    assert len(recording.spikes["E"].id) > 40
    assert max(worst.values()) < 1e-12
    assert "jumps" in str(field)


class Quiet(dd.Network):
    def __init__(self):
        cell = dd.LIF(tau_m=20.0, E_L=-60.0, V_th=-50.0, V_reset=-60.0, t_ref=2.0, I_e=20.0)
        self.E = dd.Population(3, cell, V=-49.0)
        self.exc = dd.Projection(
            self.E, self.E, dd.AllToAll(), dd.Exponential(tau=5.0), weight=20.0, delay=0.3
        )


def test_cells_below_threshold_have_a_silent_fixed_point():
    an = dd.DSAnalyzer(Quiet(), dt=0.1)
    found = an.fixed_points(starts=an.field.flat().x0[None])  # the cells spike where it begins
    (label,) = found.stability
    assert label == "stable node"
    np.testing.assert_allclose(found.state["E.V"], -60.0 + 20.0 * 20.0 / 250.0, rtol=1e-12)
    np.testing.assert_array_equal(found.state["E.exc.due"], 0.0)
    # V and g decay by themselves; what is on its way and refractory counts are gone after a while.
    decay = np.exp(-0.1 / np.repeat([20.0, 5.0], 3))
    values = np.sort(np.abs(found.eigenvalues[0]))[::-1]
    np.testing.assert_allclose(values[:6], decay, rtol=1e-12)
    assert values[6] < 1e-3  # 0 of a Jordan block of 4: known to the fourth root of the rounding


class Ring(dd.Network):
    """r_i' = -r_i + g r_(i - 1)(t - d) + I."""

    def __init__(self, g=0.8, d=1.0, n=4):
        self.E = dd.Population(n, dd.ThresholdLinear(tau=1.0, beta=1.0, I_e=1.0), r=1.0)
        edges = dd.Edges(np.arange(n), (np.arange(n) + 1) % n)
        self.ring = dd.Projection(self.E, self.E, edges, dd.Additive(), weight=g, delay=d)


def multipliers(a, b, delay):
    """Roots of z^(delay + 1) = a z^delay + b: of x(k + 1) = a x(k) + b x(k - delay)."""
    return np.roots([1.0, -a, *np.zeros(delay - 1), -b])


@pytest.fixture(scope="module")
def ring():
    return dd.DSAnalyzer(Ring(), dt=0.25)


def test_multipliers_of_a_delayed_ring_are_the_roots_of_its_polynomial(ring):
    found = ring.fixed_points(box={"E.r": (0.0, 20.0)}, n_starts=4)
    np.testing.assert_allclose(found.state["E.r"], [[5.0] * 4], rtol=1e-12)  # I / (1 - g)
    a = np.exp(-0.25)
    modes = 0.8 * np.exp(0.5j * np.pi * np.arange(4))
    exact = np.concatenate([multipliers(a, (1 - a) * mode, 4) for mode in modes])
    assert found.eigenvalues.shape == (1, 20)
    for values, other in ((exact, found.eigenvalues[0]), (found.eigenvalues[0], exact)):
        assert np.abs(values[:, None] - other).min(axis=1).max() < 1e-12
    assert found.stability == ("stable focus",)


def test_the_leading_multiplier_goes_to_the_root_of_lambert():
    exact = np.real(lambertw(0.8 * np.e)) - 1.0  # of l + 1 = g exp(-l d), d = 1
    errors = []
    for dt in (0.1, 0.05):
        flat = dd.vector_field(Ring(n=1), dt=dt).flat()
        with jax.enable_x64(True):
            J = jax.jit(jax.jacfwd(flat.f))(np.full(flat.n, 5.0), flat.p0)
        errors.append(np.log(np.abs(np.linalg.eigvals(J)).max()) / dt - exact)
    assert abs(errors[1]) < 3e-3
    assert errors[0] / errors[1] == pytest.approx(2.0, abs=0.1)  # of first order


def test_the_lyapunov_exponents_of_a_map_are_per_step(ring):
    found = ring.lyapunov_spectrum(2000.0, k=1, transient=200.0)
    a = np.exp(-0.25)
    leading = np.abs(multipliers(a, (1 - a) * 0.8, 4)).max()
    np.testing.assert_allclose(found.exponents, np.log(leading), rtol=1e-6)


def test_slow_points_of_a_map_are_those_it_does_not_move(ring):
    states = np.random.default_rng(0).uniform(4.0, 6.0, (3, 20))
    found = ring.slow_points(states)
    assert found.is_fixed.tolist() == [True]
    np.testing.assert_allclose(found.state["E.r"], 5.0, rtol=1e-9)
    np.testing.assert_allclose(found.state["E.ring.due"], 4.0, rtol=1e-9)  # 0.8 of it


def test_parameters_of_a_map_are_those_of_the_network(ring):
    rest = {"E.r": np.full(4, 4.0), "E.ring.g": np.full(4, 2.0), "E.ring.due": np.full((3, 4), 2.0)}
    with jax.enable_x64(True):
        after = ring.field.F(rest, {"ring.weight": 0.5, "E.I_e": 2.0})
    for name, value in rest.items():  # 4 = 2 / (1 - 0.5) is a fixed point
        np.testing.assert_allclose(after[name], value, rtol=1e-14)


class Noise(dd.ThresholdLinear):
    def diffusion(self, t, s, drive):
        return self.State(r=2.0)


class Noisy(dd.Network):
    def __init__(self):
        self.E = dd.Population(2, Noise(tau=1.0, beta=1.0, I_e=3.0), r=1.0)
        self.self = dd.Projection(
            self.E, self.E, dd.OneToOne(), dd.Additive(), weight=0.5, delay=0.25
        )


def test_noise_is_left_out_of_a_map():
    field = dd.vector_field(Noisy(), dt=0.25)
    assert "noise" in str(field)
    with jax.enable_x64(True):
        after = field.F(field.state, {})
    a = np.exp(-0.25)
    np.testing.assert_allclose(after["E.r"], a * 1.0 + (1 - a) * 3.5, rtol=1e-14)


class Member(dd.Network):
    """Cells, and something that makes them no map."""

    def __init__(self, **members):
        self.E = dd.Population(3, members.pop("model", dd.LIF()))
        for name, make in members.items():
            setattr(self, name, make(self.E))


@pytest.mark.parametrize(
    "members, why",
    [
        (dict(noise=lambda E: dd.PoissonInput(E, 10.0, dd.Delta(), weight=1.0)), "random spikes"),
        (dict(source=lambda E: dd.Population(2, dd.Poisson(10.0))), "random or given"),
        (dict(source=lambda E: dd.Population(2, dd.SpikeTimes([0], [1.0]))), "random or given"),
        (
            dict(
                learns=lambda E: dd.Projection(
                    E, E, dd.AllToAll(), dd.Delta(), weight=1.0, delay=1.0, plasticity=dd.STDP()
                )
            ),
            "weights that change",
        ),
        (
            dict(
                layer=lambda E: dd.Layer(
                    E, E, eqx.nn.Linear(3, 3, key=jax.random.key(0)), dd.Delta(), delay=1.0
                )
            ),
            "layers",
        ),
        (dict(model=dd.FeedbackFHN()), "has delays"),
        (dict(model=dd.FitzHughNagumo(order={"V": 0.9})), "order"),
    ],
)
def test_what_is_no_map_is_refused(members, why):
    with pytest.raises(AnalysisError, match=why):
        dd.vector_field(Member(**members), dt=0.1)


def test_a_map_needs_its_step():
    with pytest.raises(AnalysisError, match=r"delay of 1.0 ms: it is no flow.*dt=0.1"):
        dd.vector_field(Ring())
