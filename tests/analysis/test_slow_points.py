"""Slow points of systems whose attractors are known: rings and lines, wells, saddles, ghosts."""

from collections import Counter

import jax
import numpy as np
import pytest

import distdyn as dd
from distdyn.analysis.field import VectorField
from distdyn.errors import AnalysisError, NameLookupError
from distdyn.run.store import read_arrays
from tests.analysis.systems import Ring, plane, wells

N, A, J_0 = 128, 0.5, 4.0


def places(n):
    """Where the units are on the circle."""
    return np.linspace(-np.pi, np.pi, n, endpoint=False)


def angle(x):
    """Where the bump is."""
    return np.angle(x @ np.exp(1j * places(x.shape[1])))


def continuous_attractor(part=0.5, noise=0.0, n=N):
    """The ring at k = part * k_c, and the height of its bump."""
    d = np.angle(np.exp(1j * (places(n)[:, None] - places(n))))
    k = part * n / (2 * np.pi) * J_0**2 / (8 * np.sqrt(2 * np.pi) * A)
    J = J_0 * np.exp(-(d**2) / (2 * A**2)) / (np.sqrt(2 * np.pi) * A)
    J = J * (1.0 + noise * np.random.default_rng(0).normal(size=J.shape))
    return Ring(J, k), (1 + np.sqrt(1 - part)) * J_0 / (4 * np.sqrt(np.pi) * A * k)


def noisy_bumps(U_0, count=40, n=N):
    """States about the ring, all around it."""
    rng = np.random.default_rng(2)
    center = rng.uniform(-np.pi, np.pi, (count, 1))
    away = np.angle(np.exp(1j * (places(n) - center)))
    bumps = np.exp(-(away**2) / (4 * A**2)) * rng.uniform(0.8, 1.3, (count, 1))
    return U_0 * (bumps + 0.02 * rng.normal(size=bumps.shape))


@pytest.fixture(scope="module")
def ring():
    model, U_0 = continuous_attractor()
    return dd.DSAnalyzer(model).slow_points(noisy_bumps(U_0)), U_0


@pytest.mark.xdist_group("ring")
def test_a_continuous_attractor_is_one_ring(ring):
    found, U_0 = ring
    assert [(m.kind, m.dimension, len(m.points)) for m in found.manifolds] == [("ring", 1, 40)]
    assert len(found) == 40 and found.is_fixed.all()
    assert found.q.max() < 1e-24
    assert set(found.stability) == {"degenerate"}
    assert "a ring of slow points, 40 of them" in repr(found)
    np.testing.assert_allclose(found.x.max(axis=1), U_0, rtol=2e-3)  # between units


@pytest.mark.xdist_group("ring")
def test_the_spectrum_on_the_bump(ring):
    found, _ = ring
    np.testing.assert_array_equal(found.n_marginal, 1)
    np.testing.assert_array_equal(found.n_unstable, 0)
    known = [0, -1 / 2, -np.sqrt(1 / 2), -3 / 4, -7 / 8, -15 / 16]  # the third: -sqrt(1 - k / k_c)
    np.testing.assert_allclose(found.eigenvalues[:, :6].real, np.tile(known, (40, 1)), atol=1e-6)
    assert np.abs(found.eigenvalues[:, 0]).max() < 1e-12


@pytest.mark.xdist_group("ring")
def test_the_marginal_direction_moves_the_bump(ring):
    found, _ = ring
    for x, right, left in zip(found.x, found.right, found.left, strict=True):
        k = np.fft.fftfreq(N, 1 / N)
        shift = np.fft.ifft(1j * k * np.fft.fft(x)).real
        cosine = abs(right[:, 0].real @ shift) / np.linalg.norm(shift)
        np.testing.assert_allclose(cosine, 1.0, atol=1e-6)
        np.testing.assert_allclose(left.conj().T @ right, np.eye(8), atol=1e-8)


def test_points_of_a_ring_are_in_order(ring):
    found, _ = ring
    step = np.diff(np.unwrap(angle(found.x[found.manifolds[0].points])))
    assert (step > 0).all() or (step < 0).all()


@pytest.mark.slow
def test_a_ring_that_is_not_exact_is_still_one():
    model, U_0 = continuous_attractor(noise=1e-3)
    found = dd.DSAnalyzer(model).slow_points(noisy_bumps(U_0))
    (one,) = found.manifolds
    assert one.kind == "ring" and len(one.points) >= 30
    assert found.q[one.points].max() <= found.slow
    at = np.sort(angle(found.x[one.points]))
    assert np.diff(np.append(at, at[0] + 2 * np.pi)).max() < 1.0
    assert 2 <= found.is_fixed.sum() < 20  # where it is pinned


@pytest.mark.slow
def test_the_ring_of_a_thousand_units_without_a_matrix():
    model, U_0 = continuous_attractor(n=1200)
    found = dd.DSAnalyzer(model).slow_points(noisy_bumps(U_0, 24, 1200))
    assert [(m.kind, len(m.points)) for m in found.manifolds] == [("ring", 24)]
    known = np.tile([0, -1 / 2, -np.sqrt(1 / 2), -3 / 4], (24, 1))
    np.testing.assert_allclose(found.eigenvalues[:, :4].real, known, atol=1e-4)
    assert found.left.shape == (24, 1200, 0)


def integrator(rest=0.0, n=20, is_continuous=True):
    """x' = (W - 1) x, or x -> W x: W keeps u but for a rest, and forgets all else."""
    rng = np.random.default_rng(1)
    u, *others = np.linalg.qr(rng.normal(size=(n, n)))[0]
    W = (1.0 - rest) * np.outer(u, u) + sum(
        a * np.outer(b, b) for a, b in zip(np.linspace(-0.8, 0.8, n - 1), others, strict=True)
    )

    def F(state, parameters):
        return {"x": W @ state["x"] - is_continuous * state["x"]}

    field = VectorField(F, {"x": np.zeros(n)}, {}, is_continuous=is_continuous)
    return dd.DSAnalyzer(field), u, rng.normal(size=(30, n))


@pytest.mark.parametrize("is_continuous", [True, False])
def test_a_linear_integrator_has_a_line(is_continuous):
    an, u, states = integrator(is_continuous=is_continuous)
    found = an.slow_points({"x": states})
    assert [(m.kind, len(m.points)) for m in found.manifolds] == [("line", 30)]
    along = found.x[found.manifolds[0].points] @ u
    assert (np.diff(along) > 0).all() or (np.diff(along) < 0).all()
    np.testing.assert_allclose(found.x, np.outer(found.x @ u, u), atol=1e-9)
    np.testing.assert_allclose(found.eigenvalues[:, 0], 0.0 if is_continuous else 1.0, atol=1e-12)


def test_a_leaky_integrator_has_a_slow_line_or_one_point():
    an, u, states = integrator(rest=1e-5)
    line = an.slow_points(states, slow=1e-8)
    assert [m.kind for m in line.manifolds] == ["line"]
    assert len(line) > 15 and line.is_fixed.sum() == 1
    np.testing.assert_allclose(line.q, 0.5 * (1e-5 * (line.x @ u)) ** 2, atol=1e-8)
    point = an.slow_points(states, slow=1e-30)
    assert len(point) == 1 and point.is_fixed.all() and not point.manifolds
    np.testing.assert_allclose(point.x, 0.0, atol=1e-9)
    assert point.stability == ("stable node",)


@pytest.fixture(scope="module")
def of_wells():
    field, Q = wells(30)
    states = np.random.default_rng(3).uniform(-2, 2, (401, 30)) @ Q.T
    an = dd.DSAnalyzer(field)
    return an.slow_points(states), an.slow_points(states, devices=2), Q


def test_separate_points_stay_separate(of_wells):
    found, _, Q = of_wells
    assert len(found) == 27 and found.is_fixed.all() and not found.manifolds
    assert Counter(found.n_unstable.tolist()) == {0: 8, 1: 12, 2: 6, 3: 1}
    assert Counter(found.stability) == {"stable node": 8, "saddle": 19}
    y = (found.x @ Q)[:, :3]
    np.testing.assert_allclose(y, 0.9575040241 * np.round(y / 0.9575), atol=1e-9)
    for k in np.flatnonzero(found.n_unstable):
        grows = found.right[k][:, : found.n_unstable[k]].real
        np.testing.assert_allclose((Q.T @ grows)[3:], 0.0, atol=1e-9)


def test_any_number_of_devices_finds_the_same(of_wells):
    one, other, _ = of_wells
    np.testing.assert_allclose(other.x, one.x, atol=1e-10)
    assert other.stability == one.stability
    assert not jax.config.jax_enable_x64


def test_a_ghost_is_a_slow_point_if_slow_says_so():
    an = dd.DSAnalyzer(plane(lambda x, y: (x**2 + 0.01, -y)))
    states = np.random.default_rng(0).uniform(-1, 1, (40, 2))
    ghost = an.slow_points(states, slow=1e-4)
    assert len(ghost) == 1 and not ghost.is_fixed.any()
    np.testing.assert_allclose(ghost.x, 0.0, atol=1e-3)
    np.testing.assert_allclose(ghost.q, 5e-5, rtol=1e-5)
    none = an.slow_points(states, slow=1e-6)
    assert len(none) == 0 and none.n_fast == 40
    assert "the least q was 5e-05" in none.message


def test_double_roots_are_no_line():
    an = dd.DSAnalyzer(plane(lambda x, y: ((x**2 - 1) ** 2, -y)))
    found = an.slow_points(np.random.default_rng(0).uniform(-2, 2, (40, 2)), slow=1e-20)
    np.testing.assert_allclose(np.sort(found.x[:, 0]), [-1.0, 1.0], atol=1e-3)
    assert not found.manifolds


def test_what_is_far_from_all_states_is_left_out_and_counted():
    an = dd.DSAnalyzer(plane(lambda x, y: (x * (1.0 - x / 100.0), -y)))
    states = np.concatenate([[[60.0, 0.0]], np.random.default_rng(0).uniform(-1, 1, (20, 2))])
    assert len(an.slow_points(states)) == 2
    near = an.slow_points(states, far=1.05)
    np.testing.assert_allclose(near.x, 0.0, atol=1e-12)
    assert near.n_outliers >= 1 and "far from all states" in near.message


class Pair(dd.Network):
    def __init__(self):
        self.E = dd.Population(3, dd.ThresholdLinear(I_e=100.0, beta=1.0))
        self.I = dd.Population(2, dd.ThresholdLinear(I_e=50.0, beta=1.0, tau=10.0))

        def connect(pre, post, weight):
            coupling = dd.Additive()
            return dd.Projection(pre, post, dd.AllToAll(), coupling, weight=weight, delay=0.0)

        self.exc = connect(self.E, (self.E, self.I), 0.2)
        self.inh = connect(self.I, self.E, -0.3)


def test_from_a_recording():
    every = [dd.every(1.0, name) for name in ("E.r", "I.r")]
    recording = dd.DSRunner(Pair(), dt=0.5, record=every).run(60.0)
    found = dd.DSAnalyzer(Pair()).slow_points(recording, n_states=20)
    W = np.block([[np.full((3, 3), 0.2), np.full((3, 2), -0.3)],
                  [np.full((2, 3), 0.2), np.zeros((2, 2))]])  # fmt: skip
    r = np.linalg.solve(np.eye(5) - W, [100.0] * 3 + [50.0] * 2)
    np.testing.assert_allclose(found.x, [r], rtol=1e-8)
    assert found.n_starts == 20
    np.testing.assert_allclose(found.state["I.r"], [r[3:]], rtol=1e-8)
    with pytest.raises(AnalysisError, match="not all of V, w"):
        dd.DSAnalyzer(dd.FitzHughNagumo()).slow_points(recording)


def test_it_is_saved_and_drawn(ring, tmp_path):
    found, _ = ring
    found.save(tmp_path / "points.h5")
    arrays, attributes = read_arrays(tmp_path / "points.h5")
    np.testing.assert_array_equal(arrays["x"], found.x)
    np.testing.assert_array_equal(arrays["manifold"], 0)
    assert list(attributes["manifolds"]) == ["ring"]
    axes = found.plot().axes[0]
    assert {text.get_text() for text in axes.get_legend().get_texts()} == {"states", "ring"}
    (line,) = [line for line in axes.lines if line.get_label() == "ring"]
    assert len(line.get_xdata()) == 41


def test_wrong_questions():
    an = dd.DSAnalyzer(plane(lambda x, y: (1.0 - x, -y)))
    with pytest.raises(AnalysisError, match=r"\[m, 2\]"):
        an.slow_points(np.zeros((5, 3)))
    with pytest.raises(NameLookupError, match="no variable"):
        an.slow_points({"z": np.zeros(3)})
    with pytest.raises(AnalysisError, match="slow = -1"):
        an.slow_points(np.zeros((5, 2)), slow=-1.0)
