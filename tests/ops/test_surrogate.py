"""Surrogates: every class of the catalogue keeps what the spike function promises."""

import inspect
import math
from dataclasses import dataclass, fields

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P
from scipy.integrate import quad

from distdyn.errors import ParameterError
from distdyn.ops import surrogate
from distdyn.ops.surrogate import Surrogate

CATALOGUE = [
    kind
    for kind in vars(surrogate).values()
    if inspect.isclass(kind) and issubclass(kind, Surrogate) and kind is not Surrogate
]
FINITE = {
    surrogate.PiecewiseQuadratic(49.0): 1 / 49,  # 49 * (1 / 49) is below 1
    surrogate.PiecewiseLeakyReLU(0.3, leak=0.0): 0.3,
    surrogate.ReLU(0.3, 0.7): 0.7,
}
NOT_EVEN = {surrogate.S2NN, surrogate.LeakyReLU, surrogate.LogTailedReLU}
# Integrals over all v, by the docstrings, of those that are not 1.
INTEGRALS = {
    surrogate.ReLU(0.3, 2.0): 1.2,
    surrogate.PiecewiseLeakyReLU(2.0, leak=0.0): 1.0,
    surrogate.MultiGaussian(h=0.2, s=3.0, sigma=0.7, scale=0.5): 0.4,
    surrogate.SuperSpike(5.0): 0.4,
    surrogate.InverseSquare(5.0): 0.4,
    surrogate.Slayer(2.0, 4.0): 0.25,
}
every_surrogate = pytest.mark.parametrize("spike", [kind() for kind in CATALOGUE], ids=repr)
both_types = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@pytest.fixture(autouse=True)
def strict():
    with (
        jax.enable_x64(True),
        jax.numpy_dtype_promotion("strict"),
        jax.numpy_rank_promotion("raise"),
    ):
        yield


def points(dtype: type) -> np.ndarray:
    """Values of v of every kind: ordinary, at zero, subnormal, large, infinite."""
    limits = np.finfo(dtype)
    small = [limits.smallest_subnormal, limits.tiny / 2, limits.tiny, limits.eps]
    large = [1e3, 1e10, 1e19, math.sqrt(limits.max), limits.max / 2, limits.max, np.inf]
    magnitudes = np.array([0.0, *small, *np.linspace(0.01, 5.0, 120), *large], dtype)
    return np.concatenate([-magnitudes[::-1], magnitudes])


def own_slope(spike, v):
    return jax.grad(lambda v: spike(v).sum())(v)


def test_the_catalogue_is_complete():
    assert len(CATALOGUE) == 19


@every_surrogate
@both_types
def test_forward_is_the_exact_step_in_the_dtype_of_v(spike, dtype):
    v = np.append(points(dtype), dtype(np.nan))
    for spikes in (spike(v), jax.jit(spike)(v), spike(jnp.asarray(v))):
        assert spikes.dtype == dtype
        np.testing.assert_array_equal(spikes, np.where(v >= 0, 1.0, 0.0))  # numpy: NaN gives 0
    assert spike(dtype(-0.0)) == 1.0 and spike(dtype(-0.0)).shape == ()
    assert spike(jnp.asarray(-1e-3, jnp.bfloat16)).dtype == jnp.bfloat16


@every_surrogate
@both_types
def test_gradient_is_the_derivative_and_finite_everywhere(spike, dtype):
    v = jnp.asarray(points(dtype))
    expected = spike.derivative(v)
    assert expected.dtype == dtype and expected.shape == v.shape
    assert np.isfinite(expected).all()
    np.testing.assert_array_equal(own_slope(spike, v), expected)
    spikes, tangent = jax.jvp(spike, (v,), (jnp.full_like(v, 2),))
    np.testing.assert_array_equal(tangent, 2 * expected)
    np.testing.assert_array_equal(spikes, spike(v))
    if type(spike) not in NOT_EVEN:
        np.testing.assert_array_equal(expected, expected[::-1])


@every_surrogate
@both_types
def test_second_derivatives_are_those_of_the_derivative_and_finite(spike, dtype):
    v = jnp.asarray(points(dtype))
    curvature = jax.vmap(jax.grad(jax.grad(spike)))(v)
    assert np.isfinite(curvature).all()
    if dtype is np.float64:
        away = np.array([-2.3, -0.31, 0.17, 0.71, 3.1])  # from the kinks
        step = 1e-6
        above, below = spike.derivative(away + step), spike.derivative(away - step)
        slope = jax.vmap(jax.grad(spike.derivative))(away)
        hessian = jax.hessian(lambda v: spike(v).sum())(away)
        np.testing.assert_array_equal(hessian, np.diag(np.diag(hessian)))
        np.testing.assert_allclose(np.diag(hessian), slope, rtol=1e-13)
        # central differences: step^2 g''' / 6 and eps / step
        np.testing.assert_allclose(slope, (above - below) / (2 * step), rtol=1e-5, atol=1e-8)


@every_surrogate
def test_compiled_mapped_and_scanned_are_the_same(spike):
    v = jnp.linspace(-3.0, 3.0, 24).reshape(4, 6)

    def slope(v):
        return own_slope(spike, v)

    expected = slope(v)
    close = {"rtol": 1e-14, "atol": 1e-300}  # fused code may contract a product and a sum
    np.testing.assert_allclose(jax.jit(slope)(v), expected, **close)
    np.testing.assert_allclose(jax.vmap(slope)(v), expected, **close)
    np.testing.assert_array_equal(jax.vmap(spike)(v), jnp.stack([spike(row) for row in v]))

    def scanned(v):
        return jax.lax.scan(lambda total, row: (total + spike(row), None), jnp.zeros(6), v)[0].sum()

    np.testing.assert_allclose(jax.grad(scanned)(v), expected, **close)


@every_surrogate
def test_sharded_is_the_same(spike):
    v = jnp.linspace(-3.0, 3.0, 8)
    mesh = Mesh(np.array(jax.devices()[:2]), ("part",))

    def one(v):
        return spike(v), jax.lax.psum(spike(v).sum(), "part")

    sharded = jax.shard_map(one, mesh=mesh, in_specs=P("part"), out_specs=(P("part"), P()))
    spikes, total = jax.jit(sharded)(v)
    np.testing.assert_array_equal(spikes, spike(v))
    assert total == 4
    slope = jax.jit(jax.grad(lambda v: sharded(v)[1]))(v)
    np.testing.assert_allclose(slope, spike.derivative(v), rtol=1e-14, atol=1e-300)


def integral(spike) -> float:
    low, high = spike.support

    def g(v):
        return float(derivative(v))

    derivative = jax.jit(spike.derivative)
    return quad(g, low, 0.0)[0] + quad(g, 0.0, high)[0]


STEPS = [kind for kind in CATALOGUE if kind.is_step]


@pytest.mark.parametrize("kind", STEPS)
def test_steps_from_0_to_1_have_derivatives_that_integrate_to_1(kind):
    (parameter,) = fields(kind)
    for factor in (1.0, 1.7):
        spike = kind(**{parameter.name: factor * parameter.default})
        assert integral(spike) == pytest.approx(1.0, rel=1e-7)


@pytest.mark.parametrize("spike, expected", INTEGRALS.items(), ids=repr)
def test_other_integrals_are_those_of_the_docstrings(spike, expected):
    assert not spike.is_step
    assert integral(spike) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("spike, width", FINITE.items(), ids=repr)
@both_types
def test_nothing_passes_outside_a_finite_support(spike, width, dtype):
    assert spike.support == (-width, width)
    edge = dtype(width)
    edge = edge if edge >= width else np.nextafter(edge, dtype(np.inf))
    outside = np.array([edge, np.nextafter(edge, dtype(np.inf)), 2 * edge, 1e30, np.inf], dtype)
    outside = jnp.asarray(np.concatenate([outside, -outside]))
    inside = jnp.asarray(np.array([-0.999, -0.5, 0.0, 0.5, 0.999]) * width, dtype)
    for slope in (own_slope, jax.jit(own_slope, static_argnums=0)):
        np.testing.assert_array_equal(slope(spike, outside), 0.0)
        assert (slope(spike, inside) > 0).all()


def test_log_tailed_relu_is_zero_below_the_threshold():
    spike = surrogate.LogTailedReLU()
    assert spike.support == (0.0, math.inf)
    assert spike.derivative(jnp.array([-np.inf, -1.0, 0.0, 0.5, 4.0])).tolist() == [
        0,
        0,
        0,
        1,
        0.25,
    ]
    assert surrogate.LogTailedReLU(0.1).support == (-math.inf, math.inf)


# By hand from the papers: surrogate, v, g.
VALUES = [
    (surrogate.Sigmoid(2.0), 0.0, 0.5),
    (surrogate.PiecewiseQuadratic(2.0), 0.25, 1.0),
    (surrogate.PiecewiseExponential(2.0), -1.0, math.exp(-2)),
    (surrogate.SoftSign(2.0), 1.0, 1 / 9),
    (surrogate.Arctan(2.0), 1 / math.pi, 0.5),
    (surrogate.NonzeroSignLog(2.0), -1.0, 2 / 3),
    (surrogate.ERF(2.0), 0.5, 2 / math.sqrt(math.pi) * math.exp(-1)),
    (surrogate.PiecewiseLeakyReLU(2.0, 0.1), 1.9, 0.25),
    (surrogate.PiecewiseLeakyReLU(2.0, 0.1), -2.1, 0.1),
    (surrogate.SquarewaveFourier(2, 8.0), 1.0, 0.0),
    (surrogate.SquarewaveFourier(3, 8.0), 0.0, 1.5),
    (surrogate.S2NN(2.0, 3.0), 1.0, 1.5),
    (surrogate.S2NN(2.0, 3.0), -1.0, 2 / (2 + 2 * math.cosh(2))),
    (surrogate.QPseudo(3.0), -1.0, 1 / 8),
    (surrogate.LeakyReLU(0.2, 2.0), 0.0, 2.0),
    (surrogate.LeakyReLU(0.2, 2.0), -1.0, 0.2),
    (surrogate.LogTailedReLU(0.2), -1.0, 0.2),
    (surrogate.ReLU(0.3, 1.0), -0.25, 0.225),
    (surrogate.Gaussian(0.5), 0.5, math.exp(-0.5) / (0.5 * math.sqrt(2 * math.pi))),
    (surrogate.MultiGaussian(0.0, 6.0, 0.5, 2.0), 0.0, 4 / math.sqrt(2 * math.pi)),
    (
        surrogate.MultiGaussian(0.15, 6.0, 0.5),
        0.0,
        2 * (1.15 - 0.3 / 6 * math.exp(-1 / 72)) / math.sqrt(2 * math.pi),
    ),
    (surrogate.InverseSquare(9.0), 1.0, 0.01),
    (surrogate.SuperSpike(9.0), -1.0, 0.01),
    (surrogate.Slayer(2.0, 3.0), 1.0, math.exp(-3) / 2),
]


@pytest.mark.parametrize("spike, v, g", VALUES, ids=repr)
def test_values_by_hand(spike, v, g):
    assert float(spike.derivative(jnp.float64(v))) == pytest.approx(g, rel=1e-14, abs=1e-15)


def test_every_class_has_a_value_by_hand():
    assert {type(spike) for spike, _, _ in VALUES} == set(CATALOGUE)


@pytest.mark.parametrize("kind", CATALOGUE)
def test_parameters_are_checked_and_plain(kind):
    for parameter in fields(kind):
        for wrong in (-1.0, np.nan, np.inf, "4", None, True, [1.0, 2.0], 1j):
            with pytest.raises(ParameterError, match=f"{kind.__name__}: {parameter.name}"):
                kind(**{parameter.name: wrong})
        with pytest.raises(ParameterError, match="traced"):
            jax.jit(lambda x, name=parameter.name: kind(**{name: x})(x))(3.0)
        given = kind(**{parameter.name: np.float32(3)})
        assert type(getattr(given, parameter.name)) is (int if parameter.name == "n" else float)
        same = kind(**{parameter.name: 3})
        assert given == same and hash(given) == hash(same) and given != kind()
    assert kind() == kind() and hash(kind()) == hash(kind())


def test_a_number_of_terms_is_whole():
    with pytest.raises(ParameterError, match=r"n = 2\.5 .* Use a whole number"):
        surrogate.SquarewaveFourier(n=2.5)


@pytest.mark.parametrize("v", [1, True, np.arange(3), jnp.arange(3), np.bool_(True), 1j])
def test_v_without_a_derivative_is_refused(v):
    with pytest.raises(ParameterError, match=r"ReLU: v is of type .* Use floating-point v"):
        surrogate.ReLU()(v)


def test_a_surrogate_is_static_within_a_model():
    @jax.jit
    def run(model, v):
        return model["spike"](v) * model["gain"]

    model = {"spike": surrogate.ReLU(), "gain": jnp.float64(2.0)}
    assert run(model, jnp.float64(0.5)) == 2.0
    assert len(jax.tree.leaves(model)) == 1
    slope = jax.grad(run, argnums=1)(model, jnp.float64(0.5))
    assert slope == pytest.approx(0.3)


def test_a_surrogate_of_ones_own():
    @dataclass(frozen=True)
    class Cosine(Surrogate):
        width: float = 1.0

        def derivative(self, v):
            return jnp.where(abs(v) < self.width, jnp.cos(v * (math.pi / 2 / self.width)), 0.0)

    spike = Cosine(2.0)
    assert jax.jit(jax.grad(spike))(1.0) == pytest.approx(math.sqrt(0.5))
    with pytest.raises(ParameterError, match="Cosine: width = 0"):
        Cosine(0)
    with pytest.raises(TypeError):
        Surrogate()  # pyright: ignore
