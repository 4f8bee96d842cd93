"""Readouts at once, by sums over chunks."""

import numpy as np
import pytest

from distdyn.errors import TrainError
from distdyn.parallel.launch import World
from distdyn.train import offline
from distdyn.train.rls import LMS, RLS, follow


@pytest.fixture
def data():
    random = np.random.default_rng(1)
    x = random.normal(1.0, [0.5, 1.0, 2.0, 3.0, 0.1], (400, 5))
    y = x @ random.normal(size=(5, 2)) + 3.0 + 0.1 * random.normal(size=(400, 2))
    return x, y


def moments_of(x, y, chunk=37):
    found = offline.Moments()
    for start in range(0, len(x), chunk):
        found.add(x[start : start + chunk], y[start : start + chunk])
    return found


def with_one(x):
    return np.concatenate([np.ones((len(x), 1)), x], axis=1)


def test_of_least_squares(data):  # 6.A7
    x, y = data
    found = offline.linear(moments_of(x, y))
    wanted = np.linalg.lstsq(with_one(x), y, rcond=None)[0]
    np.testing.assert_allclose(np.vstack([found.bias, found.weight]), wanted, rtol=1e-10)
    np.testing.assert_allclose(found(x), with_one(x) @ wanted, rtol=1e-10)


def test_ridge_is_least_squares_with_more_rows(data):
    x, y = data
    found = offline.ridge(moments_of(x, y), 7.0)
    centred, mean = x - x.mean(axis=0), y.mean(axis=0)
    more = np.vstack([centred, np.sqrt(7.0) * np.eye(5)])
    wanted = np.linalg.lstsq(more, np.vstack([y - mean, np.zeros((5, 2))]), rcond=None)[0]
    np.testing.assert_allclose(found.weight, wanted, rtol=1e-10)


def test_ridge_without_a_bias(data):
    x, y = data
    found = offline.ridge(moments_of(x, y), 7.0, bias=False)
    np.testing.assert_allclose(
        found.weight, np.linalg.solve(x.T @ x + 7.0 * np.eye(5), x.T @ y), rtol=1e-10
    )
    assert not found.bias.any()


def test_chunks_and_places_do_not_matter(data):
    x, y = data
    whole = offline.ridge(moments_of(x, y, chunk=400), 1e-3)
    parts = moments_of(x[:150], y[:150]) + offline.Moments() + moments_of(x[150:], y[150:])
    for other in (moments_of(x, y, chunk=1), parts, moments_of(x, y).gathered(World())):
        found = offline.ridge(other, 1e-3)
        np.testing.assert_allclose(found.weight, whole.weight, rtol=1e-10)
        np.testing.assert_allclose(found.bias, whole.bias, rtol=1e-10)


def test_lasso_is_at_its_minimum(data):
    """Where a weight is not 0 the slope is its sign times alpha, elsewhere it is less."""
    x, y = data
    alpha = 0.3
    found = offline.lasso(moments_of(x, y), alpha)
    slope = (x - x.mean(axis=0)).T @ (y - found(x)) / len(x)
    is_used = found.weight != 0
    assert 0 < is_used.sum() < is_used.size
    np.testing.assert_allclose(slope[is_used], alpha * np.sign(found.weight[is_used]), rtol=1e-6)
    assert (abs(slope[~is_used]) <= alpha).all()


def test_elastic_net_without_l1_is_ridge(data):
    x, y = data
    found = offline.elastic_net(moments_of(x, y), 0.5, 0.0)
    np.testing.assert_allclose(
        found.weight, offline.ridge(moments_of(x, y), 0.5 * len(x)).weight, rtol=1e-7
    )


def test_logistic_is_at_its_minimum(data):
    x, _ = data
    random = np.random.default_rng(3)
    odds = x @ random.normal(size=(5, 3))
    label = (odds + random.gumbel(size=odds.shape)).argmax(axis=1)
    chunks = [(x[k : k + 90], label[k : k + 90]) for k in range(0, len(x), 90)]
    found = offline.logistic(lambda: chunks, 3, alpha=2.0, most=5000)
    p = np.exp(found(x))
    p /= p.sum(axis=1, keepdims=True)
    error = p - np.eye(3)[label]
    np.testing.assert_allclose(x.T @ error + 2.0 * found.weight, 0.0, atol=1e-4)
    np.testing.assert_allclose(error.sum(axis=0), 0.0, atol=1e-4)
    assert (p.argmax(axis=1) == label).mean() > 0.5


def test_rls_is_ridge(data):  # 6.A7
    x, y = data
    import jax

    with jax.enable_x64(True):
        for step in (1, 8):
            learner = RLS.begin(5, 2, p0=1 / 0.25, dtype="float64")
            batches = (a.reshape(-1, step, a.shape[1]) for a in (x, y))
            found = np.asarray(follow(learner, *map(jax.numpy.asarray, batches)).weight)
            wanted = np.linalg.solve(x.T @ x + 0.25 * np.eye(5), x.T @ y)
            np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_rls_with_rows_of_p_on_several_devices(data):
    import jax
    from jax.sharding import AxisType, NamedSharding
    from jax.sharding import PartitionSpec as P

    random = np.random.default_rng(5)
    x, y = random.normal(size=(60, 8)), random.normal(size=(60, 1))
    mesh = jax.make_mesh(
        (4,), ("neuron",), axis_types=(AxisType.Auto,), devices=jax.devices("cpu")[:4]
    )
    with jax.enable_x64(True):
        alone = RLS.begin(8, 1, 10.0, "float64")
        split = alone._replace(P=jax.device_put(alone.P, NamedSharding(mesh, P("neuron"))))
        found = [
            jax.jit(follow)(of, jax.numpy.asarray(x), jax.numpy.asarray(y)) for of in (alone, split)
        ]
        assert len(found[1].P.sharding.device_set) == 4
        np.testing.assert_allclose(*(np.asarray(of.weight) for of in found), atol=1e-9)


def test_lms_goes_down_the_gradient():
    x, y = np.array([1.0, 2.0]), np.array([3.0])
    found = LMS.begin(2, 1, 0.1).step(x, y).step(x, y)
    # e is 3, then 3 - 0.1 * 5 * 3 = 1.5: the weights are 0.1 (3 + 1.5) x
    np.testing.assert_allclose(found.weight[:, 0], 0.45 * x, rtol=1e-6)


@pytest.mark.parametrize(
    ("what", "says"),
    [
        (lambda: offline.ridge(offline.Moments(), 1.0), "there is no data"),
        (lambda: moments_of(np.zeros((3, 2)), np.zeros((4, 1))), r"x has shape \[3, 2\]"),
        (lambda: moments_of(np.full((3, 2), np.nan), np.zeros((3, 1))), "not finite"),
        (lambda: offline.linear(moments_of(np.ones((9, 2)), np.ones((9, 1)))), "larger alpha"),
        (lambda: offline.ridge(moments_of(np.eye(3), np.eye(3)), -1.0), "number >= 0"),
        (lambda: offline.logistic(lambda: [(np.eye(2), np.array([0, 3]))], 2), "up to 3 of 2"),
        (lambda: offline.logistic(list, 2), "no data"),
    ],
)
def test_bad_questions(what, says):
    with pytest.raises(TrainError, match=says):
        what()
