"""Lyapunov exponents: linear systems, Lorenz, a cycle, maps, random networks of rates."""

import jax.numpy as jnp
import numpy as np
import pytest

import distdyn as dd
from distdyn.analysis.field import VectorField
from distdyn.errors import AnalysisError, NameLookupError
from distdyn.run.store import read_arrays


def analyzer(F, state, **how):
    state = {name: np.array(value, np.float64) for name, value in state.items()}
    return dd.DSAnalyzer(VectorField(F, state, {}, **how))


def lorenz(s, p):
    x, y, z = s["x"], s["y"], s["z"]
    return {"x": 10.0 * (y - x), "y": x * (28.0 - z) - y, "z": x * y - 8.0 / 3.0 * z}


def test_lorenz(tmp_path):
    found = analyzer(lorenz, {"x": 1.0, "y": 1.0, "z": 20.0}).lyapunov_spectrum(2000.0)
    assert found.T == pytest.approx(2000.0)
    assert found.exponents[0] == pytest.approx(0.9056, abs=0.02)
    assert found.exponents[1] == pytest.approx(0.0, abs=2e-3)
    assert found.exponents[2] == pytest.approx(-14.572, abs=0.02)
    assert found.exponents.sum() == pytest.approx(-41.0 / 3.0, abs=1e-3)
    assert found.kaplan_yorke == pytest.approx(2.062, abs=2e-3)
    assert 1e-3 < found.error[0] < 0.02
    found.save(tmp_path / "spectrum.h5")
    arrays, attributes = read_arrays(tmp_path / "spectrum.h5")
    assert np.array_equal(arrays["exponents"], found.exponents)
    assert attributes["kind"] == "Lyapunov spectrum"
    drawn = found.plot().axes[0].lines[-1].get_ydata()
    assert drawn[-1] == pytest.approx(found.exponents[2])


def test_a_linear_system_has_the_real_parts_of_its_eigenvalues():
    A = np.array([[-0.1, 3.0, 0.2], [-3.0, -0.1, 0.0], [0.0, 0.0, -2.0]])
    run = analyzer(lambda s, p: {"x": jnp.asarray(A) @ s["x"]}, {"x": np.ones(3)})
    found = run.lyapunov_spectrum(100.0)
    assert found.exponents == pytest.approx([-0.1, -0.1, -2.0], abs=1e-2)
    assert found.kaplan_yorke == 0.0


def test_of_a_cycle_one_exponent_is_zero_and_the_other_is_its_multipliers():
    def F(s, p):
        x, y, r2 = s["x"], s["y"], s["x"] ** 2 + s["y"] ** 2
        return {"x": x * (1.0 - r2) - y, "y": y * (1.0 - r2) + x}

    found = analyzer(F, {"x": 0.5, "y": 0.0}).lyapunov_spectrum(100.0)
    assert found.exponents == pytest.approx([0.0, -2.0], abs=1e-4)
    assert found.kaplan_yorke == pytest.approx(1.0, abs=1e-3)


def test_the_logistic_map_has_log_2():
    def F(s, p):
        return {"x": 4.0 * s["x"] * (1.0 - s["x"])}

    found = analyzer(F, {"x": 0.3}, is_continuous=False).lyapunov_spectrum(50_000)
    assert found.exponents == pytest.approx([np.log(2.0)], abs=1e-3)
    assert found.dt == 1.0


@pytest.mark.parametrize("g, is_chaotic", [(0.8, False), (4.0, True)])
def test_random_networks_of_rates(g, is_chaotic, seed):
    n = 60
    J = np.random.default_rng(seed).normal(size=(n, n)) * g / np.sqrt(n)

    def F(s, p):
        return {"x": -s["x"] + jnp.asarray(J) @ jnp.tanh(s["x"])}

    x = np.random.default_rng(1).normal(size=n)
    found = analyzer(F, {"x": x}).lyapunov_spectrum(150.0, k=2, dt=0.05)
    edge = np.max(np.linalg.eigvals(J).real) - 1.0  # of the Jacobian at x = 0
    if is_chaotic:
        assert found.exponents[0] > 0.05
    else:
        assert found.exponents[0] < 0.0
        assert found.exponents[0] == pytest.approx(edge, abs=5e-3)


def test_few_exponents_are_the_largest_ones():
    lorenz_ = analyzer(lorenz, {"x": 1.0, "y": 1.0, "z": 20.0})
    one = lorenz_.lyapunov_spectrum(150.0, k=1)
    assert one.exponents.shape == (1,)
    assert one.exponents[0] == pytest.approx(0.9056, abs=0.1)
    assert np.isnan(one.kaplan_yorke)


def test_what_is_asked_is_checked():
    run = analyzer(lorenz, {"x": 1.0, "y": 1.0, "z": 20.0})
    for how, message in (
        ({"T": -1.0}, "no durations"),
        ({"T": 10.0, "k": 4}, "1 <= k <= 3"),
        ({"T": 10.0, "dt": 0.0}, "no step"),
        ({"T": 10.0, "start": [1.0]}, "3 variables"),
        ({"T": 10.0, "dt": 1.0}, "does not stay finite"),
    ):
        with pytest.raises(AnalysisError, match=message):
            run.lyapunov_spectrum(**how)
    with pytest.raises(NameLookupError, match='"u"'):
        run.lyapunov_spectrum(10.0, start={"u": 1.0})
    with pytest.raises(AnalysisError, match="reset"):
        dd.DSAnalyzer(dd.AdEx()).lyapunov_spectrum(10.0)


def test_what_a_map_forgets_at_once_has_the_exponent_minus_infinity():
    forgets = VectorField(
        lambda s, p: {"x": 0.5 * s["x"], "y": s["x"]}, dict.fromkeys("xy", 1.0), {}, False
    )
    found = dd.DSAnalyzer(forgets).lyapunov_spectrum(500.0)
    np.testing.assert_allclose(found.exponents, [np.log(0.5), -np.inf], rtol=1e-12)
    np.testing.assert_allclose(found.error, 0.0, atol=1e-12)
